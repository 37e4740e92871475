"""Which cosignatures make a checkpoint count: witnesses, groups of them, a quorum.

Pure: no file, no clock, no network.

Source: C2SP tlog-policy; docs/formats/receipt.md, trust file.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from archive.kernel.errors import InvalidInput
from archive.kernel.findings import Finding, indeterminate, invalid, valid
from archive.ledger.note import OpenedNote, VerifierKey

NONE: Final = "none"
"""The quorum that asks for no cosignature."""
MAX_NAMES: Final = 256
"""Witnesses and groups together. C2SP tlog-policy asks implementations for 32 of each."""
_THRESHOLD: Final = re.compile("[1-9][0-9]{0,3}")
_WHERE: Final = "checkpoint"


class MalformedPolicy(InvalidInput):
    """Witnesses, groups and quorum do not make a policy."""

    code = "policy.malformed"
    exit_code = 65


@dataclass(frozen=True, slots=True)
class Witness:
    """Somebody who watches a log. The name is for this policy only; `url` is where checkpoints are submitted."""

    name: str
    key: VerifierKey
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Witnesses and groups of which `threshold` must have cosigned."""

    name: str
    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WitnessPolicy:
    """A quorum over witnesses. `quorum` is a name, `none`, or None where nothing was said, which asks for nothing.

    Groups stand after what they name.

    Raises: MalformedPolicy.
    """

    witnesses: tuple[Witness, ...] = ()
    groups: tuple[Group, ...] = ()
    quorum: str | None = None

    def __post_init__(self) -> None:
        """Refuse names that are not defined or defined twice, keys that stand twice, thresholds that cannot be."""
        if len(self.witnesses) + len(self.groups) > MAX_NAMES:
            raise MalformedPolicy("There are more than 256 witnesses and groups")
        known: set[str] = set()
        for witness in self.witnesses:
            _define(known, witness.name)
            if not witness.key.is_of_witness:
                raise MalformedPolicy("This kind of key does not cosign", witness=witness.name)
        keys = [witness.key.public_bytes for witness in self.witnesses]
        if len(set(keys)) != len(keys):
            raise MalformedPolicy("Two witnesses have the same public key")
        self._check_groups(known)
        if self.quorum is not None and self.quorum != NONE and self.quorum not in known:
            raise MalformedPolicy("The quorum names what is not defined", quorum=self.quorum)

    def _check_groups(self, known: set[str]) -> None:
        members: set[str] = set()
        for group in self.groups:
            if not 1 <= group.threshold <= len(group.members):
                raise MalformedPolicy("A threshold lies between 1 and the number of members", group=group.name)
            for member in group.members:
                if member not in known:
                    raise MalformedPolicy("A group names what is not defined before it", group=group.name)
                if member in members:
                    raise MalformedPolicy("A name is a member of one group at most, once", member=member)
                members.add(member)
            _define(known, group.name)

    @property
    def asks(self) -> bool:
        """Whether any cosignature is asked for."""
        return self.quorum not in {None, NONE}

    @property
    def keys(self) -> tuple[VerifierKey, ...]:
        """The keys of all witnesses."""
        return tuple(witness.key for witness in self.witnesses)

    @property
    def without_urls(self) -> "WitnessPolicy":
        """The same policy for outsiders, who have nothing to submit."""
        return WitnessPolicy(
            tuple(Witness(witness.name, witness.key) for witness in self.witnesses), self.groups, self.quorum
        )

    def is_met_by(self, cosigners: Iterable[VerifierKey]) -> bool:
        """Return whether the quorum is met when exactly the witnesses with these keys have cosigned."""
        if not self.asks:
            return True
        seen = set(cosigners)
        met = {witness.name for witness in self.witnesses if witness.key in seen}
        for group in self.groups:
            if sum(member in met for member in group.members) >= group.threshold:
                met.add(group.name)
        return self.quorum in met

    def cosigners(self, note: OpenedNote) -> tuple[Witness, ...]:
        """Return the witnesses that have cosigned a note, opened with their keys, and said when."""
        return tuple(witness for witness in self.witnesses if note.time_by(witness.key) is not None)

    def check(self, note: OpenedNote, *, is_asked: bool = False) -> tuple[Finding, ...]:
        """Say whether the cosignatures of a note, opened with the witnesses' keys, make its checkpoint count.

        Without a quorum nothing is said, unless the caller asks for one.
        """
        if not self.asks:
            told = "The policy asks for no witness: the log could have shown others something else."
            return (indeterminate("checkpoint.no_quorum_asked", told, _WHERE),) if is_asked else ()
        found = self.cosigners(note)
        names = ", ".join(witness.name for witness in found) or "none"
        if self.is_met_by(witness.key for witness in found):
            return (valid("checkpoint.quorum_valid", f"Witnesses have cosigned the checkpoint: {names}.", _WHERE),)
        told = f"The checkpoint lacks cosignatures of the quorum {self.quorum}; there are: {names}."
        return (invalid("checkpoint.quorum_missing", told, _WHERE),)

    def lines(self) -> list[str]:
        """Render the lines of a policy file."""
        lines = [" ".join(["witness", w.name, str(w.key), *([w.url] if w.url else [])]) for w in self.witnesses]
        lines += [f"group {group.name} {group.threshold} {' '.join(group.members)}" for group in self.groups]
        return lines if self.quorum is None else [*lines, f"quorum {self.quorum}"]


