"""A complete case; the archive that holds it is made once in a run, and every test has a copy."""

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from archive.cases.terms import RecordForm
from archive.kernel.ids import CaseId, ObjectId
from tests.support.archive_home import ArchiveHome, SteppedClock, make_home
from tests.support.case_files import CaseFileScene, complete_case
from tests.support.moulds import Moulds, moulds

__all__ = ["moulds"]


def with_a_case(base: Path, database_url: str, clock: SteppedClock) -> ArchiveHome:
    """Make an archive that holds a complete case."""
    made = make_home(base, database_url, clock)
    complete_case(made)
    return made


@pytest.fixture
def scene(moulds: Moulds, database_url: str, tmp_path: Path, clock: SteppedClock) -> Iterator[CaseFileScene]:
    home = moulds.copy(with_a_case, tmp_path, database_url, clock)

    def ids(sql: str) -> list[UUID]:
        return [UUID(str(row[0])) for row in home.rows(sql)]

    forms = [RecordForm(row[0]) for row in home.rows("SELECT form FROM text_record ORDER BY object_id")]
    records = map(ObjectId, ids("SELECT object_id FROM text_record ORDER BY object_id"))
    (case_id,), (footage,) = ids("SELECT id FROM case_file"), ids("SELECT object_id FROM evidence_item")
    yield CaseFileScene(home, CaseId(case_id), dict(zip(forms, records, strict=True)), ObjectId(footage))
    home.services.close()
