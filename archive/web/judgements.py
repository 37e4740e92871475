"""Judgements that somebody asked for, kept for an hour in memory, for whoever asked: the files are gone by then.

An archive has one web process; a restart forgets, and the file is judged again.
"""

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from fastapi import Request

from archive.kernel.canonical import canonical_json
from archive.kernel.errors import NotFound
from archive.kernel.ids import AccountId, JudgementId, new_uuid7
from ingest.judgements import Judgement

_KEPT_S: Final = 3600
_MOST_BYTES: Final = 64 * 1024 * 1024
_MOST: Final = 256


class JudgementNotFound(NotFound):
    """There is no such judgement any more, or it is not yours."""

    code = "validation.not_found"


@dataclass(slots=True)
class Kept:
    """A judgement, whose it is, and the report on it once one was made.

    Units: bytes; seconds of the process's clock.
    """

    account_id: AccountId
    judgement: Judgement
    size_bytes: int
    until_s: float
    report: bytes | None = None


class Judgements:
    """Keeps judgements within bounds: the oldest go first. Usable from several threads."""

    def __init__(self) -> None:
        """Start with none."""
        self._guard = threading.Lock()
        self._kept: OrderedDict[JudgementId, Kept] = OrderedDict()

    def keep(self, account_id: AccountId, judgement: Judgement) -> JudgementId:
        """Keep a judgement for an account; return the id to ask for it by."""
        now, size = time.monotonic(), len(canonical_json(judgement.as_json()))
        made = JudgementId(new_uuid7())
        with self._guard:
            self._kept[made] = Kept(account_id, judgement, size, now + _KEPT_S)
            self._tidy(now)
        return made

    def of(self, judgement_id: JudgementId, account_id: AccountId) -> Kept:
        """Return a judgement that this account asked for. Raises: JudgementNotFound."""
        with self._guard:
            self._tidy(time.monotonic())
            found = self._kept.get(judgement_id)
        if found is None or found.account_id != account_id:
            raise JudgementNotFound
        return found

    def _tidy(self, now: float) -> None:
        while self._kept:
            oldest = next(iter(self._kept.values()))
            total = sum(each.size_bytes for each in self._kept.values())
            is_over = len(self._kept) > 1 and (len(self._kept) > _MOST or total > _MOST_BYTES)
            if oldest.until_s > now and not is_over:
                return
            self._kept.popitem(last=False)


def judgements_of(request: Request) -> Judgements:
    """Return the judgements that this application keeps."""
    found: Judgements = request.app.state.judgements
    return found
