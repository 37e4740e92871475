"""Several trust lists side by side: each named, dated, digested; one that is broken takes nothing from the others."""

from datetime import date
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from archive.kernel.findings import Outcome
from signing.validation.documents import judge_document
from signing.validation.lists import embedded_list, joined, read_lists
from tests.support import pdf_bytes
from tests.support.signed_pdfs import CHECKED_AT, World, crl, new_root

_LIST = (
    'version = 1\ndated = 2026-01-02\n[[trusted]]\nname = "CA"\nfor = ["all"]\n'
    'from = 2020-01-01T00:00:00Z\nsource = "on paper"\ncertificate = "root.pem"\n'
)


def written(folder: Path, world: World, text: str = _LIST) -> Path:
    folder.mkdir(parents=True)
    (folder / "root.pem").write_bytes(world.root.certificate.public_bytes(Encoding.PEM))
    (folder / "trust.toml").write_text(text)
    return folder


def test_a_folder_is_one_list_or_holds_several(tmp_path: Path, world: World) -> None:
    (alone,) = read_lists(written(tmp_path / "all" / "province", world))
    assert (alone.name, alone.dated, len(alone.entries), alone.fault) == ("province", date(2026, 1, 2), 1, "")
    written(tmp_path / "all" / "city", world, _LIST.replace("dated = 2026-01-02\n", ""))
    city, province = read_lists(tmp_path / "all")
    assert (city.name, city.dated, province) == ("city", None, alone)
    assert city.sha256 != province.sha256
    assert read_lists(None) == ()


def test_the_digest_is_over_the_certificates_too(tmp_path: Path, world: World) -> None:
    (before,) = read_lists(written(tmp_path / "a", world))
    (tmp_path / "a" / "root.pem").write_bytes(new_root().certificate.public_bytes(Encoding.PEM))
    (after,) = read_lists(tmp_path / "a")
    assert before.sha256 != after.sha256


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("version = 2\n", "trust.toml:1: "),
        ('version = 1\ndated = "yesterday"\n', "trust.toml:2: dated is a day"),
        (_LIST.replace("root.pem", "none.pem"), "trust.toml:8: "),
    ],
)
def test_a_broken_list_vouches_for_nobody_and_says_why(tmp_path: Path, world: World, text: str, fault: str) -> None:
    written(tmp_path / "all" / "good", world)
    written(tmp_path / "all" / "torn", world, text)
    good, torn = read_lists(tmp_path / "all")
    assert (len(good.entries), good.fault) == (1, "")
    assert (torn.entries, torn.sha256) == ((), "")
    assert fault in torn.fault


def test_a_folder_that_is_not_there_or_empty_is_told(tmp_path: Path) -> None:
    for folder in (tmp_path / "none", tmp_path):
        (found,) = read_lists(folder)
        assert found.fault
        assert not found.entries


def test_a_verdict_names_list_and_entry_and_goes_by_the_revocation_list_beside(tmp_path: Path, world: World) -> None:
    folder = written(tmp_path / "province", world)
    pdf = world.sign(pdf_bytes.plain())
    lists = read_lists(folder)
    verdict = judge_document(pdf, trust=joined(lists), at=CHECKED_AT)
    assert verdict.outcome is Outcome.INDETERMINATE
    signer = verdict.signatures[0].signer
    assert signer is not None
    assert signer.trusted_as == "province: CA"
    (folder / "root.crl").write_bytes(crl(world.root))
    (again,) = read_lists(folder)
    verdict = judge_document(pdf, trust=joined([again]), at=CHECKED_AT, crls=again.crls)
    assert verdict.outcome is Outcome.VALID
    assert (verdict.signatures[0].revocation_source, verdict.signatures[0].revocation_told_at) == ("crl", CHECKED_AT)


def test_the_embedded_list_is_marked(world: World) -> None:
    own = embedded_list(world.root.certificate, crl=world.crls[0])
    verdict = judge_document(world.sign(pdf_bytes.plain()), trust=joined([own]), at=CHECKED_AT, crls=own.crls)
    assert verdict.outcome is Outcome.VALID
    signer = verdict.signatures[0].signer
    assert signer is not None
    assert signer.is_self_issued
