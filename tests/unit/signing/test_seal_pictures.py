"""A seal on the screen is drawn as it is in documents."""

from xml.etree import ElementTree as ET

import pytest

from archive.documents.faces import SONG
from signing.appearances import Appearance
from signing.seal_pictures import seal_svg
from signing.seals import SEAL_POINTS, round_seal
from signing.typefaces import Typeface

_SVG = "{http://www.w3.org/2000/svg}"


def test_each_part_of_the_seal_is_in_the_picture() -> None:
    seal = round_seal(Typeface(SONG), name="某某市综合行政执法局", line="行政执法专用章")
    drawn = ET.fromstring(seal_svg(seal))
    assert drawn.get("viewBox") == f"0 0 {SEAL_POINTS:.2f} {SEAL_POINTS:.2f}"
    paths = list(drawn.iter(f"{_SVG}path"))
    assert len(paths) == 2 + 10 + 7, "ring, star, each character once"
    ring, star, first, *_ = paths
    assert (ring.get("fill"), ring.get("stroke"), ring.get("stroke-width")) == ("none", "#d6171a", "1.2")
    assert (star.get("fill"), star.get("stroke")) == ("#d6171a", None)
    assert (star.get("d") or "").count("L") == 9
    assert (first.get("transform") or "").count("matrix") == 2, "that of the seal, then that of the character"


def test_what_no_seal_has_is_refused() -> None:
    with pytest.raises(ValueError, match="BT"):
        seal_svg(Appearance(10, 10, b"BT 1 0 0 1 0 0 Tm ET"))
