"""What can be wrong with a PDF that is to be signed."""

from archive.kernel.errors import Conflict, InvalidInput, LiuhenError


class DocumentUnreadable(LiuhenError):
    """The PDF cannot be read, so it cannot be signed."""

    code = "signing.document_unreadable"
    exit_code = 65


class DocumentEncrypted(InvalidInput):
    """The PDF is encrypted: take its encryption away before it is signed."""

    code = "signing.document_encrypted"


class FieldMissing(InvalidInput):
    """The document has no such empty field: it was not prepared, or it is signed there already."""

    code = "signing.field_missing"


class DocumentClosed(Conflict):
    """The last signature of the document forbids whatever comes after it, or locks this field."""

    code = "signing.document_closed"


class MarksDiffer(InvalidInput):
    """There are not as many pictures for the pages as places were prepared for them."""

    code = "signing.marks_differ"


class SignatureTooLarge(LiuhenError):
    """The signature with its timestamp needs more room than was left for it; nothing was signed."""

    code = "signing.signature_too_large"


class NothingToStamp(Conflict):
    """The newest signature of this document has a timestamp already, or something was added after it."""

    code = "signing.nothing_to_stamp"
