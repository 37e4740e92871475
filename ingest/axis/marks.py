"""What the manifest marks that no look into the bytes can tell: that a clip was encrypted where it came from."""

from archive.kernel.canonical import parse_json
from archive.kernel.errors import InvalidInput
from archive.kernel.findings import Finding, invalid
from archive.kernel.ids import ObjectId
from archive.ocfl.root import OcflRoot
from archive.ports.blobs import BlobMissing
from ingest.manifest import MAX_MANIFEST_BYTES


def told_reason(objects: OcflRoot, object_id: ObjectId, reason: Finding) -> Finding:
    """Return why an item cannot be played: that it came with a key file, where it did; else the reason as it is."""
    try:
        with objects.open_file(object_id, "metadata/dock-manifest.json") as file:
            told = parse_json(file.read(MAX_MANIFEST_BYTES))
    except (BlobMissing, KeyError, InvalidInput):
        return reason
    key = (told.get("tags") or {}).get("encrypted_with") if isinstance(told, dict) else None
    if key is None:
        return reason
    return invalid("media.encrypted", f"It came encrypted; the item {key} of the same recording is its key file")
