"""Arranging a case file: which volume a paper stands in, at which place, on which pages. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Final
from uuid import UUID

from archive.cases.terms import RecordForm, Stage
from archive.volumes.rules import Section, VolumeKind, VolumeRules

_LAST: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class Paper:
    """What is filed under a case: a text record with its form and pages, or footage with the stage of its act.

    `pages` is None where there are none (footage) or where nobody knows them yet. `dated_at` orders what the rules
    leave open. `volume` and `place` are what people chose instead of the rules, if they did.
    """

    object_id: UUID
    title: str
    dated_at: datetime
    form: RecordForm | None = None
    stage: Stage | None = None
    pages: int | None = None
    volume: VolumeKind | None = None
    place: int | None = None

    @property
    def is_record(self) -> bool:
        """Whether it is a text record."""
        return self.form is not None


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a catalogue (卷内目录): number, paper, section, first and last page; no pages for footage."""

    number: int
    paper: Paper
    section: str
    first_page: int | None
    last_page: int | None


@dataclass(frozen=True, slots=True)
class Arranged:
    """A volume as it would be closed now. `pages` counts those of its text records."""

    kind: VolumeKind
    lines: Sequence[Line]
    pages: int

    @property
    def unpaged(self) -> Sequence[Line]:
        """The text records whose pages nobody knows: a volume with such is not closed."""
        return [line for line in self.lines if line.paper.is_record and line.paper.pages is None]


def arrange(papers: Iterable[Paper], rules: VolumeRules) -> Mapping[VolumeKind, Arranged]:
    """Return both volumes of a case file, in the order of the rules and with the changes that people made.

    1. The section of a paper is that of its form, of footage that of its stage; what has neither stands with the form
       `other`. 2. In a section records come by the order of the forms, then by date; footage comes behind them.
    3. A paper that people put at a place of a volume stands there. 4. Pages run through a volume.
    """
    placed = [(*_place(paper, rules), paper) for paper in papers]
    found: dict[VolumeKind, Arranged] = {}
    for kind in VolumeKind:
        here = [(key, section, paper) for volume, key, section, paper in placed if volume is kind]
        ruled = sorted((one for one in here if one[2].place is None), key=lambda one: one[0])  # steps 1 and 2
        for _, section, paper in sorted((one for one in here if one[2].place is not None), key=_chosen):  # step 3
            ruled.insert(min((paper.place or 1) - 1, len(ruled)), ((), section, paper))
        found[kind] = _numbered(kind, [(section, paper) for _, section, paper in ruled])
    return found


def sections_of(lines: Sequence[Line]) -> Sequence[tuple[str, Sequence[Line]]]:
    """Return the lines of a catalogue by their sections, in their order."""
    return [(name, list(found)) for name, found in groupby(lines, key=lambda line: line.section)]


def _numbered(kind: VolumeKind, papers: Sequence[tuple[Section, Paper]]) -> Arranged:
    lines, page = [], 0
    for number, (section, paper) in enumerate(papers, start=1):
        first = last = None
        if paper.pages:
            first, page = page + 1, page + paper.pages
            last = page
        lines.append(Line(number, paper, section.name, first, last))
    return Arranged(kind, lines, page)


def _chosen(placed: tuple[tuple[object, ...], Section, Paper]) -> tuple[int, UUID]:
    paper = placed[2]
    return paper.place or 1, paper.object_id


def _place(paper: Paper, rules: VolumeRules) -> tuple[VolumeKind, tuple[object, ...], Section]:
    """Return volume, place among all papers, and section."""
    for at, section in enumerate(rules.sections):
        if paper.form is not None and paper.form in section.forms:
            rank = section.forms.index(paper.form)
        elif paper.form is None and paper.stage is not None and paper.stage in section.stages:
            rank = _LAST
        else:
            continue
        return paper.volume or section.volume, (at, rank, paper.dated_at, paper.object_id), section
    at, section = next((at, found) for at, found in enumerate(rules.sections) if RecordForm.OTHER in found.forms)
    return paper.volume or section.volume, (at, _LAST, paper.dated_at, paper.object_id), section
