"""Mending blobs in an S3 bucket, under Object Lock or without.

A version that is locked cannot be deleted, by nobody, and what was damaged is evidence too: so it stays where it lies,
and the good bytes are put over it as a newer version, locked as long as it. Readers of the store get the oldest version
of a key (`s3_store`); which other one is the good one has to be told to them, by its id. Of a root inventory they get
the newest version, and of what is put where nothing lies any more the only one: nobody has to be told of these.
"""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, BinaryIO, Final

from botocore.exceptions import ClientError

from archive.adapters.s3_client import ConflictingWrite, S3Place, refusals, s3_client
from archive.adapters.s3_parts import Parts, checksum, part_size, read_part
from archive.adapters.s3_store import LockUntil
from archive.ports.blobs import BlobExists, BlobMissing, StoreBroken, StoreUnavailable, check_key
from archive.ports.mending import WrongBytes

_AT_ONCE: Final = 4
_BLOCK_BYTES: Final = 1024 * 1024
_NOT_LOCKED: Final = frozenset(
    {
        "NoSuchObjectLockConfiguration",
        "ObjectLockConfigurationNotFoundError",
        "NoSuchObjectLegalHold",
        "InvalidRequest",
    }
)


class S3Mender:
    """A `Mender` of the blobs of an `S3Store` in the same place."""

    def __init__(
        self,
        place: S3Place,
        *,
        lock_until: LockUntil = lambda: None,
        is_replaced: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """Open it; `lock_until` and `is_replaced` are those of the store."""
        self._place, self._lock_until, self._is_replaced = place, lock_until, is_replaced
        self._prefix = f"{place.prefix}/" if place.prefix else ""
        self._client = s3_client(place)
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="s3-mend")

    def keep_aside(self, key: str, name: str) -> str | None:
        """Return which version is damaged; it stays where it lies; see the port."""
        del name
        versions = self._versions(self._name(key))
        if not versions:
            return None
        damaged = versions[0] if self._is_replaced(key) else versions[-1]
        return f"s3://{self._place.bucket}/{self._name(key)}?versionId={damaged['VersionId']}"

    def set_aside(self, key: str, name: str) -> str | None:
        """Return None: what lies in a bucket with locks is not given up; see the port."""
        del key, name
        return None

    def mend(self, key: str, good: Callable[[], BinaryIO], *, size_bytes: int, sha512: str) -> str | None:
        """Put the good bytes as a newer version, and lock it as long as the damaged one; see the port."""
        name = self._name(key)
        before = self._versions(name)
        found = self._put_before(name, before, size_bytes=size_bytes, sha512=sha512)
        if found is None:
            found = self._put(key, good, size_bytes=size_bytes, sha512=sha512, is_new=not before)
        if self._is_replaced(key):
            return None
        self._lock(key, name, found, [row["VersionId"] for row in before])
        return found if any(row["VersionId"] != found for row in before[-1:]) else None

    def close(self) -> None:
        """Give back threads and connections."""
        self._pool.shutdown(wait=True)
        self._client.close()

    # ---- putting ---------------------------------------------------------------------------------------------------

    def _put_before(self, name: str, versions: list[dict[str, Any]], *, size_bytes: int, sha512: str) -> str | None:
        """Return the version that an earlier try put: the newest, if it has the good bytes."""
        if not versions or versions[0]["Size"] != size_bytes:
            return None
        newest, hasher = str(versions[0]["VersionId"]), hashlib.sha512()
        try:
            with refusals(name):
                body = self._client.get_object(Bucket=self._place.bucket, Key=name, VersionId=newest)["Body"]
                for block in body.iter_chunks(_BLOCK_BYTES):
                    hasher.update(block)
        except (StoreUnavailable, BlobMissing):
            return None  # what cannot be read is not good
        return newest if hasher.hexdigest() == sha512 else None

    def _put(self, key: str, good: Callable[[], BinaryIO], *, size_bytes: int, sha512: str, is_new: bool) -> str:
        name, hasher, size = self._name(key), hashlib.sha512(), part_size(size_bytes)
        with good() as source:
            left = size_bytes

            def next_part() -> bytes:
                nonlocal left
                part = read_part(source, size)
                hasher.update(part)
                left -= len(part)
                if (left <= 0 or len(part) < size) and (left, hasher.hexdigest()) != (0, sha512):
                    raise WrongBytes(key=key)
                return part

            def parts() -> Iterator[bytes]:
                while left > 0:
                    yield next_part()

            if size_bytes < size:
                answer = self._put_whole(key, name, next_part(), is_new=is_new)
            else:
                upload = Parts(self._client, self._place.bucket, name, at_once=_AT_ONCE, pool=self._pool, more={})
                answer = dict(upload.send(parts(), is_new=is_new))
        return str(answer.get("VersionId", "null"))

    def _put_whole(self, key: str, name: str, data: bytes, *, is_new: bool) -> dict[str, Any]:
        condition = {"IfNoneMatch": "*"} if is_new else {}
        try:
            with refusals(key):
                return dict(
                    self._client.put_object(
                        Bucket=self._place.bucket, Key=name, Body=data, ChecksumSHA256=checksum(data), **condition
                    )
                )
        except (BlobExists, ConflictingWrite) as exc:
            raise StoreUnavailable("Another mends this blob just now", key=key) from exc

    def _lock(self, key: str, name: str, version: str, others: list[str]) -> None:
        """Lock a version until the latest of the term from now and the locks of the versions that it stands for."""
        ends = [self._lock_until(), *(self._lock_of(name, other) for other in others)]
        until = max((each for each in ends if each is not None), default=None)
        where = {"Bucket": self._place.bucket, "Key": name, "VersionId": version}
        kept = self._lock_of(name, version)
        if until is not None and (kept is None or kept < until):
            with refusals(key):
                self._client.put_object_retention(
                    **where, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": until.replace(microsecond=0)}
                )
            kept = self._lock_of(name, version)
            if kept is None or kept < until.replace(microsecond=0):
                raise StoreBroken("The store did not lock what was put", key=key)
        if any(self._is_held(name, other) for other in others) and not self._is_held(name, version):
            with refusals(key):
                self._client.put_object_legal_hold(**where, LegalHold={"Status": "ON"})

    def _lock_of(self, name: str, version: str) -> datetime | None:
        told = self._told_of_lock(self._client.get_object_retention, name, version).get("Retention", {})
        found: datetime | None = told.get("RetainUntilDate") if told.get("Mode") == "COMPLIANCE" else None
        return found

    def _is_held(self, name: str, version: str) -> bool:
        told = self._told_of_lock(self._client.get_object_legal_hold, name, version)
        return bool(told.get("LegalHold", {}).get("Status") == "ON")

    def _told_of_lock(self, ask: Callable[..., Any], name: str, version: str) -> dict[str, Any]:
        with refusals(name):
            try:
                return dict(ask(Bucket=self._place.bucket, Key=name, VersionId=version))
            except ClientError as exc:
                code = exc.response.get("Error", {}).get("Code")
                if code in _NOT_LOCKED:
                    return {}
                raise

    def _versions(self, name: str) -> list[dict[str, Any]]:
        """Return the versions of a key, the newest first."""
        found: list[dict[str, Any]] = []
        with refusals(name):
            for page in self._client.get_paginator("list_object_versions").paginate(
                Bucket=self._place.bucket, Prefix=name, PaginationConfig={"PageSize": 100}
            ):
                rows = page.get("Versions", ())
                found += [row for row in rows if row["Key"] == name]
                if any(row["Key"] != name for row in rows):
                    break  # what begins with the key comes behind it
        return found

    def _name(self, key: str) -> str:
        check_key(key)
        return self._prefix + key
