"""Building the package of a case: granted and written down first, then copied byte by byte against the digests.

Nothing stands at the place of the package before all of it is durable.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.access.policy import Capability, require
from archive.cases.models import Case, CaseLink
from archive.custody.accesses import record_access
from archive.custody.events import record_event
from archive.custody.models import PreservedObject
from archive.db.database import Database
from archive.kernel.canonical import canonical_json
from archive.kernel.errors import Conflict, LiuhenError, NotFound
from archive.kernel.findings import Finding, invalid
from archive.kernel.ids import CaseId, EntryId, ObjectId, new_uuid7
from archive.kernel.instants import Instant
from archive.kernel.texts import clean_text
from archive.ledger.anchors import Anchor
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from archive.ledger.policy import NO_WITNESSES, WitnessPolicy
from archive.ocfl.inventory import Inventory
from archive.ocfl.root import OcflRoot
from archive.packages.bag import Bag, OnBytes, ReportProgress, new_bag, package_paths
from archive.packages.describing import Issue, Placed, case_document, metadata_document, premis_document
from archive.packages.gathering import GatheredCase, GatheredObject, gather_case
from archive.packages.guide import verify_txt
from archive.packages.verifier import verify_html, verify_py
from archive.packages.zipping import Member
from archive.ports.blobs import BlobStore
from archive.ports.clock import Clock
from archive.ports.keys import ManifestSigner

_FOLDERS: Final = {"item": "data/evidence", "record": "data/records"}
_EXTENSION: Final = re.compile(r"\.[A-Za-z0-9]{1,8}\Z")
MAX_PURPOSE_CHARACTERS: Final = 500


class BytesDiffer(LiuhenError):
    """The store does not hold the bytes that were preserved: nothing was exported; run `liuhen fsck`."""

    code = "package.bytes_differ"
    exit_code = 65

    def __init__(self, finding: Finding | None = None) -> None:
        """Keep what was found."""
        self.finding = finding
        super().__init__(*([] if finding is None else [finding.message]), where=finding.where if finding else "")


class CaseGrew(Conflict):
    """Something was filed under the case after the export was granted; ask for the package again."""

    code = "package.case_grew"


class CaseMissing(NotFound):
    """There is no such case, or it is not yours to see."""

    code = "package.case_missing"


@dataclass(frozen=True, slots=True)
class Packager:
    """What packages are made with, put together by wiring.

    `set_list` sets data/list.pdf from the bytes of data/case.json and signs it; `timestamp` returns an RFC 3161 token
    over a SHA-256; `anchors` the anchors that matter to entries (by index) under a checkpoint of a size; `crls` the
    revocation lists (DER) by name. Where one is None the package lacks what it would make.
    `policy` says which checkpoints count.
    """

    database: Database
    clock: Clock
    objects: OcflRoot
    renditions: BlobStore
    signer: ManifestSigner
    chain_pem: bytes
    trust: str
    origin: str
    organisation: str
    set_list: Callable[[bytes], bytes] | None = None
    timestamp: Callable[[bytes], bytes] | None = None
    anchors: Callable[[Sequence[int], int], Sequence[Anchor]] | None = None
    crls: Callable[[], Mapping[str, bytes]] | None = None
    policy: WitnessPolicy = NO_WITNESSES


@dataclass(frozen=True, slots=True)
class Package:
    """A package that was made. Units: bytes of everything under data/. `files` are all files, for a ZIP."""

    id: UUID
    folder: Path
    object_count: int
    payload_bytes: int
    checkpoint_size: int
    tag_manifest_sha256: str
    files: Sequence[Member]


def grant_package(packager: Packager, case_id: CaseId, *, by: Actor, purpose: str, with_renditions: bool) -> UUID:
    """Write down that a copy of a case is taken away; return the id of the package to come.

    One entry for the case and one for each object, with its custody event, in one transaction. Whether the person may
    is asked by the entry point: `grant_package_to`.
    Raises: InvalidInput without a purpose, CaseMissing.
    """
    granted = NewPackage(new_uuid7(), case_id, by, purpose, with_renditions)
    with packager.database.begin() as tx:
        write_grant(tx, granted, at=packager.clock.now())
    return granted.id


@dataclass(frozen=True, slots=True)
class NewPackage:
    """What is asked for."""

    id: UUID
    case_id: CaseId
    by: Actor
    purpose: str
    with_renditions: bool


def write_grant(tx: Session, new: NewPackage, *, at: Instant) -> EntryId:
    """Write the entries of a grant in the caller's transaction; return the id of the case's. As `grant_package`."""
    purpose = clean_text(new.purpose, "purpose", MAX_PURPOSE_CHARACTERS)
    detail = {"purpose": purpose, "package": str(new.id), "renditions": new.with_renditions}
    if tx.get(Case, new.case_id) is None:
        raise CaseMissing
    rows = tx.scalars(
        select(PreservedObject)
        .join(CaseLink, CaseLink.object_id == PreservedObject.id)
        .where(CaseLink.case_id == new.case_id, PreservedObject.destroyed_at.is_(None))
        .order_by(PreservedObject.id)
    ).all()
    entry = NewEntry(EntryType.ACCESS_EXPORT, new.by, Target("case", new.case_id), case=new.case_id)
    entry_id = record_access(tx, replace(entry, detail={**detail, "objects": len(rows)}), at=at)
    for row in rows:
        about = replace(entry, target=Target(row.kind, row.id), detail=detail)
        record_event(tx, ObjectId(row.id), about, at=at)
    return entry_id


def grant_package_to(packager: Packager, case_id: CaseId, *, by: Caller, purpose: str, with_renditions: bool) -> UUID:
    """Write down that a person takes a copy of a case away, if the person may.

    Raises: Forbidden; as `grant_package`.
    """
    require(by.roles, Capability.EXPORT_CONTENT)
    return grant_package(packager, case_id, by=by.actor, purpose=purpose, with_renditions=with_renditions)


def build_package(
    packager: Packager,
    case_id: CaseId,
    out: Path,
    *,
    with_renditions: bool,
    by: Actor,
    purpose: str,
    report: ReportProgress = lambda _: None,
) -> Package:
    """Grant the export of a case, then write its package to `out`.

    Raises: as `grant_package` and `write_package`.
    """
    package_id = grant_package(packager, case_id, by=by, purpose=purpose, with_renditions=with_renditions)
    return write_package(
        packager, case_id, out, package_id=package_id, by=by, with_renditions=with_renditions, report=report
    )


def write_package(
    packager: Packager,
    case_id: CaseId,
    out: Path,
    *,
    package_id: UUID,
    by: Actor,
    with_renditions: bool,
    granted: AbstractSet[UUID] | None = None,
    report: ReportProgress = lambda _: None,
) -> Package:
    """Write the package of a case whose export was granted; `out` appears whole and durable, or not at all.

    `granted` are the objects whose export was granted, None where that is all that the case holds.

    Units: memory does not grow with the size of files; the descriptions of all objects and entries are held.
    Raises: BytesDiffer when the store's bytes are not those preserved; NotCoveredYet; CaseGrew; PackageExists,
    PackageBusy.
    """
    with packager.database.snapshot() as tx:
        gathered = gather_case(tx, case_id, policy=packager.policy)
        tx.expunge_all()
    if granted is not None and not {found.row.id for found in gathered.objects} <= granted:
        raise CaseGrew
    issue = Issue(package_id, packager.clock.now(), by.id, packager.origin, packager.organisation)
    with new_bag(out) as bag:
        paths, renditions = _copy_content(packager, bag, gathered, report, with_renditions=with_renditions)
        case_json = case_document(gathered, issue, paths, renditions)
        bag.add("data/case.json", case_json)
        if packager.set_list is not None:
            bag.add("data/list.pdf", packager.set_list(case_json))
        bag.add("data/events/premis.xml", premis_document(gathered, paths))
        for found in gathered.objects:
            bag.add(f"data/metadata/{found.row.id}.xml", metadata_document(gathered, found, packager.organisation))
        _add_proofs(bag, gathered)
        _add_anchors(packager, bag, gathered)
        bag.add("proofs/trust.txt", packager.trust.encode())
        bag.add("certs/chain.pem", packager.chain_pem)
        if packager.crls is not None:
            for name, revoked in packager.crls().items():
                bag.add(f"crls/{name}.crl", revoked)
        bag.add("VERIFY.txt", verify_txt(bag.written, is_timestamped=packager.timestamp is not None))
        bag.add("verify.py", verify_py())
        bag.add("verify.html", verify_html())
        manifests = bag.finish(_info(gathered, issue))
        _sign(packager, bag, manifests)
        payload = sum(digests.size_bytes for path, digests in bag.written.items() if path.startswith("data/"))
    return Package(
        package_id,
        out,
        len(gathered.objects),
        payload,
        gathered.checkpoint.size,
        bag.written["tagmanifest-sha256.txt"].sha256.hex,
        [Member(path, digests.size_bytes, bag.crc32[path]) for path, digests in bag.written.items()],
    )


def _copy_content(
    packager: Packager, bag: Bag, gathered: GatheredCase, report: ReportProgress, *, with_renditions: bool
) -> tuple[Mapping[UUID, str], list[Placed]]:
    total = sum(found.row.size_bytes for found in gathered.objects)
    if with_renditions:
        total += sum(each.size_bytes for found in gathered.objects for each in found.renditions)
    on_bytes = OnBytes(total, report)
    paths = {found.row.id: _copy_object(packager.objects, bag, found, on_bytes) for found in gathered.objects}
    renditions = []
    for found in gathered.objects if with_renditions else ():
        for each in found.renditions:
            extension = _EXTENSION.search(each.key)
            path = f"data/renditions/{found.row.id}/{each.kind}{extension.group() if extension else '.bin'}"
            with packager.renditions.open(each.key) as source:
                made = bag.add_stream(path, source, on_bytes=on_bytes)
            if made.sha256.hex != each.sha256:
                raise _differs(path)
            renditions.append(Placed(found.row.id, each.kind, path, each.size_bytes, each.sha256, each.recipe))
    return paths, renditions


def _copy_object(objects: OcflRoot, bag: Bag, found: GatheredObject, on_bytes: OnBytes) -> str:
    """Copy an object's files and return the path of its original. Raises: BytesDiffer."""
    object_id = ObjectId(found.row.id)
    inventory = objects.read_inventory(object_id)
    paths = package_paths(f"{_FOLDERS[found.row.kind]}/{object_id}", list(inventory.state))
    if found.row.content_path not in paths:
        raise _differs(f"{object_id}/{found.row.content_path}")
    for logical, path in paths.items():
        with objects.open_file(object_id, logical) as source:
            _copy_file(bag, path, source, inventory, logical, found, on_bytes)
    return paths[found.row.content_path]


