"""Acts with a certificate to which a second person must agree: asked for by one, done or refused by another."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from archive.db.base import insert_row
from archive.db.database import Database, unique_or
from archive.kernel.errors import Conflict, Forbidden, InvalidInput, NotFound
from archive.kernel.ids import CertificateId, KeyRequestId, new_uuid7
from archive.kernel.instants import Instant, format_instant
from archive.kernel.texts import clean_text
from archive.ledger.entries import Actor, EntryType, Target
from archive.ports.revocations import RevocationReason
from archive.trust.certificates import (
    MAX_REASON_CHARACTERS,
    CertificateKnown,
    CertificateNotFound,
    NewCertificate,
    register_certificate,
    replace_certificate,
    revoke_certificate,
)
from archive.trust.events import tell_of_key
from archive.trust.models import KeyCertificate, KeyRequest
from archive.trust.rules import TrustRules
from archive.trust.terms import KeyAct, KeyPlace, KeyPurpose, KeyRequestState

_MOST_WAITING: Final = 1000


class KeyRequestNotFound(NotFound):
    """There is no such request."""

    code = "trust.request_not_found"


class KeyRequestDecided(Conflict):
    """This request was decided meanwhile."""

    code = "trust.request_decided"


class OwnKeyRequest(Forbidden):
    """Nobody agrees to the own request: a second person does."""

    code = "trust.own_request"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be done, and why: with `new` one is registered, with both one is replaced, with `of` one is revoked.

    `since` is the moment since when a revoked one must not be believed.
    """

    reason: str
    new: NewCertificate | None = None
    of: CertificateId | None = None
    revocation: RevocationReason | None = None
    since: Instant | None = None

    @property
    def act(self) -> KeyAct:
        """What it is. Raises: InvalidInput, when it is none of them."""
        given = (self.new is not None, self.of is not None, self.revocation is not None, self.since is not None)
        acts = {
            (True, False, False, False): KeyAct.REGISTER,
            (True, True, False, False): KeyAct.REPLACE,
            (False, True, True, True): KeyAct.REVOKE,
        }
        if given not in acts:
            raise InvalidInput("A certificate is registered, replaced, or revoked with a reason and since a moment")
        return acts[given]


def change_register(
    database: Database, wanted: Wanted, *, rules: TrustRules, by: Actor, at: Instant
) -> CertificateId | KeyRequestId:
    """Do an act with a certificate, or ask for it where the rules want a second person; return what came of it.

    Raises: CertificateRefused, CertificateKnown, CertificateNotFound, CertificateEnded, InvalidInput.
    """
    with unique_or(CertificateKnown), database.begin() as tx:
        purpose = _purpose(tx, wanted)
        if not rules.needs_second_person(wanted.act, purpose):
            return _do(tx, wanted, by=by, at=at)
        return _ask(tx, wanted, purpose, by=by, at=at)


def decide_key_request(
    database: Database, request_id: KeyRequestId, *, is_approved: bool, words: str, by: Actor, at: Instant
) -> None:
    """Agree to what somebody else asked for, which does it in the same transaction, or refuse it.

    Raises: KeyRequestNotFound, KeyRequestDecided, OwnKeyRequest, InvalidInput, and what the act raises.
    """
    words = clean_text(words, "reason", MAX_REASON_CHARACTERS) if words or not is_approved else ""
    with unique_or(CertificateKnown), database.begin() as tx:
        row = tx.scalar(select(KeyRequest).where(KeyRequest.id == request_id).with_for_update())
        if row is None:
            raise KeyRequestNotFound(request_id=request_id)
        if row.state != KeyRequestState.WAITING.value:
            raise KeyRequestDecided(request_id=request_id)
        if row.asked_by == by.id:
            raise OwnKeyRequest(request_id=request_id)
        state = KeyRequestState.DONE if is_approved else KeyRequestState.REFUSED
        told = {"state": state.value, "decided_by": by.id, "decided_at": at, "answer": words}
        tx.execute(update(KeyRequest).where(KeyRequest.id == request_id).values(**told))
        detail = {"state": state.value, "decided_by": str(by.id), "decided_at": format_instant(at), "answer": words}
        _tell(tx, EntryType.ADMIN_CERTIFICATE_DECIDED, request_id, detail, by=by, at=at)
        if is_approved:
            _do(tx, _wanted(row), by=by, at=at)


