"""The operator's commands about keys of other systems: units, last use, hashing with a new key of the house."""

from archive.access.api_keys import renew_hash
from archive.kernel.ids import UnitId
from archive.ledger.entries import OPERATOR
from archive.organisation.models import FIRST_UNIT
from archive.organisation.units import record_unit
from tests.integration.worker.test_cli import inside, liuhen, type_liuhen  # noqa: F401
from tests.support.archive_home import ArchiveHome

ISSUE = ("keys", "issue", "--system", "cms", "--scope", "items.read")


def unit(home: ArchiveHome) -> UnitId:
    at = home.clock.now()
    return record_unit(home.database, parent_id=UnitId(FIRST_UNIT), code="02", name="北市区中队", by=OPERATOR, at=at)


def test_a_system_is_in_the_unit_that_is_named(inside: ArchiveHome, liuhen: type_liuhen) -> None:  # noqa: F811
    unit_id = unit(inside)
    assert liuhen(*ISSUE, "--unit", "1/02").code == 0
    assert f'"unit": "{unit_id}"' in liuhen("keys", "list", "--json").out
    assert "used -" in liuhen("keys", "list").out
    assert liuhen("keys", "move", "--system", "cms", "--unit", "1").code == 0
    assert f'"unit": "{FIRST_UNIT}"' in liuhen("keys", "list", "--json").out
    assert "admin.integration_changed" in inside.types()
    liuhen("keys", "move", "--system", "cms", "--unit", "1/nowhere").failed(66, "organisation.unit_not_found")
    liuhen("keys", "move", "--system", "nobody", "--unit", "1").failed(66, "access.integration_not_found")
    liuhen("keys", "issue", "--system", "x", "--scope", "items.read", "--unit", "no/such").failed(
        66, "organisation.unit_not_found"
    )


def test_keys_are_hashed_anew_when_they_are_used(inside: ArchiveHome, liuhen: type_liuhen) -> None:  # noqa: F811
    key = liuhen(*ISSUE).out.strip()
    assert liuhen("keys", "rotate").out.endswith("until they are used: 1\n")
    assert "Older keys removed: 0" in liuhen("keys", "rotate", "--forget").out, "it is still in use"
    renew_hash(inside.database, key)
    told = liuhen("keys", "rotate", "--forget").out
    assert "Older keys removed: 1" in told
    assert told.endswith("until they are used: 0\n")
