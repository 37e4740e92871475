"""Whether this process lives, and whether it can serve: for a proxy, and for whatever starts and ends processes.

`/health/live` says no more than that the process answers. `/health/ready` looks: the database answers with the schema
of this program, the store can be reached, there is room above the reserve, and the process is not about to end.
"""

from typing import Final

import structlog
from fastapi import APIRouter, FastAPI, Request, Response

from archive.db.revision import require_current_schema
from archive.kernel.errors import LiuhenError
from archive.ocfl.layout import ROOT_FILES
from archive.web.api.document import refusals
from archive.web.asking import Asked
from archive.web.ending import Ending
from archive.wiring import Services
from archive.wiring.stores import require_store
from ingest.staging import free_bytes

router = APIRouter(tags=["health"])

_KEPT_S: Final = 1.0
_WAIT_S: Final = 4.0
_log = structlog.get_logger("liuhen.health")


class NotReady(LiuhenError):
    """This process cannot serve at the moment; `failing` says what is missing."""

    code = "service.not_ready"
    exit_code = 75
    retryable = True


class Readiness:
    """What is looked at, for one application."""

    def __init__(self, services: Services, ending: Ending) -> None:
        """Look at these services."""
        self._services = services
        self._ending = ending
        self._looks = {
            "database": Asked(self._database, kept_s=_KEPT_S, wait_s=_WAIT_S),
            "store": Asked(self._store, kept_s=_KEPT_S, wait_s=_WAIT_S),
            "disk": Asked(self._disk, kept_s=_KEPT_S, wait_s=_WAIT_S),
        }

    def failing(self) -> list[str]:
        """Return what is missing: ending, database, store, disk."""
        if self._ending.is_asked:
            return ["ending"]
        return [name for name, look in self._looks.items() if not _holds(name, look)]

    def _database(self) -> bool:
        require_current_schema(self._services.database)
        return True

    def _store(self) -> bool:
        require_store(self._services.database, self._services.settings)
        for key in ROOT_FILES:
            with self._services.stores.originals.open(
                key, length=1
            ) as file:  # what a store knows by heart proves nothing
                file.read()
        return True

    def _disk(self) -> bool:
        return free_bytes(self._services.intake.staging) >= self._services.settings.reserve_bytes


def _holds(name: str, look: Asked[bool]) -> bool:
    try:
        return look.told() is True
    except (LiuhenError, OSError) as error:
        _log.warning("not_ready", part=name, error=getattr(error, "code", type(error).__name__))
        return False


@router.get("/health/live", operation_id="read_liveness")
async def live() -> dict[str, str]:
    """Say that this process answers."""
    return {"status": "ok"}


@router.get("/health/ready", operation_id="read_readiness", responses=refusals(503))
def ready(request: Request, response: Response) -> dict[str, str]:
    """Say whether this process can serve."""
    readiness: Readiness = request.app.state.readiness
    failing = readiness.failing()
    if failing:
        raise NotReady(failing=",".join(failing), retry_after_s=1)
    response.headers["Cache-Control"] = "no-store"
    return {"status": "ready"}


def install_health(app: FastAPI, services: Services, ending: Ending) -> None:
    """Add both addresses to the application."""
    app.state.ending = ending
    app.state.readiness = Readiness(services, ending)
    app.include_router(router)
