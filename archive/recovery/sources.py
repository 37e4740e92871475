"""What rows come back from beside the log: the stores, and rules and keys that some columns follow from."""

import hashlib
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from archive.complaints.rules import ComplaintRules
from archive.evidence.grouping import RecordingRules
from archive.kernel.canonical import parse_canonical
from archive.kernel.errors import InvalidInput, NotFound
from archive.kernel.findings import Finding, indeterminate, invalid
from archive.kernel.ids import ObjectId
from archive.ocfl.errors import BrokenInventory
from archive.ocfl.root import OcflRoot
from archive.ports.blobs import BlobMissing, BlobStore
from ingest.workshop import found_key
from retention.holding.rules import HoldRules
from signing.sealed_words import WordSeal, WordsUnreadable

_MOST_BYTES: Final = 64 * 1024 * 1024
_MOST_FINDINGS: Final = 1000


@dataclass(slots=True)
class Sources:
    """The stores as they are left, put together by wiring. Collects what could not be read.

    `webhook_hash` returns what is kept of the secret of a webhook's version.
    """

    objects: OcflRoot
    renditions: BlobStore
    quarantine: BlobStore
    drafts: BlobStore
    complaint_rules: ComplaintRules
    recording_rules: RecordingRules
    hold_rules: HoldRules
    webhook_hash: Callable[[UUID, int], bytes]
    words: WordSeal
    destroyed: AbstractSet[UUID] = frozenset()
    """Objects that the log says were destroyed, or were being: nothing of their content is looked for."""
    findings: list[Finding] = field(default_factory=list)
    hidden: int = 0
    """How many findings there were beyond those that are kept."""

    def unsealed(self, sealed: str, bound_to: str) -> str:
        """Return words that a detail holds sealed; where they do not open nothing is left of them, which is told."""
        try:
            return self.words.unseal(sealed, bound_to=bound_to)
        except WordsUnreadable:
            told = "Words do not open: the key of words (keys/words.key) is another one, or is lost"
            self.tell(invalid("recovery.words_unreadable", told, bound_to))
            return ""

    def tell(self, finding: Finding) -> None:
        """Keep a finding; of very many only that there were more."""
        if len(self.findings) < _MOST_FINDINGS:
            self.findings.append(finding)
        else:
            self.hidden += 1

    def object_file(self, object_id: UUID, path: str, *, sha256: str | None = None) -> bytes | None:
        """Return a small file of an object; None where it is not there or is another, which is told."""
        where = f"{object_id} {path}"
        if object_id in self.destroyed:
            return None
        try:
            with self.objects.open_file(ObjectId(object_id), path) as file:
                data = file.read(_MOST_BYTES)
        except (NotFound, BlobMissing, BrokenInventory):
            self.tell(invalid("recovery.object_missing", "The store does not hold what the log tells of", where))
            return None
        if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
            self.tell(invalid("recovery.object_changed", "The store holds other bytes than the log tells of", where))
            return None
        return data

    def found(self, object_id: UUID, look: str, sha256: Any) -> Any:
        """Return what lies of a look beside the renditions; None where it is not there any more, which is told."""
        if object_id in self.destroyed:
            return None
        key = found_key(ObjectId(object_id), look, str(sha256))
        data = self.blob(self.renditions, key, sha256=str(sha256))
        if data is None:
            return None
        try:
            return parse_canonical(data)
        except InvalidInput:
            return None

    def blob(self, store: BlobStore, key: str, *, sha256: str | None = None) -> bytes | None:
        """Return a blob that can be made again or is kept aside; None where it is not there or is another: told."""
        try:
            with store.open(key) as file:
                data = file.read(_MOST_BYTES)
        except BlobMissing:
            data = None
        if data is None or (sha256 is not None and hashlib.sha256(data).hexdigest() != sha256):
            self.tell(indeterminate("recovery.derived_missing", "What the log tells of is not in its store", key))
            return None
        return data
