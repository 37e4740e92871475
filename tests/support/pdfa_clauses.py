"""The clauses of PDF/A-2b (ISO 19005-2) that signing can break, checked on what qpdf reads: no validator can be had here.

6.1.3 no encryption · 6.1.12 permissions · 6.1.13 limits of strings and names · 6.2.4.3 device colours have an output intent ·
6.2.5 and 6.2.10 graphics state and blend modes · 6.2.8 images · 6.2.9 forms · 6.2.11.4 and 6.2.11.5 fonts are embedded, with
the widths that they declare · 6.3.1 to 6.3.3 annotations · 6.4.1 and 6.4.2 fields · 6.4.3 signatures · 6.5 actions ·
6.6.2 metadata · 6.8 embedded files.
"""

import json
import subprocess
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from fontTools.ttLib import TTFont

_BLEND_MODES = {
    "/Normal", "/Compatible", "/Multiply", "/Screen", "/Overlay", "/Darken", "/Lighten", "/ColorDodge", "/ColorBurn",
    "/HardLight", "/SoftLight", "/Difference", "/Exclusion", "/Hue", "/Saturation", "/Color", "/Luminosity",
}  # fmt: skip
_ANNOTATIONS = {"/Link", "/Widget"}
_PRINTED, _HIDDEN = 4, 1 | 2 | 32 | 256


class Document:
    """What qpdf reads out of a file."""

    def __init__(self, pdf: bytes, folder: Path) -> None:
        self.path = folder / "clauses.pdf"
        self.path.write_bytes(pdf)
        run = subprocess.run(
            ["qpdf", "--warning-exit-0", "--json=2", "--json-stream-data=none", self.path],
            capture_output=True, check=True, text=True,
        )  # fmt: skip
        self.objects: dict[str, Any] = json.loads(run.stdout)["qpdf"][1]

    def get(self, value: Any) -> Any:
        """Return what a reference leads to; of a stream, its dictionary."""
        seen = 0
        while isinstance(value, str) and value.endswith(" R") and seen < 20:
            found = self.objects.get(f"obj:{value}", {})
            value, seen = found["stream"]["dict"] if "stream" in found else found.get("value"), seen + 1
        return value

    def is_stream(self, value: Any) -> bool:
        return "stream" in self.objects.get(f"obj:{value}", {})

    def content(self, reference: str) -> bytes:
        number = reference.split(maxsplit=1)[0]
        return subprocess.run(
            ["qpdf", "--warning-exit-0", f"--show-object={number}", "--filtered-stream-data", self.path],
            capture_output=True,
            check=True,
        ).stdout

    @property
    def root(self) -> Any:
        return self.get(self.objects["trailer"]["value"]["/Root"])

    def dictionaries(self) -> Iterator[Any]:
        for found in self.objects.values():
            yield from _inside(found["stream"]["dict"] if "stream" in found else found.get("value"))


def breaches(pdf: bytes, folder: Path) -> list[str]:
    """Return what breaks a clause, none for a document that keeps them."""
    document = Document(pdf, folder)
    return sorted({*_of_the_whole(document), *_of_objects(document), *_of_fonts(document)})


def metadata(pdf: bytes, folder: Path) -> bytes:
    """Return the XMP packet."""
    document = Document(pdf, folder)
    return document.content(document.root["/Metadata"])


def _of_the_whole(document: Document) -> Iterator[str]:
    trailer, root = document.objects["trailer"]["value"], document.root
    if "/Encrypt" in trailer:
        yield "6.1.3 encrypted"
    if set(document.get(root.get("/Perms")) or {}) - {"/DocMDP", "/UR3"}:
        yield "6.1.12 permissions"
    intents = [document.get(each) for each in document.get(root.get("/OutputIntents")) or []]
    if not any(each["/S"] == "/GTS_PDFA1" and document.get(each["/DestOutputProfile"])["/N"] == 3 for each in intents):
        yield "6.2.4.3 no output intent in RGB"
    form = document.get(root.get("/AcroForm")) or {}
    if form.get("/NeedAppearances") or "/XFA" in form:
        yield "6.4 appearances or XFA"
    if {"/AA", "/OpenAction"} & set(root) or "/EmbeddedFiles" in (document.get(root.get("/Names")) or {}):
        yield "6.5 actions of the document, 6.8 embedded files"
    if "/Filter" in document.get(root["/Metadata"]):
        yield "6.6.2 metadata under a filter"


