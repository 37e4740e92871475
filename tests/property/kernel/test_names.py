"""What holds for the safe form of any name at all."""

import unicodedata
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from archive.kernel.names import safe_file_name

_nasty = st.sampled_from(list('./\\: *?"<>|\0\n\u200b\u0301\u0338\u202e\ufeff\ud800执é\u1100\u1161\u11a8'))
names = st.text(max_size=60) | st.text(st.characters() | _nasty, max_size=200)


@given(names)
@example("a\u200b\u0301")
@example("\u1100\u200d\u1161")
def test_the_safe_name_of_a_safe_name_is_itself(given_name: str) -> None:
    once = safe_file_name(given_name)
    assert safe_file_name(once) == once


@given(names)
def test_size_form_and_characters(given_name: str) -> None:
    name = safe_file_name(given_name)
    assert 1 <= len(name.encode()) <= 180
    assert unicodedata.is_normalized("NFC", name)
    assert not set(name) & set('/\\:*?"<>|')
    assert not {unicodedata.category(char) for char in name} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert not name.startswith((".", " "))
    assert not name.endswith((".", " "))
    assert Path(name).name == name


@given(st.text(st.sampled_from("ab执 ."), max_size=120), st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True))
def test_an_extension_survives_any_stem(stem: str, extension: str) -> None:
    name = safe_file_name(f"x{stem}.{extension}")
    assert Path(name).suffix == f".{extension}"


@given(st.from_regex(r"[A-Za-z0-9_-]{1,100}\.[a-z0-9]{1,4}", fullmatch=True))
def test_plain_names_stay_as_they_are(name: str) -> None:
    assert safe_file_name(name) == name
