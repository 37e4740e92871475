"""Verify now: every byte is read again, the outcome is logged, and each kind of change is named."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import update

from archive.custody.models import PreservedObject
from archive.evidence.models import EvidenceItem
from archive.kernel.digests import digest_of
from archive.kernel.findings import Outcome, Report
from archive.kernel.ids import ObjectId
from archive.ledger.entries import OPERATOR
from archive.ocfl.inventory import NewFile, VersionUser
from retention.fixity import check_fixity
from tests.support.archive_home import ArchiveHome, flip

Deliver = Callable[..., ObjectId]


def check(home: ArchiveHome, object_id: ObjectId) -> Report:
    return check_fixity(home.services.fixity, object_id, by=OPERATOR)


def folder_of(home: ArchiveHome, object_id: ObjectId) -> Path:
    return home.file_of(object_id, "original/a.mp4").parents[3]


def faults(report: Report) -> set[tuple[str, str]]:
    return {(found.code, found.where) for found in report.findings if found.outcome is not Outcome.VALID}


def test_what_is_untouched_is_valid_before_and_after_it_is_sequenced(home: ArchiveHome, deliver: Deliver) -> None:
    object_id = deliver(b"footage")
    assert check(home, object_id).outcome is Outcome.VALID
    home.sequence()
    report = check(home, object_id)
    assert report.outcome is Outcome.VALID
    assert {"fixity.original", "fixity.entry", "signature.valid"} <= {found.code for found in report.findings}
    assert home.types()[-2:] == ["fixity.ok", "fixity.ok"]
    home.sequence()
    home.assert_sound()


def test_every_bit_of_every_file_counts(home: ArchiveHome, deliver: Deliver) -> None:
    object_id = deliver(b"footage")
    home.sequence()
    folder = folder_of(home, object_id)
    unseen = []
    for path in [path for path in sorted(folder.rglob("*")) if path.is_file()]:
        before = path.read_bytes()
        for at in {0, len(before) // 2, len(before) - 1}:
            flip(path, at=at)
            report = check(home, object_id)
            named = {found.where for found in report.findings if found.outcome is Outcome.INVALID}
            if str(path.relative_to(folder)) not in named:
                unseen.append((path.name, at, named))
            path.write_bytes(before)
    assert unseen == []
    assert check(home, object_id).outcome is Outcome.VALID
    checks = [kind for kind in home.types() if kind.startswith("fixity.")]
    assert checks.count("fixity.ok") == 1
    home.sequence()
    home.assert_sound()


def test_every_file_that_is_gone_is_named(home: ArchiveHome, deliver: Deliver) -> None:
    object_id = deliver(b"footage")
    folder = folder_of(home, object_id)
    for path in [path for path in sorted(folder.rglob("*")) if path.is_file()]:
        before = path.read_bytes()
        path.unlink()
        report = check(home, object_id)
        assert report.outcome is Outcome.INVALID
        assert str(path.relative_to(folder)) in {found.where for found in report.findings}
        path.write_bytes(before)
    (folder / "inventory.json").unlink()
    (folder / "0=ocfl_object_1.1").unlink()
    assert check(home, object_id).outcome is Outcome.INVALID


def test_an_object_that_is_gone_altogether(home: ArchiveHome, deliver: Deliver) -> None:
    object_id = deliver(b"footage")
    folder_of(home, object_id).rename((home.raw / "store").with_name("elsewhere"))
    report = check(home, object_id)
    assert report.outcome is Outcome.INVALID
    assert {"ocfl.object_missing", "fixity.original_missing", "fixity.manifest_missing"} <= {
        found.code for found in report.findings
    }


@pytest.mark.files("a bucket has no links")
def test_a_file_that_cannot_be_read_is_indeterminate(home: ArchiveHome, deliver: Deliver) -> None:
    """A file that is no file of the store's own: reading it must not be mistaken for reading the original."""
    object_id = deliver(b"footage")
    original = home.file_of(object_id, "original/a.mp4")
    original.rename(home.path / "elsewhere")
    original.symlink_to(home.path / "elsewhere")
    report = check(home, object_id)
    assert report.outcome is not Outcome.VALID
    assert home.types()[-1] == "fixity.fail"


