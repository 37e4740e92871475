"""What pages of certificates have in common: a file of keys as the answer, files that are sent in, faults of both."""

import secrets
from typing import Final

from fastapi import Response

from archive.documents.issuing import IssuedFile, is_waiting
from archive.kernel.errors import LiuhenError, StorageFull, Unavailable
from archive.kernel.ids import CertificateId, KeyRequestId
from archive.web.pages.content import disposition
from archive.web.pages.forms import Form
from archive.web.pages.rendering import go_to
from archive.wiring import Services

MOST_CERTIFICATE_BYTES: Final = 64 * 1024
MOST_LABEL_CHARACTERS: Final = 200
MOST_REASON_CHARACTERS: Final = 500
_PLACES: Final = {"keyfile.passphrase_refused": "passphrase"}
_NOT_OURS: Final = (StorageFull, Unavailable)


def key_file(issued: IssuedFile, name: str) -> Response:
    """Return the file of keys as the answer, which no cache keeps: there is no other copy."""
    headers = {"Content-Disposition": disposition("attachment", f"{name}.p12"), "Cache-Control": "no-store"}
    return Response(issued.pkcs12, media_type="application/x-pkcs12", headers=headers)


def passphrase_of(form: Form) -> str:
    """Return the passphrase that a form gives for a file of keys; what is said of its length is said later."""
    passphrase = form.value("passphrase")
    if not passphrase:
        form.refuse("passphrase", "form.required")
    return passphrase


def refuse_file(form: Form, data: bytes, *, required: bool = True) -> None:
    """Note what is wrong with the size of a file that was sent."""
    if not data and required:
        form.refuse("file", "form.required")
    elif len(data) > MOST_CERTIFICATE_BYTES:
        form.refuse("file", "certificates.file_too_large", most=MOST_CERTIFICATE_BYTES // 1024)


def refuse_error(form: Form, error: LiuhenError, otherwise: str) -> None:
    """Say beside its field what cannot be done; what is not the form's fault is raised on.

    Raises: the error, where it is one of the machine.
    """
    if isinstance(error, _NOT_OURS) or error.code == LiuhenError.code:
        raise error
    form.refuse(_PLACES.get(error.code, otherwise), f"error.{error.code}")


def after(services: Services, done: CertificateId | KeyRequestId) -> Response:
    """Return the way to what came of an act: the certificate, or the list where a request waits."""
    with services.database.read() as tx:
        waits = is_waiting(tx, done)
    return go_to("/certificates?done=certificate_asked" if waits else f"/certificates/{done}?done=certificate_done")


def new_passphrase() -> str:
    """Return a passphrase for one file of keys, to be shown once."""
    return secrets.token_urlsafe(15)
