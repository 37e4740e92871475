"""For operators: the second copy of every object, and whether it can be restored from."""

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archive.cli.options import AsJson, Home, opened
from archive.cli.reports import exit_code
from archive.kernel.errors import NotFound
from archive.kernel.findings import Outcome
from archive.kernel.ids import ObjectId, parse_uuid
from archive.ledger.entries import OPERATOR
from retention.copies import NoCopyConfigured

if TYPE_CHECKING:
    from retention.models import RestoreDrill


class NoDrillYet(NotFound):
    """No restore drill was held with this copy yet: run `liuhen drill`."""

    code = "drill.none_yet"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("copy")(copy)
    app.command("drill")(drill)


def copy(
    object_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[OBJECT]...", help="Objects to look at again, also if copied.")
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Copy now what is not copied yet, and say what is left.

    Exit code 0: every object is copied. 1: some cannot be, since a file is damaged. 2: some wait.
    """
    with opened(home) as services:
        copies, again = services.copies, [ObjectId(parse_uuid(each)) for each in object_ids or []]
        if again:
            copies.ask_again(again)
        count = 0
        while copied := copies.copy_some(by=OPERATOR):
            count += copied
        with services.database.read() as tx:
            standing, faults = copies.standing(tx), copies.faults(tx)
    if standing is None:
        raise NoCopyConfigured
    if as_json:
        told = {"place": standing.place, "tried": count, "waiting": standing.waiting, "bytes": standing.waiting_bytes}
        print(json.dumps({**told, "faults": [fault._asdict() for fault in faults]}, ensure_ascii=False, default=str))
    else:
        for fault in faults:
            print(f"cannot be copied: {fault.object_id} [{fault.code}] {fault.key}")
        waiting = f"{standing.waiting} objects ({standing.waiting_bytes} bytes) are not copied"
        print(f"{standing.place}: {waiting if standing.waiting else 'every object is copied'}")
    outcome = Outcome.VALID if not standing.waiting else Outcome.INDETERMINATE
    raise typer.Exit(exit_code(Outcome.INVALID if faults else outcome))


def drill(
    home: Home = None,
    objects: Annotated[
        int | None, typer.Option(min=1, max=10000, help="Objects to take at random (else drill_objects).")
    ] = None,
    last: Annotated[bool, typer.Option("--last", help="Show the newest drill instead of holding one.")] = False,
    save: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="Write result and signature into this folder."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Restore random objects and a case from the second copy alone, judge them, and sign what came of it.

    Exit codes as of `verify`; what could not be checked is indeterminate.
    """
    with opened(home) as services:
        if last:
            with services.database.read() as tx:
                row = services.drills.newest(tx)
            if row is None:
                raise NoDrillYet
        else:
            row = services.drills.run(by=OPERATOR, count=objects)
    if save is not None:
        (save / f"drill-{row.id}.json").write_bytes(row.result)
        (save / f"drill-{row.id}.json.p7s").write_bytes(row.signature)
    _print(row, as_json=as_json)
    raise typer.Exit(exit_code(Outcome(row.outcome)))


def _print(row: "RestoreDrill", *, as_json: bool) -> None:
    result: dict[str, Any] = json.loads(row.result)
    if as_json:
        signature = base64.b64encode(row.signature).decode()
        print(json.dumps({"outcome": row.outcome, "result": result, "signature": signature}, ensure_ascii=False))
        return
    print(f"{row.outcome}: restored from {row.place} on {row.drilled_at:%Y-%m-%d %H:%M} UTC in {result['seconds']} s")
    for each in result["objects"]:
        print(f"  {each['outcome']:14}object {each['id']}  {each['seconds']} s")
        _print_findings(each)
    if (case := result["case"]) is not None:
        verdicts = f"unaltered {case['unaltered']}, complete {case['complete']}"
        print(f"  {case['restored']:14}case {case['id']}: {verdicts}  {case['seconds']} s")
        _print_findings(case)
    _print_findings(result)


def _print_findings(told: dict[str, Any]) -> None:
    for found in told["findings"]:
        print(f"    {found['outcome']:14}{found['part']}  [{found['code']}]")
