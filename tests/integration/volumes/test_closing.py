"""Closing volumes: what is kept and who signed it, what stops it, what comes after, what a crash leaves."""

import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography import x509

from archive.calendar.days import local_day
from archive.cases.closing import CaseClosedAlready, ClosingDayImpossible, close_case
from archive.cases.drafting import begin_record, drop_record
from archive.cases.filing import BoundInVolume, unlink_object
from archive.cases.sealing import SealMissing
from archive.cases.terms import RecordForm
from archive.documents import templates
from archive.jobs.queue import LONG, PROMPT
from archive.kernel.errors import Conflict, LiuhenError
from archive.kernel.findings import Outcome
from archive.kernel.ids import CaseId, ObjectId, VolumeId
from archive.ledger.entries import OPERATOR
from archive.ocfl.root import OcflRoot
from archive.trust.models import KeyUse
from archive.trust.register import CertificateRegister
from archive.volumes.binding import VolumeChanged
from archive.volumes.closing import VolumeCloser
from archive.volumes.extending import Extended, extended
from archive.volumes.index import VolumeEmpty
from archive.volumes.models import Volume, VolumeClosing, VolumeLine
from archive.volumes.moving import NothingToOpen, VolumeBeingClosed, move_paper, open_volume
from archive.volumes.rules import VolumeKind
from archive.volumes.standing import (
    CaseFile,
    CaseStillOpen,
    DraftsUnfinished,
    PagesUnknown,
    VolumeNotOpened,
    case_file,
)
from archive.volumes.terms import Move
from archive.worker.loop import Worker
from retention.fixity import check_fixity
from signing.revocation import crl
from signing.validation.containers import judge_container
from signing.validation.trust import TrustList
from signing.validation.verdict import Level
from tests.support import document_judges as judges
from tests.support.archive_home import ArchiveHome, clock, doom_commits, home, spare_commits
from tests.support.case_files import CHECKED, CaseFileScene, complete_case

__all__ = ["clock", "home"]
FORMAT = Path(__file__).parents[3] / "docs" / "formats" / "volume-index.md"


def file_of(scene: CaseFileScene) -> CaseFile:
    services = scene.home.services
    with scene.home.database.read() as tx:
        return case_file(tx, services.case_files.rules, scene.case_id, at=scene.home.clock.now())


def volume(scene: CaseFileScene, volume_id: VolumeId) -> Volume:
    with scene.home.database.read() as tx:
        row: Volume = tx.get_one(Volume, volume_id)
        return row


def kept(scene: CaseFileScene, volume_id: VolumeId, name: str) -> bytes:
    """A file of a closed volume."""
    object_id = ObjectId(UUID(str(volume(scene, volume_id).object_id)))
    with scene.home.services.objects.open_file(object_id, f"original/{name}") as file:
        return bytes(file.read())


def jobs_done(scene: CaseFileScene) -> None:
    worker = Worker(scene.home.database, handlers=scene.home.services.handlers, clock=scene.home.clock, lease_s=15)
    while worker.run_once([PROMPT, LONG]):
        pass


