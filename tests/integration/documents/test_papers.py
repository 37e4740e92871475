"""Every template set as paper, judged by programs that are not ours: qpdf, pdffonts, pdfinfo, pdftotext, a QR reader."""

import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyhanko.pdf_utils.reader import PdfFileReader

from archive.documents.paper import compose
from archive.documents.record_setting import RecordSetter, record_code
from archive.documents.template_loading import load_template
from archive.documents.templates import example_of, shipped_templates
from archive.documents.typesetting import SetDocument
from archive.documents.values import Values, as_values
from tests.unit.documents.forms import CODES, TEMPLATES, example

AT = datetime(2026, 5, 20, 8, 30, tzinfo=UTC)
A4 = (595.28, 841.89)
SETTER = RecordSetter()
TEXT = (Path(__file__).parents[3] / "archive/documents/templates/advance_notice.toml").read_text("utf-8")


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[SetDocument, Path]]:
    """Set every worked example once."""
    folder, found = tmp_path_factory.mktemp("papers"), {}
    for code, template in shipped_templates().items():
        paper = SETTER.set_record(template, as_values(template, example_of(code)), at=AT)
        (folder / f"{code}.pdf").write_bytes(paper.pdf)
        found[code] = (paper, folder / f"{code}.pdf")
    return found


def _said(*command: str | Path) -> str:
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    # Poppler 22.12 calls the boolean that ISO 32000-1, table 321, asks for a wrong type.
    assert done.stderr.replace("Syntax Error: Suspects object is wrong type (boolean)\n", "") == ""
    return done.stdout


def _words(path: Path) -> str:
    """The text of a PDF without blanks and without what lets long words break."""
    return re.sub(r"[\s\u200b]", "", _said("pdftotext", "-layout", path, "-"))


@pytest.mark.parametrize("code", CODES)
def test_the_file_is_whole_and_its_fonts_are_inside(papers: dict[str, tuple[SetDocument, Path]], code: str) -> None:
    paper, path = papers[code]
    assert "No syntax or stream encoding errors found" in _said("qpdf", "--check", path)
    fonts = [line.split()[-5:] for line in _said("pdffonts", path).splitlines()[2:]]
    assert fonts
    assert {(embedded, subset) for embedded, subset, _, _, _ in fonts} == {("yes", "yes")}
    assert {to_unicode for _, _, to_unicode, _, _ in fonts} == {"yes"}
    told = _said("pdfinfo", path)
    assert re.search(rf"^Pages: +{paper.pages}$", told, re.MULTILINE)
    assert re.search(r"^Page size: +595\.\d+ x 841\.\d+ pts \(A4\)$", told, re.MULTILINE)
    for mark in ("JavaScript: +no", "Encrypted: +no", "Form: +none"):
        assert re.search(rf"^{mark}$", told, re.MULTILINE)


@pytest.mark.parametrize("code", CODES)
def test_it_says_that_it_is_pdf_a_2b_and_holds_what_that_forbids_to_lack(
    papers: dict[str, tuple[SetDocument, Path]], code: str
) -> None:
    """ISO 19005-2, 6.6.4 (identification), 6.2.3 (output intent), 6.1.3 (id, no encryption), 6.6.1 (no actions)."""
    told = _said("pdfinfo", "-meta", papers[code][1])
    assert "<pdfaid:part>2</pdfaid:part>" in told
    assert "<pdfaid:conformance>B</pdfaid:conformance>" in told
    with papers[code][1].open("rb") as file:
        reader = PdfFileReader(file)
        intents = reader.root["/OutputIntents"]
        assert intents[0]["/S"] == "/GTS_PDFA1"
        assert "/DestOutputProfile" in intents[0]
        assert len(reader.trailer["/ID"]) == 2
        assert {"/AA", "/OpenAction", "/AcroForm"}.isdisjoint(reader.root)


@pytest.mark.parametrize("code", CODES)
def test_every_word_is_on_the_paper(papers: dict[str, tuple[SetDocument, Path]], code: str) -> None:
    template, words = TEMPLATES[code], _words(papers[code][1])
    values = as_values(template, example_of(code))
    paper = compose(template, values, is_draft=False)
    wanted = [paper["heading"], paper["title"], paper["number"], values.digest().hex]
    for block in paper["blocks"]:
        wanted += [text for kind, text in block.get("runs", ()) if kind == "v"]
        wanted += [
            text for row in block.get("rows", ()) for _, runs in row["cells"] for _, text in runs if len(text) < 12
        ]
        wanted += [text for line in block["lines"] for text in line] if block["kind"] == "dialogue" else []
    flat = re.sub(r"第\d+页共\d+页.{0,200}?sha256:[0-9a-f]{64}", "", words)
    for text in wanted:
        for part in str(text).split("\n"):
            bare = re.sub(r"\s", "", part)
            assert bare in words or bare[:12] in flat, bare


