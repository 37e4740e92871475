"""Taking the parts of a blob straight from a dock: presigned addresses, each for one part with one SHA-256.

The signature covers the digest as a header, so that the server itself refuses other bytes.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from botocore.exceptions import ClientError

from archive.adapters.s3_client import S3Place, refusals, s3_client
from archive.adapters.s3_parts import part_size
from archive.kernel.digests import Digest
from archive.ports.blobs import BlobExists, BlobMissing, check_key
from archive.ports.direct import PartAddress, PartsMissing

_ENDED: Final = frozenset({"NoSuchUpload", "404"})
_LACKING: Final = frozenset({"InvalidPart", "InvalidPartOrder", "EntityTooSmall", "MalformedXML"})
_CHECKSUM: Final = "x-amz-checksum-sha256"


class S3Direct:
    """A `DirectStore` in a bucket. Docks send to the address at which the server is seen from outside."""

    def __init__(self, place: S3Place) -> None:
        """Take the place; nothing is asked yet."""
        self._client, self._bucket = s3_client(place), place.bucket
        self._signer = s3_client(replace(place, endpoint=place.public_endpoint or place.endpoint), connections=1)
        self._prefix = f"{place.prefix}/" if place.prefix else ""

    def part_size(self, size_bytes: int) -> int:
        """Return how large parts are; see the port."""
        return part_size(size_bytes)

    def begin_parts(self, key: str) -> str:
        """Begin a blob; see the port."""
        if self._exists(key):
            raise BlobExists(key=key)
        with refusals(key):
            begun = self._client.create_multipart_upload(
                Bucket=self._bucket, Key=self._name(key), ChecksumAlgorithm="SHA256"
            )
        return str(begun["UploadId"])

    def part_address(self, key: str, name: str, number: int, sha256: Digest, *, good_for: timedelta) -> PartAddress:
        """Return a presigned address; see the port."""
        told = _told(sha256)
        url = self._signer.generate_presigned_url(
            "upload_part",
            Params={
                "Bucket": self._bucket,
                "Key": self._name(key),
                "UploadId": name,
                "PartNumber": number,
                "ChecksumSHA256": told,
            },
            ExpiresIn=int(good_for.total_seconds()),
        )
        return PartAddress(number, url, {_CHECKSUM: told})

    def stored_parts(self, key: str, name: str) -> Sequence[int]:
        """Return which parts are there; see the port."""
        return sorted(self._marks(key, name))

    def complete_parts(self, key: str, name: str, sha256s: Sequence[Digest]) -> None:
        """Make the parts one blob; see the port."""
        marks = self._marks(key, name)
        if not marks and self._exists(key):
            return
        if sorted(marks) != list(range(1, len(sha256s) + 1)):
            raise PartsMissing(stored=len(marks), needed=len(sha256s))
        parts = [
            {"PartNumber": number, "ETag": marks[number], "ChecksumSHA256": _told(sha256)}
            for number, sha256 in enumerate(sha256s, start=1)
        ]
        with refusals(key):
            try:
                self._client.complete_multipart_upload(
                    Bucket=self._bucket,
                    Key=self._name(key),
                    UploadId=name,
                    IfNoneMatch="*",
                    MultipartUpload={"Parts": parts},
                )
            except ClientError as exc:
                code = exc.response.get("Error", {}).get("Code")
                if code in _LACKING:
                    raise PartsMissing(cause=code) from exc
                if code not in _ENDED or not self._exists(key):  # else another was quicker
                    raise

    def abort_parts(self, key: str, name: str) -> None:
        """Give the upload up; see the port."""
        with refusals(key):
            try:
                self._client.abort_multipart_upload(Bucket=self._bucket, Key=self._name(key), UploadId=name)
            except ClientError as exc:
                if exc.response.get("Error", {}).get("Code") not in _ENDED:
                    raise

    def _marks(self, key: str, name: str) -> Mapping[int, str]:
        """Return the server's mark of each part that is there; none where the upload has ended."""
        asked = {"Bucket": self._bucket, "Key": self._name(key), "UploadId": name}
        try:
            with refusals(key):
                pages = self._client.get_paginator("list_parts").paginate(**asked)
                return {row["PartNumber"]: row["ETag"] for page in pages for row in page.get("Parts", ())}
        except BlobMissing:
            return {}

    def _exists(self, key: str) -> bool:
        name = self._name(key)
        with refusals(key):
            found = self._client.list_object_versions(Bucket=self._bucket, Prefix=name, MaxKeys=2)
        return any(row["Key"] == name for row in found.get("Versions", ()))

    def _name(self, key: str) -> str:
        check_key(key)
        return self._prefix + key


def _told(sha256: Digest) -> str:
    return base64.b64encode(sha256.value).decode()
