"""Check 6: every log entry of the package, its place under the checkpoint, and the detail that it commits to."""

import hashlib
import re
from typing import Any, Final

from archive.kernel.canonical import canonical_json, parse_canonical
from archive.kernel.errors import InvalidInput
from archive.ledger.proof import TlogProof
from archive.ledger.tree import InclusionInvalid, leaf_hash, verify_inclusion
from archive.packages.verification.case import Case, is_count, is_hex
from archive.packages.verification.checkpoints import Head
from archive.packages.verification.findings import Findings
from archive.packages.verification.layout import MOST_DETAIL_BYTES, MOST_ENTRY_BYTES, MOST_PROOF_BYTES
from archive.packages.verification.structure import Folder

Entries = dict[int, dict[str, Any]]
"""Entries by index: only those that are proven to be in the log."""

_VERSION: Final = 1
_FILES: Final = re.compile("proofs/(?:entries/([0-9]{1,18})[.]json|([0-9]{1,18})[.]tlog-proof)")


class MalformedContent(InvalidInput):
    """The bytes are not a log entry, or not the detail of one."""

    code = "entry.malformed"


def entry_path(index: int) -> str:
    """Return where an entry stands in a package."""
    return f"proofs/entries/{index}.json"


def parse_entry(raw: bytes) -> dict[str, Any]:
    """Parse a log entry. Raises: InvalidInput. Source: docs/formats/log-entry.md."""
    entry = parse_canonical(raw)
    if not isinstance(entry, dict) or not is_count(entry.get("v")) or entry["v"] != _VERSION:
        raise MalformedContent("not an entry of version 1")
    if not isinstance(entry.get("type"), str) or not is_hex(entry.get("detail_c"), 64):
        raise MalformedContent("no type or no commitment")
    return entry


def is_about(entry: dict[str, Any], object_id: str) -> bool:
    """Return whether an entry is about an object."""
    about = entry.get("obj")
    return isinstance(about, dict) and about.get("id") == object_id


def judge_entries(folder: Folder, case: Case | None, head: Head | None, findings: Findings) -> Entries:
    """Judge every entry that the case names or that is there; return those that are proven."""
    wanted = set(() if case is None else case.entries)
    wanted.update(int(hit[1] or hit[2]) for path in folder.states if (hit := _FILES.fullmatch(path)))
    proven: Entries = {}
    for index in sorted(wanted):
        entry = _judge_entry(folder, index, head, findings)
        if entry is not None:
            proven[index] = entry
    return proven


def _judge_entry(folder: Folder, index: int, head: Head | None, findings: Findings) -> dict[str, Any] | None:
    where = entry_path(index)
    if where not in folder:
        findings.fails("package.entry_missing", where)
        return None
    try:
        raw = folder.read(where, MOST_ENTRY_BYTES)
        entry = parse_entry(raw)
    except InvalidInput as exc:
        findings.fails("entry.malformed", where, exc.message)
        return None
    is_proven = _judge_proof(folder, index, raw, head, findings)
    _judge_detail(folder, index, entry["detail_c"], findings)
    return entry if is_proven else None


def _judge_proof(folder: Folder, index: int, entry: bytes, head: Head | None, findings: Findings) -> bool:
    where = f"proofs/{index}.tlog-proof"
    if where not in folder:
        findings.fails("proof.missing", where)
        return False
    try:
        proof = TlogProof.parse(folder.read(where, MOST_PROOF_BYTES))
    except InvalidInput as exc:
        findings.fails("proof.malformed", where, exc.message)
        return False
    if head is None or proof.note.text != head.note.text:
        findings.fails("proof.checkpoint_differs", where)
        return False
    if proof.index != index:
        findings.fails("proof.inclusion_invalid", where, "another index")
        return False
    root, size = head.checkpoint.root, head.checkpoint.size
    try:
        verify_inclusion(leaf_hash(entry), index=index, size=size, proof=proof.hashes, root=root)
    except InclusionInvalid as exc:
        findings.fails("proof.inclusion_invalid", where, exc.message)
        return False
    findings.holds("proof.inclusion_valid", entry_path(index))
    return True


def _judge_detail(folder: Folder, index: int, commitment: str, findings: Findings) -> None:
    """Open the commitment, where the detail is there: a detail may have been erased, the entry holds without it."""
    where = f"proofs/details/{index}.json"
    if where not in folder:
        return
    try:
        held = parse_canonical(folder.read(where, MOST_DETAIL_BYTES))
        if not isinstance(held, dict) or held.keys() != {"detail", "salt"} or not is_hex(held["salt"], 64):
            raise MalformedContent("not a detail with its salt")
    except InvalidInput:
        findings.fails("entry.detail_differs", where)
        return
    found = hashlib.sha256(bytes.fromhex(held["salt"]) + canonical_json(held["detail"])).hexdigest()
    if found != commitment:
        findings.fails("entry.detail_differs", where)
