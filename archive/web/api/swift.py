"""Answers in the form of OpenStack Swift: tokens, listings, metadata. Looks things up, and changes nothing.

Source: OpenStack object store API v1.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from typing import Any, Final
from urllib.parse import parse_qs, quote

from sqlalchemy.orm import Session

from archive.kernel.errors import InvalidInput
from ingest.axis.errors import WriteOnly
from ingest.axis.models import AxisContainer, AxisObject
from ingest.axis.naming import REGISTERS
from ingest.axis.systems import AxisSystem, AxisTicket
from ingest.axis.transfer import (
    container_count,
    container_of,
    containers_after,
    object_of,
    objects_after,
    usage,
)
from ingest.context import Intake

_MOST_LISTED: Final = 1000
_MOST_DIGITS: Final = 9
_JSON: Final = "application/json; charset=utf-8"
_CAPABILITIES: Final = {
    "Store": {
        "StoreBookmarks": True,
        "StoreUserIDKey": True,
        "StoreSignedVideo": True,
        "StoreGNSSTrackRecording": True,
    },
    "StoreAndRead": {"StoreReadSystemID": True},
}
"""What this door takes beside clips; what is declared once has to be kept for ever."""
_PUBLISHED: Final = {
    # The description names the one, its reference server and later versions the other.
    "Capabilities.json": json.dumps(_CAPABILITIES, indent=2).encode(),
    "Capability.json": json.dumps(_CAPABILITIES, indent=2).encode(),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back; a body of a HEAD is counted and not sent."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    is_head: bool = False

    async def send(self, send: Callable[[dict[str, Any]], Any]) -> None:
        """Send it."""
        headers = {"cache-control": "no-store", **self.headers}
        if self.status != 204:
            headers.setdefault("content-length", str(len(self.body)))
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": raw})
        await send({"type": "http.response.body", "body": b"" if self.is_head else self.body})


def account_of(system: AxisSystem) -> str:
    """Return the account in a system's addresses."""
    return f"AUTH_{system.dock_id.hex}"


def ticket(given: AxisTicket, *, address: str) -> Answer:
    """Return the token and where to go with it."""
    headers = {
        "x-auth-token": given.token,
        "x-storage-token": given.token,
        "x-storage-url": f"{address}/v1/AUTH_{given.dock_id.hex}",
        "x-auth-token-expires": str(int(given.lifetime.total_seconds())),
    }
    return Answer(200, headers)


def info(max_size_bytes: int) -> Answer:
    """Return what clients may ask for."""
    told = {"swift": {"max_file_size": max_size_bytes, "max_meta_count": 90, "container_listing_limit": _MOST_LISTED}}
    return Answer(200, {"content-type": _JSON}, json.dumps(told).encode())


def stored(md5: str) -> dict[str, str]:
    """Return the headers of an object that was taken."""
    return {"etag": md5}


def looked_up(intake: Intake, system: AxisSystem, container: str, name: str, scope: Mapping[str, Any]) -> Answer:
    """Answer GET and HEAD of an account, a container or an object.

    Raises: WriteOnly for footage and for deleting, ContainerNotFound, TransferNotFound, InvalidInput.
    """
    method = scope["method"]
    if method == "DELETE":
        raise WriteOnly
    if method not in {"GET", "HEAD"}:
        raise InvalidInput("This address does not know the method", method=method[:16])
    is_head = method == "HEAD"
    query = {key: values[-1] for key, values in parse_qs(scope["query_string"].decode("latin-1")).items()}
    if any("\0" in value for value in query.values()):
        raise InvalidInput("No name holds NUL")  # nor does any text of PostgreSQL
    with intake.database.read() as tx:
        if not container:
            return _account(tx, system, query, is_head=is_head)
        if not name:
            return _container(tx, system, container, query, is_head=is_head)
        if container == "System" and name in _PUBLISHED:
            return _file(_PUBLISHED[name], {"content-type": "application/json"}, is_head=is_head)
        found = object_of(tx, system, container, name)
        if is_head:
            return Answer(200, _object_headers(found), is_head=True)
        if container not in REGISTERS or found.body is None:
            raise WriteOnly
        return _file(found.body, _object_headers(found), is_head=False)


