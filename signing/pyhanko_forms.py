"""pyHanko writes drawings as form XObjects, each once however often it is shown. Import it late.

Fonts are embedded, transparency is a soft mask or a blend mode that PDF/A-2 allows.
Source: ISO 32000-1 sections 8.10, 8.9, 9.7; ISO 19005-2 sections 6.2.4, 6.2.10, 6.2.11.
"""

from typing import Any

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

from signing.appearances import Appearance, Picture
from signing.typefaces import EmbeddedFont


class FormWriter:
    """Puts drawings into one revision of a document."""

    def __init__(self, writer: IncrementalPdfFileWriter) -> None:
        """Take the writer of the revision."""
        self._writer = writer
        # By identity; the drawing is kept too, so that its id stays its own.
        self._written: dict[int, tuple[object, Any]] = {}

    def show(self, widget: Any, appearance: Appearance) -> None:
        """Make the drawing the appearance of a widget, a new one: an old stream is never written over."""
        widget[pdf_name("/AP")] = generic.DictionaryObject({pdf_name("/N"): self._once(appearance, self._form)})
        self._writer.update_container(widget)

    def _once(self, thing: Any, write: Any) -> Any:
        if id(thing) not in self._written:
            self._written[id(thing)] = (thing, write(thing))
        return self._written[id(thing)][1]

    def _form(self, drawing: Appearance) -> Any:
        content, resources = drawing.content, generic.DictionaryObject()
        if drawing.is_ink:
            content = b"/Ink gs\n" + content
            ink = generic.DictionaryObject({pdf_name("/BM"): pdf_name("/Multiply")})
            resources[pdf_name("/ExtGState")] = generic.DictionaryObject({pdf_name("/Ink"): ink})
        if drawing.fonts:
            fonts = {pdf_name(f"/{name}"): self._once(font, self._font) for name, font in drawing.fonts.items()}
            resources[pdf_name("/Font")] = generic.DictionaryObject(fonts)
        objects = {
            **{pdf_name(f"/{name}"): self._once(part, self._form) for name, part in drawing.parts.items()},
            **{pdf_name(f"/{name}"): self._once(each, self._picture) for name, each in drawing.pictures.items()},
        }
        if objects:
            resources[pdf_name("/XObject")] = generic.DictionaryObject(objects)
        box = (generic.FloatObject(f"{each:.2f}") for each in (0, 0, drawing.width, drawing.height))
        return self._stream(
            content,
            {
                "/Type": pdf_name("/XObject"),
                "/Subtype": pdf_name("/Form"),
                "/BBox": generic.ArrayObject(box),
                "/Resources": resources,
            },
        )

    def _font(self, font: EmbeddedFont) -> Any:
        """Write a composite font whose codes are character identifiers. Source: ISO 32000-1 section 9.7.4."""
        is_cff = font.kind == "CIDFontType0C"
        name = pdf_name(f"/{_tag(font)}+{font.name}")
        program = self._stream(font.program, {"/Subtype": pdf_name("/CIDFontType0C")} if is_cff else {
            "/Length1": generic.NumberObject(len(font.program))})  # fmt: skip
        descriptor = _dictionary(
            {
                "/Type": pdf_name("/FontDescriptor"),
                "/FontName": name,
                "/Flags": generic.NumberObject(4),
                "/FontBBox": _integers(*font.box),
                "/ItalicAngle": generic.NumberObject(0),
                "/Ascent": generic.NumberObject(font.ascent),
                "/Descent": generic.NumberObject(font.descent),
                "/CapHeight": generic.NumberObject(font.ascent),
                "/StemV": generic.NumberObject(80),
                "/FontFile3" if is_cff else "/FontFile2": program,
            }
        )
        widths = generic.ArrayObject()
        for code, width in sorted(font.widths.items()):
            widths += [generic.NumberObject(code), _integers(width)]
        system = {"/Registry": generic.TextStringObject("Adobe"), "/Ordering": generic.TextStringObject("Identity")}
        descendant = {
            "/Type": pdf_name("/Font"),
            "/Subtype": pdf_name("/CIDFontType0" if is_cff else "/CIDFontType2"),
            "/BaseFont": name,
            "/CIDSystemInfo": _dictionary({**system, "/Supplement": generic.NumberObject(0)}),
            "/FontDescriptor": self._writer.add_object(descriptor),
            "/DW": generic.NumberObject(1000),
            "/W": widths,
        }
        if not is_cff:
            descendant["/CIDToGIDMap"] = pdf_name("/Identity")
        return self._writer.add_object(
            _dictionary(
                {
                    "/Type": pdf_name("/Font"),
                    "/Subtype": pdf_name("/Type0"),
                    "/BaseFont": name,
                    "/Encoding": pdf_name("/Identity-H"),
                    "/DescendantFonts": generic.ArrayObject([self._writer.add_object(_dictionary(descendant))]),
                    "/ToUnicode": self._stream(_to_unicode(font), {}),
                }
            )
        )

    def _picture(self, picture: Picture) -> Any:
        size = {
            "/Type": pdf_name("/XObject"),
            "/Subtype": pdf_name("/Image"),
            "/Width": generic.NumberObject(picture.width_px),
            "/Height": generic.NumberObject(picture.height_px),
            "/BitsPerComponent": generic.NumberObject(8),
        }
        mask = {}
        if picture.opacity is not None:
            mask["/SMask"] = self._stream(picture.opacity, {**size, "/ColorSpace": pdf_name("/DeviceGray")})
        return self._stream(picture.samples, {**size, "/ColorSpace": pdf_name("/DeviceRGB"), **mask})

    def _stream(self, content: bytes, entries: dict[str, Any]) -> Any:
        stream = generic.StreamObject(_dictionary(entries), stream_data=content)
        stream.compress()
        return self._writer.add_object(stream)


def _dictionary(entries: dict[str, Any]) -> generic.DictionaryObject:
    return generic.DictionaryObject({pdf_name(name): value for name, value in entries.items()})


def _integers(*values: int) -> generic.ArrayObject:
    return generic.ArrayObject(generic.NumberObject(value) for value in values)


def _tag(font: EmbeddedFont) -> str:
    """Return the six letters that mark a subset, which follow from what is in it. Source: ISO 32000-1 section 9.6.4."""
    import hashlib

    told = hashlib.sha256(font.program).digest()
    return "".join(chr(65 + byte % 26) for byte in told[:6])


def _to_unicode(font: EmbeddedFont) -> bytes:
    """Return the map from codes to text, so that the text can be searched and read out. Source: Adobe note 5411."""
    pairs = [f"<{code:04X}> <{char.encode('utf-16-be').hex().upper()}>" for char, code in sorted(font.codes.items())]
    blocks = [pairs[at : at + 100] for at in range(0, len(pairs), 100)]
    told = "\n".join(f"{len(block)} beginbfchar\n" + "\n".join(block) + "\nendbfchar" for block in blocks)
    return (
        "/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n"
        "/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def\n"
        "/CMapName /Adobe-Identity-UCS def\n/CMapType 2 def\n"
        "1 begincodespacerange\n<0000> <FFFF>\nendcodespacerange\n"
        f"{told}\nendcmap\nCMapName currentdict /CMap defineresource pop\nend\nend\n"
    ).encode("ascii")
