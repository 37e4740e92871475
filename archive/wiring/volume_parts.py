"""Putting together what arranges, closes, checks and keeps case files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archive.cases.sealing import Seals
from archive.db.database import Database
from archive.documents.long_term import LongTerm
from archive.documents.typesetting import Typesetter
from archive.ocfl.root import OcflRoot
from archive.ports.keys import ManifestSigner
from archive.settings import Settings
from archive.trust.register import CertificateRegister
from archive.volumes.checking import LookedAt, VolumeChecker
from archive.volumes.closing import VolumeCloser
from archive.volumes.extending import VolumeExtensions
from archive.volumes.rules import VolumeRules
from archive.volumes.sheets import SheetMaker
from ingest.documents import judge_in_sandbox
from ingest.media.errors import MediaKilled, MediaTimeout, ToolMissing, Unplayable
from ingest.media.pages import attachment_count, pdf_facts
from ingest.workshop import Handler, Workshop
from retention.fixity import Fixity, check_fixity
from signing.authority import EmbeddedAuthority
from signing.pades import DocumentSigner
from signing.renewed_signer import KeyInUse, RenewedKey, RenewedPadesSigner
from signing.revocation import crl
from signing.validation.requests import ValidationRequest
from signing.validation.trust import TrustList


@dataclass(frozen=True, slots=True)
class CaseFiles:
    """The rules of case files, what closes volumes, and what extends the records in them."""

    rules: VolumeRules
    closer: VolumeCloser
    extensions: VolumeExtensions
    checker: VolumeChecker

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The handler of each kind of job."""
        return {**self.closer.handlers, **self.extensions.handlers, **self.checker.handlers}


def case_files(
    settings: Settings,
    database: Database,
    objects: OcflRoot,
    signer: ManifestSigner,
    key: KeyInUse,
    authority: EmbeddedAuthority,
    seals: Seals,
    long_term: LongTerm,
    workshop: Workshop,
) -> CaseFiles:
    """Return what works on case files, by the rules of the settings. Raises: VolumeRulesInvalid."""
    rules, clock, token = VolumeRules.load(settings.volume_rules), workshop.clock, seals.room.token
    closer = VolumeCloser(
        database=database,
        objects=objects,
        rules=rules,
        sheets=SheetMaker.of(rules),
        signer=signer,
        index_signer=DocumentSigner(RenewedKey(key, authority.root), clock, token),
        seals=seals,
        clock=clock,
    )
    pades = RenewedPadesSigner(key, token, seals.room.typeface)
    fixity = Fixity(database, objects, clock, authority.root_pem)
    checker = VolumeChecker(
        database=database,
        objects=objects,
        rules=rules,
        setter=Typesetter("volume-check"),
        signer=pades,
        clock=clock,
        fixity=lambda object_id, by: check_fixity(fixity, object_id, by=by),
        judge=_Judge(authority, CertificateRegister(database, authority.root), workshop),
        look=lambda path: _look(path, workshop),
    )
    return CaseFiles(rules, closer, VolumeExtensions(long_term), checker)


@dataclass(frozen=True, slots=True)
class _Judge:
    """Judges signatures in the sandbox by the embedded authority and its list of revoked certificates, as of now."""

    authority: EmbeddedAuthority
    register: CertificateRegister
    workshop: Workshop

    def __call__(self, path: Path, content: bytes | None) -> Mapping[str, Any]:
        clock = self.workshop.clock
        request = ValidationRequest(
            kind="pdf" if content is None else "container",
            at=clock.now(),
            trust=TrustList.embedded(self.authority.root),
            crls=[crl(self.authority, clock, register=self.register)],
            content=content,
        )
        return judge_in_sandbox(path, request, sandbox=self.workshop.toolbox().sandbox)


def _look(path: Path, workshop: Workshop) -> LookedAt:
    try:
        toolbox = workshop.toolbox()
        return LookedAt(pdf_facts(path, toolbox=toolbox).pages, attachment_count(path, toolbox=toolbox))
    except Unplayable as exc:
        return LookedAt(reason=str(exc.facts["reason"]))
    except (MediaTimeout, MediaKilled, ToolMissing):
        return LookedAt(reason="check.not_looked_at")
