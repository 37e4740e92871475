"""Whether counts balance: what was in the stores before is what was destroyed and what was left. Pure."""

from collections.abc import Iterable, Mapping
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
    destroyed: Mapping[str, Extent]
    left: Mapping[str, Extent]
    objects_before: int
    objects_destroyed: int
    objects_left: int
    differing: tuple[UUID, ...]

    @property
    def holds(self) -> bool:
        """Whether before is destroyed and left together, in each store, and for each object."""
        together = {name: self.destroyed[name] + self.left[name] for name in self.before}
        objects = self.objects_destroyed + self.objects_left
        return together == dict(self.before) and objects == self.objects_before and not self.differing

    def as_json(self) -> dict[str, Any]:
        """Return the counts as rows, entries and the certificate hold them."""
        return {
            "holds": self.holds,
            "objects": {
                "before": self.objects_before,
                "destroyed": self.objects_destroyed,
                "left": self.objects_left,
            },
            "stores": {
                name: {
                    part: {"files": each[name].files, "bytes": each[name].size_bytes}
                    for part, each in (("before", self.before), ("destroyed", self.destroyed), ("left", self.left))
                }
                for name in self.before
            },
            "differing": [str(each) for each in self.differing],
        }


def balance(counted: Iterable[Counted], stores: Iterable[str]) -> Balance:
    """Balance the counts of all objects of a list, struck ones aside."""
    names = tuple(stores)
    every = list(counted)
    gone = [each for each in every if each.is_destroyed]
    left = [each for each in every if not each.is_destroyed]
    return Balance(
        before=_sum(names, (each.before for each in every)),
        destroyed=_sum(names, (each.found or {} for each in gone)),
        left=_sum(names, (each.now for each in left)),
        objects_before=len(every),
        objects_destroyed=len(gone),
        objects_left=len(left),
        differing=tuple(each.object_id for each in every if not _is_even(each, names)),
    )


def _is_even(each: Counted, names: tuple[str, ...]) -> bool:
    def of(told: Mapping[str, Extent] | None) -> list[Extent]:
        return [(told or {}).get(name, Extent()) for name in names]

    if each.is_destroyed:
        return of(each.before) == of(each.found) and not any(extent.files for extent in of(each.now))
    return of(each.before) == of(each.now)


def _sum(names: tuple[str, ...], told: Iterable[Mapping[str, Extent]]) -> Mapping[str, Extent]:
    sums = dict.fromkeys(names, Extent())
    for each in told:
        for name in names:
            sums[name] += each.get(name, Extent())
    return sums
