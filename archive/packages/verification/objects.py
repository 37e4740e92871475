"""Check 5: of every object, the list of the case, the manifests, the log and the file say the same."""

from collections.abc import Mapping
from typing import Final

from archive.kernel.digests import DigestSet
from archive.ledger.note import encode_base64
from archive.packages.verification.case import Case, FileLine
from archive.packages.verification.checkpoints import Head
from archive.packages.verification.findings import Findings
from archive.packages.verification.layout import CASE, is_bad_path
from archive.packages.verification.manifests import Listed
from archive.packages.verification.proofs import Entries, is_about

_FOLDERS: Final = {"item": "evidence", "record": "records"}
_PRESERVED_BY: Final = {"item": "object.preserved", "record": "record.filed"}


def judge_objects(
    case: Case,
    head: Head | None,
    entries: Entries,
    listed: Listed,
    digests: Mapping[str, DigestSet],
    findings: Findings,
) -> None:
    """Hold the list of the case against all the others."""
    if not _is_of(case, head):
        findings.fails("package.object_differs", CASE, "another checkpoint")
    if any(not set(each.entries) <= set(case.entries) for each in case.objects):
        findings.fails("package.object_differs", CASE, "an entry of an object is not among all")
    for each in case.objects:
        difference = (
            _place_differs(each) or _file_differs(each, listed, digests.get(each.path)) or _entry_differs(each, entries)
        )
        if difference:
            findings.fails("package.object_differs", each.path, difference)
        else:
            findings.holds("package.object_valid", each.path)
    for each in case.renditions:
        if difference := _file_differs(each, listed, digests.get(each.path)):
            findings.fails("package.object_differs", each.path, difference)


def _is_of(case: Case, head: Head | None) -> bool:
    if head is None:
        return False
    checkpoint = head.checkpoint
    roots = {checkpoint.root.hex(), encode_base64(checkpoint.root)}
    return (case.size, case.origin) == (checkpoint.size, checkpoint.origin) and case.root in roots


def _place_differs(line: FileLine) -> str:
    is_in_place = line.path.startswith(f"data/{_FOLDERS[line.kind]}/{line.object_id}/")
    return "" if is_in_place else "the path is not the object's"


def _file_differs(line: FileLine, listed: Listed, found: DigestSet | None) -> str:
    if found is None or is_bad_path(line.path):
        return "the file is not there"
    if line.size != found.size_bytes:
        return "size"
    for name, told in line.digests.items():
        if name not in {"sha256", "sha512"}:
            continue
        if told != found.as_json()[name]:
            return name
        table = listed[f"manifest-{name}.txt"]
        if table is not None and table.get(line.path) != told:
            return f"manifest-{name}.txt"
    return ""


def _entry_differs(line: FileLine, entries: Entries) -> str:
    known = (entries.get(index, {}) for index in line.entries)
    wanted = _PRESERVED_BY[line.kind]
    about = [each for each in known if each.get("type") == wanted and is_about(each, line.object_id)]
    if len(about) != 1:
        return f"{len(about)} entries say that it was preserved"
    stated, size = about[0].get("dig"), about[0].get("size")
    if not isinstance(stated, dict) or type(size) is not int or size != line.size:
        return "the log entry"
    is_same = all(stated.get(name) == line.digests[name] for name in ("sha256", "sha512"))
    has_sm3 = "sm3" in line.digests and "sm3" in stated
    return "" if is_same and (not has_sm3 or line.digests["sm3"] == stated["sm3"]) else "the log entry"
