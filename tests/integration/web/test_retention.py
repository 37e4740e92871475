"""Pages of retention: every figure opens its rows, narrowed to what somebody sees; the box on an object's page."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import httpx
import pytest

from archive.access.policy import Role
from archive.cases.filing import open_case
from archive.cases.subjects import NewSubject
from archive.cases.terms import Category, SubjectKind
from archive.custody.models import PreservedObject
from archive.kernel.ids import ObjectId, new_uuid7
from archive.web.app import create_app
from retention.holding.models import HeldObject, Hold, RetentionMark
from retention.planning.models import RetentionPlan
from retention.planning.planner import RetentionPlanner
from retention.schedules.terms import Basis, Mark
from tests.integration.web.conftest import HTMX, browser, signed_in, signed_in_at, words
from tests.support import seed
from tests.support.schedule_in_force import Given, Schedules, rule
from tests.support.seed import Bureau

_MANY = 60


@dataclass(frozen=True)
class Kept:
    """A bureau with something in every state, and a browser of each role."""

    bureau: Bureau
    browsers: dict[Role, httpx.Client]
    stranger: httpx.Client
    """The records manager of another agency, which has nothing."""
    items: dict[str, ObjectId]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    folder = tmp_path_factory.mktemp("kept")
    made = seed.new_bureau(folder / "home", price_per_tb_month=Decimal(100_000_000))
    services, at = made.services, made.now
    dock, number = seed.new_dock(made, "采集站"), "官综执罚〔2026〕第031号"
    for case_number, category in ((number, Category.PENALTY), ("2", Category.INSPECTION)):
        open_case(
            services.database, services.identifiers, number=case_number, title="占道经营案", category=category,
            subject=NewSubject("阿明烧烤店", SubjectKind.ORGANISATION), by=made.people[Role.CASE_HANDLER], at=at(),
        )  # fmt: skip
    items = {
        "until": seed.deliver(made, dock, b"until", "until.mp4"),
        "waiting": seed.deliver(made, dock, b"waiting", "waiting.mp4", case_number=number),
        "permanent": seed.deliver(made, dock, b"permanent", "permanent.mp4"),
        "due": seed.deliver(made, dock, b"due", "due.mp4", recorded_at=at() - timedelta(days=900), device="BWC-9"),
        "no_rule": seed.deliver(made, dock, b"no rule", "no_rule.mp4", case_number="2"),
    }
    with services.database.begin() as tx:
        tx.add(
            RetentionMark(
                id=new_uuid7(), ref_kind="object", ref_id=items["permanent"], mark=Mark.EVIDENCE.value, reason="x",
                set_by=UUID(int=1), set_at=at(),
            )
        )  # fmt: skip
        hold_id = new_uuid7()
        tx.add(
            Hold(
                id=hold_id, number="1", scope="object", authority="x", reason="x", review_on=at().date(),
                unit_id=UUID(int=1), placed_by=UUID(int=1), placed_at=at(),
            )
        )  # fmt: skip
        tx.flush()
        tx.add(HeldObject(hold_id=hold_id, object_id=items["until"], since=at()))
    rules = (
        rule("case-file", 120, Basis.CASE_CLOSED, categories=("penalty",)),
        rule("footage", 6, Basis.RECORDED, filed=False),
        rule("marked", None, Basis.RECEIVED, marks=tuple(Mark)),
    )
    schedules = Schedules(Given(rules))
    planner = RetentionPlanner(services.database, services.clock, schedules)
    planner.plan_now(list(items.values()))
    seed.sequence(made)
    items["unplanned"] = seed.deliver(made, dock, b"unplanned", "unplanned.mp4")
    with ExitStack() as opened:
        base = opened.enter_context(seed.listening(create_app(services)))
        roles = (Role.SUPERVISOR, Role.RECORDS_MANAGER, Role.OFFICER)
        browsers = {role: signed_in(base, role) for role in roles}
        for client in browsers.values():
            opened.callback(client.close)
        other = seed.new_agency(made, "另一机关")
        strangers = signed_in_at(base, opened, {Role.RECORDS_MANAGER: other[Role.RECORDS_MANAGER]})
        yield Kept(made, browsers, strangers[Role.RECORDS_MANAGER], items)
    services.close()


def names(answer: httpx.Response) -> set[str]:
    assert answer.status_code == 200, words(answer)
    return set(re.findall(r'class="row-link" href="/items/[0-9a-f-]{36}">([^<]+)</a>', answer.text))


def all_names(client: httpx.Client, address: str) -> set[str]:
    """The names of a whole list, page by page."""
    answer = client.get(address)
    found = names(answer)
    while more := re.findall(r'hx-get="([^"]+)"', answer.text):
        answer = client.get(more[0].replace("&amp;", "&"), headers=HTMX)
        found |= names(answer)
    return found


def figures(answer: httpx.Response) -> dict[str, int]:
    """The counts of a page's tables by what they open."""
    found = re.findall(r'href="(/retention[^"]+)">[^<]*</a></td>\s*<td[^>]*>([\d,]+)</td>', answer.text)
    return {address.replace("&amp;", "&"): int(count.replace(",", "")) for address, count in found}


