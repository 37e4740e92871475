"""What Prometheus reads: the counts of all processes, and what database, log and disks tell when they are asked.

For whoever has the token of `metrics_token_file`; without that setting there is nothing at this address.
"""

import functools
import hmac
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import structlog
from fastapi import APIRouter, FastAPI, Request, Response
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy import func, select
from sqlalchemy.pool import QueuePool

from archive.access.api_keys import KeyRefused
from archive.jobs.listings import counts_by_queue, queue_standings
from archive.kernel.errors import LiuhenError, NotFound
from archive.kernel.findings import Outcome
from archive.meters import counted
from archive.settings import SettingsInvalid
from archive.web.asking import Asked
from archive.web.dependencies import OriginDep
from archive.web.limits import Cost, limits_of
from archive.wiring import Services
from archive.wiring.stores import folder_of
from ingest.models import QuarantineItem, Upload
from signing.keyfiles import read_secret

router = APIRouter(include_in_schema=False)

_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
_KEPT_S: Final = 5.0
_MOST_WAIT_S: Final = 3.0
_LEAST_TOKEN: Final = 16
_OPEN_STATES: Final = ("receiving", "complete")
_log = structlog.get_logger("liuhen.metrics")


@router.get("/metrics")
def metrics(request: Request, origin: OriginDep) -> Response:
    """Return everything in the text format of Prometheus. Raises: NotFound, KeyRefused, TooManyRequests."""
    teller: Teller | None = request.app.state.teller
    if teller is None:
        raise NotFound("There is nothing at this address")
    if not teller.opens(request.headers.get("authorization", "")):
        limits_of(request).take(Cost.STRANGERS, origin.network)
        raise KeyRefused
    return Response(counted(teller.registry()), media_type=_TEXT, headers={"Cache-Control": "no-store"})


def install_metrics(app: FastAPI, services: Services) -> None:
    """Add the address to the application.

    Raises: SettingsInvalid for a token that is too short; KeyMissing, KeyExposed for its file.
    """
    path = services.settings.metrics_token_file
    app.state.teller = None if path is None else Teller(services, read_secret(path).strip())
    app.include_router(router)


