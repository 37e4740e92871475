"""The rules of keys as data: which acts with a certificate need a second person."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final, Self

from archive.kernel.errors import LiuhenError
from archive.kernel.rules import load_rules
from archive.trust.terms import KeyAct, KeyPurpose

_SHIPPED: Final = Path(__file__).parent / "rules.toml"


class TrustRulesInvalid(LiuhenError):
    """The file of the rules of keys is wrong."""

    code = "trust.rules_invalid"
    exit_code = 78


@dataclass(frozen=True, slots=True)
class TrustRules:
    """A dated set of the rules."""

    since: date
    set_by: str
    second_person: Mapping[KeyAct, frozenset[KeyPurpose]]

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Read the rules: a bureau's own where a file is named, else those that are shipped.

        Raises: TrustRulesInvalid.
        """
        return load_rules(path or _SHIPPED, cls._of, TrustRulesInvalid)

    @classmethod
    def _of(cls, told: Mapping[str, Any]) -> Self:
        if set(told) != {"from", "set_by", "second_person"}:
            raise ValueError("the names are from, second_person, set_by")
        acts = told["second_person"]
        if type(told["from"]) is not date or type(told["set_by"]) is not str:
            raise TypeError("a value is of another type")
        if set(acts) != {act.value for act in KeyAct}:
            raise ValueError(f"each of {', '.join(KeyAct)} is said")
        return cls(told["from"], told["set_by"], {act: frozenset(map(KeyPurpose, acts[act.value])) for act in KeyAct})

    def needs_second_person(self, act: KeyAct, purpose: KeyPurpose) -> bool:
        """Return whether somebody else must agree."""
        return purpose in self.second_person[act]