def waiting_key_requests(tx: Session) -> Sequence[KeyRequest]:
    """Return what waits for a second person, the oldest first."""
    return tx.scalars(
        select(KeyRequest)
        .where(KeyRequest.state == KeyRequestState.WAITING.value)
        .order_by(KeyRequest.id)
        .limit(_MOST_WAITING)
    ).all()


def _purpose(tx: Session, wanted: Wanted) -> KeyPurpose:
    if wanted.of is None:
        if wanted.new is None:
            raise InvalidInput("Nothing is asked for")
        return wanted.new.purpose
    row = tx.get(KeyCertificate, wanted.of)
    if row is None:
        raise CertificateNotFound(certificate_id=wanted.of)
    return KeyPurpose(row.purpose)


def _do(tx: Session, wanted: Wanted, *, by: Actor, at: Instant) -> CertificateId:
    match wanted:
        case Wanted(new=NewCertificate() as new, of=None):
            return register_certificate(tx, new, words=wanted.reason, by=by, at=at)
        case Wanted(new=NewCertificate() as new, of=old) if old is not None:
            return replace_certificate(tx, old, new, words=wanted.reason, by=by, at=at)
        case Wanted(of=old, revocation=reason, since=since) if old and reason and since:
            revoke_certificate(tx, old, reason=reason, words=wanted.reason, since=since, by=by, at=at)
            return old
        case _:
            raise InvalidInput("Nothing is asked for")


def _ask(tx: Session, wanted: Wanted, purpose: KeyPurpose, *, by: Actor, at: Instant) -> KeyRequestId:
    request_id, new = KeyRequestId(new_uuid7()), wanted.new
    told: dict[str, Any] = {
        "act": wanted.act.value,
        "purpose": purpose.value,
        "reason": clean_text(wanted.reason, "reason", MAX_REASON_CHARACTERS),
        "place": None if new is None else new.place.value,
        "handle": None if new is None else new.handle,
        "revocation_reason": None if wanted.revocation is None else wanted.revocation.value,
    }
    ids = {"certificate_id": wanted.of, "holder_id": None if new is None else new.holder_id}
    insert_row(
        tx,
        KeyRequest,
        id=request_id,
        certificate=None if new is None else new.certificate,
        revoked_at=wanted.since,
        state=KeyRequestState.WAITING.value,
        asked_by=by.id,
        asked_at=at,
        decided_by=None,
        decided_at=None,
        answer=None,
        **told,
        **ids,
    )
    detail = {
        **told,
        **{name: None if value is None else str(value) for name, value in ids.items()},
        "certificate": None if new is None else new.certificate.hex(),
        "revoked_at": None if wanted.since is None else format_instant(wanted.since),
        "state": KeyRequestState.WAITING.value,
    }
    _tell(tx, EntryType.ADMIN_CERTIFICATE_REQUESTED, request_id, detail, by=by, at=at)
    return request_id


def _wanted(row: KeyRequest) -> Wanted:
    new = None
    if row.certificate is not None and row.place is not None:
        new = NewCertificate(
            row.certificate, KeyPurpose(row.purpose), row.holder_id, KeyPlace(row.place), handle=row.handle or ""
        )
    return Wanted(
        reason=row.reason,
        new=new,
        of=None if row.certificate_id is None else CertificateId(row.certificate_id),
        revocation=None if row.revocation_reason is None else RevocationReason(row.revocation_reason),
        since=row.revoked_at,
    )


def _tell(
    tx: Session, kind: EntryType, request_id: KeyRequestId, detail: dict[str, Any], *, by: Actor, at: Instant
) -> None:
    tell_of_key(tx, kind, Target("key_request", request_id), detail, by=by, at=at)
