"""Notices to people: written in the transaction of what they tell of, read in the page, sent by mail where wanted."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.orm import Session

from archive.db.base import insert_rows
from archive.db.database import Database
from archive.jobs.queue import DELIVERY, add_job
from archive.kernel.errors import InvalidInput, NotFound
from archive.kernel.ids import AccountId, NoticeId, new_uuid7, parse_uuid
from archive.kernel.instants import Instant, format_instant, parse_instant
from archive.notify.models import MailAddress, Notice, NoticeChoice

SEND_NOTICE: Final = "send_notice"
MOST_COUNTED: Final = 99
"""More unread notices than this are not counted."""
_CURSOR: Final = "notices"


class NoticeKind(StrEnum):
    """What people are told of. Each has its texts in `archive/notify/texts`."""

    COMPLAINT_REGISTERED = "complaint.registered"
    COMPLAINT_ASSIGNED = "complaint.assigned"
    COMPLAINT_DUE = "complaint.due"
    COMPLAINT_OVERDUE = "complaint.overdue"
    RETRIEVAL_ASKED = "retrieval.asked"
    RETRIEVAL_APPROVED = "retrieval.approved"
    RETRIEVAL_REFUSED = "retrieval.refused"
    RETRIEVAL_LAPSED = "retrieval.lapsed"
    RETRIEVAL_ENDING = "retrieval.ending"
    RETRIEVAL_ENDED = "retrieval.ended"
    RETRIEVAL_EMERGENCY = "retrieval.emergency"
    RETRIEVAL_UNUSUAL = "retrieval.unusual"
    CERTIFICATE_ENDING = "certificate.ending"
    HOLD_REVIEW_DUE = "hold.review_due"
    HOLD_REVIEW_OVERDUE = "hold.review_overdue"
    FIXITY_DAMAGED = "fixity.damaged"
    FIXITY_UNREPAIRED = "fixity.unrepaired"
    RECORDING_WISHED = "recording.wished"
    RECORDING_ARRIVED = "recording.arrived"
    DISPOSAL_WAITING = "disposal.waiting"
    DISPOSAL_ENDED = "disposal.ended"


PARAMS: Final[Mapping[NoticeKind, frozenset[str]]] = {
    NoticeKind.COMPLAINT_REGISTERED: frozenset({"number"}),
    NoticeKind.COMPLAINT_ASSIGNED: frozenset({"number"}),
    NoticeKind.COMPLAINT_DUE: frozenset({"number", "day"}),
    NoticeKind.COMPLAINT_OVERDUE: frozenset({"number", "day"}),
    NoticeKind.RETRIEVAL_ASKED: frozenset({"name"}),
    NoticeKind.RETRIEVAL_APPROVED: frozenset({"reference"}),
    NoticeKind.RETRIEVAL_REFUSED: frozenset({"reference"}),
    NoticeKind.RETRIEVAL_LAPSED: frozenset({"reference"}),
    NoticeKind.RETRIEVAL_ENDING: frozenset({"reference", "day"}),
    NoticeKind.RETRIEVAL_ENDED: frozenset({"reference"}),
    NoticeKind.RETRIEVAL_EMERGENCY: frozenset({"name"}),
    NoticeKind.RETRIEVAL_UNUSUAL: frozenset({"name"}),
    NoticeKind.CERTIFICATE_ENDING: frozenset({"name", "day"}),
    NoticeKind.HOLD_REVIEW_DUE: frozenset({"number", "day"}),
    NoticeKind.HOLD_REVIEW_OVERDUE: frozenset({"number", "day"}),
    NoticeKind.FIXITY_DAMAGED: frozenset({"count"}),
    NoticeKind.FIXITY_UNREPAIRED: frozenset({"count"}),
    NoticeKind.RECORDING_WISHED: frozenset({"name", "recording"}),
    NoticeKind.RECORDING_ARRIVED: frozenset({"recording"}),
    NoticeKind.DISPOSAL_WAITING: frozenset({"number", "day"}),
    NoticeKind.DISPOSAL_ENDED: frozenset({"number"}),
}
"""What stands in the text of each kind."""


class NoticeNotFound(NotFound):
    """There is no such notice, or it is not yours."""

    code = "notices.not_found"


@dataclass(frozen=True, slots=True)
class NoticePage:
    """Notices and the cursor of the next ones, None at the end."""

    rows: Sequence[Notice]
    next_cursor: str | None


def notify(
    tx: Session, account_ids: Collection[UUID], kind: NoticeKind, *, params: Mapping[str, str], link: str, at: Instant
) -> None:
    """Tell these people of something, in the caller's transaction; by mail too who has chosen that.

    `params` are those of `PARAMS`, and hold nothing that one of the readers may not see. `link` is an address of a page
    of ours. Raises: ValueError for other parameters or another address.
    """
    if set(params) != PARAMS[kind] or not link.startswith("/") or link.startswith("//"):
        raise ValueError(f"{kind} has other parameters or another link")
    readers = sorted(set(account_ids))
    if not readers:
        return
    mailed = set(
        tx.scalars(
            select(NoticeChoice.account_id)
            .join(MailAddress, MailAddress.account_id == NoticeChoice.account_id)
            .where(
                NoticeChoice.account_id.in_(readers),
                NoticeChoice.kind == kind.value,
                MailAddress.verified_at.is_not(None),
            )
        )
    )
    rows = [
        {
            "id": NoticeId(new_uuid7()),
            "account_id": reader,
            "kind": kind.value,
            "params": dict(params),
            "link": link,
            "made_at": at,
            "read_at": None,
            "mail_state": "waiting" if reader in mailed else "none",
            "mail_attempts": 0,
        }
        for reader in readers
    ]
    insert_rows(tx, Notice, rows)
    for row in rows:
        if row["mail_state"] == "waiting":
            args = {"notice_id": str(row["id"])}
            add_job(tx, SEND_NOTICE, args, at=at, queue=DELIVERY, key=f"notice:{row['id']}")


def unread_count(tx: Session, account_id: AccountId) -> int:
    """Return how many notices a person has not read, counted up to one more than `MOST_COUNTED`."""
    unread = (
        select(Notice.id)
        .where(Notice.account_id == account_id, Notice.read_at.is_(None))
        .limit(MOST_COUNTED + 1)
        .subquery()
    )
    return tx.scalar(select(func.count()).select_from(unread)) or 0


def notices(tx: Session, account_id: AccountId, *, cursor: str | None = None, limit: int = 50) -> NoticePage:
    """Return a person's notices, the newest first. Raises: InvalidInput for another list's cursor."""
    query = (
        select(Notice)
        .where(Notice.account_id == account_id)
        .order_by(Notice.made_at.desc(), Notice.id.desc())
        .limit(limit + 1)
    )
    if cursor is not None:
        parts = cursor.split("~")
        if len(parts) != 3 or parts[0] != _CURSOR:
            raise InvalidInput("The cursor does not belong to this list")
        at, row_id = parse_instant(parts[1]), parse_uuid(parts[2])
        query = query.where(or_(Notice.made_at < at, and_(Notice.made_at == at, Notice.id < row_id)))
    rows = tx.scalars(query).all()
    last = rows[limit - 1] if len(rows) > limit else None
    return NoticePage(
        rows[:limit], None if last is None else f"{_CURSOR}~{format_instant(last.made_at)}~{last.id}"
    )  # fmt: skip


def mark_read(database: Database, account_id: AccountId, notice_id: NoticeId, *, at: Instant) -> str:
    """Mark one of a person's notices as read, and return where it leads. Idempotent. Raises: NoticeNotFound."""
    with database.begin() as tx:
        ours = (Notice.id == notice_id, Notice.account_id == account_id)
        link = tx.scalar(select(Notice.link).where(*ours))
        if link is None:
            raise NoticeNotFound
        tx.execute(update(Notice).where(*ours, Notice.read_at.is_(None)).values(read_at=at))
    return link


def mark_all_read(database: Database, account_id: AccountId, *, at: Instant) -> None:
    """Mark all of a person's notices as read that are there by now. Idempotent."""
    with database.begin() as tx:
        tx.execute(
            update(Notice)
            .where(Notice.account_id == account_id, Notice.read_at.is_(None), Notice.made_at <= at)
            .values(read_at=at)
        )
