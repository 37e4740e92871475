"""The words of judgements, and how long and for whom they are kept."""

from dataclasses import replace
from uuid import uuid4

import pytest

from archive.kernel.digests import digest_of
from archive.kernel.findings import Finding, Outcome, Report, indeterminate, invalid, valid
from archive.kernel.ids import AccountId
from archive.kernel.instants import parse_instant
from archive.web import judgements
from archive.web.judgement_words import finding_words, sentence_of
from archive.web.judgements import JudgementNotFound, Judgements
from ingest.judgements import FileKind, Judgement, SecondSignature
from signing.validation.verdict import DocumentVerdict, SignatureVerdict

AT = parse_instant("2026-03-02T01:30:00Z")
OURS, OTHER = AccountId(uuid4()), AccountId(uuid4())


def judgement(*findings: Finding, signatures: int = 1) -> Judgement:
    made = tuple(SignatureVerdict("Sig", is_document_timestamp=False, findings=findings) for _ in range(signatures))
    digests = digest_of(b"pdf")
    file = {"name": "a.pdf", "size": 3, "sha256": digests.sha256.hex}
    return Judgement(FileKind.PDF, file, digests, None, AT, [], DocumentVerdict(AT, (), made).as_json())


@pytest.mark.parametrize(
    ("found", "chinese", "english"),
    [
        (invalid("signature.revoked", "m"), "签名无效：证书在签名之前已被吊销。", "The signature is invalid: "),
        (invalid("signature.not_yet_valid", "m"), "签名无效：证书尚未生效。", "The signature is invalid: "),
        (invalid("signature.key_usage", "m"), "签名无效：证书不能用于签署文件。", "The signature is invalid: "),
        (invalid("signature.changed_after", "m"), "签名无效：签名后文件被修改。", "The signature is invalid: "),
        (indeterminate("signature.untrusted", "m"), "不能确定签名是否有效：", "Whether the signature is valid "),
        (indeterminate("signature.certificate_expired", "m"), "不能确定签名是否有效：证书已过期", "Whether the "),
        (indeterminate("document.encrypted", "m"), "不能确定签名是否有效：文件需要密码才能打开。", "Whether the "),
        (indeterminate("document.active_content", "m"), "不能确定签名是否有效：文件含有脚本", "Whether the "),
        (valid("signature.established", "m"), "文件有 1 处签名，签名有效", "The file has 1 signature. It is valid"),
    ],
)
def test_the_verdict_is_one_sentence_with_its_cause(found: Finding, chinese: str, english: str) -> None:
    told = sentence_of(judgement(found))
    assert told[0].startswith(chinese)
    assert told[1].startswith(english)


def test_a_file_without_signature_says_so() -> None:
    bare = judgement(signatures=0)
    assert (bare.outcome, bare.cause) == (Outcome.INDETERMINATE, "document.unsigned")
    assert sentence_of(bare)[0].startswith("这份文件没有签名")


def test_what_was_found_beside_counts() -> None:
    good = judgement(valid("signature.established", "m"), signatures=2)
    assert sentence_of(good)[0].startswith("文件有 2 处签名，全部有效")
    second = SecondSignature("ab", Report((invalid("signature.value_mismatch", "m"),)))
    assert replace(good, second=second).outcome is Outcome.INVALID
    beside = replace(good, more=Report((invalid("document.not_as_preserved", "m"),)))
    assert (beside.outcome, beside.cause) == (Outcome.INVALID, "document.not_as_preserved")


def test_a_code_without_words_says_its_own_sentence() -> None:
    assert finding_words({"code": "x.y", "outcome": "invalid", "message": "said"}) == ("said", "said")


def test_a_judgement_is_kept_for_whoever_asked_and_for_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Judgements()
    one = kept.keep(OURS, judgement())
    assert kept.of(one, OURS).judgement.file["name"] == "a.pdf"
    for asked in ((one, OTHER), (kept.keep(OTHER, judgement()), OURS)):
        with pytest.raises(JudgementNotFound):
            kept.of(*asked)
    monkeypatch.setattr(judgements, "_KEPT_S", -1)
    alone = Judgements()
    ended = alone.keep(OURS, judgement())
    with pytest.raises(JudgementNotFound):
        alone.of(ended, OURS)


def test_the_oldest_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judgements, "_MOST", 3)
    kept = Judgements()
    made = [kept.keep(OURS, judgement()) for _ in range(5)]
    for each in made[:2]:
        with pytest.raises(JudgementNotFound):
            kept.of(each, OURS)
    assert all(kept.of(each, OURS) for each in made[2:])
    monkeypatch.setattr(judgements, "_MOST_BYTES", 1)
    last = kept.keep(OURS, judgement())
    assert kept.of(last, OURS)
    with pytest.raises(JudgementNotFound):
        kept.of(made[-1], OURS)
