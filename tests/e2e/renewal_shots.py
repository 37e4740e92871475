"""Pictures of what falls due and is renewed, as the house is when its first keys are."""

from datetime import timedelta

from archive.access.policy import Role
from archive.ledger.entries import OPERATOR
from retention.renewals.faults import note_fault
from retention.renewals.terms import Aging
from tests.e2e.shot import Place, Shot
from tests.support.seed import Bureau


def _address(bureau: Bureau) -> str:
    """Have two signatures renewed, and one that could not be."""
    services = bureau.services
    services.evidence.renew_due()
    services.anchor_rounds.look()
    with services.database.read() as tx:
        is_done = bool([each for each in services.renewal_listing.done(tx, bureau.now() - timedelta(days=30))
                        if each.kind is Aging.MANIFEST])  # fmt: skip
    if not is_done:
        for name in ("video", "letter"):
            services.evidence.objects.renew(bureau.items[name], by=OPERATOR)
        note_fault(services.database, Aging.MANIFEST, str(bureau.items["audio"]), "renewal.ended", at=bureau.now())
    return "/renewals?years=25"


_renewals = Place("/renewals", _address)

RENEWAL_SHOTS = (
    Shot("renewals", Role.AUDITOR, _renewals),
    Shot("renewals-390", Role.RECORDS_MANAGER, _renewals, width=390, languages=("zh",)),
)
