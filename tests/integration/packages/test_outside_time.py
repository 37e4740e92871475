"""An archive whose log an outside authority anchors: what packages say of it, and that nothing waits for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.ledger.anchors import standing
from archive.ledger.entries import OPERATOR
from archive.ledger.trustfile import TrustFile
from archive.packages.building import build_package
from archive.settings import SettingsInvalid
from archive.wiring import build_services
from archive.wiring.log_parts import renew_trust_file
from tests.support.archive_home import ArchiveHome, make_home
from tests.support.outside_tsa import OutsideAuthority, outside_authority
from tests.support.package_faults import by_liuhen, by_verify_py, outline

NUMBER = "昆市监罚〔2026〕1号"


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[OutsideAuthority]:
    (tmp_path / "outside").mkdir()
    with outside_authority(tmp_path / "outside") as running:
        yield running


@pytest.fixture
def home(outside: OutsideAuthority, tmp_path: Path) -> Iterator[ArchiveHome]:
    made = make_home(tmp_path, "", tsa_url=outside.url, tsa_ca=outside.root_path, tsa_networks=["127.0.0.0/8"])
    yield made
    made.services.close()


def packaged(home: ArchiveHome, out: Path) -> Path:
    case_id = home.case()
    home.deliver(home.dock(), b"footage", "a.mp4", case=NUMBER)
    home.sequence()
    home.services.anchor_rounds.look()
    return build_package(
        home.services.packager, case_id, out, with_renditions=False, by=OPERATOR, purpose="送检察院"
    ).folder


def of(report: dict, name: str) -> list[str]:
    return [found["code"] for found in report["findings"] if found["code"].startswith(name)]


def test_who_pins_its_root_for_times_finds_the_anchor_valid(
    home: ArchiveHome, outside: OutsideAuthority, tmp_path: Path
) -> None:
    out = packaged(home, tmp_path / "p")
    renew_trust_file(home.path, home.services.trust)
    trust = (home.path / "trust.txt").read_bytes()
    assert b"\ntimestamp-root sha256:" in trust
    assert len(TrustFile.parse(trust).roots) == 1
    assert str(TrustFile.parse(trust)).encode() == trust
    ours, theirs = by_liuhen(out, trust), by_verify_py(out, trust)
    assert outline(ours) == outline(theirs)
    assert of(ours, "anchor.") == ["anchor.valid"]
    assert of(ours, "timestamp.") == ["timestamp.valid"] * 2, "the archive stamps signatures itself"
    without = b"".join(line for line in trust.splitlines(keepends=True) if not line.startswith(b"timestamp-root"))
    ours, theirs = by_liuhen(out, without), by_verify_py(out, without)
    assert outline(ours) == outline(theirs)
    assert of(ours, "anchor.") == ["anchor.not_checked"]
    swapped = trust.replace(b"\nroot ", b"\ntimestamp-root ")
    ours, theirs = by_liuhen(out, swapped), by_verify_py(out, swapped)
    assert outline(ours) == outline(theirs)
    assert of(ours, "signature.") == ["signature.untrusted"] * 2, "a root for times vouches for no signer"
    assert of(ours, "timestamp.") == ["timestamp.valid"] * 2
    home.assert_sound()
    assert len(outside.queries) == 1


def test_an_authority_that_does_not_answer_holds_nothing_up(
    home: ArchiveHome, outside: OutsideAuthority, tmp_path: Path
) -> None:
    outside.status = 503
    out = packaged(home, tmp_path / "p")
    trust = (home.path / "trust.txt").read_bytes()
    assert of(by_liuhen(out, trust), "timestamp.") == ["timestamp.valid"] * 2
    assert not (out / "proofs" / "anchors").exists()
    folder, report = home.path / "log" / "anchors", home.path / "run" / "anchors.json"
    size = len(home.logged())
    told = standing(folder, log_size=size, report=report)
    assert (told.size, told.behind, told.fault) == (None, size, "timestamp.authority_unreachable")
    home.assert_sound()
    outside.status = 200
    assert home.services.anchor_rounds.look()
    told = standing(folder, log_size=size, report=report)
    assert (told.size, told.behind, told.fault) == (size, 0, None)
    home.assert_sound()


def test_an_address_needs_the_root_of_its_certificates(home: ArchiveHome, tmp_path: Path) -> None:
    for given in (None, tmp_path / "missing.pem"):
        with pytest.raises(SettingsInvalid):
            build_services(home.settings.model_copy(update={"tsa_ca": given}))


def test_who_leaves_an_authority_keeps_its_certificates(home: ArchiveHome, tmp_path: Path) -> None:
    out = packaged(home, tmp_path / "p")
    services = build_services(home.settings.model_copy(update={"tsa_url": None, "tsa_ca": None}))
    try:
        assert services.trust.timestamp_roots == home.services.trust.timestamp_roots
        assert (out / "certs/chain.pem").read_bytes() == services.packager.chain_pem
        home.case("昆市监罚〔2026〕2号")
        home.sequence()
        assert services.anchors.anchor() is not None
    finally:
        services.close()
    home.assert_sound()
