"""pyHanko signs PDFs. Import it late: pyHanko brings 20 MB of modules."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

from asn1crypto import cms
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import SigFieldSpec, SigSeedSubFilter
from pyhanko.sign.signers.pdf_cms import Signer
from pyhanko.sign.signers.pdf_signer import PdfSignatureMetadata, PdfSigner
from pyhanko.sign.timestamps.api import TimeStamper
from pyhanko.stamp import TextStampStyle

from signing.pyhanko_signer import _ASN1, HeldKeySigner

_HASH = "sha256"
_BOX = (52, 76, 300, 116)  # points from the lower left corner; templates leave room there on the last page


class _DocumentSigner(HeldKeySigner):
    """Signs as HeldKeySigner does, and adds the timestamp as an unsigned attribute."""

    async def unsigned_attrs(self, *args: Any, **kwargs: Any) -> Any:
        """Return what pyHanko adds: the signature's timestamp."""
        return await Signer.unsigned_attrs(self, *args, **kwargs)


class _PortTimeStamper(TimeStamper):
    """Gets tokens from the archive's own port."""

    def __init__(self, token: Callable[[bytes], bytes]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._token = token

    async def async_timestamp(self, message_digest: bytes, md_algorithm: str) -> cms.ContentInfo:
        """Return a token over a SHA-256. Raises: ValueError for another hash."""
        if md_algorithm != _HASH:
            raise ValueError(md_algorithm)
        return cms.ContentInfo.load(self._token(message_digest))


def sign_document(
    pdf: bytes,
    *,
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
    certificate: bytes,
    line: str,
    reason: str,
    token: Callable[[bytes], bytes] | None,
    bytes_reserved: int,
) -> bytes:
    """Return the PDF with an appended PAdES signature and its visible line; /M is the machine's time.

    Raises: ValueError for a PDF that cannot be read.
    """
    with _ASN1:
        try:
            last = int(PdfFileReader(BytesIO(pdf)).root["/Pages"]["/Count"]) - 1
            signer = PdfSigner(
                PdfSignatureMetadata(
                    field_name="Archive", md_algorithm=_HASH, subfilter=SigSeedSubFilter.PADES, reason=reason
                ),
                signer=_DocumentSigner(key=key, certificate=certificate),
                timestamper=None if token is None else _PortTimeStamper(token),
                stamp_style=TextStampStyle(stamp_text=line.replace("%", "%%"), border_width=1),
                new_field_spec=SigFieldSpec("Archive", on_page=last, box=_BOX),
            )
            writer = IncrementalPdfFileWriter(BytesIO(pdf))
            out = BytesIO()
            _run(signer.async_sign_pdf(writer, bytes_reserved=bytes_reserved, output=out))
        except PdfError as exc:
            raise ValueError(str(exc)) from exc
    return out.getvalue()


def _run(coroutine: Coroutine[Any, Any, Any]) -> None:
    """Run what needs an event loop, in a thread of its own: the caller may stand beside a running one."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="sign") as pool:
        pool.submit(asyncio.run, coroutine).result()
