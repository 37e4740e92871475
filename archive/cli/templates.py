"""For administrators: templates of text records, listed, checked, taken in, put in force, filed."""

from datetime import date, datetime
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from sqlalchemy import select

from archive.calendar.days import local_day
from archive.cases.record_templates import checked_template
from archive.cli.options import Home, opened
from archive.documents.template_listings import standing_of, template_versions, uses_of_templates
from archive.documents.template_loading import MOST_CHARACTERS, TemplateInvalid
from archive.documents.template_register import file_template, put_in_force, save_template, withdraw_template
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import AgencyId, TemplateId, parse_uuid
from archive.ledger.entries import OPERATOR
from archive.organisation.models import Agency
from archive.organisation.units import AgencyNotFound

Version = Annotated[str, typer.Argument(help="The id of a version, as `liuhen templates list` shows it.")]
File = Annotated[Path, typer.Argument(help="A template as TOML, UTF-8.", exists=True, dir_okay=False)]
Day = Annotated[datetime | None, typer.Option("--on", formats=["%Y-%m-%d"], help="The day; nothing for today.")]


def register(app: typer.Typer) -> None:
    """Add the commands about templates."""
    templates = typer.Typer(help="Templates (文书格式) of text records.", no_args_is_help=True)
    templates.command("list")(show)
    templates.command("check")(check)
    templates.command("add")(add)
    templates.command("put-in-force")(force)
    templates.command("file")(file)
    templates.command("withdraw")(withdraw)
    app.add_typer(templates, name="templates")


def show(
    everything: Annotated[bool, typer.Option("--all", help="Also replaced, withdrawn and dropped versions.")] = False,
    home: Home = None,
) -> None:
    """List the versions with id, state, days, filing, whose they are, and how many records were begun by each."""
    with opened(home) as services, services.database.read() as tx:
        versions, uses = template_versions(tx), uses_of_templates(tx)
        on = local_day(services.clock.now())
        for each in versions:
            among = [other for other in versions if other.code == each.code]
            standing = standing_of(each, among, on=on)
            if not everything and standing.value in {"replaced", "withdrawn", "dropped"}:
                continue
            days = f"{each.valid_from or ''}..{each.valid_until or ''}"
            filed = each.filing_number or "filed" if each.is_filed else "not filed"
            whose = each.agency or ("shipped" if each.is_shipped else "all agencies")
            count = uses.get(each.text_sha256, 0)
            told = f"{each.id}  {each.code:20} {each.version:>3}  {standing.value:10}  {days:22}"
            print(f"{told}  {count:>6}  {filed}  {whose}")


def check(file: File) -> None:
    """Check a template: every fault with its line. Nothing is kept."""
    text = _text(file)
    _require_good(text, file)
    template = checked_template(text)
    print(f"{template.code} version {template.version}: {len(template.fields)} fields, {len(template.rules)} rules")


def add(
    file: File,
    agency: Annotated[str, typer.Option(help="The code of the agency whose it is; nothing for all.")] = "",
    home: Home = None,
) -> None:
    """Take a template in as a draft; print its id."""
    text = _text(file)
    _require_good(text, file)
    with opened(home) as services:
        agency_id = None
        if agency:
            with services.database.read() as tx:
                found = tx.scalar(select(Agency.id).where(Agency.code == agency))
            if found is None:
                raise AgencyNotFound(code=agency)
            agency_id = AgencyId(found)
        print(save_template(services.database, text, agency_id=agency_id, by=OPERATOR, at=services.clock.now()))


def force(version: Version, on: Day = None, home: Home = None) -> None:
    """Let records begin by a version, from a day on; the one before ends the day before."""
    with opened(home) as services:
        at = services.clock.now()
        day = local_day(at) if on is None else on.date()
        put_in_force(services.database, _id(version), valid_from=day, by=OPERATOR, at=at)
        print(f"In force from {day}")


def file(
    version: Version,
    authority: Annotated[str, typer.Option("--with", help="The authority that it was filed with.")],
    number: Annotated[str, typer.Option(help="The number of the filing.")],
    on: Day = None,
    home: Home = None,
) -> None:
    """Write down that a version was filed (备案)."""
    with opened(home) as services:
        at = services.clock.now()
        day: date = local_day(at) if on is None else on.date()
        file_template(
            services.database, _id(version), authority=authority, number=number, filed_on=day, by=OPERATOR, at=at
        )
        print(f"Filed with {authority} on {day}")


def withdraw(version: Version, reason: Annotated[str, typer.Option(help="Why.")], home: Home = None) -> None:
    """Let no more records begin by a version; a draft is given up."""
    with opened(home) as services:
        withdraw_template(services.database, _id(version), reason=reason, by=OPERATOR, at=services.clock.now())


def _text(file: Path) -> str:
    with file.open("rb") as opened_file:
        data = opened_file.read(4 * MOST_CHARACTERS + 1)
    try:
        return data.decode()
    except UnicodeDecodeError as exc:
        raise InvalidInput("The file is no UTF-8 text") from exc


def _require_good(text: str, file: Path) -> None:
    """Say every fault, each in a line that editors can jump to. Raises: TemplateInvalid."""
    try:
        checked_template(text)
    except TemplateInvalid as exc:
        for fault in exc.faults:
            print(f"{file}:{fault.line}: {fault.where + ': ' if fault.where else ''}{fault.cause}")
        raise


def _id(text: str) -> TemplateId:
    found: UUID = parse_uuid(text)
    return TemplateId(found)