def test_every_figure_opens_its_rows(kept: Kept) -> None:
    client = kept.browsers[Role.RECORDS_MANAGER]
    page = client.get("/retention")
    assert page.status_code == 200
    found = figures(page)
    assert {"/retention?which=permanent", "/retention?which=waiting", "/retention?which=no_rule",
            "/retention?which=unplanned", "/retention?which=held"} <= set(found)  # fmt: skip
    assert len([address for address in found if address.startswith("/retention/due?year=")]) >= 1
    for address, count in found.items():
        assert len(all_names(client, address)) == count, address
    assert names(client.get("/retention?which=permanent")) == {"permanent.mp4"}
    assert names(client.get("/retention?which=waiting")) == {"waiting.mp4"}
    assert names(client.get("/retention?which=held")) == {"until.mp4"}
    assert "unplanned.mp4" in all_names(client, "/retention?which=unplanned")
    assert names(client.get("/retention?which=no_rule")) == {"no_rule.mp4"}


def test_the_calendar_opens_a_month_with_every_stop(kept: Kept) -> None:
    client, bureau = kept.browsers[Role.SUPERVISOR], kept.bureau
    with bureau.services.database.read() as tx:
        until = tx.get_one(RetentionPlan, kept.items["until"]).retain_until
    assert until is not None
    local = until + timedelta(hours=8)
    month = f"/retention/due?month={local:%Y-%m}"
    assert "until.mp4" in all_names(client, month)
    assert 'data-stop="not_due"' in client.get(month).text
    assert all_names(client, month) <= all_names(client, f"/retention/due?year={local.year}")
    calendar = client.get("/retention/due")
    assert calendar.status_code == 200
    assert len(re.findall(r'class="month[ "]', calendar.text)) == 25
    assert "/retention/due?month=now" in calendar.text
    assert names(client.get("/retention/due?month=now")) == names(client.get("/retention?which=due"))


@pytest.mark.parametrize(
    "address",
    ["/retention?which=x", "/retention?which=until", "/retention/due?month=x", "/retention/due?month=2031-13",
     "/retention/due?month=2031-05&cursor=x", "/retention?which=permanent&cursor=x", "/retention/due?year=99999"],
)  # fmt: skip
def test_what_is_no_list_is_told(kept: Kept, address: str) -> None:
    assert kept.browsers[Role.SUPERVISOR].get(address).status_code in {400, 422}


def test_nobody_counts_what_they_do_not_see(kept: Kept) -> None:
    assert figures(kept.stranger.get("/retention")) == {}
    assert names(kept.stranger.get("/retention?which=permanent")) == set()
    costs = kept.stranger.get("/retention/costs")
    assert costs.status_code == 200
    assert "until" not in words(costs)
    assert kept.stranger.get(f"/items/{kept.items['permanent']}").status_code == 404


def test_costs_are_by_unit_and_rule(kept: Kept) -> None:
    answer = kept.browsers[Role.RECORDS_MANAGER].get("/retention/costs")
    told = words(answer)
    assert answer.status_code == 200
    assert "CNY" in told
    with kept.bureau.services.database.read() as tx:
        size = sum(tx.get_one(PreservedObject, each).size_bytes for each in kept.items.values())
    assert f"{size * 100_000_000 / 10**12:,.2f}" in told


def test_the_box_says_until_when_why_and_what_stops(kept: Kept) -> None:
    client = kept.browsers[Role.SUPERVISOR]
    page = words(client.get(f"/items/{kept.items['until']}"))
    assert "保管至" in page
    assert "录制之日" in page
    assert "永久" in words(client.get(f"/items/{kept.items['permanent']}"))
    assert "期限尚未起算" in words(client.get(f"/items/{kept.items['waiting']}"))
    unplanned = client.get(f"/items/{kept.items['unplanned']}")
    assert 'data-stop="not_planned"' in unplanned.text
    english = client.get(f"/items/{kept.items['until']}", headers={"Accept-Language": "en"})
    assert "counted from recording" in words(english)


def test_whoever_may_not_read_retention_sees_no_stops(kept: Kept) -> None:
    with browser(str(kept.browsers[Role.SUPERVISOR].base_url)) as anybody:
        assert anybody.get("/retention").status_code == 303
    assert kept.browsers[Role.OFFICER].get("/retention").status_code == 403


def test_a_long_list_goes_on(kept: Kept) -> None:
    bureau, client = kept.bureau, kept.browsers[Role.SUPERVISOR]
    dock = seed.new_dock(bureau, "采集站 2")
    made = [seed.deliver(bureau, dock, bytes([number]) * 7, f"{number}.mp4") for number in range(_MANY)]
    first = client.get("/retention?which=unplanned")
    found = names(first)
    assert len(found) == 50
    (more,) = re.findall(r'hx-get="([^"]+)"', first.text)
    rest = client.get(more.replace("&amp;", "&"), headers=HTMX)
    assert "<html" not in rest.text
    assert found | names(rest) >= {f"{number}.mp4" for number in range(_MANY)}
    assert not found & names(rest)
    schedules = Schedules(Given((rule("same", 12, Basis.RECEIVED),)))
    RetentionPlanner(bureau.services.database, bureau.services.clock, schedules).plan_now(made)
    with bureau.services.database.read() as tx:
        until = tx.get_one(RetentionPlan, made[0]).retain_until
    assert until is not None
    address = f"/retention/due?month={until + timedelta(hours=8):%Y-%m}"
    first = client.get(address)
    (more,) = re.findall(r'hx-get="([^"]+)"', first.text)
    rest = client.get(more.replace("&amp;", "&"), headers=HTMX)
    assert len(names(first) | names(rest)) == _MANY
    assert "same" in words(first)