@pytest.mark.parametrize("code", CODES)
def test_pages_are_numbered(papers: dict[str, tuple[SetDocument, Path]], code: str) -> None:
    paper, path = papers[code]
    for number in range(1, paper.pages + 1):
        text = _said("pdftotext", "-layout", "-f", str(number), "-l", str(number), path, "-")
        assert f"第{number}页共{paper.pages}页" in re.sub(r"\s", "", text)


@pytest.mark.parametrize("code", CODES)
def test_each_signature_has_its_place(papers: dict[str, tuple[SetDocument, Path]], code: str) -> None:
    paper, template = papers[code][0], TEMPLATES[code]
    wanted: dict[str, int] = {}
    for each in template.signatures:
        names = [each.role] if each.count == 1 else [f"{each.role}.{number + 1}" for number in range(each.count)]
        wanted |= dict.fromkeys(names, 1)
        if each.every_page:
            wanted[f"{each.role}.page"] = paper.pages
        if each.across_pages and paper.pages > 1:
            wanted[f"{each.role}.across.1"] = paper.pages
    found = [place.name for place in paper.places]
    assert {name: found.count(name) for name in found} == wanted
    for place in paper.places:
        left, bottom, right, top = place.box
        assert 1 <= place.page <= paper.pages
        assert 0 <= left < right <= A4[0]
        assert 0 <= bottom < top <= A4[1]
        if place.name == "agency":
            assert right - left == pytest.approx(top - bottom, abs=0.1)


def test_places_of_signatures_lie_beside_each_other_and_beside_their_words(
    papers: dict[str, tuple[SetDocument, Path]],
) -> None:
    for code in CODES:
        boxes = [(place.page, place.box) for place in papers[code][0].places if not place.name.startswith("agency")]
        for index, (page, (left, bottom, right, top)) in enumerate(boxes):
            for other_page, (l2, b2, r2, t2) in boxes[index + 1 :]:
                assert page != other_page or right <= l2 or r2 <= left or top <= b2 or t2 <= bottom, code


def test_the_seal_lies_over_the_date(papers: dict[str, tuple[SetDocument, Path]]) -> None:
    paper, path = papers["penalty_decision"]
    (seal,) = [place for place in paper.places if place.name == "agency"]
    left, bottom, right, top = seal.box
    area = [
        "-x",
        str(int(left)),
        "-y",
        str(int(A4[1] - top)),
        "-W",
        str(int(right - left)),
        "-H",
        str(int(top - bottom)),
    ]
    text = _said("pdftotext", "-f", str(seal.page), "-l", str(seal.page), *area, path, "-")
    assert "2026年5月20日" in re.sub(r"\s", "", text)


def test_no_page_holds_nothing_but_a_seal(tmp_path: Path) -> None:
    template = TEMPLATES["advance_notice"]
    for length in range(0, 480, 24):
        values = as_values(template, example("advance_notice", reasons="因" + "由" * length))
        paper = SETTER.set_record(template, values, at=AT)
        (tmp_path / "notice.pdf").write_bytes(paper.pdf)
        (seal,) = [place for place in paper.places if place.name == "agency"]
        page = str(seal.page)
        words = re.sub(r"\s", "", _said("pdftotext", "-f", page, "-l", page, tmp_path / "notice.pdf", "-"))
        assert "联系地址：云岭市文昌区云海路2号" in words


def test_the_parts_of_a_seal_across_the_pages_make_up_its_width(papers: dict[str, tuple[SetDocument, Path]]) -> None:
    parts = [place for place in papers["penalty_decision"][0].places if place.name == "agency.across.1"]
    assert [place.page for place in parts] == [1, 2, 3]
    assert sum(place.box[2] - place.box[0] for place in parts) == pytest.approx(42 / 25.4 * 72, abs=0.1)
    assert {place.box[2] for place in parts} == {A4[0]}


def test_the_same_values_and_date_give_the_same_bytes() -> None:
    template = TEMPLATES["seizure_list"]
    values = as_values(template, example("seizure_list"))
    first = SETTER.set_record(template, values, at=AT)
    assert RecordSetter().set_record(template, values, at=AT) == first
    other = as_values(template, example("seizure_list", place="别处"))
    SETTER.set_record(template, other, at=AT)
    assert SETTER.set_record(template, values, at=AT) == first


@pytest.mark.parametrize("code", CODES)
def test_a_draft_of_nothing_can_be_seen_and_says_that_it_is_one(code: str, tmp_path: Path) -> None:
    paper = SETTER.set_record(TEMPLATES[code], Values(code, 1, {}), at=AT, is_draft=True)
    (tmp_path / "draft.pdf").write_bytes(paper.pdf)
    words = _words(tmp_path / "draft.pdf")
    assert "草" in words
    assert "sha256" not in words
    assert "／" not in words


def test_nothing_can_be_added_later_where_a_finished_paper_is_empty(tmp_path: Path) -> None:
    template = TEMPLATES["filing_form"]
    paper = SETTER.set_record(template, as_values(template, example("filing_form", remarks=None)), at=AT)
    (tmp_path / "form.pdf").write_bytes(paper.pdf)
    assert "备注／" in _words(tmp_path / "form.pdf")


