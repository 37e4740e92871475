"""Text records: as they were written, set, signed, filed and extended; and the register of templates."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from archive.documents import models as _models
from archive.documents.desk import pdf_key, values_key
from archive.documents.template_loading import load_template
from archive.documents.template_register import shipped_versions
from archive.kernel.canonical import parse_canonical
from archive.kernel.findings import invalid
from archive.kernel.ids import DraftId
from archive.kernel.names import safe_file_name
from archive.recovery.replaying.dispositions import certificate
from archive.recovery.replaying.retrieval import note_key_use
from archive.recovery.rows import Rows
from archive.recovery.sources import Sources
from archive.recovery.told import Told, as_day
from retention.disposition.terms import CERTIFICATE

_LOADED: Final = _models
NOTHING_WRITTEN: Final = "{}"
"""The values of a draft of which nothing is known: what was being written is in no log."""
_TEMPLATE: Final = (
    "code", "version", "form", "title", "text_sha256", "state", "is_shipped", "filed_with", "filing_number", "reason",
)  # fmt: skip
_TEMPLATE_DAYS: Final = ("valid_from", "valid_until", "filed_on")
_SIGNING: Final = {"record.signed", "record.refused", "record.sealed"}


def drafted(told: Told, rows: Rows, _: Sources) -> None:
    """Write that a record is being written; its values come with the entry that sets it."""
    sha256 = told["template_sha256"]
    _keep_text(told, rows, sha256, told.get("template_text"))
    rows.add(
        "draft",
        id=told.about,
        case_id=told.uuid("case"),
        act_id=told.uuid("act"),
        template=told["template"],
        template_version=told["template_version"],
        template_sha256=sha256,
        title="",
        field_values=NOTHING_WRITTEN,
        revision=0,
        state=told["state"],
        begun_by=told.actor,
        begun_at=told.at,
        saved_by=told.actor,
        saved_at=told.at,
        amends_id=told.uuid("amends"),
        amend_reason=told["amend_reason"],
    )


def dropped(told: Told, rows: Rows, _: Sources) -> None:
    """Write that a draft was given up."""
    rows.change("draft", {"id": told.about}, state="dropped")


def record_set(told: Told, rows: Rows, sources: Sources) -> None:
    """Write a draft as it was set, with its paper."""
    if told.about in sources.destroyed and told.is_gone:
        facts = {"revision": told["revision"], "state": told["state"]}
        saved = {"saved_by": told.uuid("saved_by"), "saved_at": told.instant("saved_at")}
        rows.change("draft", {"id": told.about}, **facts, **saved)
        step(told, rows, sources)
        return
    sha256 = told["field_values_sha256"]
    data = sources.blob(sources.drafts, values_key(DraftId(told.about), sha256), sha256=sha256)
    if data is None:
        sources.tell(invalid("recovery.values_missing", "What was written in a set record is lost", str(told.about)))
    rows.change(
        "draft",
        {"id": told.about},
        title=told["title"],
        field_values=NOTHING_WRITTEN if data is None else data.decode(),
        revision=told["revision"],
        state=told["state"],
        saved_by=told.uuid("saved_by"),
        saved_at=told.instant("saved_at"),
        number=told["document_number"],
        pages=told["pages"],
        values_sha256=told["values_sha256"],
    )
    step(told, rows, sources)


def step(told: Told, rows: Rows, _: Sources) -> None:
    """Write the PDF that a step has made, and the use of the key."""
    digests = told.digests
    rows.add(
        "draft_pdf",
        draft_id=told.about,
        number=told["number"],
        kind=told.type.removeprefix("record."),
        place=told.words("place"),
        key=pdf_key(told.about, told["number"], digests["sha256"]),
        entry_id=told.id,
        by_id=told.actor,
        at=told.at,
        awaits_time=told["awaits_time"],
        **digests,
    )
    if told.type in _SIGNING:
        note_key_use(told, rows, told.about, "record")


def filed(told: Told, rows: Rows, sources: Sources) -> None:
    """Write a text record; what was done with its draft stands in its custody trail from now on."""
    rows.add(
        "preserved_object",
        id=told.about,
        kind="record",
        name=told.words("name"),
        content_path=original_path(told, sources),
        media_type="application/pdf",
        sm3=told.sm3,
        preserved_at=told.at,
        unit_id=told.uuid("unit"),
        classes=0,
        **told.digests,
    )
    rows.add(
        "text_record",
        object_id=told.about,
        form=told["form"],
        title=told.words("title"),
        filed_by=told.actor,
        filed_at=told.at,
    )
    draft = rows.find("draft", id=told.about)
    if draft is None:
        return
    rows.change("draft", {"id": told.about}, state="filed")
    for pdf in rows.all("draft_pdf", draft_id=told.about):
        rows.add_later(
            "custody_event",
            entry_id=pdf["entry_id"],
            object_id=told.about,
            case_id=draft["case_id"],
            type=f"record.{pdf['kind']}",
            actor_id=pdf["by_id"],
            at=pdf["at"],
        )


def original_path(told: Told, sources: Sources) -> str:
    """Return where the original lies in its object: by its name, or as the object says where that was erased.

    Raises: FactUnknown.
    """
    if "name" in told:
        return f"original/{safe_file_name(told['name'])}"
    if told.about in sources.destroyed:
        return ""
    manifest = sources.object_file(told.about, "metadata/manifest.json")
    if manifest is None:
        raise told.unknown("name")
    return str(parse_canonical(manifest)["path"])


def extended(told: Told, rows: Rows, _: Sources) -> None:
    """Write that a record, or a certificate, was extended for the long term."""
    if told.kind == CERTIFICATE:
        certificate(told, rows)
        return
    rows.add(
        "record_extension",
        object_id=told.about,
        number=told["number"],
        path=told["path"],
        renew_at=told.instant("renew_at"),
        ends_at=told.instant("ends_at"),
        entry_id=told.id,
        at=told.at,
        **told.digests,
    )


def template_saved(told: Told, rows: Rows, _: Sources) -> None:
    """Write a version of a template, or what was saved over it."""
    _keep_text(told, rows, told["text_sha256"], told.get("text"))
    agency_id = told.uuid("agency")
    saved = {"agency_id": agency_id, "saved_by": told.actor, "saved_at": told.at}
    rows.set("record_template", {"id": told.about}, **saved, **_template(told))


def template_changed(told: Told, rows: Rows, _: Sources) -> None:
    """Write what became of a version."""
    rows.change("record_template", {"id": told.about}, **_template(told))


def _template(told: Told) -> dict[str, Any]:
    values = {name: told[name] for name in _TEMPLATE if name in told}
    return values | {name: as_day(told[name]) for name in _TEMPLATE_DAYS if name in told}


def _keep_text(told: Told, rows: Rows, sha256: str, text: str | None) -> None:
    """Keep the text of a template, which the first entry that uses it has, or the program. Raises: FactUnknown."""
    if rows.find("template_text", sha256=sha256) is not None:
        return
    if text is None:
        text = next((each.text for each in shipped_versions() if each.sha256 == sha256), None)
    if text is None or hashlib.sha256(text.encode()).hexdigest() != sha256:
        raise told.unknown("text")
    template = load_template(text)
    rows.add("template_text", sha256=sha256, code=template.code, version=template.version, text=text)


def kept_text(told: Told, rows: Rows, sources: Sources, object_id: UUID) -> None:
    """Put the text of a document in place of an older one, where it still lies beside the renditions."""
    if told.get("text") is None:
        return
    found = sources.found(object_id, "text", told["text"])
    if found is not None:
        rows.set("item_text", {"object_id": object_id}, extracted_at=told.at, **found)


def record_described(told: Told, rows: Rows, sources: Sources) -> None:
    """Write what was seen of a text record."""
    if told["look"] == "scan":
        found = sources.found(told.about, "scan", told["sha256"])
        if found is not None:
            values = {"found": found, "sha256": told["sha256"], "tool": told["tool"], "made_at": told.at}
            rows.set("record_scan", {"object_id": told.about}, **values)
        return
    if "pages" in told:
        rows.change("text_record", {"object_id": told.about}, pages=told["pages"])
    kept_text(told, rows, sources, told.about)


HANDLERS: Final[Mapping[str, Any]] = {
    "record.drafted": drafted,
    "record.dropped": dropped,
    "record.set": record_set,
    "record.signed": step,
    "record.refused": step,
    "record.sealed": step,
    "record.stamped": step,
    "record.filed": filed,
    "record.extended": extended,
    "admin.template_saved": template_saved,
    "admin.template_put_in_force": template_changed,
    "admin.template_replaced": template_changed,
    "admin.template_filed": template_changed,
    "admin.template_withdrawn": template_changed,
}
