"""Retention schedules: the versions, the one that ships, and the editor of a new one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.access.policy import Capability
from archive.calendar.days import local_day
from archive.cases.terms import Category, Stage
from archive.kernel.errors import InvalidInput, NotFound
from archive.kernel.ids import ScheduleId, parse_uuid
from archive.web.dependencies import ServicesDep
from archive.web.i18n import Catalogue, Language
from archive.web.pages.forms import Fault
from archive.web.pages.guards import needs
from archive.web.pages.people import actor_names
from archive.web.pages.rendering import go_to, is_fragment, reader_texts, render
from archive.web.pages.schedule_rows import FILED, PANEL, UNITS, RuleRow, ScheduleForm, ScheduleFormDep, shown_form
from retention.schedules.algebra import Rule
from retention.schedules.listings import open_versions, past_versions, schedule_view
from retention.schedules.notes import notes_of
from retention.schedules.register import rules_in_force, save_schedule
from retention.schedules.shipped import ScheduleFile, Shipped, shipped_schedule
from retention.schedules.terms import KINDS, Basis, Mark

router = APIRouter(prefix="/schedules", include_in_schema=False)

RetentionReader = Annotated[Caller, Depends(needs(Capability.READ_RETENTION))]
ScheduleSetter = Annotated[Caller, Depends(needs(Capability.SET_SCHEDULES))]
CHOICES: Final[dict[str, Any]] = {
    "kinds": KINDS,
    "marks": [mark.value for mark in Mark],
    "categories": [category.value for category in Category],
    "stages": [stage.value for stage in Stage],
    "filed": FILED,
    "units": UNITS,
    "bases": [basis.value for basis in Basis],
}
"""What can be chosen in the editor, in the order in which it is told everywhere."""
NOW: Final = "now"
"""What stands for the rules in force where versions are named in an address."""


def schedule_id_in_path(schedule_id: str) -> ScheduleId:
    """Return the id of a schedule's version of the address. Raises: NotFound for what is no id."""
    try:
        return ScheduleId(parse_uuid(schedule_id))
    except InvalidInput as exc:
        raise NotFound from exc


ScheduleIdPath = Annotated[ScheduleId, Depends(schedule_id_in_path)]


