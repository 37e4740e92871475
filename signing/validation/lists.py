"""Several trust lists side by side, each with its name, its day and its digest, so that a report can say which vouched.

A folder holds one list, or folders with a list each; the embedded authority of the archive always stands beside them.
Revocation lists (`*.crl`, DER or PEM) that lie beside a list are looked at too. A list that cannot be used vouches for
nobody, and says why; the others go on.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from signing.certificates import SELF_ISSUED
from signing.validation.trust import TRUST_FILE, Trusted, TrustList, TrustListBroken, read_trusted

PARTED: Final = ": "
"""Stands between the name of a list and that of its entry, wherever a verdict names who vouches."""
_MOST_CRLS: Final = 32
_MOST_CRL_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class NamedList:
    """A trust list as it was read. `sha256` is over its file and certificates; `fault` says why it cannot be used."""

    name: str
    dated: date | None
    sha256: str
    entries: Sequence[Trusted] = ()
    is_self_issued: bool = False
    fault: str = ""
    crls: Sequence[bytes] = ()

    def as_json(self) -> dict[str, Any]:
        """Return what a report says of the list."""
        return {
            "name": self.name,
            "dated": None if self.dated is None else self.dated.isoformat(),
            "sha256": self.sha256,
            "entries": len(self.entries),
            "crls": len(self.crls),
            "is_self_issued": self.is_self_issued,
            "fault": self.fault,
        }


def embedded_list(root: x509.Certificate, *, crl: bytes) -> NamedList:
    """Return the list of the embedded authority, which vouches for itself. Its day is that of the root."""
    return NamedList(
        SELF_ISSUED,
        root.not_valid_before_utc.date(),
        root.fingerprint(SHA256()).hex(),
        TrustList.embedded(root).entries,
        is_self_issued=True,
        crls=(crl,),
    )


def read_lists(folder: Path | None) -> Sequence[NamedList]:
    """Return the list of the folder itself, where it has one, and of each folder in it, by name.

    A folder that is named but not there, or holds no list, is told as a list that cannot be used.
    """
    if folder is None:
        return ()
    if (folder / TRUST_FILE).is_file():
        return (_read(folder),)
    try:
        inner = sorted(each for each in folder.iterdir() if (each / TRUST_FILE).is_file())
    except OSError as exc:
        return (_broken(folder, str(exc)),)
    if not inner:
        return (_broken(folder, f"there is no {TRUST_FILE} in it"),)
    return tuple(_read(each) for each in inner)


def joined(lists: Sequence[NamedList]) -> TrustList:
    """Return one list to judge by; each entry of a file is named with its list before it."""
    entries: list[Trusted] = []
    for one in lists:
        if one.is_self_issued:
            entries += one.entries
        else:
            entries += (replace(each, name=f"{one.name}{PARTED}{each.name}") for each in one.entries)
    return TrustList(tuple(entries))


def _read(folder: Path) -> NamedList:
    try:
        entries, dated = read_trusted(folder)
        told = (folder / TRUST_FILE).read_bytes()
        crls = tuple(_revocation_lists(folder))
    except TrustListBroken as exc:
        return _broken(folder, f"{Path(str(exc.facts['file'])).name}:{exc.facts['line']}: {exc.facts['cause']}")
    except OSError as exc:
        return _broken(folder, str(exc))
    over = hashlib.sha256(told)
    for each in entries:
        over.update(each.certificate.public_bytes(Encoding.DER))
    return NamedList(folder.name, dated, over.hexdigest(), entries, crls=crls)


def _revocation_lists(folder: Path) -> Iterator[bytes]:
    for path in sorted(folder.glob("*.crl"))[:_MOST_CRLS]:
        with path.open("rb") as file:
            found = file.read(_MOST_CRL_BYTES + 1)
        if len(found) <= _MOST_CRL_BYTES:
            yield found


def _broken(folder: Path, fault: str) -> NamedList:
    return NamedList(folder.name, None, "", fault=fault[:300])
