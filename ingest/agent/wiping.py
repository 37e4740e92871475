"""Deleting from the camera what the archive holds: what has a verified receipt, after reading it once more."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from archive.kernel.digests import DigestSet, hash_stream
from ingest.agent.camera import is_in_manifest
from ingest.agent.errors import FileChanged, FileUnreadable
from ingest.agent.files import FileIdentity, require_same
from signing.keyfiles import fsync_directory


def wipe_file(path: Path, source: BinaryIO, identity: FileIdentity, *, digests: DigestSet) -> None:
    """Delete the file at `path`, which is open as `source` and whose receipt, over `digests`, was verified.

    1. The open file has not changed since it was hashed.
    2. Its bytes, read again, still have the digests of the receipt; nothing changed meanwhile.
    3. The name still leads to this very file.
    4. The name is removed, and its removal is durable on return.

    A writer that keeps the file open could still write between 2 and 4: a camera must have closed what it hands over.
    Raises: FileChanged, FileUnreadable; the file is then untouched.
    """
    require_same(source, identity)  # step 1
    try:
        source.seek(0)
        found = hash_stream(source, algorithms=digests.as_json())  # step 2
        require_same(source, identity)
        if not found.agrees_with(digests):
            raise FileChanged
        if FileIdentity.of(path.lstat()) != identity:  # step 3
            raise FileChanged
        os.unlink(path)  # step 4  # noqa: PTH108 - beside the fsync of its directory
        fsync_directory(path.parent)
    except OSError as exc:
        raise FileUnreadable("The file cannot be deleted", reason=exc.strerror) from exc


def wipe_sidecar(path: Path, *, manifests: Sequence[bytes]) -> bool:
    """Delete a sidecar when every one of these manifests, each delivered, holds it whole; return whether.

    Raises: FileUnreadable.
    """
    if not manifests or not all(is_in_manifest(path, manifest) for manifest in manifests):
        return False
    try:
        os.unlink(path)  # noqa: PTH108 - beside the fsync of its directory
        fsync_directory(path.parent)
    except OSError as exc:
        raise FileUnreadable("The sidecar cannot be deleted", reason=exc.strerror) from exc
    return True