def _copy_file(
    bag: Bag,
    path: str,
    source: BinaryIO,
    inventory: Inventory,
    logical: str,
    found: GatheredObject,
    on_bytes: OnBytes,
) -> None:
    row = found.row
    is_original = logical == row.content_path
    algorithms = ("sha256", "sha512", "sm3") if is_original and row.sm3 else ("sha256", "sha512")
    made = bag.add_stream(path, source, algorithms=algorithms, on_bytes=on_bytes if is_original else None)
    is_same = made.sha512.hex == inventory.state[logical]
    if is_original:
        known = {"sha256": row.sha256, "sha512": row.sha512, **({"sm3": row.sm3} if row.sm3 else {})}
        is_same = is_same and made.size_bytes == row.size_bytes and made.as_json() == known
    if not is_same:
        raise _differs(path)


def _differs(where: str) -> BytesDiffer:
    return BytesDiffer(invalid("package.bytes_differ", "The store's bytes are not those that were preserved", where))


def _add_proofs(bag: Bag, gathered: GatheredCase) -> None:
    bag.add("proofs/checkpoint", gathered.note)
    for entry in gathered.entries:
        bag.add(f"proofs/entries/{entry.index}.json", entry.body)
        bag.add(f"proofs/{entry.index}.tlog-proof", str(entry.proof).encode())
        if entry.detail is not None and entry.salt is not None:  # else it was erased
            opened = b'{"detail":' + entry.detail + b',"salt":' + canonical_json(entry.salt.hex()) + b"}"
            bag.add(f"proofs/details/{entry.index}.json", opened)


