"""Setting a text record: the paper of a template and its values, with the code that carries their digest."""

import io
from typing import Any, Final

import segno

from archive.documents.faces import shownable
from archive.documents.paper import compose
from archive.documents.template import Template
from archive.documents.typesetting import SetDocument, Typesetter
from archive.documents.values import Values
from archive.kernel.instants import Instant

_VERSION: Final = "liuhen-record:1"


def record_code(template: Template, values: Values) -> str:
    """Return what the code on a record says: `liuhen-record:1;<template>:<version>;<number>;sha256:<hex>`.

    The digest is that of the canonical JSON of the values (`Values.digest`), the number is the record's as it is
    printed, or empty. Source: docs/formats/template.md.
    """
    number = str(compose(template, values, is_draft=False)["number"]).replace(";", "")
    return f"{_VERSION};{template.code}:{template.version};{number};{values.digest()}"


class RecordSetter:
    """Sets text records of every template with one compiler that is kept. Usable from several threads."""

    def __init__(self) -> None:
        """Take the layout of text records."""
        self._typesetter = Typesetter("paper")

    def set_record(self, template: Template, values: Values, *, at: Instant, is_draft: bool = False) -> SetDocument:
        """Return a record as PDF/A-2b, dated `at`, with the places of its signatures and seals.

        A place is named after its role: `party`; `officer.1` and `officer.2` where several sign; `party.page` at the
        foot of every page; `agency.across.1` for the part of the seal on each page of the first group of at most eight,
        from the first page's to the last one's. A draft says so on every page, carries no code, and shows blanks.
        Raises: TypesettingFault.
        """
        paper = _paper(template, values, is_draft=is_draft)
        if not is_draft:
            paper["foot"] += f"　{values.digest()}"
            paper["code"] = _picture(record_code(template, values))
        return self._typesetter.set_document(paper, at=at)

    def set_pages(self, template: Template, values: Values, *, at: Instant, ppi: int) -> tuple[bytes, ...]:
        """Return each page of a draft as a PNG. Raises: TypesettingFault."""
        return self._typesetter.set_pictures(_paper(template, values, is_draft=True), at=at, ppi=ppi)


def _paper(template: Template, values: Values, *, is_draft: bool) -> dict[str, Any]:
    paper: dict[str, Any] = dict(compose(template, values, is_draft=is_draft))
    paper["foot"] = f"文书格式 {template.code} 第{template.version}版"
    paper["code"] = None
    return paper


def _picture(text: str) -> str:
    """Return a QR code as SVG."""
    out = io.BytesIO()
    segno.make_qr(shownable(text), error="m").save(out, kind="svg", border=0, xmldecl=False, nl=False)
    return out.getvalue().decode("ascii")
