"""`liuhen subject` and `liuhen case open` on the command line, and what `doctor` says of the numbers' key."""

import os

from archive.access.policy import Role
from archive.cases.identifiers import Identifier, IdentifierKind
from archive.cases.subjects import NewSubject, record_subject
from archive.cases.terms import SubjectKind
from archive.complaints.complainants import Complainant, show_complainant
from archive.complaints.registering import NewComplaint, register_complaint
from archive.complaints.terms import Channel, ComplaintKind
from archive.doctor import examine
from archive.kernel.findings import Outcome
from archive.ledger.entries import OPERATOR
from tests.integration.worker.test_cli import inside, liuhen, type_liuhen  # noqa: F401
from tests.support.archive_home import ArchiveHome

RESIDENT = Identifier(IdentifierKind.RESIDENT_ID, "11010519491231002X")


def record(home: ArchiveHome) -> str:
    given = NewSubject("张三", SubjectKind.PERSON, RESIDENT)
    return str(record_subject(home.database, home.services.identifiers, given, by=OPERATOR, at=home.clock.now()))


def of_key(home: ArchiveHome) -> tuple[Outcome, str]:
    (found,) = [finding for finding in examine(home.services).findings if finding.code == "doctor.identifiers"]
    return found.outcome, found.where


def test_a_case_is_opened_for_somebody_on_record(inside: ArchiveHome, liuhen: type_liuhen) -> None:  # noqa: F811
    subject_id = record(inside)
    told = liuhen("subject", "find", "张")
    assert told.out == f"{subject_id}  person            0  张三  110***********002X\n"
    assert liuhen("case", "open", "1", "--title", "案", "--subject-id", subject_id).code == 0
    assert liuhen("case", "open", "2", "--title", "案", "--subject", "张三", "--subject-kind", "person").code == 0
    assert inside.rows("SELECT count(*) FROM subject") == [(2,)]
    assert liuhen("subject", "find", "没有").out == ""
    for subject in ([], ["--subject", "x", "--subject-id", subject_id], ["--subject-id", "x"]):
        liuhen("case", "open", "3", "--title", "案", *subject).failed(64, "input.invalid")
    liuhen(
        "case", "open", "3", "--title", "案", "--subject-id", subject_id[:-1] + ("1" if subject_id[-1] == "0" else "0")
    ).failed(66, "cases.subject_not_found")


def test_numbers_get_a_new_key(inside: ArchiveHome, liuhen: type_liuhen) -> None:  # noqa: F811
    record(inside)
    path = inside.path / "keys" / "subjects.key"
    first = path.read_text().splitlines()
    told = liuhen("subject", "rekey")
    assert told.code == 0, told.err
    assert told.out.endswith(": 1\n")
    assert path.read_text().splitlines()[:2] == first
    assert len(inside.services.identifiers.key_ids) == 2, "who runs beside it knows the new key"
    told = liuhen("subject", "rekey", "--forget")
    assert told.out.endswith("Older keys removed: 2\n")
    assert len(inside.services.identifiers.key_ids) == 1
    assert "110***********002X" in liuhen("subject", "find").out
    assert path.stat().st_mode & 0o777 == 0o600
    inside.sequence()
    inside.assert_sound()


def test_complainants_get_the_new_key_too(inside: ArchiveHome, liuhen: type_liuhen) -> None:  # noqa: F811
    by = inside.person(Role.UNIT_HEAD)
    somebody = Complainant("张三丰", "13812345678")
    at = inside.clock.now()
    given = NewComplaint(ComplaintKind.COMPLAINT, Channel.LETTER, at, "内容", by.unit_id, somebody)
    vault, rules = inside.services.identifiers, inside.services.complaints.rules
    complaint_id = register_complaint(inside.database, vault, rules, given, by=by, at=at)
    told = liuhen("subject", "rekey", "--forget")
    assert told.code == 0, told.err
    assert "Older keys removed: 1" in told.out
    shown = show_complainant(inside.database, vault, complaint_id, purpose="答复", by=by, at=inside.clock.now())
    assert shown == somebody


def test_a_rekeying_that_broke_off_is_gone_on_with(inside: ArchiveHome, liuhen: type_liuhen) -> None:  # noqa: F811
    record(inside)
    inside.services.identifiers.add_key()
    told = liuhen("subject", "rekey")
    assert told.out.endswith(": 1\n")
    assert len(inside.services.identifiers.key_ids) == 2, "no third key was made"


def test_doctor_tells_of_a_key_that_is_missing(inside: ArchiveHome) -> None:  # noqa: F811
    assert of_key(inside) == (Outcome.VALID, "")
    record(inside)
    assert of_key(inside) == (Outcome.VALID, "")
    vault, path = inside.services.identifiers, inside.path / "keys" / "subjects.key"
    (first,) = vault.key_ids
    kept = path.read_bytes()
    vault.add_key()
    vault.forget_keys(but=[])
    assert of_key(inside) == (Outcome.INVALID, first)
    path.unlink()
    assert of_key(inside)[0] is Outcome.INVALID
    path.write_bytes(kept)
    path.chmod(0o600)
    os.utime(path)
    assert of_key(inside) == (Outcome.VALID, "")
