"""What may be wrong with a case package, as a table, and the three verifiers that have to find it."""

import datetime as dt
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from archive.kernel.canonical import canonical_json
from archive.ledger.trustfile import TrustFile
from archive.packages.verification.check import Given, check_package
from archive.packages.verifier import verify
from signing import certificates
from signing.cades import CadesSigner
from tests.support.packages import House, b64

VALID, INVALID, OPEN = "valid", "invalid", "indeterminate"
P7S, TSR = "sig/tagmanifest-sha256.txt.p7s", "sig/tagmanifest-sha256.txt.p7s.tsr"


# ---- the verifiers, in this process -----------------------------------------------------------------------------------


def by_liuhen(folder: Path, trust: bytes | None, log: Path | None = None) -> dict:
    given = Given(trust=None if trust is None else TrustFile.parse(trust), log=log)
    return check_package(folder, given=given, now=dt.datetime.now(UTC)).as_json()


def by_verify_py(folder: Path, trust: bytes | None, log: Path | None = None) -> dict:
    now = dt.datetime.now(UTC).replace(microsecond=0)
    check = verify.Check(str(folder), None if trust is None else verify.Trust(trust), now)
    check.run(None if log is None else str(log))
    return check.report()


def outline(report: dict) -> tuple[str, str, list[tuple[str, str, str]]]:
    """Return what has to be the same in all verifiers: both verdicts and all findings, without their wording."""
    found = [(each["code"], each["outcome"], each["where"]) for each in report["findings"]]
    return report["unaltered"], report["complete"], sorted(found)


# ---- the faults -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong. `found`: code and place, all of which must be among the findings.

    `in_browser`: whether a browser can see it at all.
    """

    name: str
    make: Callable[[Path, House], None]
    found: tuple[tuple[str, str], ...]
    outcome: str = INVALID
    in_browser: bool = True


def _edit(path: Path, change: Callable[[bytes], bytes]) -> None:
    raw = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(change(raw))
    assert path.read_bytes() != raw


def _edit_case(folder: Path, change: Callable[[dict], None]) -> None:
    case = json.loads((folder / "data" / "case.json").read_bytes())
    change(case)
    (folder / "data" / "case.json").write_bytes(canonical_json(case))


def _objects(folder: Path) -> list[dict]:
    return json.loads((folder / "data" / "case.json").read_bytes())["objects"]


def _append(name: str, more: bytes) -> Callable[[Path, House], None]:
    return lambda folder, _: _edit(folder / name, lambda raw: raw + more)


def _listed(path: str) -> Callable[[Path, House], None]:
    return _append("manifest-sha256.txt", f"{'0' * 64}  {path}\n".encode())


def _resealed(change: Callable[[Path, House], None]) -> Callable[[Path, House], None]:
    """Change, then make and sign all manifests anew: only the log and the outside can give it away."""

    def make(folder: Path, house: House) -> None:
        change(folder, house)
        house.seal(folder)

    return make


def _file(name: str) -> Callable[[Path, House], None]:
    def make(folder: Path, _: House) -> None:
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_bytes(b"x")

    return make


def _delete(*names: str) -> Callable[[Path, House], None]:
    def make(folder: Path, _: House) -> None:
        for name in names:
            (folder / name).unlink()

    return make


def _link(folder: Path, _: House) -> None:
    (folder / "data" / "list.pdf").unlink()
    (folder / "data" / "list.pdf").symlink_to("/etc/hostname")


def _linked_folder(folder: Path, _: House) -> None:
    (folder / "more").symlink_to("/etc")


def _hard_link(folder: Path, _: House) -> None:
    (folder.parent / "outside").hardlink_to(folder / "data" / "list.pdf")


def _rewritten(folder: Path, house: House) -> None:
    signed = {path: path.read_bytes() for path in (folder / "sig").iterdir()}
    _edit(folder / "data" / "list.pdf", lambda raw: raw + b"more")
    house.seal(folder, sign=False)
    (folder / "sig").mkdir()
    for path, raw in signed.items():
        path.write_bytes(raw)


def _replayed(folder: Path, house: House) -> None:
    (folder / "proofs" / "checkpoint").write_bytes(house.checkpoint(200))


def _bad_line(which: int) -> Callable[[Path, House], None]:
    """Flip a bit in the signature of one line of the checkpoint."""

    def make(folder: Path, _: House) -> None:
        def change(raw: bytes) -> bytes:
            lines = raw.decode().split("\n")
            head, _, value = lines[4 + which].rpartition(" ")
            signed = bytearray(verify.unbase64(value))
            signed[-1] ^= 1
            lines[4 + which] = f"{head} {b64(bytes(signed))}"
            return "\n".join(lines).encode()

        _edit(folder / "proofs" / "checkpoint", change)

    return make


def _without_witness(folder: Path, _: House) -> None:
    _edit(folder / "proofs" / "checkpoint", lambda raw: b"\n".join(raw.split(b"\n")[:-2]) + b"\n")


def _swapped_proofs(folder: Path, _: House) -> None:
    one, two = folder / "proofs" / "2.tlog-proof", folder / "proofs" / "4.tlog-proof"
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second.replace(b"index 4\n", b"index 2\n"))
    two.write_bytes(first)


def _short_hash(folder: Path, _: House) -> None:
    def change(raw: bytes) -> bytes:
        lines = raw.split(b"\n")
        lines[2] = b64(b"x" * 31).encode()
        return b"\n".join(lines)

    _edit(folder / "proofs" / "2.tlog-proof", change)


def _altered_entry(folder: Path, _: House) -> None:
    _edit(folder / "proofs" / "entries" / "2.json", lambda raw: raw.replace(b"000001", b"000002"))


def _loose_entry(folder: Path, _: House) -> None:
    _edit(folder / "proofs" / "entries" / "2.json", lambda raw: raw.replace(b",", b", ", 1))


def _altered_detail(folder: Path, _: House) -> None:
    _edit(folder / "proofs" / "details" / "2.json", lambda raw: raw.replace(b"entry 2", b"entry 3"))


def _long_form(folder: Path, _: House) -> None:
    """Write the outer length in one byte more than it needs: OpenSSL reads it all the same."""
    _edit(folder / P7S, lambda raw: raw[:1] + b"\x83\x00" + raw[2:])


def _swapped_tokens(folder: Path, _: House) -> None:
    one, two = (folder / f"sig/tagmanifest-{name}.txt.p7s.tsr" for name in ("sha256", "sha512"))
    first = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(first)


def _replaced_object(folder: Path, _: House) -> None:
    """Exchange an item and all that the archive's own keys can exchange with it; the log stays what it is."""
    content = b"another recording"
    one = _objects(folder)[0]
    (folder / one["path"]).write_bytes(content)

    def change(case: dict) -> None:
        digests = {name: hashlib.new(name, content).hexdigest() for name in ("sha256", "sha512")}
        case["objects"][0].update(size=len(content), **digests)

    _edit_case(folder, change)