def test_a_volume_is_closed_and_anybody_can_check_it(scene: CaseFileScene, tmp_path: Path) -> None:
    """By openssl, by the lines in the format's page, by poppler and qpdf; and what was signed here is extended."""
    volume_id = scene.close()
    row = volume(scene, volume_id)
    assert (row.state, row.sequence, row.lines, row.pages, row.retention) == ("closed", 1, 4, 6, "30年")
    assert row.file_number == f"0000-XZZF·{local_day(scene.home.clock.now()).year}-D30-0001"
    root = scene.home.path / "ca" / "root.cert.pem"
    originals = tmp_path / "originals"
    originals.mkdir()
    with scene.home.database.read() as tx:
        lines = [line.object_id for line in tx.query(VolumeLine).order_by(VolumeLine.number)]
    assert lines[:2] == [scene.papers[RecordForm.FILING_FORM], scene.papers[RecordForm.INSPECTION_RECORD]]
    assert lines[2:] == [scene.footage, scene.papers[RecordForm.PENALTY_DECISION]]
    for object_id in lines:
        path = scene.home.rows(
            "SELECT content_path FROM preserved_object WHERE id = :id", id=scene.home.id_value(object_id)
        )
        (originals / str(object_id)).write_bytes(scene.home.file_of(ObjectId(object_id), path[0][0]).read_bytes())
    names = ("index.json", "index.p7s", "index.seal.p7s", "cover.pdf", "catalogue.pdf", "remarks.pdf")
    for name in names:
        (tmp_path / name).write_bytes(kept(scene, volume_id, name))
    text = FORMAT.read_text("utf-8")
    code, commands = (
        re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0],
        re.findall(r"^openssl .*$", text, re.MULTILINE),
    )
    assert len(commands) == 2
    (tmp_path / "check.py").write_text(code)
    (tmp_path / "root.pem").write_bytes(root.read_bytes())
    for command in [*(each.split() for each in commands), [sys.executable, "check.py", "index.json", "originals"]]:
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    changed = (tmp_path / "index.json").read_bytes().replace(b'"pages":6', b'"pages":7')
    (tmp_path / "index.json").write_bytes(changed)
    for command in [*(each.split() for each in commands), [sys.executable, "check.py", "index.json"]]:
        assert subprocess.run(command, cwd=tmp_path, check=False, capture_output=True).returncode
    for name in names[3:]:
        pdf = kept(scene, volume_id, name)
        assert judges.pdfsig(pdf, tmp_path).count("Signature is Valid") == 1, name
        assert judges.qpdf(pdf, tmp_path).returncode == 0, name
    jobs_done(scene)
    with scene.home.database.read() as tx:
        assert extended(tx, volume_id) == Extended(signed=1, done=1)
        uses = [use for use in tx.query(KeyUse) if use.ref_id == row.object_id]
    assert len(uses) == 1
    scene.home.sequence()
    assert (
        check_fixity(scene.home.services.fixity, ObjectId(UUID(str(row.object_id))), by=OPERATOR).outcome
        is Outcome.VALID
    )
    scene.home.assert_sound()


def test_both_signatures_of_the_index_are_judged_with_their_time(scene: CaseFileScene) -> None:
    volume_id = scene.close()
    root = x509.load_pem_x509_certificate((scene.home.path / "ca" / "root.cert.pem").read_bytes())
    trust, services = TrustList.embedded(root), scene.home.services
    revoked = crl(
        services.authority, services.clock, register=CertificateRegister(scene.home.database, services.authority.root)
    )
    for name in ("index.p7s", "index.seal.p7s"):
        verdict = judge_container(
            kept(scene, volume_id, "index.json"),
            kept(scene, volume_id, name),
            trust=trust,
            at=datetime.now(UTC),
            crls=[revoked],
        )
        (signature,) = verdict.signatures
        assert (signature.level, signature.outcome) == (Level.B_T, Outcome.VALID), [
            each.code for each in signature.findings
        ]


