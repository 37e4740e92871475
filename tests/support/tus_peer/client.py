"""`tus-js-client` (the official JavaScript client), run as a program for one upload."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tests.support.tus_peer.install import find_node, script


@dataclass(frozen=True, kw_only=True)
class JsUpload:
    """What one run of `tus-js-client` came to.

    `resumed_from` is the offset that the server told to a resuming client (None: a new upload), `requests` the methods
    and status codes in order, `status` the code of the response that ended a failed run (None: there was none).
    """

    outcome: Literal["finished", "aborted", "failed"]
    url: str | None
    size_bytes: int | None
    resumed_from: int | None
    requests: tuple[tuple[str, int], ...]
    error: str | None
    status: int | None


def js_client_upload(
    file: Path,
    *,
    endpoint: str,
    headers: Mapping[str, str] | None = None,
    metadata: Mapping[str, str] | None = None,
    chunk_size_bytes: int | None = None,
    upload_during_creation: bool = False,
    abort_after_bytes: int | None = None,
    url_storage: Path | None = None,
    upload_url: str | None = None,
    retry_delays_ms: Sequence[int] | None = None,
    ca: Path | None = None,
    timeout_s: float = 120,
) -> JsUpload:
    """Upload `file` with `tus-js-client` to the creation URL `endpoint`.

    With `abort_after_bytes` the client cuts its connection in mid-request; called again with the same `url_storage`
    file (or with `upload_url`) it resumes. `ca` is a PEM file of certificates to trust besides the usual ones.
    Raises: PeerUnavailable, subprocess.TimeoutExpired, subprocess.CalledProcessError.
    """
    request: dict[str, Any] = {
        "endpoint": endpoint,
        "file": str(file),
        "headers": dict(headers or {}),
        "metadata": dict(metadata or {}),
        "chunkSize": chunk_size_bytes,
        "uploadDataDuringCreation": upload_during_creation,
        "abortAfterBytes": abort_after_bytes,
        "urlStorage": str(url_storage) if url_storage else None,
        "uploadUrl": upload_url,
        "retryDelays": list(retry_delays_ms) if retry_delays_ms is not None else None,
    }
    environment = dict(os.environ)
    if ca is not None:
        environment["NODE_EXTRA_CA_CERTS"] = str(ca)
    done = subprocess.run(
        [find_node().executable, str(script("client.mjs")), json.dumps(request)],
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
        timeout=timeout_s,
    )
    told = json.loads(done.stdout)
    return JsUpload(
        outcome=told["outcome"],
        url=told["url"],
        size_bytes=told["size"],
        resumed_from=told["resumedFrom"],
        requests=tuple((method, status) for method, status in told["requests"]),
        error=told["error"],
        status=told["status"],
    )
