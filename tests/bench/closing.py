"""Closing a volume of many papers: arranged, indexed, signed and sealed, set as sheets, kept, written down."""

import time
from pathlib import Path

from sqlalchemy import func, insert, select

from archive.calendar.days import local_day
from archive.cases.closing import close_case
from archive.cases.models import CaseLink
from archive.cases.terms import RecordForm
from archive.custody.models import PreservedObject
from archive.db.sight import FIRST_UNIT
from archive.documents.models import TextRecord
from archive.kernel.ids import CaseId, new_uuid7
from archive.ledger.entries import OPERATOR
from archive.volumes.models import VolumeLine
from archive.volumes.rules import VolumeKind
from tests.bench.archive import settle
from tests.bench.report import Row, Samples, Section
from tests.support.archive_home import ArchiveHome, make_home
from tests.support.case_files import CHECKED, give_seal

NAME = "closing"
RUNS = 5
PAPERS = 1000
_AIM_S = 10.0


def measure(scratch: Path, *, runs: int = RUNS, papers: int = PAPERS) -> Section:
    """Measure how long it takes until a volume of a thousand papers is closed, each time another case of one archive."""
    home = make_home(scratch, f"sqlite+pysqlite:///{scratch / 'archive.db'}")
    give_seal(home.services)
    found = []
    for number in range(runs):
        case_id = _case(home, str(number), papers)
        settle()
        began = time.perf_counter()
        home.services.case_files.closer.close_volume(case_id, VolumeKind.MAIN, CHECKED, by=OPERATOR)
        found.append(time.perf_counter() - began)
    with home.database.read() as tx:
        assert tx.scalar(select(func.count()).select_from(VolumeLine)) == runs * papers
    home.services.close()
    samples = Samples(tuple(found))
    return Section(
        name=NAME,
        title="A case file that is closed",
        text=(
            f"A main volume of {papers:,} papers, on SQLite: the index with its root, two CAdES B-T signatures, cover, "
            "catalogue and remarks sheet set and sealed with PAdES B-T, one object, the rows of the lines, the papers bound. "
            "The signatures of the papers themselves are extended by a job afterwards."
        ),
        rows=(
            Row(
                f"Closing {papers:,} papers",
                samples.shown("s", digits=2),
                "",
                f"under {_AIM_S:.0f} s",
                samples.median < _AIM_S,
            ),
        ),
        runs=runs,
        samples={"close": samples.values},
    )


def _case(home: ArchiveHome, number: str, papers: int) -> CaseId:
    """Make a closed case with papers; only their rows are there, since closing does not read the originals."""
    case_id, at = home.case(number), home.clock.now()
    ids = [new_uuid7() for _ in range(papers)]
    with home.database.begin() as tx:
        usual = {"kind": "record", "content_path": "original/a.pdf", "media_type": "application/pdf", "size_bytes": 9}
        tx.execute(
            insert(PreservedObject),
            [
                {
                    "id": each, "name": f"{each}.pdf", "sha256": each.hex * 2, "sha512": each.hex * 4, "preserved_at": at,
                    "unit_id": FIRST_UNIT, **usual,
                }
                for each in ids
            ],
        )  # fmt: skip
        form = RecordForm.INSPECTION_RECORD.value
        tx.execute(
            insert(TextRecord),
            [
                {"object_id": each, "form": form, "title": f"现场检查笔录 {place}", "filed_by": OPERATOR.id, "filed_at": at,
                 "pages": 3}
                for place, each in enumerate(ids)
            ],
        )  # fmt: skip
        tx.execute(
            insert(CaseLink),
            [{"case_id": case_id, "object_id": each, "linked_by": OPERATOR.id, "linked_at": at} for each in ids],
        )
    close_case(home.database, case_id, on=local_day(at), by=OPERATOR, at=at)
    return case_id
