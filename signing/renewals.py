"""Keeping a signature beyond its certificate: timestamps over it and all that it lies beside, each over the one before.

A renewal is a record and a token. The record is canonical JSON: the id of the object, the number of the renewal, and
the SHA-512 of every file of the object as it was then, the signature and the renewals before among them. The token is
over the SHA-512 of the record. So the newest token says since when all of it exists, as long as its certificate lasts;
and the first says since when the signature exists, which is judged as of then.
Source: docs/formats/renewals.md; after RFC 4998 (evidence records), in JSON.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from archive.kernel.canonical import canonical_json, parse_canonical
from archive.kernel.errors import InvalidInput
from archive.kernel.findings import Finding, Report, indeterminate, invalid, valid
from archive.kernel.instants import Instant, format_instant
from signing.cades import check_detached
from signing.chains import TrustRoots
from signing.stamps import Stamp, TokenRefused, read_stamp

MANIFEST: Final = "metadata/manifest.json"
SIGNATURE: Final = "metadata/manifest.json.p7s"
FOLDER: Final = "renewals"


@dataclass(frozen=True, slots=True)
class Renewed:
    """One renewal as its two files hold it."""

    number: int
    record: bytes
    token: bytes


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed manifest with its renewals, the oldest first."""

    object_id: str
    manifest: bytes
    signature: bytes
    renewals: Sequence[Renewed] = ()


def record_path(number: int) -> str:
    """Return where the record of a renewal lies in its object."""
    return f"{FOLDER}/{number:03d}.json"


def token_path(number: int) -> str:
    """Return where the token of a renewal lies in its object."""
    return f"{FOLDER}/{number:03d}.tsr"


def record_of(object_id: str, number: int, files: Mapping[str, str]) -> bytes:
    """Return the record of a renewal over files, each with its SHA-512 in hexadecimal."""
    return canonical_json({"v": 1, "id": object_id, "number": number, "files": dict(files)})


def imprint_of(record: bytes) -> bytes:
    """Return what the token of a renewal is over."""
    return hashlib.sha512(record).digest()


def judge_signed(signed: Signed, *, trust_roots_pem: bytes, at: Instant, where: str = "") -> Report:
    """Judge a signed manifest as of `at`, by its renewals where there are any.

    From the newest renewal to the oldest: 1. its record names this object, its number, and manifest, signature and the
    renewals before by their digests; 2. its token is over the record, by an authority under one of the roots; 3. whose
    certificate still held when the next renewal was made, or holds now for the newest. 4. Then the signature is judged
    as of the time of the oldest token, else as of `at`. Valid, invalid and indeterminate as of `check_detached`.
    Raises: BadTrustRoots.
    """
    roots = TrustRoots.from_pem(trust_roots_pem)
    proven, findings = at, list[Finding]()
    for place in range(len(signed.renewals) - 1, -1, -1):
        renewal, earlier = signed.renewals[place], signed.renewals[:place]
        found, stamp = _judge_renewal(signed, renewal, earlier, roots, proven=proven, where=where)
        findings.append(found)
        if stamp is None:
            return Report(tuple(findings))
        proven = stamp.at
    return Report(
        (
            *check_detached(
                signed.manifest, signed.signature, trust_roots_pem=trust_roots_pem, at=proven, where=where
            ).findings,
            *findings,
        )
    )


def _judge_renewal(
    signed: Signed,
    renewal: Renewed,
    earlier: Sequence[Renewed],
    roots: TrustRoots,
    *,
    proven: Instant,
    where: str,
) -> tuple[Finding, Stamp | None]:
    """Return what is to be said of one renewal, and its stamp where what is before it can be judged by it."""
    told = f"Renewal {renewal.number}"
    difference = _difference(signed, renewal, earlier)
    if difference:
        return invalid("renewal.differs", f"{told} names another {difference}", where), None
    try:
        stamp = read_stamp(renewal.token, imprint_of(renewal.record))
    except TokenRefused as exc:
        return invalid("renewal.token_refused", f"{told}: {exc.message}", where), None
    if stamp.at > proven:
        return indeterminate("renewal.time_ahead", f"{told} is later than the time that is proven", where), None
    if not roots.reach(stamp.certificate, at=stamp.at):
        return indeterminate(
            "renewal.untrusted", f"The authority of {told.lower()} leads to no given root", where
        ), None
    if not roots.reach(stamp.certificate, at=proven):
        late = f"The certificate of {told.lower()} had ended before anything else vouched for it"
        return indeterminate("renewal.ended", late, where), None
    return valid("renewal.valid", f"{told} of {format_instant(stamp.at)} holds", where), stamp


def _difference(signed: Signed, renewal: Renewed, earlier: Sequence[Renewed]) -> str:
    """Return in what a record differs from what it is over; empty where in nothing."""
    try:
        told: Any = parse_canonical(renewal.record)
        files = dict(told["files"])
        if (told["v"], told["id"], told["number"]) != (1, signed.object_id, len(earlier) + 1):
            return "object or number"
    except (InvalidInput, KeyError, TypeError, ValueError):
        return "form"
    wanted = {MANIFEST: signed.manifest, SIGNATURE: signed.signature}
    for each in earlier:
        wanted |= {record_path(each.number): each.record, token_path(each.number): each.token}
    if any(files.get(path) != hashlib.sha512(data).hexdigest() for path, data in wanted.items()):
        return "file"
    return "" if renewal.number == len(earlier) + 1 else "number"
