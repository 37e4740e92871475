"""The sample footage itself: the demo's set does what it is meant to, the bench's recording is real."""

import subprocess
from pathlib import Path

from ingest.media.errors import Unplayable
from ingest.media.probe import probe
from ingest.media.renditions import make_playable
from ingest.media.tools import Toolbox
from tests.support import footage


def test_the_demo_set_is_what_it_says(toolbox: Toolbox, tmp_path: Path) -> None:
    made = footage.demo_set(tmp_path / "demo")
    assert len(made) >= 7
    assert sum(path.stat().st_size for path, _ in made) < 60_000_000
    assert sorted(path.name for path, _ in made) == sorted(path.name for path in (tmp_path / "demo").iterdir())
    for path, meant in made:
        try:
            rendition = make_playable(path, toolbox=toolbox, out=tmp_path, probe=probe(path, toolbox=toolbox))
        except Unplayable:
            became = "unplayable"
        else:
            assert rendition.plan is not None
            became = "damaged" if rendition.is_damaged else rendition.plan.kind.value
        assert (path.name, became) == (path.name, meant)


def test_a_long_recording_is_made_by_looping(toolbox: Toolbox, tmp_path: Path) -> None:
    path = footage.make_recording(tmp_path / "x.mp4", seconds=90, width=320, height=240)
    found = probe(path, toolbox=toolbox)
    assert found.duration_ms is not None
    assert abs(found.duration_ms - 90_000) < 200
    rendition = make_playable(path, toolbox=toolbox, out=tmp_path, probe=found)
    assert rendition.findings == ()


def test_the_sample_record_is_a_pdf(tmp_path: Path) -> None:
    path = footage.make_pdf(tmp_path / "x.pdf", ["Inspection record (no. 1)", "back\\slash"])
    told = subprocess.run(["pdftotext", path, "-"], capture_output=True, check=True)
    assert told.stderr == b""
    assert told.stdout.decode().split("\n")[:2] == ["Inspection record (no. 1)", "back\\slash"]
