"""What the time line of an item shows, out of what looks into it found."""

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from archive.evidence.models import ItemLook
from archive.evidence.timeline import Mark, MarkKind, marks_of, sprite_vtt, stills

_CUE = re.compile(
    r"(\d\d+):(\d\d):(\d\d)\.(\d{3}) --> (\d\d+):(\d\d):(\d\d)\.(\d{3})\n/s\.jpg#xywh=(\d+),(\d+),(\d+),(\d+)\n"
)


def looks(**found: dict[str, Any]) -> dict[str, ItemLook]:
    return {name: ItemLook(look=name, found=value) for name, value in found.items()}


def keyframes(times: list[int], *, columns: int = 10, end_ms: int = 60_000) -> dict[str, Any]:
    return {
        "spans": {"video": [0, end_ms]},
        "sprite": {"columns": columns, "width": 160, "height": 90, "at_ms": times},
    }


def test_every_kind_of_mark_in_order_of_time() -> None:
    found = looks(
        keyframes={
            "black": [[5000, 7000]],
            "freeze": [[9000, 20_000]],
            "silence": [[0, 3000]],
            "gaps": [[30_000, 31_000]],
            "sound_gaps": [[30_000, 32_000]],
            "jumps": [[40_000, 60_000]],
        },
        damage={"places_ms": [50_000, 8000, 8900, 10_800, 12_900]},
        track={"bookmarks": [{"at_ms": 6000, "label": "门前", "source": "sidecar.bookmarks[0]"}]},
    )
    assert marks_of(found) == [
        Mark(MarkKind.SILENCE, 0, 3000),
        Mark(MarkKind.BLACK, 5000, 7000),
        Mark(MarkKind.BOOKMARK, 6000, 6000, note="门前", source="sidecar.bookmarks[0]"),
        Mark(MarkKind.DAMAGE, 8000, 10_800),
        Mark(MarkKind.FREEZE, 9000, 20_000),
        Mark(MarkKind.DAMAGE, 12_900, 12_900),
        Mark(MarkKind.GAP, 30_000, 31_000, of="video"),
        Mark(MarkKind.GAP, 30_000, 32_000, of="audio"),
        Mark(MarkKind.GAP, 40_000, 40_000, jump_ms=60_000),
        Mark(MarkKind.DAMAGE, 50_000, 50_000),
    ]


def test_where_nobody_has_looked_there_is_nothing_to_show() -> None:
    assert marks_of({}) == []
    assert marks_of(looks(keyframes={"reason": "media.unreadable"}, track={"points": []})) == []
    assert stills({"reason": "media.unreadable"}) == []
    assert sprite_vtt({}, address="/s.jpg") == "WEBVTT\n"


def test_stills_lie_in_rows() -> None:
    found = stills(keyframes([100, 2000, 4000], columns=2))
    assert [(still.from_ms, still.to_ms, still.x, still.y) for still in found] == [
        (0, 2000, 0, 0),
        (2000, 4000, 160, 0),
        (4000, 60_000, 0, 90),
    ]


@given(st.lists(st.integers(0, 100 * 3600 * 1000), min_size=1, max_size=40, unique=True), st.integers(1, 20))
def test_the_cues_cover_the_recording_without_gap(times: list[int], columns: int) -> None:
    times.sort()
    text = sprite_vtt(keyframes(times, columns=columns, end_ms=times[-1] + 5), address="/s.jpg")
    assert text.startswith("WEBVTT\n\n")
    assert _CUE.sub("", text).strip() == "WEBVTT"
    at = 0
    for cue in _CUE.finditer(text):
        begin, end = (
            ((int(h) * 60 + int(m)) * 60 + int(s)) * 1000 + int(ms)
            for h, m, s, ms in (cue.groups()[:4], cue.groups()[4:8])
        )
        assert (begin, cue[11], cue[12]) == (at, "160", "90")
        at = end
    assert at == times[-1] + 5
