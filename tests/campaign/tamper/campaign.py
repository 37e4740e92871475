"""`./dev campaign tamper`: one change after the other to every kind of file in a package, judged by all verifiers."""

import argparse
import functools
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from archive.packages.verifier import verify, verify_py
from tests.campaign.tamper.changes import CONTAINERS, KINDS, OPERATIONS, Change, Undo, changes, is_in_mldsa
from tests.campaign.tamper.fields import field_of
from tests.campaign.tamper.grounds import Ground, make_grounds
from tests.campaign.tamper.page import page_verifier
from tests.campaign.tamper.report import REPORT, render
from tests.support.package_faults import VALID, by_liuhen, by_verify_py, outline

LIUHEN, ALONE, PAGE = "liuhen verify", "verify.py", "verify.html"


@dataclass
class Result:
    """What was counted. `found` and `tried` by kind, operation and verifier; `wrong` is what must not be."""

    seed: int
    tried: Counter = field(default_factory=Counter)
    found: Counter = field(default_factory=Counter)
    survivors: Counter = field(default_factory=Counter)
    unlike: Counter = field(default_factory=Counter)
    commands: Counter = field(default_factory=Counter)
    forged: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    grounds: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    unchanged: int = 0
    seconds: float = 0.0


class Campaign:
    """One package, and three verifiers that are asked about it."""

    def __init__(self, ground: Ground, result: Result, chance: random.Random, scratch: Path) -> None:
        """Take the package and where to count."""
        self.ground, self.result, self.chance, self.scratch = ground, result, chance, scratch
        self.package, self.log, self.trust = ground.package, ground.log, ground.trust
        (scratch / "trust.txt").write_bytes(self.trust)
        self.undo = Undo(self.package, ground.older)

    def demand_whole(self, page: Callable[[Path, bytes], dict]) -> None:
        """Demand that the package is valid for all before anything is done to it, and again at the end."""
        reports = [by_liuhen(self.package, self.trust, self.log), by_verify_py(self.package, self.trust, self.log)]
        if [report["outcome"] for report in reports] != [VALID, VALID]:
            self.result.wrong.append(f"the untouched package, {self.ground.name}, is not valid")
        if page(self.package, self.trust)["unaltered"] != VALID:
            self.result.wrong.append(f"the untouched package, {self.ground.name}, is not valid for {PAGE}")

    def try_one(self, change: Change, page: Callable[[Path, bytes], dict] | None, *, as_commands: bool) -> None:
        """Make a change, have it judged, take it back."""
        original = (self.package / change.path).read_bytes()
        before = self.undo.make(change, self.chance)
        try:
            if all((path.read_bytes() if path.exists() else None) == raw for path, raw in before.items()):
                self.result.unchanged += 1
                return
            reports = {
                LIUHEN: by_liuhen(self.package, self.trust, self.log),
                ALONE: by_verify_py(self.package, self.trust, self.log),
            }
            if page is not None:
                reports[PAGE] = page(self.package, self.trust)
            changed = {path.relative_to(self.package).as_posix() for path in before}
            for name, report in reports.items():
                self._count(change, name, report, changed, original)
            self._compare(change, reports, original)
            if as_commands:
                self._run_commands(change)
        finally:
            self.undo.put_back(before)

    def _count(self, change: Change, name: str, report: dict, changed: set[str], original: bytes) -> None:
        self.result.tried[change.kind, change.operation, name] += 1
        named = {each["where"] for each in report["findings"] if each["outcome"] != VALID}
        # A tag manifest is named by its signature, a checkpoint by its token.
        also = {f"sig/{path}.p7s" for path in changed} | {path.replace(".ckpt", ".tsr") for path in changed}
        is_found = report["unaltered"] != VALID and bool(named & (changed | also))
        self.result.found[change.kind, change.operation, name] += is_found
        if is_found:
            return
        if change.kind in CONTAINERS and change.operation == "flip":
            copy = self.scratch / "container"
            copy.write_bytes(original)
            self.result.survivors[change.kind, name, field_of(copy, change.byte)] += 1
        else:
            self.result.wrong.append(f"{name} does not find: {change.operation} of {change.path}, byte {change.byte}")

    def _compare(self, change: Change, reports: dict[str, dict], original: bytes) -> None:
        """Demand the same of all, but for signatures by ML-DSA-44, which only one of them checks."""
        pairs = [(ALONE, reports[LIUHEN])]
        if PAGE in reports:  # a browser has no copy of the log, and is compared with one who has none either
            pairs.append((PAGE, by_liuhen(self.package, self.trust)))
        for name, ours in pairs:
            if outline(ours) == outline(reports[name]):
                continue
            if is_in_mldsa(change, original) and _without_note(ours, change) == _without_note(reports[name], change):
                self.result.unlike[name] += 1
            else:
                self.result.wrong.append(f"{name} says something else: {change}")

    def _run_commands(self, change: Change) -> None:
        given = [self.package, "--key", self.scratch / "trust.txt", "--log", self.log]
        alone = self.scratch / "verify.py"
        alone.write_bytes(verify_py())
        for name, command in (
            (LIUHEN, [sys.executable, "-m", "archive.cli", "verify", *given]),
            (ALONE, [sys.executable, "-I", alone, *given]),
        ):
            code = subprocess.run(command, check=False, capture_output=True).returncode
            self.result.commands[name, code] += 1
            if code not in {1, 2}:
                self.result.wrong.append(f"{name} ends with {code}: {change}")

    def forge(self, page: Callable[[Path, bytes], dict]) -> None:
        """Have packages judged that somebody else made whole: with the true trust file, and without any."""
        for name, made in self.ground.forged:
            reports = {
                LIUHEN: by_liuhen(made, self.trust, self.log),
                ALONE: by_verify_py(made, self.trust, self.log),
                PAGE: page(made, self.trust),
            }
            self.result.forged.append(
                (f"{name}, {self.ground.name}", {who: report["unaltered"] for who, report in reports.items()})
            )
            bare = by_liuhen(made, None), by_verify_py(made, None)
            outcomes = [*(report["unaltered"] for report in (*reports.values(), *bare))]
            if VALID in outcomes:
                self.result.wrong.append(f"a forged package is valid: {name}")


