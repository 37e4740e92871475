"""The page of an item: what is known of it, its trail and proofs, checking it now, waiting for it."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select, update

from archive.access.policy import Role
from archive.custody.models import CustodyEvent, PreservedObject
from archive.evidence.models import EvidenceItem
from archive.jobs.models import Job
from archive.kernel.digests import Digest, DigestSet
from archive.kernel.findings import Outcome
from archive.kernel.ids import ObjectId
from archive.ledger.proof import TlogProof
from archive.ledger.receipt import verify_receipt
from archive.web.app import create_app
from signing.authority import EmbeddedAuthority
from tests.integration.web.conftest import HTMX, VIDEO, signed_in, words
from tests.support import seed
from tests.support.archive_home import flip
from tests.support.deployment import RawStores
from tests.support.seed import Bureau


def _original(bureau: Bureau, object_id: ObjectId) -> PreservedObject:
    with bureau.services.database.read() as tx:
        return tx.get_one(PreservedObject, object_id)


def test_an_item_shows_everything_that_is_known(supervisor: httpx.Client, bureau: Bureau) -> None:
    item = bureau.items["video"]
    page, row = supervisor.get(f"/items/{item}"), _original(bureau, item)
    text = words(page)
    assert f"<title>{VIDEO}" not in page.text
    for part in (
        VIDEO, row.sha256, row.sha512, row.sm3 or "no sm3", "录像 · 0:01", "h264 320×240", "BWC-0117",
        "2026-03-02 09:30:00", "快 1.3 秒", "北市区中队采集站", "官综执罚〔2026〕第031号",
        f"{row.size_bytes:,} 字节", "播放副本与原件的音视频数据相同", "调阅事由",
    ):  # fmt: skip
        assert part in text, part
    assert 'title="2026-03-02 01:30:00.000 UTC"' in page.text
    for digest in ("sha256", "sha512", "sm3"):
        assert f'data-copy="digest-{digest}"' in page.text


def test_the_trail_names_who_and_what_and_where(supervisor: httpx.Client, bureau: Bureau) -> None:
    text = words(supervisor.get(f"/objects/{bureau.items['video']}/trail", headers=HTMX))
    for part in (
        "原件固化保存",
        "采集站上传，核对无误",
        "北市区中队采集站",
        "关联到案件",
        "李晓东",
        "现场执法记录",
        "系统",
    ):
        assert part in text, part
    places = [int(number) for number in re.findall(r"#(\d+)", text)]
    assert len(places) == len(set(places)) >= 4


@pytest.mark.parametrize(
    ("item", "parts"),
    [
        ("unplayable", ["无法播放", "不是音像文件", "导出原件", "准确"]),
        ("pending", ["正在准备播放", "排队中", "慢 0.1 秒"]),
        ("audio", ["录音 · 0:01", "未测量", "未归入任何案件"]),
    ],
)
def test_each_state_says_what_it_is(supervisor: httpx.Client, bureau: Bureau, item: str, parts: list[str]) -> None:
    text = words(supervisor.get(f"/items/{bureau.items[item]}"))
    for part in parts:
        assert part in text, part


def test_english_pages_are_english(supervisor: httpx.Client, bureau: Bureau) -> None:
    text = words(supervisor.get(f"/items/{bureau.items['video']}", headers={"Accept-Language": "en"}))
    for part in ("Custody trail", "Received from dock, digests match", "Linked to case", "1.3 s fast", "Verify now"):
        assert part in text, part


# ---- proofs --------------------------------------------------------------------------------------------------------


def test_the_proof_of_each_event_verifies(auditor: httpx.Client, bureau: Bureau) -> None:
    item = bureau.items["video"]
    seed.sequence(bureau)
    addresses = re.findall(r'href="(/objects/[^"]*/proof)"', auditor.get(f"/objects/{item}/trail", headers=HTMX).text)
    assert len(addresses) >= 4
    for address in addresses:
        answer = auditor.get(address)
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert re.search(r'filename="liuhen-\d+\.tlog-proof"', answer.headers["content-disposition"])
        entry = auditor.get(address.replace("/proof", "/body"))
        report = TlogProof.parse(answer.content).verify(entry.content, trust=bureau.services.trust)
        assert report.outcome is Outcome.VALID


def test_only_events_of_the_object_itself_are_given(auditor: httpx.Client, bureau: Bureau) -> None:
    with bureau.services.database.read() as tx:
        other = tx.scalars(select(CustodyEvent.entry_id).where(CustodyEvent.object_id == bureau.items["audio"])).first()
    for kind in ("proof", "body"):
        assert auditor.get(f"/objects/{bureau.items['video']}/entries/{other}/{kind}").status_code == 404


def test_the_receipt_verifies_offline(auditor: httpx.Client, bureau: Bureau) -> None:
    item = bureau.items["video"]
    row = _original(bureau, item)
    page = auditor.get(f"/items/{item}").text
    address = re.search(r'href="(/items/[^"]*/receipts/[^"]*)"', page)
    assert address is not None
    answer = auditor.get(address[1])
    assert answer.headers["content-disposition"].startswith("attachment")
    digests = DigestSet(
        row.size_bytes, Digest.from_hex("sha256", row.sha256), Digest.from_hex("sha512", row.sha512), None
    )
    assert verify_receipt(answer.content, trust=bureau.services.trust, digests=digests).outcome is Outcome.VALID
    other = address[1].replace(str(item), str(bureau.items["audio"]))
    assert auditor.get(other).status_code == 404


# ---- checking now --------------------------------------------------------------------------------------------------


def _verify(client: httpx.Client, object_id: ObjectId) -> httpx.Response:
    answer = client.post(f"/objects/{object_id}/verification", headers=HTMX)
    assert answer.status_code == 200
    return answer


@pytest.mark.parametrize("which", ["video", "record"])
def test_a_whole_object_is_valid_with_every_file_named(auditor: httpx.Client, bureau: Bureau, which: str) -> None:
    object_id = bureau.items["video"] if which == "video" else bureau.records["inspection"]
    answer = _verify(auditor, object_id)
    assert 'data-outcome="valid"' in answer.text
    assert "verdict-good" in answer.text
    text = words(answer)
    for part in ("原件与入库时完全一致", "ocfl.content", "fixity.original", "signature.valid", "inventory.json"):
        assert part in text
    assert _original(bureau, object_id).content_path in text
    assert answer.headers["hx-trigger"] == "trail-changed"
    assert "完整性校验" in words(auditor.get(f"/objects/{object_id}/trail", headers=HTMX))


def test_without_scripts_the_check_is_a_page(auditor: httpx.Client, bureau: Bureau) -> None:
    answer = auditor.post(f"/objects/{bureau.items['video']}/verification", data={"x": ""})
    assert answer.text.startswith("<!doctype html>")
    assert 'data-outcome="valid"' in answer.text


@pytest.fixture
def fresh(bureau: Bureau, tmp_path: Path) -> ObjectId:
    """An item of this test's own."""
    dock = seed.new_dock(bureau, "校验用采集站")
    return seed.deliver(bureau, dock, tmp_path.name.encode() * 50, f"{tmp_path.name}.mp4")


