"""The plan of a repair: whatever is damaged, what it names and nothing else makes the object the good one again."""

from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.kernel.digests import DigestSet, digest_of
from archive.kernel.findings import Report, invalid
from archive.kernel.ids import ObjectId
from archive.ocfl.inventory import Inventory, NewFile, VersionUser, next_version
from archive.ocfl.validation import Examined
from retention.rounds.mending_plan import CopyBehind, plan, texts_of

OBJECT_ID = ObjectId(UUID("01934f3e-8a8e-7c3a-9c8f-3f1b1f0a5d11"))
USER = VersionUser("liuhen", "urn:liuhen:archive")
AT = datetime(2026, 11, 30, tzinfo=UTC)
Files = Mapping[str, bytes]


def inventory(versions: int, salt: str = "") -> Inventory:
    """An object that got two files with its first version and one with each later one."""
    made = None
    for number in range(1, versions + 1):
        names = ["original/a.mp4", "metadata/manifest.json"] if number == 1 else [f"extended/{number}.txt"]
        files = [NewFile.of_bytes(name, f"{name}{salt}".encode()) for name in names]
        made = next_version(made, OBJECT_ID, files, message="m", user=USER, at=AT)
    assert made is not None
    return made


def stored(of: Inventory, salt: str = "") -> dict[str, bytes]:
    """Every file of such an object."""
    content = {path: f"{path.split('/', 2)[2]}{salt}".encode() for path in of.manifest}
    return {**content, **dict(texts_of(of))}


def examined(files: Files, of: Inventory | None, strays: list[str] | None = None) -> Examined:
    """What reading such files shows, where the inventory could be read or not."""
    is_content = {path: "/content/" in path for path in files}
    digests: dict[str, DigestSet] = {
        path: digest_of(data)
        for path, data in files.items()
        if is_content[path] and of is not None and path in of.manifest
    }
    small = {path: data for path, data in files.items() if not is_content[path]}
    faults = [invalid("ocfl.extra_file", "x", path) for path in strays or []]
    return Examined(Report(tuple(faults)), of, digests, small)


HEADS = st.integers(1, 3)


@given(head=HEADS, damage=st.data(), has_inventory=st.booleans())
def test_mending_makes_it_the_good_one(head: int, damage: st.DataObject, has_inventory: bool) -> None:
    good = inventory(head)
    whole = stored(good)
    lost = damage.draw(st.sets(st.sampled_from(sorted(whole))))
    rotten = damage.draw(st.sets(st.sampled_from(sorted(whole))))
    present = {path: b"?" + data if path in rotten else data for path, data in whole.items() if path not in lost}
    found = plan(
        examined(present, good if has_inventory else None),
        examined(whole, good),
        least_head=head,
        is_current=True,
        look=lambda path: digest_of(present[path]) if path in present else None,
    )
    for file in found.files:
        data = file.data if file.data is not None else whole[file.path]
        assert (file.size_bytes, file.sha512) == (len(data), digest_of(data).sha512.hex)
        present[file.path] = data
    assert present == whole
    assert {file.path for file in found.files} == lost | rotten, "and nothing else is touched"
    assert found.strays == []


@given(have=HEADS, copied=HEADS)
def test_a_copy_that_lacks_a_version_mends_what_it_has(have: int, copied: int) -> None:
    present, good = inventory(have), inventory(copied)
    files = stored(present)
    files["v1/content/original/a.mp4"] = b"rotten"
    newest = max(have, copied)
    found = plan(
        examined(files, present), examined(stored(good), good), least_head=newest, is_current=False, look=lambda _: None
    )
    assert "v1/content/original/a.mp4" in {file.path for file in found.files}
    wanted = stored(inventory(newest))
    for file in found.files:
        files[file.path] = file.data if file.data is not None else stored(good)[file.path]
    assert files == wanted


@given(head=st.integers(2, 3))
def test_what_the_copy_lacks_is_not_made_up(head: int) -> None:
    present, good = inventory(head), inventory(head - 1)
    files = stored(present)
    del files[f"v{head}/content/extended/{head}.txt"]
    with pytest.raises(CopyBehind):
        plan(examined(files, present), examined(stored(good), good), least_head=1, is_current=True, look=lambda _: None)
    with pytest.raises(CopyBehind):
        plan(examined({}, None), examined(stored(good), good), least_head=1, is_current=False, look=lambda _: None)
    with pytest.raises(CopyBehind):
        plan(examined({}, None), examined(stored(good), good), least_head=head, is_current=True, look=lambda _: None)
    with pytest.raises(CopyBehind):
        plan(examined(files, present), examined({}, None), least_head=1, is_current=True, look=lambda _: None)


@given(head=HEADS)
def test_two_that_contradict_each_other(head: int) -> None:
    present, good = inventory(head, "forged"), inventory(head)
    files, whole = stored(present, "forged"), stored(good)
    for is_current in (True, False):
        asked = (examined(files, present), examined(whole, good))
        if not is_current:
            with pytest.raises(CopyBehind):
                plan(*asked, least_head=head, is_current=is_current, look=lambda _: None)
            continue
        found = plan(*asked, least_head=head, is_current=is_current, look=lambda _: None)
        names = {file.path for file in found.files}
        assert names == {path for path, data in whole.items() if files.get(path) != data}


def test_strangers_are_named_and_what_a_writer_is_at_is_not() -> None:
    good = inventory(1)
    strays = ["v1/content/original/b.mp4", "inventory.json", "v2/content/x", "notes.txt"]
    found = plan(
        examined(stored(good), good, strays), examined(stored(good), good), least_head=1, is_current=True,
        look=lambda _: None,
    )  # fmt: skip
    assert list(found.strays) == ["v1/content/original/b.mp4", "notes.txt"]
    assert list(found.files) == []
