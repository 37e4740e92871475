"""What a probe establishes about a file: plain values that go to JSON and back without floats.

Units: milliseconds, bytes, bits per second, pixels, degrees clockwise; rates are fractions as text (`30000/1001`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from fractions import Fraction
from types import NoneType, UnionType
from typing import Any, Final, Self, get_args, get_type_hints

from archive.kernel.errors import InvalidInput
from archive.kernel.findings import Finding, Outcome
from ingest.media.allowed import Kind


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream. `kind`: video, picture (a still inside the container), audio, subtitle, data or other.

    `rotation`: clockwise degrees that the picture must be turned by to stand upright: 0, 90, 180, 270.
    `is_reordered`: pictures are shown in another order than they are stored in (B-frames).
    """

    index: int
    kind: str
    codec: str
    profile: str = ""
    pix_fmt: str = ""
    width: int = 0
    height: int = 0
    sample_aspect: str = "1:1"
    rotation: int = 0
    fps: str = "0/1"
    is_variable_rate: bool = False
    is_reordered: bool = False
    field_order: str = ""
    sample_rate: int = 0
    channels: int = 0
    language: str = ""
    start_ms: int | None = None
    duration_ms: int | None = None
    bit_rate: int | None = None

    @property
    def rate(self) -> Fraction:
        """Frames per second; zero when unknown."""
        return parse_fraction(self.fps)

    @property
    def is_interlaced(self) -> bool:
        """Whether the stream says that its pictures are made of two fields."""
        return self.field_order in {"tt", "bb", "tb", "bt"}

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Parse the form of `as_json`. Raises: InvalidInput."""
        return cls(**checked_fields(cls, value))


@dataclass(frozen=True, slots=True)
class RecordedAt:
    """One claim about when the recording began: where it stands, as written, and as UTC where it has an offset."""

    source: str
    given: str
    instant: str = ""

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Parse the form of `as_json`. Raises: InvalidInput."""
        return cls(**checked_fields(cls, value))


@dataclass(frozen=True, slots=True)
class Probe:
    """What a file is. `format_name` is empty when no demuxer may touch it; then a finding says why.

    `is_duration_stated`: the container states its duration, so data that ends earlier is missing.
    `errors`: complaints of the parser. `tool`: the program and version that looked, empty when none was needed.
    """

    kind: Kind
    size_bytes: int
    media_type: str
    format_name: str = ""
    duration_ms: int | None = None
    is_duration_stated: bool = False
    bit_rate: int | None = None
    orientation: int = 1
    errors: int = 0
    tool: str = ""
    streams: tuple[Stream, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    recorded_at: tuple[RecordedAt, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def video(self) -> Stream | None:
        """The first moving picture, or None."""
        return next((stream for stream in self.streams if stream.kind == "video"), None)

    @property
    def audio(self) -> tuple[Stream, ...]:
        """The sound tracks in their order."""
        return tuple(stream for stream in self.streams if stream.kind == "audio")

    def as_json(self) -> dict[str, Any]:
        """Return a JSON value without floats, for a column or a manifest."""
        plain = {name: getattr(self, name) for name in _PLAIN}
        return plain | {
            "kind": self.kind.value,
            "streams": [flat_json(stream) for stream in self.streams],
            "tags": dict(self.tags),
            "recorded_at": [flat_json(claim) for claim in self.recorded_at],
            "findings": [finding.as_json() for finding in self.findings],
        }

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Parse the form of `as_json`. Raises: InvalidInput."""
        given = dict(value) if isinstance(value, Mapping) else {}
        try:
            nested: dict[str, Any] = {
                "kind": Kind(given.pop("kind")),
                "streams": tuple(Stream.from_json(part) for part in given.pop("streams")),
                "tags": dict(given.pop("tags")),
                "recorded_at": tuple(RecordedAt.from_json(part) for part in given.pop("recorded_at")),
                "findings": tuple(finding_from_json(part) for part in given.pop("findings")),
            }
        except (KeyError, ValueError, TypeError) as exc:
            raise InvalidInput("Not the JSON form of a probe") from exc
        return cls(**checked_fields(cls, given, only=_PLAIN), **nested)


_NESTED: Final = {"kind", "streams", "tags", "recorded_at", "findings"}
_PLAIN: Final = tuple(part.name for part in fields(Probe) if part.name not in _NESTED)


def parse_fraction(text: str) -> Fraction:
    """Return the value of `30000/1001` or `25`; zero for `0/0` and for what is no fraction."""
    try:
        return Fraction(text.replace(":", "/"))
    except (ValueError, ZeroDivisionError):
        return Fraction(0)


def finding_from_json(value: Any) -> Finding:
    """Parse the form of `Finding.as_json`. Raises: KeyError, ValueError, TypeError."""
    return Finding(
        code=str(value["code"]),
        outcome=Outcome(value["outcome"]),
        message=str(value["message"]),
        where=str(value["where"]),
    )


def flat_json(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass that holds only plain values."""
    return {part.name: getattr(value, part.name) for part in fields(value)}


def checked_fields(cls: type, value: Any, *, only: Sequence[str] | None = None) -> dict[str, Any]:
    """Return `value` as arguments for the dataclass `cls`, every field present and of its type.

    Raises: InvalidInput.
    """
    hints = get_type_hints(cls)
    names = tuple(only) if only is not None else tuple(hints)
    if not isinstance(value, Mapping) or set(value) != set(names):
        raise InvalidInput(f"Not the JSON form of a {cls.__name__.lower()}")
    for name in names:
        allowed = get_args(hints[name]) if isinstance(hints[name], UnionType) else (hints[name],)
        if type(value[name]) not in {NoneType if part is None else part for part in allowed}:
            raise InvalidInput(f"Not the JSON form of a {cls.__name__.lower()}", name=name)
    return {name: value[name] for name in names}