def test_what_stops_a_volume(home: ArchiveHome) -> None:
    scene = complete_case(home, is_closed=False)
    services, at = home.services, home.clock.now()
    with pytest.raises(CaseStillOpen):
        scene.close()
    with pytest.raises(ClosingDayImpossible):
        close_case(home.database, scene.case_id, on=local_day(at) + timedelta(days=1), by=OPERATOR, at=at)
    with pytest.raises(ClosingDayImpossible):
        close_case(home.database, scene.case_id, on=local_day(at) - timedelta(days=1), by=OPERATOR, at=at)
    close_case(home.database, scene.case_id, on=local_day(at), by=OPERATOR, at=at)
    with pytest.raises(CaseClosedAlready):
        close_case(home.database, scene.case_id, on=local_day(at), by=OPERATOR, at=at)
    text = (Path(templates.__file__).parent / "inspection_record.toml").read_text("utf-8")
    draft_id = begin_record(
        home.database, text, case_id=scene.case_id, title="笔录", values={}, by=OPERATOR, at=home.clock.now()
    )  # fmt: skip
    with pytest.raises(DraftsUnfinished):
        scene.close()
    drop_record(home.database, draft_id, reason="重复", by=OPERATOR, at=home.clock.now())
    unread = scene.scan(RecordForm.OTHER, "附件", pages=None)
    with pytest.raises(PagesUnknown):
        scene.close()
    unlink_object(home.database, scene.case_id, unread, reason="误收", by=OPERATOR, at=home.clock.now())

    class Reviewed(Conflict):
        code = "test.not_reviewed"

    class Guard:
        def require_may_close(self, tx: Any, case_id: CaseId, *, kind: str) -> None:
            if kind == "main":
                raise Reviewed

    guarded = replace(services.case_files.closer, guards=(Guard(),))
    with pytest.raises(Reviewed):
        guarded.close_volume(scene.case_id, VolumeKind.MAIN, CHECKED, by=OPERATOR)
    guarded.close_volume(scene.case_id, VolumeKind.SUB, CHECKED, by=OPERATOR)
    assert [row.kind for row in file_of(scene).closed] == ["sub"]
    empty = home.case("2")
    with pytest.raises(CaseStillOpen):
        services.case_files.closer.close_volume(empty, VolumeKind.MAIN, CHECKED, by=OPERATOR)
    close_case(home.database, empty, on=local_day(at), by=OPERATOR, at=home.clock.now())
    with pytest.raises(VolumeEmpty):
        services.case_files.closer.close_volume(empty, VolumeKind.MAIN, CHECKED, by=OPERATOR)
    home.execute("UPDATE key_certificate SET revoked_at = not_before WHERE purpose = 'seal'")
    with pytest.raises(SealMissing):
        scene.close()
    assert home.count("volume_closing") == 0


def test_what_is_bound_stays_and_what_comes_later_opens_the_next_volume(scene: CaseFileScene) -> None:
    first = scene.close()
    rules, database, at = scene.home.services.case_files.rules, scene.home.database, scene.home.clock.now
    paper = scene.papers[RecordForm.PENALTY_DECISION]
    with pytest.raises(BoundInVolume):
        unlink_object(database, scene.case_id, paper, reason="x", by=OPERATOR, at=at())
    with pytest.raises(LiuhenError):
        move_paper(database, rules, scene.case_id, paper, Move.UP, reason="x", by=OPERATOR, at=at())
    with pytest.raises(NothingToOpen):
        open_volume(database, rules, scene.case_id, VolumeKind.MAIN, reason="x", by=OPERATOR, at=at())
    later = scene.scan(RecordForm.SERVICE_RECEIPT, "送达回证", pages=2)
    assert file_of(scene).volumes[VolumeKind.MAIN].is_new
    with pytest.raises(VolumeNotOpened):
        scene.close()
    second = open_volume(database, rules, scene.case_id, VolumeKind.MAIN, reason="补充送达", by=OPERATOR, at=at())
    assert scene.close() == second
    rows = [volume(scene, each) for each in (first, second)]
    assert [(row.sequence, row.lines, row.serial) for row in rows] == [(1, 4, 1), (2, 1, 2)]
    with database.read() as tx:
        assert [line.object_id for line in tx.query(VolumeLine).filter_by(volume_id=second)] == [later]
    scene.home.sequence()
    scene.home.assert_sound()


