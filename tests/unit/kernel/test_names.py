"""File names from cameras, from careless people and from attackers."""

import pytest

from archive.kernel.names import safe_file_name


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("clip.mp4", "clip.mp4"),
        ("现场检查 2026-02-03.mp4", "现场检查 2026-02-03.mp4"),
        ("../../etc/passwd", "passwd"),
        ("/absolute/path/clip.mp4", "clip.mp4"),
        ("C:\\DCIM\\clip.mp4", "clip.mp4"),
        ("..", "unnamed"),
        ("a/..", "unnamed"),
        ("", "unnamed"),
        (" . . ", "unnamed"),
        ("folder/", "unnamed"),
        (".hidden", "hidden"),
        ("...clip.mp4", "clip.mp4"),
        ("clip.mp4. . ", "clip.mp4"),
        ('a:b*c?d"e<f>g|h.mp4', "a_b_c_d_e_f_g_h.mp4"),
        ("nul\0byte.mp4", "nulbyte.mp4"),
        ("line\nbreak\r\t.mp4", "linebreak.mp4"),
        ("exe\u202e4pm.mp4", "exe4pm.mp4"),
        ("zero\u200bwidth\ufeff.mp4", "zerowidth.mp4"),
        ("e\u0301.mp4", "\u00e9.mp4"),
        ("a\u200b\u0301.mp4", "\u00e1.mp4"),
        ("lone\ud800surrogate.mp4", "lone_surrogate.mp4"),
        ("no extension", "no extension"),
        ("a .mp4", "a.mp4"),
    ],
    ids=ascii,
)
def test_table(given: str, expected: str) -> None:
    assert safe_file_name(given) == expected


@pytest.mark.parametrize("character", ["a", "执", "𠀀", "é"])
def test_300_characters_are_cut_between_characters_and_keep_their_extension(character: str) -> None:
    name = safe_file_name(character * 300 + ".mp4")
    stem = name.removesuffix(".mp4")
    assert name.endswith(".mp4")
    assert set(stem) == {character}
    assert 180 - len(character.encode()) < len(name.encode()) <= 180


def test_a_long_extension_is_no_extension() -> None:
    assert len(safe_file_name("a." + "x" * 400).encode()) == 180
