"""Reading a signed manifest with its renewals out of its object, and judging it."""

from archive.kernel.findings import Report
from archive.kernel.ids import ObjectId
from archive.kernel.instants import Instant
from archive.ocfl.inventory import Inventory
from archive.ocfl.root import OcflRoot
from signing.renewals import MANIFEST, SIGNATURE, Renewed, Signed, judge_signed, record_path, token_path


def read_signed(objects: OcflRoot, object_id: ObjectId, inventory: Inventory | None = None) -> Signed:
    """Return the signed manifest of an object with all its renewals, as the store has them.

    Raises: ObjectMissing, FileMissing, BlobMissing, StoreBroken, StoreUnavailable.
    """
    known = objects.read_inventory(object_id) if inventory is None else inventory
    renewals: list[Renewed] = []
    while record_path(len(renewals) + 1) in known.state:
        number = len(renewals) + 1
        record, token = _read(objects, object_id, record_path(number)), _read(objects, object_id, token_path(number))
        renewals.append(Renewed(number, record, token))
    manifest, signature = _read(objects, object_id, MANIFEST), _read(objects, object_id, SIGNATURE)
    return Signed(str(object_id), manifest, signature, renewals)


def judge_object(objects: OcflRoot, object_id: ObjectId, *, trust_roots_pem: bytes, at: Instant) -> Report:
    """Judge the signed manifest of an object as of a time. Raises: as `read_signed`."""
    return judge_signed(read_signed(objects, object_id), trust_roots_pem=trust_roots_pem, at=at, where="metadata")


def is_signed(inventory: Inventory) -> bool:
    """Return whether an object has a signed manifest."""
    return {MANIFEST, SIGNATURE} <= inventory.state.keys()


def _read(objects: OcflRoot, object_id: ObjectId, path: str) -> bytes:
    with objects.open_file(object_id, path) as source:
        return source.read()
