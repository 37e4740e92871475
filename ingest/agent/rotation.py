"""Giving this dock another key for uploads, in trade for the one that it has."""

import dataclasses
import json
from importlib.metadata import version
from typing import Any

from ingest.agent.enrolment import API_KEY
from ingest.agent.errors import NotTheArchive
from ingest.agent.state import Identity, StateFolder
from ingest.agent.wire import Wire, tls_context


def rotate(state: StateFolder) -> Identity:
    """Ask for another key and keep it; return who this dock is from now on.

    Until the new key is durable here the old one is kept, and the archive takes it for 10 more minutes.
    Raises: NotEnrolled, StateBroken, PushRunning, ServerUntrusted, ServerUnreachable, ConnectionBroken, NotTheArchive;
        Refused for a key that is unknown, expired or replaced, and for a dock that was revoked.
    """
    with state.pushing():
        identity = state.identity()
        tls = tls_context(identity.place, ca_pem=identity.ca_pem)
        with Wire(identity.place, tls=tls, api_key=identity.api_key) as wire:
            answer = wire.request(
                "POST",
                "/api/v1/docks/key",
                headers={"Content-Type": "application/json"},
                body=json.dumps({"firmware": f"liuhen {version('liuhen')}"}).encode(),
            )
        try:
            given: Any = json.loads(answer.body)["api_key"]
        except (ValueError, KeyError, TypeError) as exc:
            raise NotTheArchive from exc
        if not isinstance(given, str) or not API_KEY.fullmatch(given):
            raise NotTheArchive
        state.store_api_key(given)
        return dataclasses.replace(identity, api_key=given)
