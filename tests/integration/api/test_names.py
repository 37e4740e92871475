"""External ids as other systems really have them: any script, slashes, formulas; what cannot be one is refused."""

import unicodedata
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from archive.access.external_ids import MAX_EXTERNAL_ID_CHARACTERS, ExternalIdInvalid, clean_external_id
from tests.support.case_system import CaseSystem

GOOD = [
    "1", "CASE/2026/0031", "案件〔2026〕31号", "📷👮🏽\u200d♂️", "עברית-עִבְרִית", "\u202eabc", '=HYPERLINK("x")', "+1", "@SUM(A1)", "-2+3",
    "a b", "100%", "a?b#c", "a&b=c;d", "a\\b", "//", "/", "a/../b", "%2F", "%00", "ä", "'; DROP TABLE case_file; --", "<script>", "{x}", "~",
    "x" * MAX_EXTERNAL_ID_CHARACTERS, "案" * MAX_EXTERNAL_ID_CHARACTERS, "\U0001f600" * MAX_EXTERNAL_ID_CHARACTERS, "\ufffd", "...",
]  # fmt: skip
BAD = [
    "x" * (MAX_EXTERNAL_ID_CHARACTERS + 1), "案" * 1000, "x" * 1000, "", " a", "a ", "\u3000a", "a\nb", "a\n", "\ta", "a\x00b", "\x7f", "a\u2028b", "\x85",
]  # fmt: skip


def officer(cms: CaseSystem, external_id: str) -> dict[str, object]:
    return cms.officer(certificate_number=f"{cms.name}-{abs(hash(external_id))}")


def test_an_id_is_kept_as_it_is(cms: CaseSystem) -> None:
    for external_id in GOOD:
        made = cms.put("officers", external_id, officer(cms, external_id))
        assert made.status_code == 201, made.text
        assert made.json()["external_id"] == unicodedata.normalize("NFC", external_id)
        assert cms.get("officers", external_id).json()["id"] == made.json()["id"]
    listed = [found["external_id"] for found in cms.list("officers", limit=200).json()["officers"]]
    assert listed == [unicodedata.normalize("NFC", external_id) for external_id in reversed(GOOD)]


def test_what_cannot_be_an_id_is_refused_in_the_address_and_in_a_body(cms: CaseSystem) -> None:
    for external_id in BAD:
        refused = cms.put("officers", external_id, cms.officer())
        assert refused.status_code == 422, (external_id, refused.text)
        operation = {"kind": "officer", "external_id": external_id, "body": cms.officer()}
        in_body = cms.post("batch", {"operations": [operation]})
        assert in_body.status_code == 422, (external_id, in_body.text)
    assert cms.list("officers").json()["officers"] == []


def test_bytes_that_are_no_text_are_refused(cms: CaseSystem) -> None:
    for raw in ("%ff", "%ed%a0%80", "a%c3", "%f8%88%80%80%80"):
        answer = cms.client.put(f"/api/v1/systems/{cms.name}/officers/{raw}", json=cms.officer())
        assert (answer.status_code, answer.json()["code"]) == (422, "access.external_id_invalid")
    lone = cms.put("cases", "X", cms.case(subject="\ud800"))
    assert lone.status_code in {400, 422}


def test_slashes_may_stand_as_they_are_or_be_encoded(cms: CaseSystem) -> None:
    plain = cms.client.put(f"/api/v1/systems/{cms.name}/officers/a/b/1", json=cms.officer())
    assert plain.status_code == 201
    assert cms.put("officers", "a/b/1", cms.officer()).json()["outcome"] == "unchanged"


def test_two_spellings_of_one_text_are_one_id(cms: CaseSystem) -> None:
    assert cms.put("officers", "cafe\u0301", cms.officer()).status_code == 201
    assert cms.put("officers", "caf\u00e9", cms.officer()).json()["outcome"] == "unchanged"


def test_ids_that_look_alike_are_different(cms: CaseSystem) -> None:
    made = {cms.put("officers", name, officer(cms, name)).json()["id"] for name in ("A", "a", "\uff21", "\u0410", "А")}
    assert len(made) == 4


def test_an_id_names_one_thing_of_each_kind(cms: CaseSystem) -> None:
    assert cms.put("subjects", "1", cms.subject()).status_code == 201
    assert cms.put("cases", "1", cms.case(subject="1")).status_code == 201
    assert cms.put("officers", "1", cms.officer()).status_code == 201
    assert cms.put("acts", "1", cms.act(case="1", officers=["1"])).status_code == 201


text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=MAX_EXTERNAL_ID_CHARACTERS + 5)


@given(text)
def test_an_id_is_refused_or_stands_for_itself(given_text: str) -> None:
    try:
        cleaned = clean_external_id(given_text)
    except ExternalIdInvalid:
        return
    assert clean_external_id(cleaned) == cleaned
    assert unicodedata.normalize("NFC", given_text) == cleaned
    assert 1 <= len(cleaned) <= MAX_EXTERNAL_ID_CHARACTERS
    assert not any(unicodedata.category(char) == "Cc" for char in cleaned)


@given(text, text)
def test_two_ids_that_differ_stay_different(one: str, other: str) -> None:
    assume(unicodedata.normalize("NFC", one) != unicodedata.normalize("NFC", other))
    try:
        assert clean_external_id(one) != clean_external_id(other)
    except ExternalIdInvalid:
        return


@given(external_id=text)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_text_can_be_sent(cms: CaseSystem, external_id: str) -> None:
    # A client takes "." and ".." out of an address before it sends it; a batch takes them as they are.
    assume(quote(external_id, safe="") not in {".", ".."})
    answer = cms.put("officers", external_id, officer(cms, unicodedata.normalize("NFC", external_id)))
    try:
        cleaned = clean_external_id(external_id)
    except ExternalIdInvalid:
        assert answer.status_code == 422
    else:
        assert answer.status_code in {200, 201}, answer.text
        assert cms.get("officers", external_id).json()["external_id"] == cleaned


@pytest.mark.parametrize("external_id", [".", ".."])
def test_a_batch_takes_what_no_address_can_hold(cms: CaseSystem, external_id: str) -> None:
    body = {"operations": [{"kind": "officer", "external_id": external_id, "body": cms.officer()}]}
    assert cms.post("batch", body).json()["results"][0]["status"] == 201


def test_a_system_is_found_by_its_own_name_only(connect: Callable[..., CaseSystem]) -> None:
    one, other = connect(), connect()
    one.put("officers", "1", one.officer())
    for name in (other.name, "no-such-system", "%00", "a" * 300):
        answer = one.client.get(f"/api/v1/systems/{name}/officers/1")
        assert (answer.status_code, answer.json()["code"]) == (403, "access.other_system")
