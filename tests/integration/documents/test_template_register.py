"""The register of templates: which version holds on which day, for whom; what is never changed; what is filed."""

from datetime import date, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import select

from archive.calendar.days import local_day
from archive.cases.drafting import NewRecord, begin_record_by
from archive.documents.models import Draft
from archive.documents.template_listings import (
    Standing,
    TemplateNotFiled,
    TemplateNotInForce,
    TemplateVersion,
    standing_of,
    template_for,
    template_version,
    template_versions,
    templates_in_force,
    uses_of_templates,
    version_before,
)
from archive.documents.template_loading import TemplateInvalid
from archive.documents.template_register import (
    FilingRefused,
    TemplateChanged,
    TemplateDayRefused,
    TemplateFiled,
    TemplateFixed,
    TemplateNotFound,
    TemplateScheduled,
    TemplateVersionTaken,
    file_template,
    put_in_force,
    save_template,
    shipped_versions,
    text_of,
    withdraw_template,
)
from archive.documents.templates import shipped_templates, shipped_texts
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import AgencyId, TemplateId
from archive.ledger.entries import OPERATOR
from archive.organisation.models import FIRST_AGENCY
from archive.organisation.units import AgencyNotFound, record_agency
from tests.support.archive_home import ArchiveHome, clock, dock, home

__all__ = ["clock", "dock", "home"]

CODE = "inspection_record"
OWN = AgencyId(FIRST_AGENCY)
SHIPPED = next(each for each in shipped_versions() if each.template.code == CODE)


def text(version: int, words: str = "现场检查笔录") -> str:
    """The shipped template as a later version with another title."""
    found = shipped_texts()[CODE].replace("version = 1", f"version = {version}", 1)
    return found.replace('title.zh = "现场检查笔录"', f'title.zh = "{words}"', 1)


def save(home: ArchiveHome, version: int, words: str = "现场检查笔录", agency_id: AgencyId | None = None) -> TemplateId:
    """A draft of a version."""
    at = home.clock.now()
    return save_template(home.database, text(version, words), agency_id=agency_id, by=OPERATOR, at=at)


def today(home: ArchiveHome) -> date:
    return local_day(home.clock.now())


def put(home: ArchiveHome, template_id: TemplateId, days: int = 0) -> None:
    """Put a version in force in so many days."""
    day = today(home) + timedelta(days=days)
    put_in_force(home.database, template_id, valid_from=day, by=OPERATOR, at=home.clock.now())


def withdraw(home: ArchiveHome, template_id: TemplateId) -> None:
    withdraw_template(home.database, template_id, reason="有误", by=OPERATOR, at=home.clock.now())


def file(home: ArchiveHome, template_id: TemplateId, number: str = "备〔2026〕3号") -> None:
    file_template(
        home.database, template_id, authority="昆明市司法局", number=number, filed_on=today(home), by=OPERATOR,
        at=home.clock.now(),
    )  # fmt: skip


def held(home: ArchiveHome, agency_id: AgencyId | None = OWN, days: int = 0) -> TemplateVersion:
    """What holds in so many days."""
    with home.database.read() as tx:
        return template_for(tx, CODE, agency_id, on=today(home) + timedelta(days=days))


def standings(home: ArchiveHome, days: int = 0) -> dict[int, Standing]:
    with home.database.read() as tx:
        among = template_versions(tx, code=CODE)
    return {each.version: standing_of(each, among, on=today(home) + timedelta(days=days)) for each in among}


def test_what_came_with_the_program_holds_until_it_is_replaced_from_a_day_on(home: ArchiveHome) -> None:
    with home.database.read() as tx:
        found = templates_in_force(tx, OWN, on=today(home))
        assert set(found) == set(shipped_templates())
        assert all(each.is_shipped and not each.is_filed and not each.is_recorded for each in found.values())
    second = save(home, 2)
    assert held(home).version == 1, "a draft holds nothing"
    put(home, second, days=3)
    assert [held(home, days=days).version for days in (0, 2, 3, 30)] == [1, 1, 2, 2]
    assert standings(home) == {2: Standing.SCHEDULED, 1: Standing.IN_FORCE}
    assert standings(home, days=3) == {2: Standing.IN_FORCE, 1: Standing.IN_RESERVE}
    third = save(home, 3)
    put(home, third, days=10)
    assert [held(home, days=days).version for days in (2, 3, 9, 10)] == [1, 2, 2, 3]
    assert standings(home, days=10)[2] is Standing.REPLACED
    with home.database.read() as tx:
        among = template_versions(tx, code=CODE)
        before = version_before(template_version(tx, third), among)
        assert before is not None
        assert before.id == second
        assert text_of(tx, third) == text(3)
    home.assert_sound()


def test_an_agency_goes_before_all_and_a_withdrawn_one_gives_way(home: ArchiveHome) -> None:
    other = record_agency(home.database, code="2", name="城管局", by=OPERATOR, at=home.clock.now())
    shared, own = save(home, 2), save(home, 3, agency_id=other)
    put(home, shared)
    put(home, own)
    assert (held(home, other).version, held(home).version, held(home, None).version) == (3, 2, 2)
    withdraw(home, own)
    assert held(home, other).version == 2
    withdraw(home, shared)
    assert held(home).id == SHIPPED.id
    withdraw(home, SHIPPED.id)
    with pytest.raises(TemplateNotFound):
        held(home)
    with pytest.raises(AgencyNotFound):
        save(home, 9, agency_id=AgencyId(uuid4()))
    home.assert_sound()


