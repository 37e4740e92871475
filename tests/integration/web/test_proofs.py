"""Proofs on the pages of items, records and cases; the page of the log's health."""

import json
import re

import httpx
import pytest

from archive.ledger.proof import TlogProof
from archive.ledger.trustfile import TrustFile, parse_policy
from tests.integration.web.conftest import HTMX, words
from tests.support import seed
from tests.support.seed import Bureau


@pytest.fixture(scope="module", autouse=True)
def sequenced(bureau: Bureau) -> None:
    seed.sequence(bureau)


@pytest.mark.parametrize("place", ["item", "record"])
def test_each_entry_about_an_object_and_its_proof(auditor: httpx.Client, bureau: Bureau, place: str) -> None:
    object_id = bureau.items["video"] if place == "item" else bureau.records["inspection"]
    page = auditor.get(f"/{place}s/{object_id}")
    assert "证明" in words(page)
    assert f'href="/objects/{object_id}/entries"' in page.text
    listed = auditor.get(f"/objects/{object_id}/entries")
    leaves = auditor.get(f"/objects/{object_id}/proofs").json()
    indices = [int(found) for found in re.findall(r'href="/log/proofs/(\d+)"', listed.text)]
    assert indices == [leaf["index"] for leaf in leaves] == sorted(indices)
    for leaf in leaves:
        proof = auditor.get(f"/log/proofs/{leaf['index']}").content
        entry = auditor.get(f"/log/entries/{leaf['index']}").content
        assert entry == leaf["entry"].encode()
        assert TlogProof.parse(proof).verify(entry, trust=bureau.services.trust).outcome == "valid"


def test_the_entries_of_a_case_are_its_own_and_those_of_what_is_filed(auditor: httpx.Client, bureau: Bureau) -> None:
    case_id = bureau.cases["main"]
    leaves = auditor.get(f"/cases/{case_id}/proofs.json").json()
    entries = [json.loads(leaf["entry"]) for leaf in leaves]
    mine = {str(case_id), str(bureau.items["video"]), str(bureau.records["inspection"])}
    with bureau.services.database.read() as tx:
        bodies = tx.connection().exec_driver_sql("SELECT body FROM log_entry").scalars().all()
    every = [json.loads(bytes(body)) for body in bodies]
    wanted = [each["id"] for each in every if {each.get("case"), each.get("obj", {}).get("id")} & mine]
    assert set(wanted) <= {each["id"] for each in entries}
    assert {each["type"] for each in entries} >= {"case.opened", "case.link", "record.filed", "object.preserved"}
    others = [each for each in entries if each["id"] not in wanted]
    assert {each["obj"]["kind"] for each in others} <= {"rendition"}
    for leaf in leaves:
        assert TlogProof.parse(leaf["proof"].encode()).verify(leaf["entry"].encode(), trust=bureau.services.trust).outcome == "valid"  # fmt: skip
    part = auditor.get(f"/cases/{case_id}/proofs", headers=HTMX)
    assert "<html" not in part.text
    assert len(re.findall(r'href="/log/proofs/\d+"', part.text)) == len(leaves)
    assert "<html" in auditor.get(f"/cases/{case_id}/proofs").text


def test_entries_verbatim_are_for_whoever_reads_the_log(handler: httpx.Client, bureau: Bureau) -> None:
    page = handler.get(f"/cases/{bureau.cases['main']}/proofs")
    assert "/log/proofs/" in page.text
    assert "/log/entries/" not in page.text
    assert handler.get("/log/entries/0").status_code == 403
    assert handler.get("/log/proofs/999999").status_code == 404


def test_manifests_and_signatures(auditor: httpx.Client, bureau: Bureau) -> None:
    item, record = bureau.items["video"], bureau.records["inspection"]
    manifest = auditor.get(f"/objects/{item}/signed/manifest.json")
    assert json.loads(manifest.content)["sha256"]
    assert manifest.headers["content-disposition"].startswith("attachment")
    for name in ("manifest.json.p7s", "dock-manifest.json", "dock-manifest.json.sig"):
        assert len(auditor.get(f"/objects/{item}/signed/{name}").content) >= 64
    assert auditor.get(f"/objects/{record}/signed/manifest.json.p7s").status_code == 200
    for wrong in (f"{record}/signed/dock-manifest.json", f"{item}/signed/inventory.json", f"{item}/signed/..%2fa"):
        assert auditor.get(f"/objects/{wrong}").status_code == 404


def test_how_the_log_stands(auditor: httpx.Client, administrator: httpx.Client, bureau: Bureau) -> None:
    page = auditor.get("/log/health")
    told = words(page)
    for said in (
        "日志状态",
        "无法判定",
        "策略不要求见证人",
        "最新检查点有日志这把密钥的有效签名",
        "liuhen log monitor",
        "保存的内容只有一份副本",
    ):
        assert said in told
    assert 'href="/log"' in administrator.get("/admin").text.replace("/log/health", "/log")
    assert "<html" not in auditor.get("/log/health", headers=HTMX).text
    health = administrator.get("/api/v1/log/health").json()
    assert (health["outcome"], health["size"], health["pending"]) == ("indeterminate", health["published_size"], 0)
    assert {each["outcome"] for each in health["signatures"]} == {"valid"}
    assert health["anchors"]["behind"] == health["size"] - (health["anchors"]["size"] or 0)
    assert TrustFile.parse(administrator.get("/log/trust.txt").content) == bureau.services.trust
    assert parse_policy(administrator.get("/log/policy.txt").content).quorum == "none"
