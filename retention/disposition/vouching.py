"""What binds each decision to the machine that asked for the password: a code under a secret that lies in the home.

Whoever can write the database can write entries too, and the sequencer takes what is written. Without this secret
nothing is destroyed by them.

Source: RFC 2104 (HMAC).
"""

import hmac
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from archive.kernel.canonical import canonical_json
from archive.kernel.instants import Instant, format_instant

CODE: Final = "vouched"
"""Name of the code in the detail of an entry."""


def vouching_key(secret: bytes) -> bytes:
    """Return the key of vouching that is derived from the secret of sign-ins."""
    return hmac.digest(secret, b"liuhen disposal v1", "sha256")


def vouch(key: bytes, kind: str, list_id: UUID, actor: str, at: Instant, detail: Mapping[str, Any]) -> dict[str, Any]:
    """Return the detail of an entry with its code: over what was decided, about which list, by whom and when."""
    return {**detail, CODE: _code(key, kind, str(list_id), actor, format_instant(at), detail)}


def is_vouched(key: bytes, fields: Mapping[str, Any], detail: Mapping[str, Any]) -> bool:
    """Return whether the code in a detail is right for the entry with these fields."""
    code, rest = detail.get(CODE), {name: value for name, value in detail.items() if name != CODE}
    told = (str(fields["type"]), str(fields["obj"]["id"]), str(fields["actor"]), str(fields["t"]))
    return isinstance(code, str) and hmac.compare_digest(code.encode(), _code(key, *told, rest).encode())


def _code(key: bytes, kind: str, list_id: str, actor: str, time: str, detail: Mapping[str, Any]) -> str:
    told = {"type": kind, "list": list_id, "actor": actor, "t": time, "detail": dict(detail)}
    return hmac.digest(key, canonical_json(told), "sha256").hex()
