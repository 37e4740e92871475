"""The texts of notices, in the languages of the pages; here, because mails are written without any page."""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from archive.notify.notices import PARAMS, NoticeKind

LANGUAGES: Final = ("zh-Hans", "en")
_FOLDER: Final = Path(__file__).parent


@cache
def texts(language: str) -> Mapping[str, Any]:
    """Return the texts of a language; of one that is not there, those of the first."""
    chosen = language if language in LANGUAGES else LANGUAGES[0]
    read: Mapping[str, Any] = tomllib.loads((_FOLDER / f"{chosen}.toml").read_text("utf-8"))
    return read


def kind_name(kind: NoticeKind, language: str) -> str:
    """Return what a kind of notices is called."""
    return str(_of(kind, language)["name"])


def page_text(kind: str, params: Mapping[str, str], language: str) -> str:
    """Return a notice as the page shows it; one that this program does not know is told by its kind."""
    if kind not in set(NoticeKind):
        return kind
    known = NoticeKind(kind)
    filled = {name: params.get(name, "") for name in PARAMS[known]}
    return str(_of(known, language)["page"]).format_map(filled)


def mail_text(kind: NoticeKind, *, link: str, language: str) -> tuple[str, str]:
    """Return subject and text of the mail of a notice: nothing of any case."""
    frame = texts(language)["frame"]
    return frame["subject"], frame["body"].format(text=_of(kind, language)["mail"], link=link)


def code_text(code: str, *, link: str, language: str) -> tuple[str, str]:
    """Return subject and text of the mail that brings a one-time code."""
    frame = texts(language)["code"]
    return frame["subject"], frame["body"].format(code=code, link=link)


def _of(kind: NoticeKind, language: str) -> Mapping[str, str]:
    area, _, name = kind.value.partition(".")
    found: Mapping[str, str] = texts(language)[area][name]
    return found
