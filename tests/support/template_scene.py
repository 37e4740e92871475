"""Templates as a bureau keeps them: one of its own in force and filed, one that is written, one that was withdrawn."""

from archive.access.policy import Role
from archive.calendar.days import local_day
from archive.documents.template_listings import template_versions
from archive.documents.template_register import (
    file_template,
    put_in_force,
    save_template,
    shipped_versions,
    withdraw_template,
)
from archive.documents.templates import shipped_texts
from archive.kernel.ids import TemplateId
from tests.support.seed import Bureau

CODE = "hearing_notice"
_COPIES = '[wording]\ncopies = "本通知书一式两份，一份送达当事人，一份存档。"\n'


def text(version: int) -> str:
    """Return the shipped text as a later version with one more piece of wording."""
    found = shipped_texts()[CODE].replace("version = 1\n", f"version = {version}\n", 1)
    return found.replace("[wording]\n", _COPIES, 1)


def templates_of_scene(bureau: Bureau) -> dict[str, TemplateId]:
    """Give the bureau templates, once; return a draft, one that is filed, and a shipped one."""
    database, by, now = bureau.services.database, bureau.people[Role.ADMINISTRATOR], bureau.now()
    shipped = next(each.id for each in shipped_versions() if each.template.code == "inspection_record")
    with database.read() as tx:
        known = {(each.code, each.version): each.id for each in template_versions(tx) if not each.is_shipped}
    if (CODE, 3) not in known:
        filed = save_template(database, text(2), agency_id=None, by=by, at=now)
        put_in_force(database, filed, valid_from=local_day(now), by=by, at=now)
        file_template(
            database,
            filed,
            authority="昆明市司法局",
            number="昆司备〔2026〕12号",
            filed_on=local_day(now),
            by=by,
            at=now,
        )
        draft_text = text(3).replace("一式两份", "一式三份", 1)
        draft = save_template(database, draft_text, agency_id=None, by=by, at=now)
        gone_text = shipped_texts()["seizure_list"].replace("version = 1\n", "version = 2\n", 1)
        gone = save_template(database, gone_text, agency_id=None, by=by, at=now)
        withdraw_template(database, gone, reason="重复", by=by, at=now)
        return {"filed": filed, "draft": draft, "shipped": shipped}
    return {"filed": known[CODE, 2], "draft": known[CODE, 3], "shipped": shipped}
