"""A log entry as it is read back: its fields, what it commits to, and what became of that."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from archive.kernel.errors import LiuhenError
from archive.kernel.ids import EntryId
from archive.kernel.instants import Instant, parse_instant
from archive.ledger.journal import State


class FactUnknown(LiuhenError):
    """An entry does not say what its row needs: its detail was erased or cannot be read, or is older than the word."""

    code = "recovery.fact_unknown"
    exit_code = 65


@dataclass(frozen=True, slots=True)
class Told:
    """An entry of the log. `state` says what became of its detail.

    `detail` is what stayed of one that was erased (`archive.ledger.remainder`), None where nothing of it is left.
    """

    index: int
    id: EntryId
    fields: Mapping[str, Any]
    detail: Mapping[str, Any] | None
    state: State

    @classmethod
    def of(
        cls, index: int, entry_id: EntryId, body: bytes, detail: bytes, state: State, rest: Mapping[str, Any] | None
    ) -> "Told":
        """Take an entry apart; `rest` is what stayed of its detail where that is gone."""
        return cls(index, entry_id, json.loads(body), json.loads(detail) if state is State.KEPT else rest, state)

    @property
    def type(self) -> str:
        """What happened."""
        return str(self.fields["type"])

    @property
    def at(self) -> Instant:
        """When."""
        return parse_instant(self.fields["t"])

    @property
    def actor(self) -> UUID:
        """Who acted."""
        return UUID(self.fields["actor"])

    @property
    def auth(self) -> str | None:
        """The credential that was used."""
        return self.fields.get("auth")

    @property
    def kind(self) -> str | None:
        """What kind of thing it is about, if it is about any."""
        about = self.fields.get("obj")
        return None if about is None else about["kind"]

    @property
    def about(self) -> UUID:
        """What it is about. Raises: FactUnknown."""
        about = self.fields.get("obj")
        if about is None:
            raise self.unknown("obj")
        return UUID(about["id"])

    @property
    def case(self) -> UUID | None:
        """The case that it belongs to."""
        return None if self.fields.get("case") is None else UUID(self.fields["case"])

    @property
    def device(self) -> UUID | None:
        """The dock that it came by."""
        return None if self.fields.get("dev") is None else UUID(self.fields["dev"])

    @property
    def digests(self) -> dict[str, Any]:
        """The digests and the size, as columns of what has them. Raises: FactUnknown."""
        found = self.fields.get("dig")
        if found is None:
            raise self.unknown("dig")
        return {"size_bytes": self.fields["size"], "sha256": found["sha256"], "sha512": found["sha512"]}

    @property
    def sm3(self) -> str | None:
        """The SM3 digest, if there is one."""
        found: str | None = (self.fields.get("dig") or {}).get("sm3")
        return found

    @property
    def is_gone(self) -> bool:
        """Whether the detail was erased or does not open."""
        return self.state is not State.KEPT

    def __contains__(self, name: str) -> bool:
        """Whether the detail says this."""
        return self.detail is not None and name in self.detail

    def __getitem__(self, name: str) -> Any:
        """Return what the detail says. Raises: FactUnknown."""
        if self.detail is None or name not in self.detail:
            raise self.unknown(name)
        return self.detail[name]

    def get(self, name: str, default: Any = None) -> Any:
        """Return what the detail says, else the default; also where it is gone."""
        return default if self.detail is None else self.detail.get(name, default)

    def words(self, name: str) -> str:
        """Return a text. Of a detail that is gone nothing is left but what kept its place: the empty text.

        Raises: FactUnknown where the detail is there and does not say it.
        """
        return "" if self.is_gone and name not in self else str(self[name])

    def unique(self, name: str) -> str:
        """Return a text that no other row has; of a detail that is gone, one that says so with the entry's id."""
        return f"[{self.state.value} {self.id}]" if self.is_gone and name not in self else str(self[name])

    def uuid(self, name: str) -> UUID | None:
        """Return an id. Raises: FactUnknown."""
        return None if self[name] is None else UUID(self[name])

    def instant(self, name: str) -> Instant | None:
        """Return a moment. Raises: FactUnknown."""
        return as_moment(self[name])

    def day(self, name: str) -> date | None:
        """Return a day. Raises: FactUnknown."""
        return as_day(self[name])

    def unknown(self, name: str) -> FactUnknown:
        """Make the error for a fact that is not there."""
        return FactUnknown(entry=self.id, type=self.type, fact=name)


def as_moment(value: Any) -> Instant | None:
    """Return a moment that a detail holds, in either of the two forms that details have."""
    return None if value is None else datetime.fromisoformat(value)


def as_day(value: Any) -> date | None:
    """Return a day that a detail holds."""
    return None if value is None else date.fromisoformat(value)


def as_bytes(value: Any) -> bytes | None:
    """Return bytes that a detail holds in base64."""
    return None if value is None else base64.b64decode(value, validate=True)
