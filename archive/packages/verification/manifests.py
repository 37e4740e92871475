"""Checks 1 and 2: the bag's manifests, and every listed file by each of them. Source: RFC 8493 section 2."""

import re
from collections.abc import Callable, Mapping
from typing import Final

from archive.kernel.digests import SIZES_BYTES, DigestSet
from archive.kernel.errors import InvalidInput
from archive.packages.verification.findings import Findings
from archive.packages.verification.layout import (
    BAGIT,
    MANIFESTS,
    MIB,
    MOST_TEXT_BYTES,
    SIGNED,
    TAG_MANIFESTS,
    is_bad_path,
    is_payload,
    is_tag,
)
from archive.packages.verification.structure import Folder, Unreadable

Listed = Mapping[str, dict[str, str] | None]
"""Digest by path, by the name of the manifest; None for a manifest that cannot be read."""

_ESCAPE: Final = re.compile("%(?!25|0A|0D)")


class MalformedManifest(InvalidInput):
    """The text is not a manifest in the one form that is read here."""

    code = "package.manifest_malformed"
    exit_code = 65


def algorithm_of(manifest: str) -> str:
    """Return the algorithm in the name of a manifest."""
    return manifest.removesuffix(".txt").rsplit("-", 1)[1]


def parse_manifest(raw: bytes, algorithm: str, belongs: Callable[[str], bool]) -> tuple[dict[str, str], list[str]]:
    """Return digest by path, and the paths that are refused.

    Raises: MalformedManifest for any other form than `<hex>  <path>` a line, a path that stands twice or belongs into
        another manifest.
    """
    try:
        *lines, last = raw.decode().split("\n")
    except UnicodeDecodeError as exc:
        raise MalformedManifest("not UTF-8") from exc
    form = re.compile(f"([0-9a-f]{{{2 * SIZES_BYTES[algorithm]}}})  (.*)", re.DOTALL)
    listed: dict[str, str] = {}
    refused = []
    for number, line in enumerate(lines, 1):
        match = form.fullmatch(line)
        if match is None or _ESCAPE.search(match[2]):
            raise MalformedManifest(f"line {number}")
        path = match[2].replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%")
        if is_bad_path(path):
            refused.append(path)
        elif path in listed or not belongs(path):
            raise MalformedManifest(f"line {number}")
        else:
            listed[path] = match[1]
    if last:
        raise MalformedManifest("the last line does not end")
    return listed, refused


def read_manifests(folder: Folder, findings: Findings) -> Listed:
    """Check what makes a folder a bag, and return what its manifests list."""
    try:
        bagit = folder.read("bagit.txt", MIB)
    except Unreadable:
        bagit = b""
    if bagit != BAGIT:
        findings.fails("package.not_a_bag", "bagit.txt")
    if "bag-info.txt" not in folder:
        findings.fails("package.not_a_bag", "bag-info.txt")
    found: dict[str, dict[str, str] | None] = {}
    for name in (*MANIFESTS, *TAG_MANIFESTS):
        found[name] = None
        if name not in folder:
            findings.fails("package.not_a_bag", name)
            continue
        belongs = is_payload if name in MANIFESTS else is_tag
        try:
            raw = folder.read(name, MOST_TEXT_BYTES)
            found[name], refused = parse_manifest(raw, algorithm_of(name), belongs)
        except (MalformedManifest, Unreadable) as exc:
            findings.fails("package.malformed", name, exc.message)
        else:
            for path in sorted(set(refused)):
                findings.fails("package.path_refused", path, name)
    return found


def paths_to_judge(folder: Folder, listed: Listed) -> list[str]:
    """Return every path that is listed or there, but those that no manifest lists."""
    unlisted = {*TAG_MANIFESTS, *SIGNED}
    paths = {path for table in listed.values() if table for path in table}
    return sorted(paths | {path for path in folder.states if path not in unlisted})


def compare(
    folder: Folder, listed: Listed, digests: Mapping[str, DigestSet], remembered: set[str], findings: Findings
) -> None:
    """Hold every file against both manifests that should list it."""
    for path in paths_to_judge(folder, listed):
        if path in folder.refused:
            continue
        names = MANIFESTS if is_payload(path) else TAG_MANIFESTS
        told = {name: table.get(path) for name in names if (table := listed[name]) is not None}
        if told and not any(told.values()):
            findings.fails("package.file_extra", path)
            continue
        if not all(told.values()):
            findings.fails("package.manifests_differ", path)
        if path not in folder:
            findings.fails("package.file_missing", path)
        elif path not in digests or not all(_fits(digests[path], name, hexed) for name, hexed in told.items()):
            findings.fails("package.file_altered", path)
        elif len(told) == len(names) and all(told.values()):
            # What was remembered says so: it was read in an earlier run.
            findings.holds("package.file_valid", path, "read in an earlier run" if path in remembered else "")


def _fits(found: DigestSet, manifest: str, told: str | None) -> bool:
    return told is None or told == found.as_json()[algorithm_of(manifest)]
