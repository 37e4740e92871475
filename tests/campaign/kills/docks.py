"""Docks that never give up, and that remember every word the archive gave them. Shared by `kills` and `faults`.

The client is written for the campaign alone and shares no code with the product's own agent: what it was told
(offsets, acceptance, receipts) is later held against what is there.
"""

import base64
import hashlib
import http.client
import json
import random
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from archive.kernel.findings import Outcome
from archive.kernel.ids import DockId, parse_uuid
from archive.ledger.receipt import verify_receipt
from archive.ledger.trustfile import TrustFile
from ingest.manifest import build_manifest, sign_manifest
from signing.ed25519 import Ed25519KeyHandle
from tests.campaign.kills.material import Recording

STYLES: Final = ("whole", "pieces", "with-creation", "checksummed")
DIRECT: Final = "direct"
"""Straight to the bucket, where the archive offers that."""
_UPLOADS: Final = "/api/v1/uploads"
_DIRECT: Final = "/api/v1/direct-uploads"
_PATIENCE_S: Final = 120.0
_ANSWER_S: Final = 30.0
_PAUSE_S: Final = 0.05
_LATER_S: Final = 0.2
_BLOCK_BYTES: Final = 32 * 1024
_BLOCK_PAUSE_S: Final = 0.02


class GaveUp(Exception):
    """The archive did not come back in time."""


class _Later(http.client.HTTPException):
    """The archive, or who stands before it, asked to come again."""


@dataclass(slots=True)
class Delivery:
    """One recording on its way, with everything that the archive has said of it. Units: bytes."""

    dock: "Dock"
    recording: Recording
    style: str
    manifest: bytes
    signature: bytes
    upload_path: str = ""
    acknowledged_bytes: int = 0
    receipt: bytes | None = None
    quarantined: bool = False
    breaks: int = 0
    heads: int = 0
    begun_at_s: float = field(default_factory=time.monotonic)

    @property
    def upload_id(self) -> str:
        """The id that the archive gave it."""
        return self.upload_path.rpartition("/")[2]


@dataclass(slots=True)
class Ledger:
    """What all docks together have seen; `wrong` are broken promises, each a sentence.

    `later` are statuses after which a dock comes again; `is_over` has everybody give up.
    """

    later: frozenset[int] = frozenset({503})
    deliveries: list[Delivery] = field(default_factory=list)
    checkpoints: dict[str, None] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str:
        try:
            return str(json.loads(self.body).get("code", ""))
        except ValueError:
            return ""


