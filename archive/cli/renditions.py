"""For operators: dropping renditions and having them made again, and the jobs behind them."""

import json
from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from archive.cli.options import AsJson, Home, opened
from archive.evidence.items import item_ids
from archive.jobs.listings import dead_jobs, unfinished_jobs
from archive.jobs.models import Job
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import JobId, ObjectId, parse_uuid
from archive.kernel.instants import format_instant
from archive.ledger.entries import OPERATOR
from archive.wiring import Services
from ingest.remaking import drop_renditions, makeable, missing, remake
from ingest.retrying import retry_all, retry_job

_MOST_JOBS = 10_000
Items = Annotated[list[str] | None, typer.Argument(help="Ids of items.", metavar="ITEM...")]
Kinds = Annotated[list[str] | None, typer.Option("--kind", help="Kind of rendition or look; repeatable.")]


class NothingNamed(InvalidInput):
    """Name items or jobs, or say that all are meant."""

    code = "cli.nothing_named"


def register(app: typer.Typer) -> None:
    """Add the commands about renditions and jobs."""
    renditions = typer.Typer(help="Derived copies: dropping them, making them again.", no_args_is_help=True)
    renditions.command("drop")(drop)
    renditions.command("make")(make)
    app.add_typer(renditions, name="renditions")
    jobs = typer.Typer(help="Work that is waiting, running or was given up.", invoke_without_command=True)
    jobs.callback()(list_jobs)
    jobs.command("retry")(retry)
    app.add_typer(jobs, name="jobs")


def drop(
    items: Items = None,
    kind: Kinds = None,
    all_items: Annotated[bool, typer.Option("--all", help="Of every item.")] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Drop renditions: what plays is made again at once, the rest when it is asked for (renditions make --missing)."""
    with opened(home) as services:
        for object_id in _every_item(services) if all_items else _named(items):
            kinds = drop_renditions(services.workshop, object_id, by=OPERATOR, kinds=kind or None)
            _tell(object_id, "dropped", kinds, as_json=as_json)


def make(
    items: Items = None,
    kind: Kinds = None,
    only_missing: Annotated[bool, typer.Option("--missing", help="Whatever any item lacks.")] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Have renditions and looks made again, by the jobs that make them; the worker does it."""
    with opened(home) as services:
        shop, has_damage = services.workshop, services.settings.find_damage != "never"
        if only_missing:
            wanted = {ObjectId(parse_uuid(item)) for item in items or ()}
            for lack in missing(shop, has_damage=has_damage):
                kinds = [each for each in lack.kinds if not kind or each in kind]
                if kinds and (not wanted or lack.object_id in wanted):
                    remake(shop, lack.object_id, kinds)
                    _tell(lack.object_id, "queued", kinds, as_json=as_json)
            return
        for object_id in _named(items):
            kinds = kind or list(makeable(shop, object_id, has_damage=has_damage))
            remake(shop, object_id, kinds)
            _tell(object_id, "queued", kinds, as_json=as_json)


def list_jobs(
    context: typer.Context,
    dead: Annotated[bool, typer.Option("--dead", help="Only those that were given up.")] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Work that is waiting, running or was given up; without a command, list it."""
    if context.invoked_subcommand is not None:
        return
    with opened(home) as services, services.database.read() as tx:
        for job in dead_jobs(tx, limit=_MOST_JOBS) if dead else unfinished_jobs(tx, limit=_MOST_JOBS):
            told = _told(job)
            line = "{id}  {state:8}  {kind:16}  {attempt}/{max_attempts}  {progress_permille:>4}  {about}  {error}"
            shown = {name: "" if value is None else value for name, value in told.items()}
            print(json.dumps(told, ensure_ascii=False) if as_json else line.format_map(shown).rstrip())


def retry(
    jobs: Annotated[list[str] | None, typer.Argument(help="Ids of jobs.", metavar="JOB...")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every job that was given up.")] = False,
    home: Home = None,
) -> None:
    """Try jobs again that were given up; prints their ids."""
    if not jobs and not every:
        raise NothingNamed
    with opened(home) as services:
        at = services.clock.now()
        if every:
            for job_id in retry_all(services.database, by=OPERATOR, at=at):
                print(job_id)
        for given in jobs or ():
            retry_job(services.database, JobId(parse_uuid(given)), by=OPERATOR, at=at)
            print(given)


def _told(job: Job) -> dict[str, str | int | None]:
    return {
        "id": str(job.id),
        "kind": job.kind,
        "queue": job.queue,
        "state": job.state,
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "progress_permille": job.progress_permille,
        "about": job.args.get("object_id"),
        "not_before": format_instant(job.not_before),
        "error": job.last_error,
    }


def _named(items: list[str] | None) -> Iterator[ObjectId]:
    if not items:
        raise NothingNamed
    yield from [ObjectId(parse_uuid(item)) for item in items]


def _every_item(services: Services) -> Sequence[ObjectId]:
    with services.database.read() as tx:
        return item_ids(tx)


def _tell(object_id: ObjectId, done: str, kinds: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"item": str(object_id), done: list(kinds)}))
    elif kinds:
        print(f"{object_id}  {done}: {', '.join(kinds)}")
