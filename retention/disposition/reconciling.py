"""Whether counts balance: what there was before, and what came since, is what was destroyed and what was left. Pure.

Between the first count and its destruction a version may be added to an object, and it may be copied: that is told.
That something went by itself is a difference, but for what can be made again: workers make that and drop it.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from archive.ocfl.destroying import Extent


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted of one object in each store: before the list was carried out, just before it went, and now.

    `found` is None for what was left out before it was begun.
    """

    object_id: UUID
    is_destroyed: bool
    before: Mapping[str, Extent]
    found: Mapping[str, Extent] | None
    now: Mapping[str, Extent]


@dataclass(frozen=True, slots=True)
class Balance:
    """The counts of a list, by store. `differing` are the objects that do not balance."""

    before: Mapping[str, Extent]
    added: Mapping[str, Extent]
    destroyed: Mapping[str, Extent]
    left: Mapping[str, Extent]
    objects_before: int
    objects_destroyed: int
    objects_left: int
    differing: tuple[UUID, ...]

    @property
    def holds(self) -> bool:
        """Whether both sides are the same in each store, and for each object."""
        is_even = all(
            self.before[name] + self.added[name] == self.destroyed[name] + self.left[name] for name in self.before
        )
        objects = self.objects_destroyed + self.objects_left
        return is_even and objects == self.objects_before and not self.differing

    def as_json(self) -> dict[str, Any]:
        """Return the counts as rows, entries and the certificate hold them."""
        parts = {"before": self.before, "added": self.added, "destroyed": self.destroyed, "left": self.left}
        return {
            "holds": self.holds,
            "objects": {
                "before": self.objects_before,
                "destroyed": self.objects_destroyed,
                "left": self.objects_left,
            },
            "stores": {
                name: {
                    part: {"files": each[name].files, "bytes": each[name].size_bytes} for part, each in parts.items()
                }
                for name in self.before
            },
            "differing": [str(each) for each in self.differing],
        }


def balance(counted: Iterable[Counted], stores: Iterable[str], *, remade: Collection[str] = ()) -> Balance:
    """Balance the counts of all objects of a list, struck ones aside. `remade` names stores of what is made again."""
    every, names = list(counted), tuple(stores)
    added, differing = dict.fromkeys(names, Extent()), []
    for each in every:
        more = {name: _end(each, name) - _of(each.before, name) for name in names}
        shrunk = {name for name, by in more.items() if name not in remade and (by.files < 0 or by.size_bytes < 0)}
        for name in more.keys() - shrunk:
            added[name] += more[name]
        is_there = each.is_destroyed and any(_of(each.now, name).files for name in names)
        if shrunk or is_there:
            differing.append(each.object_id)
    gone = [each for each in every if each.is_destroyed]
    left = [each for each in every if not each.is_destroyed]
    return Balance(
        before=_sum(names, (each.before for each in every)),
        added=added,
        destroyed=_sum(names, (each.found or {} for each in gone)),
        left=_sum(names, (each.now for each in left)),
        objects_before=len(every),
        objects_destroyed=len(gone),
        objects_left=len(left),
        differing=tuple(differing),
    )


def _end(each: Counted, name: str) -> Extent:
    """Return the last count of an object that was not yet destroyed, or never is."""
    return _of(each.found or {}, name) if each.is_destroyed else _of(each.now, name)


def _of(told: Mapping[str, Extent], name: str) -> Extent:
    return told.get(name, Extent())


def _sum(names: tuple[str, ...], told: Iterable[Mapping[str, Extent]]) -> Mapping[str, Extent]:
    sums = dict.fromkeys(names, Extent())
    for each in told:
        for name in names:
            sums[name] += _of(each, name)
    return sums
