"""Sending a blob to S3 in parts: several at once, each with its SHA-256, the whole put once or not at all."""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, BinaryIO, Final

from archive.adapters.s3_client import refusals
from archive.kernel.errors import InvalidInput

MIB: Final = 1024 * 1024
LEAST_PART_BYTES: Final = 8 * MIB
MOST_PARTS: Final = 10_000
_READ_BYTES: Final = 1 * MIB


def checksum(data: bytes) -> str:
    """Return the SHA-256 as S3 writes it."""
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def read_part(source: BinaryIO, size: int) -> bytes:
    """Return the next `size` bytes of a source, fewer only at its end."""
    part = bytearray()
    while len(part) < size and (block := source.read(min(_READ_BYTES, size - len(part)))):
        part += block
    return bytes(part)


def part_size(size_bytes: int | None) -> int:
    """Return how large parts are, so that a blob of this size has at most 10,000 of them; unknown sizes grow."""
    if size_bytes is None:
        return LEAST_PART_BYTES
    return max(LEAST_PART_BYTES, -(-size_bytes // MOST_PARTS // MIB) * MIB + MIB if size_bytes else LEAST_PART_BYTES)


class Parts:
    """One upload in parts. Whatever happens before it is complete leaves nothing behind."""

    def __init__(
        self, client: Any, bucket: str, key: str, *, at_once: int, pool: ThreadPoolExecutor, more: Mapping[str, Any]
    ) -> None:
        """Begin; `more` are the headers of the blob that it becomes (its lock)."""
        self._client, self._bucket, self._key, self._pool, self._at_once = client, bucket, key, pool, at_once
        with refusals(key):
            begun = client.create_multipart_upload(Bucket=bucket, Key=key, ChecksumAlgorithm="SHA256", **more)
        self._upload_id = begun["UploadId"]

    def send(self, parts: Iterator[bytes], *, is_new: bool = True) -> Mapping[str, Any]:
        """Send all parts and complete the blob under its name, if that is free; return what the server says of it.

        One that is not `is_new` becomes a version over what is there.

        Raises: BlobExists, ConflictingWrite, StoreBroken, StoreUnavailable; what the parts raise.
        """
        try:
            sent = self._send_all(parts)
            with refusals(self._key):
                return dict(
                    self._client.complete_multipart_upload(
                        Bucket=self._bucket,
                        Key=self._key,
                        UploadId=self._upload_id,
                        MultipartUpload={"Parts": sent},
                        **({"IfNoneMatch": "*"} if is_new else {}),
                    )
                )
        except BaseException:
            with refusals(self._key):
                self._client.abort_multipart_upload(Bucket=self._bucket, Key=self._key, UploadId=self._upload_id)
            raise

    def _send_all(self, parts: Iterator[bytes]) -> list[dict[str, Any]]:
        waiting: dict[Future[dict[str, Any]], int] = {}
        sent: dict[int, dict[str, Any]] = {}

        def take(*, all_of_them: bool) -> None:
            done, _ = wait(waiting, return_when="ALL_COMPLETED" if all_of_them else FIRST_COMPLETED)
            for each in done:
                sent[waiting.pop(each)] = each.result()

        try:
            for number, data in enumerate(parts, start=1):
                if number > MOST_PARTS:
                    raise InvalidInput("A blob in S3 has at most 10,000 parts", key=self._key)
                waiting[self._pool.submit(self._send_one, number, data)] = number
                if len(waiting) >= self._at_once:
                    take(all_of_them=False)
            take(all_of_them=True)
        finally:
            wait(waiting)  # an upload that is given up must not have a part arrive after it
        return [sent[number] for number in sorted(sent)]

    def _send_one(self, number: int, data: bytes) -> dict[str, Any]:
        told = checksum(data)
        with refusals(self._key):
            answer = self._client.upload_part(
                Bucket=self._bucket,
                Key=self._key,
                UploadId=self._upload_id,
                PartNumber=number,
                Body=data,
                ChecksumSHA256=told,
            )
        return {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": told}
