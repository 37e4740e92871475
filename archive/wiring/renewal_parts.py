"""Putting together what renews signatures, timestamps and keys, and what tells what falls due."""

from collections.abc import Sequence
from datetime import timedelta

from archive.db.database import Database
from archive.documents.long_term import LongTerm
from archive.kernel.ids import ObjectId
from archive.ledger.anchors import Anchors, standing
from archive.ledger.policy import WitnessPolicy
from archive.ledger.proofs import head
from archive.ledger.trustfile import TrustFile
from archive.ocfl.root import OcflRoot
from archive.ports.clock import Clock
from archive.settings import Settings
from retention.renewals.faults import forget_fault, note_fault
from retention.renewals.job import EvidenceRenewals
from retention.renewals.listing import RenewalListing
from retention.renewals.objects import ObjectRenewals
from retention.renewals.terms import Aging
from signing.authority import EmbeddedAuthority
from signing.pades import Token


def evidence_renewals(
    settings: Settings,
    database: Database,
    objects: OcflRoot,
    authority: EmbeddedAuthority,
    token: Token,
    long_term: LongTerm,
    clock: Clock,
) -> EvidenceRenewals:
    """Return the job that renews what will age."""
    made = ObjectRenewals(
        database,
        objects,
        clock,
        token,
        authority.root_path.read_bytes,  # as it is then: it may have been extended
        timedelta(days=settings.renew_before_days),
    )
    return EvidenceRenewals(made, long_term, authority)


def record_told(database: Database, clock: Clock, object_id: ObjectId, code: str | None) -> None:
    """Write down what came of renewing a record: None, or the code of why not."""
    if code is None:
        forget_fault(database, Aging.RECORD, str(object_id))
    else:
        note_fault(database, Aging.RECORD, str(object_id), code, at=clock.now())


def renewal_listing(
    settings: Settings, evidence: EvidenceRenewals, anchors: Anchors, trust: TrustFile, policy: WitnessPolicy
) -> RenewalListing:
    """Return what tells what ages, the keys without an end too."""

    def unending() -> Sequence[tuple[Aging, str]]:
        keys = [(Aging.LOG_KEY, f"{key.name} {key.key_id.hex()}") for key in (*trust.logs, *trust.receipts)]
        return [*keys, *((Aging.WITNESS_KEY, witness.name) for witness in policy.witnesses)]

    report = settings.home.absolute() / "run" / "anchors.json"
    return RenewalListing(
        evidence.objects,
        lambda tx: standing(anchors.folder, log_size=0 if (newest := head(tx)) is None else newest.size, report=report),
        unending,
        evidence.objects.longest,
    )
