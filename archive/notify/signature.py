"""The secrets of webhooks, and the signatures made with them.

A secret is derived, so that no copy of the database holds one: HMAC-SHA256 under the archive's webhook key.
Source: Standard Webhooks 1.0.0 (symmetric signatures, `v1`).
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

from archive.kernel.ids import WebhookId
from archive.kernel.instants import Instant

_PREFIX: Final = "whsec_"


def webhook_secret(key: bytes, webhook_id: WebhookId, version: int) -> bytes:
    """Return the 32-byte secret of one version of a webhook."""
    return hmac.digest(key, f"liuhen webhook secret v1 {webhook_id} {version}".encode(), "sha256")


def shown_secret(secret: bytes) -> str:
    """Return a secret in the form that receivers are given."""
    return _PREFIX + base64.b64encode(secret).decode()


def secret_hash(secret: bytes) -> bytes:
    """Return what is kept of a secret: enough to notice that it is another one, and no more."""
    return hashlib.sha256(secret).digest()


def signed_headers(secrets: Sequence[bytes], *, message_id: str, at: Instant, body: bytes) -> dict[str, str]:
    """Return the three headers that let a receiver verify a body: id, time, and a signature under each secret."""
    timestamp = str(int(at.timestamp()))
    content = b".".join((message_id.encode(), timestamp.encode(), body))
    signatures = (base64.b64encode(hmac.digest(secret, content, "sha256")).decode() for secret in secrets)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