def test_one_flipped_bit_is_invalid_and_the_file_is_named(
    auditor: httpx.Client, bureau: Bureau, fresh: ObjectId
) -> None:
    services = bureau.services
    key = services.objects.content_key(fresh, _original(bureau, fresh).content_path)
    path = RawStores.of(services.settings) / "store" / key
    flip(path)
    answer = _verify(auditor, fresh)
    assert 'data-outcome="invalid"' in answer.text
    assert "verdict-good" not in answer.text
    assert answer.text.index("fixity.original_changed") < answer.text.index("signature.valid")  # what is wrong first
    assert path.name in words(answer)
    page = auditor.get(f"/items/{fresh}")
    assert "上次校验发现存储内容与入库时不一致" in words(page)
    trail = words(auditor.get(f"/objects/{fresh}/trail", headers=HTMX))
    assert "完整性校验未通过" in trail
    assert path.name in trail


def test_indeterminate_is_never_green(bureau: Bureau, fresh: ObjectId, tmp_path: Path) -> None:
    stranger = EmbeddedAuthority.create(
        tmp_path / "ca", organisation="Another", valid_from=bureau.now() - timedelta(days=1), host_names=[]
    )
    fixity = replace(bureau.services.fixity, trust_roots_pem=stranger.root_pem)
    with seed.listening(create_app(replace(bureau.services, fixity=fixity))) as base:
        auditor = signed_in(base, Role.AUDITOR)
        answer = _verify(auditor, fresh)
        page = auditor.get(f"/items/{fresh}")
        auditor.close()
    assert 'data-outcome="indeterminate"' in answer.text
    assert "verdict-warn" in answer.text
    assert "verdict-good" not in answer.text
    assert "无法判定" in words(answer)
    assert "不能判定为有效" in words(page)


