"""Where an object and its parts lie: storage layout extension 0003 with its default parameters.

Source: https://ocfl.github.io/extensions/0003-hash-and-id-n-tuple-storage-layout.html
"""

import hashlib
import json
import re
import uuid
from typing import Final
from urllib.parse import unquote

from archive.kernel.ids import ObjectId

EXTENSION: Final = "0003-hash-and-id-n-tuple-storage-layout"
INVENTORY: Final = "inventory.json"
SIDECAR: Final = "inventory.json.sha512"
OBJECT_DECLARATION: Final = "0=ocfl_object_1.1"
OBJECT_DECLARATION_BYTES: Final = b"ocfl_object_1.1\n"
ROOT_SEGMENTS: Final = 4
"""How many segments of a key name its object: three tuples and the encapsulation directory."""

_TUPLE_SIZE: Final = 3
_NUMBER_OF_TUPLES: Final = 3
_VERSION: Final = re.compile(r"v([1-9][0-9]{0,8})")


def _pretty(value: object) -> bytes:
    return json.dumps(value, indent=2, sort_keys=True).encode() + b"\n"


ROOT_FILES: Final = {
    f"extensions/{EXTENSION}/config.json": _pretty(
        {
            "extensionName": EXTENSION,
            "digestAlgorithm": "sha256",
            "tupleSize": _TUPLE_SIZE,
            "numberOfTuples": _NUMBER_OF_TUPLES,
        }
    ),
    "ocfl_layout.json": _pretty(
        {
            "extension": EXTENSION,
            "description": "Hashed Truncated N-tuple Trees with Object ID Encapsulating Directory",
        }
    ),
    "0=ocfl_1.1": b"ocfl_1.1\n",
}
"""The files of the storage root itself, in the order of writing: the declaration comes last."""


def object_urn(object_id: ObjectId) -> str:
    """Return the id as OCFL and the inventories know it."""
    return f"urn:uuid:{object_id}"


def object_root(object_id: ObjectId) -> str:
    """Return the key of the object's root directory.

    Source: extension 0003, steps 1 to 6; a UUID URN stays far under its limit of 100 characters.
    """
    urn = object_urn(object_id)
    digest = hashlib.sha256(urn.encode()).hexdigest()
    tuples = [digest[start : start + _TUPLE_SIZE] for start in range(0, _TUPLE_SIZE * _NUMBER_OF_TUPLES, _TUPLE_SIZE)]
    return "/".join([*tuples, urn.replace(":", "%3a")])


def first_content_key(object_id: ObjectId, logical_path: str) -> str:
    """Return the key that a file of an object's first version has."""
    return f"{object_root(object_id)}/v1/content/{logical_path}"


def object_id_at(root: str) -> ObjectId | None:
    """Return the id of the object whose root directory this is; None where no object of ours can lie."""
    try:
        value = uuid.UUID(unquote(root.rsplit("/", 1)[-1]))
    except ValueError:
        return None
    found = ObjectId(value)
    return found if object_root(found) == root else None


def root_of(key: str) -> str:
    """Return the root directory of the object that a key lies in; for other keys the folder that they lie in."""
    segments = key.split("/")
    return "/".join(segments[: min(ROOT_SEGMENTS, len(segments) - 1)])


def version_number(segment: str) -> int | None:
    """Return the number of a version folder (`v3`: 3), None for another name."""
    match = _VERSION.fullmatch(segment)
    return int(match[1]) if match else None


def sidecar_bytes(inventory: bytes) -> bytes:
    """Return what the sidecar of an inventory says."""
    return f"{hashlib.sha512(inventory).hexdigest()} {INVENTORY}\n".encode()


def is_root_inventory(key: str) -> bool:
    """Return whether this is a root inventory or its sidecar: the only keys that are ever replaced."""
    segments = key.split("/")
    return len(segments) == ROOT_SEGMENTS + 1 and segments[-1] in {INVENTORY, SIDECAR}
