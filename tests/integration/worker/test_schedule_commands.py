"""`liuhen schedules`: list, show, check, add."""

from pathlib import Path
from uuid import uuid4

from retention.schedules import shipped
from tests.integration.worker.test_cli import inside, liuhen, type_liuhen  # noqa: F401
from tests.support.archive_home import ArchiveHome

DEFAULT = (Path(shipped.__file__).parent / "default.toml").read_text("utf-8")


def test_a_schedule_from_a_file_is_a_draft(inside: ArchiveHome, liuhen: type_liuhen, tmp_path: Path) -> None:  # noqa: F811
    (line,) = liuhen("schedules", "list").out.splitlines()
    assert line.split()[:2] == ["default", "in_force"]
    shown = liuhen("schedules", "show").out
    assert liuhen("schedules", "show", "default").out == shown
    assert [row.split()[0] for row in shown.splitlines()][:3] == ["marked_evidence", "marked_major", "case_permanent"]
    assert "30 years" in shown
    assert "categories: coercion, penalty, permission, ruling" in shown
    assert "not filed" in shown
    own = tmp_path / "own.toml"
    own.write_text(DEFAULT.replace("years = 30", "years = 40", 1), "utf-8")
    assert liuhen("schedules", "check", str(own)).out.strip().endswith(": 7 rules")
    schedule_id = liuhen("schedules", "add", str(own)).out.strip()
    assert f"{schedule_id}  draft" in liuhen("schedules", "list").out
    assert "40 years" in liuhen("schedules", "show", schedule_id).out
    assert "40 years" not in liuhen("schedules", "show", "now").out, "nobody has put it in force"
    inside.assert_sound()


def test_what_is_wrong_or_odd_is_told(inside: ArchiveHome, liuhen: type_liuhen, tmp_path: Path) -> None:  # noqa: F811
    police = Path(shipped.__file__).parent / "police.toml"
    told = liuhen("schedules", "check", str(police)).out
    assert "look at: no rule is for these under cases of permission" in told
    assert "look at: no rule is for these where they are filed under no case: photo" in told
    both = tmp_path / "both.toml"
    extra = '[[rule]]\ncode = "late"\ntitle = { zh = "x", en = "x" }\nfiled = true\nmonths = 1\nbasis = "case_closed"\n'
    both.write_text(DEFAULT + extra + 'legal_basis = "x"\nfrom = 2026-01-01\n', "utf-8")
    assert "late never decides: case_10_years keeps at least as long" in liuhen("schedules", "check", str(both)).out
    bad = tmp_path / "bad.toml"
    bad.write_text(DEFAULT.replace("years = 30", "years = 0", 1), "utf-8")
    for command in ("check", "add"):
        liuhen("schedules", command, str(bad)).failed(78, "retention.schedule_file_invalid")
    liuhen("schedules", "show", str(uuid4())).failed(66, "retention.schedule_not_found")
    liuhen("schedules", "show", "x").failed(64, "input.invalid")
    assert inside.count("retention_schedule") == 0
