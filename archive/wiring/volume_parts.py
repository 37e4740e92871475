"""Putting together what arranges, closes, checks and keeps case files."""

from collections.abc import Mapping
from dataclasses import dataclass

from archive.cases.sealing import Seals
from archive.db.database import Database
from archive.documents.long_term import LongTerm
from archive.ocfl.root import OcflRoot
from archive.ports.clock import Clock
from archive.ports.keys import ManifestSigner
from archive.settings import Settings
from archive.volumes.closing import VolumeCloser
from archive.volumes.extending import VolumeExtensions
from archive.volumes.rules import VolumeRules
from archive.volumes.sheets import SheetMaker
from ingest.workshop import Handler
from signing.authority import EmbeddedAuthority
from signing.document_keys import HeldKey
from signing.pades import DocumentSigner


@dataclass(frozen=True, slots=True)
class CaseFiles:
    """The rules of case files, what closes volumes, and what extends the records in them."""

    rules: VolumeRules
    closer: VolumeCloser
    extensions: VolumeExtensions

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The handler of each kind of job."""
        return {**self.closer.handlers, **self.extensions.handlers}


def case_files(
    settings: Settings,
    database: Database,
    objects: OcflRoot,
    signer: ManifestSigner,
    authority: EmbeddedAuthority,
    seals: Seals,
    long_term: LongTerm,
    clock: Clock,
) -> CaseFiles:
    """Return what works on case files, by the rules of the settings. Raises: VolumeRulesInvalid."""
    rules = VolumeRules.load(settings.volume_rules)
    key = HeldKey(authority.manifest_key(), authority.manifest_certificate, [authority.root])
    closer = VolumeCloser(
        database=database,
        objects=objects,
        rules=rules,
        sheets=SheetMaker.of(rules),
        signer=signer,
        index_signer=DocumentSigner(key, clock, seals.room.token),
        seals=seals,
        clock=clock,
    )
    return CaseFiles(rules, closer, VolumeExtensions(long_term))
