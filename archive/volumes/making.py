"""Making the object of a closed volume: sheets are sealed, the lot is kept with its signed manifest; or read again."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.access.models import Account
from archive.cases.merges import root_of
from archive.cases.models import Act, ActOfficer, Case, Subject
from archive.kernel.canonical import canonical_json, parse_canonical
from archive.kernel.digests import DigestSet, digest_of
from archive.kernel.ids import CaseId, ObjectId, parse_uuid
from archive.kernel.instants import Instant, format_instant
from archive.ocfl.inventory import NewFile, VersionUser
from archive.ocfl.root import OcflRoot
from archive.organisation.models import Officer
from archive.ports.keys import ManifestSigner
from archive.volumes.indexing import ReadIndex, name_of
from archive.volumes.models import VolumeClosing
from archive.volumes.rules import VolumeKind, VolumeRules
from archive.volumes.sheets import SEAL_FIELD
from archive.volumes.standing import CaseFile
from signing.appearances import Appearance
from signing.document_cms import Commitment
from signing.pades import DocumentSigner, Statement

INDEX_PATH: Final = "original/index.json"
_MANIFEST: Final = "metadata/manifest.json"
_ARCHIVE: Final = "电子档案系统"
"""Who made a volume that no person closed."""
_MOST_OFFICERS: Final = 6


@dataclass(frozen=True, slots=True)
class Bound:
    """The object of a volume as it is durable: its index with digests, and the SHA-256 of each file beside it."""

    object_id: ObjectId
    index: ReadIndex
    digests: DigestSet
    name: str
    files: Mapping[str, str]
    seal_sha256: str


@dataclass(frozen=True, slots=True)
class Seal:
    """The seal of an agency: its key, its picture, its name, and the digest of its certificate."""

    signer: DocumentSigner
    picture: Appearance
    agency: str
    sha256: str

    def on_sheets(self, sheets: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """Return the sheets as files, each sealed once where its place is. Raises: what key and authority raise."""
        said = Statement(commitment=Commitment.ORIGIN, name=self.agency, appearance=self.picture, is_last=True)
        return {f"{name}.pdf": self.signer.sign(pdf, SEAL_FIELD, said) for name, pdf in sheets.items()}

    def over(self, content: bytes) -> bytes:
        """Return the seal over content in a file of its own. Raises: what key and authority raise."""
        return self.signer.sign_detached(content)


def preserve_bound(
    objects: OcflRoot,
    signer: ManifestSigner,
    index: ReadIndex,
    files: Mapping[str, bytes],
    *,
    seal_sha256: str,
    rules: VolumeRules,
    at: Instant,
) -> Bound:
    """Make a volume durable as one object: index, signatures and sheets, and a signed manifest that names them all.

    Raises: StorageFull, what the signer raises.
    """
    object_id = ObjectId(parse_uuid(index.told["object"]))
    digests, name = digest_of(index.body), name_of(index.told, rules)
    manifest = canonical_json(
        {
            "v": 1,
            "id": str(object_id),
            "name": name,
            "path": INDEX_PATH,
            "size": digests.size_bytes,
            **digests.as_json(),
            "files": {file: digest_of(data).sha256.hex for file, data in files.items()},
            "seal": seal_sha256,
            "times": {"received": format_instant(at)},
        }
    )
    objects.create_object(
        object_id,
        [
            NewFile(INDEX_PATH, index.body, digests),
            *(NewFile.of_bytes(f"original/{file}", data) for file, data in files.items()),
            NewFile.of_bytes(_MANIFEST, manifest),
            NewFile.of_bytes(f"{_MANIFEST}.p7s", signer.sign_detached(manifest)),
        ],
        message="Volume of a case file, closed",
        user=VersionUser("liuhen", "urn:liuhen:archive"),
        at=at,
    )
    return _bound(index, manifest)


def read_bound(objects: OcflRoot, object_id: ObjectId) -> Bound:
    """Return a volume that an earlier attempt has made durable. Raises: ObjectMissing, FileMissing, NotCanonical."""
    with objects.open_file(object_id, INDEX_PATH) as file:
        index = ReadIndex.of(file.read())
    with objects.open_file(object_id, _MANIFEST) as file:
        return _bound(index, file.read())


def _bound(index: ReadIndex, manifest: bytes) -> Bound:
    told = parse_canonical(manifest)
    object_id = ObjectId(parse_uuid(told["id"]))
    return Bound(object_id, index, digest_of(index.body), told["name"], told["files"], told["seal"])


def people_of(tx: Session, closing: VolumeClosing) -> Mapping[str, str]:
    """Return the names of who closes a volume (立卷人) and of who checked it (检查人)."""
    account = tx.get(Account, closing.begun_by)
    return {
        "made_by": _ARCHIVE if account is None else account.display_name,
        "checked_by": closing.inspector,
    }


def sheet_words(tx: Session, file: CaseFile, closing: VolumeClosing) -> Mapping[str, str]:
    """Return what the sheets say beside the index: subject, officers, remarks, and which of how many volumes it is."""
    subject = tx.scalar(select(Subject.name).join(Case, Subject.id == root_of(Case.subject_id)).where(
        Case.id == closing.case_id
    ))  # fmt: skip
    parts = [
        (kind, number)
        for kind, standing in file.volumes.items()
        for number in range(1, standing.sequence + bool(standing.arranged.lines))
    ]
    kind = VolumeKind(closing.kind)
    return {
        "subject": subject or "",
        "officers": "、".join(_officers(tx, CaseId(closing.case_id))),
        "remarks": closing.remarks,
        "of": str(len(parts)),
        "part": str(parts.index((kind, file.volumes[kind].sequence)) + 1),
    }


def _officers(tx: Session, case_id: CaseId) -> list[str]:
    names = tx.scalars(
        select(Officer.name)
        .join(ActOfficer, ActOfficer.officer_id == Officer.id)
        .join(Act, Act.id == ActOfficer.act_id)
        .where(Act.case_id == case_id)
        .order_by(Act.started_at, Officer.certificate_number)
    )
    return list(dict.fromkeys(names))[:_MOST_OFFICERS]
