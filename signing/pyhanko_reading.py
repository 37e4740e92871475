"""pyHanko opens PDFs: what it says of damaged and encrypted ones becomes one error each. Import it late."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any, Final

from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import enumerate_sig_fields
from pyhanko.sign.general import SigningError

from archive.kernel.errors import LiuhenError
from signing.documents import DocumentEncrypted, DocumentUnreadable

# What comes out of pyHanko besides its own errors when objects are not of the kind that they should be.
_DAMAGE: Final = (
    PdfError,
    SigningError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    NotImplementedError,
    RecursionError,
    OverflowError,
    zlib.error,
)


@contextmanager
def reading() -> Iterator[None]:
    """Turn what damaged documents raise into DocumentUnreadable."""
    try:
        yield
    except LiuhenError:
        raise
    except _DAMAGE as exc:
        raise DocumentUnreadable(f"The PDF cannot be read: {type(exc).__name__} {exc}"[:300]) from exc


def open_reader(pdf: bytes) -> PdfFileReader:
    """Return a reader. Raises: DocumentEncrypted; inside `reading`: DocumentUnreadable."""
    reader = PdfFileReader(BytesIO(pdf))
    if reader.encrypted:
        raise DocumentEncrypted
    return reader


def open_writer(pdf: bytes) -> IncrementalPdfFileWriter:
    """Return a writer that appends. Raises: DocumentEncrypted; inside `reading`: DocumentUnreadable."""
    reader = open_reader(pdf)
    writer = IncrementalPdfFileWriter.from_reader(reader)
    writer._update_meta = _leave  # type: ignore[method-assign]  # noqa: SLF001 (it would rewrite the XMP of PDF/A)
    return writer


def signed_fields(writer: IncrementalPdfFileWriter) -> list[Any]:
    """Return (name, value, reference) of the signature fields that hold a signature."""
    return list(enumerate_sig_fields(writer, filled_status=True))


def entry(dictionary: Any, name: str, default: Any = None) -> Any:
    """Return an entry of a dictionary, followed where it is a reference, which `dict.get` does not do."""
    try:
        return dictionary[name]
    except KeyError:
        return default


def _leave() -> None:
    """Leave the metadata as it is."""
