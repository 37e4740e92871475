"""Putting together the second copy: where it lies, how far it is from the first, and what drills with it."""

import functools
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from archive.adapters.filesystem_store import FilesystemStore
from archive.adapters.s3_client import S3Place, access_key
from archive.adapters.s3_path import Bucket, BucketPath
from archive.adapters.s3_store import S3Store
from archive.db.database import Database
from archive.fsck.copies import SecondCopy
from archive.fsck.raw import Place
from archive.ledger.trustfile import TrustFile
from archive.ocfl.layout import is_root_inventory
from archive.packages.building import Packager
from archive.ports.blobs import BlobStore, LockableBlobStore, StoreUnavailable
from archive.ports.clock import Clock
from archive.settings import Settings, SettingsInvalid
from archive.wiring.stores import folder_of, s3_place
from retention.copies import Copies
from retention.drills import Drills

_STORE = "store"


def copies(settings: Settings, database: Database, source: BlobStore, clock: Clock) -> Copies:
    """Return what copies every object, also where no second copy is asked for. Raises: SettingsInvalid."""
    folder, bucket = _folder(settings), _bucket(settings)
    target: Callable[[], LockableBlobStore]
    if bucket is not None:
        place, term = f"{bucket.endpoint or 'AWS'} {bucket.bucket}/{bucket.prefix}", timedelta(days=settings.lock_days)
        target = functools.cache(lambda: _in_bucket(bucket, term, clock))
    else:
        place, term = "" if folder is None else str(folder), timedelta(0)
        target = functools.cache(lambda: _in_folder(folder))
    return Copies(database, source, target, place, clock, term)


def drills(settings: Settings, made: Copies, packager: Packager, trust: TrustFile, trust_roots_pem: bytes) -> Drills:
    """Return what restores from the copy to see whether that can be done."""
    return Drills(
        copies=made,
        packager=packager,
        trust=trust,
        trust_roots_pem=trust_roots_pem,
        log=settings.home.absolute() / "log-entries",
        work=settings.local / "work",
        every=timedelta(days=settings.drill_days),
        count=settings.drill_objects,
        reserve_bytes=settings.reserve_bytes,
    )


def shared_hands(settings: Settings) -> str | None:
    """Return why who can destroy the first copy can destroy the second one too; None where nothing says so.

    Raises: SettingsInvalid; StoreUnavailable for a file of credentials that cannot be read.
    """
    folder, bucket = _folder(settings), _bucket(settings)
    is_in_s3 = settings.store == "s3"
    if folder is not None and not is_in_s3:
        first = folder_of(settings) / _STORE
        try:
            is_one_disk = folder.stat().st_dev == first.stat().st_dev
        except OSError:
            is_one_disk = False
        return "both are folders of one account" + (", and on one file system" if is_one_disk else "")
    if bucket is not None and is_in_s3 and access_key(bucket) == access_key(s3_place(settings, _STORE)):
        return "one key opens both buckets"
    return None


def second_copy(settings: Settings, clock: Clock) -> SecondCopy | None:
    """Return where the copy lies for a check that reads it raw; None where there is none. Raises: SettingsInvalid."""
    folder, bucket = _folder(settings), _bucket(settings)
    if folder is not None:
        return SecondCopy(str(folder)[:300], folder / _STORE)
    if bucket is None:
        return None
    raw = Bucket(bucket, is_replaced=is_root_inventory)

    def is_locked(place: Place) -> bool:
        until: datetime | None = place.locked_until() if isinstance(place, BucketPath) else None
        return until is not None and until > clock.now()

    return SecondCopy(
        f"{bucket.endpoint or 'AWS'} {bucket.bucket}/{bucket.prefix}"[:300],
        raw.root,
        is_locked=is_locked if settings.lock_days else lambda _: True,
        covered=lambda: raw.covered,
    )


def _folder(settings: Settings) -> Path | None:
    if settings.copy_folder is None:
        return None
    if settings.copy_s3_bucket:
        raise SettingsInvalid("The second copy lies in one place: set copy_folder or copy_s3_bucket, not both")
    folder, home = settings.copy_folder.absolute(), settings.home.absolute()
    if any(folder.is_relative_to(each) or each.is_relative_to(folder) for each in (home, folder_of(settings))):
        raise SettingsInvalid("The setting copy_folder must lie outside of the home and the store, and not around them")
    return folder


def _bucket(settings: Settings) -> S3Place | None:
    if not settings.copy_s3_bucket:
        return None
    place = S3Place(
        settings.copy_s3_bucket,
        endpoint=settings.copy_s3_endpoint,
        region=settings.copy_s3_region,
        prefix="/".join(part for part in (settings.copy_s3_prefix, _STORE) if part),
        credentials_file=settings.copy_s3_credentials_file,
        ca=settings.copy_s3_ca,
    )
    if settings.store == "s3":
        first = s3_place(settings, _STORE)
        if (first.endpoint, first.bucket) == (place.endpoint, place.bucket):
            raise SettingsInvalid("The second copy cannot lie in the bucket of the first: set another copy_s3_bucket")
    return place


def _in_bucket(place: S3Place, term: timedelta, clock: Clock) -> S3Store:
    def until() -> datetime | None:
        return (clock.now() + term).replace(microsecond=0) if term else None

    return S3Store(place, lock_until=until, is_replaced=is_root_inventory)


def _in_folder(folder: Path | None) -> FilesystemStore:
    # Never made here: what is not mounted must not be written beside its mount point.
    if folder is None or not folder.is_dir():
        raise StoreUnavailable("The folder of the second copy is not there: make it, or mount it", folder=folder)
    return FilesystemStore(folder / _STORE, scratch=folder / "scratch")
