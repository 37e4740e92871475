"""One device: its facts, its ledger, how its clock goes, and handing it over."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from archive.access.callers import Caller
from archive.devices.handover import (
    MOST_FREE_MIB,
    MOST_OFFSET_S,
    CertificateNotValid,
    Check,
    CheckMissing,
    DeviceNotReady,
    HolderChanged,
    hand_over,
)
from archive.devices.listings import FAR_OFF_MS, DeviceView, device_view
from archive.devices.register import MAX_NOTE_CHARACTERS, DeviceHeld, change_device
from archive.devices.terms import DeviceState
from archive.evidence.clocks import ClockOffset
from archive.evidence.terms import SourceKind
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import DeviceId, OfficerId, parse_uuid
from archive.organisation.officers import officer_by_certificate
from archive.web.dependencies import ServicesDep
from archive.web.pages.devices import given_facts, units_of
from archive.web.pages.forms import Form, FormDep
from archive.web.pages.guards import DeviceIdPath, Filer, HiddenFiler
from archive.web.pages.people import actor_names
from archive.web.pages.rendering import go_to, reader_texts, render
from archive.wiring import Services

router = APIRouter(prefix="/devices/{device_id}", include_in_schema=False)

_WIDTH: Final = 640
_HEIGHT: Final = 160
_EDGE: Final = 16
_STORE: Final = "store"


@dataclass(frozen=True, slots=True)
class Chart:
    """A line over the offsets that were measured. Units: pixels of the picture; seconds at its upper edge."""

    points: Sequence[tuple[float, float, bool, ClockOffset]]
    zero: float
    bounds: Sequence[float]
    most_s: float
    width: int = _WIDTH
    height: int = _HEIGHT

    @property
    def line(self) -> str:
        """The points as a line has them."""
        return " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in self.points)


def chart_of(offsets: Sequence[ClockOffset]) -> Chart | None:
    """Return the chart of the offsets, side by side in order; None where there are fewer than two. Pure."""
    if len(offsets) < 2:
        return None
    most_ms = max(FAR_OFF_MS * 1.2, *(abs(one.offset_ms) * 1.1 for one in offsets))
    middle, step = _HEIGHT / 2, (_WIDTH - 2 * _EDGE) / (len(offsets) - 1)

    def down(offset_ms: float) -> float:
        return middle - offset_ms / most_ms * (middle - 8)

    points = [
        (_EDGE + place * step, down(one.offset_ms), abs(one.offset_ms) > FAR_OFF_MS, one)
        for place, one in enumerate(offsets)
    ]
    return Chart(points, middle, (down(FAR_OFF_MS), down(-FAR_OFF_MS)), most_ms / 1000)


@router.get("")
def device_page(request: Request, device_id: DeviceIdPath, caller: HiddenFiler, services: ServicesDep) -> Response:
    """Show a device."""
    return _show(request, device_id, caller, services)


@router.post("/changes")
def changes_posted(
    request: Request, device_id: DeviceIdPath, form: FormDep, caller: Filer, services: ServicesDep
) -> Response:
    """Change what is written of the device."""
    form.panel = "change"
    view = _view(device_id, services)
    form.values = {**form.values, "serial": view.row.device.serial}
    facts = given_facts(form, services, caller)
    if form.is_good and facts is not None:
        try:
            change_device(services.database, device_id, facts, by=caller, at=services.clock.now())
        except DeviceHeld:
            form.refuse("state", "error.devices.held")
        else:
            return go_to(f"/devices/{device_id}?done=device_changed")
    return _show(request, device_id, caller, services, form=form, status=422)


@router.post("/handovers")
def handover_posted(
    request: Request, device_id: DeviceIdPath, form: FormDep, caller: Filer, services: ServicesDep
) -> Response:
    """Hand the device over."""
    form.panel = "handover"
    seen = _holder(form)
    to = _receiver(form, services)
    check = Check(
        _number(form, "battery_percent", 0, 100),
        _number(form, "free_mib", 0, MOST_FREE_MIB),
        _number(form, "clock_offset_s", -MOST_OFFSET_S, MOST_OFFSET_S),
    )
    remarks = form.text("remarks", most=MAX_NOTE_CHARACTERS) if form.value("remarks").strip() else ""
    if form.is_good:
        try:
            hand_over(
                services.database, device_id, seen_holder=seen, to=to, check=check, remarks=remarks, by=caller,
                at=services.clock.now(),
            )  # fmt: skip
        except HolderChanged:
            form.refuse("certificate", "error.devices.holder_changed")
        except CertificateNotValid:
            form.refuse("certificate", "error.devices.certificate_not_valid")
        except DeviceNotReady:
            form.refuse("certificate", "error.devices.not_ready")
        except CheckMissing:
            form.refuse("battery_percent", "error.devices.check_missing")
        else:
            return go_to(f"/devices/{device_id}?done=device_handed_over")
    return _show(request, device_id, caller, services, form=form, status=422)


def _holder(form: Form) -> OfficerId | None:
    """Return who had the device when the form was shown."""
    text = form.value("seen")
    try:
        return OfficerId(parse_uuid(text)) if text else None
    except InvalidInput:
        form.refuse("certificate", "error.devices.holder_changed")
        return None


def _receiver(form: Form, services: Services) -> OfficerId | None:
    """Return the officer whom a form names, None for the store."""
    if form.value("to") == _STORE:
        return None
    number = form.text("certificate", most=64)
    if "certificate" in form.faults:
        return None
    with services.database.read() as tx:
        found = officer_by_certificate(tx, number)
    if found is None:
        form.refuse("certificate", "complaints.no_such_officer")
    return found


def _number(form: Form, name: str, least: int, most: int) -> int | None:
    text = form.value(name).strip()
    if not text:
        return None
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 12 and least <= int(text) <= most):
        form.refuse(name, "devices.not_a_number", least=least, most=most)
        return None
    return int(text)


def _view(device_id: DeviceId, services: Services) -> DeviceView:
    with services.database.read() as tx:
        return device_view(tx, device_id)


def _show(
    request: Request,
    device_id: DeviceId,
    caller: Caller,
    services: Services,
    *,
    form: Form | None = None,
    status: int = 200,
) -> Response:
    texts = reader_texts(request)
    with services.database.read() as tx:
        view = device_view(tx, device_id)
        context: dict[str, Any] = {
            "names": actor_names(tx, {line.by_id for line in view.handovers}, texts=texts),
            "units": units_of(tx, caller),
        }
    return render(
        request,
        "device.html",
        caller=caller,
        status=status,
        form=form,
        view=view,
        device=view.row.device,
        chart=chart_of(view.offsets),
        kinds=list(SourceKind),
        states=list(DeviceState),
        here=f"/devices/{device_id}",
        **context,
    )
