"""Core protocol: OPTIONS, HEAD, PATCH."""

import pytest

from tests.conformance.tus.client import CHUNK_TYPE, TusClient, due, offset_of, refused
from tests.conformance.tus.target import VERSION, comma_list

KIB = 1024


class TestOptions:
    def test_names_the_protocol_version(self, client: TusClient) -> None:
        """OPTIONS succeeds and names 1.0.0 among the versions that the server speaks.

        Source: tus 1.0.0, Core Protocol, OPTIONS and Tus-Version (MUST).
        """
        answer = client.call("OPTIONS", client.target.url, version=None)
        due(answer, 200, 204)
        assert VERSION in comma_list(answer.headers.get("Tus-Version", ""))

    def test_ignores_the_version_of_the_client(self, client: TusClient) -> None:
        """OPTIONS with a Tus-Resumable that no server speaks is answered all the same.

        Source: tus 1.0.0, Core Protocol, OPTIONS (MUST ignore the header).
        """
        answer = client.call("OPTIONS", client.target.url, version="0.0.1")
        due(answer, 200, 204)
        assert "Tus-Version" in answer.headers

    def test_extensions_are_a_list_of_names(self, client: TusClient) -> None:
        """Tus-Extension is left out or lists extensions, and creation-with-upload never comes without creation.

        Source: tus 1.0.0, Core Protocol, Tus-Extension; Creation With Upload (MUST).
        """
        value = client.call("OPTIONS", client.target.url, version=None).headers.get("Tus-Extension")
        if value is not None:
            names = [name.strip() for name in value.split(",")]
            assert all(names), f"Tus-Extension has an empty name: {value!r}"
            assert "creation" in names or "creation-with-upload" not in names

    def test_maximum_size_is_a_number(self, client: TusClient) -> None:
        """Tus-Max-Size is left out or a non-negative integer.

        Source: tus 1.0.0, Core Protocol, Tus-Max-Size (MUST).
        """
        value = client.call("OPTIONS", client.target.url, version=None).headers.get("Tus-Max-Size", "0")
        assert value.isascii()
        assert value.isdigit()


class TestHead:
    def test_new_upload(self, client: TusClient) -> None:
        """HEAD of a new upload tells offset 0, the length and the protocol version.

        Source: tus 1.0.0, Core Protocol, HEAD and Tus-Resumable (MUST).
        """
        answer = client.head(client.new(100).url)
        due(answer, 200, 204)
        assert offset_of(answer) == 0
        assert answer.headers.get("Upload-Length") == "100"
        assert answer.headers.get("Tus-Resumable") == VERSION

    def test_begun_upload(self, client: TusClient) -> None:
        """HEAD of an upload that has begun tells how many bytes are there.

        Source: tus 1.0.0, Core Protocol, HEAD (MUST).
        """
        upload = client.new(100)
        client.send(upload, 0, 70)
        assert client.offset(upload) == 70

    def test_finished_upload(self, client: TusClient) -> None:
        """HEAD of a finished upload still tells its offset and length.

        Source: tus 1.0.0, Core Protocol, HEAD (MUST, even if the upload is already completed).
        """
        upload = client.new(100)
        client.send(upload, 0)
        answer = client.head(upload.url)
        due(answer, 200, 204)
        assert offset_of(answer) == 100
        assert answer.headers.get("Upload-Length") == "100"

    def test_is_never_cached(self, client: TusClient) -> None:
        """HEAD forbids every cache to keep its answer.

        Source: tus 1.0.0, Core Protocol, HEAD (MUST: Cache-Control: no-store).
        """
        answer = client.head(client.new(100).url)
        assert "no-store" in comma_list(answer.headers.get("Cache-Control", "").lower())

    def test_unknown_upload(self, client: TusClient) -> None:
        """HEAD of an upload that is not there is refused and tells no offset.

        Source: tus 1.0.0, Core Protocol, HEAD (SHOULD: 404, 410 or 403).
        """
        answer = client.head(client.unknown_url())
        due(answer, 404, 410, 403)
        assert "Upload-Offset" not in answer.headers


