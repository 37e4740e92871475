"""The WORM probe: on the real bucket, does anybody get rid of what is locked? What the server answers is not believed.

Each attempt is followed by a look: the version is there, its bytes are the same, its lock ends no earlier. What the
probe puts is a few bytes under `probe/`, locked for a day.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from botocore.exceptions import BotoCoreError, ClientError

from archive.adapters.s3_client import S3Place, s3_client
from archive.adapters.s3_parts import checksum
from archive.kernel.findings import Finding, Report, indeterminate, invalid, valid
from archive.kernel.instants import Instant

_LOCKED_FOR: Final = timedelta(days=1)
_BYTES: Final = b"liuhen: this must not be deleted before its time\n"
_REFUSED = (ClientError, BotoCoreError)


class WormProbe:
    """Tries everything that could take away what is locked in a bucket."""

    def __init__(self, place: S3Place) -> None:
        """Take the bucket; nothing is asked yet."""
        self._client, self._bucket = s3_client(place), place.bucket
        self.place = f"{place.endpoint or 'AWS'} {place.bucket}"
        self._folder = f"{place.prefix}/probe/" if place.prefix else "probe/"

    def run(self, *, at: Instant) -> Report:
        """Return what was tried and what came of it; valid as a whole means: WORM is proven.

        A bucket that cannot be asked is indeterminate.
        """
        try:
            return Report(tuple(self._findings(at)))
        except _REFUSED as exc:
            return Report((indeterminate("worm.not_asked", f"The bucket could not be asked: {exc}"),))

    def _findings(self, at: Instant) -> Iterator[Finding]:
        self._clear()
        versioning = self._client.get_bucket_versioning(Bucket=self._bucket).get("Status")
        if versioning != "Enabled":
            yield invalid("worm.versions", "The bucket keeps no versions, so nothing can be locked")
            return
        yield valid("worm.versions", "The bucket keeps versions")
        key, until = f"{self._folder}{uuid4()}", (at + _LOCKED_FOR).replace(microsecond=0)
        try:
            version = self._put(key, ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=until)
        except ClientError as exc:
            yield invalid("worm.lock", f"The bucket does not lock: {exc}")
            return
        if not self._is_kept(key, version, until):
            yield invalid("worm.lock", "The bucket says that it locks, and does not")
            return
        yield valid("worm.lock", "What is put with a lock has it")
        for code, words, attempt in self._attempts(key, version, until):
            yield self._tried(code, words, attempt, lambda: self._is_kept(key, version, until))
        yield from self._hold(f"{self._folder}{uuid4()}")

    def _clear(self) -> None:
        """Remove what earlier probes put, as far as its locks have ended."""
        for page in self._client.get_paginator("list_object_versions").paginate(
            Bucket=self._bucket, Prefix=self._folder
        ):
            for row in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                with suppress(ClientError):
                    self._client.delete_object(Bucket=self._bucket, Key=row["Key"], VersionId=row["VersionId"])

    def _attempts(self, key: str, version: str, until: datetime) -> Iterator[tuple[str, str, Callable[[], Any]]]:
        where = {"Bucket": self._bucket, "Key": key, "VersionId": version}
        client, sooner = self._client, until - timedelta(hours=12)
        yield "worm.delete", "deleting the version", lambda: client.delete_object(**where)
        yield (
            "worm.bypass",
            "deleting it past the lock",
            lambda: client.delete_object(**where, BypassGovernanceRetention=True),
        )
        yield (
            "worm.shorten",
            "shortening the lock",
            lambda: client.put_object_retention(
                **where, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": sooner}, BypassGovernanceRetention=True
            ),
        )
        yield (
            "worm.weaken",
            "weakening the lock to one that can be passed",
            lambda: client.put_object_retention(
                **where, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until}, BypassGovernanceRetention=True
            ),
        )
        yield (
            "worm.suspend",
            "keeping no versions any more",
            lambda: client.put_bucket_versioning(Bucket=self._bucket, VersioningConfiguration={"Status": "Suspended"}),
        )

    def _tried(self, code: str, words: str, attempt: Callable[[], Any], is_kept: Callable[[], bool]) -> Finding:
        try:
            attempt()
        except ClientError:
            refused = True
        else:
            refused = False
        if not is_kept():
            return invalid(code, f"Tried: {words}. It is gone, or its lock is not what it was")
        if code == "worm.suspend" and not refused and self._is_suspended():
            self._client.put_bucket_versioning(Bucket=self._bucket, VersioningConfiguration={"Status": "Enabled"})
            return invalid(code, f"Tried: {words}. The bucket did it")
        return valid(code, f"Tried: {words}. It is as it was")

    def _hold(self, key: str) -> Iterator[Finding]:
        where = {"Bucket": self._bucket, "Key": key, "VersionId": self._put(key, ObjectLockLegalHoldStatus="ON")}
        yield self._tried(
            "worm.hold",
            "deleting what is held",
            lambda: self._client.delete_object(**where),
            lambda: self._is_there(key),
        )
        if self._is_there(key):
            self._client.put_object_legal_hold(**where, LegalHold={"Status": "OFF"})
            self._client.delete_object(**where)

    def _put(self, key: str, **lock: Any) -> str:
        answer = self._client.put_object(
            Bucket=self._bucket, Key=key, Body=_BYTES, ChecksumSHA256=checksum(_BYTES), IfNoneMatch="*", **lock
        )
        return str(answer.get("VersionId", "null"))

    def _is_kept(self, key: str, version: str, until: datetime) -> bool:
        where = {"Bucket": self._bucket, "Key": key, "VersionId": version}
        try:
            body = self._client.get_object(**where)["Body"].read()
            told = self._client.get_object_retention(**where)["Retention"]
        except ClientError:
            return False
        return body == _BYTES and told["Mode"] == "COMPLIANCE" and bool(told["RetainUntilDate"] >= until)

    def _is_there(self, key: str) -> bool:
        try:
            return bool(self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read() == _BYTES)
        except ClientError:
            return False

    def _is_suspended(self) -> bool:
        return bool(self._client.get_bucket_versioning(Bucket=self._bucket).get("Status") != "Enabled")
