"""People are told of reviews: once before the day, once after it."""

from datetime import timedelta

from archive.access.callers import Caller
from archive.access.policy import Role
from archive.jobs.queue import PROMPT
from archive.ledger.entries import OPERATOR
from archive.notify.notices import notices
from archive.worker.loop import Worker
from retention.holding.holds import review_hold
from retention.holding.sweeping import tell_reviews
from retention.holding.terms import HoldScope
from tests.support.archive_home import ArchiveHome
from tests.support.holding_scene import HoldingScene


def told(home: ArchiveHome, person: Caller) -> list[str]:
    with home.database.read() as tx:
        return [row.kind for row in notices(tx, person.account_id).rows]


def tell(scene: HoldingScene) -> int:
    return tell_reviews(scene.home.database, scene.home.services.holding.rules, at=scene.now)


def test_each_is_told_once_before_and_once_after(scene: HoldingScene, home: ArchiveHome) -> None:
    placer, colleague = scene.person("placer"), scene.person("colleague", Role.UNIT_HEAD)
    handler = scene.person("handler", Role.CASE_HANDLER)
    hold_id = scene.hold(HoldScope.OBJECT, scene.item(), by=placer, review_in=20)
    assert tell(scene) == 0
    home.clock.step(timedelta(days=7))
    assert [tell(scene), tell(scene)] == [1, 0]
    assert (told(home, placer), told(home, colleague)) == (["hold.review_due"], [])
    home.clock.step(timedelta(days=14))
    assert [tell(scene), tell(scene)] == [1, 0]
    assert told(home, placer) == ["hold.review_overdue", "hold.review_due"]
    assert (told(home, colleague), told(home, handler)) == (["hold.review_overdue"], [])
    review_hold(
        home.database, home.services.holding.rules, hold_id, review_on=scene.day(3), reason="x", by=OPERATOR,
        at=scene.now,
    )  # fmt: skip
    assert tell(scene) == 1
    assert told(home, placer)[0] == "hold.review_due"


def test_nobody_is_told_of_what_was_released(scene: HoldingScene, home: ArchiveHome) -> None:
    placer = scene.person("placer")
    hold_id = scene.hold(HoldScope.OBJECT, scene.item(), by=placer, review_in=1)
    scene.release(hold_id, by=OPERATOR)
    home.clock.step(timedelta(days=3))
    assert tell(scene) == 0
    assert told(home, placer) == []


def test_the_nearest_are_told_where_a_system_has_placed_it(scene: HoldingScene, home: ArchiveHome) -> None:
    keeper = scene.person("keeper")
    scene.hold(HoldScope.OBJECT, scene.item(), review_in=1)
    assert tell(scene) == 1
    assert told(home, keeper) == ["hold.review_due"]


def test_the_job_tells_and_comes_back(scene: HoldingScene, home: ArchiveHome) -> None:
    keeper = scene.person("keeper")
    scene.hold(HoldScope.OBJECT, scene.item(), review_in=1)
    home.services.holding.jobs.begin()
    worker = Worker(home.database, handlers=home.services.holding.jobs.handlers, clock=home.clock, lease_s=60)
    while worker.run_once([PROMPT]):
        pass
    assert told(home, keeper) == ["hold.review_due"]
    assert home.rows("SELECT state FROM job WHERE key = 'watch_holds'") == [("ready",)]
