"""What is done to a package: one change at a time, each to one kind of file."""

import random
import re
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.support.packages import NoteKey

# Kind by path; the first that fits.
_KINDS = (
    ("BagIt declaration", r"bagit\.txt"),
    ("bag information", r"bag-info\.txt"),
    ("manifest", r"manifest-.*"),
    ("tag manifest", r"tagmanifest-.*"),
    ("signature", r"sig/.*\.p7s"),
    ("timestamp of a signature", r"sig/.*\.tsr"),
    ("list of the case, JSON", r"data/case\.json"),
    ("list of the case, PDF", r"data/list\.pdf"),
    ("original", r"data/evidence/[^/]*/original/.*"),
    ("text record", r"data/records/[^/]*/original/.*"),
    ("metadata of an object", r"data/(evidence|records)/[^/]*/metadata/.*"),
    ("rendition", r"data/renditions/.*"),
    ("PREMIS events", r"data/events/.*"),
    ("DA/T 63 elements", r"data/metadata/.*"),
    ("checkpoint", r"proofs/checkpoint"),
    ("log entry", r"proofs/entries/.*"),
    ("proof", r"proofs/[0-9]*\.tlog-proof"),
    ("detail", r"proofs/details/.*"),
    ("anchored checkpoint", r"proofs/anchors/.*\.ckpt"),
    ("timestamp of an anchor", r"proofs/anchors/.*\.tsr"),
    ("trust file inside", r"proofs/trust\.txt"),
    ("certificates", r"certs/.*"),
    ("revocation list", r"crls/.*"),
    ("instructions", r"VERIFY\.txt"),
    ("verifier", r"verify\.(py|html)"),
    ("anything else", r".*"),
)
KINDS = tuple(kind for kind, _ in _KINDS[:-1])
"""All kinds that a campaign has to try; there should be nothing else."""
CONTAINERS = ("signature", "timestamp of a signature", "timestamp of an anchor")
OPERATIONS = ("flip", "delete", "rename", "swap", "append", "cut", "reorder", "replay", "drop")
MEANING = {
    "flip": "one bit is another",
    "delete": "the file is gone",
    "rename": "the file has another name",
    "swap": "two files of the kind, or it and another, have each other's content",
    "append": "a byte follows",
    "cut": "the last byte is missing",
    "reorder": "lines, or halves where there are no lines, stand in another order",
    "replay": "the file is the one of an older package of the same case",
    "drop": "a file that nobody lists lies beside it",
}


class Maker(Protocol):
    """Whoever makes packages: tests.support.packages.House, tests.support.real_packages.RealArchive."""

    @property
    def log(self) -> NoteKey: ...
    def package(self, to: Path) -> Path: ...
    def seal(self, to: Path) -> None: ...


@dataclass(frozen=True)
class Change:
    """One change. `path` is the file that has to be named, `byte` the place of a flip."""

    kind: str
    operation: str
    path: str
    byte: int = -1
    bit: int = 0


def is_in_mldsa(change: Change, original: bytes) -> bool:
    """Return whether a flip is in the value of an ML-DSA-44 signature (3,232 characters and more) under a note."""
    if change.operation != "flip":
        return False
    line = original[original.rfind(b"\n", 0, change.byte) + 1 :].partition(b"\n")[0]
    return line.startswith("\N{EM DASH} ".encode()) and len(line) > 3_232


def kind_of(path: str) -> str:
    """Return the kind of a file."""
    return next(kind for kind, form in _KINDS if re.fullmatch(form, path))


def files_by_kind(package: Path) -> dict[str, list[str]]:
    """Return the files of a package by kind, in the order of the kinds; what it has no file of is left out."""
    found: dict[str, list[str]] = {kind: [] for kind, _ in _KINDS}
    for path in sorted(package.rglob("*")):
        if path.is_file():
            relative = path.relative_to(package).as_posix()
            found[kind_of(relative)].append(relative)
    return {kind: paths for kind, paths in found.items() if paths}


def changes(
    package: Path, *, kinds: Collection[str], flips: int, is_exhaustive: bool, chance: random.Random
) -> Iterator[Change]:
    """Return every operation on each of the kinds, `flips` random flips, and each byte of one container of each kind."""
    for kind, paths in files_by_kind(package).items():
        if kind not in kinds:
            continue
        for operation in OPERATIONS[1:]:
            yield Change(kind, operation, chance.choice(paths))
        for _ in range(flips):
            path = chance.choice(paths)
            yield Change(kind, "flip", path, chance.randrange((package / path).stat().st_size), chance.randrange(8))
        if is_exhaustive and kind in CONTAINERS:
            for byte in range((package / paths[0]).stat().st_size):
                yield Change(kind, "flip", paths[0], byte, chance.randrange(8))


