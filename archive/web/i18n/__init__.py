"""Every text that a person reads on a page: one catalogue for each language, the same keys in both.

Texts stand in `zh-Hans/` and `en/`, a file for each part of the house, the same files in both; a table may go on in
another file. A text that counts has two keys, `<key>.one` and `<key>.other`.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Final

_FOLDER: Final = Path(__file__).parent
_MOST_LANGUAGES: Final = 20


class Language(StrEnum):
    """The languages of the pages; Chinese is the first."""

    CHINESE = "zh-Hans"
    ENGLISH = "en"

    @property
    def other(self) -> "Language":
        """The language to switch to."""
        return Language.ENGLISH if self is Language.CHINESE else Language.CHINESE


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The texts of one language."""

    language: Language
    texts: Mapping[str, str]

    def text(self, key: str, **values: object) -> str:
        """Return a text with its `{names}` filled in. Raises: KeyError for a key that no catalogue has."""
        found = self.texts[key]
        return found.format_map(values) if values else found

    def counted(self, key: str, number: int, **values: object) -> str:
        """Return the text for this number, which stands in it as `{number}`."""
        form = "one" if number == 1 else "other"
        return self.text(f"{key}.{form}", number=f"{number:,}", **values)

    def term(self, group: str, value: str) -> str:
        """Return the word for a value of a closed list, or the value itself where this program does not know it."""
        return self.texts.get(f"{group}.{value}", value)

    def has(self, key: str) -> bool:
        """Return whether there is such a text."""
        return key in self.texts


@cache
def catalogue(language: Language) -> Catalogue:
    """Return the catalogue of a language. Raises: ValueError when a key stands in two files."""
    texts: dict[str, str] = {}
    for file in sorted((_FOLDER / language.value).glob("*.toml")):
        for key, text in _flat(tomllib.loads(file.read_text("utf-8"))):
            if key in texts:
                raise ValueError(f"{key} stands in {file.name} and in another file")
            texts[key] = text
    return Catalogue(language, texts)


def preferred_language(*, chosen: str | None, accepted: str | None) -> Language:
    """Return the language that a person chose, else the first one that the browser accepts, else Chinese.

    Source: RFC 9110 section 12.5.4.
    """
    if chosen is not None and chosen in set(Language):
        return Language(chosen)
    wanted: list[tuple[float, int, Language]] = []
    for place, part in enumerate((accepted or "").split(",")[:_MOST_LANGUAGES]):
        tag, _, parameter = part.partition(";")
        quality = _quality(parameter)
        prefix = tag.strip().lower().split("-")[0]
        language = {"zh": Language.CHINESE, "en": Language.ENGLISH}.get(prefix)
        if language is not None and quality > 0:
            wanted.append((-quality, place, language))
    return min(wanted)[2] if wanted else Language.CHINESE


def _quality(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name.strip().lower() != "q":
        return 1.0
    try:
        quality = float(value)
    except ValueError:
        return 0.0
    return quality if 0 <= quality <= 1 else 0.0


def _flat(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            found += _flat(inner, f"{prefix}{name}.")
        else:
            found.append((f"{prefix}{name}", inner))
    return found
