"""Many pushes in one request, each for itself: one that is refused does not hold up the others."""

import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field, StrictBool, ValidationError

from archive.access.api_keys import Scope
from archive.access.external_ids import ExternalKind
from archive.access.integrations import IntegrationCaller
from archive.cases.systems.acts import push_act
from archive.cases.systems.cases import push_case
from archive.cases.systems.officers import push_officer
from archive.cases.systems.push import Outcome, Pushed, Pusher, Wish
from archive.cases.systems.subjects import push_subject
from archive.kernel.errors import InvalidInput, LiuhenError
from archive.web.api.v1.forms import ActSent, CaseSent, External, OfficerSent, Sent, SubjectSent
from archive.web.api.v1.guards import OwnSystem, PusherDep
from archive.web.api.v1.routes import ApiRoute, Problem, Unprocessable, problems, refusal_of
from archive.web.dependencies import RequestIdDep
from archive.web.problems import problem_body, status_of

router = APIRouter(prefix="/api/v1/systems/{system}", tags=["case systems"], route_class=ApiRoute)

_MOST_OPERATIONS: Final = 1000


class Operation(Sent):
    """One push of a batch: what `PUT /{kind}s/{external_id}` would be sent."""

    kind: Annotated[ExternalKind, Field(examples=["subject"])]
    external_id: External
    adopt: StrictBool = False
    if_match: Annotated[str | None, Field(description="The version that is to be changed.")] = None
    body: Annotated[
        dict[str, Any],
        Field(description="The body of the PUT.", examples=[{"kind": "organisation", "name": "官渡区阿明烧烤店"}]),
    ]


class BatchSent(Sent):
    """Pushes in their order: a subject comes before its cases, a case before its acts."""

    operations: Annotated[list[Operation], Field(min_length=1, max_length=_MOST_OPERATIONS)]


class Result(BaseModel):
    """What came of one push: the status that a PUT would have had, and its outcome or its problem."""

    kind: ExternalKind
    external_id: str
    status: int
    id: str | None = None
    version: str | None = None
    outcome: Outcome | None = None
    problem: Problem | None = None


class BatchRead(BaseModel):
    """The results, in the order of the operations."""

    failed: Annotated[int, Field(description="How many were refused.")]
    results: list[Result]


@router.post(
    "/batch",
    operation_id="push_batch",
    responses={207: {"description": "Some were refused.", "model": BatchRead}, **problems(400, 413, 422)},
)
def push_batch(
    body: BatchSent, own: OwnSystem, pusher: PusherDep, request_id: RequestIdDep, answer: Response
) -> BatchRead:
    """Push up to 1,000 things. Each is a transaction of its own; the answer is 207 where any was refused."""
    results = [_pushed(operation, own, pusher, request_id) for operation in body.operations]
    failed = sum(result.problem is not None for result in results)
    answer.status_code = 207 if failed else 200
    return BatchRead(failed=failed, results=results)


def _pushed(operation: Operation, caller: IntegrationCaller, pusher: Pusher, request_id: str) -> Result:
    try:
        pushed = _push(operation, caller, pusher)
    except LiuhenError as error:
        known = Unprocessable(error.message, **error.facts) if type(error) is InvalidInput else error
        status = status_of(known)
        if status >= 500:
            raise  # ours, and not this operation's
        raw = problem_body(
            status=status, code=known.code, title=known.message, request_id=request_id, facts=known.facts
        )
        return Result(
            kind=operation.kind,
            external_id=operation.external_id,
            status=status,
            problem=Problem(**json.loads(raw)),
        )
    return Result(
        kind=operation.kind,
        external_id=operation.external_id,
        status=201 if pushed.outcome is Outcome.CREATED else 200,
        id=str(pushed.id),
        version=pushed.version,
        outcome=pushed.outcome,
    )


def _push(operation: Operation, caller: IntegrationCaller, pusher: Pusher) -> Pushed:
    scope, push = _PUSHES[operation.kind]
    caller.require(scope)
    try:
        return push(pusher, operation, Wish(operation.adopt, operation.if_match))
    except ValidationError as exc:
        raise refusal_of(exc.errors()) from exc


def _subject(pusher: Pusher, operation: Operation, wish: Wish) -> Pushed:
    facts = SubjectSent.model_validate(operation.body).facts(today=pusher.at.date())
    return push_subject(pusher, operation.external_id, facts, wish)


def _case(pusher: Pusher, operation: Operation, wish: Wish) -> Pushed:
    return push_case(pusher, operation.external_id, CaseSent.model_validate(operation.body).facts(), wish)


def _act(pusher: Pusher, operation: Operation, wish: Wish) -> Pushed:
    return push_act(pusher, operation.external_id, ActSent.model_validate(operation.body).facts(), wish)


def _officer(pusher: Pusher, operation: Operation, wish: Wish) -> Pushed:
    return push_officer(pusher, operation.external_id, OfficerSent.model_validate(operation.body).facts(), wish)


_PUSHES: Final[Mapping[ExternalKind, tuple[Scope, Callable[[Pusher, Operation, Wish], Pushed]]]] = {
    ExternalKind.SUBJECT: (Scope.CASES_WRITE, _subject),
    ExternalKind.CASE: (Scope.CASES_WRITE, _case),
    ExternalKind.ACT: (Scope.CASES_WRITE, _act),
    ExternalKind.OFFICER: (Scope.OFFICERS_WRITE, _officer),
}