def _kept_back(folder: Path, house: House) -> None:
    """Leave out the last look at an item: entry, proof, detail and every mention."""
    last = house.objects[0]["entries"][-1]
    _delete(f"proofs/entries/{last}.json", f"proofs/{last}.tlog-proof", f"proofs/details/{last}.json")(folder, house)

    def change(case: dict) -> None:
        case["entries"].remove(last)
        case["objects"][0]["entries"].remove(last)

    _edit_case(folder, change)


def _forged(folder: Path, house: House) -> None:
    shutil.rmtree(folder)
    House.make(house.seed + 1000).package(folder)


def _namesake_root(folder: Path, house: House) -> None:
    other = House.make(house.seed + 1000).package(folder.parent / "other")
    (folder / "certs" / "chain.pem").write_bytes((other / "certs" / "chain.pem").read_bytes())
    house.seal(folder)


def _in_one_manifest(folder: Path, _: House) -> None:
    lines = (folder / "manifest-sha512.txt").read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if not line.endswith(b"  data/list.pdf\n")]
    assert len(kept) == len(lines) - 1
    (folder / "manifest-sha512.txt").write_bytes(b"".join(kept))


def _twice(folder: Path, _: House) -> None:
    _edit(folder / "manifest-sha256.txt", lambda raw: raw + raw.splitlines(keepends=True)[0])


def _anchor(suffix: str, change: Callable[[bytes], bytes]) -> Callable[[Path, House], None]:
    return lambda folder, _: _edit(next((folder / "proofs" / "anchors").glob(f"*{suffix}")), change)


def _accents(folder: Path, house: House) -> None:
    for name in ("caf\u00e9.txt", "cafe\u0301.txt"):
        _file(f"data/{name}")(folder, house)


def _wrong_size(folder: Path, _: House) -> None:
    _edit_case(folder, lambda case: case["objects"][1].update(size=1))


