"""The archive's own door for browsers: a person declares a file's digests, the archive signs that they were declared.

What comes back goes into the upload's metadata (`archive.web.api.uploads`).
"""

import base64
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from archive.cases.filing import CaseNotFound, case_by_number
from archive.evidence.terms import SourceKind
from archive.kernel.digests import DigestSet
from archive.kernel.instants import parse_instant
from archive.web.dependencies import ServicesDep
from archive.web.limits import Cost, by_account
from archive.web.pages.guards import Uploader
from ingest.doors import declared_manifest
from ingest.uploads import require_acceptable_size

router = APIRouter(prefix="/api/v1/door", include_in_schema=False)


class Declaration(BaseModel):
    """What a browser says of a file that it has hashed."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=1024)]
    size: Annotated[int, Field(ge=0, lt=1 << 53)]
    digests: dict[str, str]
    modified: Annotated[str | None, Field(max_length=40)] = None
    case: Annotated[str | None, Field(max_length=100)] = None
    source: SourceKind | None = None
    note: Annotated[str | None, Field(max_length=300)] = None


class SignedManifest(BaseModel):
    """The manifest as text and the door's signature over its UTF-8 bytes, in Base64."""

    manifest: str
    signature: str


@router.post("/manifests", dependencies=[by_account(Cost.UPLOADS)])
def manifest_posted(body: Declaration, caller: Uploader, services: ServicesDep) -> SignedManifest:
    """Sign for what this person declares; nothing is stored before the upload begins."""
    require_acceptable_size(services.intake, body.size)
    if body.case is not None:
        with services.database.read() as tx:
            if case_by_number(tx, body.case) is None:
                raise CaseNotFound
    door = services.doors.browser()
    manifest, signature = declared_manifest(
        door,
        by=caller,
        name=body.name,
        digests=DigestSet.from_json(body.size, body.digests),
        modified_at=None if body.modified is None else parse_instant(body.modified),
        case_number=body.case,
        source=body.source,
        note=body.note,
        at=services.clock.now(),
    )
    return SignedManifest(manifest=manifest.decode(), signature=base64.b64encode(signature).decode())
