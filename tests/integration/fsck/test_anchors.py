"""fsck finds what is done to the anchors, and what was done to the log behind them."""

import hashlib
import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from archive.kernel.findings import Outcome
from archive.ledger.anchor_chain import Link, parse_chain
from archive.ledger.append import append_entry
from archive.ledger.entries import OPERATOR, EntryType, NewEntry
from archive.ledger.tree import EMPTY_ROOT
from tests.support.archive_home import ArchiveHome, SteppedClock, flip


@pytest.fixture
def anchored(home: ArchiveHome) -> ArchiveHome:
    """Three anchors, a renewal, and one more anchor."""
    for number in range(4):
        with home.database.begin() as tx:
            for _ in range(2):
                append_entry(tx, NewEntry(EntryType.ADMIN_INIT, OPERATOR, detail={"n": number}), at=home.clock.now())
        home.sequence()
        if number == 3:
            home.services.anchors.renew()
        home.services.anchors.anchor()
    return home


def folder_of(home: ArchiveHome) -> Path:
    return home.path / "log" / "anchors"


def written(home: ArchiveHome) -> list[Path]:
    """Return the files whose bytes are bound; text around the certificates of issuers is not."""
    return [path for path in sorted(folder_of(home).iterdir()) if path.name != "issuers.pem"]


def found(home: ArchiveHome) -> dict[str, set[str]]:
    """Return what is not valid: places by code."""
    told: dict[str, set[str]] = {}
    for fault in home.faults():
        told.setdefault(fault.code, set()).add(fault.where)
    return told


def chain(home: ArchiveHome) -> list[Link]:
    return list(parse_chain((folder_of(home) / "chain.jsonl").read_bytes()))


def rewrite(home: ArchiveHome, change: Callable[[int, dict], None]) -> None:
    """Write the chain anew after a change, so that its lines follow each other again."""
    path, before, lines = folder_of(home) / "chain.jsonl", hashlib.sha512(b"").hexdigest(), []
    for number, line in enumerate(path.read_bytes().splitlines()):
        told = json.loads(line)
        change(number, told)
        told["prev"] = before
        lines.append(json.dumps(told, separators=(",", ":"), sort_keys=True).encode() + b"\n")
        before = hashlib.sha512(lines[-1]).hexdigest()
    path.write_bytes(b"".join(lines))


def test_a_sound_archive_is_sound(anchored: ArchiveHome) -> None:
    anchored.assert_sound()
    told = [each.message for each in anchored.fsck().findings if each.code == "fsck.anchors"]
    assert told == ["5 timestamps are over checkpoints of this log and follow each other"]