def test_values_are_text_and_never_markup(tmp_path: Path) -> None:
    template = TEMPLATES["inspection_record"]
    hostile = '#pagebreak() $x$ *a* @b <c> \\ ${d} `e` // f [g] {agency} = h\n- i\n#include("/etc/passwd")'
    values = as_values(template, example("inspection_record", findings=hostile, place='#eval("1")'))
    (tmp_path / "hostile.pdf").write_bytes(SETTER.set_record(template, values, at=AT).pdf)
    words = _words(tmp_path / "hostile.pdf")
    for part in (*hostile.split("\n"), '#eval("1")'):
        assert re.sub(r"\s", "", part) in words


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("王堃喆", "王堃喆"),
        ("𠮷田", "〔U+20BB7〕田"),
        ("a\u202eb", "a〔U+202E〕b"),
        ("\ue863", "〔U+E863〕"),
        ("龘犇", "龘犇"),
    ],
)
def test_a_rare_character_is_shown_and_none_is_lost(tmp_path: Path, given: str, shown: str) -> None:
    template = TEMPLATES["filing_form"]
    for field in ("cause", "number"):
        values = as_values(template, example("filing_form", **{field: given}))
        (tmp_path / "rare.pdf").write_bytes(SETTER.set_record(template, values, at=AT).pdf)
        assert shown in _words(tmp_path / "rare.pdf")


def test_the_code_carries_number_and_digest(papers: dict[str, tuple[SetDocument, Path]], tmp_path: Path) -> None:
    template = TEMPLATES["penalty_decision"]
    values = as_values(template, example_of("penalty_decision"))
    wanted = f"liuhen-record:1;penalty_decision:1;云市监处罚〔2026〕12号;sha256:{values.digest().hex}"
    assert record_code(template, values) == wanted
    _said("pdftoppm", "-r", "200", "-f", "1", "-l", "1", "-png", papers["penalty_decision"][1], tmp_path / "page")
    (page,) = tmp_path.glob("page*.png")
    read = subprocess.run(["zbarimg", "--quiet", "--raw", page], check=True, capture_output=True, text=True).stdout
    assert read.strip() == wanted


def test_long_text_goes_over_pages_and_loses_nothing(tmp_path: Path) -> None:
    lines = [f"第{number}项情况：" + "现场情况说明文字" * 12 for number in range(1, 31)]
    for code, field in (("inspection_record", "findings"), ("filing_form", "summary"), ("advance_notice", "facts")):
        template = TEMPLATES[code]
        text = "\n".join(lines)[: next(each.longest for each in template.fields if each.name == field)]
        values = as_values(template, example(code, **{field: text}))
        paper = SETTER.set_record(template, values, at=AT)
        (tmp_path / "long.pdf").write_bytes(paper.pdf)
        words = _words(tmp_path / "long.pdf")
        assert paper.pages > 1
        last = text.split("\n")[-1][:9]
        assert [number for number in range(1, text.count("\n")) if f"第{number}项情况" not in words] == []
        assert last in words


def test_a_long_list_repeats_its_head_and_is_closed(tmp_path: Path) -> None:
    template = TEMPLATES["seizure_list"]
    items = [{"name": f"物品{number}", "quantity": str(number), "unit": "件"} for number in range(1, 121)]
    paper = SETTER.set_record(template, as_values(template, example("seizure_list", items=items)), at=AT)
    (tmp_path / "list.pdf").write_bytes(paper.pdf)
    text = _said("pdftotext", "-layout", tmp_path / "list.pdf", "-")
    assert text.count("规格型号") >= 3
    assert text.count("以下空白") == 1
    assert re.search(r"\s120\s", text)
    groups = {place.name for place in paper.places if ".across." in place.name}
    assert groups == {"agency.across.1"}


def test_many_pages_have_seals_in_groups_of_at_most_eight() -> None:
    template = TEMPLATES["seizure_list"]
    items = [{"name": f"物品{number}", "quantity": "1", "unit": "件"} for number in range(1, 421)]
    paper = SETTER.set_record(template, as_values(template, example("seizure_list", items=items)), at=AT)
    across = [place for place in paper.places if ".across." in place.name]
    assert [place.page for place in across] == list(range(1, paper.pages + 1))
    sizes = [sum(place.name.endswith(f".{group}") for place in across) for group in (1, 2)]
    assert sum(sizes) == paper.pages
    assert max(sizes) <= 8


def test_a_template_of_a_bureau_is_set_like_a_shipped_one(tmp_path: Path) -> None:
    own = load_template(TEXT.replace('title.zh = "行政处罚事先告知书"', 'title.zh = "处罚告知单"'))
    values = as_values(own, example_of("advance_notice"))
    (tmp_path / "own.pdf").write_bytes(SETTER.set_record(own, values, at=AT).pdf)
    assert "处罚告知单" in _words(tmp_path / "own.pdf")
