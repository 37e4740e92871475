"""Putting together what builds packages of cases."""

from archive.db.database import Database
from archive.documents.faces import SONG
from archive.documents.typesetting import Typesetter
from archive.ledger.anchors import Anchors
from archive.ledger.policy import WitnessPolicy
from archive.ledger.trustfile import TrustFile
from archive.ocfl.root import OcflRoot
from archive.packages.building import Packager
from archive.packages.listing import ListMaker
from archive.ports.keys import ManifestSigner
from archive.settings import Settings
from archive.trust.register import CertificateRegister
from archive.wiring.stores import Stores
from signing.renewed_signer import KeyInUse, RenewedPadesSigner
from signing.revocation import crl
from signing.tsa import EmbeddedTsa
from signing.typefaces import Typeface


def packager(
    settings: Settings,
    database: Database,
    objects: OcflRoot,
    stores: Stores,
    signer: ManifestSigner,
    key: KeyInUse,
    tsa: EmbeddedTsa,
    anchors: Anchors,
    trust: TrustFile,
    register: CertificateRegister,
    issuers: bytes,
    policy: WitnessPolicy,
) -> Packager:
    """Return what packages are made with."""
    return Packager(
        database=database,
        clock=tsa.clock,
        objects=objects,
        renditions=stores.renditions,
        signer=signer,
        chain_pem=issuers,
        trust=str(trust),
        origin=settings.origin,
        organisation=settings.organisation,
        policy=policy,
        set_list=ListMaker(Typesetter("list"), RenewedPadesSigner(key, tsa.token, Typeface(SONG))),
        timestamp=tsa.token,
        anchors=anchors.chosen_for,
        crls=lambda: {"root": crl(tsa.authority, tsa.clock, register=register)},
    )
