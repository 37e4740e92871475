"""Names and metadata as body-worn systems write them."""

from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.kernel.canonical import canonical_json
from archive.kernel.errors import InvalidInput
from ingest.axis.naming import (
    ObjectKind,
    check_container,
    check_object,
    decoded_meta,
    key_of,
    kind_of,
    merged_meta,
    moment,
    recording_parts,
    spelled,
)

AT = datetime(2026, 3, 2, 1, 31, 12, tzinfo=UTC)
PLAIN = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=40)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("20260302_013112_4711.mp4", ObjectKind.CLIP),
        ("20260302_013112_4711.MKV", ObjectKind.CLIP),
        ("20260302_013112_4711.key", ObjectKind.KEY),
        ("bookmark_20260302T013120Z_1", ObjectKind.BOOKMARK),
        ("bookmark_1.mp4", ObjectKind.BOOKMARK),
        ("20260302_013112_4711_B8A44F0001_gpstrail.json", ObjectKind.TRAIL),
        ("folder/20260302_013112_4711.mp4", ObjectKind.CLIP),
        ("anything.bin", ObjectKind.OTHER),
    ],
)
def test_kinds(name: str, kind: ObjectKind) -> None:
    assert kind_of(name) is kind


def test_the_key_of_a_clip_and_of_a_trail() -> None:
    names = ["a_4711.mp4", "a_4711.key", "b_4711.mp4", "a_4711_B8_gpstrail.json"]
    assert key_of("a_4711.mp4", names) == "a_4711.key"
    assert key_of("b_4711.mp4", names) is None
    assert key_of("a_4711_B8_gpstrail.json", names) == "a_4711.key"
    assert key_of("a_4711_B8_gpstrail.json", [*names, "a_4711_B8_gpstrail.key"]) == "a_4711_B8_gpstrail.key"
    assert key_of("a_4711.key", names) is None


@pytest.mark.parametrize(
    "text", ["2026-03-02T01:31:12Z", "2026-03-02T09:31:12+08:00", "20260302T013112Z", "20260302_013112", "1772415072"]
)
def test_times(text: str) -> None:
    assert moment(text) == AT


@pytest.mark.parametrize("text", [None, "", "soon", "20261302T013112Z", "99999999999", "2026-03-02T01:31:12"])
def test_what_is_no_time(text: str | None) -> None:
    found = moment(text)
    assert found is None or found.year > 5000


def test_the_name_of_a_recording_tells_who_with_what_and_when() -> None:
    user = "0b4b2b1e-7a34-4b4b-9c34-0c6b7f1f0a11"
    assert recording_parts(f"{user}_B8A44F0001_20260302T013112Z") == (user, "B8A44F0001", AT)
    assert recording_parts(f"{user}_B8A44F0001_20260302_013112") == (user, "B8A44F0001", AT)
    assert recording_parts("RejectedContent_UnknownTime_x") == (None, None, None)
    assert recording_parts("holiday pictures") == (None, None, None)


@given(PLAIN)
def test_a_time_is_a_time_or_none(text: str) -> None:
    found = moment(text)
    assert found is None or found.tzinfo is not None


@given(st.dictionaries(st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,20}", fullmatch=True), PLAIN, max_size=10))
def test_metadata_comes_out_as_it_was_meant(meta: dict[str, str]) -> None:
    lower = {name.lower(): value for name, value in meta.items()}
    assert decoded_meta({name: quote(value) for name, value in lower.items()}) == lower
    merged = merged_meta({}, lower)
    assert merged == {name: value for name, value in lower.items() if value}
    assert len(canonical_json(spelled(merged))) < 8 * 1024


def test_metadata_has_its_limits() -> None:
    for bad in ({"a": "x" * 4000}, {f"n{number}": "x" for number in range(91)}, {"a": "%0A"}, {"a": "\x00"}):
        with pytest.raises(InvalidInput):
            decoded_meta(bad)
    assert decoded_meta({"A": "%ff"}) == {"a": "%ff"}, "what is no UTF-8 stays as it came"
    with pytest.raises(InvalidInput):
        merged_meta({"a": "x" * 2000}, {"b": "x" * 2000})


def test_an_empty_value_takes_the_name_away() -> None:
    assert merged_meta({"a": "1", "b": "2"}, {"a": "", "c": "3"}) == {"b": "2", "c": "3"}


def test_published_names_get_their_capitals_back() -> None:
    assert spelled({"bwcserialnumber": "x", "custom": "y"}) == {"BWCSerialNumber": "x", "custom": "y"}


def test_names_have_their_limits() -> None:
    assert check_object("a/b.mp4") == "a/b.mp4"
    for bad in ("", "x" * 1025, "a\nb", "\ufffd", "a\ud800"):
        with pytest.raises(InvalidInput):
            check_object(bad)
    with pytest.raises(InvalidInput):
        check_container("x" * 257)
