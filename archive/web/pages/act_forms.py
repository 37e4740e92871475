"""The form of an act: stage, place, time, and the officers who carry it out."""

import re
from collections.abc import Callable
from typing import Any, Final

from archive.cases.act_officers import OfficerUnknown
from archive.cases.filing import MAX_PLACE_CHARACTERS
from archive.cases.terms import Stage
from archive.web.pages.forms import Form

_MOST_OFFICERS_CHARACTERS: Final = 1000
_NUMBERS: Final = re.compile(r"[\w.()/-]+")


def take_act(form: Form, write: Callable[..., Any]) -> bool:
    """Read an act, and hand it to what writes it down; return whether it was written. What is wrong stands in the form.

    `write` is called with `stage`, `place`, `started_at`, `ended_at` and `officers`, their certificate numbers.
    """
    stage = form.choice("stage", Stage)
    place = form.text("place", most=MAX_PLACE_CHARACTERS)
    started_at = form.moment("started_at")
    ended_at = form.moment("ended_at", required=False)
    if started_at is not None and ended_at is not None and ended_at < started_at:
        form.refuse("ended_at", "form.ends_before_start")
    officers = list(dict.fromkeys(_NUMBERS.findall(form.short("officers", most=_MOST_OFFICERS_CHARACTERS))))
    if not form.is_good or started_at is None:
        return False
    try:
        write(stage=stage, place=place, started_at=started_at, ended_at=ended_at, officers=officers)
    except OfficerUnknown as exc:
        form.refuse("officers", "act.officer_unknown", number=exc.facts["number"])
        return False
    return True
