"""Making a dock known to an archive: its own key, a one-time code, and what it will trust from then on."""

import base64
import hashlib
import hmac
import json
import re
import ssl
from collections.abc import Sequence
from typing import Any, Final

from archive.kernel.digests import STANDARD, Hasher
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import DockId, new_uuid7, parse_uuid
from archive.ledger.trustfile import TrustFile
from ingest.agent.errors import AlreadyEnrolled, ConnectionBroken, NotTheArchive, ServerUntrusted
from ingest.agent.state import Identity, StateFolder
from ingest.agent.wire import Place, Wire, tls_context

_MOST_PEM_BYTES: Final = 64 * 1024
API_KEY: Final = re.compile(r"[\x21-\x7e]{16,256}")
_HELP: Final = (
    "The certificate of the archive is not one that this dock trusts. Most archives have an authority of their own: "
    "get the file ca/root.cert.pem from the server and give it with --ca, or have its SHA-256 read to you and give it "
    "with --pin. Do not take it over the network that you want to be sure of"
)


def enrol(
    state: StateFolder,
    *,
    server: str,
    code: str,
    ca_pem: str | None = None,
    pin: str | None = None,
    algorithms: Sequence[str] = STANDARD,
    replace: bool = False,
) -> Identity:
    """Trade a one-time code for this dock's place in an archive, and keep everything in the state folder.

    The archive's certificate is checked against `ca_pem`; or against the authority that the archive itself hands out,
    if that has the SHA-256 `pin`; or against the authorities of the machine. The keys of log and receipts come over the
    connection so checked, and are pinned.
    Raises: BadServer, AlreadyEnrolled, ServerUntrusted, ServerUnreachable, ConnectionBroken, NotTheArchive; Refused for
        a code that is unknown, used or expired.
    """
    if state.is_enrolled and not replace:
        raise AlreadyEnrolled(state=str(state.path))
    place = Place.parse(server)
    require_algorithms(algorithms)
    if pin is not None and ca_pem is None and place.is_tls:
        ca_pem = _fetch_authority(place, pin)
    tls = tls_context(place, ca_pem=ca_pem)
    state.prepare()
    key_name = str(new_uuid7())
    key = state.fresh_key(key_name)
    request = {"code": code.strip(), "public_key": base64.b64encode(key.public_bytes).decode()}
    with Wire(place, tls=tls) as wire:
        try:
            answer = wire.request(
                "POST",
                "/api/v1/docks/enrolment",
                headers={"Content-Type": "application/json"},
                body=json.dumps(request).encode(),
            )
        except ServerUntrusted as exc:
            raise ServerUntrusted(_HELP, **exc.facts) from exc
        except ConnectionBroken as exc:
            raise ConnectionBroken(
                "The connection broke, and the code may be used up; if it is refused now, ask for another", **exc.facts
            ) from exc
    try:
        given: Any = json.loads(answer.body)
        identity = Identity(
            place=place,
            dock_id=DockId(parse_uuid(given["dock_id"])),
            api_key=given["api_key"],
            key=key,
            trust=TrustFile.parse(given["trust"].encode()),
            ca_pem=ca_pem if place.is_tls else None,
            algorithms=tuple(algorithms),
        )
        if not API_KEY.fullmatch(identity.api_key):
            raise NotTheArchive
    except (ValueError, KeyError, TypeError, AttributeError, InvalidInput) as exc:
        raise NotTheArchive from exc
    state.set_aside(new_trust=identity.trust)
    state.store_identity(identity, key_name=key_name)
    return identity


def require_algorithms(algorithms: Sequence[str]) -> None:
    """Raise InvalidInput when this Python cannot compute a digest that is asked for (sm3 on some builds)."""
    try:
        Hasher(algorithms)
    except ValueError as exc:
        raise InvalidInput("The OpenSSL of this machine has no SM3; enrol without it", algorithms=algorithms) from exc


def _fetch_authority(place: Place, pin: str) -> str:
    """Return the certificate that the archive hands out, if it is the pinned one; nothing else is believed before."""
    wanted = re.sub(r"[\s:]", "", pin).lower().removeprefix("sha256")
    if not re.fullmatch(r"[0-9a-f]{64}", wanted):
        raise InvalidInput("A pin is the SHA-256 of the archive's root certificate: 64 hexadecimal digits")
    unchecked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unchecked.check_hostname = False
    unchecked.verify_mode = ssl.CERT_NONE  # nothing is sent; what comes is compared with the pin
    with Wire(place, tls=unchecked) as wire:
        pem = wire.request("GET", "/api/v1/ca.pem").body
    try:
        text = pem[:_MOST_PEM_BYTES].decode("ascii")
        begin = text.index("-----BEGIN CERTIFICATE-----")
        text = text[begin : text.index("-----END CERTIFICATE-----", begin) + len("-----END CERTIFICATE-----")] + "\n"
        found = hashlib.sha256(ssl.PEM_cert_to_DER_cert(text)).hexdigest()
    except ValueError as exc:
        raise NotTheArchive from exc
    if not hmac.compare_digest(found, wanted):
        raise ServerUntrusted("The root certificate of the archive has another SHA-256 than the pin", found=found)
    return text
