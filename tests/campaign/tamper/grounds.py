"""What is tampered with: a package out of a real archive, and one made by hand for what the builder does not write."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from archive.packages.verifier import verify_html, verify_py
from tests.campaign.tamper.changes import KINDS, files_by_kind, forgeries
from tests.support.packages import House
from tests.support.real_packages import real_archive


@dataclass(frozen=True)
class Ground:
    """A package, an older one of the same case, and what somebody from outside has beside it."""

    name: str
    package: Path
    older: Path
    log: Path
    trust: bytes
    forged: tuple[tuple[str, Path], ...]
    kinds: Collection[str]


def make_grounds(scratch: Path, *, seed: int) -> list[Ground]:
    """Make the grounds; each kind of file is tried on the first one that has any."""
    exported = _exported(scratch / "exported")
    left = [kind for kind in KINDS if kind not in exported.kinds]
    return [exported, _by_hand(scratch / "by-hand", seed=seed, kinds=left)] if left else [exported]


def _exported(scratch: Path) -> Ground:
    with real_archive(scratch / "archive") as archive, real_archive(scratch / "stranger") as stranger:
        older = archive.package(scratch / "older")
        archive.settle()
        package = archive.package(scratch / "package")
        archive.settle()
        return Ground(
            name="exported by a real archive",
            package=package,
            older=older,
            log=archive.mirror(scratch / "log"),
            trust=archive.trust(),
            forged=tuple(forgeries(package, stranger, scratch)),
            kinds=tuple(files_by_kind(package)),
        )


def _by_hand(scratch: Path, *, seed: int, kinds: Collection[str]) -> Ground:
    scratch.mkdir()
    house = House.make(seed % 1000 + 1)

    def package(name: str) -> Path:
        made = house.package(scratch / name)
        (made / "verify.py").write_bytes(verify_py())
        (made / "verify.html").write_bytes(verify_html())
        house.seal(made)
        return made

    older = package("older")
    house.case_entries.append(house.append("case.updated", case=house.case_id))
    made = package("package")
    return Ground(
        name="made by hand",
        package=made,
        older=older,
        log=house.mirror(scratch / "log"),
        trust=house.trust(),
        forged=tuple(forgeries(made, House.make(house.seed + 5000), scratch)),
        kinds=kinds,
    )
