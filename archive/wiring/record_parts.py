"""Putting together what writes, signs and files text records."""

from archive.adapters.filesystem_store import FilesystemStore
from archive.cases.finished_records import FinishedRecords
from archive.cases.form_contexts import FormContexts
from archive.db.database import Database
from archive.documents.desk import Desk
from archive.documents.record_setting import RecordSetter
from archive.ocfl.root import OcflRoot
from archive.ports.clock import Clock
from archive.ports.keys import ManifestSigner


def finished_records(
    database: Database, store: FilesystemStore, objects: OcflRoot, signer: ManifestSigner, clock: Clock
) -> FinishedRecords:
    """Return the desk where records are set and signed, with what files them."""
    desk = Desk(database=database, store=store, setter=RecordSetter(), context=FormContexts(clock))
    return FinishedRecords(desk, objects, signer, clock)
