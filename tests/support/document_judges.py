"""Others who judge signed documents: poppler, qpdf, pyHanko's validations and OpenSSL."""

import asyncio
import re
import subprocess
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from asn1crypto import crl as asn1_crl
from asn1crypto import x509 as asn1_x509
from asn1crypto.ocsp import OCSPResponse
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import async_validate_pdf_signature
from pyhanko.sign.validation.ades import ades_lta_validation
from pyhanko.sign.validation.policy_decl import (
    LocalKnowledge,
    PdfSignatureValidationSpec,
    RevinfoOnlineFetchingRule,
    RevocationInfoGatheringSpec,
    SignatureValidationSpec,
)
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.authority import CertTrustAnchor
from pyhanko_certvalidator.context import CertValidationPolicySpec
from pyhanko_certvalidator.ltv.types import ValidationTimingInfo
from pyhanko_certvalidator.policy_decl import REQUIRE_REVINFO, CertRevTrustPolicy
from pyhanko_certvalidator.registry import SimpleTrustManager
from pyhanko_certvalidator.revinfo.archival import CRLContainer, OCSPContainer

from archive.kernel.instants import Instant


def pdfsig(pdf: bytes, folder: Path) -> str:
    """Return what poppler says of the signatures."""
    (folder / "judged.pdf").write_bytes(pdf)
    run = subprocess.run(["pdfsig", folder / "judged.pdf"], capture_output=True, text=True, check=False)
    return run.stdout


def qpdf(pdf: bytes, folder: Path) -> subprocess.CompletedProcess[str]:
    """Return what qpdf says of the structure."""
    (folder / "judged.pdf").write_bytes(pdf)
    return subprocess.run(["qpdf", "--check", folder / "judged.pdf"], capture_output=True, text=True, check=False)


def statuses(pdf: bytes, root: bytes, *, at: Instant | None = None) -> dict[str, Any]:
    """Return pyHanko's status of each signature by the name of its field; revocation is not looked at."""
    anchor = asn1_x509.Certificate.load(root)

    async def judged() -> dict[str, Any]:
        found = {}
        for signature in PdfFileReader(BytesIO(pdf)).embedded_regular_signatures:
            contexts = [ValidationContext(trust_roots=[anchor], moment=at, allow_fetching=False) for _ in range(2)]
            found[signature.field_name] = await async_validate_pdf_signature(signature, *contexts)
        return found

    return asyncio.run(judged())


def lta(
    pdf: bytes,
    root: bytes,
    *,
    at: Instant,
    crls: Sequence[bytes] = (),
    answers: Sequence[bytes] = (),
    field: str | None = None,
) -> Any:
    """Return the result of pyHanko's AdES validation of one signature at the level LTA, with revocation required."""
    trust = SimpleTrustManager.build(trust_roots=[CertTrustAnchor(asn1_x509.Certificate.load(root))])
    spec = SignatureValidationSpec(
        cert_validation_policy=CertValidationPolicySpec(trust, CertRevTrustPolicy(REQUIRE_REVINFO)),
        revinfo_gathering_policy=RevocationInfoGatheringSpec(RevinfoOnlineFetchingRule.LOCAL_ONLY),
        local_knowledge=LocalKnowledge(
            known_crls=[CRLContainer(asn1_crl.CertificateList.load(each)) for each in crls],
            known_ocsps=[found for each in answers for found in OCSPContainer.load_multi(OCSPResponse.load(each))],
        ),
    )
    signatures = PdfFileReader(BytesIO(pdf)).embedded_regular_signatures
    chosen = next(each for each in signatures if field in {None, each.field_name})
    timing = ValidationTimingInfo(validation_time=at, best_signature_time=at, point_in_time_validation=False)
    return asyncio.run(ades_lta_validation(chosen, PdfSignatureValidationSpec(spec), timing_info=timing))


def containers(pdf: bytes) -> dict[str, tuple[bytes, bytes]]:
    """Return (signed bytes, container) of each signature, cut out of the file by its byte ranges alone."""
    found = {}
    for number, match in enumerate(re.finditer(rb"/ByteRange\s*\[(\d+) (\d+) (\d+) (\d+)\]", pdf)):
        first, size, second, rest = (int(each) for each in match.groups())
        container = bytes.fromhex(pdf[first + size + 1 : second - 1].decode("ascii"))
        length = 4 + int.from_bytes(container[2:4]) if container[1] == 0x82 else 2 + container[1]
        found[f"{number}"] = (pdf[first : first + size] + pdf[second : second + rest], container[:length])
    return found


def openssl_verifies(signed: bytes, container: bytes, root_pem: bytes, folder: Path, *, at: Instant) -> bool:
    """Return whether `openssl cms -verify` accepts a container over these bytes."""
    for name, content in (("signed", signed), ("container", container), ("root.pem", root_pem)):
        (folder / name).write_bytes(content)
    run = subprocess.run(
        ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", folder / "container", "-content", folder / "signed",
         "-CAfile", folder / "root.pem", "-purpose", "any", "-attime", str(int(at.timestamp())), "-out", folder / "out"],
        capture_output=True, check=False,
    )  # fmt: skip
    return run.returncode == 0