def test_people_put_papers_elsewhere(scene: CaseFileScene) -> None:
    rules, database, at = scene.home.services.case_files.rules, scene.home.database, scene.home.clock.now

    def order(kind: VolumeKind = VolumeKind.MAIN) -> list[ObjectId]:
        return [ObjectId(line.paper.object_id) for line in file_of(scene).volumes[kind].arranged.lines]

    def move(object_id: ObjectId, where: Move) -> None:
        move_paper(database, rules, scene.case_id, object_id, where, reason="便于查阅", by=OPERATOR, at=at())

    first, second, *rest = order()
    move(second, Move.UP)
    assert order() == [second, first, *rest]
    move(second, Move.DOWN)
    assert order() == [first, second, *rest]
    with pytest.raises(LiuhenError):
        move(first, Move.UP)
    move(rest[-1], Move.UP)
    move(rest[0], Move.UP)
    assert order() == [first, second, rest[-1], rest[0]] or order() == [first, second, rest[0], rest[-1]]
    move(first, Move.OTHER)
    assert first in order(VolumeKind.SUB)
    assert first not in order()
    move(first, Move.RULES)
    assert order()[0] == first
    scene.home.sequence()
    scene.home.assert_sound()


def test_a_volume_that_lost_a_paper_meanwhile_is_not_closed(scene: CaseFileScene) -> None:
    """Between the object and its rows somebody takes a paper out: the closing is given up, the next one holds."""
    closer, database = scene.home.services.case_files.closer, scene.home.database

    class Takes(OcflRoot):
        def create_object(self, *given: Any, **named: Any) -> Any:
            made = super().create_object(*given, **named)
            unlink_object(database, scene.case_id, scene.footage, reason="x", by=OPERATOR, at=scene.home.clock.now())
            return made

    taking = replace(closer, objects=Takes(scene.home.services.stores.originals))
    with pytest.raises(VolumeChanged):
        taking.close_volume(scene.case_id, VolumeKind.MAIN, CHECKED, by=OPERATOR)
    assert volume(scene, scene.close()).lines == 3
    scene.home.sequence()
    assert {fault.code for fault in scene.home.fsck().findings if fault.outcome is not Outcome.VALID} == set()


class Breaks:
    """A store that breaks off after some writes, as a machine that loses its power does."""

    def __init__(self, store: Any, after: int) -> None:
        self._store, self._left = store, after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put_once(self, *given: Any, **named: Any) -> Any:
        if not self._left:
            raise RuntimeError("no power")
        self._left -= 1
        return self._store.put_once(*given, **named)


def broken(closer: VolumeCloser, store: Any, after: int) -> VolumeCloser:
    return replace(closer, objects=OcflRoot(Breaks(store, after)))


def test_a_closing_that_broke_off_is_gone_on_with(scene: CaseFileScene) -> None:
    """After any number of writes; nobody else closes it meanwhile; the job ends what nobody goes on with."""
    services, home = scene.home.services, scene.home
    for after in (0, 1, 5, 9):
        with pytest.raises(RuntimeError):
            broken(services.case_files.closer, services.stores.originals, after).close_volume(
                scene.case_id, VolumeKind.MAIN, CHECKED, by=OPERATOR
            )
        assert home.count("volume") == 0
        with pytest.raises(VolumeBeingClosed):
            scene.close()
        home.clock.step(timedelta(minutes=11))
    doom_commits(home.database, "volume_line")
    with pytest.raises(Exception, match=r"FOREIGN KEY|foreign key"):
        scene.close()
    spare_commits(home.database, "volume_line")
    assert (home.count("volume"), home.count("volume_closing")) == (0, 1)
    with home.database.read() as tx:
        object_id = tx.query(VolumeClosing).one().object_id
    home.clock.step(timedelta(minutes=11))
    jobs_done(scene)
    (row,) = file_of(scene).closed
    assert (row.object_id, row.serial, home.count("volume_closing")) == (object_id, 1, 0)
    home.sequence()
    home.assert_sound()


def test_the_entry_of_a_closed_volume_names_no_person_in_clear(scene: CaseFileScene) -> None:
    scene.close()
    (entry,) = [entry for entry in scene.home.entries() if entry["type"] == "volume.closed"]
    assert "赵六" not in str(entry)
