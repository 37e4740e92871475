"""The archive's own keys: which are in use since when, and new ones before they end.

Only the root is left to the operator (`liuhen certificates extend-root`): whoever pinned it must get the new one.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.db.base import insert_row
from archive.db.database import Database
from archive.kernel.instants import Instant, format_instant
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry
from archive.ports.clock import Clock
from retention.renewals.models import OwnCertificate
from retention.renewals.terms import OWN_KINDS, lead_of
from signing.authority import EmbeddedAuthority
from signing.tsa import EmbeddedTsa


def renew_keys(
    database: Database, authority: EmbeddedAuthority, clock: Clock, *, longest: timedelta, by: Actor
) -> Sequence[str]:
    """Put new keys of manifests and of the authority of time in place where that is due; return which kinds are new.

    What is in use is written down with its log entry where it was not. Idempotent.
    Raises: AuthorityBroken, StorageFull, KeyMissing, KeyExposed, KeyUnreadable.
    """
    now = clock.now()
    present = EmbeddedAuthority.load(authority.directory, passphrase=authority.passphrase)
    note_certificates(database, certificates_of(present, clock), by=by, at=now)
    ends, begins = (
        present.manifest_certificate.not_valid_after_utc,
        present.manifest_certificate.not_valid_before_utc,
    )
    present.renew_manifest_if_due(now, before=lead_of(ends - begins, longest))
    renewed = EmbeddedAuthority.load(authority.directory, passphrase=authority.passphrase)
    return note_certificates(database, certificates_of(renewed, clock), by=by, at=now)


def extend_root(database: Database, authority: EmbeddedAuthority, clock: Clock, *, by: Actor) -> EmbeddedAuthority:
    """Have the root last 20 more years, and write that down; return the authority with it.

    The trust file is renewed by the next start of the sequencer, or by who calls this.
    Raises: RootLasts; as `renew_keys`.
    """
    extended = authority.extend_root(clock.now())
    note_certificates(database, certificates_of(extended, clock), by=by, at=clock.now())
    return extended


def certificates_of(authority: EmbeddedAuthority, clock: Clock) -> Mapping[str, x509.Certificate]:
    """Return the certificates that are in use now, by kind; that of the authority of time is renewed where it is due.

    Raises: as `EmbeddedTsa.prepare`.
    """
    found = (authority.root, authority.manifest_certificate, EmbeddedTsa(authority, clock).prepare())
    return dict(zip(OWN_KINDS, found, strict=True))


def note_certificates(
    database: Database, found: Mapping[str, x509.Certificate], *, by: Actor, at: Instant
) -> Sequence[str]:
    """Write down the certificates that were not known, each with its log entry; return of which kinds they are.

    The first of a kind was in use from its beginning.
    """
    fresh = []
    with database.begin() as tx:
        for kind, certificate in found.items():
            der = certificate.public_bytes(Encoding.DER)
            sha256 = hashlib.sha256(der).hexdigest()
            if tx.get(OwnCertificate, sha256) is not None:
                continue
            before = newest_of(tx, kind)
            since = certificate.not_valid_before_utc if before is None else at
            fresh.append(kind)
            facts = {
                "kind": kind,
                "sha256": sha256,
                "used_since": format_instant(since),
                "not_before": format_instant(certificate.not_valid_before_utc),
                "not_after": format_instant(certificate.not_valid_after_utc),
                "certificate": base64.b64encode(der).decode(),
                "before": None if before is None else before.sha256,
            }
            entry_id = append_entry(tx, NewEntry(EntryType.ADMIN_AUTHORITY_RENEWED, by, detail=facts), at=at)
            insert_row(
                tx,
                OwnCertificate,
                sha256=sha256,
                kind=kind,
                certificate=der,
                not_before=certificate.not_valid_before_utc,
                not_after=certificate.not_valid_after_utc,
                used_since=since,
                entry_id=entry_id,
            )
    return fresh


def newest_of(tx: Session, kind: str) -> OwnCertificate | None:
    """Return the certificate of a kind that is in use now, as far as it is known."""
    return next(iter(history_of(tx, kind)[-1:]), None)


def history_of(tx: Session, kind: str) -> Sequence[OwnCertificate]:
    """Return all certificates of a kind, the first that was used first."""
    query = select(OwnCertificate).where(OwnCertificate.kind == kind)
    return tx.scalars(query.order_by(OwnCertificate.used_since, OwnCertificate.not_after)).all()
