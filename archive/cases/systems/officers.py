"""Pushing officers. The certificate number is there once, so an officer who is on record already can be adopted."""

from sqlalchemy.orm import Session

from archive.access.external_ids import ExternalKind, bound_id
from archive.cases.systems.push import (
    Outcome,
    Pushed,
    Pusher,
    Wish,
    bind,
    name_of,
    require_version,
    settled,
    still_free,
)
from archive.cases.systems.reading import facts_of
from archive.kernel.ids import OfficerId
from archive.organisation.officers import (
    CertificateTaken,
    OfficerFacts,
    change_officer,
    officer_by_certificate,
    write_officer,
)

_KIND = ExternalKind.OFFICER


def push_officer(pusher: Pusher, external_id: str, facts: OfficerFacts, wish: Wish) -> Pushed:
    """Create or update an officer by the external id. Idempotent.

    Raises: CertificateTaken when the number is another officer's (which `adopt` settles where that one has no name in
        this system), VersionMismatch, InvalidInput.
    """

    def work(tx: Session) -> Pushed:
        found = bound_id(tx, pusher.integration_id, _KIND, external_id, locked=True)
        other = officer_by_certificate(tx, facts.certificate_number)
        if found is not None:
            officer_id = OfficerId(found)
            require_version(wish, facts_of(tx, pusher.vault, pusher.integration_id, _KIND, officer_id))
            if other is not None and other != officer_id:
                raise CertificateTaken(officer_id=other, **name_of(tx, pusher, _KIND, other))
            is_changed = change_officer(tx, officer_id, facts, by=pusher.by, at=pusher.at)
            outcome = Outcome.CHANGED if is_changed else Outcome.UNCHANGED
        else:
            require_version(wish, None)
            outcome, officer_id = _take(tx, pusher, external_id, facts, wish, other)
            bind(tx, pusher, _KIND, external_id, officer_id)
        return Pushed(outcome, officer_id, facts_of(tx, pusher.vault, pusher.integration_id, _KIND, officer_id))

    return settled(pusher, work)


def _take(
    tx: Session, pusher: Pusher, external_id: str, facts: OfficerFacts, wish: Wish, other: OfficerId | None
) -> tuple[Outcome, OfficerId]:
    if other is None:
        with still_free(CertificateTaken):
            return Outcome.CREATED, write_officer(tx, facts, by=pusher.by, at=pusher.at)
    name = name_of(tx, pusher, _KIND, other, asking=external_id)
    if name or not wish.adopt:
        raise CertificateTaken(officer_id=other, **name, **({} if name else {"adopt": "adopt=true"}))
    change_officer(tx, other, facts, by=pusher.by, at=pusher.at)
    return Outcome.ADOPTED, other
