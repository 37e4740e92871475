"""Putting together what decides about lists of what may go, carries them out, and certifies that."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Connection
from sqlalchemy.orm import Session

from archive.calendar.days import local_day
from archive.db.database import Database
from archive.documents.long_term import LongTerm
from archive.documents.typesetting import Typesetter
from archive.evidence.grouping import RecordingRules
from archive.fsck.dispositions import check_dispositions
from archive.fsck.holds import check_holds
from archive.fsck.plans import check_plans
from archive.fsck.schedules import check_schedules
from archive.kernel.findings import Finding
from archive.kernel.instants import Instant
from archive.ledger.journal import Journal
from archive.ocfl.root import OcflRoot
from archive.packages.jobs import Packages
from archive.ports.clock import Clock
from archive.ports.keys import ManifestSigner
from archive.settings import Settings
from archive.wiring.stores import Stores
from retention.copies import Copies
from retention.disposition.carrying import Carrier
from retention.disposition.certifying import Certifier
from retention.disposition.destroying import Destroyer
from retention.disposition.jobs import DispositionJobs
from retention.disposition.remains import DisposalStores
from retention.disposition.rules import DisposalRules
from retention.disposition.vouching import vouching_key
from retention.holding.stops import stops_of
from retention.planning.facts import facts_of
from retention.schedules.algebra import Kept, kept_by
from retention.schedules.register import rules_in_force
from signing.authority import EmbeddedAuthority
from signing.pades import PadesSigner
from signing.typefaces import Typeface

AUDITS = (check_dispositions, check_holds, check_plans, check_schedules)
"""Checks of `liuhen fsck` that must hold before anything is destroyed: what is kept, and what was decided."""


def disposal_rules(settings: Settings, copies: Copies, secret: bytes) -> DisposalRules:
    """Return what lists are made and carried out by; `secret` is that of sign-ins."""
    period = timedelta(days=settings.disposal_recovery_days)
    return DisposalRules(stops_of, period, vouching_key(secret), copies.place, _kept_now)


def _kept_now(tx: Session, object_ids: Sequence[UUID], at: Instant) -> Mapping[UUID, Kept]:
    rules = rules_in_force(tx, local_day(at)).rules
    return {object_id: kept_by(facts, rules) for object_id, facts in facts_of(tx, object_ids).items()}


def dispositions(
    settings: Settings,
    database: Database,
    clock: Clock,
    *,
    rules: DisposalRules,
    stores: Stores,
    objects: OcflRoot,
    copies: Copies,
    journal: Journal,
    packages: Packages,
    long_term: LongTerm,
    authority: EmbeddedAuthority,
    signer: ManifestSigner,
    typeface: Typeface,
) -> DispositionJobs:
    """Return the job that carries lists out and certifies them. Raises: RecordingRulesInvalid."""
    destroyer = Destroyer(
        database=database,
        clock=clock,
        journal=journal,
        stores=DisposalStores(objects, copies, stores.renditions, stores.drafts),
        rules=rules,
        recording_rules=RecordingRules.load(settings.home / "recording-rules.toml"),
        drop_packages=lambda tx, object_id, at: packages.drop_holding(tx, object_id, at=at),
    )
    certificate, token = authority.manifest_certificate, long_term.token
    certifier = Certifier(
        database=database,
        objects=objects,
        setter=Typesetter("destruction-certificate"),
        pdf_signer=PadesSigner(authority.manifest_key(), certificate, clock, token, typeface),
        signer=signer,
        token=token,
        validation=lambda: long_term.validation([certificate.public_bytes(Encoding.DER)]),
        organisation=settings.organisation,
        clock=clock,
    )
    return DispositionJobs(database, clock, Carrier(database, clock, destroyer, _audit), certifier)


def _audit(connection: Connection) -> Iterator[Finding]:
    for check in AUDITS:
        yield from check(connection)
