"""The web application: doors for docks and machines, pages for people."""

import asyncio
import contextlib
import functools
import re
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from archive.access.allowances import forget_full
from archive.access.attempts import tidy_attempts
from archive.access.sessions import forget_ended_sessions
from archive.kernel.errors import InvalidInput, LiuhenError, NotFound
from archive.kernel.ids import UploadId
from archive.web import STATIC
from archive.web.api import direct, docks, door, fixity, log, packages, pki
from archive.web.api.axis import AxisApp
from archive.web.api.document import describe
from archive.web.api.uploads import UploadsApp
from archive.web.api.v1 import install_api
from archive.web.ending import Ending
from archive.web.health import install_health
from archive.web.judgements import Judgements
from archive.web.limits import Limits, drawing
from archive.web.metrics import disk_places, install_metrics
from archive.web.middleware import Door, Surroundings
from archive.web.pages import install_pages
from archive.web.problems import problem_response
from archive.web.proxies import BehindProxies
from archive.web.routes import add_routes
from archive.web.sending import Sending
from archive.wiring import Services
from ingest.capacity import sample_room
from ingest.errors import Quarantined
from ingest.pressure import Gate
from ingest.receiving import Receiver
from ingest.uploads import complete_uploads, expire_uploads, sweep_staging
from ingest.waiting import forget_left

UPLOADS_PATH: Final = "/api/v1/uploads"
AXIS_PATH: Final = "/axis"
_INTAKE_THREADS: Final = 24
_SWEEP_EVERY_S: Final = 5.0
_SWEEP_STAGING_EVERY_S: Final = 300.0
"""Uploads that another host has ended leave their bytes here."""
_log = structlog.get_logger("liuhen.web")


def create_app(services: Services, ending: Ending | None = None) -> FastAPI:
    """Return the application over these services; `ending` tells it that its process is about to end."""
    ending = ending or Ending()
    executor = ThreadPoolExecutor(_INTAKE_THREADS, thread_name_prefix="intake")
    sending = Sending(services)
    draw, judgements = drawing(services), Judgements(services.database, services.clock)
    limits = Limits(services.settings, draw)
    uploads = UploadsApp(
        services.intake,
        executor,
        base_path=UPLOADS_PATH,
        doors=services.doors,
        sign_ins=services.sign_ins,
        limits=limits,
        ending=ending,
    )

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        sweeping = asyncio.create_task(_sweep(services, uploads, judgements))
        yield
        sweeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sweeping
        executor.shutdown(wait=True, cancel_futures=True)

    app = FastAPI(
        title="Liuhen",
        summary="Evidence and audio-video archive",
        version="1",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
    )
    app.state.services = services
    app.state.limits = limits
    app.state.gate = Gate(services.intake)
    app.state.judgements = judgements
    app.state.sending = sending
    install_api(app, requests_per_minute=services.settings.api_requests_per_minute, draw=draw)
    app.add_middleware(Door, path=UPLOADS_PATH, behind=uploads)
    axis = AxisApp(services.intake, executor, uploads.receiver, doors=services.doors)
    app.add_middleware(Door, path=AXIS_PATH, behind=axis)
    app.add_middleware(Surroundings, media_origins=sending.media_origins)
    app.add_middleware(BehindProxies, trusted=services.settings.trusted_proxies)
    add_routes(
        app, docks.router, direct.router, log.router, packages.router, pki.router, door.router, fixity.router
    )  # fmt: skip
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    install_metrics(app, services)
    install_health(app, services, ending)
    install_pages(app)
    _install_errors(app)
    describe(app)
    return app


def _install_errors(app: FastAPI) -> None:
    @app.exception_handler(LiuhenError)
    def on_known(request: Request, error: Exception) -> Response:
        assert isinstance(error, LiuhenError)  # noqa: S101 - registered for this class only
        return problem_response(error, request_id=request.state.request_id)

    @app.exception_handler(RequestValidationError)
    def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class only
        where = ", ".join(sorted({".".join(str(part) for part in found["loc"]) for found in error.errors()}))
        return problem_response(
            InvalidInput("The request does not have the form that is asked for", where=where),
            request_id=request.state.request_id,
        )

    @app.exception_handler(HTTPException)
    def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
        known = NotFound("There is nothing at this address") if error.status_code == 404 else InvalidInput(error.detail)
        response = problem_response(known, request_id=request.state.request_id, status=error.status_code)
        response.headers.update(error.headers or {})
        if error.status_code == 405:
            response.headers["Allow"] = ", ".join(_methods_at(app, request.url.path) or ("GET", "HEAD"))  # else a file
        return response


def _methods_at(app: FastAPI, path: str) -> list[str]:
    """Return every method of an address; the framework names those of the first route alone."""
    return sorted(
        {
            method
            for route in iter_route_contexts(app.routes)
            if _pattern(str(route.path)).match(path)
            for method in route.methods or ()
        }
    )


@functools.lru_cache(maxsize=1024)
def _pattern(route: str) -> re.Pattern[str]:
    return compile_path(route)[0]


async def _sweep(services: Services, uploads: UploadsApp, judgements: Judgements) -> None:
    """Finish what a process before us left complete, and let old unfinished uploads expire."""
    swept_at = time.monotonic()
    while True:
        try:
            if time.monotonic() - swept_at > _SWEEP_STAGING_EVERY_S:
                swept_at = time.monotonic()
                await uploads.receiver.run(sweep_staging, services.intake)
            for upload_id in await uploads.receiver.run(complete_uploads, services.intake):
                await _finish(uploads.receiver, upload_id)
            for upload_id in await uploads.receiver.run(expire_uploads, services.intake):
                await uploads.receiver.abandon(upload_id, lambda: None)  # its open file would keep the disk's space
            await asyncio.to_thread(services.packages.sweep)
            await asyncio.to_thread(judgements.tidy)
            await asyncio.to_thread(_sweep_sign_ins, services)
            await asyncio.to_thread(_sweep_operations, services)
        except Exception:  # noqa: BLE001 - the sweep must outlive whatever one round met
            _log.exception("sweep_failed")
        await asyncio.sleep(_SWEEP_EVERY_S)


def _sweep_sign_ins(services: Services) -> None:
    at = services.clock.now()
    tidy_attempts(services.database, at=at)
    forget_ended_sessions(services.database, at=at)
    forget_full(services.database, at=at)


def _sweep_operations(services: Services) -> None:
    at = services.clock.now()
    sample_room(services.database, disk_places(services), at=at)
    forget_left(services.database, at=at)


async def _finish(receiver: Receiver, upload_id: UploadId) -> None:
    """Finish one upload; what stops it is told, tried again next time, and does not stop the others."""
    try:
        await receiver.finish(upload_id)
    except Quarantined:
        return
    except LiuhenError as error:
        _log.warning("finish_failed", upload_id=str(upload_id), code=error.code)
    except Exception:  # noqa: BLE001 - one upload must not keep the sweep from the others
        _log.exception("finish_failed", upload_id=str(upload_id))
