"""Judgements that somebody asked for, kept for an hour, for whoever asked: the files are gone by then.

They stand in the database, since the next request may come to another process.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from fastapi import Request
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from archive.db.base import insert_row
from archive.db.database import Database
from archive.kernel.errors import NotFound
from archive.kernel.ids import AccountId, JudgementId, new_uuid7
from archive.kernel.instants import Instant
from archive.ports.clock import Clock
from ingest.judgements import Judgement
from ingest.models import KeptJudgement

_KEPT_S: Final = 3600
_MOST_BYTES: Final = 64 * 1024 * 1024
_MOST: Final = 256


class JudgementNotFound(NotFound):
    """There is no such judgement any more, or it is not yours."""

    code = "validation.not_found"


@dataclass(frozen=True, slots=True)
class Kept:
    """A judgement, and the report on it once one was made."""

    judgement: Judgement
    report: bytes | None = None


class Judgements:
    """Keeps judgements within bounds: the oldest go first."""

    def __init__(self, database: Database, clock: Clock) -> None:
        """Keep them in this database."""
        self._database, self._clock = database, clock

    def keep(self, account_id: AccountId, judgement: Judgement) -> JudgementId:
        """Keep a judgement for an account; return the id to ask for it by."""
        at, data, made = self._clock.now(), judgement.to_bytes(), JudgementId(new_uuid7())
        row = {"id": made, "account_id": account_id, "made_at": at, "size_bytes": len(data), "judgement": data}
        with self._database.begin() as tx:
            insert_row(tx, KeptJudgement, **row, report=None)
            too_old = _too_old(tx, made, at)
            if too_old:
                tx.execute(delete(KeptJudgement).where(KeptJudgement.id.in_(too_old)))
        return made

    def of(self, judgement_id: JudgementId, account_id: AccountId) -> Kept:
        """Return a judgement that this account asked for. Raises: JudgementNotFound."""
        query = select(KeptJudgement.judgement, KeptJudgement.report).where(
            KeptJudgement.id == judgement_id,
            KeptJudgement.account_id == account_id,
            KeptJudgement.made_at > self._clock.now() - timedelta(seconds=_KEPT_S),
        )
        with self._database.read() as tx:
            found = tx.execute(query).one_or_none()
        if found is None:
            raise JudgementNotFound
        return Kept(Judgement.from_bytes(found.judgement), found.report)

    def tidy(self) -> None:
        """Forget those that are over."""
        ended = KeptJudgement.made_at <= self._clock.now() - timedelta(seconds=_KEPT_S)
        with self._database.read() as tx:
            if tx.scalar(select(KeptJudgement.id).where(ended).limit(1)) is None:
                return
        with self._database.begin() as tx:
            tx.execute(delete(KeptJudgement).where(ended))


def _too_old(tx: Session, newest: JudgementId, at: Instant) -> list[UUID]:
    """Return which are over, or more than are kept; never the newest."""
    rows = tx.execute(
        select(KeptJudgement.id, KeptJudgement.made_at, KeptJudgement.size_bytes).order_by(
            KeptJudgement.made_at.desc(), KeptJudgement.id.desc()
        )
    ).all()
    over, total = [], 0
    for number, row in enumerate(rows):
        total += row.size_bytes
        is_over = number >= _MOST or total > _MOST_BYTES or row.made_at <= at - timedelta(seconds=_KEPT_S)
        if is_over and row.id != newest:
            over.append(row.id)
    return over


def judgements_of(request: Request) -> Judgements:
    """Return the judgements that this application keeps."""
    found: Judgements = request.app.state.judgements
    return found
