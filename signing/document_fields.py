"""The form fields that a document gets before its first signature, in one go: later signers fill what is there.

After a certifying signature that allows filling in (DocMDP P=2) new visible fields count as a forbidden change, for
pyHanko as for other validators; so all that will be shown must have its place from the start.

What is shown on many pages for one signature (逐页签名, 骑缝章) are the `PageMarks`. What was tried for them:

1. One signature field with a widget on each page: ISO 32000-2 section 12.7.5.5 forbids it, and pyHanko's rules do not
   look at the widgets of a signature field after the first.
2. A signature field per page, left unsigned, its appearance filled: filling an unsigned signature field is a
   suspicious modification for pyHanko, rightly.
3. Text fields: allowed by all rules, but the viewer of Firefox lays an input box over the appearance.
4. Push buttons: allowed by all rules and drawn by poppler, PDFium, pdf.js and Acrobat. ISO 19005-2 section 6.3.3 wants
   states (a dictionary) as the appearance of a widget whose own `/FT` is `/Btn`, which PDFium does not draw for push
   buttons. So the type stands in a parent field, and the widgets are its kids, with a name each and a stream each.

4 it is. The signature that the marks belong to locks them (FieldMDP), so that a later change to one of them shows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from archive.kernel.errors import Conflict, InvalidInput


class FieldsRefused(InvalidInput):
    """A field has no name that is free, no page that is there, or a box outside its page."""

    code = "signing.fields_refused"


class DocumentSignedAlready(Conflict):
    """The document is signed already, so no fields are added to it."""

    code = "signing.document_signed_already"


@dataclass(frozen=True, slots=True)
class Box:
    """A place on a page, the first page being 0. Units: points from the lower left corner of the page."""

    page: int
    left: float
    bottom: float
    right: float
    top: float

    @property
    def width(self) -> float:
        """Its width."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Its height."""
        return self.top - self.bottom


@dataclass(frozen=True, slots=True)
class PageMarks:
    """Places on pages that show something in the revision of one signature; filled in their order."""

    name: str
    boxes: Sequence[Box]


@dataclass(frozen=True, slots=True)
class SignatureField:
    """A field for one signature; without a box it is not seen. `locks` names the marks that belong to it."""

    name: str
    box: Box | None = None
    locks: Sequence[str] = ()


def prepare(pdf: bytes, *, signatures: Sequence[SignatureField], marks: Sequence[PageMarks] = ()) -> bytes:
    """Return the PDF with these empty fields appended in one revision.

    Raises: FieldsRefused, DocumentSignedAlready, DocumentUnreadable, DocumentEncrypted.
    """
    from signing.pyhanko_fields import add_fields

    names = [*(field.name for field in signatures), *(each.name for each in marks)]
    known = {each.name for each in marks}
    if len(set(names)) != len(names) or not all(name and "." not in name for name in names):
        raise FieldsRefused("Names of fields are free, not empty, and without a full stop", names=names)
    if not all(known.issuperset(field.locks) for field in signatures):
        raise FieldsRefused("A signature locks marks that are not prepared")
    return add_fields(pdf, signatures=signatures, marks=marks)


def seam_boxes(
    page_sizes: Sequence[tuple[float, float]], *, slices: Sequence[int], seal_height: float
) -> Sequence[Box]:
    """Return where the slices of the seals across the pages stand: at the right edge, at three fifths of the height.

    `slices` is over how many pages each seal goes (`signing.seals.pages_per_seal`). Units: points.
    Raises: FieldsRefused, when the seals do not go over exactly these pages.
    """
    if sum(slices) != len(page_sizes):
        raise FieldsRefused("The seals across the pages do not go over all pages")
    places = [seal_height / parts for parts in slices for _ in range(parts)]
    return tuple(
        Box(page, right - width, top * 0.6 - seal_height / 2, right, top * 0.6 + seal_height / 2)
        for page, ((right, top), width) in enumerate(zip(page_sizes, places, strict=True))
    )


@dataclass(frozen=True, slots=True)
class FieldSizes:
    """Width and height of what is seen: of each signature field, and of each place of the marks. Units: points."""

    fields: Mapping[str, tuple[float, float]]
    marks: Mapping[str, Sequence[tuple[float, float]]]


def field_sizes(pdf: bytes) -> FieldSizes:
    """Return how large the prepared fields are, by name. Raises: DocumentUnreadable, DocumentEncrypted."""
    from signing.pyhanko_fields import sizes_of_fields

    return sizes_of_fields(pdf)


def page_sizes(pdf: bytes) -> Sequence[tuple[float, float]]:
    """Return the right and upper edge of each page. Units: points. Raises: DocumentUnreadable, DocumentEncrypted."""
    from signing.pyhanko_fields import sizes_of_pages

    return sizes_of_pages(pdf)