@pytest.mark.parametrize("column", ["sha256", "sha512", "size_bytes"])
def test_a_catalogue_that_says_something_else(home: ArchiveHome, deliver: Deliver, column: str) -> None:
    object_id = deliver(b"footage")
    other = digest_of(b"other footage")
    values = {"sha256": other.sha256.hex, "sha512": other.sha512.hex, "size_bytes": 13}
    with home.database.begin() as tx:
        tx.execute(update(PreservedObject).values({column: values[column]}))
    report = check(home, object_id)
    assert {"fixity.original_changed", "fixity.manifest_differs", "fixity.entry_differs"} <= {
        code for code, _ in faults(report)
    }


def test_an_original_that_was_replaced_with_everything_that_speaks_of_it(home: ArchiveHome, deliver: Deliver) -> None:
    """Store and catalogue agree with each other: the signed manifest and the log do not."""
    object_id = deliver(b"footage")
    home.sequence()
    forged = digest_of(b"forged footage")
    kept = {
        name: home.file_of(object_id, f"metadata/{name}").read_bytes()
        for name in ("dock-manifest.json", "dock-manifest.json.sig", "manifest.json", "manifest.json.p7s")
    }
    folder_of(home, object_id).rename((home.raw / "store").with_name("elsewhere"))
    home.services.objects.create_object(
        object_id,
        [
            NewFile("original/a.mp4", b"forged footage", forged),
            *(NewFile(f"metadata/{name}", data, digest_of(data)) for name, data in kept.items()),
        ],
        message="Taken in from a dock",
        user=VersionUser("liuhen", "urn:liuhen:archive"),
        at=home.clock.now(),
    )
    with home.database.begin() as tx:
        values = {"sha512": forged.sha512.hex}
        tx.execute(update(EvidenceItem).values(values))
        tx.execute(update(PreservedObject).values(values | {"sha256": forged.sha256.hex, "size_bytes": 14}))
    report = check(home, object_id)
    assert {code for code, _ in faults(report)} == {"fixity.manifest_differs", "fixity.entry_differs"}
    assert report.outcome is Outcome.INVALID


def test_a_log_entry_that_was_rewritten(home: ArchiveHome, deliver: Deliver) -> None:
    object_id = deliver(b"footage")
    home.sequence()
    ((entry_id, body),) = home.rows(
        "SELECT e.id, e.body FROM log_entry e JOIN custody_event c ON c.entry_id = e.id WHERE c.type = 'object.preserved'"
    )
    for forged, code in (
        (bytes(body).replace(b'"v":1', b'"v":2'), "fixity.entry_not_in_log"),
        (bytes(body).replace(b'"size":7', b'"size":8'), "fixity.entry_not_in_log"),
        (b"{}", "fixity.entry_differs"),
        (b"\xff", "fixity.entry_differs"),
    ):
        home.execute("UPDATE log_entry SET body = :body WHERE id = :id", body=forged, id=entry_id)
        assert code in {found for found, _ in faults(check(home, object_id))}
    home.execute("DELETE FROM custody_event WHERE type = 'object.preserved'")
    assert "fixity.entry_missing" in {found for found, _ in faults(check(home, object_id))}


def test_the_outcome_is_in_the_log_with_what_was_found(home: ArchiveHome, deliver: Deliver) -> None:
    object_id = deliver(b"footage")
    flip(home.file_of(object_id, "original/a.mp4"))
    check(home, object_id)
    entry = home.entries()[-1]
    assert (entry["type"], entry["obj"]["id"], entry["dig"]) == (
        "fixity.fail", str(object_id), digest_of(b"footage").as_json(),
    )  # fmt: skip
    (detail,) = home.rows("SELECT detail FROM log_detail ORDER BY entry_id DESC LIMIT 1")
    assert b"original/a.mp4" in bytes(detail[0])
    assert b'"outcome":"invalid"' in bytes(detail[0])