class Dock:
    """One enrolled dock."""

    def __init__(
        self,
        *,
        address: Callable[[], str],
        code: str,
        key: Ed25519KeyHandle,
        ledger: Ledger,
        tls: ssl.SSLContext | None = None,
        patience_s: float = _PATIENCE_S,
        answer_s: float = _ANSWER_S,
    ) -> None:
        """Enrol with a one-time code. `address` tells where the archive is now, over TLS if that is given.

        Units: after `patience_s` without a receipt a recording is given up; an answer may take `answer_s`.
        """
        self._address = address
        self._tls, self._patience_s, self._answer_s = tls, patience_s, answer_s
        self._key = key
        self._ledger = ledger
        self._api_key = ""
        body = json.dumps({"code": code, "public_key": base64.b64encode(key.public_bytes).decode()}).encode()
        given = json.loads(
            self._ask("POST", "/api/v1/docks/enrolment", {"Content-Type": "application/json"}, body).body
        )
        self._id = DockId(parse_uuid(given["dock_id"]))
        self._api_key = given["api_key"]
        self.trust = TrustFile.parse(given["trust"].encode())

    def deliver(self, recording: Recording, *, style: str, chance: random.Random) -> Delivery:
        """Upload until there is a receipt, or until the recording is in quarantine. Raises: GaveUp."""
        manifest = build_manifest(
            dock_id=self._id, name=recording.name, digests=recording.digests, times={}, device={"serial": "C-1"}
        )
        delivery = Delivery(self, recording, style, manifest, sign_manifest(manifest, self._key))
        self._ledger.deliveries.append(delivery)
        while delivery.receipt is None and not delivery.quarantined:
            self._check_patience(delivery)
            try:
                self._go_on(delivery, chance)
            except (OSError, http.client.HTTPException):
                delivery.breaks += 1
                time.sleep(_PAUSE_S)
        return delivery

    def offset(self, delivery: Delivery) -> int:
        """Ask where an upload stands, and hold the answer against what was acknowledged."""
        answer = self._ask("HEAD", delivery.upload_path)
        if answer.status in self._ledger.later:
            raise _Later
        told = int(answer.headers.get("upload-offset", -1))
        delivery.heads += 1
        if answer.status != 200 or told < delivery.acknowledged_bytes:
            self._wrong(
                delivery,
                f"{delivery.acknowledged_bytes} bytes were acknowledged, HEAD says {answer.status} and {told}",
            )
        delivery.acknowledged_bytes = max(delivery.acknowledged_bytes, told)
        return told

    def _go_on(self, delivery: Delivery, chance: random.Random) -> None:
        if delivery.style == DIRECT:
            self._send_direct(delivery)
            return
        size = len(delivery.recording.content)
        if not delivery.upload_path:
            self._create(delivery)
        if delivery.quarantined or not delivery.upload_path:
            return
        offset = self.offset(delivery) if delivery.breaks else delivery.acknowledged_bytes
        while offset < size and not delivery.quarantined:
            self._check_patience(delivery)
            whole = delivery.style in {"whole", "with-creation"}
            count = size - offset if whole else min(size - offset, chance.randrange(40_000, 160_000))
            took = self._append(delivery, offset, count)
            offset = delivery.acknowledged_bytes if took else self.offset(delivery)
        if not delivery.quarantined:
            self._fetch_receipt(delivery)

    def _check_patience(self, delivery: Delivery) -> None:
        if self._ledger.is_over.is_set() or time.monotonic() - delivery.begun_at_s > self._patience_s:
            raise GaveUp(
                f"{delivery.recording.name}: no receipt after {self._patience_s:.0f} s "
                f"({delivery.style}, {delivery.upload_path})"
            )

    def _create(self, delivery: Delivery) -> None:
        parts = {"manifest": delivery.manifest, "signature": delivery.signature}
        size = len(delivery.recording.content)
        headers = {
            "Upload-Length": str(size),
            "Upload-Metadata": ",".join(f"{name} {base64.b64encode(value).decode()}" for name, value in parts.items()),
        }
        body = b""
        if delivery.style == "with-creation":
            body = delivery.recording.content[: size // 2]
            headers["Content-Type"] = "application/offset+octet-stream"
        answer = self._ask("POST", _UPLOADS, headers, body)
        if answer.status != 201:
            self._refused(delivery, answer)
            return
        delivery.upload_path = urlsplit(answer.headers["location"]).path
        delivery.acknowledged_bytes = int(answer.headers.get("upload-offset", 0))

    def _append(self, delivery: Delivery, offset: int, count: int) -> bool:
        """Send a chunk; return whether it was acknowledged."""
        body = delivery.recording.content[offset : offset + count]
        headers = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": str(offset)}
        if delivery.style == "checksummed":
            headers["Upload-Checksum"] = f"sha256 {base64.b64encode(hashlib.sha256(body).digest()).decode()}"
        answer = self._ask("PATCH", delivery.upload_path, headers, body)
        if answer.status != 204:
            self._refused(delivery, answer)
            return False
        told = int(answer.headers["upload-offset"])
        if told != offset + count:
            self._wrong(delivery, f"a chunk to {offset + count} was acknowledged as {told}")
        delivery.acknowledged_bytes = max(delivery.acknowledged_bytes, told)
        return True

    def _send_direct(self, delivery: Delivery) -> None:
        """Have the bucket take what it lacks, say so, and ask for the receipt."""
        content = delivery.recording.content
        if not delivery.upload_path:
            wish = {
                "size_bytes": len(content),
                "manifest": base64.b64encode(delivery.manifest).decode(),
                "signature": base64.b64encode(delivery.signature).decode(),
            }
            told = self._told(delivery, "POST", _DIRECT, wish, wanted=201)
            if told is None:
                return
            delivery.upload_path = f"{_UPLOADS}/{told['id']}"
        own = f"{_DIRECT}/{delivery.upload_id}"
        told = self._told(delivery, "GET", own)
        if told is not None and told["state"] == "direct":
            size = told["part_size_bytes"]
            parts = [content[start : start + size] for start in range(0, len(content), size)]
            sha256s = [hashlib.sha256(part).hexdigest() for part in parts]
            asked = [
                {"number": number, "sha256": sha256s[number - 1]}
                for number in range(1, len(parts) + 1)
                if number not in told["stored"]
            ]
            addresses = self._told(delivery, "POST", f"{own}/parts", {"parts": asked}) if asked else {"parts": []}
            if addresses is None:
                return
            for part in addresses["parts"]:
                answer = self._ask("PUT", part["url"], part["headers"], parts[part["number"] - 1])
                if answer.status != 200:
                    raise _Later
            told = self._told(delivery, "POST", f"{own}/completion", {"sha256": sha256s}, wanted=202)
        if told is not None:
            delivery.acknowledged_bytes = 0  # it is the receipt alone that speaks for bytes in a bucket
            self._fetch_receipt(delivery)

    def _told(
        self, delivery: Delivery, method: str, path: str, body: Mapping[str, Any] | None = None, *, wanted: int = 200
    ) -> Any:
        """Ask in JSON; None after a refusal."""
        given = b"" if body is None else json.dumps(body).encode()
        answer = self._ask(method, path, {"Content-Type": "application/json"}, given)
        if answer.status == wanted:
            return json.loads(answer.body)
        self._refused(delivery, answer)
        return None

    def _refused(self, delivery: Delivery, answer: _Answer) -> None:
        if answer.code == "ingest.digest_mismatch":
            delivery.quarantined = True
            if not delivery.recording.is_lie:
                self._wrong(delivery, "true bytes went to quarantine")
        elif answer.status == 409:
            delivery.breaks += 1  # somebody was quicker: the answer that we did not get
        elif answer.status in self._ledger.later:
            if answer.status == 503 and "retry-after" not in answer.headers:
                self._wrong(delivery, f"answer 503 {answer.code} without Retry-After")
            time.sleep(_LATER_S if answer.status == 503 else _PAUSE_S)
        else:
            self._wrong(delivery, f"answer {answer.status} {answer.code}")
            time.sleep(1.0)

    def _fetch_receipt(self, delivery: Delivery) -> None:
        answer = self._ask("GET", delivery.upload_path + "/receipt")
        if answer.status == 202:
            time.sleep(_PAUSE_S)
        elif answer.status == 200:
            report = verify_receipt(
                answer.body, trust=self.trust, digests=delivery.recording.digests, manifest=delivery.manifest
            )
            if report.outcome is not Outcome.VALID:
                self._wrong(delivery, f"the receipt is {report.outcome}")
            if delivery.recording.is_lie:
                self._wrong(delivery, "a receipt for bytes that the manifest does not name")
            delivery.receipt = answer.body
        else:
            self._refused(delivery, answer)

    def _ask(self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> _Answer:
        """Send one request over a connection of its own, its body slowly enough to be caught in the middle.

        A whole address is that of a bucket, which is told no key.
        """
        what = "bucket " + method if path.startswith("http") else method
        try:
            got = self._asked(method, path, headers, body)
        except (OSError, http.client.HTTPException) as exc:
            self._ledger.answers[f"{what} {type(exc).__name__}"] += 1
            raise
        self._ledger.answers[f"{what} {got.status}{' ' + got.code if got.status >= 400 else ''}"] += 1
        return got

    def _asked(self, method: str, path: str, headers: Mapping[str, str] | None, body: bytes) -> _Answer:
        at_bucket = path.startswith("http")
        place = urlsplit(path if at_bucket else self._address())
        if place.hostname is None or place.port is None:
            raise ConnectionRefusedError("The archive has no address now")
        if place.scheme == "https":
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                place.hostname, place.port, timeout=self._answer_s, context=self._tls
            )
        else:
            connection = http.client.HTTPConnection(place.hostname, place.port, timeout=self._answer_s)
        try:
            target = f"{place.path}?{place.query}" if at_bucket else path
            connection.putrequest(method, target, skip_accept_encoding=True)
            given = {**(headers or {}), "Content-Length": str(len(body))}
            if not at_bucket:
                given["Tus-Resumable"] = "1.0.0"
                given |= {"Authorization": f"Bearer {self._api_key}"} if self._api_key else {}
            for name, value in given.items():
                connection.putheader(name, value)
            connection.endheaders()
            for at in range(0, len(body), _BLOCK_BYTES):
                connection.send(body[at : at + _BLOCK_BYTES])
                time.sleep(_BLOCK_PAUSE_S)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return _Answer(answer.status, found, answer.read())
        finally:
            connection.close()

    def _wrong(self, delivery: Delivery, what: str) -> None:
        self._ledger.wrong.append(f"{delivery.recording.name} ({delivery.upload_id}): {what}")


class Onlooker(threading.Thread):
    """Fetches the published checkpoint again and again, as a witness would, and keeps every one that it has seen."""

    def __init__(self, address: Callable[[], str], ledger: Ledger, tls: ssl.SSLContext | None = None) -> None:
        """Look at the archive that is at `address` now."""
        super().__init__(daemon=True)
        self._address, self._tls = address, tls
        self._ledger = ledger
        self._done = threading.Event()

    def run(self) -> None:
        """Look ten times a second."""
        while not self._done.wait(0.1):
            place = urlsplit(self._address())
            if place.hostname is None:
                continue
            if self._tls is None:
                connection = http.client.HTTPConnection(place.hostname, place.port, timeout=5)
            else:
                connection = http.client.HTTPSConnection(place.hostname, place.port, timeout=5, context=self._tls)
            try:
                connection.request("GET", "/log/checkpoint")
                answer = connection.getresponse()
                body = answer.read()
                if answer.status == 200:
                    self._ledger.checkpoints.setdefault(body.decode())
            except (OSError, http.client.HTTPException):
                continue
            finally:
                connection.close()

    def end(self) -> None:
        """Look no more."""
        self._done.set()
        self.join()


def checkpoints_of(receipt: bytes) -> str:
    """Return the checkpoint that a receipt carries, as a note."""
    value: Any = json.loads(receipt)
    return str(value["receipt"]["proof"]).split("\n\n", 1)[1]
