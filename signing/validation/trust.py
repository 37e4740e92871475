"""Trust lists: a folder with `trust.toml` and the certificates that it names in PEM.

    version = 1
    dated = 2026-01-02                      # of which day the list is; may be left out

    [[trusted]]
    name = "Provincial CA for officers"
    for = ["people", "agencies"]            # people, agencies, timestamps, all
    from = 2026-01-01T00:00:00Z
    until = 2036-01-01T00:00:00Z            # may be left out
    source = "Handed over on paper on 2026-01-02, fingerprint compared"
    certificate = "provincial.pem"
    self_issued = false                     # may be left out

A list is read strictly: an unknown key, a missing one or a damaged certificate is an error that names the line.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from archive.kernel.errors import InvalidInput
from archive.kernel.instants import Instant, format_instant, parse_instant
from signing.certificates import SELF_ISSUED
from signing.chains import is_issued_by

TRUST_FILE: Final = "trust.toml"
_KEYS: Final = {"name", "for", "from", "until", "source", "certificate", "self_issued"}
_MANDATORY: Final = ("name", "for", "from", "source", "certificate")
_TABLE: Final = re.compile(r"\s*\[\[\s*trusted\s*\]\]")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_AT_LINE: Final = re.compile(r"at line (\d+)")
_MOST_ENTRIES: Final = 1000


class TrustListBroken(InvalidInput):
    """The trust list cannot be used; nothing is trusted until it is mended."""

    code = "signing.trust_list_broken"
    exit_code = 78


class Purpose(StrEnum):
    """What a certificate authority is trusted for."""

    PEOPLE = "people"
    AGENCIES = "agencies"
    TIMESTAMPS = "timestamps"
    ALL = "all"


SIGNERS: Final = frozenset({Purpose.PEOPLE, Purpose.AGENCIES, Purpose.ALL})
STAMPERS: Final = frozenset({Purpose.TIMESTAMPS, Purpose.ALL})


@dataclass(frozen=True, slots=True)
class Trusted:
    """One authority that is trusted, for what, from when until when, and why."""

    name: str
    purposes: frozenset[Purpose]
    certificate: x509.Certificate
    trusted_from: Instant
    trusted_until: Instant | None
    source: str
    is_self_issued: bool = False

    def holds(self, wanted: frozenset[Purpose], at: Instant) -> bool:
        """Return whether it is trusted for one of these purposes at that time."""
        is_in_time = self.trusted_from <= at and (self.trusted_until is None or at < self.trusted_until)
        return is_in_time and not wanted.isdisjoint(self.purposes)

    def as_json(self) -> dict[str, Any]:
        """Return the form in which a request carries it."""
        return {
            "name": self.name,
            "for": sorted(self.purposes),
            "from": format_instant(self.trusted_from),
            "until": None if self.trusted_until is None else format_instant(self.trusted_until),
            "source": self.source,
            "certificate": self.certificate.public_bytes(Encoding.PEM).decode("ascii"),
            "self_issued": self.is_self_issued,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Parse the form of `as_json`. Raises: TrustListBroken."""
        try:
            return cls(
                name=str(value["name"]),
                purposes=frozenset(Purpose(each) for each in value["for"]),
                certificate=x509.load_pem_x509_certificate(value["certificate"].encode("ascii")),
                trusted_from=parse_instant(value["from"]),
                trusted_until=None if value["until"] is None else parse_instant(value["until"]),
                source=str(value["source"]),
                is_self_issued=bool(value["self_issued"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError, InvalidInput) as exc:
            raise TrustListBroken(cause=str(exc)[:200]) from exc


@dataclass(frozen=True, slots=True)
class TrustList:
    """All that the reader trusts. `intermediates` are not trusted, they only help to reach what is."""

    entries: Sequence[Trusted] = ()
    intermediates: Sequence[x509.Certificate] = ()

    @classmethod
    def embedded(
        cls, root: x509.Certificate, *, others: Iterable[Trusted] = (), trusted_from: Instant | None = None
    ) -> Self:
        """Return a list with the embedded root, marked as self-issued, before the `others`."""
        own = Trusted(
            name=SELF_ISSUED,
            purposes=frozenset({Purpose.ALL}),
            certificate=root,
            trusted_from=trusted_from or root.not_valid_before_utc,
            trusted_until=None,
            source="the embedded authority of this archive",
            is_self_issued=True,
        )
        return cls((own, *others))

    def holding(self, wanted: frozenset[Purpose], at: Instant) -> Sequence[Trusted]:
        """Return what is trusted for one of these purposes at that time."""
        return [each for each in self.entries if each.holds(wanted, at)]

    def as_json(self) -> dict[str, Any]:
        """Return the form in which a request carries it."""
        return {
            "entries": [each.as_json() for each in self.entries],
            "intermediates": [each.public_bytes(Encoding.PEM).decode("ascii") for each in self.intermediates],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Parse the form of `as_json`. Raises: TrustListBroken."""
        try:
            return cls(
                tuple(Trusted.from_json(each) for each in value["entries"]),
                tuple(x509.load_pem_x509_certificate(each.encode("ascii")) for each in value["intermediates"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            raise TrustListBroken(cause=str(exc)[:200]) from exc


def load_trust(folder: Path, *, root: x509.Certificate | None = None) -> TrustList:
    """Return the trust list in a folder; with `root` the embedded authority stands in it too, as self-issued.

    A folder without `trust.toml` is an empty list.
    Raises: TrustListBroken, with the file and the line.
    """
    entries, _ = read_trusted(folder)
    if root is None:
        return TrustList(entries)
    return TrustList.embedded(root, others=entries)


def read_trusted(folder: Path) -> tuple[tuple[Trusted, ...], date | None]:
    """Return the entries of the trust list in a folder, and its day where it has one. Raises: TrustListBroken."""
    path = folder / TRUST_FILE
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        text = "version = 1\n"
    except (OSError, UnicodeDecodeError) as exc:
        raise TrustListBroken(file=str(path), line=1, cause=str(exc)[:200]) from exc
    tables, dated = _tables(path, text)
    return tuple(_entry(folder, text, number, value) for number, value in enumerate(tables)), dated


def _tables(path: Path, text: str) -> tuple[Sequence[Mapping[str, Any]], date | None]:
    try:
        read = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        named = _AT_LINE.search(str(exc))
        line = int(named[1]) if named is not None else text.count("\n") + 1
        raise TrustListBroken(file=str(path), line=line, cause=str(exc)[:200]) from exc
    tables, dated = read.get("trusted", []), read.get("dated")
    if read.keys() - {"version", "dated", "trusted"} or read.get("version") != 1:
        told = "version = 1, dated and [[trusted]] are all that may stand here"
        raise TrustListBroken(file=str(path), line=1, cause=told)
    if dated is not None and type(dated) is not date:
        raise TrustListBroken(file=str(path), line=_line_of_head(text, "dated"), cause="dated is a day: 2026-01-02")
    if (
        not isinstance(tables, list)
        or len(tables) > _MOST_ENTRIES
        or not all(isinstance(each, dict) for each in tables)
    ):
        raise TrustListBroken(file=str(path), line=1, cause="[[trusted]] is not a list of tables")
    return tables, dated


def _line_of_head(text: str, key: str) -> int:
    lines = enumerate(text.splitlines(), 1)
    return next((line for line, content in lines if content.lstrip().startswith(key)), 1)


def _entry(folder: Path, text: str, number: int, value: Mapping[str, Any]) -> Trusted:
    try:
        _demand_form(value)
        return Trusted(
            name=value["name"].strip(),
            purposes=_purposes(value["for"]),
            certificate=_root_in(folder, value["certificate"]),
            trusted_from=value["from"].astimezone(UTC),
            trusted_until=value["until"].astimezone(UTC) if "until" in value else None,
            source=value["source"].strip(),
            is_self_issued=value.get("self_issued", False),
        )
    except _WrongKey as exc:
        key, cause = exc.args
        raise TrustListBroken(file=str(folder / TRUST_FILE), line=_line_of(text, number, key), cause=cause) from exc


class _WrongKey(ValueError):
    """A key of an entry and what is wrong with it."""


def _demand_form(value: Mapping[str, Any]) -> None:
    if unknown := sorted(value.keys() - _KEYS):
        raise _WrongKey(unknown[0], f"the key {unknown[0]} is unknown")
    if missing := [key for key in _MANDATORY if key not in value]:
        raise _WrongKey("", f"the key {missing[0]} is missing")
    for key in ("name", "source", "certificate"):
        if not isinstance(value[key], str) or not value[key].strip():
            raise _WrongKey(key, f"{key} is a text")
    if not isinstance(value.get("self_issued", False), bool):
        raise _WrongKey("self_issued", "self_issued is true or false")
    for key in ("from", "until"):
        if key in value and not (isinstance(value[key], datetime) and value[key].tzinfo is not None):
            raise _WrongKey(key, f"{key} is a time with its offset, such as 2026-01-01T00:00:00Z")
    if "until" in value and value["until"] <= value["from"]:
        raise _WrongKey("until", "until does not lie after from")


def _purposes(given: Any) -> frozenset[Purpose]:
    if not isinstance(given, list) or not given or not set(map(str, given)) <= set(Purpose):
        raise _WrongKey("for", f"for is a list of {', '.join(Purpose)}")
    return frozenset(Purpose(each) for each in given)


def _root_in(folder: Path, name: str) -> x509.Certificate:
    if _NAME.fullmatch(name) is None:
        raise _WrongKey("certificate", "certificate is the name of a file in this folder")
    try:
        found = x509.load_pem_x509_certificates((folder / name).read_bytes())
    except (OSError, ValueError) as exc:
        raise _WrongKey("certificate", f"{name} cannot be read: {exc}"[:200]) from exc
    if len(found) != 1:
        raise _WrongKey("certificate", f"{name} holds {len(found)} certificates instead of one")
    if not is_issued_by(found[0], found[0]):
        raise _WrongKey("certificate", f"{name} is not a root: it did not sign itself")
    return found[0]


def _line_of(text: str, number: int, key: str) -> int:
    """Return the line of a key in the table of this number, else that of the table's head."""
    head = -1
    head_line = 1
    for line, content in enumerate(text.splitlines(), 1):
        if _TABLE.match(content):
            head += 1
            if head == number:
                head_line = line
        elif head == number and key and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", content):
            return line
    return head_line
