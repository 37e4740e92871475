"""pyHanko makes the signature containers over manifests. Nothing here judges what comes out.

Import it late: pyHanko brings 20 MB of modules, and most processes never sign.
"""

import functools
import hashlib
from collections.abc import Coroutine
from typing import Any, TypeVar

from asn1crypto import cms, core, tsp, x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from pyhanko.sign.general import as_signing_certificate_v2
from pyhanko.sign.signers.pdf_cms import Signer
from pyhanko_certvalidator.util import get_pyca_cryptography_hash

from archive.kernel.instants import Instant
from signing.asn1_lock import ASN1_LOCK
from signing.container import SigningFault

_T = TypeVar("_T")
_HASH = "sha256"


class HeldKeySigner(Signer):
    """Signs with a key that is loaded already (pyHanko's own signer loads it again for each signature).

    Not for several threads at once.
    """

    def __init__(self, *, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, certificate: bytes) -> None:
        """Hold the key and its certificate (DER)."""
        super().__init__(signing_cert=x509.Certificate.load(certificate))
        self._key = key

    async def async_sign_raw(
        self,
        data: bytes,
        digest_algorithm: str,
        dry_run: bool = False,  # noqa: ARG002, FBT001, FBT002 (pyHanko's signature; a dry run would cost the same)
    ) -> bytes:
        """Return the bare signature over `data`."""
        algorithm = get_pyca_cryptography_hash(digest_algorithm)
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(data, padding.PKCS1v15(), algorithm)
        return self._key.sign(data, ec.ECDSA(algorithm))

    async def unsigned_attrs(self, *_: Any, **__: Any) -> None:
        """Add nothing that is not signed."""

    def signer_info(self, digest_algorithm: str, signed_attrs: cms.CMSAttributes, signature: bytes) -> cms.SignerInfo:
        """Return pyHanko's SignerInfo, the hash named without parameters. Source: RFC 5754 section 2."""
        info = super().signer_info(digest_algorithm, signed_attrs, signature)
        del info["digest_algorithm"]["parameters"]  # asn1crypto writes NULL
        return info


def make_detached(
    content: bytes, *, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, certificate: bytes, at: Instant
) -> bytes:
    """Return a detached CAdES B-B container (DER) over `content`, with this certificate (DER) and claimed time.

    Usable in any thread, also beside a running event loop.
    Raises: SigningFault.
    """
    with ASN1_LOCK:
        signer = HeldKeySigner(key=key, certificate=certificate)
        attributes = _signed_attributes(content, certificate=certificate, at=at)
        made: bytes = without_waiting(signer.async_sign_prescribed_attributes(_HASH, attributes)).dump()
        return made


def without_waiting(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Return what a coroutine returns that never waits, without an event loop.

    Raises: SigningFault, when it waits after all.
    """
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: _T = done.value
        return result
    coroutine.close()
    raise SigningFault("Signing waits for something, which needs an event loop")


def _signed_attributes(content: bytes, *, certificate: bytes, at: Instant) -> cms.CMSAttributes:
    values = {
        "content_type": "data",
        "message_digest": hashlib.new(_HASH, content).digest(),
        "signing_time": _time(at),
        "signing_certificate_v2": tsp.SigningCertificateV2.load(_reference(certificate)),
    }
    attributes = cms.CMSAttributes(
        [cms.CMSAttribute({"type": kind, "values": [value]}) for kind, value in values.items()]
    )
    # What is loaded is copied when it is written again; what was put together is put together anew, ten times slower.
    return cms.CMSAttributes.load(attributes.dump())


def _time(at: Instant) -> cms.Time:
    """Return whole seconds, cut off, so that the time never lies ahead. Source: RFC 5652 section 11.3."""
    second = at.replace(microsecond=0)
    if second.year < 2050:
        return cms.Time({"utc_time": core.UTCTime(second)})
    return cms.Time({"generalized_time": core.GeneralizedTime(second)})


@functools.lru_cache(maxsize=8)
def _reference(certificate: bytes) -> bytes:
    """Return the SigningCertificateV2 (DER) that names this certificate. Source: RFC 5035 section 3."""
    reference: bytes = as_signing_certificate_v2(x509.Certificate.load(certificate)).dump()
    return reference
