"""Rendering pages: one Jinja environment, the reader's language, addresses of static files that change with them."""

import hashlib
from collections.abc import Mapping
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any, Final

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from archive.access.callers import Caller
from archive.access.policy import Capability, may
from archive.notify.notices import MOST_COUNTED, unread_count
from archive.web import STATIC
from archive.web.i18n import Catalogue, catalogue, preferred_language
from archive.web.pages import formats

LANGUAGE_COOKIE: Final = "liuhen_language"
_PLACES: Final = {
    "": "cases", "records": "cases", "drafts": "cases", "objects": "items",
    **dict.fromkeys(("schedules", "holds", "dispositions", "fixity", "renewals"), "retention"),
}  # fmt: skip
"""The places in the main navigation that pages belong to whose address begins with another word."""
_TEMPLATES: Final = Path(__file__).parent.parent / "templates"
# Pages show evidence: no cache may keep them, and what a page says depends on who asks.
_HEADERS: Final = {"Cache-Control": "no-store", "Vary": "Cookie, Accept-Language"}


@lru_cache(maxsize=256)  # bounded: the names come from addresses
def static_address(name: str) -> str:
    """Return the address of a static file; it changes whenever the bytes do, so that caches may keep it for ever."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()
    return f"/static/{name}?v={digest[:12]}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals.update(
        static=static_address,
        duration=formats.duration,
        size=formats.size,
        seconds=formats.seconds,
        local_minute=formats.local_minute,
        local_second=formats.local_second,
        local_day=formats.local_day,
        local_clock=formats.local_clock,
        local_input=formats.local_input,
        utc_text=formats.utc_text,
        machine_text=formats.machine_text,
        number="{:,}".format,
        may=may,
        Capability=Capability,
    )
    return environment


def reader_texts(request: Request) -> Catalogue:
    """Return the catalogue of the language that this reader wants."""
    return catalogue(
        preferred_language(chosen=request.cookies.get(LANGUAGE_COOKIE), accepted=request.headers.get("accept-language"))
    )


def is_fragment(request: Request) -> bool:
    """Return whether htmx asks for a part of a page."""
    return "hx-request" in request.headers and "hx-history-restore-request" not in request.headers


def go_to(address: str) -> RedirectResponse:
    """Return the answer that leads to another page with GET."""
    return RedirectResponse(address, status_code=303, headers=_HEADERS)


def render(
    request: Request,
    template: str,
    *,
    caller: Caller | None,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **context: Any,
) -> HTMLResponse:
    """Return a page, or a part of one, in the reader's language."""
    texts = reader_texts(request)
    done = request.query_params.get("done", "") if request.method == "GET" else ""
    common: dict[str, Any] = {
        "t": texts.text,
        "counted": texts.counted,
        "term": texts.term,
        "has_text": texts.has,
        "language": texts.language,
        "caller": caller,
        "can": partial(_can, caller),
        "here": _here(request),
        "section": _section(request.url.path),
        "organisation": request.app.state.services.settings.organisation,
        "lease_ms": request.app.state.sending.lease_ms,
        "done": f"done.{done}" if texts.has(f"done.{done}") else None,
        "form": None,
        "unread": _unread(request, template, caller),
    }
    body = _environment().get_template(template).render({**common, **context})
    return HTMLResponse(body, status_code=status, headers={**_HEADERS, **(headers or {})})


def _can(caller: Caller | None, capability: str) -> bool:
    return caller is not None and caller.may(Capability(capability))


def _unread(request: Request, template: str, caller: Caller | None) -> str:
    """Return the count of unread notices beside the bell; nothing for none, and where no bell is shown."""
    if caller is None or template.startswith("_"):
        return ""
    with request.app.state.services.database.read() as tx:
        count = unread_count(tx, caller.account_id)
    return "" if count == 0 else str(count) if count <= MOST_COUNTED else f"{MOST_COUNTED}+"


def _section(path: str) -> str:
    """Return which of the places in the main navigation a page belongs to."""
    first = path.split("/")[1]
    return _PLACES.get(first, first)


def _here(request: Request) -> str:
    """Return where to come back to, after the language was switched."""
    if request.method != "GET" or is_fragment(request):
        return "/"
    query = request.url.query
    return request.url.path + (f"?{query}" if query else "")
