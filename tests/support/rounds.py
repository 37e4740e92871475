"""Archives with a second copy in a folder, and ways to damage what is stored: for rounds and repairs."""

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from archive.fsck import Target, fsck
from archive.kernel.digests import hash_stream
from archive.kernel.findings import Outcome
from archive.kernel.ids import ObjectId
from archive.ocfl.inventory import NewFile, VersionUser
from archive.ocfl.layout import object_root
from archive.wiring import Services
from archive.wiring.copy_parts import second_copy
from retention.rounds.models import ORIGINALS, FixityDamage
from tests.support.archive_home import ArchiveHome, flip

ORIGINAL = "v1/content/original/a.mp4"
ARCHIVE_USER = VersionUser("liuhen", "urn:liuhen:archive")


def folder_in(home: ArchiveHome, object_id: ObjectId, place: str) -> Path:
    """The folder of an object, in the first store or in the second copy, past the archive."""
    if place == ORIGINALS:
        return home.raw / "store" / object_root(object_id)
    assert home.settings.copy_folder is not None
    return home.settings.copy_folder / "store" / object_root(object_id)


def shown(home: ArchiveHome, object_id: ObjectId, place: str) -> dict[str, str]:
    """What readers of a place get of every file of an object: digests by path."""
    store = home.services.stores.originals if place == ORIGINALS else home.services.copies.target()
    root, found = object_root(object_id), {}
    for key in store.keys(root):
        with store.open(key) as source:
            found[key.removeprefix(f"{root}/")] = hash_stream(source).sha256.hex
    return found


def rot(folder: Path, other: Path) -> None:
    """One bit of the original is another."""
    del other
    flip(folder / ORIGINAL, at=7)


def cut_off(folder: Path, other: Path) -> None:
    """The original lacks its end."""
    del other
    data = (folder / ORIGINAL).read_bytes()
    overwrite(folder / ORIGINAL, data[:-3])


def lose_file(folder: Path, other: Path) -> None:
    """The original is gone."""
    del other
    (folder / ORIGINAL).unlink()


def lose_manifest(folder: Path, other: Path) -> None:
    """The item manifest is gone, and its signature is another."""
    del other
    (folder / "v1/content/metadata/manifest.json").unlink()
    flip(folder / "v1/content/metadata/manifest.json.p7s")


def lose_object(folder: Path, other: Path) -> None:
    """Every file of the object is gone."""
    del other
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        path.unlink()


def lose_inventories(folder: Path, other: Path) -> None:
    """No inventory is left, nor what names one."""
    del other
    for path in [path for path in folder.rglob("inventory.json*") if path.is_file()]:
        path.unlink()


def wrong_inventory(folder: Path, other: Path) -> None:
    """The root inventory is that of another object."""
    overwrite(folder / "inventory.json", (other / "inventory.json").read_bytes())


def swap(folder: Path, other: Path) -> None:
    """Every file holds what the same file of another object does."""
    for path in sorted(path for path in other.rglob("*") if path.is_file()):
        overwrite(folder / path.relative_to(other), path.read_bytes())


KINDS: dict[str, Callable[[Path, Path], None]] = {
    each.__name__: each
    for each in (rot, cut_off, lose_file, lose_manifest, lose_object, lose_inventories, wrong_inventory, swap)
}


def overwrite(path: Path, data: bytes) -> None:
    """Put other bytes in the place of a stored file."""
    if path.exists():
        path.chmod(0o644)
    path.write_bytes(data)


def extend(home: ArchiveHome, object_id: ObjectId, name: str = "extended/1.txt") -> None:
    """Add a version to an object, behind the log's back: the copy is asked to look again."""
    new = NewFile.of_bytes(name, name.encode())
    home.services.objects.add_version(object_id, [new], message="more", user=ARCHIVE_USER, at=home.clock.now())
    home.services.copies.ask_again([object_id])


def copy_all(home: ArchiveHome) -> None:
    """Bring the second copy up to date."""
    home.sequence()
    while home.services.copies.copy_some():
        pass


def after_a_period(home: ArchiveHome) -> None:
    """Let everything become due."""
    home.clock.step(timedelta(days=home.settings.fixity_days + 1))


def faults(home: ArchiveHome) -> set[str]:
    """What fsck finds in stores, copy, catalogue and log; not the times, which a stepped clock makes late."""
    root, copy = home.path / "ca" / "root.cert.pem", second_copy(home.settings, home.clock)
    report = fsck(Target(home.path, home.database, root, None, (), home.places, copy))
    return {found.code for found in report.findings if found.outcome is not Outcome.VALID} - {"fsck.log_time"}


def damage_rows(home: ArchiveHome) -> list[FixityDamage]:
    """Every damage that was ever found, the oldest first."""
    with home.database.read() as tx:
        return list(tx.query(FixityDamage).order_by(FixityDamage.found_at, FixityDamage.id))


def go_on(services: Services, **how: Any) -> Any:
    """Read what is due until nothing is, and tell of it."""
    done = services.rounds.go_on(is_whole=True, **how)
    while done.has_more:
        some = services.rounds.go_on(is_whole=True, **how)
        done.whole, done.damaged, done.unread = (
            done.whole + some.whole, done.damaged + some.damaged, done.unread + some.unread,
        )  # fmt: skip
        done.has_more = some.has_more
    return done


def kept(home: ArchiveHome, place: str) -> list[Path]:
    """The files that were kept aside beside a store."""
    folder = home.path if place == ORIGINALS else home.settings.copy_folder
    assert folder is not None
    return sorted(path for path in (folder / "damaged").rglob("*") if path.is_file())


def forget_aside(home: ArchiveHome) -> None:
    """Take away what was kept aside."""
    shutil.rmtree(home.path / "damaged", ignore_errors=True)
