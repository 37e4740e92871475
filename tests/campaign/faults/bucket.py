"""Shelves in buckets, read with a plain client past every way: by version id, as a court's expert would."""

import hashlib
import json
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError

from archive.kernel.ids import ObjectId, parse_uuid
from archive.ocfl.layout import is_root_inventory, object_root
from tests.campaign.kills.shelves import judged
from tests.support.weed import Weed

_STORE: Final = "store/"


class BucketShelves:
    """Two buckets of an archive. Satisfies `Shelves`."""

    def __init__(self, weed: Weed, *, bucket: str, work_bucket: str, local: Sequence[Path]) -> None:
        """Take the server and the buckets, and the folders on the disks of the hosts."""
        self._client: Any = weed.client()
        self._bucket, self._work_bucket, self._local = bucket, work_bucket, local

    def original(self, object_id: str, content_path: str) -> str | None:
        """Return the sha512 of an original, by the version that its lock holds."""
        root = f"{_STORE}{object_root(ObjectId(parse_uuid(object_id)))}/"
        versions = self._versions(root)
        inventory = json.loads(self._read(f"{root}inventory.json", versions[f"{root}inventory.json"][0]))
        for digest, names in inventory["versions"][inventory["head"]]["state"].items():
            if content_path in names:
                key = root + inventory["manifest"][digest][0]
                if key not in versions or not self._is_locked(key, versions[key][-1]):
                    return None
                return hashlib.sha512(self._read(key, versions[key][-1])).hexdigest()
        return None

    def doubled(self, object_id: str) -> Sequence[str]:
        """Say which files of an object were put twice, and which further versions it has: nothing here makes any."""
        root = f"{_STORE}{object_root(ObjectId(parse_uuid(object_id)))}/"
        versions = self._versions(root)
        wrong = [
            f"{key} has {len(found)} versions"
            for key, found in versions.items()
            if len(found) > 1 and not is_root_inventory(key.removeprefix(_STORE))
        ]
        numbers = {key.removeprefix(root).split("/")[0] for key in versions if "/" in key.removeprefix(root)}
        return wrong if numbers == {"v1"} else [*wrong, f"object {object_id} has the versions {sorted(numbers)}"]

    def rendition(self, key: str) -> str | None:
        """Return the sha256 of a rendition."""
        try:
            found = self._client.get_object(Bucket=self._work_bucket, Key=f"renditions/{key}")
        except ClientError:
            return None
        return hashlib.sha256(found["Body"].read()).hexdigest()

    def quarantined(self, upload_id: str) -> bytes | None:
        """Return what was put aside."""
        versions = self._versions(f"quarantine/{upload_id}/")
        key = f"quarantine/{upload_id}/bytes"
        return self._read(key, versions[key][-1]) if key in versions else None

    def leftovers(self, alive: Collection[str]) -> Iterator[str]:
        """Yield what lies on the hosts' disks, and uploads in parts that the bucket still holds open."""
        for local in self._local:
            staging, work = local / "staging", local / "work"
            yield from (f"staging/{path.name}" for path in staging.glob("*") if path.name not in alive)
            yield from (f"work/{path.name}" for path in work.glob("*"))
        open_parts = self._client.list_multipart_uploads(Bucket=self._bucket).get("Uploads", [])
        yield from (f"parts/{each['Key']}" for each in open_parts)

    def judged(self) -> tuple[int, Sequence[str]]:
        """Fetch every object and have `ocfl-py` validate them."""
        with tempfile.TemporaryDirectory(prefix="liuhen-judged-") as place:
            for key, versions in self._versions(_STORE).items():
                path = Path(place) / key
                path.parent.mkdir(parents=True, exist_ok=True)
                newest = is_root_inventory(key.removeprefix(_STORE))
                path.write_bytes(self._read(key, versions[0 if newest else -1]))
            return judged(Path(place) / "store")

    def _versions(self, prefix: str) -> Mapping[str, Sequence[str]]:
        """Return the versions of each key, the newest first."""
        found: dict[str, list[tuple[datetime, str]]] = {}
        pages = self._client.get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=prefix)
        for page in pages:
            for row in page.get("Versions", ()):
                found.setdefault(row["Key"], []).append((row["LastModified"], row["VersionId"]))
        return {key: [version for _, version in rows] for key, rows in found.items()}

    def _read(self, key: str, version: str) -> bytes:
        return bytes(self._client.get_object(Bucket=self._bucket, Key=key, VersionId=version)["Body"].read())

    def _is_locked(self, key: str, version: str) -> bool:
        try:
            told = self._client.get_object_retention(Bucket=self._bucket, Key=key, VersionId=version)["Retention"]
        except ClientError:
            return False
        return told["Mode"] == "COMPLIANCE" and told["RetainUntilDate"] > datetime.now(UTC)
