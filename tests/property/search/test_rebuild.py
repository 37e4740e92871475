"""Whatever happens to cases, subjects, officers and what is filed: the index is the one that a rebuild would make."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import select, text

from archive.cases.changes import change_case, update_act
from archive.cases.filing import AlreadyLinked, NotLinked, link_object, open_case, record_act, unlink_object
from archive.cases.indexing import missing_count, rebuild_index
from archive.cases.merges import NotMerged, SubjectMerged, merge_subjects, separate_subjects
from archive.cases.records import file_text_record
from archive.cases.subjects import KnownSubject, NewSubject, record_subject, update_subject
from archive.cases.terms import Category, RecordForm, Stage, SubjectKind
from archive.kernel.errors import InvalidInput
from archive.ledger.entries import OPERATOR
from archive.organisation.officers import OfficerFacts, record_officer
from archive.search.documents import Depth
from archive.search.models import SearchDocument
from archive.search.queries import search
from tests.support.archive_home import PDF, ArchiveHome, make_home

ANY = st.integers(0, 9)
NAMES = st.sampled_from(["张三", "官渡区阿明烧烤店", "Café 7", "李四", "现场检查笔录"])


class Walk(RuleBasedStateMachine):
    """All runs go on in one archive, which begins with a case, an act and an item under it."""

    home: ClassVar[ArchiveHome]
    dock: ClassVar[Any]
    subjects: ClassVar[list[Any]]
    cases: ClassVar[list[Any]]
    acts: ClassVar[list[tuple[Any, Any]]]
    objects: ClassVar[list[Any]]
    fresh: ClassVar[Iterator[int]]

    @property
    def by(self) -> dict[str, Any]:
        return {"by": OPERATOR, "at": self.home.clock.step(timedelta(seconds=1))}

    @rule(name=NAMES)
    def record_subject(self, name: str) -> None:
        given = NewSubject(name, SubjectKind.PERSON)
        self.subjects.append(record_subject(self.home.database, self.home.services.identifiers, given, **self.by))

    @rule(pick=ANY, name=NAMES)
    def rename_subject(self, pick: int, name: str) -> None:
        update_subject(self.home.database, of(self.subjects, pick), name=name, **self.by)

    @rule(pick=ANY, other=ANY)
    def merge(self, pick: int, other: int) -> None:
        with suppress(SubjectMerged, InvalidInput):
            one, two = of(self.subjects, pick), of(self.subjects, other)
            merge_subjects(self.home.database, one, two, reason="x", **self.by)

    @rule(pick=ANY)
    def separate(self, pick: int) -> None:
        with suppress(NotMerged):
            separate_subjects(self.home.database, of(self.subjects, pick), reason="x", **self.by)

    @rule(pick=ANY, title=NAMES)
    def open(self, pick: int, title: str) -> None:
        self.cases.append(
            open_case(
                self.home.database, self.home.services.identifiers, number=f"〔2026〕{next(self.fresh)}号", title=title,
                category=Category.PENALTY, subject=KnownSubject(of(self.subjects, pick)), **self.by,
            )
        )  # fmt: skip

    @rule(pick=ANY, other=ANY, title=st.none() | NAMES, renumber=st.booleans())
    def change(self, pick: int, other: int, title: str | None, renumber: bool) -> None:
        number = f"〔2026〕{next(self.fresh)}-1号" if renumber else None
        subject = KnownSubject(of(self.subjects, other))
        with self.home.database.begin() as tx:
            change_case(
                tx, self.home.services.identifiers, of(self.cases, pick), number=number, title=title, subject=subject,
                **self.by,
            )  # fmt: skip

    @rule(pick=ANY, place=NAMES)
    def act(self, pick: int, place: str) -> None:
        case, at = of(self.cases, pick), self.home.clock.now()
        act = record_act(
            self.home.database, case, stage=Stage.INSPECTION, place=place, started_at=at, ended_at=None, **self.by
        )
        self.acts.append((case, act))

    @rule(pick=ANY, place=NAMES)
    def change_act(self, pick: int, place: str) -> None:
        at = self.home.clock.now() - timedelta(days=40)
        update_act(
            self.home.database, *of(self.acts, pick), stage=Stage.DECISION, place=place, started_at=at, ended_at=None,
            **self.by,
        )  # fmt: skip

    @rule(name=NAMES)
    def deliver(self, name: str) -> None:
        self.objects.append(self.home.deliver(self.dock, f"text {next(self.fresh)}".encode(), f"{name}.mp4"))

    @rule(pick=ANY, title=NAMES)
    def file(self, pick: int, title: str) -> None:
        services = self.home.services
        record = file_text_record(
            services.database, services.objects, services.signer, case_id=of(self.cases, pick), form=RecordForm.OTHER,
            title=title, name="笔录.pdf", pdf=PDF, **self.by,
        )  # fmt: skip
        self.objects.append(record)

    @rule(pick=ANY, other=ANY)
    def link(self, pick: int, other: int) -> None:
        (case, act), found = of(self.acts, pick), of(self.objects, other)
        with suppress(AlreadyLinked):
            link_object(self.home.database, case, found, act_id=act, reason="x", **self.by)

    @rule(pick=ANY, other=ANY)
    def unlink(self, pick: int, other: int) -> None:
        with suppress(NotLinked):
            unlink_object(self.home.database, of(self.cases, pick), of(self.objects, other), reason="x", **self.by)

    @rule(name=NAMES, number=st.integers(1, 3))
    def officer(self, name: str, number: int) -> None:
        record_officer(self.home.database, OfficerFacts(f"YN-{number}", name, agency="官渡区综合执法局"), **self.by)

    @invariant()
    def nothing_is_missing(self) -> None:
        with self.home.database.read() as tx:
            assert missing_count(tx) == 0

    def teardown(self) -> None:
        before = stored(self.home)
        assert rebuild_index(self.home.database) == len(before[3])
        assert stored(self.home) == before


def of(things: Sequence[Any], pick: int) -> Any:
    """Return one of the newest things."""
    return things[-1 - pick % len(things)]


def stored(home: ArchiveHome) -> tuple[Any, Any, Any, Any]:
    """Return all that the index holds, in whatever form, and what is found in it."""
    with home.database.read() as tx:
        documents = sorted(tuple(map(repr, row)) for row in tx.execute(select(SearchDocument.__table__)))
        found = [hit.ref_id for hit in search(tx, "2026", depth=Depth.CONTENT, limit=1000).hits]
        ids = set(tx.scalars(select(SearchDocument.ref_id)))
        if not home.database.is_sqlite:
            return documents, None, found, ids
    with home.database.begin() as tx:
        tx.execute(text("INSERT INTO search_index(search_index) VALUES ('integrity-check')"))
        tx.execute(text("CREATE VIRTUAL TABLE temp.terms USING fts5vocab(main, search_index, 'instance')"))
        terms = tx.execute(text("SELECT term, doc, col, offset FROM temp.terms ORDER BY 1, 2, 3, 4")).all()
        tx.execute(text("DROP TABLE temp.terms"))
    return documents, terms, found, ids


def test_the_index_is_what_a_rebuild_would_make(database_url: str, tmp_path: Path) -> None:
    home = make_home(tmp_path, database_url)

    class OfThisHome(Walk):
        pass

    OfThisHome.home, OfThisHome.dock, OfThisHome.fresh = home, home.dock(), count()
    OfThisHome.subjects, OfThisHome.cases, OfThisHome.acts, OfThisHome.objects = [], [], [], []
    first = OfThisHome()
    for begin in (
        first.record_subject,
        lambda name: first.open(0, name),
        lambda name: first.act(0, name),
        first.deliver,
    ):
        begin("张三")
    first.link(0, 0)
    run_state_machine_as_test(OfThisHome, settings=settings(max_examples=6, stateful_step_count=25))
    home.services.close()
