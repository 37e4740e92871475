"""Which files are one recording: a pure rule over what is known of them, without database and clock.

Two files belong together when their names number them as chapters of one recording, or when one begins where the other
ends. Each join is decided by the two files and those that rival them at that very place, so the grouping of a set of
files does not depend on the order in which they arrive.

1. Chapters: files of the same series are put in the order of their numbers; a number that comes again, and a time that
   is too far off, begin another chain.
2. Followers: the end of a chain and the start of another that lie within the tolerance are joined. With a device's own
   serial the nearest are; without, only where there is no rival and the names say that they belong together.
"""

import hashlib
import tomllib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self
from uuid import UUID

from archive.evidence.models import EvidenceItem
from archive.evidence.terms import VAGUE, SourceKind
from archive.kernel.canonical import canonical_json
from archive.kernel.errors import LiuhenError
from archive.kernel.instants import Instant

_SHIPPED: Final = Path(__file__).with_name("recording_rules.toml")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
_KINDS: Final = {"footage", "audio"}


class RulesInvalid(LiuhenError):
    """The file with the rules for recordings cannot be used."""

    code = "evidence.rules_invalid"
    exit_code = 78


@dataclass(frozen=True, slots=True)
class RecordingRules:
    """A dated set of the rules. Units: milliseconds; minutes ahead of UTC."""

    since: date
    set_by: str
    basis: str
    tolerance_ms: int
    most_chapter_gap_ms: int
    daily: frozenset[SourceKind]
    zone_minutes: int

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Read the rules: those of a bureau where the file is there, else those that are shipped.

        Raises: RulesInvalid.
        """
        chosen = path if path is not None and path.exists() else _SHIPPED
        try:
            return cls._of(tomllib.loads(chosen.read_text("utf-8")))
        except (ValueError, KeyError, TypeError, OSError) as exc:
            raise RulesInvalid(file=str(chosen), cause=str(exc)[:200]) from exc

    @classmethod
    def _of(cls, told: Mapping[str, Any]) -> Self:
        if set(told) != _NAMES:
            raise ValueError(f"the names are {', '.join(sorted(_NAMES))}")
        rules = cls(
            since=told["from"],
            set_by=told["set_by"],
            basis=told["basis"],
            tolerance_ms=told["tolerance_ms"],
            most_chapter_gap_ms=told["most_chapter_gap_ms"],
            daily=frozenset(SourceKind(kind) for kind in told["daily"]),
            zone_minutes=told["zone_minutes"],
        )
        numbers = (rules.tolerance_ms, rules.most_chapter_gap_ms, rules.zone_minutes)
        texts = (rules.set_by, rules.basis)
        if type(rules.since) is not date or {*map(type, numbers)} != {int} or {*map(type, texts)} != {str}:
            raise TypeError("a value is of another type")
        if not (0 <= rules.tolerance_ms <= rules.most_chapter_gap_ms <= _MOST_GAP_MS):
            raise ValueError("0 <= tolerance_ms <= most_chapter_gap_ms, which is a week at most")
        return rules


_NAMES: Final = {"from", "set_by", "basis", "tolerance_ms", "most_chapter_gap_ms", "daily", "zone_minutes"}
_MOST_GAP_MS: Final = 7 * 86_400_000


class Ground(StrEnum):
    """Why we take two files for files of one device: it has a serial, or dock, kind and channel are the same."""

    SERIAL = "serial"
    CHANNEL = "channel"
    DOCK = "dock"


@dataclass(frozen=True, slots=True)
class DeviceKey:
    """What all clips of a recording have in common. `digest` is the form that is stored."""

    ground: Ground
    digest: str


@dataclass(frozen=True, slots=True)
class Take:
    """One file of a device as it presents itself. Units: milliseconds since 1970, corrected where that is possible."""

    object_id: UUID
    sha512: str
    stated_ms: int
    duration_ms: int | None
    series: str | None
    sequence: int | None


@dataclass(frozen=True, slots=True)
class Placed:
    """A take in its place. `gap_before_ms` is None for the first of a recording and where it is not known."""

    take: Take
    starts_ms: int
    gap_before_ms: int | None

    @property
    def ends_ms(self) -> int:
        """Where it ends; where it starts when its length is not known."""
        return self.starts_ms + (self.take.duration_ms or 0)

    @property
    def is_end_known(self) -> bool:
        """Whether its length is known."""
        return self.take.duration_ms is not None


def device_key(item: EvidenceItem, *, rules: RecordingRules) -> DeviceKey | None:
    """Return what an item's device is known by, None where nothing tells files of one device from those of another."""
    if item.device_serial is not None:
        ground, parts = Ground.SERIAL, [item.device_serial, item.channel]
    elif item.source_kind is not None:
        ground = Ground.DOCK if item.channel is None else Ground.CHANNEL
        parts = [str(item.dock_id), item.source_kind, item.channel]
    else:
        return None
    start = stated_start(item)
    if start is not None and item.source_kind in rules.daily:
        parts.append((start + timedelta(minutes=rules.zone_minutes)).date().isoformat())
    return DeviceKey(ground, hashlib.sha256(canonical_json([ground.value, *parts])).hexdigest())


def stated_start(item: EvidenceItem) -> Instant | None:
    """Return when an item says that it begins, corrected by its clock's offset; None where nobody says it exactly."""
    if item.recorded_at is None or item.recorded_from is None or item.recorded_from in VAGUE:
        return None
    try:
        return item.recorded_at - timedelta(milliseconds=item.clock_offset_ms or 0)
    except OverflowError:
        return None


