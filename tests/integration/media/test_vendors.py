"""What single makers write is told for what it is, by its bytes, and plays."""

from pathlib import Path

import pytest

from ingest.media.plan import plan
from ingest.media.probe import probe
from ingest.media.renditions import make_playable
from ingest.media.tools import Toolbox
from tests.support import vendors
from tests.support.vendors import VENDORS, Vendor


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)
def test_it_is_known_and_plays(vendor: Vendor, toolbox: Toolbox, tmp_path: Path) -> None:
    # Under a name that says nothing: only the bytes count.
    path = vendors.make(vendor, tmp_path).rename(tmp_path / "recording")
    found = probe(path, toolbox=toolbox)
    assert (found.format_name, found.findings) == (vendor.format_name, ())
    chosen = plan(found)
    assert (chosen.kind.value, chosen.reason) == (vendor.kind, None)
    made = make_playable(path, toolbox=toolbox, out=tmp_path, probe=found)
    assert made.findings == ()
    assert made.media_type == ("audio/mp4" if vendor.kind == "audio" else "video/mp4")
    assert made.probe.duration_ms is not None
    assert made.probe.duration_ms > 1500
    if vendor.kind != "audio":
        assert made.probe.video is not None
        assert made.probe.video.codec == "h264"
