"""pyHanko appends empty form fields. Import it late. Why the fields are as they are: `signing.document_fields`."""

from collections.abc import Sequence
from io import BytesIO
from typing import Any, Final

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name, pdf_string
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

from signing.document_fields import Box, DocumentSignedAlready, FieldSizes, FieldsRefused, PageMarks, SignatureField
from signing.pyhanko_reading import entry, open_reader, open_writer, reading, signed_fields

_PRINTED_AND_LOCKED: Final = 4 | 128
_READ_ONLY: Final = 1
_PUSH_BUTTON: Final = 1 << 16
_SIGNATURES_EXIST_APPEND_ONLY: Final = 3


def add_fields(pdf: bytes, *, signatures: Sequence[SignatureField], marks: Sequence[PageMarks]) -> bytes:
    """Return the PDF with the fields. Raises: as `signing.document_fields.prepare`."""
    with reading():
        writer = open_writer(pdf)
        if signed_fields(writer):
            raise DocumentSignedAlready
        pages = _Pages(writer)
        form = _form(writer, {*(field.name for field in signatures), *(each.name for each in marks)})
        blank = writer.add_object(_blank())
        for field in signatures:
            form.append(_signature_field(writer, field, pages, blank))
        for each in marks:
            form.append(_marks_field(writer, each, pages, blank))
        pages.write()
        out = BytesIO()
        writer.write(out)
    return out.getvalue()


def sizes_of_pages(pdf: bytes) -> Sequence[tuple[float, float]]:
    """Return the right and upper edge of each page."""
    with reading():
        reader = open_reader(pdf)
        found: list[tuple[float, float]] = []
        _walk(reader.root.raw_get("/Pages"), None, lambda _, box: found.append(box[2:]))
    return found


def sizes_of_fields(pdf: bytes) -> FieldSizes:
    """Return the sizes of the fields of signatures and of marks."""
    fields: dict[str, tuple[float, float]] = {}
    marks: dict[str, list[tuple[float, float]]] = {}
    with reading():
        form = entry(open_reader(pdf).root, "/AcroForm", {})
        for reference in entry(form, "/Fields", ()):
            found = reference.get_object()
            name = str(entry(found, "/T", ""))
            if "/Kids" in found:
                marks[name] = [_size(kid.get_object()) for kid in found["/Kids"]]
            elif entry(found, "/FT") == "/Sig":
                fields[name] = _size(found)
    return FieldSizes({name: size for name, size in fields.items() if all(size)}, marks)


def _size(widget: Any) -> tuple[float, float]:
    left, bottom, right, top = (float(each) for each in entry(widget, "/Rect", (0, 0, 0, 0)))
    return round(right - left, 2), round(top - bottom, 2)


class _Pages:
    """All pages of a document, walked once: looking each of 5,000 pages up alone would take minutes."""

    def __init__(self, writer: IncrementalPdfFileWriter) -> None:
        self._writer = writer
        self._found: list[tuple[Any, tuple[float, float, float, float]]] = []
        self._added: dict[int, list[Any]] = {}
        _walk(writer.root.raw_get("/Pages"), None, lambda ref, box: self._found.append((ref, box)))

    def reference(self, box: Box) -> Any:
        """Return the page of a box that lies on it. Raises: FieldsRefused."""
        if not 0 <= box.page < len(self._found):
            raise FieldsRefused("There is no such page", page=box.page, pages=len(self._found))
        reference, (left, bottom, right, top) = self._found[box.page]
        is_inside = left <= box.left < box.right <= right + 0.01 and bottom <= box.bottom < box.top <= top + 0.01
        if not is_inside:
            raise FieldsRefused("A box lies outside its page", page=box.page)
        return reference

    def attach(self, page: int, widget: Any) -> None:
        """Note a widget of a page down."""
        self._added.setdefault(page, []).append(widget)

    def write(self) -> None:
        """Put the widgets into the annotations of their pages."""
        for page, widgets in self._added.items():
            reference = self._found[page][0]
            target = reference.get_object()
            annotations = entry(target, "/Annots")
            if annotations is None:
                target[pdf_name("/Annots")] = generic.ArrayObject(widgets)
                self._writer.mark_update(reference)
            else:
                annotations.extend(widgets)
                self._writer.update_container(annotations)