def _wrong_rendition(folder: Path, _: House) -> None:
    _edit_case(folder, lambda case: case["renditions"][0].update(sha256="0" * 64))


def _foreign_certificate(folder: Path, house: House) -> None:
    """Put somebody else's signature over the same tag manifest in place, with a token over it."""
    other = House.make(house.seed + 1000)
    signature = other.sign((folder / "tagmanifest-sha256.txt").read_bytes())
    (folder / P7S).write_bytes(signature)
    (folder / TSR).write_bytes(house.stamp(signature))


def _forged_certificate(folder: Path, house: House) -> None:
    """Sign with a certificate that names the root in every respect and was issued by another key."""
    key = ec.generate_private_key(ec.SECP256R1())
    began = house.root.not_valid_before_utc
    certificate = certificates.issue(
        certificates.MANIFEST_SIGNING, public_key=key.public_key(), root=house.root, root_key=key, valid_from=began
    )
    signer = CadesSigner(key=key, certificate=certificate, clock=house)
    signature = signer.sign_detached((folder / "tagmanifest-sha256.txt").read_bytes())
    (folder / P7S).write_bytes(signature)
    (folder / TSR).write_bytes(house.stamp(signature))


def _at(path: str) -> str:
    return f"proofs/{path}"


FAULTS = (
    Fault("fetch.txt", _resealed(_file("fetch.txt")), (("package.fetch_refused", "fetch.txt"),)),
    Fault("a manifest escapes", _listed("../outside"), (("package.path_refused", "../outside"),)),
    Fault("a manifest escapes midway", _listed("data/../../x"), (("package.path_refused", "data/../../x"),)),
    Fault("a manifest names an absolute path", _listed("/etc/passwd"), (("package.path_refused", "/etc/passwd"),)),
    Fault("a manifest names a drive", _listed("C:/x"), (("package.path_refused", "C:/x"),)),
    Fault("a manifest has a backslash", _listed("data\\..\\x"), (("package.path_refused", "data\\..\\x"),)),
    Fault("a manifest hides a line end", _listed("data/a%0Ab"), (("package.path_refused", "data/a\\x0ab"),)),
    Fault("a manifest names a tag file", _listed("bagit.txt"), (("package.malformed", "manifest-sha256.txt"),)),
    Fault("a manifest lists twice", _twice, (("package.malformed", "manifest-sha256.txt"),)),
    Fault("a manifest ends midway", _append("manifest-sha256.txt", b"00"), (("package.malformed", "manifest-sha256.txt"),)),
    Fault("a manifest is not UTF-8", _append("manifest-sha512.txt", b"\xff\n"), (("package.malformed", "manifest-sha512.txt"),)),
    Fault("a link", _link, (("package.link_refused", "data/list.pdf"),), in_browser=False),
    Fault("a linked folder", _linked_folder, (("package.link_refused", "more"),), in_browser=False),
    Fault("a hard link", _hard_link, (("package.link_refused", "data/list.pdf"),), in_browser=False),
    Fault("a control character in a name", _file("data/a\x01b"), (("package.path_refused", "data/a\\x01b"),), in_browser=False),
    Fault("names in two cases", _resealed(_file("data/List.pdf")), (("package.name_clash", "data/list.pdf"),)),
    Fault("names in two normal forms", _resealed(_accents), (("package.name_clash", "data/caf\u00e9.txt"),)),
    Fault("not a bag", _append("bagit.txt", b" "), (("package.not_a_bag", "bagit.txt"), ("package.file_altered", "bagit.txt"))),
    Fault("no manifest", _delete("manifest-sha512.txt"), (("package.not_a_bag", "manifest-sha512.txt"),)),
    Fault("no tag manifest", _delete("tagmanifest-sha256.txt"),
          (("package.not_a_bag", "tagmanifest-sha256.txt"), ("signature.not_checked", P7S))),
    Fault("a rewritten tag manifest", _rewritten, (("signature.digest_mismatch", P7S),)),
    Fault("an altered file", _append("data/list.pdf", b"x"), (("package.file_altered", "data/list.pdf"),)),
    Fault("a missing file", _delete("data/list.pdf"), (("package.file_missing", "data/list.pdf"),)),
    Fault("an extra file", _file("data/more.txt"), (("package.file_extra", "data/more.txt"),)),
    Fault("an extra file among the signatures", _file("sig/more.p7s"), (("package.file_extra", "sig/more.p7s"),)),
    Fault("one manifest leaves a file out", _in_one_manifest, (("package.manifests_differ", "data/list.pdf"),)),
    Fault("no signature", _delete(P7S), (("package.signature_missing", P7S),)),
    Fault("bytes after a signature", _append(P7S, b"\0"), (("signature.malformed", P7S), ("timestamp.invalid", TSR))),
    Fault("a signature that is not DER", _long_form, (("signature.malformed", P7S),)),
    Fault("a stranger's signature", _foreign_certificate, (("signature.untrusted", P7S),), outcome=OPEN),
    Fault("a certificate that the root did not issue", _forged_certificate, (("signature.certificate_forged", P7S),)),
    Fault("a namesake of the root", _namesake_root, (("signature.untrusted", P7S), ("timestamp.untrusted", TSR)), outcome=OPEN),
    Fault("no timestamp", _delete(TSR), (("package.timestamp_missing", TSR),)),
    Fault("bytes after a timestamp", _append(TSR, b"\0"), (("timestamp.malformed", TSR),)),
    Fault("timestamps of each other", _swapped_tokens, (("timestamp.invalid", TSR), ("timestamp.invalid", TSR.replace("256", "512")))),
    Fault("an object exchanged by the archive itself", _resealed(_replaced_object), (("package.object_differs", "*"),)),
    Fault("a wrong size in the case", _resealed(_wrong_size), (("package.object_differs", "*"),)),
    Fault("a wrong rendition", _resealed(_wrong_rendition), (("package.object_differs", "*"),)),
    Fault("a case that is not canonical", _resealed(_append("data/case.json", b"\n")), (("package.malformed", "data/case.json"),)),
    Fault("an entry kept back", _resealed(_kept_back), (("package.entry_missing", "*"),), in_browser=False),
    Fault("an entry deleted", _resealed(_delete(_at("entries/2.json"))), (("package.entry_missing", _at("entries/2.json")),)),
    Fault("a proof deleted", _resealed(_delete(_at("2.tlog-proof"))), (("proof.missing", _at("2.tlog-proof")),)),
    Fault("an altered entry", _resealed(_altered_entry), (("proof.inclusion_invalid", _at("2.tlog-proof")),)),
    Fault("an entry that is not canonical", _resealed(_loose_entry), (("entry.malformed", _at("entries/2.json")),)),
    Fault("an altered detail", _resealed(_altered_detail), (("entry.detail_differs", _at("details/2.json")),)),
    Fault("proofs of other leaves", _resealed(_swapped_proofs),
          (("proof.inclusion_invalid", _at("2.tlog-proof")), ("proof.inclusion_invalid", _at("4.tlog-proof")))),
    Fault("a hash of 31 bytes", _resealed(_short_hash), (("proof.malformed", _at("2.tlog-proof")),)),
    Fault("an old checkpoint", _resealed(_replayed),
          (("proof.checkpoint_differs", _at("2.tlog-proof")), ("package.object_differs", "data/case.json"))),
    Fault("no checkpoint", _resealed(_delete(_at("checkpoint"))), (("checkpoint.malformed", _at("checkpoint")),)),
    Fault("a bad signature of the log", _resealed(_bad_line(0)), (("checkpoint.signature_invalid", _at("checkpoint")),)),
    Fault("a bad signature of a witness", _resealed(_bad_line(2)), (("checkpoint.signature_invalid", _at("checkpoint")),)),
    Fault("a witness too few", _resealed(_without_witness), (("checkpoint.quorum_missing", _at("checkpoint")),)),
    Fault("an altered anchor", _resealed(_anchor(".ckpt", lambda raw: raw.replace(b"319", b"318"))), (("anchor.invalid", "*"),)),
    Fault("bytes after an anchor's token", _resealed(_anchor(".tsr", lambda raw: raw + b"\0")), (("anchor.invalid", "*"),)),
    Fault("all forged with other keys", _forged,
          (("checkpoint.signer_unknown", _at("checkpoint")), ("signature.untrusted", P7S), ("timestamp.untrusted", TSR))),
)  # fmt: skip


def missing_from(report: dict, fault: Fault) -> list[tuple[str, str]]:
    """Return what the report should say of a fault and does not."""
    found = {(each["code"], each["where"]) for each in report["findings"] if each["outcome"] != VALID}
    codes = {code for code, _ in found}
    return [each for each in fault.found if each not in found and not (each[1] == "*" and each[0] in codes)]
