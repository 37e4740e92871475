"""Opening the stores: folders of the home or of another place, or two buckets of an S3 server.

What is kept (originals, records, what was refused) lies in a bucket with Object Lock; drafts and the journal beside it,
unlocked, since a broken-off try of theirs is taken back. What can be made again lies in the work bucket.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from archive.adapters.erasable_store import ErasableFilesystemStore
from archive.adapters.fetched import FetchedBlobs
from archive.adapters.filesystem_store import FilesystemStore
from archive.adapters.folder_trial import FolderTrial
from archive.adapters.s3_client import S3Place
from archive.adapters.s3_direct import S3Direct
from archive.adapters.s3_path import Bucket, BucketPath
from archive.adapters.s3_probe import WormProbe
from archive.adapters.s3_store import S3Store
from archive.db.database import Database
from archive.db.store_guard import StoreElsewhere, store_in_use
from archive.fsck.raw import Place, Places
from archive.ocfl.layout import is_root_inventory
from archive.ports.blobs import LockableBlobStore, StoreUnavailable
from archive.ports.clock import Clock
from archive.ports.erasable import ErasableStore
from archive.ports.worm import WormTrial
from archive.settings import Settings, SettingsInvalid
from ingest.context import DirectParts

_FOLDERS: Final = ("store", "renditions", "quarantine", "drafts", "journal")
STORE_SETTINGS: Final = (
    "store", "store_folder", "s3_endpoint", "s3_region", "s3_bucket", "s3_work_bucket", "s3_prefix",
    "s3_credentials_file", "s3_ca", "s3_lists_by_folder", "lock_days",
)  # fmt: skip
"""The settings that say where the stores lie and how they are locked: what a move changes."""


@dataclass(frozen=True, slots=True)
class Stores:
    """Every store of an archive. `close` gives back what they hold."""

    originals: LockableBlobStore
    quarantine: LockableBlobStore
    drafts: LockableBlobStore
    renditions: LockableBlobStore
    journal: LockableBlobStore
    journal_keys: ErasableStore
    direct: DirectParts | None
    close: Callable[[], None]

    def sweep(self, *, unfinished: timedelta) -> None:
        """Remove what dead writers left. An upload in parts may go on for as long as `unfinished`."""
        for store in (self.originals, self.quarantine, self.drafts, self.renditions):
            store.sweep(older_than=timedelta(minutes=1) if isinstance(store, FilesystemStore) else unfinished)


def open_stores(settings: Settings, clock: Clock) -> Stores:
    """Open the stores that the settings name. Raises: SettingsInvalid, StorageFull, StoreUnavailable."""
    home = settings.home.absolute()
    keys = ErasableFilesystemStore(home / "journal-keys", scratch=home / "scratch")
    if settings.store == "files":
        folder = folder_of(settings)
        if not folder.is_dir():
            # Never made here: what is not mounted must not be written beside its mount point.
            raise StoreUnavailable("The folder of the store is not there: make it, or mount it", folder=str(folder))
        originals, renditions, quarantine, drafts, journal = (
            FilesystemStore(folder / name, scratch=folder / "scratch", is_recreatable=name == "renditions")
            for name in _FOLDERS
        )
        return Stores(originals, quarantine, drafts, renditions, journal, keys, None, close=lambda: None)
    fetched = FetchedBlobs(
        settings.local / "fetched", most_bytes=settings.fetched_bytes, reserve_bytes=settings.reserve_bytes
    )
    term = term_of(settings)

    def until() -> datetime | None:
        return (clock.now() + term).replace(microsecond=0) if term else None

    def kept(name: str, **more: Any) -> S3Store:
        return S3Store(s3_place(settings, name), fetched=fetched, **more)

    in_bucket = (
        kept("store", lock_until=until, is_replaced=is_root_inventory),
        kept("quarantine", lock_until=until, locks_at_once=True),
        kept("drafts"),
        S3Store(work_place(settings, "renditions"), fetched=fetched),
        kept("journal"),
    )

    def close() -> None:
        for store in in_bucket:
            store.close()

    return Stores(*in_bucket, keys, _direct(settings, in_bucket[0]), close=close)


def _direct(settings: Settings, originals: S3Store) -> DirectParts | None:
    if not settings.direct_intake:
        return None
    return DirectParts(S3Direct(s3_place(settings, "store")), originals)


def folder_of(settings: Settings) -> Path:
    """Return the folder that holds the stores where these are files."""
    return (settings.store_folder or settings.home).absolute()


def store_place(settings: Settings) -> str:
    """Return the name of the store of originals: what `store_move` and `archive.db.store_guard` know it by.

    Units: at most 300 characters. Raises: SettingsInvalid.
    """
    if settings.store == "files":
        return f"files {folder_of(settings)}"[:300]
    place = s3_place(settings, "")
    return f"s3 {place.endpoint or 'AWS'} {place.bucket}/{place.prefix}"[:300]


def told_store(settings: Settings) -> Mapping[str, Any]:
    """Return the settings of the stores that are not as they are by default, paths absolute: JSON values."""
    if settings.store == "files":
        return {"store": "files", "store_folder": str(folder_of(settings))}
    fields = type(settings).model_fields
    told = {name: getattr(settings, name) for name in STORE_SETTINGS}
    told = {name: value for name, value in told.items() if value != fields[name].default}
    return {name: str(value.absolute()) if isinstance(value, Path) else value for name, value in told.items()}


def with_store(settings: Settings, told: Mapping[str, Any]) -> Settings:
    """Return settings with other stores: those that are told, all others of these as they are by default.

    Raises: SettingsInvalid for what is no setting of a store, or has no such value.
    """
    if unknown := sorted(set(told) - set(STORE_SETTINGS)):
        raise SettingsInvalid(f"These are no settings of a store: {', '.join(unknown)}")
    if "store" not in told:
        raise SettingsInvalid('The setting store is needed: "files" or "s3"')
    others = {name: getattr(settings, name) for name in type(settings).model_fields if name not in STORE_SETTINGS}
    usual = {name: type(settings).model_fields[name].default for name in STORE_SETTINGS}
    try:
        return type(settings)(**{**others, **usual, **told})
    except ValidationError as exc:
        raise SettingsInvalid("; ".join(f"{each['loc'][0]}: {each['msg']}" for each in exc.errors())) from exc


def require_store(database: Database, settings: Settings) -> None:
    """Refuse a store that the archive was moved away from, now and in every later transaction that writes.

    Raises: StoreElsewhere, SettingsInvalid.
    """
    place = store_place(settings)
    with database.read() as tx:
        used = store_in_use(tx)
    if used is not None and used != place:
        raise StoreElsewhere(used=used, named=place)
    database.write_for(place)


def term_of(settings: Settings) -> timedelta:
    """Return how long what is locked stays so at first; nothing for a store without locks."""
    return timedelta(days=settings.lock_days if settings.store == "s3" else 0)


def trial_of(settings: Settings) -> WormTrial:
    """Return what tries the locks of the store of originals. Raises: SettingsInvalid."""
    folder = folder_of(settings)
    return (
        FolderTrial(folder / "store", folder / "scratch")
        if settings.store == "files"
        else WormProbe(s3_place(settings, ""))
    )


def places_of(settings: Settings, clock: Clock) -> Places:
    """Return where the stores lie for a check that reads them raw. Raises: SettingsInvalid."""
    folders = replace(Places.of_home(settings.home.absolute()), staging=settings.local / "staging")
    if settings.store == "files":
        folder = folder_of(settings)
        own = Places.of_home(folder)
        return replace(own, journal_keys=folders.journal_keys, staging=folders.staging)
    store = Bucket(s3_place(settings, "store"), is_replaced=is_root_inventory)
    others = [Bucket(s3_place(settings, name)) for name in ("quarantine", "drafts", "journal")]
    renditions = Bucket(work_place(settings, "renditions"))
    buckets = (store, *others)

    def is_locked(place: Place) -> bool:
        until = place.locked_until() if isinstance(place, BucketPath) else None
        return until is not None and until > clock.now()

    return replace(
        folders,
        store=store.root,
        quarantine=others[0].root,
        drafts=others[1].root,
        journal=others[2].root,
        renditions=renditions.root,
        is_locked=is_locked if settings.lock_days else lambda _: True,
        covered=lambda: {key for bucket in buckets for key in bucket.covered},
    )


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
