"""Reading the log from outside: tiles and proofs for everybody, entries for whoever may read the log."""

import base64
import json

import httpx
import pytest

from archive.ledger.proof import TlogProof
from archive.ledger.tiles import Tile, parse_bundle, parse_hashes, tiles_between
from archive.ledger.tree import leaf_hash, verify_consistency
from tests.support import seed
from tests.support.seed import Bureau


@pytest.fixture(scope="module")
def size(bureau: Bureau) -> int:
    seed.sequence(bureau)
    note = bureau.services.published.checkpoint()
    assert note is not None
    return int(note.splitlines()[1])


def test_an_auditor_reads_everything_and_others_the_hashes(
    anybody: httpx.Client, auditor: httpx.Client, supervisor: httpx.Client, size: int
) -> None:
    for tile in tiles_between(0, size):
        answers = {client: client.get(f"/log/{tile.path}") for client in (anybody, auditor, supervisor)}
        if tile.is_bundle:
            assert answers[supervisor].status_code == 403
            assert answers[anybody].status_code in {303, 401}
            bundle = parse_bundle(answers[auditor].content, count=tile.width)
            assert answers[auditor].headers["cache-control"].startswith("private")
            hashes = anybody.get(f"/log/{Tile(0, tile.number, tile.width).path}").content
            assert [leaf_hash(entry) for entry in bundle] == parse_hashes(hashes, count=tile.width)
        else:
            for answer in answers.values():
                assert answer.status_code == 200
                assert answer.content == answers[auditor].content
                assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
                assert answer.headers["content-type"] == "application/octet-stream"


def test_what_there_is_not(anybody: httpx.Client, auditor: httpx.Client, size: int) -> None:
    for path in ("0/999", "0/000.p/300", "0/0", "64/000", "0/..%2f..%2fcheckpoint", "7/000"):
        answer = anybody.get(f"/log/tile/{path}", headers={"Accept": "application/json"})
        assert answer.status_code in {400, 404}, path
    assert auditor.get("/log/tile/entries/999").status_code == 404
    for index in (size, 1 << 62):
        assert anybody.get(f"/api/v1/log/proof/{index}").status_code == 404
    assert anybody.get("/api/v1/log/proof/-1").status_code == 400


def test_anchors_are_for_everybody_and_nothing_else_of_their_folder(
    anybody: httpx.Client, bureau: Bureau, size: int
) -> None:
    anchors = bureau.services.anchors
    assert anybody.get("/log/anchors/999.tsr").status_code == 404
    anchors.anchor()
    kept = f"{anchors.links()[-1].size}"
    for name, cache in (
        (f"{kept}.ckpt", "public, max-age=31536000, immutable"),
        (f"{kept}.tsr", "public, max-age=31536000, immutable"),
        ("chain.jsonl", "no-cache"),
        ("issuers.pem", "no-cache"),
    ):
        answer = anybody.get(f"/log/anchors/{name}")
        assert answer.status_code == 200
        assert answer.content == (anchors.folder / name).read_bytes()
        assert answer.headers["cache-control"] == cache
    (anchors.folder / ".9.tsr.tmp").write_bytes(b"half")
    for name in (
        ".9.tsr.tmp",
        "..%2fcheckpoint",
        "%2e%2e/checkpoint",
        "0.tsr",
        "9.tsr.bak",
        "9.TSR",
        "09.tsr",
    ):
        assert anybody.get(f"/log/anchors/{name}", headers={"Accept": "application/json"}).status_code == 404, name


def test_proofs_for_everybody(anybody: httpx.Client, bureau: Bureau, size: int) -> None:
    answer = anybody.get(f"/api/v1/log/proof/{size - 1}")
    proof = TlogProof.parse(answer.content)
    assert (proof.index, proof.checkpoint.origin) == (size - 1, bureau.services.settings.origin)
    with bureau.services.database.read() as tx:
        sizes = sorted(tx.connection().exec_driver_sql("SELECT size FROM log_checkpoint WHERE size > 0").scalars())
    told = anybody.get("/api/v1/log/consistency", params={"from": sizes[0], "to": sizes[-1]}).json()
    verify_consistency(
        old_size=told["old_size"],
        old_root=base64.b64decode(told["old_root"]),
        new_size=told["new_size"],
        new_root=base64.b64decode(told["new_root"]),
        proof=[base64.b64decode(value) for value in told["hashes"]],
    )
    for old, new in ((sizes[-1], sizes[0]), (sizes[0], sizes[-1] + 7)):
        if old != new:
            assert anybody.get("/api/v1/log/consistency", params={"from": old, "to": new}).status_code == 404


def test_all_proofs_of_an_item(supervisor: httpx.Client, bureau: Bureau, size: int) -> None:
    leaves = supervisor.get(f"/objects/{bureau.items['video']}/proofs").json()
    assert json.loads(leaves[0]["entry"])["type"] == "object.preserved"
    for leaf in leaves:
        proof = TlogProof.parse(leaf["proof"].encode())
        assert proof.index == leaf["index"] < size
        assert proof.verify(leaf["entry"].encode(), trust=bureau.services.trust).outcome == "valid"
