"""Where a clip was recorded, out of the location trail that the camera's system sent beside it.

The trail is an item of its own; the clip's manifest names it by its SHA-256. Units: as in `ingest.media.track`.
Source: Axis body worn content destination API, "Location file format".
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import select

from archive.custody.models import PreservedObject
from archive.db.database import Database
from archive.kernel.ids import ObjectId
from archive.kernel.instants import Instant
from archive.ocfl.root import OcflRoot
from archive.ports.blobs import BlobMissing
from ingest.axis.naming import ObjectKind, moment

_MOST_BYTES: Final = 8 * 1024 * 1024
_MOST_POINTS: Final = 10_000
_POINT: Final = re.compile(r"\s*POINT\s*\(\s*(-?\d+(?:\.\d+)?)\s+(-?\d+(?:\.\d+)?)\s*\)\s*", re.IGNORECASE)


def trail_of(database: Database, objects: OcflRoot, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return `points`, `seen` and `points_from` for a clip whose manifest names a trail; nothing for any other.

    What cannot be read gives no points; it is kept as it is all the same.
    """
    said = manifest.get("sidecar")
    axis = said.get("axis") if isinstance(said, dict) else None
    others = axis.get("objects") if isinstance(axis, dict) else None
    started_at = moment((manifest.get("times") or {}).get("recorded"))
    if not isinstance(axis, dict) or not isinstance(others, list) or started_at is None:
        return {}
    stopped_at = moment((axis.get("object") or {}).get("StopTimeISO"))
    for other in others:
        if isinstance(other, dict) and other.get("kind") == ObjectKind.TRAIL.value:
            data = _bytes_of(database, objects, str(other.get("sha256")))
            points = [] if data is None else list(trail_points(data, started_at=started_at, stopped_at=stopped_at))
            if points:
                every = -(-len(points) // _MOST_POINTS)
                return {"points": points[::every], "seen": len(points), "points_from": f"axis.{other.get('name')}"}
    return {}


def trail_points(data: bytes, *, started_at: Instant, stopped_at: Instant | None) -> Iterator[list[int | None]]:
    """Yield the positions of a trail that lie within a clip."""
    try:
        told = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return
    entries = told.get("CoordinateEntries") if isinstance(told, dict) else None
    for entry in entries if isinstance(entries, list) else []:
        place = _POINT.fullmatch(str(entry.get("LocationWKT"))) if isinstance(entry, dict) else None
        at = moment(str(entry.get("Timestamp"))) if isinstance(entry, dict) else None
        if place is None or at is None or at < started_at or (stopped_at is not None and at > stopped_at):
            continue
        longitude, latitude = float(place[1]), float(place[2])
        if math.fabs(latitude) <= 90 and math.fabs(longitude) <= 180 and (latitude, longitude) != (0, 0):
            at_ms = (at - started_at) // timedelta(milliseconds=1)
            utc_ms = round(at.timestamp() * 1000)
            yield [at_ms, round(latitude * 10**7), round(longitude * 10**7), None, None, utc_ms]


def _bytes_of(database: Database, objects: OcflRoot, sha256: str) -> bytes | None:
    with database.read() as tx:
        found = tx.scalar(select(PreservedObject).where(PreservedObject.sha256 == sha256).limit(1))
    if found is None or found.size_bytes > _MOST_BYTES:
        return None
    try:
        with objects.open_file(ObjectId(found.id), found.content_path) as file:
            return file.read(_MOST_BYTES)
    except BlobMissing:
        return None
