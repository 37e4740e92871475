"""`data/case.json` and the XML descriptions of a package: PREMIS 3 and the elements of DA/T 63."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID
from xml.etree.ElementTree import Element, SubElement, indent, register_namespace, tostring  # nosec B405 - only written

from archive.kernel.canonical import canonical_json
from archive.kernel.instants import Instant, format_instant
from archive.ledger.entries import ARCHIVE
from archive.packages.gathering import GatheredCase, GatheredEntry, GatheredObject, GatheredTombstone

_NOT_XML: Final = re.compile("[^\t\n\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
PREMIS: Final = "http://www.loc.gov/premis/v3"
_XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"


@dataclass(frozen=True, slots=True)
class Placed:
    """A rendition as it stands in the package."""

    object_id: UUID
    kind: str
    path: str
    size_bytes: int
    sha256: str
    recipe: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Issue:
    """What makes one package one: id, time, maker, log and organisation."""

    package_id: UUID
    made: Instant
    made_by: UUID
    origin: str
    organisation: str


def case_document(
    gathered: GatheredCase, issue: Issue, paths: Mapping[UUID, str], renditions: Sequence[Placed]
) -> bytes:
    """Return `data/case.json`. `paths` are those of the originals in the package."""
    case, subject = gathered.case, gathered.subject
    return canonical_json(
        {
            "v": 1,
            "package": str(issue.package_id),
            "made": format_instant(issue.made),
            "made_by": str(issue.made_by),
            "origin": issue.origin,
            "organisation": issue.organisation,
            "case": {
                "id": str(case.id),
                "number": case.number,
                "title": case.title,
                "category": case.category,
                "opened": format_instant(case.opened_at),
                "subject": {"id": str(subject.id), "kind": subject.kind, "name": subject.name},
                "acts": [
                    _known(
                        id=str(act.id),
                        stage=act.stage,
                        place=act.place,
                        started=format_instant(act.started_at),
                        ended=_time(act.ended_at),
                    )
                    for act in gathered.acts
                ],
            },
            "objects": [_object(found, paths[found.row.id]) for found in gathered.objects],
            **({"destroyed": list(map(_tombstone, gathered.destroyed))} if gathered.destroyed else {}),
            "renditions": [
                {
                    "object": str(placed.object_id),
                    "kind": placed.kind,
                    "path": placed.path,
                    "size": placed.size_bytes,
                    "sha256": placed.sha256,
                    "recipe": dict(placed.recipe),
                }
                for placed in renditions
            ],
            "entries": [entry.index for entry in gathered.entries],
            "checkpoint": {
                "size": gathered.checkpoint.size,
                "root": gathered.checkpoint.root.hex(),
                "issued": format_instant(gathered.checkpoint.issued_at),
            },
        }
    )


def _object(found: GatheredObject, path: str) -> dict[str, Any]:
    row, item = found.row, found.item
    return _known(
        id=str(row.id),
        kind=row.kind,
        name=row.name,
        path=path,
        size=row.size_bytes,
        sha256=row.sha256,
        sha512=row.sha512,
        sm3=row.sm3,
        media_type=row.media_type,
        title=None if found.record is None else found.record.title,
        recorded=None if item is None else _time(item.recorded_at),
        clock_offset_ms=None if item is None else item.clock_offset_ms,
        device=None if item is None else item.device_serial,
        duration_ms=None if item is None else item.duration_ms,
        received=format_instant(row.preserved_at),
        method=found.method,
        act=None if found.act_id is None else str(found.act_id),
        entries=list(found.entries),
    )


def _tombstone(found: GatheredTombstone) -> dict[str, Any]:
    """Return what is left to say of an object that was destroyed: digests and entries."""
    row = found.row
    return _known(
        id=str(row.id),
        kind=row.kind,
        size=row.size_bytes,
        sha256=row.sha256,
        sha512=row.sha512,
        sm3=row.sm3,
        received=format_instant(row.preserved_at),
        destroyed=_time(row.destroyed_at),
        entries=list(found.entries),
    )


def premis_document(gathered: GatheredCase, paths: Mapping[UUID, str]) -> bytes:
    """Return `data/events/premis.xml`: the case, a file for each original, an event for each entry, the agents by id.

    Source: PREMIS Data Dictionary 3.0, premis-v3-0.xsd.
    """
    register_namespace("", PREMIS)
    register_namespace("xsi", _XSI)
    root = Element(_p("premis"), {"version": "3.0"})
    case = SubElement(root, _p("object"), {f"{{{_XSI}}}type": "intellectualEntity"})
    _pair(case, "objectIdentifier", "UUID", str(gathered.case.id))
    SubElement(case, _p("originalName")).text = _xml_text(gathered.case.number)
    objects_of: dict[int, list[UUID]] = {
        entry.index: [gathered.case.id] for entry in gathered.entries if _is_about_case(entry, gathered)
    }
    for found in gathered.objects:
        _premis_object(root, found, paths[found.row.id])
        for index in found.entries:
            objects_of.setdefault(index, []).append(found.row.id)
    for gone in gathered.destroyed:
        element = SubElement(root, _p("object"), {f"{{{_XSI}}}type": "intellectualEntity"})
        _pair(element, "objectIdentifier", "UUID", str(gone.row.id))
        for index in gone.entries:
            objects_of.setdefault(index, []).append(gone.row.id)
    agents = set()
    for entry in gathered.entries:
        event = SubElement(root, _p("event"))
        _pair(event, "eventIdentifier", "UUID", str(entry.fields["id"]))
        SubElement(event, _p("eventType")).text = str(entry.fields["type"])
        SubElement(event, _p("eventDateTime")).text = str(entry.fields["t"])
        information = SubElement(event, _p("eventDetailInformation"))
        SubElement(information, _p("eventDetail")).text = f"log entry {entry.index}"
        agents.add(str(entry.fields["actor"]))
        _pair(event, "linkingAgentIdentifier", "UUID", str(entry.fields["actor"]))
        for object_id in objects_of.get(entry.index, []):
            _pair(event, "linkingObjectIdentifier", "UUID", str(object_id))
    for agent_id in sorted(agents):
        agent = SubElement(root, _p("agent"))
        _pair(agent, "agentIdentifier", "UUID", agent_id)
        if agent_id == str(ARCHIVE.id):
            SubElement(agent, _p("agentName")).text = "Liuhen"
            SubElement(agent, _p("agentType")).text = "software"
    return _rendered(root)


def _is_about_case(entry: GatheredEntry, gathered: GatheredCase) -> bool:
    about = entry.fields.get("obj")
    return str(gathered.case.id) in {entry.fields.get("case"), about["id"] if about else None}


def _premis_object(root: Element, found: GatheredObject, path: str) -> None:
    row = found.row
    element = SubElement(root, _p("object"), {f"{{{_XSI}}}type": "file"})
    _pair(element, "objectIdentifier", "UUID", str(row.id))
    _pair(element, "objectIdentifier", "path in package", path)
    characteristics = SubElement(element, _p("objectCharacteristics"))
    for name, value in (("SHA-256", row.sha256), ("SHA-512", row.sha512), ("SM3", row.sm3)):
        if value is not None:
            fixity = SubElement(characteristics, _p("fixity"))
            SubElement(fixity, _p("messageDigestAlgorithm")).text = name
            SubElement(fixity, _p("messageDigest")).text = value
    SubElement(characteristics, _p("size")).text = str(row.size_bytes)
    designation = SubElement(SubElement(characteristics, _p("format")), _p("formatDesignation"))
    SubElement(designation, _p("formatName")).text = row.media_type
    SubElement(element, _p("originalName")).text = _xml_text(row.name)


def metadata_document(gathered: GatheredCase, found: GatheredObject, organisation: str) -> bytes:
    """Return `data/metadata/<object id>.xml`: what is known of an object, under the element names of DA/T 63."""
    row, item = found.row, found.item
    title = row.name if found.record is None else found.record.title
    elements = (
        ("聚合层次", "aggregation level", "件 / item"),
        ("电子文件号", "electronic record code", str(row.id)),
        ("档号", "archival code", gathered.case.number),
        ("题名", "title", title),
        ("责任者", "author", organisation),
        ("日期", "date", format_instant(row.preserved_at) if item is None else _time(item.recorded_at)),
        ("时间长度", "total time length", _milliseconds(item)),
        ("格式信息", "format information", row.media_type),
        ("计算机文件名", "computer file name", row.name),
        ("计算机文件大小", "computer file size", f"{row.size_bytes} B"),
        ("捕获设备", "capture device", None if item is None else item.device_serial),
        ("数字摘要值 SHA-256", "digest SHA-256", row.sha256),
        ("数字摘要值 SHA-512", "digest SHA-512", row.sha512),
        ("数字摘要值 SM3", "digest SM3", row.sm3),
    )
    root = Element("metadata", {"scheme": "DA/T 63", "object": str(row.id)})
    for chinese, english, value in elements:
        if value is not None:
            SubElement(root, "element", {"name": chinese, "en": english}).text = _xml_text(value)
    return _rendered(root)


def _milliseconds(item: Any) -> str | None:
    return None if item is None or item.duration_ms is None else f"{item.duration_ms} ms"


def _pair(parent: Element, name: str, kind: str, value: str) -> None:
    """Add an identifier: its type and value, named after it as PREMIS does."""
    element = SubElement(parent, _p(name))
    SubElement(element, _p(f"{name}Type")).text = kind
    SubElement(element, _p(f"{name}Value")).text = value


def _p(name: str) -> str:
    return f"{{{PREMIS}}}{name}"


def _rendered(root: Element) -> bytes:
    indent(root)
    document: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _xml_text(text: str) -> str:
    """Return the text with what XML 1.0 cannot hold as U+FFFD (section 2.2)."""
    return _NOT_XML.sub("\ufffd", text)


def _time(at: Instant | None) -> str | None:
    return None if at is None else format_instant(at)


def _known(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
