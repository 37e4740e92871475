"""The suite itself: a server can pass all of it, and it notices each mistake."""

import ast
from pathlib import Path

import pytest

from tests.conformance.tus.reference import reference_server, self_signed
from tests.conformance.tus.runner import HERE, run_suite

READ_BACK = "tests.conformance.tus.reference:read_back"

# Each mistake with the test that has to notice it.
FAULTS = {
    "announced-counts": "test_resumption.py::test_reset_in_mid_request[most]",
    "cacheable": "test_core.py::TestHead::test_is_never_cached",
    "checksum-ignored": "test_checksum.py::test_wrong_checksum[sha256]",
    "checksum-keeps-chunk": "test_checksum.py::test_wrong_checksum_of_a_large_chunk",
    "checksum-keeps-part": "test_checksum.py::test_broken_off_chunk_is_not_taken",
    "content-type-ignored": "test_core.py::TestPatch::test_wrong_content_type[text]",
    "delete-forgotten": "test_termination.py::test_unfinished_upload[begun]",
    "expires-hidden": "test_expiration.py::test_patch_tells_it",
    "expires-iso": "test_expiration.py::test_creation_tells_it",
    "framing-stored": "test_limits.py::test_chunked_body",
    "half-open-blocks": "test_concurrency.py::test_head_takes_a_stalled_upload_over",
    "max-size-ignored": "test_creation.py::test_length_above_the_maximum",
    "metadata-dropped": "test_metadata.py::test_value_comes_back[chinese]",
    "metadata-smuggled": "test_metadata.py::test_value_never_becomes_a_header",
    "metadata-unchecked": "test_metadata.py::test_malformed[not-base64]",
    "no-version": "test_version.py::TestAnswersNameTheVersion::test_conflict",
    "nothing-kept": "test_resumption.py::test_what_has_arrived_is_kept",
    "numbers-unchecked": "test_creation.py::test_length_that_is_no_number[negative]",
    "offset-ignored": "test_core.py::TestPatch::test_wrong_offset[behind]",
    "offset-trusted": "test_roundtrip.py::test_bytes_stored_are_the_bytes_sent",
    "overlong": "test_limits.py::test_body_longer_than_what_is_left",
    "override-ignored": "test_core.py::TestMethodOverride::test_patch",
    "unlocked": "test_concurrency.py::test_stalled_client_wakes_up_too_late",
    "version-ignored": "test_version.py::test_another_version_is_not_processed",
}


@pytest.mark.long("the suite against others")
def test_reference_passes_all_of_it() -> None:
    with reference_server() as url:
        outcome = run_suite(url, read_back=READ_BACK)
    outcome.assert_conforms()
    reasons = {reason for test, reason in outcome.skipped.items() if not test.startswith("test_defer_length.py")}
    assert reasons == {
        "the target does not announce the checksum algorithm md5",
        "the target does not announce the checksum algorithm sha512",
        "uploads of the target live longer than the 10 s that the suite waits",
    }


@pytest.mark.long("the whole suite once for each mistake")
@pytest.mark.parametrize(("fault", "test"), FAULTS.items(), ids=FAULTS)
def test_each_mistake_is_noticed(fault: str, test: str) -> None:
    with reference_server(fault=fault) as url:
        outcome = run_suite(url, read_back=READ_BACK, tests=[test], patience_s=5)
    assert list(outcome.failed) == [test], outcome.log


def test_expired_uploads_are_asked_for() -> None:
    test = "test_expiration.py::test_upload_is_gone_afterwards"
    with reference_server(expire_after_s=2) as url:
        assert run_suite(url, tests=[test]).passed == {test}
    with reference_server(fault="expired-stays", expire_after_s=2) as url:
        assert list(run_suite(url, tests=[test]).failed) == [test]


def test_list_of_differences_is_held_to(tmp_path: Path) -> None:
    listed = tmp_path / "differences.toml"
    entry = '[[difference]]\ntest = "{}"\ndoes = "keeps answers"\nwhy = "a mistake"\n'
    holds, passes = "test_core.py::TestHead::test_is_never_cached", "test_core.py::TestHead::test_new_upload"
    listed.write_text("".join(entry.format(test) for test in (holds, passes, "test_core.py::test_not_there")))
    with reference_server(fault="cacheable") as url:
        outcome = run_suite(url, tests=["test_core.py"], differences=listed)
    assert outcome.differed == {holds}
    assert list(outcome.failed) == [passes]
    assert "difference no longer holds" in outcome.failed[passes]
    assert outcome.unmatched == {"test_core.py::test_not_there"}


def test_suite_runs_over_tls(tmp_path: Path) -> None:
    certificate, tls = self_signed(tmp_path)
    with reference_server(tls=tls) as url:
        outcome = run_suite(
            url, read_back=READ_BACK, ca=certificate, tests=["test_core.py", "test_resumption.py", "test_limits.py"]
        )
    outcome.assert_conforms()


def test_each_test_cites_the_protocol() -> None:
    for module in sorted(HERE.glob("test_*.py")):
        if module.name.startswith("test_on_"):
            continue
        for node in ast.walk(ast.parse(module.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                docstring = ast.get_docstring(node) or ""
                assert "Source: tus 1.0.0, " in docstring, f"{module.name}::{node.name} cites no section"
