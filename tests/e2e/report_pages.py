"""Set the validation report of a sealed decision, and keep its pages as pictures: `python -m tests.e2e.report_pages`."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from archive.kernel.ids import JudgementId, new_uuid7
from archive.ledger.entries import OPERATOR
from archive.web.judgement_words import WORDS
from ingest.judgement_reports import issue_report
from ingest.own_judgements import OwnDocuments, judge_object
from tests.support import seed
from tests.support.signing_scene import decision_of_scene, trust_folder

_FOLDER = Path(__file__).parents[2] / "docs" / "screenshots" / "report"


def main() -> None:
    """Make the report and its pictures."""
    folder = Path(tempfile.mkdtemp(prefix="liuhen-report-"))
    try:
        bureau = seed.new_bureau(folder / "home", cn_profile=True, trust_lists=trust_folder(folder / "trust"))
        seed.make_scene(bureau, folder / "media")
        object_id, services = decision_of_scene(bureau), bureau.services
        (folder / "judged").mkdir()
        own = OwnDocuments(services.database, services.objects, services.known_second)
        judged = judge_object(own, services.judge, object_id, folder=folder / "judged", by=OPERATOR)
        number, at = JudgementId(new_uuid7()), bureau.now()
        made = issue_report(services.database, services.report, judged, number, words=WORDS, by=OPERATOR, at=at)
        (folder / "report.pdf").write_bytes(made)
        services.close()
        _FOLDER.mkdir(exist_ok=True)
        for old in _FOLDER.glob("*.png"):
            old.unlink()
        subprocess.run(
            ["pdftoppm", "-r", "80", "-png", folder / "report.pdf", _FOLDER / "validation-report"], check=True
        )
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
