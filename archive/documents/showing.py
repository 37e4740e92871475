"""What a signature of a record says and shows, in the places that its paper has for it."""

from collections.abc import Mapping
from datetime import datetime

from archive.documents.steps import Step
from signing.appearances import Appearance, officer_appearance
from signing.document_cms import Commitment
from signing.document_fields import FieldSizes, field_sizes
from signing.hand_signatures import HandSignature, Refusal
from signing.pades import Statement
from signing.seals import pages_per_seal, round_seal, slices_of
from signing.typefaces import Typeface

BY_HAND = "手写签名由系统密钥封存"
"""Why the service's key signs: it seals in what a party wrote; it is not the party's."""
REFUSED = "当事人拒绝签名，由系统密钥封存理由与见证人"


def of_officer(
    pdf: bytes, step: Step, typeface: Typeface, *, name: str, certificate_number: str, at: datetime, is_last: bool
) -> Statement:
    """Return the statement of an officer: name, number of the certificate and time, approving what stands there."""
    size = field_sizes(pdf).fields.get(step.field)
    shown = None
    if size is not None:
        shown = officer_appearance(
            typeface, name=name, certificate_number=certificate_number, at=at, width=size[0], height=size[1]
        )
    return Statement(commitment=Commitment.APPROVAL, name=name, appearance=shown, is_last=is_last)


def of_party(pdf: bytes, step: Step, typeface: Typeface, hand: HandSignature | Refusal, *, is_last: bool) -> Statement:
    """Return the statement that seals in what a party wrote by hand, or why not, on all pages that ask for it."""
    sizes = field_sizes(pdf)
    size = sizes.fields.get(step.field)
    return Statement(
        reason=REFUSED if isinstance(hand, Refusal) else BY_HAND,
        name=hand.party,
        appearance=None if size is None else _drawn(hand, typeface, size),
        marks=_marks(step, sizes, hand, typeface),
        hand=hand,
        is_last=is_last,
    )


def of_agency(pdf: bytes, step: Step, typeface: Typeface, *, name: str, line: str, is_last: bool) -> Statement:
    """Return the statement of an agency's seal: the round seal in its place, and its slices across the pages."""
    sizes = field_sizes(pdf)
    seal = round_seal(typeface, name=name, line=line)
    places = sizes.marks.get(step.marks or "", ())
    slices = [each for parts in pages_per_seal(len(places)) for each in slices_of(seal, parts)]
    marks: Mapping[str, list[Appearance]] = {step.marks: slices} if step.marks is not None and slices else {}
    return Statement(commitment=Commitment.ORIGIN, name=name, appearance=seal, marks=marks, is_last=is_last)


def _marks(
    step: Step, sizes: FieldSizes, hand: HandSignature | Refusal, typeface: Typeface
) -> Mapping[str, list[Appearance]]:
    if step.marks is None or step.marks not in sizes.marks:
        return {}
    return {step.marks: [_drawn(hand, typeface, size) for size in sizes.marks[step.marks]]}


def _drawn(hand: HandSignature | Refusal, typeface: Typeface, size: tuple[float, float]) -> Appearance:
    width, height = size
    if isinstance(hand, Refusal):
        return hand.appearance(typeface, width=width, height=height)
    return hand.appearance(width=width, height=height)
