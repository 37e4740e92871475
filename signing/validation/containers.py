"""The judgement on a detached or enveloping CMS signature in a file of its own (`.p7s`, `.p7m`).

Import it late: pyHanko brings 20 MB of modules. Containers of this archive's own making are judged by
`signing.cades.check_detached`, which lets less pass.
Source: ETSI EN 319 122-1 section 6; ETSI EN 319 102-1 section 5.
"""

import contextlib
from collections.abc import Sequence

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
    where: str = "",
) -> DocumentVerdict:
    """Judge a signature over `content`, or over what the container carries along where `content` is None.

    Whatever the bytes are, there is a verdict.
    """
    try:
        signed = read_signed_data(_from_pem(p7s), where=where)
    except LiuhenError as exc:
        return DocumentVerdict(at, (invalid(exc.code, str(exc)[:300], where),))
    if signed.content_type != "data":
        refused = indeterminate("signature.form_refused", "The container signs no plain content", where)
        return DocumentVerdict(at, (refused,))
    if signed.content is not None and content is not None and content != signed.content:
        return DocumentVerdict(
            at, (invalid("signature.digest_mismatch", "The container carries other content than is given", where),)
        )
    over = signed.content if content is None else content
    if over is None:
        missing = indeterminate("signature.content_missing", "What was signed is not there, so nothing is said", where)
        return DocumentVerdict(at, (missing,))
    given = Evidence.read(crls, ocsp_answers)
    material = Material(trust=trust, at=at, evidence=given, inside=Evidence(), others=())
    return DocumentVerdict(at, (), (judge_signed_data(signed, digester(over), material=material, where=where),))


def _from_pem(raw: bytes) -> bytes:
    if not raw.lstrip().startswith(b"-----BEGIN"):
        return raw
    from asn1crypto import pem

    with contextlib.suppress(*READING):
        unpacked: bytes = pem.unarmor(raw)[2]
        return unpacked
    return raw