class Undo:
    """Makes one change in a package and takes it back."""

    def __init__(self, package: Path, older: Path) -> None:
        """Hold the package, and an older one of the same case for replays."""
        self.package, self.older = package, older

    def make(self, change: Change, chance: random.Random) -> dict[Path, bytes | None]:
        """Make the change; return what has to be put back, by path; None for a file that was not there."""
        place = self.package / change.path
        raw = place.read_bytes()
        match change.operation:
            case "flip":
                return self._write(
                    {place: raw[: change.byte] + bytes([raw[change.byte] ^ 1 << change.bit]) + raw[change.byte + 1 :]}
                )
            case "delete":
                return self._write({place: None})
            case "rename":
                return self._write({place: None, place.with_name(f"{place.name}.x"): raw})
            case "swap":
                other = self._other(change, place)
                return self._write({place: other.read_bytes(), other: raw})
            case "append":
                return self._write({place: raw + bytes([chance.randrange(256)])})
            case "cut":
                return self._write({place: raw[:-1]})
            case "reorder":
                return self._write({place: _reordered(raw)})
            case "replay":
                return self._write({place: self._older(change)})
            case "drop":
                return self._write({place.with_name(f"new.{place.name}"): raw})
        raise AssertionError(change)

    def put_back(self, before: dict[Path, bytes | None]) -> None:
        """Take a change back."""
        self._write(before)

    def _other(self, change: Change, place: Path) -> Path:
        paths = [self.package / path for path in files_by_kind(self.package)[change.kind]]
        unlike = [
            path
            for path in (*paths, self.package / "data" / "list.pdf", self.package / "bag-info.txt")
            if path != place
        ]
        return next(path for path in unlike if path.read_bytes() != place.read_bytes())

    def _older(self, change: Change) -> bytes:
        """Return the file of the older package: the same one, else one of its kind, that is not the same."""
        now = (self.package / change.path).read_bytes()
        there = [change.path, *files_by_kind(self.older).get(change.kind, [])]
        olds = ((self.older / path).read_bytes() for path in there if (self.older / path).is_file())
        # What never changes cannot be replayed; its older self is an empty file then.
        return next((old for old in olds if old != now), b"")

    @staticmethod
    def _write(files: dict[Path, bytes | None]) -> dict[Path, bytes | None]:
        before = {path: path.read_bytes() if path.exists() else None for path in files}
        for path, raw in files.items():
            if raw is None:
                path.unlink()
            else:
                path.write_bytes(raw)
        return before


def _reordered(raw: bytes) -> bytes:
    lines = raw.splitlines(keepends=True)
    if len(lines) > 1 and lines[::-1] != lines:
        return b"".join(lines[::-1])
    half = len(raw) // 2
    return raw[half:] + raw[:half]


def forgeries(package: Path, stranger: Maker, scratch: Path) -> Iterator[tuple[str, Path]]:
    """Return packages that somebody else made whole, with other keys: all of it, and with single true parts kept."""
    yield "everything", stranger.package(scratch / "everything")
    for name, keep in (
        ("everything but the certificates", ("certs/chain.pem",)),
        ("everything but the trust file inside", ("proofs/trust.txt",)),
        ("everything but the checkpoint", ("proofs/checkpoint",)),
    ):
        made = stranger.package(scratch / name.replace(" ", "-"))
        for path in keep:
            (made / path).write_bytes((package / path).read_bytes())
        stranger.seal(made)
        yield name, made
    # The archive's own content and log under a stranger's signatures, and under a stranger's log key.
    signed = Path(shutil.copytree(package, scratch / "signed"))
    stranger.seal(signed)
    yield "signatures and timestamps only", signed
    logged = Path(shutil.copytree(package, scratch / "logged"))
    note = (package / "proofs" / "checkpoint").read_bytes()
    text = note.partition(b"\n\n")[0].decode() + "\n"
    forged = (text + "\n" + stranger.log.line(text)).encode()
    for path in (logged / "proofs" / "checkpoint", *(logged / "proofs").glob("*.tlog-proof")):
        path.write_bytes(path.read_bytes().replace(note, forged))
    stranger.seal(logged)
    yield "signatures and the log's key", logged