def _walk(node: Any, box: Any, visit: Any) -> None:
    """Visit each page with its reference and media box, in order, without recursion."""
    waiting, seen = [(node, box)], set()
    while waiting:
        reference, inherited = waiting.pop()
        if reference.reference in seen:
            raise ValueError("The page tree goes round in circles")
        seen.add(reference.reference)
        found = reference.get_object()
        own = entry(found, "/MediaBox", inherited)
        if "/Kids" in found:
            waiting += [(kid, own) for kid in reversed(found["/Kids"])]
        else:
            left, bottom, right, top = (float(own[at]) for at in range(4))
            visit(reference, (min(left, right), min(bottom, top), max(left, right), max(bottom, top)))


def _form(writer: IncrementalPdfFileWriter, names: set[str]) -> Any:
    """Return the array of fields of the document's form, which is made where there is none. Raises: FieldsRefused."""
    root = writer.root
    if "/AcroForm" not in root:
        root[pdf_name("/AcroForm")] = writer.add_object(generic.DictionaryObject())
        writer.update_root()
    form = root["/AcroForm"]
    if "/XFA" in form:
        raise FieldsRefused("The document has an XFA form")
    if "/Fields" not in form:
        form[pdf_name("/Fields")] = generic.ArrayObject()
    fields = form["/Fields"]
    if names & {str(entry(each.get_object(), "/T", "")) for each in fields}:
        raise FieldsRefused("A field of this name is there already")
    form[pdf_name("/SigFlags")] = generic.NumberObject(_SIGNATURES_EXIST_APPEND_ONLY)
    writer.update_container(form)
    writer.update_container(fields)
    return fields


def _blank() -> generic.StreamObject:
    """Return an appearance that shows nothing: PDF/A wants one for each widget. Source: ISO 19005-2 section 6.3.3."""
    return generic.StreamObject(
        {
            pdf_name("/Type"): pdf_name("/XObject"),
            pdf_name("/Subtype"): pdf_name("/Form"),
            pdf_name("/BBox"): _numbers(0, 0, 1, 1),
            pdf_name("/Resources"): generic.DictionaryObject(),
        },
        stream_data=b"",
    )


def _widget(box: Box | None, page: Any, blank: Any) -> generic.DictionaryObject:
    found = generic.DictionaryObject(
        {
            pdf_name("/Type"): pdf_name("/Annot"),
            pdf_name("/Subtype"): pdf_name("/Widget"),
            pdf_name("/Rect"): _numbers(0, 0, 0, 0)
            if box is None
            else _numbers(box.left, box.bottom, box.right, box.top),
            pdf_name("/F"): generic.NumberObject(_PRINTED_AND_LOCKED),
            pdf_name("/P"): page,
        }
    )
    if box is not None:
        found[pdf_name("/AP")] = generic.DictionaryObject({pdf_name("/N"): blank})
    return found


def _signature_field(writer: IncrementalPdfFileWriter, field: SignatureField, pages: _Pages, blank: Any) -> Any:
    page = 0 if field.box is None else field.box.page
    found = _widget(field.box, pages.reference(field.box or Box(0, 0, 0, 1, 1)), blank)
    found[pdf_name("/FT")] = pdf_name("/Sig")
    found[pdf_name("/T")] = pdf_string(field.name)
    if field.locks:
        lock = generic.DictionaryObject(
            {
                pdf_name("/Type"): pdf_name("/SigFieldLock"),
                pdf_name("/Action"): pdf_name("/Include"),
                pdf_name("/Fields"): generic.ArrayObject(pdf_string(name) for name in field.locks),
            }
        )
        found[pdf_name("/Lock")] = writer.add_object(lock)
    reference = writer.add_object(found)
    pages.attach(page, reference)
    return reference


def _marks_field(writer: IncrementalPdfFileWriter, marks: PageMarks, pages: _Pages, blank: Any) -> Any:
    parent = generic.DictionaryObject(
        {
            pdf_name("/FT"): pdf_name("/Btn"),
            pdf_name("/Ff"): generic.NumberObject(_PUSH_BUTTON | _READ_ONLY),
            pdf_name("/T"): pdf_string(marks.name),
        }
    )
    parent_reference = writer.add_object(parent)
    kids = generic.ArrayObject()
    for at, box in enumerate(marks.boxes, start=1):
        found = _widget(box, pages.reference(box), blank)
        found[pdf_name("/Parent")] = parent_reference
        found[pdf_name("/T")] = pdf_string(str(at))
        found[pdf_name("/TU")] = pdf_string(f"{marks.name} {at}")
        reference = writer.add_object(found)
        kids.append(reference)
        pages.attach(box.page, reference)
    parent[pdf_name("/Kids")] = kids
    return parent_reference


def _numbers(*values: float) -> generic.ArrayObject:
    return generic.ArrayObject(generic.FloatObject(f"{value:.2f}") for value in values)
