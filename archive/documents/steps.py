"""The steps of signing a record: who signs where and in which order, as its template says. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from archive.documents.template import Template
from archive.documents.typesetting import Place, SetDocument
from signing.document_fields import Box, PageMarks, SignatureField


class SignedBy(StrEnum):
    """With what somebody signs: an own certificate, the hand, the seal of the agency."""

    CERTIFICATE = "certificate"
    HAND = "hand"
    SEAL = "seal"


@dataclass(frozen=True, slots=True)
class Step:
    """One signature of a record. `number` counts those of one role, from 1; `count` is how many these are."""

    role: str
    number: int
    count: int
    by: SignedBy
    label: str
    is_required: bool
    may_refuse: bool
    on_every_page: bool
    across_pages: bool

    @property
    def place(self) -> str:
        """The name of its place on the paper."""
        return self.role if self.count == 1 else f"{self.role}.{self.number}"

    @property
    def field(self) -> str:
        """The name of its field in the PDF, where a full stop means something else."""
        return self.place.replace(".", "-")

    @property
    def marks(self) -> str | None:
        """The name of the marks that it leaves on other pages, if any."""
        if self.on_every_page:
            return f"{self.role}-page"
        return f"{self.role}-across" if self.across_pages else None


def steps_of(template: Template) -> Sequence[Step]:
    """Return the signatures of a record in the order of its template."""
    return [
        Step(
            role=signature.role,
            number=number,
            count=signature.count,
            by=SignedBy(signature.by),
            label=signature.label.zh,
            is_required=signature.required,
            may_refuse=signature.may_refuse,
            on_every_page=signature.every_page,
            across_pages=signature.across_pages,
        )
        for signature in template.signatures
        for number in range(1, signature.count + 1)
    ]


def due_steps(steps: Sequence[Step], done: Collection[str]) -> Sequence[Step]:
    """Return the steps that may be made now; `done` are places.

    These are the next required one with those of its role, and before it what may be left out. Nothing is due once all
    that is required is there.
    """
    if is_complete(steps, done):
        return []
    found: list[Step] = []
    waits_for: str | None = None
    for step in steps:
        if step.place in done:
            continue
        if waits_for is not None and step.role != waits_for:
            break
        found.append(step)
        if step.is_required:
            waits_for = step.role
    return found


def is_complete(steps: Sequence[Step], done: Collection[str]) -> bool:
    """Return whether all signatures that are required are there."""
    return all(step.place in done for step in steps if step.is_required)


def is_last(step: Step, steps: Sequence[Step], done: Collection[str]) -> bool:
    """Return whether a record is complete with this step."""
    return is_complete(steps, {*done, step.place})


def fields_of(paper: SetDocument, steps: Sequence[Step]) -> tuple[Sequence[SignatureField], Sequence[PageMarks]]:
    """Return the fields that a set record gets before its first signature: one for each step, and marks on pages."""
    boxes = {place.name: _box(place) for place in paper.places}
    signatures, marks = [], []
    for step in steps:
        locks: list[str] = []
        on_pages = [
            _box(place)
            for place in paper.places
            if place.name == f"{step.role}.page" or place.name.startswith(f"{step.role}.across.")
        ]
        if step.marks is not None and step.number == 1 and on_pages:
            marks.append(PageMarks(step.marks, on_pages))
            locks.append(step.marks)
        signatures.append(SignatureField(step.field, boxes.get(step.place), locks))
    return signatures, marks


def _box(place: Place) -> Box:
    return Box(place.page - 1, *place.box)
