"""verify.html from the disk, with the network off: on good, tampered and forged packages it says what `liuhen verify` says."""

import hashlib
import json
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from archive.packages.verifier import verify_html
from tests.e2e.browser import until
from tests.support.package_faults import FAULTS, INVALID, OPEN, VALID, Fault, by_liuhen, missing_from, outline
from tests.support.packages import House
from tests.support.real_packages import real_archive
from tests.unit.ledger.parts import golden

pytestmark = pytest.mark.e2e
_ENDED = "['done', 'failed'].includes(document.body.dataset.state)"


@pytest.fixture(scope="module")
def house() -> House:
    return House.make(1)


@pytest.fixture(scope="module")
def whole(house: House, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return house.package(tmp_path_factory.mktemp("whole") / "package")


@pytest.fixture
def package(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "package"))


@dataclass(frozen=True)
class Taken:
    """What lies on the disk of whoever took a case away: the package, a forged one, and the trust file from outside."""

    package: Path
    forged: Path
    trust: bytes


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Taken:
    """The same case out of a real archive and out of a forger's, which has other keys."""
    base = tmp_path_factory.mktemp("taken")
    with real_archive(base / "real") as real, real_archive(base / "forger") as forger:
        return Taken(real.package(base / "case"), forger.package(base / "forged"), real.trust())


@contextmanager
def _opened(chromium: Browser, place: Path) -> Iterator[Page]:
    """Open a page in an offline browser; whatever it asks for beyond itself, or complains of, is a failure."""
    context = chromium.new_context(offline=True, locale="en-GB")
    opened = context.new_page()
    wrong: list[str] = []
    opened.on(
        "request", lambda request: wrong.append(request.url) if not request.url.startswith(("file:", "blob:")) else None
    )
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    opened.goto(place.as_uri())
    yield opened
    context.close()
    assert wrong == []


