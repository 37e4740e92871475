"""Putting together fixity rounds: where they read, how fast, what mends, who signs the report of a month."""

from datetime import timedelta

from archive.db.database import Database
from archive.ports.clock import Clock
from archive.ports.keys import ManifestSigner
from archive.settings import Settings
from archive.wiring.stores import Stores
from ingest.pressure import is_behind
from retention.rounds.checking import Rounds
from retention.rounds.models import ORIGINALS
from retention.rounds.pacing import Throttle
from retention.rounds.places import CopySide, MendedVersions, Place, PlacesInUse
from retention.rounds.repairing import Repairs
from retention.rounds.reports import FixityReports


def mended_originals(database: Database) -> MendedVersions:
    """Return what tells which versions of originals mend others."""
    return MendedVersions(database, lambda _: ORIGINALS)


def rounds(
    settings: Settings,
    database: Database,
    stores: Stores,
    mended: MendedVersions,
    copy: CopySide,
    clock: Clock,
    trust_roots_pem: bytes,
) -> Rounds:
    """Return what re-reads everything within the period that is set, and has damage repaired."""
    originals = Place(ORIGINALS, ORIGINALS, stores.originals, stores.mender, mended)
    places = PlacesInUse(database, originals, copy)
    return Rounds(
        database=database,
        clock=clock,
        places=places,
        repairs=Repairs(database, clock, places, trust_roots_pem),
        throttle=Throttle(settings.fixity_bytes_per_s, is_pressed=lambda: is_behind(database, at=clock.now())),
        period=timedelta(days=settings.fixity_days),
    )


def reports(settings: Settings, made: Rounds, signer: ManifestSigner) -> FixityReports:
    """Return what makes the report of each month."""
    return FixityReports(made.database, made.clock, signer, settings.origin, made.places, made.period)
