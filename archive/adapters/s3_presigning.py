"""Addresses of blobs in a bucket that are good for a short while: signed by us, answered by the server alone."""

import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit

from archive.adapters.s3_client import S3Place, s3_client
from archive.ports.blobs import StoreUnavailable

_ASK_S: Final = 5


class S3Addresses:
    """Signs addresses under the endpoint that browsers reach."""

    def __init__(self, place: S3Place) -> None:
        """Take the bucket; nothing is asked yet."""
        self._place = place
        self._made: list[Any] = []
        self._guard = threading.Lock()

    @property
    def origin(self) -> str:
        """Return where the addresses lead. A bucket of AWS has a host of its own."""
        parts = urlsplit(self.signed({"Key": "origin"}, lease_s=1))
        return f"{parts.scheme}://{parts.netloc}"

    def signed(self, asked: Mapping[str, Any], *, lease_s: int) -> str:
        """Return the address of a GET with these parameters. Source: AWS Signature Version 4, query parameters."""
        told: str = self._client().generate_presigned_url(
            "get_object", Params={"Bucket": self._place.bucket, **asked}, ExpiresIn=lease_s
        )
        return told

    def lets_read(self, origin: str) -> bool:
        """Ask as a browser does before it reads a range for a page of another origin. Raises: StoreUnavailable."""
        asked = urllib.request.Request(  # noqa: S310 - the endpoint that the operator configured
            self.signed({"Key": "origin"}, lease_s=_ASK_S).partition("?")[0],
            method="OPTIONS",
            headers={
                "Origin": origin,
                "Access-Control-Request-Method": "GET",
                "Access-Control-Request-Headers": "range",
            },
        )
        ca = self._place.ca
        context = ssl.create_default_context(cafile=None if ca is None else str(ca))
        try:
            with urllib.request.urlopen(asked, timeout=_ASK_S, context=context) as answer:  # noqa: S310 - as above
                allowed = answer.headers.get("Access-Control-Allow-Origin")
        except urllib.error.HTTPError as exc:
            exc.close()
            return False  # what a server answers that knows no rule for it
        except OSError as exc:
            raise StoreUnavailable(f"The store does not answer: {type(exc).__name__}") from exc
        return allowed in {origin, "*"}

    def close(self) -> None:
        """Give connections back."""
        for client in self._made:
            client.close()

    def _client(self) -> Any:
        """Return the client that signs, made when the first address is asked for: few stores ever are."""
        with self._guard:
            if not self._made:
                endpoint = self._place.public_endpoint or self._place.endpoint
                self._made.append(s3_client(replace(self._place, endpoint=endpoint), connections=1))
            return self._made[0]
