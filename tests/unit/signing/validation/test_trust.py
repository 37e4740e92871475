"""Trust lists as files: what a good one gives, and that each fault in one is an error that names its line."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from signing.validation.trust import SIGNERS, STAMPERS, Purpose, Trusted, TrustList, TrustListBroken, load_trust
from tests.support import signed_pdfs as made
from tests.support.signed_pdfs import World

GOOD = """version = 1

[[trusted]]
name = "Provincial CA"
for = ["people", "agencies"]
from = 2026-01-01T00:00:00Z
until = 2030-01-01T08:00:00+08:00
source = "handed over on paper"
certificate = "root.pem"

[[trusted]]
name = "Time"
for = ["timestamps"]
from = 2026-01-01T00:00:00Z
source = "fingerprint compared by telephone"
certificate = "root.pem"
self_issued = true
"""


@pytest.fixture
def folder(tmp_path: Path, world: World) -> Path:
    (tmp_path / "root.pem").write_bytes(world.root.certificate.public_bytes(Encoding.PEM))
    (tmp_path / "leaf.pem").write_bytes(world.officer.certificate.public_bytes(Encoding.PEM))
    (tmp_path / "two.pem").write_bytes(2 * world.root.certificate.public_bytes(Encoding.PEM))
    (tmp_path / "damaged.pem").write_bytes(world.root.certificate.public_bytes(Encoding.PEM).replace(b"M", b"N"))
    (tmp_path / "trust.toml").write_text(GOOD, "utf-8")
    return tmp_path


def test_a_good_list(folder: Path, world: World) -> None:
    people, time = load_trust(folder).entries
    assert (people.name, people.purposes) == ("Provincial CA", {Purpose.PEOPLE, Purpose.AGENCIES})
    assert people.trusted_until == datetime(2030, 1, 1, tzinfo=UTC)
    assert (people.certificate, people.is_self_issued) == (world.root.certificate, False)
    assert (time.purposes, time.trusted_until, time.is_self_issued) == ({Purpose.TIMESTAMPS}, None, True)


def test_a_list_serves_its_purposes_in_its_time(folder: Path) -> None:
    trust = load_trust(folder)
    at = datetime(2029, 1, 1, tzinfo=UTC)
    assert [each.name for each in trust.holding(SIGNERS, at)] == ["Provincial CA"]
    assert [each.name for each in trust.holding(STAMPERS, at)] == ["Time"]
    assert trust.holding(SIGNERS, datetime(2030, 1, 1, tzinfo=UTC)) == []
    assert trust.holding(STAMPERS, datetime(2025, 1, 1, tzinfo=UTC)) == []


def test_no_list_trusts_nobody_but_the_embedded_authority(tmp_path: Path, world: World) -> None:
    assert load_trust(tmp_path).entries == ()
    (own,) = load_trust(tmp_path, root=world.root.certificate).entries
    assert (own.is_self_issued, own.purposes) == (True, {Purpose.ALL})


def test_it_survives_the_way_into_the_sandbox(folder: Path, world: World) -> None:
    trust = load_trust(folder, root=world.root.certificate)
    assert TrustList.from_json(trust.as_json()) == trust


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ('name = "Provincial CA"', 'name = ""', 4),
        ('name = "Provincial CA"', "name = 5", 4),
        ('name = "Time"', 'name = "Time" x', 12),
        ('for = ["people", "agencies"]', 'for = ["everybody"]', 5),
        ('for = ["people", "agencies"]', 'for = "people"', 5),
        ('for = ["timestamps"]', "for = []", 13),
        ("from = 2026-01-01T00:00:00Z\nuntil", "from = 2026-01-01\nuntil", 6),
        ("from = 2026-01-01T00:00:00Z\nuntil", "from = 2026-01-01T00:00:00\nuntil", 6),
        ("until = 2030-01-01T08:00:00+08:00", "until = 2020-01-01T08:00:00+08:00", 7),
        ('source = "handed over on paper"', 'source = " "', 8),
        ('source = "handed over on paper"\n', "", 3),
        ('certificate = "root.pem"\n\n', 'certificate = "../root.pem"\n\n', 9),
        ('certificate = "root.pem"\n\n', 'certificate = "none.pem"\n\n', 9),
        ('certificate = "root.pem"\n\n', 'certificate = "damaged.pem"\n\n', 9),
        ('certificate = "root.pem"\n\n', 'certificate = "leaf.pem"\n\n', 9),
        ('certificate = "root.pem"\n\n', 'certificate = "two.pem"\n\n', 9),
        ("self_issued = true", 'self_issued = "yes"', 17),
        ("self_issued = true", "self_isued = true", 17),
        ("version = 1", "version = 2", 1),
        ("version = 1", "version = 1\nelse = 1", 1),
        ('[[trusted]]\nname = "Time"', '[trusted]\nname = "Time"', 11),
    ],
)
def test_each_fault_names_its_line(folder: Path, old: str, new: str, line: int) -> None:
    assert GOOD.count(old) == 1
    (folder / "trust.toml").write_text(GOOD.replace(old, new), "utf-8")
    with pytest.raises(TrustListBroken) as caught:
        load_trust(folder)
    assert caught.value.facts["line"] == line
    assert caught.value.facts["file"] == str(folder / "trust.toml")


def test_a_list_that_is_no_text(folder: Path) -> None:
    (folder / "trust.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(TrustListBroken):
        load_trust(folder)


@pytest.mark.parametrize(
    "value", [{}, {"entries": [{}], "intermediates": []}, {"entries": [], "intermediates": ["x"]}, []]
)
def test_a_broken_form_is_refused(value: object) -> None:
    with pytest.raises(TrustListBroken):
        TrustList.from_json(value)  # type: ignore[arg-type]


def test_an_entry_holds_until_its_last_moment(world: World) -> None:
    entry: Trusted = made.trusted(world.root, Purpose.PEOPLE, until=made.SIGNED_AT)
    assert entry.holds(SIGNERS, made.START)
    assert not entry.holds(SIGNERS, made.SIGNED_AT)
