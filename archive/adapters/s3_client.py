"""The client of an S3 server: what is asked of it, and what its refusals mean here."""

import contextlib
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

from archive.kernel.errors import LiuhenError
from archive.meters import meters
from archive.ports.blobs import BlobExists, BlobMissing, StoreBroken, StoreUnavailable

_MISSING: Final = frozenset({"404", "NoSuchKey", "NoSuchVersion", "NotFound"})
_TAKEN: Final = frozenset({"412", "PreconditionFailed"})
_MEANWHILE: Final = frozenset({"409", "ConditionalRequestConflict"})
_DIGESTS: Final = frozenset({"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"})
_CONNECT_S: Final = 5
_READ_S: Final = 60
_SOCKETS: Final = (
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        # As for the database: a server that has vanished, or that a firewall has forgotten, is given up after 30 s.
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in (
            ("TCP_KEEPIDLE", 10),
            ("TCP_KEEPINTVL", 5),
            ("TCP_KEEPCNT", 3),
            ("TCP_USER_TIMEOUT", 30_000),
        )
        if hasattr(socket, name)
    ),
)


class ConflictingWrite(LiuhenError):
    """Another writes this key just now; try again."""

    code = "store.conflicting_write"
    retryable = True


@dataclass(frozen=True, slots=True)
class S3Place:
    """Where a bucket is: endpoint (None is that of AWS), region, bucket, and the folder in it that is ours.

    The key comes from `credentials_file` (`ACCESS_KEY` and `SECRET_KEY` in two lines), or where boto3 looks for one.
    `lists_by_folder` is for servers whose lists are in the order of folders and not of bytes (SeaweedFS without
    versions). `tries` is how often something is asked that may pass. `public_endpoint` is where browsers reach the
    server, if that is elsewhere.
    """

    bucket: str
    endpoint: str | None = None
    public_endpoint: str | None = None
    region: str = "us-east-1"
    prefix: str = ""
    credentials_file: Path | None = None
    ca: Path | None = None
    lists_by_folder: bool = False
    tries: int = 5


def s3_client(place: S3Place, *, connections: int = 32) -> Any:
    """Return a client that sends no checksum but ours, and asks again where that is safe. For several threads."""
    config = Config(
        signature_version="s3v4",
        connect_timeout=_CONNECT_S,
        read_timeout=_READ_S,
        max_pool_connections=connections,
        retries={"max_attempts": place.tries, "mode": "standard"},
        s3={"addressing_style": "path" if place.endpoint else "auto"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    keys: dict[str, str] = {}
    if place.credentials_file is not None:
        access, secret = _credentials(place.credentials_file)
        keys = {"aws_access_key_id": access, "aws_secret_access_key": secret}
    client: Any = boto3.client(
        "s3",
        endpoint_url=place.endpoint,
        region_name=place.region,
        verify=None if place.ca is None else str(place.ca),
        config=config,
        **keys,
    )
    # What boto3 sends with can be told to keep connections alive, and not how.
    sender = URLLib3Session(
        verify=os.environ.get("AWS_CA_BUNDLE") or True if place.ca is None else str(place.ca),
        proxies=get_environ_proxies(client.meta.endpoint_url),
        timeout=(_CONNECT_S, _READ_S),
        max_pool_connections=connections,
        socket_options=list(_SOCKETS),
    )
    client.meta.events.register("before-send.s3", lambda request, **_: sender.send(request))
    closed = client.close

    def close() -> None:
        closed()
        sender.close()

    client.close = close
    return client


def access_key(place: S3Place) -> str | None:
    """Return the name of the key that a place is opened with; None where nobody gave one.

    Raises: StoreUnavailable.
    """
    if place.credentials_file is not None:
        return _credentials(place.credentials_file)[0]
    found = boto3.Session().get_credentials()
    return None if found is None else str(found.access_key)


def _credentials(file: Path) -> tuple[str, str]:
    try:
        access, secret = file.read_text("utf-8").split()
    except (OSError, ValueError) as exc:
        told = "The file with the key of the store cannot be read: access key and secret key in two lines are wanted"
        raise StoreUnavailable(told, file=str(file)) from exc
    return access, secret


@contextlib.contextmanager
def refusals(key: str) -> Iterator[None]:
    """Say what the server's refusals mean for a blob.

    Raises: BlobMissing, BlobExists, ConflictingWrite, StoreBroken for bytes that arrived as others, StoreUnavailable.
    """
    try:
        yield
    except ClientError as exc:
        code = str(exc.response.get("Error", {}).get("Code", ""))
        if code in _MISSING:
            raise BlobMissing(key=key) from exc
        if code in _TAKEN:
            raise BlobExists(key=key) from exc
        if code in _MEANWHILE:
            raise ConflictingWrite(key=key) from exc
        if code in _DIGESTS:
            raise StoreBroken("The store received other bytes than were sent", key=key) from exc
        meters().store_errors.labels("s3", code if code.isalnum() else "unknown").inc()
        raise StoreUnavailable(f"The store refuses: {code}", key=key) from exc
    except BotoCoreError as exc:
        meters().store_errors.labels("s3", type(exc).__name__).inc()
        raise StoreUnavailable(f"The store does not answer: {type(exc).__name__}", key=key) from exc