class TestPatch:
    def test_moves_the_offset(self, client: TusClient) -> None:
        """PATCH answers 204 with the new offset, the sum of the old one and the bytes taken.

        Source: tus 1.0.0, Core Protocol, PATCH and Tus-Resumable (MUST).
        """
        upload = client.new(100)
        answer = client.patch(upload, 0, 70)
        due(answer, 204)
        assert offset_of(answer) == 70
        assert answer.headers.get("Tus-Resumable") == VERSION
        assert client.offset(upload) == 70

    def test_fills_the_upload_in_several_requests(self, client: TusClient) -> None:
        """Successive PATCHes fill the upload with the bytes in their order.

        Source: tus 1.0.0, Core Protocol, PATCH (MAY use multiple requests).
        """
        upload = client.new(300 * KIB + 7)
        offset = client.send(upload, 0, 1)
        offset = client.send(upload, offset, 128 * KIB)
        offset = client.send(upload, offset, 64 * KIB + 3)
        client.send(upload, offset)
        client.holds(upload)

    @pytest.mark.parametrize("offset", [0, 39, 41, 100], ids=["start", "behind", "ahead", "end"])
    def test_wrong_offset(self, client: TusClient, offset: int) -> None:
        """PATCH at another offset than the upload's is a conflict, and the upload stays as it is.

        Source: tus 1.0.0, Core Protocol, PATCH (MUST: 409 without modifying the upload).
        """
        upload = client.new(100)
        client.send(upload, 0, 40)
        due(client.patch_with(upload, b"wrong", {"Upload-Offset": str(offset)}), 409)
        client.unchanged(upload, 40)

    def test_finished_upload_takes_nothing_more(self, client: TusClient) -> None:
        """PATCH at the start of a finished upload is a conflict, and the upload stays as it is.

        Source: tus 1.0.0, Core Protocol, PATCH (MUST: 409 without modifying the upload).
        """
        upload = client.new(100)
        client.send(upload, 0)
        due(client.patch_with(upload, b"again", {"Upload-Offset": "0"}), 409)
        client.holds(upload)

    @pytest.mark.parametrize(
        "value",
        ["-1", "abc", "1.5", "", "0x0", "1e1", "99999999999999999999999"],
        ids=["negative", "letters", "fraction", "empty", "hexadecimal", "exponent", "huge"],
    )
    def test_offset_that_is_no_number(self, client: TusClient, value: str) -> None:
        """PATCH with an Upload-Offset that is not a non-negative integer is refused without effect.

        Source: tus 1.0.0, Core Protocol, Upload-Offset (MUST be a non-negative integer).
        """
        upload = client.new(100)
        refused(client.patch_with(upload, b"wrong", {"Upload-Offset": value}))
        client.unchanged(upload, 0)

    def test_no_offset(self, client: TusClient) -> None:
        """PATCH without Upload-Offset is refused without effect.

        Source: tus 1.0.0, Core Protocol, PATCH (the offset MUST be equal to the current one).
        """
        upload = client.new(100)
        refused(client.patch_with(upload, b"wrong", {}))
        client.unchanged(upload, 0)

    @pytest.mark.parametrize(
        "content_type",
        ["application/octet-stream", "text/plain", "application/offset+octet-streams"],
        ids=["octet-stream", "text", "lookalike"],
    )
    def test_wrong_content_type(self, client: TusClient, content_type: str) -> None:
        """PATCH with another content type than the protocol's is refused as such, without effect.

        Source: tus 1.0.0, Core Protocol, PATCH (SHOULD: 415).
        """
        upload = client.new(100)
        due(client.patch_with(upload, b"wrong", {"Upload-Offset": "0", "Content-Type": content_type}), 415)
        client.unchanged(upload, 0)

    def test_no_content_type(self, client: TusClient) -> None:
        """PATCH without a content type is refused as such, without effect.

        Source: tus 1.0.0, Core Protocol, PATCH (SHOULD: 415).
        """
        upload = client.new(100)
        due(client.call("PATCH", upload.url, headers={"Upload-Offset": "0"}, body=b"wrong"), 415)
        client.unchanged(upload, 0)

    def test_unknown_upload(self, client: TusClient) -> None:
        """PATCH to an upload that is not there says so.

        Source: tus 1.0.0, Core Protocol, PATCH (SHOULD: 404; 410 where the server remembers it).
        """
        headers = {"Content-Type": CHUNK_TYPE, "Upload-Offset": "0"}
        due(client.call("PATCH", client.unknown_url(), headers=headers, body=b"lost"), 404, 410)


class TestMethodOverride:
    def test_patch(self, client: TusClient) -> None:
        """A POST that overrides its method with PATCH is a PATCH.

        Source: tus 1.0.0, Core Protocol, X-HTTP-Method-Override (MUST).
        """
        upload = client.new(100)
        headers = {"X-HTTP-Method-Override": "PATCH", "Content-Type": CHUNK_TYPE, "Upload-Offset": "0"}
        answer = client.call("POST", upload.url, headers=headers, body=upload.content[:70])
        due(answer, 204)
        assert offset_of(answer) == 70
        assert client.offset(upload) == 70

    def test_head(self, client: TusClient) -> None:
        """A POST that overrides its method with HEAD tells the state of the upload.

        Source: tus 1.0.0, Core Protocol, X-HTTP-Method-Override (MUST).
        """
        upload = client.new(100)
        client.send(upload, 0, 70)
        answer = client.call("POST", upload.url, headers={"X-HTTP-Method-Override": "HEAD"})
        due(answer, 200, 204)
        assert offset_of(answer) == 70

    @pytest.mark.extension("termination")
    def test_delete(self, client: TusClient) -> None:
        """A POST that overrides its method with DELETE terminates the upload.

        Source: tus 1.0.0, Core Protocol, X-HTTP-Method-Override (MUST); Termination, DELETE.
        """
        upload = client.new(100)
        due(client.call("POST", upload.url, headers={"X-HTTP-Method-Override": "DELETE"}), 204)
        due(client.head(upload.url), 404, 410)

    def test_actual_method_is_ignored(self, client: TusClient) -> None:
        """A PATCH that overrides its method with HEAD stores nothing.

        Source: tus 1.0.0, Core Protocol, X-HTTP-Method-Override (MUST ignore the actual method).
        """
        upload = client.new(100)
        answer = client.patch(upload, 0, 70, headers={"X-HTTP-Method-Override": "HEAD"})
        due(answer, 200, 204)
        assert client.offset(upload) == 0