def _account(tx: Session, system: AxisSystem, query: Mapping[str, str], *, is_head: bool) -> Answer:
    told = usage(tx, system)
    headers = {
        "x-account-container-count": str(container_count(tx, system)),
        "x-account-object-count": str(told.count),
        "x-account-bytes-used": str(told.size_bytes),
    }
    if is_head:
        return Answer(204, headers)
    found = containers_after(tx, system, query.get("marker", ""), limit=_limit(query))
    prefix, end = query.get("prefix", ""), query.get("end_marker", "")
    rows = [
        {
            "name": container.name,
            "count": usage(tx, system, container).count,
            "bytes": usage(tx, system, container).size_bytes,
            "last_modified": _modified(container.changed_at),
        }
        for container in found
        if container.name.startswith(prefix) and (not end or container.name < end)
    ]
    return _listed(rows, headers, query)


def _container(tx: Session, system: AxisSystem, name: str, query: Mapping[str, str], *, is_head: bool) -> Answer:
    found = container_of(tx, system, name)
    told = usage(tx, system, found)
    headers = {
        **_meta_headers("Container", found.meta),
        "x-container-object-count": str(told.count),
        "x-container-bytes-used": str(told.size_bytes),
        "x-timestamp": f"{found.created_at.timestamp():.5f}",
        "last-modified": format_datetime(found.changed_at, usegmt=True),
    }
    if is_head:
        return Answer(204, headers)
    return _listed(_object_rows(tx, found, query), headers, query)


def _object_rows(tx: Session, container: AxisContainer, query: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    end, limit = query.get("end_marker", ""), _limit(query)
    rows: dict[str, Mapping[str, Any]] = {}
    for found in objects_after(tx, container, query.get("marker", ""), prefix=prefix, limit=limit):
        if end and found.name >= end:
            break
        rest = found.name.removeprefix(prefix)
        if delimiter and delimiter in rest:
            folder = prefix + rest.split(delimiter, 1)[0] + delimiter
            if folder > query.get("marker", ""):  # else the page before has told of it
                rows[folder] = {"subdir": folder}
        else:
            rows[found.name] = {
                "name": found.name,
                "hash": found.md5,
                "bytes": found.size_bytes,
                "content_type": found.content_type,
                "last_modified": _modified(found.stored_at),
            }
    return list(rows.values())


def _listed(rows: Sequence[Mapping[str, Any]], headers: Mapping[str, str], query: Mapping[str, str]) -> Answer:
    if query.get("format") == "json":
        return Answer(200, {**headers, "content-type": _JSON}, json.dumps(rows).encode())
    plain = "".join(f"{row.get('name') or row['subdir']}\n" for row in rows).encode()
    return Answer(200 if plain else 204, {**headers, "content-type": "text/plain; charset=utf-8"}, plain)


def _file(body: bytes, headers: Mapping[str, str], *, is_head: bool) -> Answer:
    etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
    told = {**headers, "etag": etag, "content-length": str(len(body)), "accept-ranges": "none"}
    return Answer(200, told, body, is_head=is_head)


def _object_headers(found: AxisObject) -> dict[str, str]:
    return {
        **_meta_headers("Object", found.meta),
        "content-type": found.content_type,
        "content-length": str(found.size_bytes),
        "etag": found.md5,
        "last-modified": format_datetime(found.stored_at, usegmt=True),
        "x-timestamp": f"{found.stored_at.timestamp():.5f}",
    }


def _meta_headers(kind: str, meta: Mapping[str, Any]) -> dict[str, str]:
    return {f"x-{kind}-meta-{name}": quote(str(value), safe=" !#$&'()*+,/:;=?@[]~-._") for name, value in meta.items()}


def _limit(query: Mapping[str, str]) -> int:
    text = query.get("limit", str(_MOST_LISTED))
    if not text.isascii() or not text.isdigit() or len(text) > _MOST_DIGITS:
        raise InvalidInput("The limit is not a number")
    return min(int(text), _MOST_LISTED)


def _modified(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%f")