# ---- waiting -------------------------------------------------------------------------------------------------------


@pytest.fixture
def waiting(bureau: Bureau, tmp_path: Path) -> Iterator[ObjectId]:
    """An item that nobody has prepared yet; it is left as it was."""
    item = seed.deliver(bureau, seed.new_dock(bureau, "等待用采集站"), tmp_path.name.encode(), "w.mp4")
    yield item
    with bureau.services.database.begin() as tx:
        tx.execute(update(Job).where(Job.key.endswith(str(item))).values(state="done"))


def _set_job(bureau: Bureau, item: ObjectId, **values: object) -> None:
    with bureau.services.database.begin() as tx:
        tx.execute(update(Job).where(Job.key == f"probe:{item}").values(**values))


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ({"state": "ready"}, "排队中"),
        ({"state": "running", "attempt": 1}, "正在分析"),
        ({"state": "running", "attempt": 1, "progress_permille": 437}, "正在分析 · 43%"),
        ({"state": "ready", "attempt": 2}, "稍后重试"),
    ],
)
def test_a_waiting_item_asks_again_every_second(
    supervisor: httpx.Client, bureau: Bureau, waiting: ObjectId, values: dict[str, object], shown: str
) -> None:
    _set_job(bureau, waiting, **values)
    for path, headers in ((f"/items/{waiting}", {}), (f"/items/{waiting}/stage", HTMX)):
        answer = supervisor.get(path, headers=headers)
        assert f'hx-get="/items/{waiting}/stage" hx-trigger="every 1s"' in answer.text
        assert shown in words(answer)
    assert "hx-swap-oob" not in supervisor.get(f"/items/{waiting}/stage", headers=HTMX).text


def test_what_was_given_up_stops_asking(supervisor: httpx.Client, bureau: Bureau, waiting: ObjectId) -> None:
    _set_job(bureau, waiting, state="dead", attempt=5)
    answer = supervisor.get(f"/items/{waiting}/stage", headers=HTMX)
    assert "未能准备播放" in words(answer)
    assert "hx-trigger" not in answer.text


def test_when_it_is_ready_the_asking_ends_and_the_facts_are_renewed(
    supervisor: httpx.Client, bureau: Bureau, waiting: ObjectId
) -> None:
    with bureau.services.database.begin() as tx:
        tx.execute(
            update(EvidenceItem)
            .where(EvidenceItem.object_id == waiting)
            .values(play_state="playable", kind="footage", duration_ms=61_000)
        )
    answer = supervisor.get(f"/items/{waiting}/stage", headers=HTMX)
    assert f'/items/{waiting}/stage"' not in answer.text
    assert f"/items/{waiting}/play" in answer.text
    assert 'id="item-facts" hx-swap-oob' in answer.text
    assert "1:01" in words(answer)
    assert answer.headers["hx-trigger"] == "trail-changed"


def test_an_event_without_place_in_the_log_waits_for_the_checkpoint(
    supervisor: httpx.Client, bureau: Bureau, waiting: ObjectId
) -> None:
    part = supervisor.get(f"/objects/{waiting}/trail", headers=HTMX)
    assert "等待检查点" in words(part)
    assert "every 1s" in part.text
    entry = re.search(r"/entries/([0-9a-f-]+)/proof", part.text)
    assert entry is None
    seed.sequence(bureau)
    part = supervisor.get(f"/objects/{waiting}/trail", headers=HTMX)
    assert "等待检查点" not in words(part)
    assert "every 1s" not in part.text


def test_a_proof_that_is_not_there_yet_says_so(supervisor: httpx.Client, bureau: Bureau, waiting: ObjectId) -> None:
    with bureau.services.database.read() as tx:
        entry = tx.scalars(select(CustodyEvent.entry_id).where(CustodyEvent.object_id == waiting)).first()
    answer = supervisor.get(f"/objects/{waiting}/entries/{entry}/proof")
    assert answer.status_code == 404
    assert "还没有检查点覆盖这一条" in words(answer)
