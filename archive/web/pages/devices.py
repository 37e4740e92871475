"""The register of devices: the list, writing one down, and taking a list of them in."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.devices.importing import (
    COLUMNS,
    DeviceList,
    DeviceListFaulty,
    DeviceListInvalid,
    import_devices,
    read_device_list,
)
from archive.devices.listings import WhichDevices, devices
from archive.devices.register import (
    MAX_MODEL_CHARACTERS,
    MAX_NOTE_CHARACTERS,
    MAX_SERIAL_CHARACTERS,
    DeviceFacts,
    SerialTaken,
    record_device,
)
from archive.devices.terms import DeviceState
from archive.evidence.terms import SourceKind
from archive.organisation.models import Unit
from archive.organisation.sheets import MOST_BYTES
from archive.organisation.units import below
from archive.web.dependencies import ServicesDep
from archive.web.limits import Cost, by_account
from archive.web.pages.forms import Form, FormDep, FormTooLarge, read_file
from archive.web.pages.guards import Filer
from archive.web.pages.rendering import go_to, is_fragment, render
from archive.wiring import Services

router = APIRouter(prefix="/devices", include_in_schema=False)


@router.get("")
def devices_page(
    request: Request,
    caller: Filer,
    services: ServicesDep,
    which: Annotated[str, Query(max_length=20)] = WhichDevices.ALL.value,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """List devices."""
    chosen = WhichDevices(which) if which in set(WhichDevices) else WhichDevices.ALL
    return _list(request, caller, services, which=chosen, cursor=cursor)


@router.post("")
def device_posted(request: Request, form: FormDep, caller: Filer, services: ServicesDep) -> Response:
    """Write a device down."""
    form.panel = "device"
    facts = given_facts(form, services, caller)
    if form.is_good and facts is not None:
        try:
            device_id = record_device(services.database, facts, by=caller, at=services.clock.now())
        except SerialTaken:
            form.refuse("serial", "error.devices.serial_taken")
        else:
            return go_to(f"/devices/{device_id}?done=device_recorded")
    return _list(request, caller, services, form=form, status=422)


@router.post("/lists", dependencies=[by_account(Cost.HEAVY)])
async def list_posted(request: Request, caller: Filer, services: ServicesDep) -> Response:
    """Look through a list, or take it in."""
    try:
        form, data = await read_file(request, panel="import", most=MOST_BYTES)
    except FormTooLarge:
        form, data = Form({}, panel="import"), b""
        form.refuse("file", "error.devices.list_invalid")
    return await run_in_threadpool(_take_in, request, caller, services, form, data)


def _take_in(request: Request, caller: Caller, services: Services, form: Form, data: bytes) -> Response:
    read: DeviceList | None = None
    if not data:
        form.refuse("file", "devices.choose_file")
    if form.is_good:
        try:
            with services.database.read() as tx:
                units = units_of(tx, caller)
                read = read_device_list(tx, data, units=units)
            if form.value("act") == "import" and not read.problems:
                import_devices(services.database, data, units=units, by=caller, at=services.clock.now())
                return go_to("/devices?done=devices_imported")
        except DeviceListInvalid:
            form.refuse("file", "error.devices.list_invalid")
        except (DeviceListFaulty, SerialTaken):
            form.refuse("file", "error.devices.list_faulty")
    is_fine = form.is_good and read is not None and not read.problems
    return _list(request, caller, services, form=form, read=read, status=200 if is_fine else 422)


def units_of(tx: Session, caller: Caller) -> Sequence[Unit]:
    """Return the units that a caller may give a device to: the own one and those below it."""
    ids = below(tx, caller.unit_id)
    return tx.scalars(select(Unit).where(Unit.id.in_(ids), Unit.closed_at.is_(None)).order_by(Unit.code)).all()


def given_facts(form: Form, services: Services, caller: Caller) -> DeviceFacts | None:
    """Return what a form says of a device; its faults are noted."""
    serial = form.text("serial", most=MAX_SERIAL_CHARACTERS)
    kind = form.choice("kind", SourceKind)
    state = form.choice("state", DeviceState)
    model, firmware, note = (
        form.text(name, most=most) if form.value(name).strip() else ""
        for name, most in (
            ("model", MAX_MODEL_CHARACTERS),
            ("firmware", MAX_MODEL_CHARACTERS),
            ("note", MAX_NOTE_CHARACTERS),
        )
    )
    with services.database.read() as tx:
        offered = {str(unit.id): unit.id for unit in units_of(tx, caller)}
    unit_id = offered.get(form.value("unit_id"))
    if unit_id is None:
        form.refuse("unit_id", "form.choose")
        return None
    return DeviceFacts(serial, kind, unit_id, model, firmware, state, note)


def _list(
    request: Request,
    caller: Caller,
    services: Services,
    *,
    which: WhichDevices = WhichDevices.ALL,
    cursor: str | None = None,
    form: Form | None = None,
    read: DeviceList | None = None,
    status: int = 200,
) -> Response:
    with services.database.read() as tx:
        context: dict[str, Any] = {
            "found": devices(tx, which=which, cursor=cursor),
            "units": units_of(tx, caller),
        }
    is_more = is_fragment(request) and request.method == "GET" and cursor is not None
    return render(
        request,
        "_device_rows.html" if is_more else "devices.html",
        caller=caller,
        status=status,
        form=form,
        read=read,
        listing=which.value,
        which=which.value,
        filters=[choice.value for choice in WhichDevices],
        kinds=list(SourceKind),
        states=list(DeviceState),
        columns=list(COLUMNS),
        **context,
    )
