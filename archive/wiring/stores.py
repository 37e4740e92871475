"""Opening the stores: folders of the home, or two buckets of an S3 server.

What is kept (originals, records, what was refused) lies in a bucket with Object Lock; drafts and the journal beside it,
unlocked, since a broken-off try of theirs is taken back. What can be made again lies in the work bucket.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path, PurePath
from typing import Any, Final

from archive.adapters.erasable_store import ErasableFilesystemStore
from archive.adapters.fetched import FetchedBlobs
from archive.adapters.files_mender import FilesMender
from archive.adapters.filesystem_store import FilesystemStore
from archive.adapters.folder_trial import FolderTrial
from archive.adapters.lock_times import FileLock, LockTimes
from archive.adapters.s3_client import S3Place
from archive.adapters.s3_direct import S3Direct
from archive.adapters.s3_mender import S3Mender
from archive.adapters.s3_path import Bucket, BucketPath
from archive.adapters.s3_probe import WormProbe
from archive.adapters.s3_store import Mended, S3Store
from archive.fsck.raw import LockOf, MediumLock, Place, Places
from archive.ocfl.layout import is_root_inventory, root_of
from archive.ports.blobs import BlobStore, LockableBlobStore, StoreBroken
from archive.ports.clock import Clock
from archive.ports.erasable import ErasableStore
from archive.ports.mending import Mender
from archive.ports.worm import WormTrial
from archive.settings import Settings, SettingsInvalid
from ingest.context import DirectParts

_FOLDERS: Final = ("renditions", "quarantine", "drafts", "journal")


@dataclass(frozen=True, slots=True)
class Stores:
    """Every store of an archive. `close` gives back what they hold."""

    originals: LockableBlobStore
    quarantine: BlobStore
    drafts: BlobStore
    renditions: BlobStore
    journal: BlobStore
    journal_keys: ErasableStore
    direct: DirectParts | None
    mender: Mender
    close: Callable[[], None]
    give_way: Callable[[int], None] = lambda _: None
    """Makes room on the local disk by removing copies of what lies in a bucket. Units: bytes that shall be free."""

    def sweep(self, *, unfinished: timedelta) -> None:
        """Remove what dead writers left. An upload in parts may go on for as long as `unfinished`."""
        for store in (self.originals, self.quarantine, self.drafts, self.renditions):
            store.sweep(older_than=timedelta(minutes=1) if isinstance(store, FilesystemStore) else unfinished)


def open_stores(settings: Settings, clock: Clock, mended: Mended = lambda _: None) -> Stores:
    """Open the stores that the settings name; `mended` tells which versions of originals mend others.

    Raises: SettingsInvalid, StorageFull, StoreUnavailable.
    """
    home = settings.home.absolute()
    keys = ErasableFilesystemStore(home / "journal-keys", scratch=home / "scratch")
    if settings.store == "files":
        renditions, quarantine, drafts, journal = (
            FilesystemStore(home / name, scratch=home / "scratch", is_recreatable=name == "renditions")
            for name in _FOLDERS
        )
        originals = locked_folder(home / "store", home / "store-locks", home / "scratch", clock)
        files_mender = FilesMender(home / "store", scratch=home / "scratch", aside=home / "damaged")
        return Stores(originals, quarantine, drafts, renditions, journal, keys, None, files_mender, close=lambda: None)
    fetched = FetchedBlobs(
        settings.local / "fetched", most_bytes=settings.fetched_bytes, reserve_bytes=settings.reserve_bytes
    )
    term = term_of(settings)

    def until() -> datetime | None:
        return (clock.now() + term).replace(microsecond=0) if term else None

    def kept(name: str, **more: Any) -> S3Store:
        return S3Store(s3_place(settings, name), fetched=fetched, **more)

    in_bucket = (
        kept("store", lock_until=until, is_replaced=is_root_inventory, mended=mended),
        kept("quarantine", lock_until=until, locks_at_once=True),
        kept("drafts"),
        S3Store(work_place(settings, "renditions"), fetched=fetched),
        kept("journal"),
    )

    mender = S3Mender(s3_place(settings, "store"), lock_until=until, is_replaced=is_root_inventory)

    def close() -> None:
        for each in (*in_bucket, mender):
            each.close()

    direct = _direct(settings, in_bucket[0])
    return Stores(*in_bucket, keys, direct, mender, close=close, give_way=fetched.give_way)


def locked_folder(folder: Path, locks: Path, scratch: Path, clock: Clock) -> FilesystemStore:
    """Return a store of originals in a folder, with the lock times that our own code honours beside it."""
    times = LockTimes(locks, scratch=scratch, clock=clock, group_of=root_of)
    return FilesystemStore(folder, scratch=scratch, locks=times, is_replaced=is_root_inventory)


def _direct(settings: Settings, originals: S3Store) -> DirectParts | None:
    if not settings.direct_intake:
        return None
    return DirectParts(S3Direct(s3_place(settings, "store")), originals)


def term_of(settings: Settings) -> timedelta:
    """Return how long what is locked stays so at first; nothing where nothing is to be locked."""
    return timedelta(days=settings.lock_days)


def trial_of(settings: Settings) -> WormTrial:
    """Return what tries the locks of the store of originals. Raises: SettingsInvalid."""
    home = settings.home.absolute()
    return (
        FolderTrial(home / "store", home / "scratch")
        if settings.store == "files"
        else WormProbe(s3_place(settings, ""))
    )


def places_of(settings: Settings, clock: Clock) -> Places:
    """Return where the stores lie for a check that reads them raw. Raises: SettingsInvalid."""
    home = settings.home.absolute()
    times = locks_of_folder(settings, home / "store", home / "store-locks", clock)
    folders = replace(
        Places.of_home(home), staging=settings.local / "staging", lock_of=times, locks_as_it_comes=False, now=clock.now
    )
    if settings.store == "files":
        return folders
    store = Bucket(s3_place(settings, "store"), is_replaced=is_root_inventory)
    others = [Bucket(s3_place(settings, name)) for name in ("quarantine", "drafts", "journal")]
    renditions = Bucket(work_place(settings, "renditions"))
    buckets = (store, *others)

    def know(mended: Mapping[str, str]) -> None:
        store.mended = mended

    return replace(
        folders,
        store=store.root,
        quarantine=others[0].root,
        drafts=others[1].root,
        journal=others[2].root,
        renditions=renditions.root,
        lock_of=lock_in_bucket if settings.lock_days else None,
        locks_as_it_comes=True,
        covered=lambda: {key for bucket in buckets for key in bucket.covered},
        know_mended=know,
    )


def lock_in_bucket(place: Place) -> MediumLock:
    """Return how the server says that a file is locked. Raises: OSError."""
    return MediumLock(*place.lock()) if isinstance(place, BucketPath) else MediumLock(None, is_held=False)


def locks_of_folder(settings: Settings, folder: Path, locks: Path, clock: Clock) -> LockOf | None:
    """Return what reads the lock times beside a folder of originals; None where nothing is to be locked."""
    if not settings.lock_days:
        return None
    times = LockTimes(locks, scratch=locks, clock=clock, group_of=root_of)

    def lock_of(place: Place) -> MediumLock:
        try:
            found = times.of(PurePath(str(place)).relative_to(folder).as_posix())
        except StoreBroken:
            found = FileLock()
        return MediumLock(found.until, found.is_held)

    return lock_of


def s3_place(settings: Settings, name: str) -> S3Place:
    """Return a folder of the bucket with Object Lock. Raises: SettingsInvalid."""
    return _place(settings, "s3_bucket", settings.s3_bucket, name)


def work_place(settings: Settings, name: str) -> S3Place:
    """Return a folder of the work bucket. Raises: SettingsInvalid."""
    return replace(
        _place(settings, "s3_work_bucket", settings.s3_work_bucket, name), lists_by_folder=settings.s3_lists_by_folder
    )


def _place(settings: Settings, setting: str, bucket: str, name: str) -> S3Place:
    if not bucket:
        raise SettingsInvalid(f"The setting {setting} is needed with store = s3")
    return S3Place(
        bucket,
        endpoint=settings.s3_endpoint,
        region=settings.s3_region,
        prefix="/".join(part for part in (settings.s3_prefix, name) if part),
        credentials_file=settings.s3_credentials_file,
        ca=settings.s3_ca,
        public_endpoint=settings.s3_public_endpoint,
    )