def test_a_version_is_changed_only_while_it_is_a_draft_and_by_whom_has_seen_it(home: ArchiveHome) -> None:
    draft = save(home, 2, "甲")
    with home.database.read() as tx:
        seen = template_version(tx, draft).text_sha256

    def again(words: str, seen_sha256: str) -> TemplateId:
        return save_template(
            home.database, text(2, words), agency_id=None, template_id=draft, seen_sha256=seen_sha256, by=OPERATOR,
            at=home.clock.now(),
        )  # fmt: skip

    assert again("甲", seen) == draft, "nothing new"
    assert again("乙", seen) == draft
    assert home.types().count("admin.template_saved") == 2
    with pytest.raises(TemplateChanged):
        again("丙", seen)
    put(home, draft)
    with home.database.read() as tx:
        fixed = template_version(tx, draft)
    assert fixed.title == "乙"
    for change in (lambda: again("丁", fixed.text_sha256), lambda: put(home, draft)):
        with pytest.raises(TemplateFixed):
            change()
    withdraw(home, draft)
    with pytest.raises(TemplateFixed):
        withdraw(home, draft)
    home.assert_sound()


def test_a_version_has_its_number_for_itself_and_numbers_rise(home: ArchiveHome) -> None:
    with pytest.raises(TemplateVersionTaken):
        save(home, 1)
    second = save(home, 2)
    with pytest.raises(TemplateVersionTaken):
        save(home, 2)
    with pytest.raises(TemplateVersionTaken):
        save(home, 2, agency_id=OWN)
    withdraw(home, second)  # given up before it was used: the number is free
    second, third = save(home, 2), save(home, 3)
    put(home, third)
    with pytest.raises(TemplateVersionTaken):
        put(home, second)
    home.assert_sound()


def test_days_do_not_go_back(home: ArchiveHome) -> None:
    second, third = save(home, 2), save(home, 3)
    with pytest.raises(TemplateDayRefused) as refused:
        put(home, second, days=-1)
    assert refused.value.facts["earliest"] == today(home).isoformat()
    put(home, second, days=5)
    for days in (0, 5):
        with pytest.raises(TemplateScheduled):
            put(home, third, days=days)
    withdraw(home, second)
    put(home, third)
    assert held(home, days=5).version == 3
    later = save_template(
        home.database, text(4).replace("valid_from = 2026-01-01", "valid_from = 2099-01-01"), agency_id=None,
        by=OPERATOR, at=home.clock.now(),
    )  # fmt: skip
    with pytest.raises(TemplateDayRefused):
        put(home, later)
    home.assert_sound()


def test_filing_is_said_once_of_what_was_put_in_force(home: ArchiveHome) -> None:
    draft = save(home, 2)
    with pytest.raises(FilingRefused):
        file(home, draft)
    file(home, SHIPPED.id)
    with pytest.raises(TemplateFiled):
        file(home, SHIPPED.id)
    found = held(home)
    assert (found.is_recorded, found.filed_with, found.filing_number) == (True, "昆明市司法局", "备〔2026〕3号")
    put(home, draft)
    with pytest.raises(InvalidInput):
        file(home, draft, number=" ")
    with pytest.raises(FilingRefused):
        file_template(
            home.database, draft, authority="局", number="1", filed_on=today(home) + timedelta(days=1), by=OPERATOR,
            at=home.clock.now(),
        )  # fmt: skip
    filed = text(3).replace(
        'status = "not_filed"', 'status = "filed"\nwith = "市司法局"\nnumber = "7"\non = 2026-02-01'
    )
    third = save_template(home.database, filed, agency_id=None, by=OPERATOR, at=home.clock.now())
    with home.database.read() as tx:
        assert template_version(tx, third).filed_on == date(2026, 2, 1)
    with pytest.raises(TemplateNotFound):
        file(home, TemplateId(uuid4()))
    home.assert_sound()


def test_a_record_begins_by_what_holds_and_where_asked_by_what_is_filed(home: ArchiveHome) -> None:
    case_id = home.case()
    new = NewRecord(case_id, "笔录", {})

    def begin(template_id: TemplateId, *, only_filed: bool = False) -> None:
        begin_record_by(
            home.database, template_id, new, only_filed=only_filed, by=OPERATOR, at=home.clock.now()
        )  # fmt: skip

    begin(SHIPPED.id)
    with pytest.raises(TemplateNotFiled):
        begin(SHIPPED.id, only_filed=True)
    second = save(home, 2)
    with pytest.raises(TemplateNotInForce):
        begin(second)
    put(home, second)
    file(home, second)
    begin(second, only_filed=True)
    with pytest.raises(TemplateNotInForce):
        begin(SHIPPED.id)
    with pytest.raises(TemplateNotFound):
        begin(TemplateId(uuid4()))
    with home.database.read() as tx:
        assert sorted(tx.scalars(select(Draft.template_version))) == [1, 2]
        assert sorted(uses_of_templates(tx).values()) == [1, 1]
    home.assert_sound()


def test_a_text_that_is_no_template_is_not_kept(home: ArchiveHome) -> None:
    with pytest.raises(TemplateInvalid):
        save_template(home.database, "code = 1", agency_id=None, by=OPERATOR, at=home.clock.now())
    assert home.count("record_template") == 0