def take_of(item: EvidenceItem) -> Take | None:
    """Return an item as a take, None where it is no recording or nobody says when it begins."""
    start = stated_start(item)
    if start is None or item.kind not in _KINDS:
        return None
    return Take(
        object_id=item.object_id,
        sha512=item.sha512,
        stated_ms=as_ms(start),
        duration_ms=item.duration_ms,
        series=item.series if item.sequence is not None else None,
        sequence=item.sequence,
    )


def as_ms(at: Instant) -> int:
    """Return an instant in whole milliseconds since 1970."""
    return (at - _EPOCH) // _MS


def as_instant(ms: int) -> Instant:
    """Return the instant of `as_ms`."""
    return _EPOCH + ms * _MS


def grouped(takes: Iterable[Take], *, ground: Ground, rules: RecordingRules) -> list[list[Placed]]:
    """Return the recordings that these files of one device are, each with its clips in their order. Pure.

    Guarantees: the order of `takes` has no effect.
    """
    chains = sorted(_chains(takes, rules), key=lambda chain: _order(chain[0]))
    followers = dict(_joins(chains, ground, rules))
    begun = [place for place in range(len(chains)) if place not in set(followers.values())]
    recordings = []
    for start in begun:
        recording, place = list(chains[start]), start
        while (after := followers.get(place)) is not None:
            first = chains[after][0]
            gap_ms = first.starts_ms - recording[-1].ends_ms
            recording += [Placed(first.take, first.starts_ms, gap_ms), *chains[after][1:]]
            place = after
        recordings.append(recording)
    return recordings


def _order(placed: Placed) -> tuple[int, int, str]:
    return placed.starts_ms, placed.ends_ms, placed.take.sha512


# ---- chapters ----------------------------------------------------------------------------------------------------


def _chains(takes: Iterable[Take], rules: RecordingRules) -> Iterator[list[Placed]]:
    series: dict[str, list[Take]] = {}
    for take in takes:
        if take.series is None:
            yield [Placed(take, take.stated_ms, None)]
        else:
            series.setdefault(take.series, []).append(take)
    for chapters in series.values():
        yield from _chapters(chapters, rules)


def _chapters(takes: Sequence[Take], rules: RecordingRules) -> list[list[Placed]]:
    chains: list[list[Placed]] = []
    for take in sorted(takes, key=lambda take: (take.sequence or 0, take.stated_ms, take.sha512)):
        chain = next((chain for chain in chains if _continues(take, chain, rules)), None)
        if chain is None:
            chains.append([Placed(take, take.stated_ms, None)])
        else:
            chain.append(_chapter_after(chain[-1], take, rules))
    return chains


def _continues(take: Take, chain: Sequence[Placed], rules: RecordingRules) -> bool:
    is_later = (take.sequence or 0) > (chain[-1].take.sequence or 0)
    earliest_ms = chain[0].take.stated_ms - rules.tolerance_ms
    return is_later and earliest_ms <= take.stated_ms <= chain[-1].ends_ms + rules.most_chapter_gap_ms


def _chapter_after(last: Placed, take: Take, rules: RecordingRules) -> Placed:
    """Place a chapter. Many cameras give every chapter the time of the first: it then begins where the last ended."""
    if take.stated_ms == last.take.stated_ms or take.stated_ms + rules.tolerance_ms < last.ends_ms:
        return Placed(take, last.ends_ms, None)
    starts_ms = max(take.stated_ms, last.starts_ms)
    return Placed(take, starts_ms, starts_ms - last.ends_ms if last.is_end_known else None)


# ---- followers ---------------------------------------------------------------------------------------------------


def _joins(chains: Sequence[Sequence[Placed]], ground: Ground, rules: RecordingRules) -> Iterator[tuple[int, int]]:
    """Yield which chain is followed by which; no chain follows two, none is followed by two."""
    starts = [chain[0].starts_ms for chain in chains]
    after: dict[int, list[int]] = {}
    before: dict[int, list[int]] = {}
    for place, chain in enumerate(chains):
        last = chain[-1]
        if not last.is_end_known:
            continue
        # A follower begins later, however short the last file is.
        low = max(bisect_left(starts, last.ends_ms - rules.tolerance_ms), bisect_right(starts, last.starts_ms))
        for other in range(low, bisect_right(starts, last.ends_ms + rules.tolerance_ms)):
            after.setdefault(place, []).append(other)
            before.setdefault(other, []).append(place)
    for place, others in after.items():
        nearest = min(others, key=lambda other: (_apart_ms(chains, place, other), _order(chains[other][0])))
        rivals = before[nearest]
        if ground is Ground.SERIAL:
            chosen = min(rivals, key=lambda rival: (_apart_ms(chains, rival, nearest), _order(chains[rival][0])))
            if chosen == place:
                yield place, nearest
        elif len(others) == len(rivals) == 1 and _names_agree(chains[place][-1].take, chains[nearest][0].take, ground):
            yield place, nearest


def _apart_ms(chains: Sequence[Sequence[Placed]], place: int, other: int) -> int:
    return abs(chains[other][0].starts_ms - chains[place][-1].ends_ms)


def _names_agree(last: Take, first: Take, ground: Ground) -> bool:
    """Whether the names of two files of an unnamed device say that one is the next of the other."""
    if last.series is not None or first.series is not None:
        return ground is Ground.CHANNEL
    if last.sequence is None or first.sequence is None:
        return ground is Ground.CHANNEL
    return first.sequence == last.sequence + 1
