"""What is asked of the sandbox, and what it answers: canonical JSON both ways.

    {"v": 1, "kind": "pdf" | "container", "at": "...", "trust": {...}, "crls": [base64], "ocsp": [base64],
     "content": base64 | null, "digests": {"sha256": hex, ...} | null, "cpu_s": 120, "memory_bytes": 2147483648}

`content` is for a container only: what was signed; in its place there may be its digests by all `CONTENT_HASHES`. The
limits hold beside those of the sandbox.
"""

import base64
import binascii
import resource
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, Self

from archive.kernel.canonical import canonical_json, parse_json
from archive.kernel.errors import InvalidInput
from archive.kernel.findings import indeterminate
from archive.kernel.instants import Instant, format_instant, parse_instant
from signing.validation.trust import TrustList
from signing.validation.verdict import DocumentVerdict

MOST_REQUEST_BYTES: Final = 64 * 1024 * 1024
CPU_S: Final = 120
MEMORY_BYTES: Final = 3 * 1024**3
CONTENT_HASHES: Final = ("sha256", "sha384", "sha512")
"""What a file that was signed is hashed with: every hash that signatures are judged with."""
_KEYS: Final = {"v", "kind", "at", "trust", "crls", "ocsp", "content", "digests", "cpu_s", "memory_bytes"}


class BadValidationRequest(InvalidInput):
    """The request to judge a signature does not have its form."""

    code = "signing.bad_validation_request"


@dataclass(frozen=True, slots=True)
class ValidationRequest:
    """What to judge, by whose trust, as of when. Units: seconds, bytes."""

    kind: str
    at: Instant
    trust: TrustList
    crls: Sequence[bytes] = ()
    ocsp_answers: Sequence[bytes] = ()
    content: bytes | None = None
    cpu_s: int = CPU_S
    memory_bytes: int = MEMORY_BYTES
    digests: Mapping[str, bytes] | None = None

    def encode(self) -> bytes:
        """Return the canonical JSON."""
        return canonical_json(
            {
                "v": 1,
                "kind": self.kind,
                "at": format_instant(self.at),
                "trust": self.trust.as_json(),
                "crls": [_text(each) for each in self.crls],
                "ocsp": [_text(each) for each in self.ocsp_answers],
                "content": None if self.content is None else _text(self.content),
                "digests": None if self.digests is None else {name: one.hex() for name, one in self.digests.items()},
                "cpu_s": self.cpu_s,
                "memory_bytes": self.memory_bytes,
            }
        )

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Parse the form of `encode`. Raises: BadValidationRequest, TrustListBroken."""
        if len(raw) > MOST_REQUEST_BYTES:
            raise BadValidationRequest("The request is too large")
        value: Any = parse_json(raw)
        if not isinstance(value, Mapping) or set(value) != _KEYS or value["v"] != 1:
            raise BadValidationRequest
        if value["kind"] not in {"pdf", "container"}:
            raise BadValidationRequest("The kind is pdf or container")
        try:
            return cls(
                kind=value["kind"],
                at=parse_instant(value["at"]),
                trust=TrustList.from_json(value["trust"]),
                crls=[_bytes(each) for each in value["crls"]],
                ocsp_answers=[_bytes(each) for each in value["ocsp"]],
                content=None if value["content"] is None else _bytes(value["content"]),
                cpu_s=int(value["cpu_s"]),
                memory_bytes=int(value["memory_bytes"]),
                digests=_digests(value["digests"]),
            )
        except (TypeError, ValueError, AttributeError) as exc:
            raise BadValidationRequest(cause=str(exc)[:200]) from exc


def answer(source: BinaryIO, raw: bytes) -> bytes:
    """Judge the open file as the request says; return the verdict in canonical JSON.

    Sets limits for this process that stay: only for a process that does nothing else.
    Raises: BadValidationRequest, TrustListBroken, NotCanonical.
    """
    request = ValidationRequest.decode(raw)
    for kind, limit in ((resource.RLIMIT_AS, request.memory_bytes), (resource.RLIMIT_CPU, request.cpu_s)):
        soft, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (limit if soft == resource.RLIM_INFINITY else min(limit, soft), hard))
    try:
        verdict = _judged(source, request)
    except MemoryError:
        costly = indeterminate("document.too_costly", "Judging the document takes more memory than any should")
        verdict = DocumentVerdict(request.at, (costly,))
    return canonical_json(verdict.as_json())


def _judged(source: BinaryIO, request: ValidationRequest) -> DocumentVerdict:
    # Late, since the limits hold for pyHanko too.
    if request.kind == "container":
        from signing.validation.containers import judge_container

        return judge_container(
            request.content,
            source.read(MOST_REQUEST_BYTES),
            trust=request.trust,
            at=request.at,
            crls=request.crls,
            ocsp_answers=request.ocsp_answers,
            digests=request.digests,
        )
    from signing.validation.documents import judge_document

    return judge_document(
        source, trust=request.trust, at=request.at, crls=request.crls, ocsp_answers=request.ocsp_answers
    )


def _digests(value: Any) -> Mapping[str, bytes] | None:
    if value is None:
        return None
    if set(value) != set(CONTENT_HASHES):
        raise ValueError("the digests are not those of all hashes")
    return {name: bytes.fromhex(one) for name, one in value.items()}


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as exc:
        raise ValueError("not base64") from exc
