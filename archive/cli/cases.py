"""For those who file from the command line of the server: cases, acts, text records."""

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from archive.cases.filing import CaseNotFound, case_by_number, link_object, open_case, record_act
from archive.cases.listings import items
from archive.cases.records import file_text_record
from archive.cases.subjects import KnownSubject, NewSubject
from archive.cases.terms import Category, RecordForm, Stage, SubjectKind
from archive.cli.options import AsJson, Home, opened
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import CaseId, ObjectId, SubjectId, parse_uuid
from archive.ledger.entries import OPERATOR
from archive.wiring import Services


def register(app: typer.Typer) -> None:
    """Add the commands about cases."""
    case = typer.Typer(help="Cases and what is filed under them.", no_args_is_help=True)
    case.command("open")(open_)
    case.command("act")(act)
    case.command("file")(file)
    case.command("link")(link)
    case.command("export")(export)
    app.add_typer(case, name="case")
    item = typer.Typer(help="Evidence items.", no_args_is_help=True)
    item.command("list")(list_items)
    app.add_typer(item, name="item")


def open_(
    number: str,
    title: Annotated[str, typer.Option(help="What the case is about.")],
    subject: Annotated[
        str | None, typer.Option(help="Name of the person or organisation concerned (执法对象), to be recorded.")
    ] = None,
    subject_id: Annotated[
        str | None, typer.Option(help="Id of one that is on record; `liuhen subject find` tells it.")
    ] = None,
    subject_kind: Annotated[SubjectKind, typer.Option(help="What the subject is.")] = SubjectKind.ORGANISATION,
    category: Annotated[Category, typer.Option(help="Act category (执法类别).")] = Category.PENALTY,
    home: Home = None,
) -> None:
    """Open a case; prints its id."""
    with opened(home) as services:
        case_id = open_case(
            services.database,
            services.identifiers,
            number=number,
            title=title,
            category=category,
            subject=_subject(subject, subject_id, subject_kind),
            by=OPERATOR,
            at=services.clock.now(),
        )
    print(case_id)


def act(
    number: str,
    stage: Annotated[Stage, typer.Option(help="Stage (环节).")],
    place: Annotated[str, typer.Option(help="Where.")],
    start: Annotated[datetime, typer.Option(help="When it began, local time.")],
    end: Annotated[datetime | None, typer.Option(help="When it ended, local time.")] = None,
    home: Home = None,
) -> None:
    """Record an act of a case; prints its id."""
    with opened(home) as services:
        act_id = record_act(
            services.database,
            _case(services, number),
            stage=stage,
            place=place,
            started_at=start.astimezone(),
            ended_at=None if end is None else end.astimezone(),
            by=OPERATOR,
            at=services.clock.now(),
        )
    print(act_id)


def file(
    number: str,
    pdf: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The record as PDF.")],
    title: Annotated[str, typer.Option(help="Title of the record.")],
    form: Annotated[RecordForm, typer.Option(help="Kind of record (文书格式).")] = RecordForm.OTHER,
    home: Home = None,
) -> None:
    """File a text record under a case; prints its id."""
    with opened(home) as services:
        object_id = file_text_record(
            services.database,
            services.objects,
            services.signer,
            case_id=_case(services, number),
            form=form,
            title=title,
            name=pdf.name,
            pdf=pdf.read_bytes(),
            by=OPERATOR,
            at=services.clock.now(),
        )
    print(object_id)


def link(
    number: str,
    item: Annotated[str, typer.Argument(help="Id of the item.")],
    reason: Annotated[str, typer.Option(help="Why it belongs there.")],
    home: Home = None,
) -> None:
    """File an item under a case."""
    with opened(home) as services:
        link_object(
            services.database,
            _case(services, number),
            ObjectId(parse_uuid(item)),
            act_id=None,
            reason=reason,
            by=OPERATOR,
            at=services.clock.now(),
        )


def export(
    number: str,
    out: Annotated[Path, typer.Option(help="Folder to make; it must not be there yet.")],
    purpose: Annotated[str, typer.Option(help="What the copy is for; it is written down.")],
    renditions: Annotated[bool, typer.Option("--renditions", help="Take the playable copies along.")] = False,
    home: Home = None,
) -> None:
    """Write the package of a case, which anyone can check offline; the export is written down first."""
    from archive.packages.building import build_package

    with opened(home) as services:
        made = build_package(
            services.packager,
            _case(services, number),
            out.absolute(),
            with_renditions=renditions,
            by=OPERATOR,
            purpose=purpose,
        )
    told = f"{made.object_count} objects, {made.payload_bytes:,} bytes, log of {made.checkpoint_size} entries"
    print(f"{made.folder}: {told}")


def _subject(name: str | None, subject_id: str | None, kind: SubjectKind) -> KnownSubject | NewSubject:
    if (name is None) == (subject_id is None):
        raise InvalidInput("A case has either --subject or --subject-id")
    return NewSubject(name, kind) if name is not None else KnownSubject(SubjectId(parse_uuid(str(subject_id))))


def _case(services: Services, number: str) -> CaseId:
    with services.database.read() as tx:
        found = case_by_number(tx, number)
    if found is None:
        raise CaseNotFound(number=number)
    return CaseId(found.id)


def list_items(home: Home = None, as_json: AsJson = False) -> None:
    """List every evidence item with its state, newest first."""
    with opened(home) as services, services.database.read() as tx:
        cursor: str | None = None
        while True:
            page = items(tx, cursor=cursor, limit=200)
            for row in page.rows:
                told = {
                    "id": str(row.item.object_id),
                    "name": row.original.name,
                    "kind": row.item.kind,
                    "size_bytes": row.original.size_bytes,
                    "state": row.item.play_state,
                    "reason": row.item.play_reason,
                    "sha256": row.original.sha256,
                }
                line = "{id}  {state:10}  {kind:8}  {size_bytes:>14,}  {name}".format_map(told)
                print(json.dumps(told, ensure_ascii=False) if as_json else line)
            cursor = page.next_cursor
            if cursor is None:
                return
