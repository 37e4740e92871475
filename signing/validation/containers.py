"""The judgement on a detached or enveloping CMS signature in a file of its own (`.p7s`, `.p7m`).

Import it late: pyHanko brings 20 MB of modules. Containers of this archive's own making are judged by
`signing.cades.check_detached`, which lets less pass.
Source: ETSI EN 319 122-1 section 6; ETSI EN 319 102-1 section 5.
"""

import contextlib
import hmac
from collections.abc import Callable, Mapping, Sequence

from archive.kernel.errors import LiuhenError
from archive.kernel.findings import indeterminate, invalid
from archive.kernel.instants import Instant
from signing.validation.judging import Material, judge_signed_data
from signing.validation.revocation import Evidence
from signing.validation.signed_data import READING, digester, read_signed_data
from signing.validation.trust import TrustList
from signing.validation.verdict import DocumentVerdict


def judge_container(
    content: bytes | None,
    p7s: bytes,
    *,
    trust: TrustList,
    at: Instant,
    crls: Sequence[bytes] = (),
    ocsp_answers: Sequence[bytes] = (),
    digests: Mapping[str, bytes] | None = None,
    where: str = "",
) -> DocumentVerdict:
    """Judge a signature over `content`, or over what the container carries along where `content` is None.

    Of a file that is too large to be brought along, `digests` tells the digests by the names of hashes instead.
    Whatever the bytes are, there is a verdict.
    """
    try:
        signed = read_signed_data(_from_pem(p7s), where=where)
    except LiuhenError as exc:
        return DocumentVerdict(at, (invalid(exc.code, str(exc)[:300], where),))
    if signed.content_type != "data":
        refused = indeterminate("signature.form_refused", "The container signs no plain content", where)
        return DocumentVerdict(at, (refused,))
    digest_of = _digests_of(content, digests)
    if signed.content is not None and digest_of is not None and _differ(signed.content, digest_of):
        return DocumentVerdict(
            at, (invalid("signature.digest_mismatch", "The container carries other content than is given", where),)
        )
    if digest_of is None and signed.content is not None:
        digest_of = digester(signed.content)
    if digest_of is None:
        missing = indeterminate("signature.content_missing", "What was signed is not there, so nothing is said", where)
        return DocumentVerdict(at, (missing,))
    given = Evidence.read(crls, ocsp_answers)
    material = Material(trust=trust, at=at, evidence=given, inside=Evidence(), others=())
    return DocumentVerdict(at, (), (judge_signed_data(signed, digest_of, material=material, where=where),))


def _digests_of(content: bytes | None, digests: Mapping[str, bytes] | None) -> Callable[[str], bytes] | None:
    if content is not None:
        return digester(content)
    return None if digests is None else digests.__getitem__


def _differ(content: bytes, digest_of: Callable[[str], bytes]) -> bool:
    return not hmac.compare_digest(digest_of("sha256"), digester(content)("sha256"))


def _from_pem(raw: bytes) -> bytes:
    if not raw.lstrip().startswith(b"-----BEGIN"):
        return raw
    from asn1crypto import pem

    with contextlib.suppress(*READING):
        unpacked: bytes = pem.unarmor(raw)[2]
        return unpacked
    return raw