@pytest.fixture(scope="module")
def page(taken: Taken, chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page by itself. Real packages are made before: signing needs the event loop that Playwright keeps."""
    place = tmp_path_factory.mktemp("page") / "verify.html"
    place.write_bytes(verify_html())
    with _opened(chromium, place) as opened:
        yield opened


def _check(page: Page, folder: Path, trust: str) -> dict:
    page.reload()
    page.set_input_files("#folder", folder)
    page.fill("#trust", trust)
    page.click("#start")
    until(page, _ENDED)
    assert page.inner_text("#problem") == ""
    return json.loads(str(page.text_content("#report")))


def test_a_good_package(page: Page, house: House, package: Path) -> None:
    report = _check(page, package, house.trust().decode())
    assert outline(report) == outline(by_liuhen(package, house.trust()))
    assert (report["unaltered"], report["complete"], report["outcome"]) == (VALID, OPEN, OPEN)
    assert page.inner_text("#unaltered .verdict-is") == "Valid"
    assert page.inner_text("#complete .verdict-is") == "Not checked"
    page.click("#language")
    assert page.inner_text("#unaltered .verdict-is") == "有效"
    assert page.get_attribute("html", "lang") == "zh-Hans"


def test_without_a_trust_file_nothing_is_valid(page: Page, package: Path) -> None:
    report = _check(page, package, "")
    assert outline(report) == outline(by_liuhen(package, None))
    assert report["unaltered"] == OPEN
    assert page.is_visible("#unsigned")


def test_the_fingerprint_of_the_trust_file_is_enough(page: Page, house: House, package: Path) -> None:
    digest = hashlib.sha256(house.trust()).hexdigest()
    report = _check(page, package, f"SHA256: {digest[:32].upper()} {digest[32:]}")
    assert report["unaltered"] == VALID


@pytest.mark.parametrize(
    ("trust", "told"), [("0" * 64, "another SHA-256"), ("log nobody", "neither a trust file nor its SHA-256 (line 1")]
)
def test_what_is_no_trust_file_is_refused(page: Page, package: Path, trust: str, told: str) -> None:
    page.reload()
    page.set_input_files("#folder", package)
    page.fill("#trust", trust)
    page.click("#start")
    until(page, _ENDED)
    assert told in page.inner_text("#problem")
    assert not page.is_visible("#result")


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.in_browser], ids=lambda fault: fault.name)
def test_each_fault_is_found(page: Page, house: House, package: Path, fault: Fault) -> None:
    fault.make(package, house)
    report = _check(page, package, house.trust().decode())
    assert missing_from(report, fault) == []
    assert report["unaltered"] == fault.outcome
    assert outline(report) == outline(by_liuhen(package, house.trust()))


def test_a_random_change_has_the_same_outcome(page: Page, house: House, package: Path) -> None:
    chance = random.Random(4)
    paths = sorted(path for path in package.rglob("*") if path.is_file())
    for _ in range(20):
        path = chance.choice(paths)
        raw = path.read_bytes()
        changed = bytearray(raw)
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        path.write_bytes(changed)
        report = _check(page, package, house.trust().decode())
        assert outline(report) == outline(by_liuhen(package, house.trust())), path
        assert report["unaltered"] != VALID
        path.write_bytes(raw)


# ---- packages out of a real archive, each judged by the page that came along ---------------------------------------------


@pytest.fixture
def copied(taken: Taken, tmp_path: Path) -> Taken:
    """The same, to be changed."""
    package, forged = (shutil.copytree(place, tmp_path / place.name) for place in (taken.package, taken.forged))
    return Taken(package, forged, taken.trust)


def test_a_real_package_is_valid_for_the_page_that_came_along(chromium: Browser, copied: Taken) -> None:
    with _opened(chromium, copied.package / "verify.html") as page:
        report = _check(page, copied.package, copied.trust.decode())
        assert outline(report) == outline(by_liuhen(copied.package, copied.trust))
        assert (report["unaltered"], report["complete"]) == (VALID, OPEN)
        assert page.inner_text("#unaltered .verdict-is") == "Valid"
        assert "listed files are as the archive with the log liuhen.local/" in page.inner_text("#unaltered .small")
        report = _check(page, copied.package, "")
        assert (report["unaltered"], page.inner_text("#unaltered .verdict-is")) == (OPEN, "Not established")
        assert page.is_visible("#unsigned")


@pytest.mark.parametrize("path", ["data/evidence/*/original/*.mp4", "data/records/*/original/*.pdf", "data/list.pdf"])
def test_one_flipped_bit_in_a_real_package_is_shown(chromium: Browser, copied: Taken, path: str) -> None:
    flipped = max(copied.package.glob(path))
    raw = bytearray(flipped.read_bytes())
    raw[len(raw) // 2] ^= 1
    flipped.write_bytes(raw)
    with _opened(chromium, copied.package / "verify.html") as page:
        report = _check(page, copied.package, copied.trust.decode())
        assert outline(report) == outline(by_liuhen(copied.package, copied.trust))
        assert (report["unaltered"], page.inner_text("#unaltered .verdict-is")) == (INVALID, "Invalid")
        assert flipped.relative_to(copied.package).as_posix() in page.inner_text("#attention")


def test_a_real_package_that_was_forged_whole_is_not_valid(chromium: Browser, copied: Taken) -> None:
    """The forger's own page may say what it likes; the true one, with the trust file from outside, is not deceived."""
    with _opened(chromium, copied.package / "verify.html") as page:
        report = _check(page, copied.forged, copied.trust.decode())
        assert outline(report) == outline(by_liuhen(copied.forged, copied.trust))
        assert (report["unaltered"], page.inner_text("#unaltered .verdict-is")) == (INVALID, "Invalid")
        assert "checkpoint.signer_unknown" in page.inner_text("#attention")
        assert _check(page, copied.forged, "")["unaltered"] == OPEN


def test_vectors_that_others_published(page: Page) -> None:
    """Sources: tests/golden/ledger/SOURCE.md. Every inclusion holds, and none with the next index or a hash less."""
    vectors = {
        name: golden(f"{name}.json")
        for name in ("rfc6962_tree", "argon2020", "tesseract_entry", "notes", "tlog_proofs")
    }
    judge = """async ({ rfc6962_tree: tree, argon2020, tesseract_entry: tessera, notes, tlog_proofs: proofs }) => {
        const hex = (text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
        const small = tree.inclusion.map(({ leaf_counted_from_one: at, size, proof }) =>
            [hex(tree.leaves[at - 1]), at - 1, size, proof.map(hex), hex(tree.roots[size - 1])]);
        const large = [[argon2020, unbase64(argon2020.entry)], [tessera, bytesOf(tessera.entry)]].map(([one, entry]) =>
            [entry, one.index, one.size, one.inclusion.map(unbase64), unbase64(one.root)]);
        const told = { held: 0, refused: 0, keys: 0, notes: 0, badKeys: 0, badProofs: 0 };
        for (const [entry, index, size, hashes, root] of [...small, ...large]) {
            told.held += await isIncluded(entry, index, size, hashes, root);
            told.refused += !(await isIncluded(entry, index + 1, size, hashes, root));
            told.refused += !(await isIncluded(entry, index, size, [...hashes, root], root));
        }
        const { go, foo, sumdb, cosigned } = notes;
        const several = sumdb.checkpoints[0].note + cosigned.lines.join("");
        const signed = [
            [go.peter, `${go.text}\n${go.peter_line}`], [go.enoch, `${go.text}\n${go.enoch_line}`], [foo.key, foo.note],
            ...sumdb.checkpoints.map(({ note }) => [sumdb.key, note]), ...cosigned.keys.map((key) => [key, several]),
        ];
        for (const [text, raw] of signed) {
            const key = await parseKey(text);
            told.keys += 1;
            const note = parseNote(bytesOf(raw));
            const { signature } = note.signatures.find(({ name, id }) => name === key.name && id === key.id);
            for (const verifies of [ed25519Verifies, ed25519ByHand]) {
                told.notes += await verifies(key.bytes, signature, bytesOf(note.text));
                told.notes += !(await verifies(key.bytes, signature, bytesOf(`${note.text}x`)));
            }
        }
        for (const bad of go.bad_keys) await parseKey(bad).catch(() => (told.badKeys += 1));
        for (const bad of Object.values(proofs.refused)) await parseProof(bytesOf(bad)).catch(() => (told.badProofs += 1));
        return told;
    }"""
    assert page.evaluate(judge, vectors) == {
        "held": 7, "refused": 14, "keys": 9, "notes": 36, "badKeys": 2, "badProofs": 7,
    }  # fmt: skip


def test_ed25519_without_the_browser_is_the_same(page: Page, house: House, package: Path) -> None:
    """A browser whose WebCrypto has no Ed25519 computes it by hand."""
    page.reload()
    vector = """async () => {
        const hex = (text) => Uint8Array.from(text.match(/../g), (pair) => parseInt(pair, 16));
        const key = hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
        const signature = hex("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            + "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
        return [await ed25519ByHand(key, signature, hex("72")), await ed25519ByHand(key, signature, hex("73"))];
    }"""
    assert page.evaluate(vector) == [True, False]
    page.evaluate("() => { ed25519Verifies = ed25519ByHand; }")
    page.set_input_files("#folder", package)
    page.fill("#trust", house.trust().decode())
    page.click("#start")
    until(page, _ENDED)
    assert json.loads(str(page.text_content("#report")))["unaltered"] == VALID


def test_the_page_works_by_keyboard(page: Page, house: House, package: Path) -> None:
    page.reload()
    page.set_input_files("#folder", package)
    page.focus("#trust")
    page.keyboard.insert_text(house.trust().decode())
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "start"
    page.keyboard.press("Enter")
    until(page, _ENDED)
    assert page.evaluate("document.activeElement.id") == "result"