def _add_anchors(packager: Packager, bag: Bag, gathered: GatheredCase) -> None:
    if packager.anchors is None:
        return
    for anchor in packager.anchors([entry.index for entry in gathered.entries], gathered.checkpoint.size):
        bag.add(f"proofs/anchors/{anchor.size}.ckpt", anchor.checkpoint)
        bag.add(f"proofs/anchors/{anchor.size}.tsr", anchor.token)


def _info(gathered: GatheredCase, issue: Issue) -> dict[str, str]:
    return {
        "Source-Organization": issue.organisation,
        "External-Identifier": f"urn:uuid:{issue.package_id}",
        "External-Description": f"Case {gathered.case.number}",
        "Bagging-Date": issue.made.date().isoformat(),
        "Bag-Software-Agent": "Liuhen",
        "Liuhen-Package-Version": "1",
        "Liuhen-Checkpoint": f"{issue.origin} {gathered.checkpoint.size}",
    }


def _sign(packager: Packager, bag: Bag, manifests: Mapping[str, bytes]) -> None:
    for name, data in manifests.items():
        signature = packager.signer.sign_detached(data)
        made = bag.add(f"sig/{name}.p7s", signature)
        if packager.timestamp is not None:
            bag.add(f"sig/{name}.p7s.tsr", packager.timestamp(made.sha256.value))
