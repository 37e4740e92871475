"""A case package, judged by tools that are not ours."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import bagit
import pytest
from lxml import etree
from sqlalchemy import select

from archive.access.policy import Role
from archive.cases.records import file_text_record
from archive.cases.terms import RecordForm
from archive.evidence.models import EvidenceItem
from archive.kernel.canonical import parse_canonical
from archive.kernel.errors import Forbidden, InvalidInput
from archive.kernel.findings import Outcome
from archive.kernel.ids import CaseId, ObjectId
from archive.ledger.entries import OPERATOR, commitment
from archive.ledger.proof import TlogProof
from archive.ledger.trustfile import TrustFile
from archive.packages.bag import BadPackagePath, PackageExists, new_bag, package_paths
from archive.packages.building import BytesDiffer, Package, build_package, grant_package_to
from archive.packages.gathering import NotCoveredYet, gather_case
from ingest.workshop import Made
from tests.support.archive_home import PDF, ArchiveHome, flip

Deliver = Callable[..., ObjectId]
PREMIS_SCHEMA = etree.XMLSchema(file=Path(__file__).parents[2] / "golden" / "premis" / "premis-v3-0-part.xsd")
NUMBER = "昆市监罚〔2026〕1号"
NAMES = ["a.mp4", "\u202egpj.证据\u202c😀.mp4", "长" * 1000 + ".mp4", "100% sure.mp4"]


def build(home: ArchiveHome, case_id: CaseId, out: Path, **given: object) -> Package:
    usual = {"with_renditions": False, "by": OPERATOR, "purpose": "送检察院"}
    return build_package(home.services.packager, case_id, out, **{**usual, **given})  # type: ignore[arg-type]


@pytest.fixture
def case_id(home: ArchiveHome, deliver: Deliver) -> CaseId:
    case_id = home.case()
    for place, name in enumerate(NAMES):
        deliver(f"footage {place}".encode(), name, case=NUMBER)
    file_text_record(
        home.database, home.services.objects, home.services.signer, case_id=case_id, form=RecordForm.OTHER,
        title="现场检查笔录", name="笔录.pdf", pdf=PDF, by=OPERATOR, at=home.clock.now(),
    )  # fmt: skip
    home.sequence()
    return case_id


def run(*command: object, cwd: Path) -> None:
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_public_tools_find_a_package_sound(home: ArchiveHome, case_id: CaseId, tmp_path: Path) -> None:
    out = build(home, case_id, tmp_path / "p").folder
    bagit.Bag(str(out)).validate()
    root = home.path / "ca" / "root.cert.pem"
    for bits in (256, 512):
        for name in ("manifest", "tagmanifest"):
            run(f"sha{bits}sum", "--check", "--strict", "--quiet", f"{name}-sha{bits}.txt", cwd=out)
        name = f"tagmanifest-sha{bits}.txt"
        run("openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", f"sig/{name}.p7s", "-content", name,
            "-CAfile", root, "-out", "/dev/null", cwd=out)  # fmt: skip
    judged = subprocess.run(["pdfsig", "data/list.pdf"], cwd=out, capture_output=True, text=True, check=False).stdout
    assert "Signature is Valid" in judged
    assert "Total document signed" in judged
    home.sequence()
    home.assert_sound()


def test_every_entry_is_proven_and_every_detail_opens(home: ArchiveHome, case_id: CaseId, tmp_path: Path) -> None:
    out = build(home, case_id, tmp_path / "p").folder
    told = parse_canonical((out / "data/case.json").read_bytes())
    trust = TrustFile.parse((home.path / "trust.txt").read_bytes())
    assert {path.stem for path in (out / "proofs/entries").iterdir()} == {str(index) for index in told["entries"]}
    types = {}
    for index in told["entries"]:
        body = (out / f"proofs/entries/{index}.json").read_bytes()
        proof = TlogProof.parse((out / f"proofs/{index}.tlog-proof").read_bytes())
        assert proof.verify(body, trust=trust).outcome is Outcome.VALID
        opened = parse_canonical((out / f"proofs/details/{index}.json").read_bytes())
        salt, entry = bytes.fromhex(opened["salt"]), json.loads(body)
        detail = json.dumps(opened["detail"], ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
        assert commitment(salt, detail) == entry["detail_c"]
        types[index] = entry["type"]
    assert len(told["objects"]) == len(NAMES) + 1
    for found in told["objects"]:
        wanted = "record.filed" if found["kind"] == "record" else "object.preserved"
        assert [types[index] for index in found["entries"]].count(wanted) == 1
        assert (out / found["path"]).stat().st_size == found["size"]
    assert "case.opened" in types.values()


def test_the_descriptions_are_well_formed(home: ArchiveHome, case_id: CaseId, tmp_path: Path) -> None:
    out = build(home, case_id, tmp_path / "p").folder
    premis = ET.parse(out / "data/events/premis.xml").getroot()
    space = {"p": "http://www.loc.gov/premis/v3"}
    objects = {each.text for each in premis.findall("p:object/p:objectIdentifier/p:objectIdentifierValue", space)}
    linked = premis.findall("p:event/p:linkingObjectIdentifier/p:linkingObjectIdentifierValue", space)
    agents = {each.text for each in premis.findall("p:agent/p:agentIdentifier/p:agentIdentifierValue", space)}
    actors = premis.findall("p:event/p:linkingAgentIdentifier/p:linkingAgentIdentifierValue", space)
    assert linked
    assert {each.text for each in linked} <= objects
    assert {each.text for each in actors} == agents
    assert PREMIS_SCHEMA.validate(etree.parse(out / "data/events/premis.xml")), PREMIS_SCHEMA.error_log
    assert len(list((out / "data/metadata").iterdir())) == len(NAMES) + 1


def test_the_events_of_a_case_without_objects_are_described_too(home: ArchiveHome, tmp_path: Path) -> None:
    case_id = home.case()
    home.sequence()
    premis = etree.parse(build(home, case_id, tmp_path / "p").folder / "data/events/premis.xml")
    assert PREMIS_SCHEMA.validate(premis), PREMIS_SCHEMA.error_log
    linked = premis.findtext(".//{*}linkingObjectIdentifierValue")
    assert linked == premis.findtext(".//{*}objectIdentifierValue") == str(case_id)


def test_the_schema_of_premis_refuses_what_is_wrong(home: ArchiveHome, case_id: CaseId, tmp_path: Path) -> None:
    raw = (build(home, case_id, tmp_path / "p").folder / "data/events/premis.xml").read_bytes()
    for old, new in (
        (b"<eventType>", b"<eventKind>"), (b' version="3.0"', b' version="2.0"'), (b'"file"', b'"folder"'),
        (b"<size>", b"<size>x"), (b"<messageDigest>", b"<messageDigest/><messageDigest>"),
    ):  # fmt: skip
        spoiled = raw.replace(old, new).replace(b"</eventType>", b"</eventKind>" if b"Kind" in new else b"</eventType>")
        assert spoiled != raw
        assert not PREMIS_SCHEMA.validate(etree.fromstring(spoiled))


def test_what_the_store_does_not_hold_whole_is_not_exported(
    home: ArchiveHome, deliver: Deliver, tmp_path: Path
) -> None:
    case_id = home.case()
    object_id = deliver(b"footage", "a.mp4", case=NUMBER)
    home.sequence()
    flip(home.file_of(object_id, "original/a.mp4"))
    with pytest.raises(BytesDiffer) as refused:
        build(home, case_id, tmp_path / "out" / "p")
    assert refused.value.finding.outcome is Outcome.INVALID
    assert str(object_id) in refused.value.finding.where
    assert list((tmp_path / "out").iterdir()) == []
    assert "access.export" in home.types()


def test_the_export_is_written_down_before_a_byte_is_copied(home: ArchiveHome, case_id: CaseId, tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    with pytest.raises(PackageExists):
        build(home, case_id, tmp_path / "p")
    assert home.types().count("access.export") == len(NAMES) + 2
    with pytest.raises(InvalidInput):
        build(home, case_id, tmp_path / "q", purpose=" ")
    assert home.types().count("access.export") == len(NAMES) + 2


def test_only_who_may_export_gets_a_package(home: ArchiveHome, case_id: CaseId) -> None:
    packager = home.services.packager
    for role in (Role.CASE_HANDLER, Role.AUDITOR, Role.ADMINISTRATOR):
        with pytest.raises(Forbidden):
            grant_package_to(packager, case_id, by=home.person(role), purpose="x", with_renditions=False)
    grant_package_to(packager, case_id, by=home.person(Role.SUPERVISOR), purpose="x", with_renditions=False)
    assert home.types().count("access.export") == len(NAMES) + 2


def test_a_case_that_the_log_does_not_cover_yet_waits(home: ArchiveHome, deliver: Deliver, tmp_path: Path) -> None:
    case_id = home.case()
    deliver(b"footage", "a.mp4", case=NUMBER)
    with pytest.raises(NotCoveredYet):
        build(home, case_id, tmp_path / "p")
    home.sequence()
    assert build(home, case_id, tmp_path / "p").object_count == 1


def test_what_a_killed_builder_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".p.part" / "data").mkdir(parents=True)
    (tmp_path / ".p.part" / "data" / "half").write_bytes(b"half")
    with new_bag(tmp_path / "p") as bag:
        bag.add("data/whole", b"whole")
        bag.finish({})
    assert not (tmp_path / "p" / "data" / "half").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["p"]
    bagit.Bag(str(tmp_path / "p")).validate()


def test_a_builder_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), new_bag(tmp_path / "p") as bag:
        bag.add("data/half", b"half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_names_that_clash_are_kept_apart() -> None:
    paths = ["original/A.mp4", "original/a.mp4", "original/é", "original/e\u0301", "original/9%.mp4"]
    placed = package_paths("data/x", paths)
    assert set(placed) == set(paths)
    assert len({path.casefold() for path in placed.values()}) == len(paths)
    assert placed["original/9%.mp4"] == "data/x/original/9_.mp4"


@pytest.mark.parametrize("path", ["../x", "data//x", "data/a\nb", "data/100%", "data/a\\b"])
def test_paths_that_cannot_stand_in_a_package_are_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(BadPackagePath), new_bag(tmp_path / "p") as bag:
        bag.add(path, b"")


_KILLED = """
import os, signal, sys
from pathlib import Path
from archive.kernel.ids import CaseId, parse_uuid
from archive.ledger.entries import OPERATOR
from archive.packages.building import build_package
from archive.settings import load_settings
from archive.wiring import build_services

