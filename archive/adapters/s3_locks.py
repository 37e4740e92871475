"""Object Lock of single versions in a bucket: COMPLIANCE locks and legal holds, each read back after it was asked for."""

from datetime import datetime
from typing import Any, Final

from botocore.exceptions import ClientError

from archive.adapters.s3_client import refusals
from archive.kernel.instants import Instant, format_instant
from archive.ports.blobs import BlobLocked, StoreBroken

_NOT_LOCKED: Final = frozenset(
    {
        "NoSuchObjectLockConfiguration",
        "ObjectLockConfigurationNotFoundError",
        "InvalidRequest",
        "NoSuchObjectLegalHold",  # SeaweedFS
    }
)
_ON, _OFF = "ON", "OFF"


class S3Locks:
    """The locks of a bucket. A version is named by its name in the bucket and its id; `key` is for messages."""

    def __init__(self, client: Any, bucket: str) -> None:
        """Take the client."""
        self._client, self._bucket = client, bucket

    def lock(self, key: str, name: str, version_id: str, until: Instant) -> None:
        """Lock a version until a moment, unless it is locked for longer. Raises: BlobMissing, StoreBroken."""
        until = whole_second(until)
        kept = self.until(name, version_id)
        if kept is not None and kept >= until:
            return
        with refusals(key):
            self._client.put_object_retention(
                **self._where(name, version_id), Retention={"Mode": "COMPLIANCE", "RetainUntilDate": until}
            )
        self.require(key, name, version_id, until)

    def require(self, key: str, name: str, version_id: str, until: Instant) -> None:
        """Make sure that the server keeps the lock; some say yes and do not. Raises: StoreBroken."""
        kept = self.until(name, version_id)
        if kept is None or kept < until.replace(microsecond=0):
            raise StoreBroken("The store did not lock what was put", key=key)

    def until(self, name: str, version_id: str) -> Instant | None:
        """Return until when a version is locked (COMPLIANCE), as the server says; None for not."""
        with refusals(name):
            try:
                answer = self._client.get_object_retention(**self._where(name, version_id))
            except ClientError as exc:
                if _code_of(exc) in _NOT_LOCKED:
                    return None
                raise
        told = answer.get("Retention", {})
        found: datetime | None = told.get("RetainUntilDate") if told.get("Mode") == "COMPLIANCE" else None
        return found

    def set_hold(self, key: str, name: str, version_id: str, *, is_held: bool) -> None:
        """Put a version under legal hold, or take it off. Raises: BlobMissing, StoreBroken."""
        if self.is_held(name, version_id) == is_held:
            return
        with refusals(key):
            status = {"Status": _ON if is_held else _OFF}
            self._client.put_object_legal_hold(**self._where(name, version_id), LegalHold=status)
        if self.is_held(name, version_id) != is_held:
            raise StoreBroken("The store did not keep the legal hold that was asked for", key=key)

    def is_held(self, name: str, version_id: str) -> bool:
        """Return whether a version is under legal hold, as the server says."""
        with refusals(name):
            try:
                answer = self._client.get_object_legal_hold(**self._where(name, version_id))
            except ClientError as exc:
                if _code_of(exc) in _NOT_LOCKED:
                    return False
                raise
        return bool(answer.get("LegalHold", {}).get("Status") == _ON)

    def require_free(self, key: str, name: str, version_id: str, *, at: Instant) -> None:
        """Refuse a version that is locked at a moment, or held. Raises: BlobLocked."""
        until, is_held = self.until(name, version_id), self.is_held(name, version_id)
        if is_held or (until is not None and until > at):
            told = None if until is None else format_instant(until)
            raise BlobLocked(key=key, until=told, is_held=is_held)

    def _where(self, name: str, version_id: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": name, "VersionId": version_id}


def whole_second(at: Instant) -> Instant:
    """Return the first whole second that is not before a moment: what Object Lock keeps."""
    return at if not at.microsecond else datetime.fromtimestamp(int(at.timestamp()) + 1, at.tzinfo)


def _code_of(exc: ClientError) -> str:
    return str(exc.response.get("Error", {}).get("Code"))
