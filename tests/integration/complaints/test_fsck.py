"""What is changed behind the archive's back is found against the log."""

import pytest

from archive.complaints.steps import assign_complaint
from archive.complaints.terms import State
from tests.integration.complaints.conftest import Office
from tests.integration.complaints.test_complaints import go_on
from tests.support.archive_home import ArchiveHome


@pytest.mark.parametrize(
    "change",
    ["state = 'closed'", "number = '投〔2026〕00009号'", "kind = 'report'", "responsible_id = NULL", "channel = 'x'"],
)
def test_a_changed_complaint_is_found(office: Office, home: ArchiveHome, change: str) -> None:
    head = office.person("head", unit=office.team)
    complaint_id = office.register(head)
    assign_complaint(home.database, complaint_id, head.account_id, by=head, at=home.clock.now())
    go_on(office, complaint_id, State.ACCEPTED, by=head)
    home.assert_sound()
    assert home.execute(f"UPDATE complaint SET {change}") == 1
    assert {fault.code for fault in home.faults()} == {"fsck.row_changed"}
