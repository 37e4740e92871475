"""Putting together what workers do: the handler of every kind of job, and what sends events out."""

from collections.abc import Mapping

from archive.access.integrations import sight_of_integration
from archive.adapters.http_outbound import HttpOutbound
from archive.cases.reach_jobs import ReachJobs
from archive.complaints.reaching import complaints_of_units, reach_complaints
from archive.db.database import Database
from archive.devices.reaching import devices_of_units, reach_devices
from archive.evidence.grouping import RecordingRules
from archive.notify.delivery import DeliveryJobs
from archive.notify.webhooks import Webhooks
from archive.settings import Settings
from ingest.contents import ContentJobs
from ingest.inspection import InspectionJobs
from ingest.live import LiveJobs
from ingest.proxies import ProxyJobs
from ingest.recordings import RecordingJobs
from ingest.renditions import PlayableJobs
from ingest.workshop import Handler, Workshop
from retention.disposition.reaching import lists_of_units, reach_lists
from retention.holding.reaching import holds_of_units, reach_holds
from signing.secret_file import secret_from_file


def webhooks(settings: Settings, database: Database) -> Webhooks:
    """Return what sends events to other systems; its key is made when an archive is first opened with it."""
    return Webhooks(
        database,
        HttpOutbound(networks=settings.webhook_networks, ca=settings.webhook_ca),
        key=secret_from_file(settings.home / "keys" / "webhooks.key"),
        source=f"urn:liuhen:{settings.origin}",
        sight_of=lambda tx, integration_id, at: sight_of_integration(tx, integration_id, at=at),
    )


def handlers(workshop: Workshop, settings: Settings, delivery: DeliveryJobs) -> Mapping[str, Handler]:
    """Return the handler of every kind of job."""
    recordings = RecordingJobs(workshop, RecordingRules.load(settings.home / "recording-rules.toml"))
    families = (
        *(PlayableJobs(workshop), LiveJobs(workshop), ProxyJobs(workshop), ContentJobs(workshop)),
        *(InspectionJobs(workshop, settings.find_damage), recordings, delivery),
        ReachJobs(
            workshop.database,
            workshop.clock,
            others=[
                (complaints_of_units, reach_complaints),
                (devices_of_units, reach_devices),
                (holds_of_units, reach_holds),
                (lists_of_units, reach_lists),
            ],
        ),
    )
    return {kind: handler for family in families for kind, handler in family.handlers.items()}
