"""The words of judgements."""

from dataclasses import replace

import pytest

from archive.kernel.digests import digest_of
from archive.kernel.findings import Finding, Outcome, Report, indeterminate, invalid, valid
from archive.kernel.instants import parse_instant
from archive.web.judgement_words import finding_words, sentence_of
from ingest.judgements import FileKind, Judgement, SecondSignature
from signing.validation.verdict import DocumentVerdict, SignatureVerdict

AT = parse_instant("2026-03-02T01:30:00Z")


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


def test_what_is_kept_of_a_judgement_is_all_of_it() -> None:
    whole = replace(
        judgement(valid("signature.established", "m"), signatures=2),
        second=SecondSignature("ab", Report((invalid("signature.value_mismatch", "m", "x"),))),
        more=Report((invalid("document.not_as_preserved", "m"),)),
        about={"kind": "record", "id": "1"},
        content={"name": "b", "size": 1},
    )
    for each in (whole, judgement()):
        again = Judgement.from_bytes(each.to_bytes())
        assert again.as_json() == each.as_json()
        assert again.digests == each.digests
