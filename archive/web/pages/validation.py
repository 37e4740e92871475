"""Validating signatures: of any signed file, which is not kept, and of what the archive preserves; the report on it."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import anyio
from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from archive.access.callers import Caller
from archive.documents.codes import MOST_CODE_CHARACTERS, CodeCheck, CodeUnreadable, RecordCode, check_code
from archive.kernel.ids import JudgementId, ObjectId
from archive.web.dependencies import CallerDep, ServicesDep
from archive.web.i18n import Language
from archive.web.judgement_words import WORDS
from archive.web.judgements import Kept, judgements_of
from archive.web.limits import Cost, by_account
from archive.web.pages.content import disposition
from archive.web.pages.formats import local_second
from archive.web.pages.forms import Form, FormTooLarge
from archive.web.pages.guards import JudgementIdPath, ObjectIdPath, Verifier
from archive.web.pages.receiving import received_files, scratch_folder
from archive.web.pages.rendering import go_to, reader_texts, render
from archive.web.slots import slot
from archive.wiring import Services
from ingest.errors import TooLarge
from ingest.judgement_reports import issue_report, told_of
from ingest.judgements import SignedFile
from ingest.own_judgements import OwnDocuments, judge_object

router = APIRouter(include_in_schema=False)

# Each may take minutes of a processor and gigabytes; two are what a machine can spare beside its other work, however
# many processes it has: the limiter keeps this one's threads free, the slot counts for all.
_AT_ONCE: Final = 2
_LIMITERS: Final[anyio.lowlevel.RunVar[anyio.CapacityLimiter]] = anyio.lowlevel.RunVar("liuhen_judgements")
_ONE_FILE: Final = "file"


@router.get("/validation")
def validation_page(request: Request, caller: CallerDep, services: ServicesDep) -> Response:
    """Show where a signed file is dropped, and by which trust lists it will be judged."""
    return _page(request, caller, services)


@router.post("/validation", dependencies=[by_account(Cost.HEAVY)])
async def validation_posted(request: Request, caller: CallerDep, services: ServicesDep) -> Response:
    """Judge the file that is sent, and lead to what was found; the file is gone when the answer leaves."""
    form, most = Form({}, panel="validation"), services.settings.validation_max_bytes
    scratch, reserve = _scratch(services), services.settings.reserve_bytes
    try:
        async with received_files(request, scratch, most=most, reserve_bytes=reserve) as files:
            file = files.get(_ONE_FILE)
            if file is not None:
                kept = await to_thread.run_sync(_judged, request, caller, services, file, files, limiter=_limiter())
                return go_to(f"/validation/{kept}")
    except (FormTooLarge, TooLarge):
        form.refuse(_ONE_FILE, "validation.too_large", most=reader_size(most))
    else:
        form.refuse(_ONE_FILE, "validation.choose")
    return await run_in_threadpool(_page, request, caller, services, form=form)


@router.get("/validation/code", dependencies=[by_account(Cost.SEARCHES)])
def code_page(
    request: Request,
    caller: CallerDep,
    services: ServicesDep,
    code: Annotated[str, Query(max_length=MOST_CODE_CHARACTERS)] = "",
) -> Response:
    """Show whether there is a record with the code of a paper, among those that the caller may see."""
    form = Form({"code": code}, panel="code")
    check: CodeCheck | None = None
    if code.strip():
        try:
            asked = RecordCode.parse(code)
        except CodeUnreadable:
            form.refuse("code", "code.unreadable")
        else:
            with services.database.read() as tx:
                check = check_code(tx, asked)
                tx.expunge_all()
    return render(request, "code.html", caller=caller, status=200 if form.is_good else 422, form=form, check=check)


@router.get("/validation/{judgement_id}")
def judgement_page(request: Request, judgement_id: JudgementIdPath, caller: CallerDep) -> Response:
    """Show what was found, to whoever asked."""
    kept = judgements_of(request).of(judgement_id, caller.account_id)
    return render(
        request,
        "judgement.html",
        caller=caller,
        judgement_id=judgement_id,
        told=told_of(kept.judgement, words=WORDS, moment=lambda at: at, spoken=local_second),
        spoken=0 if reader_texts(request).language is Language.CHINESE else 1,
        about=kept.judgement.about,
    )


@router.post("/validation/{judgement_id}/report", dependencies=[by_account(Cost.HEAVY)])
def report_posted(
    request: Request, judgement_id: JudgementIdPath, caller: CallerDep, services: ServicesDep
) -> Response:
    """Return the signed report on a judgement; that one was made goes on record, once."""
    kept = judgements_of(request).of(judgement_id, caller.account_id)
    report = kept.report or _reported(services, judgement_id, kept, by=caller)
    headers = {
        "Content-Disposition": disposition("attachment", f"liuhen-validation-{judgement_id}.pdf"),
        "Cache-Control": "no-store",
    }
    return Response(report, media_type="application/pdf", headers=headers)


@router.post("/objects/{object_id}/signatures", dependencies=[by_account(Cost.HEAVY)])
async def signatures_posted(
    request: Request, object_id: ObjectIdPath, caller: Verifier, services: ServicesDep
) -> Response:
    """Judge the signatures of a preserved document, and lead to what was found."""
    kept = await to_thread.run_sync(_own_judged, request, object_id, caller, services, limiter=_limiter())
    return go_to(f"/validation/{kept}")


def reader_size(size_bytes: int) -> str:
    """Return a limit as people say it, in binary units."""
    mib = size_bytes // 1024 // 1024
    return f"{mib // 1024} GiB" if mib >= 1024 and mib % 1024 == 0 else f"{mib} MiB"


def _judged(
    request: Request, caller: Caller, services: Services, file: SignedFile, files: Mapping[str, SignedFile]
) -> JudgementId:
    with slot(_scratch(services), "judging", count=_AT_ONCE):
        judgement = services.judge.judge(file, content=files.get("content"))
    return judgements_of(request).keep(caller.account_id, judgement)


def _own_judged(request: Request, object_id: ObjectId, caller: Caller, services: Services) -> JudgementId:
    own = OwnDocuments(services.database, services.objects, services.known_second)
    with slot(_scratch(services), "judging", count=_AT_ONCE), scratch_folder(_scratch(services)) as folder:
        judgement = judge_object(own, services.judge, object_id, folder=folder, by=caller.actor)
    return judgements_of(request).keep(caller.account_id, judgement)


def _reported(services: Services, judgement_id: JudgementId, kept: Kept, *, by: Caller) -> bytes:
    return issue_report(
        services.database,
        services.report,
        kept.judgement,
        judgement_id,
        words=WORDS,
        by=by.actor,
        at=services.clock.now(),
    )


def _page(request: Request, caller: Caller, services: Services, *, form: Form | None = None) -> Response:
    context: dict[str, Any] = {"lists": services.judge.lists(), "most_bytes": services.settings.validation_max_bytes}
    return render(
        request,
        "validation.html",
        caller=caller,
        status=200 if form is None else 422,
        form=form,
        most=reader_size(context["most_bytes"]),
        here="/validation",
        **context,
    )


def _scratch(services: Services) -> Any:
    return services.settings.home.absolute() / "scratch"


def _limiter() -> anyio.CapacityLimiter:
    try:
        return _LIMITERS.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(_AT_ONCE)
        _LIMITERS.set(limiter)
        return limiter