NO_WITNESSES: Final = WitnessPolicy()
"""Asks for nothing."""


class PolicyReader:
    """Takes the lines of a policy one after the other, in the order of the file."""

    def __init__(self) -> None:
        """Begin without any."""
        self._witnesses: list[Witness] = []
        self._groups: list[Group] = []
        self._quorum: str | None = None
        self._readers: Mapping[str, Callable[[Sequence[str]], None]] = {
            "witness": self._witness,
            "group": self._group,
            "quorum": self._choose,
        }

    def takes(self, word: str) -> bool:
        """Whether a line that begins with `word` is one of a policy's."""
        return word in self._readers

    def take(self, word: str, rest: Sequence[str]) -> None:
        """Read one line, parted into words. Raises: MalformedPolicy, MalformedKey."""
        self._readers[word](rest)
        self.policy()  # names must be defined before they are used

    def policy(self) -> WitnessPolicy:
        """Return the policy of the lines so far. Raises: MalformedPolicy."""
        return WitnessPolicy(tuple(self._witnesses), tuple(self._groups), self._quorum)

    def _witness(self, rest: Sequence[str]) -> None:
        if not 2 <= len(rest) <= 3:
            raise MalformedPolicy("A witness line has a name, a key, and perhaps an address")
        self._witnesses.append(Witness(rest[0], VerifierKey.parse(rest[1]), *rest[2:]))

    def _group(self, rest: Sequence[str]) -> None:
        if len(rest) < 3:
            raise MalformedPolicy("A group line has a name, a threshold and at least one member")
        name, threshold, *members = rest
        named = {"any": 1, "all": len(members)}
        if threshold not in named and not _THRESHOLD.fullmatch(threshold):
            raise MalformedPolicy("A threshold is any, all, or a number without leading zeros", group=name)
        self._groups.append(Group(name, named.get(threshold) or int(threshold), tuple(members)))

    def _choose(self, rest: Sequence[str]) -> None:
        if self._quorum is not None or len(rest) != 1:
            raise MalformedPolicy("There is one quorum line at most, with one name")
        self._quorum = rest[0]


def _define(known: set[str], name: str) -> None:
    if name == NONE or name in known or not name or any(char.isspace() for char in name):
        raise MalformedPolicy("A witness or group has a name of its own, which is not none", name=name[:64])
    known.add(name)
