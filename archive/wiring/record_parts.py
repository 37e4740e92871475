"""Putting together what writes, signs, seals and files text records."""

import functools

from archive.cases.finished_records import FinishedRecords
from archive.cases.form_contexts import FormContexts
from archive.cases.sealing import Seals
from archive.db.database import Database
from archive.documents.desk import Desk
from archive.documents.faces import SONG
from archive.documents.issuing import Issuer
from archive.documents.long_term import LongTerm
from archive.documents.record_setting import RecordSetter
from archive.documents.renewing import Renewals
from archive.documents.signers import SigningRoom
from archive.ocfl.root import OcflRoot
from archive.ports.blobs import BlobStore
from archive.ports.clock import Clock
from archive.ports.keys import ManifestSigner, SecondSigner
from archive.trust.register import CertificateRegister
from archive.wiring.key_parts import CaptureKey, SealKeys
from archive.wiring.renewal_parts import record_told
from archive.wiring.validation_parts import validation_of
from signing.authority import EmbeddedAuthority
from signing.pades import Token
from signing.typefaces import Typeface


def finished_records(
    database: Database,
    store: BlobStore,
    objects: OcflRoot,
    signer: ManifestSigner,
    clock: Clock,
    *,
    second: SecondSigner | None = None,
) -> FinishedRecords:
    """Return the desk where records are set and signed, with what files them."""
    desk = Desk(database=database, store=store, setter=RecordSetter(), context=FormContexts(clock))
    return FinishedRecords(desk, objects, signer, clock, second)


def renewals(
    database: Database, objects: OcflRoot, token: Token, authority: EmbeddedAuthority, clock: Clock
) -> Renewals:
    """Return what extends records for the long term, and renews them in time."""
    register = CertificateRegister(database, authority.root)
    long_term = LongTerm(database, objects, token, validation_of(authority, register, clock), clock)
    return Renewals(long_term, functools.partial(record_told, database, clock))


def seals(desk: Desk, issuer: Issuer, token: Token, clock: Clock) -> Seals:
    """Return the room where officers and parties sign, with the seals of the agencies."""
    authority = issuer.authority
    capture = CaptureKey(authority, desk.database, clock, issuer.addresses)
    room = SigningRoom(desk, clock, token, Typeface(SONG), capture)
    return Seals(room, SealKeys(authority, issuer.tokens))
