"""Pictures of what a bureau does beside its cases: complaints, devices, notices."""

from playwright.sync_api import Page

from archive.access.policy import Role
from tests.e2e.shot import Place, Shot, opened, said
from tests.support.seed import Bureau
from tests.support.seed_office import keep_devices, take_complaints


def _complaints_address(bureau: Bureau) -> str:
    take_complaints(bureau)
    return "/complaints"


def _notices_address(bureau: Bureau) -> str:
    take_complaints(bureau)
    return "/notices"


def _devices_address(bureau: Bureau) -> str:
    keep_devices(bureau)
    return "/devices"


_complaints = Place("/complaints", _complaints_address)
_complaint = Place("/complaints/{complaint_id}", lambda bureau: f"/complaints/{take_complaints(bureau)['said']}")
_notices = Place("/notices", _notices_address)
_devices = Place("/devices", _devices_address)
_device = Place("/devices/{device_id}", lambda bureau: f"/devices/{keep_devices(bureau)['BWC-0117']}")


def _about_case(bureau: Bureau) -> str:
    take_complaints(bureau)
    return f"/complaints?case={bureau.cases['main']}"


def _bad_complaint(page: Page, bureau: Bureau) -> None:
    del bureau
    page.click("#new-complaint > summary")
    page.select_option("#complaint-kind", "complaint")
    page.select_option("#complaint-channel", "hotline")
    page.fill("#complaint-says", said(page, "城管队员执法时态度生硬。", "The officers were rude."))
    page.fill("#complaint-case_number", "官综执罚〔2026〕第310号")
    page.fill("#complaint-certificate", "01169999")
    page.click("#new-complaint button.primary")
    page.wait_for_selector(".fault")


def _step(page: Page, bureau: Bureau) -> None:
    opened("step")(page, bureau)
    opened("link")(page, bureau)


def _bad_handover(page: Page, bureau: Bureau) -> None:
    del bureau
    page.click("#handover > summary")
    page.select_option("#handover-to", "officer")
    page.fill("#handover-certificate", "01160088")
    page.fill("#handover-battery_percent", "120")
    page.click("#handover button.primary")
    page.wait_for_selector(".fault")


def _try_list(page: Page, bureau: Bureau) -> None:
    del bureau
    rows = [
        "序列号,类型,型号,固件版本,单位,备注",
        "BWC-0201,执法记录仪,DSJ-V9,2.4.1,关上中队,",
        "BWC-0117,执法记录仪,DSJ-V9,2.4.1,北市区中队,",
        "BWC-0202,摄像头,DSJ-V9,,城南中队,",
    ]
    page.set_input_files(
        "#import-file", {"name": "设备.csv", "mimeType": "text/csv", "buffer": "\n".join(rows).encode()}
    )
    page.click("#import button[value=check]")
    page.wait_for_selector("#import-title ~ table")
    page.evaluate("document.activeElement.blur()")


OFFICE_SHOTS = (
    Shot("complaints", Role.SUPERVISOR, _complaints),
    Shot("complaints-390", Role.SUPERVISOR, _complaints, width=390),
    Shot("complaints-of-case", Role.SUPERVISOR, Place("/complaints", _about_case), languages=("zh",)),
    Shot("complaint-fault", Role.SUPERVISOR, _complaints, _bad_complaint, expected="422"),
    Shot("complaint", Role.SUPERVISOR, _complaint),
    Shot("complaint-step", Role.UNIT_HEAD, _complaint, _step),
    Shot("complaint-390", Role.SUPERVISOR, _complaint, width=390),
    Shot("complaint-dark", Role.SUPERVISOR, _complaint, dark=True, languages=("zh",)),
    Shot("devices", Role.UNIT_HEAD, _devices),
    Shot("devices-list", Role.UNIT_HEAD, _devices, _try_list, expected="422"),
    Shot("devices-390", Role.UNIT_HEAD, _devices, width=390, languages=("zh",)),
    Shot("device", Role.UNIT_HEAD, _device),
    Shot("device-handover", Role.UNIT_HEAD, _device, _bad_handover, expected="422"),
    Shot("device-390", Role.UNIT_HEAD, _device, opened("handover"), width=390),
    Shot("device-dark", Role.UNIT_HEAD, _device, dark=True, languages=("zh",)),
    Shot("notices", Role.SUPERVISOR, _notices),
    Shot("notices-none", Role.LEGAL_REVIEWER, "/notices", languages=("zh",)),
    Shot("notices-390", Role.SUPERVISOR, _notices, width=390, languages=("zh",)),
)
