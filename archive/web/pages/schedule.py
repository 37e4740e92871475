"""One version of the retention schedule: its rules, what they change, put in force by another, tried, withdrawn."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.access.policy import Capability
from archive.calendar.days import local_day
from archive.custody.models import PreservedObject
from archive.kernel.errors import InvalidInput, NotFound
from archive.kernel.ids import ScheduleId, TrialId, parse_uuid
from archive.organisation.models import Unit
from archive.web.dependencies import ServicesDep
from archive.web.limits import Cost, by_account
from archive.web.pages.forms import Form, FormDep
from archive.web.pages.people import actor_names
from archive.web.pages.rendering import go_to, is_fragment, reader_texts, render
from archive.web.pages.schedule_rows import ScheduleFormDep, shown_form
from archive.web.pages.schedules import (
    CHOICES,
    NOW,
    RetentionReader,
    ScheduleIdPath,
    ScheduleSetter,
    editor,
    named_rules,
    rule_title,
    shipped_title,
)
from archive.wiring import Services
from retention.schedules.listings import Standing, compare_rules, open_versions, past_versions, schedule_view
from retention.schedules.notes import notes_of
from retention.schedules.register import (
    MAX_REASON_CHARACTERS,
    OwnSchedule,
    ScheduleChanged,
    ScheduleDayRefused,
    ScheduleFixed,
    earliest_day,
    put_in_force,
    save_schedule,
    withdraw_schedule,
)
from retention.schedules.shipped import Shipped, shipped_schedule
from retention.schedules.simulation import Change, moment_of
from retention.schedules.trials import TrialNotFound, ask_trial, trial_view, trials_of

router = APIRouter(prefix="/schedules/{schedule_id}", include_in_schema=False)


def trial_id_in_path(trial_id: str) -> TrialId:
    """Return the id of a trial of the address. Raises: NotFound for what is no id."""
    try:
        return TrialId(parse_uuid(trial_id))
    except InvalidInput as exc:
        raise NotFound from exc


TrialIdPath = Annotated[TrialId, Depends(trial_id_in_path)]


@router.get("")
def schedule_page(
    request: Request, schedule_id: ScheduleIdPath, caller: RetentionReader, services: ServicesDep
) -> Response:
    """Show a version, and what it changes of the rules in force."""
    return _show(request, schedule_id, caller, services)


@router.get("/draft")
def draft_page(
    request: Request, schedule_id: ScheduleIdPath, caller: ScheduleSetter, services: ServicesDep
) -> Response:
    """Show a draft in the editor. Raises: ScheduleFixed for what is none any more."""
    with services.database.read() as tx:
        view = schedule_view(tx, schedule_id, on=local_day(services.clock.now()))
    if view.version.standing is not Standing.DRAFT:
        raise ScheduleFixed(schedule_id=schedule_id)
    form = shown_form(view.version.title, view.rules)
    return editor(request, caller, form, here=f"/schedules/{schedule_id}/draft", seen=view.seen)


@router.post("/draft")
def draft_posted(
    request: Request, schedule_id: ScheduleIdPath, caller: ScheduleSetter, form: ScheduleFormDep, services: ServicesDep
) -> Response:
    """Save a draft, or show the editor with a row more or less."""
    here, seen = f"/schedules/{schedule_id}/draft", form.value("seen")
    with services.database.read() as tx:
        schedule_view(tx, schedule_id, on=local_day(services.clock.now()))
    if not form.is_saved:
        return editor(request, caller, form, here=here, seen=seen)
    title, rules = form.title(), form.rules()
    if form.is_good:
        try:
            save_schedule(
                services.database,
                title,
                rules,
                schedule_id=schedule_id,
                seen=seen,
                by=caller.actor,
                at=services.clock.now(),
            )
        except ScheduleChanged:
            form.refuse("rules", "error.retention.schedule_changed")
        else:
            return _done(schedule_id, "schedule_saved")
    return editor(request, caller, form, here=here, seen=seen, status=422)


@router.post("/force")
def force_posted(
    request: Request, schedule_id: ScheduleIdPath, caller: ScheduleSetter, form: FormDep, services: ServicesDep
) -> Response:
    """Let the version hold from a day on."""
    form.panel = "force"
    day = form.day("valid_from", required=True)
    if form.is_good and day is not None:
        try:
            put_in_force(
                services.database,
                schedule_id,
                valid_from=day,
                seen=form.value("seen"),
                by=caller.actor,
                at=services.clock.now(),
            )
        except ScheduleDayRefused as exc:
            form.refuse("valid_from", "schedule.day_refused", earliest=exc.facts["earliest"])
        except ScheduleChanged:
            form.refuse("valid_from", "schedule.changed_meanwhile")
        except OwnSchedule:
            form.refuse("valid_from", "error.retention.own_schedule")
        else:
            return _done(schedule_id, "schedule_in_force")
    return _show(request, schedule_id, caller, services, form=form)


@router.post("/withdrawal")
def withdrawal_posted(
    request: Request, schedule_id: ScheduleIdPath, caller: ScheduleSetter, form: FormDep, services: ServicesDep
) -> Response:
    """Give the draft up, or take back what does not hold yet."""
    form.panel = "withdraw"
    reason = form.text("reason", most=MAX_REASON_CHARACTERS)
    if form.is_good:
        withdraw_schedule(services.database, schedule_id, reason=reason, by=caller.actor, at=services.clock.now())
        return _done(schedule_id, "schedule_withdrawn")
    return _show(request, schedule_id, caller, services, form=form)


@router.get("/comparison")
def comparison_page(
    request: Request,
    schedule_id: ScheduleIdPath,
    caller: RetentionReader,
    services: ServicesDep,
    other: Annotated[str, Query(max_length=40)] = NOW,
) -> Response:
    """Show what differs between a version and another one, one that ships, or the rules in force."""
    on, texts = local_day(services.clock.now()), reader_texts(request)
    with services.database.read() as tx:
        view = schedule_view(tx, schedule_id, on=on)
        title, rules = named_rules(tx, other, on=on, texts=texts)
        versions = [*open_versions(tx, on=on), *past_versions(tx, on=on).rows]
    return render(
        request,
        "schedule_comparison.html",
        caller=caller,
        version=view.version,
        other=other,
        other_title=title,
        changes=compare_rules(rules, view.rules),
        choices=CHOICES,
        versions=[each for each in versions if each.id != schedule_id],
        shipped=[(name.value, shipped_title(shipped_schedule(name), texts)) for name in Shipped],
    )


@router.post("/trials", dependencies=[by_account(Cost.HEAVY)])
def trial_posted(schedule_id: ScheduleIdPath, caller: ScheduleSetter, services: ServicesDep) -> Response:
    """Have it worked out what the version would change."""
    trial_id = ask_trial(services.database, schedule_id, by=caller.actor, at=services.clock.now())
    return go_to(f"/schedules/{schedule_id}/trials/{trial_id}")


@router.get("/trials/{trial_id}")
def trial_page(
    request: Request,
    schedule_id: ScheduleIdPath,
    trial_id: TrialIdPath,
    caller: ScheduleSetter,
    services: ServicesDep,
) -> Response:
    """Show what a version would change, as far as it is worked out. Objects are named to whoever sees them."""
    on, texts = local_day(services.clock.now()), reader_texts(request)
    with services.database.read() as tx:
        view = schedule_view(tx, schedule_id, on=on)
        found = trial_view(tx, trial_id)
        if found.trial.schedule_id != schedule_id:
            raise TrialNotFound(trial_id=trial_id)
        title, rules_now = named_rules(tx, str(found.trial.now_id or Shipped.DEFAULT.value), on=on, texts=texts)
        examples = [each for change in Change for each in found.tally.examples.get(change.value, [])]
        context: dict[str, Any] = {
            "unit_names": {str(unit_id): name for unit_id, name in tx.execute(select(Unit.id, Unit.name))},
            "objects": _objects(tx, [parse_uuid(each["object"]) for each in examples]),
            "names": actor_names(tx, {found.trial.asked_by}, texts=texts),
        }
    return render(
        request,
        "_schedule_trial.html" if is_fragment(request) else "schedule_trial.html",
        caller=caller,
        version=view.version,
        row=found.trial,
        tally=found.tally,
        is_given_up=found.is_given_up,
        is_as_tried=found.rules == view.rules,
        now_title=title,
        all_changes=list(Change),
        titles={rule.code: rule_title(rule, texts) for rule in (*rules_now, *found.rules)},
        moment_of=moment_of,
        choices=CHOICES,
        **context,
    )


def _done(schedule_id: ScheduleId, what: str) -> Response:
    return go_to(f"/schedules/{schedule_id}?done={what}")


def _objects(tx: Session, ids: Sequence[UUID]) -> Mapping[str, Any]:
    """Return kind and name of those objects that the caller sees."""
    rows = tx.execute(
        select(PreservedObject.id, PreservedObject.kind, PreservedObject.name).where(PreservedObject.id.in_(ids))
    )
    return {str(row.id): row for row in rows}


def _show(
    request: Request,
    schedule_id: ScheduleId,
    caller: Caller,
    services: Services,
    *,
    form: Form | None = None,
) -> Response:
    at, texts = services.clock.now(), reader_texts(request)
    on = local_day(at)
    with services.database.read() as tx:
        view = schedule_view(tx, schedule_id, on=on)
        title, rules_now = named_rules(tx, NOW, on=on, texts=texts)
        trials = trials_of(tx, schedule_id) if caller.may(Capability.SET_SCHEDULES) else ()
        names = actor_names(tx, view.version.people, texts=texts)
    standing = view.version.standing
    return render(
        request,
        "schedule.html",
        caller=caller,
        status=200 if form is None else 422,
        form=form,
        version=view.version,
        rules=view.rules,
        seen=view.seen,
        now_title=title,
        changes=compare_rules(rules_now, view.rules) if standing is not Standing.IN_FORCE else (),
        notes=notes_of(view.rules),
        titles={rule.code: rule_title(rule, texts) for rule in view.rules},
        trials=trials,
        names=names,
        earliest=earliest_day(view.rules, at=at),
        is_own=view.version.saved_by == caller.account_id,
        may_withdraw=standing in {Standing.DRAFT, Standing.SCHEDULED},
        choices=CHOICES,
    )