services = build_services(load_settings(home=Path(sys.argv[1]), database_url=sys.argv[2]))
build_package(
    services.packager, CaseId(parse_uuid(sys.argv[3])), Path(sys.argv[4]), with_renditions=False, by=OPERATOR,
    purpose="x", report=lambda _: os.kill(os.getpid(), signal.SIGKILL),
)
"""


def test_a_builder_killed_while_it_copies_leaves_nothing_that_looks_whole(
    home: ArchiveHome, case_id: CaseId, tmp_path: Path
) -> None:
    out = tmp_path / "out" / "p"
    command = [sys.executable, "-c", _KILLED, home.path, home.settings.database_url, case_id, out]
    done = subprocess.run([str(part) for part in command], check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert [path.name for path in out.parent.iterdir()] == [".p.part"]
    assert home.types().count("access.export") == len(NAMES) + 2
    home.sequence()
    bagit.Bag(str(build(home, case_id, out).folder)).validate()
    assert [path.name for path in out.parent.iterdir()] == ["p"]
    home.sequence()
    home.assert_sound()


def test_the_command_writes_a_package(home: ArchiveHome, case_id: CaseId, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "archive.cli",
        "case",
        "export",
        NUMBER,
        "--out",
        tmp_path / "p",
        "--purpose",
        "送检察院",
    ]
    environment = {**os.environ, "LIUHEN_HOME": str(home.path), "LIUHEN_DATABASE_URL": home.settings.database_url}
    done = subprocess.run([str(part) for part in command], env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    bagit.Bag(str(tmp_path / "p")).validate()
    assert home.types().count("access.export") == len(NAMES) + 2


def test_renditions_come_along_where_they_are_wished_for(home: ArchiveHome, case_id: CaseId, tmp_path: Path) -> None:
    shop = home.services.workshop
    with home.database.read() as tx:
        object_id = ObjectId(tx.scalars(select(EvidenceItem.object_id).limit(1)).one())
    (tmp_path / "made.jpg").write_bytes(b"a picture")
    stored = shop.store(object_id, Made("poster", tmp_path / "made.jpg", "image/jpeg", {"tool": "x"}))
    with home.database.begin() as tx:
        shop.write_rendition(tx, object_id, stored)
    home.sequence()
    without = parse_canonical((build(home, case_id, tmp_path / "p").folder / "data/case.json").read_bytes())
    assert without["renditions"] == []
    out = build(home, case_id, tmp_path / "q", with_renditions=True).folder
    [told] = parse_canonical((out / "data/case.json").read_bytes())["renditions"]
    assert (out / told["path"]).read_bytes() == b"a picture"
    about = {json.loads(path.read_bytes())["type"] for path in (out / "proofs/entries").iterdir()}
    assert "derivative.created" in about
    bagit.Bag(str(out)).validate()
    (home.raw / "renditions" / stored.key).chmod(0o644)
    (home.raw / "renditions" / stored.key).write_bytes(b"b picture")
    with pytest.raises(BytesDiffer):
        build(home, case_id, tmp_path / "r", with_renditions=True)
    assert not (tmp_path / "r").exists()


def test_a_detail_that_was_erased_is_left_out(home: ArchiveHome, case_id: CaseId, tmp_path: Path) -> None:
    with home.database.read() as tx:
        first = gather_case(tx, case_id).entries[0]
    assert home.erase(lambda entry: entry["id"] == str(first.entry_id))
    out = build(home, case_id, tmp_path / "p").folder
    assert not (out / f"proofs/details/{first.index}.json").exists()
    assert (out / f"proofs/entries/{first.index}.json").exists()
    told = [json.loads(path.read_bytes()) for path in (out / "proofs/entries").iterdir()]
    assert [entry["obj"]["ver"] for entry in told if entry["type"] == "detail.erased"] == [str(first.entry_id)]
    bagit.Bag(str(out)).validate()