@router.get("")
def schedules_page(
    request: Request,
    caller: RetentionReader,
    services: ServicesDep,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """List the versions: what holds, what will, what is written, and what was."""
    on, texts = local_day(services.clock.now()), reader_texts(request)
    with services.database.read() as tx:
        versions = open_versions(tx, on=on)
        found = past_versions(tx, on=on, cursor=cursor)
        held = rules_in_force(tx, on)
        people = {person for version in (*versions, *found.rows) for person in version.people}
        names = actor_names(tx, people, texts=texts)
    return render(
        request,
        "_schedule_past_rows.html" if is_fragment(request) and cursor is not None else "schedules.html",
        caller=caller,
        versions=versions,
        found=found,
        held=held,
        shipped=[(name.value, shipped_title(shipped_schedule(name), texts)) for name in Shipped],
        names=names,
        choices=CHOICES,
    )


@router.get("/new")
def new_page(request: Request, caller: ScheduleSetter, services: ServicesDep, of: str = NOW) -> Response:
    """Show the editor with the rules of a version, those that ship, or by default those that are in force."""
    on, texts = local_day(services.clock.now()), reader_texts(request)
    with services.database.read() as tx:
        _, rules = named_rules(tx, of, on=on, texts=texts)
    return editor(request, caller, shown_form("", rules))


@router.post("/new")
def new_posted(request: Request, caller: ScheduleSetter, form: ScheduleFormDep, services: ServicesDep) -> Response:
    """Write a version down as a draft, or show the editor with a row more or less."""
    if not form.is_saved:
        return editor(request, caller, form)
    title, rules = form.title(), form.rules()
    if not form.is_good:
        return editor(request, caller, form, status=422)
    schedule_id = save_schedule(services.database, title, rules, by=caller.actor, at=services.clock.now())
    return go_to(f"/schedules/{schedule_id}?done=schedule_saved")


@router.post("/rows")
def rows_posted(request: Request, caller: ScheduleSetter, form: ScheduleFormDep) -> Response:
    """Show the rows of the editor with one more, one less, or those of a schedule that ships."""
    return render(
        request,
        "_schedule_rows.html",
        caller=caller,
        headers={"HX-Trigger-After-Settle": "rows-changed"},
        form=form,
        rows=form.rows,
        choices=CHOICES,
    )


@router.post("/checks")
def checks_posted(request: Request, caller: ScheduleSetter, form: ScheduleFormDep) -> Response:
    """Say what is wrong with the rules in the editor, and what is to be looked at."""
    return render(request, "_schedule_checks.html", caller=caller, form=form, choices=CHOICES, **checked(form))


@router.get("/shipped/{name}")
def shipped_page(request: Request, caller: RetentionReader, name: str, services: ServicesDep) -> Response:
    """Show a schedule that came with the program."""
    if name not in set(Shipped):
        raise NotFound
    file, on = shipped_schedule(Shipped(name)), local_day(services.clock.now())
    with services.database.read() as tx:
        is_held = name == Shipped.DEFAULT and rules_in_force(tx, on).schedule_id is None
    return render(
        request,
        "schedule_shipped.html",
        caller=caller,
        file=file,
        name=name,
        title=shipped_title(file, reader_texts(request)),
        rules=file.rules,
        is_held=is_held,
        choices=CHOICES,
    )


def editor(
    request: Request,
    caller: Caller,
    form: ScheduleForm,
    *,
    here: str = "/schedules/new",
    seen: str = "",
    status: int = 200,
) -> Response:
    """Return the editor; `seen` names the draft that is changed."""
    if not form.rows:
        form.rows.append(RuleRow.empty())
    return render(
        request,
        "schedule_editor.html",
        caller=caller,
        status=status,
        form=form,
        rows=form.rows,
        choices=CHOICES,
        address=here,
        seen=seen,
        **checked(form),
    )


@dataclass(frozen=True, slots=True)
class FoundFault:
    """What is wrong in the editor: the number of the rule from 1 on, 0 for all of them; the field; the words of why."""

    number: int
    field: str
    fault: Fault

    @property
    def field_id(self) -> str:
        """The id of the field on the page."""
        return f"{PANEL}-r{self.number - 1}-{self.field}"


def checked(form: ScheduleForm) -> dict[str, Any]:
    """Return what is wrong with the rules of a form and what is to be looked at; no field of the form is marked."""
    looked = ScheduleForm({}, form.rows)
    rules = looked.rules()
    faults = [_found(place, fault) for place, fault in looked.faults.items()]
    titles = {row.text("code"): row.text("title") or row.text("code") for row in form.rows}
    return {"found_faults": faults, "notes": notes_of(rules) if not faults else (), "titles": titles}


def _found(place: str, fault: Fault) -> FoundFault:
    number, _, name = place.removeprefix("r").partition("-")
    return FoundFault(int(number) + 1, name, fault) if name else FoundFault(0, place, fault)


def shipped_title(file: ScheduleFile, texts: Catalogue) -> str:
    """Return how a schedule that ships is called in the reader's language."""
    return file.title if texts.language is Language.CHINESE else file.title_en


def rule_title(rule: Rule, texts: Catalogue) -> str:
    """Return how a rule is called in the reader's language, in Chinese where it has no English title."""
    return rule.title if texts.language is Language.CHINESE or not rule.title_en else rule.title_en


def named_rules(tx: Session, name: str, *, on: date, texts: Catalogue) -> tuple[str, Sequence[Rule]]:
    """Return title and rules of what an address names: `now` for those in force, one that ships, the id of a version.

    Raises: ScheduleNotFound, NotFound.
    """
    if name == NOW:
        held = rules_in_force(tx, on).schedule_id
        name = Shipped.DEFAULT.value if held is None else str(held)
    if name in set(Shipped):
        file = shipped_schedule(Shipped(name))
        return shipped_title(file, texts), file.rules
    view = schedule_view(tx, schedule_id_in_path(name), on=on)
    return view.version.title, view.rules