def test_a_flipped_bit_in_any_file_is_found(anchored: ArchiveHome) -> None:
    for path in written(anchored):
        before = path.read_bytes()
        for at in (0, len(before) // 3, len(before) - 2):
            flip(path, at=at)
            assert any(path.name in where for places in found(anchored).values() for where in places), (path, at)
            path.write_bytes(before)
    anchored.assert_sound()


def test_a_missing_file_is_found(anchored: ArchiveHome) -> None:
    for path in written(anchored):
        if path.name != "chain.jsonl":
            before = path.read_bytes()
            path.unlink()
            assert f"log/anchors/{path.name}" in found(anchored)["fsck.anchor_file"]
            path.write_bytes(before)
    (folder_of(anchored) / "chain.jsonl").unlink()
    assert found(anchored).keys() == {"fsck.anchor_extra"}


def test_what_a_crash_leaves_is_no_fault_and_what_nobody_left_is_one(anchored: ArchiveHome) -> None:
    folder, last = folder_of(anchored), chain(anchored)[-1]
    left = [f"{last.size + 1}.ckpt", f"{last.size + 1}.tsr"], [f"renewal-{last.n + 1}.tsr"]
    with (folder / "chain.jsonl").open("ab") as file:
        file.write(b'{"ckpt"')
    (folder / ".9.ckpt.ab.tmp").write_bytes(b"half")
    for names in left:
        for name in names:
            (folder / name).write_bytes(b"half")
        anchored.assert_sound()
        for name in names:
            (folder / name).unlink()
    for name in ("1.tsr", f"renewal-{last.n + 2}.tsr", "readme", "1.ckpt.old"):
        (folder / name).write_bytes(b"x")
    assert found(anchored) == {
        "fsck.anchor_extra": {
            f"log/anchors/{name}" for name in ("1.tsr", f"renewal-{last.n + 2}.tsr", "readme", "1.ckpt.old")
        }
    }


def test_swapped_tokens_are_found_also_under_a_chain_made_anew(anchored: ArchiveHome) -> None:
    first, second = chain(anchored)[:2]
    folder = folder_of(anchored)
    one, two = (folder / first.token_name), (folder / second.token_name)
    before = one.read_bytes()
    one.unlink()
    shutil.copyfile(two, one)
    two.unlink()
    two.write_bytes(before)
    assert "fsck.anchor_file" in found(anchored)

    def change(number: int, told: dict) -> None:
        if number < 2:
            told["tsr"] = hashlib.sha512((one, two)[number].read_bytes()).hexdigest()

    rewrite(anchored, change)
    places = {f"log/anchors/{link.token_name}" for link in (first, second)}
    # The renewal was over the old line: it gives the new chain away too.
    assert found(anchored)["fsck.anchor_token"] == places | {"log/anchors/renewal-4.tsr"}


def test_a_checkpoint_that_the_log_does_not_have_any_more_is_found(anchored: ArchiveHome) -> None:
    link = chain(anchored)[1]
    root = hashlib.sha256(b"another").digest() if anchored.database.is_sqlite else EMPTY_ROOT
    anchored.execute("UPDATE log_checkpoint SET note = 'x', root = :root WHERE size = :size", root=root, size=link.size)
    assert f"log/anchors/{link.size}.ckpt" in found(anchored)["fsck.anchor_checkpoint"]


def test_a_time_before_the_checkpoint_was_made_is_found(anchored: ArchiveHome) -> None:
    link = chain(anchored)[2]
    later = link.at + timedelta(minutes=4)
    anchored.execute(
        "UPDATE log_checkpoint SET issued_at = :at WHERE size = :size",
        at=later.replace(tzinfo=None) if anchored.database.is_sqlite else later,
        size=link.size,
    )
    assert "fsck.anchor_time" not in found(anchored)
    later += timedelta(minutes=2)
    anchored.execute(
        "UPDATE log_checkpoint SET issued_at = :at WHERE size = :size",
        at=later.replace(tzinfo=None) if anchored.database.is_sqlite else later,
        size=link.size,
    )
    assert found(anchored)["fsck.anchor_time"] == {f"log/anchors/{link.size}.ckpt"}


CHANGES: dict[str, Callable[[int, dict], None]] = {
    "another time": lambda number, told: told.update(time="2020-01-01T00:00:00.000000Z") if number == 1 else None,
    "another number": lambda number, told: told.update(n=9) if number == 1 else None,
    "another size": lambda number, told: told.update(size=2**40) if number == 0 else None,
    "another kind": lambda number, told: told.update(kind="other") if number == 2 else None,
    "no digest": lambda number, told: told.pop("ckpt") if number == 2 else None,
    "a size that is text": lambda number, told: told.update(size="1") if number == 0 else None,
    "a renewal of nothing": lambda number, told: told.update(kind="renewal") if number == 0 else None,
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_chain_made_anew_with_other_words_is_found(anchored: ArchiveHome, name: str) -> None:
    rewrite(anchored, CHANGES[name])
    assert any(
        fault.outcome is Outcome.INVALID and fault.code.startswith("fsck.anchor_") for fault in anchored.faults()
    )


def test_without_the_root_the_times_are_left_open(anchored: ArchiveHome) -> None:
    (anchored.path / "ca" / "root.cert.pem").unlink()
    (folder_of(anchored) / "issuers.pem").unlink()
    told = [each for each in anchored.faults() if each.code.startswith("fsck.anchor")]
    assert {each.code for each in told} == {"fsck.anchor_untrusted"}
    assert {each.outcome for each in told} == {Outcome.INDETERMINATE}


def test_issuers_that_cannot_be_read_are_told(anchored: ArchiveHome) -> None:
    path = folder_of(anchored) / "issuers.pem"
    for broken in (b"\xff", path.read_bytes().replace(b"\nMI", b"\nMJ", 1)):
        path.write_bytes(broken)
        assert found(anchored)["fsck.anchor_file"] == {"log/anchors/issuers.pem"}


def test_an_authority_of_somebody_else_is_not_trusted(
    anchored: ArchiveHome, clock: SteppedClock, tmp_path: Path
) -> None:
    from signing.authority import EmbeddedAuthority
    from signing.tsa import EmbeddedTsa

    other = EmbeddedAuthority.create(
        tmp_path / "other", organisation="Liuhen", valid_from=clock.now() - timedelta(days=1)
    )
    link = chain(anchored)[-1]
    path = folder_of(anchored) / link.token_name
    path.chmod(0o644)
    note = (folder_of(anchored) / link.checkpoint_name).read_bytes()
    path.write_bytes(EmbeddedTsa(other, clock).token(hashlib.sha256(note).digest()))
    rewrite(
        anchored,
        lambda number, told: told.update(tsr=hashlib.sha512(path.read_bytes()).hexdigest()) if number == 4 else None,
    )
    assert any(each.where == f"log/anchors/{link.token_name}" for each in anchored.faults())
