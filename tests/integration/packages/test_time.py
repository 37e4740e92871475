"""Times in a package that the archive built: tokens, anchors, revocation list, judged by both verifiers and by others."""

import shutil
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from archive.kernel.ids import CaseId, ObjectId
from archive.ledger.entries import OPERATOR
from archive.packages.building import build_package
from tests.support.archive_home import ArchiveHome, SteppedClock
from tests.support.package_faults import by_liuhen, by_verify_py, outline

Deliver = Callable[..., ObjectId]
NUMBER = "昆市监罚〔2026〕1号"
OPEN = {"checkpoint.no_quorum_asked", "package.completeness_not_checked"}
"""What the package of an archive without witnesses leaves open, offline."""


@pytest.fixture
def case_id(home: ArchiveHome, deliver: Deliver) -> CaseId:
    """A case with two items, whose log was anchored after each."""
    case_id = home.case()
    for name in ("a.mp4", "b.mp4"):
        deliver(name.encode(), name, case=NUMBER)
        home.sequence()
        home.services.anchors.anchor()
    return case_id


def build(home: ArchiveHome, case_id: CaseId, out: Path) -> Path:
    return build_package(
        home.services.packager, case_id, out, with_renditions=False, by=OPERATOR, purpose="送检察院"
    ).folder


def codes(report: dict) -> set[str]:
    return {found["code"] for found in report["findings"] if found["outcome"] != "valid"}


def test_times_are_valid_to_both_verifiers(home: ArchiveHome, case_id: CaseId, tmp_path: Path) -> None:
    out = build(home, case_id, tmp_path / "p")
    trust = (home.path / "trust.txt").read_bytes()
    ours, theirs = by_liuhen(out, trust), by_verify_py(out, trust)
    assert outline(ours) == outline(theirs)
    assert codes(ours) == OPEN
    stamped = [found["where"] for found in ours["findings"] if found["code"] == "timestamp.valid"]
    anchored = [found["where"] for found in ours["findings"] if found["code"] == "anchor.valid"]
    assert len(stamped) == 2
    sizes = {int(path.stem) for path in (out / "proofs/anchors").glob("*.tsr")}
    assert len(anchored) == len(sizes) == 2
    assert max(sizes) == int((out / "proofs/checkpoint").read_text("utf-8").split("\n")[1])
    for judge in (by_liuhen, by_verify_py):
        without = judge(out, None)
        assert without["unaltered"] == "indeterminate"
        assert {"timestamp.untrusted", "anchor.not_checked"} <= codes(without)
        assert not any(found["outcome"] == "invalid" for found in without["findings"])


def test_others_accept_tokens_list_and_revocation_list(home: ArchiveHome, case_id: CaseId, tmp_path: Path) -> None:
    out = build(home, case_id, tmp_path / "p")
    root = home.path / "ca" / "root.cert.pem"
    stamped = [
        (out / f"sig/tagmanifest-sha{bits}.txt.p7s", Path(f"{out}/sig/tagmanifest-sha{bits}.txt.p7s.tsr"))
        for bits in (256, 512)
    ]
    stamped += [(path, path.with_suffix(".tsr")) for path in (out / "proofs/anchors").glob("*.ckpt")]
    for content, token in stamped:
        command = ["openssl", "ts", "-verify", "-token_in", "-in", token, "-data", content, "-CAfile", root]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    told = subprocess.run(["pdfsig", out / "data/list.pdf"], capture_output=True, text=True, check=False).stdout
    assert "Signature is Valid" in told
    command = ["openssl", "crl", "-inform", "DER", "-in", out / "crls/root.crl", "-CAfile", root, "-noout"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "verify OK" in done.stderr + done.stdout
    (tmp_path / "crl.pem").write_bytes(
        subprocess.run([*command[:6], "-outform", "PEM"], capture_output=True, check=True).stdout
    )
    for name in ("ca/manifest.cert.pem", "ca/tsa.pem"):
        command = ["openssl", "verify", "-crl_check", "-CRLfile", tmp_path / "crl.pem", "-CAfile", root]
        done = subprocess.run([*command, home.path / name], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_tokens_and_anchors_that_were_exchanged_are_found(home: ArchiveHome, case_id: CaseId, tmp_path: Path) -> None:
    out = build(home, case_id, tmp_path / "p")
    trust = (home.path / "trust.txt").read_bytes()
    first, second = sorted((out / "proofs/anchors").glob("*.tsr"))
    token = out / "sig" / "tagmanifest-sha256.txt.p7s.tsr"
    for number, (source, target, code) in enumerate(
        (
            (first, second, "anchor.invalid"),
            (token, first, "anchor.invalid"),
            (first, token, "timestamp.invalid"),
            (out / "sig" / "tagmanifest-sha512.txt.p7s.tsr", token, "timestamp.invalid"),
            (first.with_suffix(".ckpt"), second.with_suffix(".ckpt"), "anchor.invalid"),
        )
    ):
        copy = Path(shutil.copytree(out, tmp_path / str(number)))
        changed = copy / target.relative_to(out)
        changed.unlink()
        shutil.copyfile(source, changed)
        ours, theirs = by_liuhen(copy, trust), by_verify_py(copy, trust)
        assert outline(ours) == outline(theirs)
        assert ours["unaltered"] == "invalid"
        assert code in codes(ours), codes(ours)


def test_the_revocation_list_is_renewed_and_its_number_grows(home: ArchiveHome, clock: SteppedClock) -> None:
    from cryptography.x509 import CRLNumber, load_der_x509_crl

    def read() -> tuple[bytes, int]:
        raw = home.services.packager.crls()["root"]
        return raw, load_der_x509_crl(raw).extensions.get_extension_for_class(CRLNumber).value.crl_number

    first, number = read()
    clock.step(timedelta(days=9))
    assert read() == (first, number)
    clock.step(timedelta(days=2))
    second, later = read()
    assert second != first
    assert later > number
    clock.step(-timedelta(days=11))
    third, last = read()
    assert third != second, "one that begins ahead of the clock is of no use"
    assert last > later
