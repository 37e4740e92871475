"""Pushing subjects, cases, acts and officers by the ids of the calling system, and reading them back."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import APIRouter, Response

from archive.access.external_ids import ExternalKind
from archive.cases.slices import Slice
from archive.cases.systems.acts import push_act
from archive.cases.systems.cases import push_case
from archive.cases.systems.officers import push_officer
from archive.cases.systems.push import Outcome, Pushed, version_of
from archive.cases.systems.reading import PushedThing, pushed_thing, pushed_things
from archive.cases.systems.subjects import push_subject
from archive.web.api.v1.forms import (
    ActList,
    ActRead,
    ActSent,
    CaseList,
    CaseRead,
    CaseSent,
    OfficerList,
    OfficerRead,
    OfficerSent,
    SubjectList,
    SubjectRead,
    SubjectSent,
)
from archive.web.api.v1.guards import (
    CaseReader,
    CaseWriter,
    Cursor,
    ExternalIdPath,
    Limit,
    OfficerReader,
    OfficerWriter,
    OwnSystem,
    PusherDep,
    ServicesDep,
    WishDep,
)
from archive.web.api.v1.routes import ApiRoute, problems, put_answers
from archive.wiring import Services

router = APIRouter(prefix="/api/v1/systems/{system}", tags=["case systems"], route_class=ApiRoute)

_PAGES: Final = {ExternalKind.SUBJECT: "/subjects/{}", ExternalKind.CASE: "/cases/{}"}
_GET: Final = problems(404, 422)
_LIST: Final = problems(422)


@router.put("/subjects/{external_id:anything}", operation_id="put_subject", responses=put_answers(SubjectRead))
def put_subject(
    body: SubjectSent,
    external_id: ExternalIdPath,
    wish: WishDep,
    caller: CaseWriter,
    pusher: PusherDep,
    answer: Response,
) -> SubjectRead:
    """Create or update a subject. The same body again changes nothing and writes nothing."""
    del caller
    pushed = push_subject(pusher, external_id, body.facts(today=pusher.at.date()), wish)
    return SubjectRead(**_told(ExternalKind.SUBJECT, external_id, pushed, answer))


@router.put("/cases/{external_id:anything}", operation_id="put_case", responses=put_answers(CaseRead))
def put_case(
    body: CaseSent, external_id: ExternalIdPath, wish: WishDep, caller: CaseWriter, pusher: PusherDep, answer: Response
) -> CaseRead:
    """Create or update a case. The same body again changes nothing and writes nothing."""
    del caller
    pushed = push_case(pusher, external_id, body.facts(), wish)
    return CaseRead(**_told(ExternalKind.CASE, external_id, pushed, answer))


@router.put("/acts/{external_id:anything}", operation_id="put_act", responses=put_answers(ActRead))
def put_act(
    body: ActSent, external_id: ExternalIdPath, wish: WishDep, caller: CaseWriter, pusher: PusherDep, answer: Response
) -> ActRead:
    """Create or update an act. The same body again changes nothing and writes nothing."""
    del caller
    pushed = push_act(pusher, external_id, body.facts(), wish)
    return ActRead(**_told(ExternalKind.ACT, external_id, pushed, answer))


@router.put("/officers/{external_id:anything}", operation_id="put_officer", responses=put_answers(OfficerRead))
def put_officer(
    body: OfficerSent,
    external_id: ExternalIdPath,
    wish: WishDep,
    caller: OfficerWriter,
    pusher: PusherDep,
    answer: Response,
) -> OfficerRead:
    """Create or update an officer. The same body again changes nothing and writes nothing."""
    del caller
    pushed = push_officer(pusher, external_id, body.facts(), wish)
    return OfficerRead(**_told(ExternalKind.OFFICER, external_id, pushed, answer))


@router.get("/subjects/{external_id:anything}", operation_id="read_subject", responses=_GET)
def read_subject(
    external_id: ExternalIdPath, caller: CaseReader, own: OwnSystem, services: ServicesDep, answer: Response
) -> SubjectRead:
    """Return a subject that this system has pushed."""
    del own
    return SubjectRead(**_one(services, caller.id, ExternalKind.SUBJECT, external_id, answer))


@router.get("/cases/{external_id:anything}", operation_id="read_case", responses=_GET)
def read_case(
    external_id: ExternalIdPath, caller: CaseReader, own: OwnSystem, services: ServicesDep, answer: Response
) -> CaseRead:
    """Return a case that this system has pushed."""
    del own
    return CaseRead(**_one(services, caller.id, ExternalKind.CASE, external_id, answer))


@router.get("/acts/{external_id:anything}", operation_id="read_act", responses=_GET)
def read_act(
    external_id: ExternalIdPath, caller: CaseReader, own: OwnSystem, services: ServicesDep, answer: Response
) -> ActRead:
    """Return an act that this system has pushed."""
    del own
    return ActRead(**_one(services, caller.id, ExternalKind.ACT, external_id, answer))


@router.get("/officers/{external_id:anything}", operation_id="read_officer", responses=_GET)
def read_officer(
    external_id: ExternalIdPath, caller: OfficerReader, own: OwnSystem, services: ServicesDep, answer: Response
) -> OfficerRead:
    """Return an officer whom this system has pushed."""
    del own
    return OfficerRead(**_one(services, caller.id, ExternalKind.OFFICER, external_id, answer))


@router.get("/subjects", operation_id="list_subjects", responses=_LIST)
def list_subjects(
    caller: CaseReader, own: OwnSystem, services: ServicesDep, cursor: Cursor = None, limit: Limit = 50
) -> SubjectList:
    """Return the subjects that this system has pushed, the newest first."""
    del own
    found = _many(services, caller.id, ExternalKind.SUBJECT, cursor, limit)
    return SubjectList(subjects=[SubjectRead(**_row(thing)) for thing in found.rows], next=found.next_cursor)


@router.get("/cases", operation_id="list_cases", responses=_LIST)
def list_cases(
    caller: CaseReader, own: OwnSystem, services: ServicesDep, cursor: Cursor = None, limit: Limit = 50
) -> CaseList:
    """Return the cases that this system has pushed, the newest first."""
    del own
    found = _many(services, caller.id, ExternalKind.CASE, cursor, limit)
    return CaseList(cases=[CaseRead(**_row(thing)) for thing in found.rows], next=found.next_cursor)


@router.get("/acts", operation_id="list_acts", responses=_LIST)
def list_acts(
    caller: CaseReader, own: OwnSystem, services: ServicesDep, cursor: Cursor = None, limit: Limit = 50
) -> ActList:
    """Return the acts that this system has pushed, the newest first."""
    del own
    found = _many(services, caller.id, ExternalKind.ACT, cursor, limit)
    return ActList(acts=[ActRead(**_row(thing)) for thing in found.rows], next=found.next_cursor)


@router.get("/officers", operation_id="list_officers", responses=_LIST)
def list_officers(
    caller: OfficerReader, own: OwnSystem, services: ServicesDep, cursor: Cursor = None, limit: Limit = 50
) -> OfficerList:
    """Return the officers whom this system has pushed, the newest first."""
    del own
    found = _many(services, caller.id, ExternalKind.OFFICER, cursor, limit)
    return OfficerList(officers=[OfficerRead(**_row(thing)) for thing in found.rows], next=found.next_cursor)


def told(kind: ExternalKind, external_id: str, pushed: Pushed) -> dict[str, Any]:
    """Return what is answered about something that was pushed."""
    return {"outcome": pushed.outcome, **_shown(kind, pushed.id, external_id, pushed.facts)}


def _told(kind: ExternalKind, external_id: str, pushed: Pushed, answer: Response) -> dict[str, Any]:
    answer.status_code = 201 if pushed.outcome is Outcome.CREATED else 200
    answer.headers["ETag"] = f'"{pushed.version}"'
    return told(kind, external_id, pushed)


def _one(
    services: Services, integration_id: Any, kind: ExternalKind, external_id: str, answer: Response
) -> dict[str, Any]:
    with services.database.read() as tx:
        thing = pushed_thing(tx, services.identifiers, integration_id, kind, external_id)
    answer.headers["ETag"] = f'"{version_of(thing.facts)}"'
    return _row(thing)


def _many(
    services: Services, integration_id: Any, kind: ExternalKind, cursor: str | None, limit: int
) -> Slice[PushedThing]:
    with services.database.read() as tx:
        return pushed_things(tx, services.identifiers, integration_id, kind, cursor=cursor, limit=limit)


def _row(thing: PushedThing) -> dict[str, Any]:
    return _shown(thing.kind, thing.id, thing.external_id, thing.facts)


def _shown(kind: ExternalKind, internal_id: Any, external_id: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    page = _PAGES.get(kind)
    return {
        "id": str(internal_id),
        "external_id": external_id,
        "page": None if page is None else page.format(internal_id),
        **facts,
    }
