"""Makes the cases of a bulk archive with all that belongs to them, block by block.

Skewed as bureaus are: few squads, officers and subjects have most of the cases, few cases most of the footage, and few
items are looked at again and again. The rate is the same whatever the size, so that a larger archive is an older one.
"""

import hashlib
import json
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate
from typing import Any, Final
from uuid import UUID

from archive.cases.terms import Category, RecordForm, Stage
from archive.db.sight import microseconds, party_of
from archive.kernel.instants import Instant
from archive.search.documents import Document, Kind, reach_facet, stored_facets
from archive.search.documents import _rows as document_rows
from archive.search.models import FTS_TABLE
from archive.search.tokens import codes, facet_words, numbers, phrase
from tests.support.bulk import words
from tests.support.bulk.log import Entries, Ids, dashed, instant, moment_text
from tests.support.bulk.office import WATCHED, Office, Officer, Squad
from tests.support.bulk.tables import Row, columns_of

ITEMS_A_DAY: Final = 1000
ITEMS_OF_CASE: Final = 5
ENTRIES_OF_ITEM: Final = 10
FEW: Final = 12
"""Cases of the officer who has few."""
RARE_CASES: Final = 20
_BLOCK: Final = 2000
_UNFILED: Final = 0.02
_SECOND: Final = 1_000_000
_DAY: Final = 86_400 * _SECOND
_ARCHIVE: Final = "00000000000070008000000000000001"
_STAGES: Final = (Stage.INSPECTION, Stage.QUESTIONING, Stage.SEIZURE, Stage.NOTICE)
_PROBE: Final = json.dumps(
    {"size_bytes": 1, "media_type": "video/mp4", "format_name": "mov", "duration_ms": 600_000, "kind": "footage",
     "is_duration_stated": True, "bit_rate": 8_000_000, "orientation": 1, "errors": 0, "tool": "ffprobe 5.1.9",
     "streams": [], "tags": {}, "recorded_at": [], "findings": []}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Made:
    """What a bench looks at: ids as 32 characters."""

    items: int
    cases: int
    entries: int
    seen_case: str
    """A case of the watched squad with as much as most have."""
    large_case: str
    """The case of the watched squad with most footage."""
    seen_item: str
    looked_at_item: str
    """The item of the watched squad that was looked at most."""
    quiet_case: str
    quiet_item: str


@dataclass(slots=True)
class _Subject:
    id: str
    kind: str
    name: str
    at: int
    unit: str
    parties: set[int]


@dataclass(slots=True)
class _Candidates:
    """What may become `Made`."""

    case: str = ""
    large: tuple[int, str] = (-1, "")
    item: str = ""
    looked_at: tuple[int, str] = (-1, "")
    quiet_case: str = ""
    quiet_item: str = ""


@dataclass(slots=True)
class _Case:
    id: str
    number: str
    at: int
    squad: Squad
    classes: int
    parties: set[int] = field(default_factory=set)
    volume: str | None = None


class BulkArchive:
    """All rows of an archive of so many items, ending at a moment."""

    def __init__(self, office: Office, entries: Entries, ids: Ids, *, items: int, end: Instant, has_fts: bool) -> None:
        """Plan it; nothing is made yet."""
        self._office, self._entries, self._ids, self._has_fts = office, entries, ids, has_fts
        self.items, self.cases = items, items // ITEMS_OF_CASE
        self._end = microseconds(end)
        self._start = self._end - items * _DAY // ITEMS_A_DAY
        self._spread = min(5 * _DAY, (self._end - self._start) // 20)
        self._chance = random.Random(items)
        self._subjects: dict[int, _Subject] = {}
        self._rows: dict[str, list[Row]] = defaultdict(list)
        self._places: set[int] = set()
        self._documents: list[dict[str, Any]] = []
        self._found = _Candidates()
        self._squad_weights = _zipf(len(office.squads))
        self._made_items = 0
        self._filed = 0

    def blocks(self) -> Iterator[dict[str, list[Row]]]:
        """Yield the rows of each block of cases, and of what ends them."""
        counts = self._footage_of_cases()
        for first in range(0, self.cases, _BLOCK):
            for number in range(first, min(first + _BLOCK, self.cases)):
                self._case(number, counts[number])
            now = self._opened_at(min(first + _BLOCK, self.cases) - 1)
            self._sign_ins(now)
            yield self._taken(now)
        for subject in self._subjects.values():
            self._subject_rows(subject)
        yield self._taken(None)

    @property
    def made(self) -> Made:
        """What there is, after the last block."""
        found = self._found
        return Made(
            self._made_items, self.cases, self._entries.count, found.case, found.large[1], found.item,
            found.looked_at[1], found.quiet_case, found.quiet_item,
        )  # fmt: skip

    def _taken(self, us: int | None) -> dict[str, list[Row]]:
        self._search_rows()
        rows = {**self._rows, **self._entries.until(us)}
        self._rows.clear()
        return rows

    def _footage_of_cases(self) -> Sequence[int]:
        """Return how many items each case has, so that with those that are filed nowhere there are just enough."""
        chance = self._chance
        weights = [chance.paretovariate(1.6) for _ in range(self.cases)]
        scale = self.items * (1 - _UNFILED) / sum(weights)
        counts = [min(400, int(weight * scale)) for weight in weights]
        left = int(self.items * (1 - _UNFILED)) - sum(counts)
        for step in range(abs(left)):
            counts[(step * 7919) % self.cases] += 1 if left > 0 else 0
        self._filed = sum(counts)
        return counts

    def _opened_at(self, number: int) -> int:
        return self._start + (self._end - self._start) * number // self.cases

    # --- a case ---------------------------------------------------------------------------------------------------

    def _case(self, number: int, footage: int) -> None:
        chance, at = self._chance, self._opened_at(number)
        is_quiet = number % (self.cases // FEW) == self.cases // FEW // 2
        squads = self._office.squads
        squad = squads[WATCHED] if is_quiet else chance.choices(squads, cum_weights=self._squad_weights)[0]
        case_id = self._ids.at(at)
        category, character = words.category(chance)
        subject = self._subject(at, squad)
        title = words.matter(chance, subject.name, is_rare=number % (self.cases // RARE_CASES) == 7)
        case_number = f"官综执{character}〔{instant(at).year}〕第{number:06d}号"
        case = _Case(case_id, case_number, at, squad, 1 if number % 211 == 210 else 0)
        closed = at + int(30 * _DAY * (1 + chance.random()))
        is_closed = closed < self._end and chance.random() < 0.9
        self._rows["case_file"].append(
            (
                case_id, case_number, title, category.value, subject.id, moment_text(at), squad.handler, squad.id,
                case.classes, moment_text(closed) if is_closed else None,
            )
        )  # fmt: skip
        told = json.dumps(
            {"category": category.value, "number": case_number, "subject": dashed(subject.id), "title": title,
             "unit": dashed(squad.id)}, ensure_ascii=False, separators=(",", ":"),
        ).encode()  # fmt: skip
        self._entries.add(at, "case.opened", squad.handler, of=("case", case_id), case=case_id, detail=told)
        if is_closed and chance.random() < 0.7:
            case.volume = self._volume(case, number, closed)
        acts = self._acts(case, is_quiet=is_quiet)
        parties = {*squad.line, *(officer.party for _, _, _, officers in acts for officer in officers)}
        case.parties = parties
        subject.parties |= parties
        self._reach("case", at, case_id, case.classes, parties)
        self._document(
            Kind.CASE, case_id, at, at,
            fields=[
                ("name", title), ("number", case_number), ("subject", subject.name),
                *dict.fromkeys(("place", place) for _, _, place, _ in acts),
            ],
            facets=[
                ("case", dashed(case_id)), ("category", category.value), ("subject", dashed(subject.id)),
                *(("officer", found) for found in {dashed(each.id) for *_, all_ in acts for each in all_}),
            ],
            classes=case.classes, parties=parties,
        )  # fmt: skip
        items = self._footage(case, acts, footage)
        nowhere = self.items - self._filed
        self._unfiled(squad, at, (number + 1) * nowhere // self.cases - number * nowhere // self.cases)
        if number % 2 == 0:
            self._record(case, category, title)
        self._note(case, items, is_quiet=is_quiet)

    def _note(self, case: _Case, items: Sequence[str], *, is_quiet: bool) -> None:
        found = self._found
        if is_quiet and items:
            found.quiet_case, found.quiet_item = case.id, items[0]
        if case.squad is self._office.squads[WATCHED] and not case.classes and not is_quiet:
            if len(items) == ITEMS_OF_CASE:
                found.case, found.item = case.id, items[0]
            found.large = max(found.large, (len(items), case.id))

    def _subject(self, at: int, squad: Squad) -> _Subject:
        index = int(self.cases * 0.55 * self._chance.random() ** 2)
        found = self._subjects.get(index)
        if found is None:
            kind, name = words.subject(self._chance)
            found = _Subject(self._ids.at(at), kind.value, name, at, squad.id, set(squad.line))
            self._subjects[index] = found
            told = json.dumps(
                {"identifiers": [], "kind": kind.value, "name": name, "unit": dashed(squad.id)},
                ensure_ascii=False, separators=(",", ":"),
            ).encode()  # fmt: skip
            self._entries.add(at, "subject.recorded", squad.handler, of=("subject", found.id), detail=told)
        return found

    def _subject_rows(self, subject: _Subject) -> None:
        self._rows["subject"].append((subject.id, subject.kind, subject.name, moment_text(subject.at), subject.unit))
        self._reach("subject", subject.at, subject.id, 0, subject.parties)
        self._document(
            Kind.SUBJECT, subject.id, subject.at, subject.at, fields=[("name", subject.name)],
            facets=[("subject", dashed(subject.id)), ("subject_kind", subject.kind)], classes=0,
            parties=subject.parties,
        )  # fmt: skip

    def _volume(self, case: _Case, number: int, closed: int) -> str:
        volume_id, year = self._ids.at(closed), instant(closed).year
        values: dict[str, Any] = {
            "id": volume_id, "case_id": case.id, "kind": "main", "sequence": 1, "state": "closed",
            "opened_at": moment_text(closed), "opened_by": case.squad.handler, "file_number": f"{year}-{number:06d}",
            "year": year, "serial": number, "closed_at": moment_text(closed), "closed_by": case.squad.handler,
            "lines": 2, "pages": 6, "root": hashlib.sha256(volume_id.encode()).hexdigest(),
            "index_sha256": hashlib.sha256(case.id.encode()).hexdigest(), "retention": "30年",
        }  # fmt: skip
        self._rows["volume"].append(_in_order("volume", values))
        return volume_id

    def _acts(self, case: _Case, *, is_quiet: bool) -> list[tuple[str, int, str, list[Officer]]]:
        chance, squad = self._chance, case.squad
        place, acts = words.place(chance), list[tuple[str, int, str, list[Officer]]]()
        usual = squad.officers[:-1] if squad is self._office.squads[WATCHED] else squad.officers
        for step in range(chance.choices((1, 2, 3, 4), (2, 4, 3, 1))[0]):
            us = min(case.at + int(chance.random() * self._spread / 2), self._end)
            act_id = self._ids.at(us)
            here = place if step != 1 else f"第{squad.dock_credential[-2:]}号询问室"
            officers = chance.choices(usual, cum_weights=_zipf(len(usual)), k=2)
            if is_quiet:
                officers[0] = self._office.quiet
            officers = list(dict.fromkeys(officers))
            self._rows["act"].append(
                (act_id, case.id, _STAGES[step].value, here, moment_text(us), moment_text(us + 1800 * _SECOND))
            )
            self._rows["act_officer"] += [(act_id, officer.id) for officer in officers]
            told = json.dumps(
                {"ended_at": None, "place": here, "stage": _STAGES[step].value}, ensure_ascii=False,
                separators=(",", ":"),
            ).encode()  # fmt: skip
            self._entries.add(us, "case.act", squad.handler, of=("act", act_id), case=case.id, detail=told)
            acts.append((act_id, us, here, officers))
        return sorted(acts, key=lambda act: (act[1], act[0]))

    # --- footage --------------------------------------------------------------------------------------------------

    def _footage(self, case: _Case, acts: Sequence[tuple[str, int, str, list[Officer]]], count: int) -> list[str]:
        items: list[str] = []
        recording, position, last = "", 0, ""
        for number in range(count):
            act_id, us, place, officers = acts[number * len(acts) // count]
            recorded = min(us + position * 600 * _SECOND + 60 * _SECOND, self._end)
            if act_id != last:
                recording, position, last = self._ids.at(recorded), 0, act_id
            received = min(recorded + int((0.1 + self._chance.random()) * self._spread / 4), self._end)
            position += 1
            item = self._item(case.squad, officers[0], recorded, received, recording, position, case, act_id, place)
            items.append(item)
            ends = number + 1 == count or acts[(number + 1) * len(acts) // count][0] != act_id
            if ends:
                self._recording(recording, officers[0], recorded - (position - 1) * 600 * _SECOND, position)
        return items

    def _unfiled(self, squad: Squad, at: int, count: int) -> None:
        """Add what was brought in and is filed nowhere yet."""
        for _ in range(count):
            recorded = max(self._start, at - int(self._chance.random() * self._spread))
            officer = self._chance.choice(squad.officers[:-1])
            recording = self._ids.at(recorded)
            self._item(squad, officer, recorded, at, recording, 1, None, None, "")
            self._recording(recording, officer, recorded, 1)

    def _recording(self, recording: str, officer: Officer, started: int, clips: int) -> None:
        key = hashlib.sha256(officer.serial.encode()).hexdigest()
        length_ms = clips * 600_000
        self._rows["recording"].append(
            (recording, key, officer.serial, None, moment_text(started), moment_text(started + length_ms * 1000), clips,
             length_ms)
        )  # fmt: skip

    def _item(
        self, squad: Squad, officer: Officer, recorded: int, received: int, recording: str, position: int,
        case: _Case | None, act_id: str | None, place: str,
    ) -> str:  # fmt: skip
        chance, rows = self._chance, self._rows
        self._made_items += 1
        item, upload = self._ids.at(received), self._ids.at(received - 60 * _SECOND)
        sha512 = hashlib.sha512(item.encode()).hexdigest()
        sha256, size = sha512[:64], 40_000_000 + int(chance.random() * 600_000_000)
        name = f"{officer.serial.replace('-', '')}_{instant(recorded):%Y%m%d_%H%M%S}.mp4"
        at, began = moment_text(received), moment_text(received - 60 * _SECOND)
        luck = chance.random()
        state = "playable" if luck < 0.97 else "damaged" if luck < 0.99 else "unplayable"
        dock, credential = squad.dock, squad.dock_credential
        rows["preserved_object"].append(
            (item, "item", name, f"original/{name}", "video/mp4", size, sha256, sha512, None, at, squad.id, 0)
        )
        rows["evidence_item"].append(
            (item, sha512, "footage", dock, officer.serial, "camera", officer.number, None, None, None,
             moment_text(recorded), "dock", 1300, at, 600_000, _PROBE, None, state, None, None)
        )  # fmt: skip
        rows["clip"].append((item, recording, position, moment_text(recorded), 600_000, None if position == 1 else 0))
        if state != "unplayable":
            rows["rendition"].append(
                (self._ids.at(received), item, "playable", f"{item}/playable/{sha256}.mp4", "video/mp4", size, sha256,
                 '{"tool": "ffmpeg 5.1.9"}', at)
            )  # fmt: skip
        rows["job"].append(
            (self._ids.at(received), "probe_item", "prompt", f"probe:{dashed(item)}", f'{{"object_id": "{dashed(item)}"}}',
             "done", at, 1, 5, None, None, 1000, None, None, at, at, 900, None)
        )  # fmt: skip
        rows["event_count"].append((item, 2))
        digests, us = (sha256, sha512, size), received
        told = f'{{"device_serial":"{officer.serial}","name":"{name}"}}'.encode()
        common = {"auth": credential, "device": dock, "digests": digests, "request": upload, "version": "v1"}
        of = ("item", item)
        self._event(item, us, "object.preserved", dock, of=of, detail=told, **common)
        entry = self._event(item, us, "ingest.received", dock, of=of, detail=told, **common)
        rows["upload"].append(
            (upload, dock, None, credential, size, size, "", b"{}", b"", "accepted", item, entry,
             None, began, at, at, "")
        )  # fmt: skip
        rows["intake_claim"].append((sha512, upload, item, b"{}", b""))
        described = f'{{"item":{{"kind":"footage","play_state":"{state}"}},"look":"probe"}}'.encode()
        self._event(item, us + 2 * _SECOND, "item.described", _ARCHIVE, of=of, detail=described)
        if state != "unplayable":
            made = f'{{"kind":"playable","of":"{dashed(item)}"}}'.encode()
            self._event(item, us + 3 * _SECOND, "derivative.created", _ARCHIVE, of=("rendition", item), detail=made)
        parties = {*squad.line, officer.party, party_of(UUID(dock))}
        links: list[tuple[str, str]] = []
        facets: list[tuple[str, str]] = []
        if case is not None:
            linked = us + 5 * _SECOND
            rows["case_link"].append((case.id, item, act_id, case.squad.handler, moment_text(linked), case.volume))
            told = json.dumps(
                {"act": None if act_id is None else dashed(act_id), "reason": "现场执法记录"}, ensure_ascii=False,
                separators=(",", ":"),
            ).encode()  # fmt: skip
            self._event(item, linked, "case.link", case.squad.handler, of=("object", item), detail=told, case=case.id)
            parties |= case.parties
            links = [("number", case.number), ("place", place)]
            facets = [("case", dashed(case.id))]
        self._later(item, us, squad, is_watched=squad is self._office.squads[WATCHED] and case is not None)
        classes = 0 if case is None else case.classes
        self._reach("item", received, item, classes, parties)
        self._document(
            Kind.ITEM, item, received, recorded,
            fields=[("name", name), ("device", officer.serial), ("officer", officer.number), *links],
            facets=[
                ("media", "footage"), ("state", state), ("dock", dashed(dock)), ("officer", officer.number),
                ("source", "camera"), *facets, ("linked", "yes" if links else "no"),
            ],
            classes=classes, parties=parties,
        )  # fmt: skip
        return item

    def _later(self, item: str, us: int, squad: Squad, *, is_watched: bool) -> None:
        """Have an item looked at and checked in the weeks that follow."""
        chance = self._chance
        looks = min(60, int(chance.paretovariate(1.5)) - (1 if chance.random() < 0.6 else 0))
        for _ in range(looks):
            at = us + int(chance.expovariate(1 / 20) * _DAY)
            if at < self._end:
                entry = self._event(
                    item, at, "access.view", squad.handler, of=("item", item), detail='{"purpose":"办理案件"}'.encode()
                )
                self._rows["access_record"].append(
                    (entry, "access.view", squad.handler, "item", item, moment_text(at), 1)
                )
        if chance.random() < 0.5:
            at = us + int(chance.random() * 90 * _DAY)
            if at < self._end:
                self._event(item, at, "fixity.ok", _ARCHIVE, of=("item", item))
        if is_watched:
            self._found.looked_at = max(self._found.looked_at, (looks, item))

    def _event(self, item: str, us: int, kind: str, actor: str, **given: Any) -> str:
        entry = self._entries.add(us, kind, actor, **given)
        self._rows["custody_event"].append((entry, item, given.get("case"), kind, actor, moment_text(us)))
        return entry

    def _record(self, case: _Case, category: Category, title: str) -> None:
        filed = min(case.at + int(self._chance.random() * self._spread), self._end)
        record, handler, at = self._ids.at(filed), case.squad.handler, moment_text(filed)
        form = RecordForm.INSPECTION_RECORD if category is Category.INSPECTION else RecordForm.PENALTY_DECISION
        sha512 = hashlib.sha512(record.encode()).hexdigest()
        self._rows["preserved_object"].append(
            (record, "record", "record.pdf", "original/record.pdf", "application/pdf", 90_000, sha512[:64], sha512,
             None, at, case.squad.id, 0)
        )  # fmt: skip
        self._rows["text_record"].append((record, form.value, title, handler, at, 3))
        self._rows["case_link"].append((case.id, record, None, handler, at, case.volume))
        told = json.dumps({"title": title}, ensure_ascii=False, separators=(",", ":")).encode()
        self._event(record, filed, "record.filed", handler, of=("record", record), case=case.id, detail=told)
        parties = {*case.parties, party_of(UUID(handler))}
        self._reach("record", filed, record, case.classes, parties)
        self._document(
            Kind.RECORD, record, filed, filed,
            fields=[("name", title), ("file", "record.pdf"), ("number", case.number)],
            facets=[("form", form.value), ("case", dashed(case.id)), ("linked", "yes")],
            classes=case.classes, parties=parties,
        )  # fmt: skip

    def _sign_ins(self, now: int) -> None:
        """Fill the log up with what else people do: signing in."""
        missing = self._made_items * ENTRIES_OF_ITEM - self._entries.count
        for _ in range(max(0, missing)):
            squad = self._chance.choice(self._office.squads)
            us = now - int(self._chance.random() * self._spread / 50)
            self._entries.add(us, "admin.signed_in", squad.handler, of=("account", squad.handler))

    # --- what is derived ------------------------------------------------------------------------------------------

    def _reach(self, kind: str, us: int, ref_id: str, classes: int, parties: set[int]) -> None:
        self._rows["reach"] += [(party, kind, us, ref_id, classes, None) for party in parties]

    def _document(
        self, kind: Kind, ref_id: str, taken: int, happened: int, *, fields: list[tuple[str, str]],
        facets: list[tuple[str, str]], classes: int, parties: set[int],
    ) -> None:  # fmt: skip
        seen = [reach_facet(party, classes) for party in parties]
        document = Document(kind, UUID(ref_id), fields, [*facets, *seen], instant(taken), instant(happened))
        self._documents += document_rows(document)

    def _search_rows(self) -> None:
        for row in sorted(self._documents, key=lambda row: int(row["place"])):
            while row["place"] in self._places:
                row["place"] += 2
            self._places.add(row["place"])
            found = stored_facets(row)
            tokens = None
            if not self._has_fts:
                tokens = "{" + ",".join(map(str, sorted(numbers(row["folded"]) | set(found)))) + "}"
            self._rows["search_document"].append(
                (
                    row["place"], row["kind"], row["ref_id"].hex, row["depth"], json.dumps(row["fields"]),
                    json.dumps(row["facets"]), _moment_of(row["taken_at"]), _moment_of(row["happened_at"]),
                    row["device"], row["places"], row["folded"], tokens,
                )
            )  # fmt: skip
            if self._has_fts:
                self._rows[FTS_TABLE].append(
                    (row["place"], phrase(row["folded"]), codes(row["folded"]), facet_words(found))
                )
        self._documents.clear()


@cache
def _zipf(count: int) -> Sequence[float]:
    """Return what the first so many of some have together, where the second has half of what the first has."""
    return list(accumulate(1 / (n + 1) for n in range(count)))


def _moment_of(at: Instant) -> str:
    return moment_text(microseconds(at))


def _in_order(table: str, values: dict[str, Any]) -> Row:
    return [values.get(name) for name in columns_of(table)]