def _without_note(report: dict, change: Change) -> tuple[str, str, list[tuple[str, str, str]]]:
    """Return what a report says but for the signatures on the checkpoint that was changed: the file itself included."""
    unaltered, complete, found = outline(report)
    about = {change.path, change.path.replace(".ckpt", ".tsr")}
    signed = ("checkpoint.", "anchor.")
    return unaltered, complete, [each for each in found if not (each[2] in about and each[0].startswith(signed))]


def run(*, seed: int, flips: int, page_flips: int, is_exhaustive: bool, every: int = 1) -> Result:
    """Run the campaign; of the changes that are no flips, the browser and the commands judge one in `every`."""
    began, result, chance = time.monotonic(), Result(seed), random.Random(seed)
    with _asked_once(), tempfile.TemporaryDirectory(prefix="liuhen-tamper-") as place:
        scratch = Path(place)
        # Before the browser: signing needs the event loop that Playwright keeps.
        grounds = make_grounds(scratch, seed=seed)
        with page_verifier(scratch) as page:
            for ground in grounds:
                campaign = Campaign(ground, result, chance, scratch)
                campaign.demand_whole(page)
                seen: Counter[str] = Counter()
                for change in changes(
                    ground.package, kinds=ground.kinds, flips=flips, is_exhaustive=is_exhaustive, chance=chance
                ):
                    is_flip = change.operation == "flip"
                    what = f"flip {change.kind}" if is_flip else "other"
                    is_wide = seen[what] < page_flips if is_flip else seen[what] % every == 0
                    if change.operation == OPERATIONS[1]:
                        print(f"{time.monotonic() - began:6.0f} s  {change.kind}, {ground.name}", flush=True)
                    seen[what] += 1
                    campaign.try_one(change, page if is_wide else None, as_commands=is_wide and not is_flip)
                campaign.forge(page)
                campaign.demand_whole(page)
                result.grounds.append((ground.name, tuple(ground.kinds)))
    tried = {(kind, operation) for kind, operation, _ in result.tried}
    result.wrong += [f"not tried: {o} of {k}" for k in KINDS for o in OPERATIONS if (k, o) not in tried]
    result.seconds = time.monotonic() - began
    return result


@contextmanager
def _asked_once() -> Iterator[None]:
    """Have the program openssl and the slow arithmetic of verify.py asked once for each signature.

    The same few are judged thousands of times; what is asked, and what was said, stay the same.
    """
    ask, compute = verify.OpenSsl._ask, verify.ed25519_verifies
    asked = functools.cache(ask)
    verify.OpenSsl._ask = lambda self, *what: asked(_Once(self), *what)  # type: ignore[method-assign]
    verify.ed25519_verifies = functools.cache(compute)
    try:
        yield
    finally:
        verify.OpenSsl._ask, verify.ed25519_verifies = ask, compute  # type: ignore[method-assign]


class _Once:
    """The program openssl, equal to itself in every check: so that what it said is kept."""

    def __init__(self, known: verify.OpenSsl) -> None:
        self.program = known.program

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Once) and other.program == self.program

    def __hash__(self) -> int:
        return hash(self.program)


def main(arguments: Sequence[str]) -> int:
    """Run the campaign, write its report, and return 0 only if everything was found and nothing forged was valid."""
    parser = argparse.ArgumentParser(prog="./dev campaign tamper", description=__doc__)
    parser.add_argument("--flips", type=int, default=40, help="random flips in each kind of file; 40 by default")
    parser.add_argument("--page-flips", type=int, default=12, help="how many of them the browser judges too")
    parser.add_argument("--seed", type=int, default=None, help="what the random choices begin with")
    parser.add_argument("--short", action="store_true", help="do not try each byte of the signature containers")
    parser.add_argument("--report", type=Path, default=REPORT, help="where the report goes")
    given = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(1 << 32) if given.seed is None else given.seed
    result = run(seed=seed, flips=given.flips, page_flips=given.page_flips, is_exhaustive=not given.short)
    command = " ".join(["./dev campaign tamper", *arguments])
    text = render(result, command=command)
    given.report.parent.mkdir(parents=True, exist_ok=True)
    given.report.write_text(text, "utf-8")
    print("\n".join(result.wrong))
    print(f"{'NOT everything' if result.wrong else 'Everything'} held; the report is in {given.report}")
    return 1 if result.wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
