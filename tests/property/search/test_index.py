"""The index finds what reading every text would find: on both databases, after any changes, page by page."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archive.db.database import Database
from archive.kernel.ids import new_uuid7
from archive.search.documents import Depth, Document, Kind, clear_index, index_documents, place_of
from archive.search.folding import fold
from archive.search.queries import Filters, query_words, search

START = datetime(2026, 2, 27, 23, tzinfo=UTC)
IDS = [new_uuid7() for _ in range(6)]
# Few characters, so that words, pairs and triples meet.
TEXTS = st.text(alphabet="检查录 ab0〔)_\n-🚓", max_size=9)
WORDS = st.text(alphabet='检查录 ab0〔)"-🚓', min_size=1, max_size=6)


@dataclass(frozen=True)
class Asked:
    """A search."""

    words: str
    depth: Depth
    kind: Kind | None
    state: str | None
    place: str
    hours: tuple[int, int] | None
    limit: int


@st.composite
def documents(draw: st.DrawFn) -> Document:
    hours = timedelta(hours=draw(st.integers(0, 60)))
    return Document(
        kind=draw(st.sampled_from([Kind.CASE, Kind.RECORD, Kind.ITEM])),
        ref_id=draw(st.sampled_from(IDS)),
        fields=[("name", draw(TEXTS)), ("place", draw(TEXTS)), ("device", draw(TEXTS))],
        facets=[("state", state) for state in draw(st.sets(st.sampled_from("xy")))],
        taken_at=START,
        happened_at=START + hours,
        content=draw(st.one_of(st.just(""), TEXTS)),
    )


ASKED = st.builds(
    Asked,
    words=WORDS,
    depth=st.sampled_from(Depth),
    kind=st.none() | st.sampled_from([Kind.CASE, Kind.RECORD, Kind.ITEM]),
    state=st.none() | st.sampled_from("xyz"),
    place=st.just("") | WORDS,
    hours=st.none() | st.tuples(st.integers(0, 60), st.integers(0, 60)),
    limit=st.integers(1, 4),
)


def is_found(document: Document, asked: Asked) -> bool:
    """Read the document from beginning to end."""
    texts = [fold(value) for _, value in document.fields]
    if asked.depth is Depth.CONTENT:
        texts.append(fold(document.content))
    hour = (document.happened_at - START).total_seconds() / 3600
    words = query_words(asked.words)
    assert words is not None
    return (
        all(any(word in text for text in texts) for word in words)
        and (asked.kind is None or document.kind is asked.kind)
        and (asked.state is None or ("state", asked.state) in document.facets)
        and fold(asked.place) in fold(document.fields[1][1])
        and (asked.hours is None or asked.hours[0] <= hour < asked.hours[1])
    )


def ask(database: Database, asked: Asked) -> list[UUID]:
    since, until = (None, None) if asked.hours is None else [START + timedelta(hours=hour) for hour in asked.hours]
    facets = () if asked.state is None else (("state", asked.state),)
    found: list[UUID] = []
    cursor = None
    while True:
        with database.read() as tx:
            page = search(
                tx,
                asked.words,
                filters=Filters(kind=asked.kind, facets=facets, place=asked.place, since=since, until=until),
                depth=asked.depth,
                cursor=cursor,
                limit=asked.limit,
            )
        found += [hit.ref_id for hit in page.hits]
        cursor = page.next_cursor
        if cursor is None:
            return found


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(documents(), min_size=1, max_size=12), questions=st.lists(ASKED, min_size=1, max_size=8))
def test_what_is_found_is_what_reading_would_find(
    database: Database, changes: list[Document], questions: list[Asked]
) -> None:
    with database.begin() as tx:
        clear_index(tx)
    standing: dict[UUID, Document] = {}
    for document in changes:
        if document.ref_id in standing:
            # What a thing is does not change.
            document = Document(**{**_fields(document), "kind": standing[document.ref_id].kind})  # noqa: PLW2901
        standing[document.ref_id] = document
        with database.begin() as tx:
            index_documents(tx, [document.ref_id], lambda ids: [standing[ref_id] for ref_id in ids])
    for asked in questions:
        expected = [document for document in standing.values() if is_found(document, asked)]
        expected.sort(key=lambda document: place_of(document.kind, document.happened_at, document.ref_id), reverse=True)
        assert ask(database, asked) == [document.ref_id for document in expected], asked


def _fields(document: Document) -> dict[str, object]:
    return {name: getattr(document, name) for name in Document.__slots__}
