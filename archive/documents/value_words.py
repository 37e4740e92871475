"""How a value reads on paper, in Chinese as official documents have it: days, amounts, people, ticked boxes."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from archive.documents import template_fields as kinds
from archive.documents.amounts import capitals, figures
from archive.documents.values import Exchange, OfficerName, People, Reference
from archive.kernel.instants import BUREAU_ZONE

_YES_NO: Final = (("是", True), ("否", False))
_TICKED: Final = "■"
_OPEN: Final = "□"
_BETWEEN_BOXES: Final = "　"


def words_of(field: Any, value: Any, part: str | None = None) -> str | None:
    """Return a value, or a part or form of it, as it reads on paper; None for what is not filled in.

    Choices asked for as boxes are shown with all of them open where nothing is chosen.
    """
    if part == "boxes":
        return _boxes(field, value)
    if value is None:
        return None
    match value:
        case People():
            text: str | None = value.parts.get(part or "name")
        case Reference():
            text = f"《{value.title}》{value.number}" if part is None else getattr(value, part)
        case tuple():
            text = _several(field, value, part)
        case str():
            text = _chosen(field, value)
        case _:
            text = _plain(value, part)
    return text or None


def _plain(value: Any, part: str | None) -> str:
    match value:
        case bool():
            return "是" if value else "否"
        case datetime():
            return _moment(value, part)
        case date():
            return _day(value)
        case Decimal():
            return f"{value:f}"
        case _:
            return capitals(value) if part == "capitals" else figures(value)


def _day(day: date) -> str:
    return f"{day.year}年{day.month}月{day.day}日"


def _moment(at: datetime, part: str | None) -> str:
    local = at.astimezone(BUREAU_ZONE)
    clock = f"{local.hour}时{local.minute:02}分"
    return {"day": _day(local), "clock": clock}.get(part or "", _day(local) + clock)


def _chosen(field: Any, value: str) -> str:
    if isinstance(field, kinds.ChoiceField):
        return next((choice.zh for choice in field.choices if choice.value == value), value)
    return value


def _several(field: Any, value: tuple[Any, ...], part: str | None) -> str:
    first = value[0] if value else None
    if part == "count":
        return str(len(value))
    if isinstance(first, OfficerName):
        if part == "names":
            return "、".join(each.name for each in value)
        if part == "numbers":
            return "、".join(each.certificate_number for each in value)
        return "、".join(f"{each.name}（执法证号：{each.certificate_number}）" for each in value)
    if isinstance(first, Exchange):
        return "\n".join(f"问：{each.question}\n答：{each.answer}" for each in value)
    return "、".join(_chosen(field, each) for each in value if isinstance(each, str))


def _boxes(field: Any, value: Any) -> str:
    chosen = value if isinstance(value, tuple) else (value,)
    if isinstance(field, kinds.YesNoField):
        options = [(word, value is answer) for word, answer in _YES_NO]
    else:
        options = [(choice.zh, choice.value in chosen) for choice in field.choices]
    return _BETWEEN_BOXES.join((_TICKED if is_ticked else _OPEN) + word for word, is_ticked in options)
