"""Restricted classes (限制类别): what is seen only by those who were cleared for it, beside the right to see it."""

from collections.abc import Collection
from enum import StrEnum

_ORDER = ("state_secret", "trade_secret", "privacy", "minors", "informant")


class RestrictedClass(StrEnum):
    """Why sight is restricted: 国家秘密, 商业秘密, 个人隐私, 未成年人, 举报人."""

    STATE_SECRET = "state_secret"  # noqa: S105 - a class of what is kept
    TRADE_SECRET = "trade_secret"  # noqa: S105 - a class of what is kept
    PRIVACY = "privacy"
    MINORS = "minors"
    INFORMANT = "informant"

    @property
    def bit(self) -> int:
        """The bit that stands for it in the database."""
        return 1 << _ORDER.index(self.value)


def bits(classes: Collection[RestrictedClass]) -> int:
    """Return restricted classes as they stand in the database."""
    return sum(found.bit for found in set(classes))


def classes_in(value: int) -> tuple[RestrictedClass, ...]:
    """Return the restricted classes that stand in the database as `value`."""
    return tuple(found for found in RestrictedClass if value & found.bit)
