"""Who sends the bytes of a rendition: this process, nginx before it, or the bucket that holds them.

Whoever it is, the request came here first and its grant was checked. nginx gets a name within a location that is closed
to others (`X-Accel-Redirect`) and answers ranges by itself; it has the media under a folder that it may read. A bucket
gets the browser itself, by an address that is good for a short lease: who goes on after it comes here again.
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from archive.ports.presigning import Presigner
from archive.settings import SettingsInvalid
from archive.wiring import Services

INTERNAL: Final = "/-/renditions/"
"""The location of nginx over the folder of renditions; `docker/nginx` has it."""
_OF_NGINX: Final = {"Accept-Ranges", "ETag"}
"""What nginx says of a file by itself: it would be said twice."""
_PLAYED: Final = ("video/", "audio/")


class Sending:
    """Answers with where bytes are, instead of with the bytes."""

    def __init__(self, services: Services) -> None:
        """Take what the settings say. Raises: SettingsInvalid."""
        settings, self._renditions = services.settings, services.renditions
        self._way, self._lease_s = settings.send_bytes, settings.replay_lease_s
        if self._way == "redirect" and not isinstance(self._renditions, Presigner):
            raise SettingsInvalid("The setting send_bytes can be redirect only where renditions are in a bucket")

    @property
    def lease_ms(self) -> int:
        """Return for how long an address is good that a player was led to; 0 where it is not led away."""
        return self._lease_s * 1000 if self._way == "redirect" else 0

    @property
    def media_origins(self) -> tuple[str, ...]:
        """Return whom browsers may fetch media from beside this archive."""
        store: Any = self._renditions
        return (store.origin,) if self._way == "redirect" else ()

    def elsewhere(self, request: Request, key: str, *, media_type: str, headers: Mapping[str, str]) -> Response | None:
        """Return the answer that leads to the bytes of a rendition; None where this process sends them.

        Raises: BlobMissing.
        """
        if self._way == "nginx" and self._renditions.local_path(key) is not None:
            kept = {name: value for name, value in headers.items() if name not in _OF_NGINX}
            led = {"X-Accel-Redirect": INTERNAL + quote(key)}
            return Response(headers={**kept, **led}, media_type=media_type)
        # Small things are not worth the way; a signature for GET is none for HEAD.
        if self._way == "redirect" and request.method == "GET" and media_type.startswith(_PLAYED):
            store: Any = self._renditions
            shown = headers.get("Content-Disposition", "inline")
            address = store.presigned(key, lease_s=self._lease_s, media_type=media_type, disposition=shown)
            return RedirectResponse(address, status_code=307, headers={"Cache-Control": "no-store"})
        return None


def sending_of(request: Request) -> Sending:
    """Return how this application sends bytes."""
    found: Sending = request.app.state.sending
    return found