class Teller:
    """Asks what no process counts: each source once in some seconds, and for no longer than some seconds."""

    def __init__(self, services: Services, token: bytes) -> None:
        """Tell of these services to whoever has the token. Raises: SettingsInvalid."""
        if len(token) < _LEAST_TOKEN:
            raise SettingsInvalid(f"The token in metrics_token_file has fewer than {_LEAST_TOKEN} characters")
        self._token = b"Bearer " + token
        self._sources = {
            name: Asked(functools.partial(ask, services), kept_s=_KEPT_S, wait_s=_MOST_WAIT_S)
            for name, ask in (("database", _of_database), ("log", _of_log), ("disk", _of_disks))
        }

    def opens(self, authorization: str) -> bool:
        """Return whether a header shows the token."""
        return hmac.compare_digest(authorization.encode("utf-8", "replace"), self._token)

    def registry(self) -> CollectorRegistry:
        """Return what collects from every source."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return registry

    def collect(self) -> Iterator[Metric]:
        """Yield what the sources tell, and which of them did."""
        answers = {name: _told(name, source) for name, source in self._sources.items()}
        for answer in answers.values():
            yield from answer or ()
        yield _gauge("source_up", "Whether this source could be asked just now.", ("source",), *(
            ((name,), float(answer is not None)) for name, answer in answers.items()
        ))  # fmt: skip


def _told(name: str, source: Asked[list[Metric]]) -> list[Metric] | None:
    try:
        return source.told()
    except (LiuhenError, OSError) as error:
        _log.warning("metrics_source_failed", source=name, error=getattr(error, "code", type(error).__name__))
        return None


def _of_database(services: Services) -> list[Metric]:
    database = services.database
    at = services.clock.now()
    with database.read() as tx:
        open_states = select(Upload.state, func.count(), func.sum(Upload.size_bytes - Upload.offset_bytes))
        uploads = {
            state: (count, int(missing or 0))
            for state, count, missing in tx.execute(
                open_states.where(Upload.state.in_(_OPEN_STATES)).group_by(Upload.state)
            )
        }
        quarantined = tx.scalar(select(func.count()).select_from(QuarantineItem)) or 0
        jobs, standings = counts_by_queue(tx), queue_standings(tx, at=at)
    told = [
        _gauge("uploads", "Uploads that have not ended: bytes come in, or they wait to be taken in.", ("state",), *(
            ((state,), uploads.get(state, (0, 0))[0]) for state in _OPEN_STATES
        )),
        _gauge("uploads_missing_bytes", "Bytes that the uploads under way still miss.", (), (
            (), uploads.get("receiving", (0, 0))[1]
        )),
        _gauge("quarantined_uploads", "Uploads in quarantine.", (), ((), quarantined)),
        _gauge("jobs", "Jobs that are not done.", ("queue", "state"), *jobs.items()),
        _gauge("jobs_oldest_due_seconds", "For how long the oldest job that is due has waited.", ("queue",), *(
            ((queue,), standing.oldest_age_s(at)) for queue, standing in standings.items()
        )),
    ]  # fmt: skip
    pool = database.engine.pool
    if isinstance(pool, QueuePool):
        told.append(
            _gauge("database_connections", "Connections of the web process that was asked.", ("state",),
                   (("in_use",), pool.checkedout()), (("idle",), pool.checkedin()))
        )  # fmt: skip
    return told


def _of_log(services: Services) -> list[Metric]:
    health, now = services.log_health(), services.clock.now()
    told = [
        _gauge("log_size_entries", "Entries that the newest checkpoint covers.", (), ((), health.size)),
        _gauge("log_pending_entries", "Entries that no checkpoint covers yet.", (), ((), health.pending)),
        _gauge("log_oldest_pending_seconds", "For how long the oldest of them has waited.", (), (
            (), health.oldest_pending_s or 0
        )),
        _gauge("log_published_entries", "Entries that the published checkpoint covers.", (), (
            (), health.published_size or 0
        )),
        _gauge("log_health", "1 for the outcome of the last look at the log.", ("outcome",), *(
            ((outcome.value,), float(health.report.outcome is outcome)) for outcome in Outcome
        )),
        _gauge("witness_behind_entries", "Entries that a witness has not cosigned yet.", ("witness",), *(
            ((witness.name,), witness.behind) for witness in health.witnesses
        )),
        _gauge("witness_up", "Whether the last answer of a witness was a cosignature.", ("witness",), *(
            ((witness.name,), float(witness.fault is None)) for witness in health.witnesses
        )),
    ]  # fmt: skip
    if health.issued_at is not None:
        age = max((now - health.issued_at).total_seconds(), 0.0)
        told.append(_gauge("log_checkpoint_age_seconds", "Since the newest checkpoint was signed.", (), ((), age)))
    anchors = health.anchors
    if anchors is not None:
        told.append(_gauge("anchors", "Anchors of the log by outside time.", (), ((), anchors.anchors)))
        told.append(_gauge("anchor_behind_entries", "Entries that no anchor covers yet.", (), ((), anchors.behind)))
        up = float(anchors.fault is None)
        told.append(_gauge("anchor_up", "Whether the last attempt to anchor went well.", (), ((), up)))
        if anchors.at is not None:
            age = max((now - anchors.at).total_seconds(), 0.0)
            told.append(_gauge("anchor_age_seconds", "Since the newest anchor's time.", (), ((), age)))
    return told


def _of_disks(services: Services) -> list[Metric]:
    room = {name: shutil.disk_usage(path) for name, path in disk_places(services).items()}
    return [
        _gauge("disk_free_bytes", "Room on the disk of a place.", ("place",), *(
            ((name,), usage.free) for name, usage in room.items()
        )),
        _gauge("disk_size_bytes", "Size of the disk of a place.", ("place",), *(
            ((name,), usage.total) for name, usage in room.items()
        )),
        _gauge("disk_reserve_bytes", "Room below which no upload starts or goes on.", (), (
            (), services.settings.reserve_bytes
        )),
    ]  # fmt: skip


def disk_places(services: Services) -> Mapping[str, Path]:
    """Return the folders that grow, by a name for each."""
    home = services.settings.home.absolute()
    found = {"store": folder_of(services.settings) / "store", "staging": services.intake.staging, "home": home}
    return {name: path for name, path in found.items() if path.is_dir()}


def _gauge(name: str, told: str, labels: Sequence[str], *values: tuple[Sequence[str], float]) -> Metric:
    family = GaugeMetricFamily(f"liuhen_{name}", told, labels=labels)
    for named, value in values:
        family.add_metric(named, value)
    return family
