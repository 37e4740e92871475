"""Inventories: what is written, and what is refused when read."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from ocfl import InventoryValidator

from archive.kernel.digests import CN_PROFILE, Hasher, digest_of
from archive.kernel.errors import InvalidInput
from archive.ocfl.errors import BrokenInventory, FileMissing, PathTaken
from archive.ocfl.inventory import Inventory, NewFile, VersionUser, next_version, parse_inventory
from archive.ports.blobs import BadKey
from tests.unit.ocfl.objects import AT, LATER, OBJECT_ID, OTHER_ID, USER

FILES = [NewFile.of_bytes("original/现场.mp4", b"film"), NewFile.of_bytes("original/m.json", b"{}")]


def first(files: list[NewFile] | None = None) -> Inventory:
    return next_version(None, OBJECT_ID, FILES if files is None else files, message="接收", user=USER, at=AT)


def second() -> Inventory:
    more = [NewFile.of_bytes("original/m.json.tsr", b"token"), NewFile.of_bytes("copy", b"film")]
    return next_version(first(), OBJECT_ID, more, message="later", user=USER, at=LATER)


def test_what_is_written_is_read_again() -> None:
    for inventory in (first(), second()):
        raw = inventory.to_bytes()
        assert parse_inventory(raw, object_id=OBJECT_ID) == inventory
        assert parse_inventory(raw, object_id=OBJECT_ID).to_bytes() == raw
        assert InventoryValidator().validate(json.loads(raw))
        assert "现场".encode() in raw


def test_the_bytes_of_an_inventory_never_change() -> None:
    """Earlier inventories are held against what the newest says of them, byte by byte: the form is final."""
    assert hashlib.sha256(second().to_bytes()).hexdigest() == (
        "35ae724c12e3c58eca3a6133e93b3392c64555956ea4bd0381bed5714aa8cb84"
    )


def test_a_version_keeps_what_was_there() -> None:
    assert second().head == 2
    assert second().as_of(1) == first()
    assert first().state.items() <= second().state.items()
    assert second().content_path("original/现场.mp4") == "v1/content/original/现场.mp4"
    assert second().content_path("copy") == "v2/content/copy"
    with pytest.raises(FileMissing):
        first().content_path("copy")


def test_sm3_is_left_to_the_item_manifest() -> None:
    """ocfl-py refuses a fixity block with an algorithm that the specification does not name (E056)."""
    hasher = Hasher(CN_PROFILE)
    hasher.update(b"film")
    inventory = first([NewFile("a", b"film", hasher.digests())])
    document = json.loads(inventory.to_bytes())
    assert set(document["fixity"]) == {"sha256"}
    document["fixity"]["sm3"] = {"00" * 32: ["v1/content/a"]}
    assert not InventoryValidator().validate(document)


def test_only_content_makes_other_work() -> None:
    again = next_version(None, OBJECT_ID, FILES, message="again", user=VersionUser("x", "urn:x:y"), at=LATER)
    assert again.is_same_work(first())
    assert not first(FILES[:1]).is_same_work(first())
    assert not second().is_same_work(first())


def test_a_version_adds_and_never_replaces() -> None:
    for data in (b"film", b"other"):
        with pytest.raises(PathTaken):
            next_version(first(), OBJECT_ID, [NewFile.of_bytes("original/m.json", data)], message="", user=USER, at=AT)


@pytest.mark.parametrize("paths", [[], ["a", "a"], ["a", "a/b"], ["x/y/z", "x/y"]])
def test_files_that_do_not_fit_together_are_refused(paths: list[str]) -> None:
    with pytest.raises(InvalidInput):
        first([NewFile.of_bytes(path, b"") for path in paths])


@pytest.mark.parametrize("path", ["", "/a", "a/", "../a", "a/../b", "a//b", "a\0", "a\u0007", "a\\b", "\ud800"])
def test_bad_logical_paths_are_refused(path: str) -> None:
    with pytest.raises(BadKey):
        NewFile.of_bytes(path, b"")


def test_bytes_with_other_digests_are_refused() -> None:
    with pytest.raises(InvalidInput):
        NewFile("a", b"film", digest_of(b"another"))
    assert NewFile("a", Path("staged"), digest_of(b"film")).digests == digest_of(b"film")


@pytest.mark.parametrize(
    ("name", "address"), [("", "urn:a:b"), ("a", ""), ("a", "no uri"), ("a", "urn:"), ("\ud800", "urn:a:b")]
)
def test_a_user_has_a_name_and_a_uri(name: str, address: str) -> None:
    with pytest.raises(InvalidInput):
        VersionUser(name, address)


def test_a_message_is_text() -> None:
    with pytest.raises(InvalidInput):
        next_version(None, OBJECT_ID, FILES, message="\ud800", user=USER, at=AT)


DIGEST = "0" * 128


CHANGES: list[tuple[tuple[str, ...], Any]] = [
    (("id",), "urn:uuid:01950000-0000-7000-8000-000000000002"),
    (("type",), "https://ocfl.io/1.0/spec/#inventory"),
    (("digestAlgorithm",), "sha256"),
    (("contentDirectory",), "content"),
    (("head",), "v1"),
    (("head",), 2),
    (("manifest",), []),
    (("manifest",), {}),
    (
        (
            "manifest",
            DIGEST,
        ),
        ["v1/content/more"],
    ),
    (
        (
            "manifest",
            "0",
        ),
        ["v1/content/more"],
    ),
    (
        (
            "manifest",
            DIGEST,
        ),
        [],
    ),
    (
        (
            "manifest",
            DIGEST,
        ),
        ["v3/content/more"],
    ),
    (
        (
            "manifest",
            DIGEST,
        ),
        ["v1/elsewhere/more"],
    ),
    (
        (
            "manifest",
            DIGEST,
        ),
        ["../../etc/passwd"],
    ),
    (
        (
            "manifest",
            DIGEST,
        ),
        [["v1/content/more"]],
    ),
    (("fixity",), {}),
    (
        (
            "fixity",
            "md5",
        ),
        {},
    ),
    (
        (
            "fixity",
            "sha256",
        ),
        {},
    ),
    (("versions",), {}),
    (("versions",), []),
    (
        (
            "versions",
            "v3",
        ),
        {},
    ),
    (
        (
            "versions",
            "v1",
            "state",
        ),
        {},
    ),
    (
        (
            "versions",
            "v2",
            "state",
        ),
        {},
    ),
    (
        (
            "versions",
            "v2",
            "state",
            DIGEST,
        ),
        ["more"],
    ),
    (
        (
            "versions",
            "v1",
            "created",
        ),
        "yesterday",
    ),
    (
        (
            "versions",
            "v1",
            "created",
        ),
        "2026-01-01T00:00:00",
    ),
    (
        (
            "versions",
            "v1",
            "message",
        ),
        None,
    ),
    (
        (
            "versions",
            "v1",
            "user",
        ),
        "me",
    ),
    (
        (
            "versions",
            "v1",
            "user",
            "address",
        ),
        "nowhere",
    ),
    (
        (
            "versions",
            "v1",
            "more",
        ),
        1,
    ),
]


@pytest.mark.parametrize("number", range(len(CHANGES)))
def test_an_inventory_that_does_not_hold_together_is_refused(number: int) -> None:
    path, value = CHANGES[number]
    document = block = json.loads(second().to_bytes())
    for step in path[:-1]:
        block = block[step]
    block[path[-1]] = value
    with pytest.raises(BrokenInventory):
        parse_inventory(json.dumps(document).encode(), object_id=OBJECT_ID)


@pytest.mark.parametrize("raw", [b"", b"{", b"null", b"[]", b'{"a":1,"a":1}', b"\xff", b"[" * 100_000])
def test_what_is_no_inventory_is_refused(raw: bytes) -> None:
    with pytest.raises(BrokenInventory):
        parse_inventory(raw, object_id=OBJECT_ID)


def test_an_inventory_of_another_object_is_refused() -> None:
    with pytest.raises(BrokenInventory):
        parse_inventory(first().to_bytes(), object_id=OTHER_ID)
