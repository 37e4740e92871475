"""The OpenAPI document of the API, as committed in docs/openapi.json. `python -m tests.support.openapi` writes it."""

import json
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from archive.web.api import direct, docks, log, packages
from archive.web.api.document import describe
from archive.web.api.v1 import add_routers


def document() -> dict[str, Any]:
    """Return what the API says of itself (pages are not part of it)."""
    app = FastAPI(title="Liuhen", summary="Evidence and audio-video archive", version="1")
    app.include_router(docks.router)
    app.include_router(direct.router)
    app.include_router(log.router)
    app.include_router(packages.router)
    add_routers(app)
    describe(app)
    return app.openapi()


if __name__ == "__main__":
    path = Path(__file__).parents[2] / "docs" / "openapi.json"
    path.write_text(json.dumps(document(), ensure_ascii=False, indent=2) + "\n")
