"""How long and for whom judgements are kept, by whichever process is asked."""

from uuid import uuid4

import pytest

from archive.kernel.ids import AccountId
from archive.web import judgements
from archive.web.judgements import JudgementNotFound, Judgements
from tests.support.archive_home import ArchiveHome
from tests.unit.web.test_judgements import judgement

OURS, OTHER = AccountId(uuid4()), AccountId(uuid4())


def test_a_judgement_is_kept_for_whoever_asked_and_for_an_hour(
    home: ArchiveHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Judgements(home.database, home.clock)
    one = kept.keep(OURS, judgement())
    assert kept.of(one, OURS).judgement.file["name"] == "a.pdf"
    for asked in ((one, OTHER), (kept.keep(OTHER, judgement()), OURS)):
        with pytest.raises(JudgementNotFound):
            kept.of(*asked)
    monkeypatch.setattr(judgements, "_KEPT_S", -1)
    alone = Judgements(home.database, home.clock)
    ended = alone.keep(OURS, judgement())
    with pytest.raises(JudgementNotFound):
        alone.of(ended, OURS)


def test_the_oldest_go_first(home: ArchiveHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judgements, "_MOST", 3)
    kept = Judgements(home.database, home.clock)
    made = [kept.keep(OURS, judgement()) for _ in range(5)]
    for each in made[:2]:
        with pytest.raises(JudgementNotFound):
            kept.of(each, OURS)
    assert all(kept.of(each, OURS) for each in made[2:])
    monkeypatch.setattr(judgements, "_MOST_BYTES", 1)
    last = kept.keep(OURS, judgement())
    assert kept.of(last, OURS)
    with pytest.raises(JudgementNotFound):
        kept.of(made[-1], OURS)