def _of_objects(document: Document) -> Iterator[str]:
    for found in document.dictionaries():
        kind, subtype = found.get("/Type"), found.get("/Subtype")
        if "/BM" in found and found["/BM"] not in _BLEND_MODES:
            yield "6.2.10 blend mode"
        if kind == "/ExtGState" and {"/TR", "/HTP"} & set(found):
            yield "6.2.5 graphics state"
        if subtype == "/Image" and ({"/Alternates", "/OPI"} & set(found) or found.get("/Interpolate")):
            yield "6.2.8 image"
        if subtype == "/Form" and {"/OPI", "/PS", "/Subtype2", "/Ref"} & set(found):
            yield "6.2.9 form"
        if ("/A" in found and "/FT" in found) or "/AA" in found or found.get("/S") in {"/JavaScript", "/Launch"}:
            yield "6.4.1 or 6.5.1 action"
        if kind == "/Annot" or (subtype == "/Widget" and "/Rect" in found):
            yield from _of_annotation(document, found)
        if kind == "/SigRef" and {"/DigestLocation", "/DigestMethod", "/DigestValue"} & set(found):
            yield "6.1.12 digest in a reference of a signature"
        for name, value in found.items():
            if isinstance(value, str) and value.startswith("b:") and len(value) > 2 + 2 * 32767 and name != "/Contents":
                yield "6.1.13 string"
            if len(name.encode()) > 128:
                yield "6.1.13 name"


def _of_annotation(document: Document, found: dict[str, Any]) -> Iterator[str]:
    if found.get("/Subtype") not in _ANNOTATIONS:
        yield "6.3.1 kind of annotation"
    flags = found.get("/F", 0)
    if not flags & _PRINTED or flags & _HIDDEN:
        yield "6.3.2 flags of an annotation"
    left, bottom, right, top = found["/Rect"]
    appearance = document.get(found.get("/AP"))
    if appearance is None:
        if (left, bottom) != (right, top) and found["/Subtype"] != "/Link":
            yield "6.3.3 no appearance"
        return
    is_button = found.get("/FT") == "/Btn"
    if set(appearance) != {"/N"} or document.is_stream(appearance["/N"]) is is_button:
        yield "6.3.3 form of the appearance"


def _of_fonts(document: Document) -> Iterator[str]:
    for found in document.dictionaries():
        if found.get("/Type") == "/Font" and found.get("/Subtype") in {"/Type1", "/TrueType"}:
            descriptor = document.get(found.get("/FontDescriptor")) or {}
            if not {"/FontFile", "/FontFile2", "/FontFile3"} & set(descriptor):
                yield "6.2.11.4 font is not embedded"
        if found.get("/Type") != "/Font" or found.get("/Subtype") not in {"/CIDFontType0", "/CIDFontType2"}:
            continue
        descriptor = document.get(found["/FontDescriptor"])
        program = descriptor.get("/FontFile3") or descriptor.get("/FontFile2")
        if program is None:
            yield "6.2.11.4 font is not embedded"
            continue
        if found["/Subtype"] == "/CIDFontType2" and "/CIDToGIDMap" not in found:
            yield "6.2.11.3.2 no map of glyphs"
        if document.get(program).get("/Subtype") == "/CIDFontType0C":
            yield from _of_widths(document, found, document.content(program))


def _of_widths(document: Document, font: dict[str, Any], program: bytes) -> Iterator[str]:
    from fontTools.cffLib import CFFFontSet

    holder = TTFont()
    face = CFFFontSet()
    face.decompile(BytesIO(program), holder, isCFF2=False)
    top = face.topDictIndex[0]
    declared = _declared(document.get(font["/W"]), document)
    scale = 1000 * (top.FontMatrix[0] if hasattr(top, "FontMatrix") else 0.001)
    for name in top.charset:
        glyph = top.CharStrings[name]
        glyph.calcBounds(None)
        width = glyph.width if glyph.width != "unset" else glyph.private.defaultWidthX
        code = int(name.removeprefix("cid")) if name.startswith("cid") else 0
        if abs(declared.get(code, font.get("/DW", 1000)) - width * scale) > 1:
            yield "6.2.11.5 width of a glyph"


def _declared(widths: list[Any], document: Document) -> dict[int, float]:
    found: dict[int, float] = {}
    at = 0
    while at < len(widths):
        second = document.get(widths[at + 1])
        if isinstance(second, list):
            found.update({widths[at] + step: width for step, width in enumerate(second)})
            at += 2
        else:
            found.update(dict.fromkeys(range(widths[at], second + 1), widths[at + 2]))
            at += 3
    return found


def _inside(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield value
        for each in value.values():
            yield from _inside(each)
    elif isinstance(value, list):
        for each in value:
            yield from _inside(each)
