"""The house's own rules: what may lie where, who may import whom, what may stand in a file that is committed."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

_ROOT = Path(__file__).parents[2]
_PACKAGES = ("archive", "ingest", "signing", "retention")
_FOLDERS = {*_PACKAGES, "docker", "tests", "docs", ".ci"}
_ARCHIVE = {
    "kernel", "ports", "db", "ledger", "jobs", "trust", "ocfl", "custody", "calendar", "search", "notify", "organisation",
    "access", "evidence", "documents", "devices", "cases", "volumes", "complaints", "retrieval", "review", "legal_review",
    "publicity", "statistics", "simulation",
    "packages", "fsck", "recovery", "adapters", "wiring", "web", "worker", "cli",
}  # fmt: skip
_ENTRY_POINTS = ("archive/web", "archive/worker", "archive/cli")
_MOST_LINES = 500
_ONE_FILE = Path("archive/packages/verifier/verify.py")  # it travels alone
_UNTRACKED = {".git", ".dev", "__pycache__", "node_modules", "build", "dist"}


def _files() -> list[Path]:
    """Every file that is or would be committed, relative to the root."""
    if (_ROOT / ".git").exists():
        told = subprocess.run(
            ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=_ROOT, check=True, capture_output=True,
        ).stdout  # fmt: skip
        names = [Path(os.fsdecode(name)) for name in told.split(b"\0") if name]
        return sorted(name for name in set(names) if (_ROOT / name).is_file())
    return sorted(_walk(Path()))


def _walk(folder: Path) -> Iterator[Path]:
    for entry in os.scandir(_ROOT / folder):
        name = folder / entry.name
        if entry.is_dir(follow_symlinks=False):
            if entry.name not in _UNTRACKED and not entry.name.endswith(("_cache", ".egg-info")):
                yield from _walk(name)
        else:
            yield name


def _texts() -> Iterator[tuple[Path, str]]:
    for name in _files():
        raw = (_ROOT / name).read_bytes()
        if b"\0" not in raw[:8000]:
            yield name, raw.decode("utf-8", "replace")


def _sources() -> list[Path]:
    return [name for name in _files() if name.suffix == ".py" and name.parts[0] in _PACKAGES]


# The patterns are put together from pieces, so that this file does not name what it forbids.
_ADDRESSES = re.compile(
    "|".join(
        [
            r"(?<!\w)(?:--)?(?:extra-|default-)?index[-_]" + r"url\b",
            r"--find" + r"-links\b",
            r"--default" + r"-index\b",
            r"PIP_(?:EXTRA_)?INDEX" + r"_URL|PIP_FIND" + r"_LINKS|UV_\w*IND" + r"EX\w*",
            r'"resolved"\s*:\s*"' + r"https?:",
            r"\bregistry\s*[=:]\s*[\"']?" + r"https?:",
            r"registry\.(?:npm" + r"js|yarn" + r"pkg)\b",
            r"pypi\.org/" + r"simple|files\.python" + r"hosted\.org|test\.pypi" + r"\.org",
            r"npm" + r"mirror\.|pypi\.tuna" + r"\.|deb\.debian" + r"\.org|security\.debian" + r"\.org",
        ]
    )
)


def test_no_file_names_a_package_registry() -> None:
    found = [
        f"{name}:{text.count(chr(10), 0, hit.start()) + 1}: {hit.group()}"
        for name, text in _texts()
        for hit in _ADDRESSES.finditer(text)
    ]
    assert found == []


def test_the_pattern_for_addresses_finds_them() -> None:
    for bad in (
        "--index" + "-url https://example.org",
        '"resolved": "' + "https://example.org/x.tgz",
        "registry=" + "https://example.org",
        "https://files.python" + "hosted.org/x",
    ):
        assert _ADDRESSES.search(bad), bad
    for good in ("the index of the case", "a url", '"resolved": true', "an index url_for"):
        assert not _ADDRESSES.search(good), good


def test_nothing_is_left_to_do_in_a_comment() -> None:
    mark = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|X" + r"XX)\b")
    found = [
        f"{name}:{number}"
        for name, text in _texts()
        if name.suffix in {".py", ".js", ".mjs", ".html", ".css", ".toml"} and "vendor" not in name.parts
        for number, line in enumerate(text.splitlines(), 1)
        if mark.search(line)
    ]
    assert found == []


def test_top_level_folders_are_those_of_the_design() -> None:
    assert {name.parts[0] for name in _files() if len(name.parts) > 1} <= _FOLDERS


def test_the_archive_holds_only_the_domains_of_the_design() -> None:
    found = {name.parts[1] for name in _files() if name.parts[0] == "archive" and len(name.parts) > 2}
    assert found <= _ARCHIVE


def test_no_module_is_too_long_to_read() -> None:
    lengths = {str(name): (_ROOT / name).read_text("utf-8").count("\n") for name in _sources() if name != _ONE_FILE}
    assert {name: count for name, count in lengths.items() if count > _MOST_LINES} == {}


def _catches_everything(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names = {ast.unparse(kind) if kind else "BaseException" for kind in kinds}
    if "Exception" in names:
        return True
    # Cleaning up on the way of any exception is no catch: the handler ends by raising it again.
    last = handler.body[-1]
    return "BaseException" in names and not (isinstance(last, ast.Raise) and last.exc is None)


def test_only_entry_points_catch_every_exception() -> None:
    found = [
        f"{name}:{node.lineno}"
        for name in _sources()
        if not name.as_posix().startswith(_ENTRY_POINTS)
        for node in ast.walk(ast.parse((_ROOT / name).read_bytes()))
        if isinstance(node, ast.ExceptHandler) and _catches_everything(node)
    ]
    assert found == []


def _copy_of_the_tree(to: Path) -> Path:
    for name in _files():
        if name.parts[0] in _PACKAGES or len(name.parts) == 1:
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(_ROOT / name, to / name)
    return to


def _lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run([program, "--no-cache"], cwd=folder, check=False, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("module", "imports", "contract"),
    [
        ("archive/kernel/errors.py", "import archive.ports.blobs", "Imports go down only"),
        ("signing/__init__.py", "import archive.db.database", "Imports go down only"),
        ("archive/jobs/queue.py", "import archive.ledger.entries", "Imports go down only"),
        ("archive/db/database.py", "import archive.adapters", "Only wiring chooses adapters"),
        ("archive/ledger/entries.py", "import pyhanko", "pyHanko is known to signing only"),
        ("archive/evidence/models.py", "import ffmpeg", "ffmpeg-python is known to ingest only"),
        ("archive/kernel/canonical.py", "import fastapi", "FastAPI is known to entry points only"),
    ],
)
def test_each_import_contract_catches_a_breach(tmp_path: Path, module: str, imports: str, contract: str) -> None:
    tree = _copy_of_the_tree(tmp_path)
    with (tree / module).open("a", encoding="utf-8") as file:
        file.write(f"\n{imports}\n")
    result = _lint_imports(tree)
    assert result.returncode != 0
    assert re.search(rf"{re.escape(contract)}.* BROKEN", result.stdout), result.stdout


def test_the_import_contracts_hold() -> None:
    result = _lint_imports(_ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


def _requirements() -> dict[str, list[Requirement]]:
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text("utf-8"))
    needed = project["project"]["dependencies"]
    return {
        "requirements.lock": [Requirement(each) for each in needed],
        "requirements-dev.lock": [Requirement(each) for each in needed + project["dependency-groups"]["dev"]],
    }


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_locks_fit_the_project_and_carry_hashes_but_no_address(lock: str) -> None:
    text = (_ROOT / lock).read_text("utf-8")
    assert "://" not in text
    pinned = dict(re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;]+)", text, re.MULTILINE))
    entries = re.split(r"\n(?=\S)", text.strip())
    assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    pinned = {canonicalize_name(name): Version(found) for name, found in pinned.items()}
    for needed in _requirements()[lock]:
        assert pinned[canonicalize_name(needed.name)] in needed.specifier, f"{needed}: run ./dev lock"


def test_the_wheel_holds_every_file_of_the_packages(tmp_path: Path) -> None:
    assert Version(version("setuptools")) >= Version("80"), "run ./dev test: it installs what the locks say"
    tree = _copy_of_the_tree(tmp_path / "tree")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir",
         tmp_path, tree],
        check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("liuhen-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    wanted = {name.as_posix() for name in _files() if name.parts[0] in _PACKAGES and not name.name.startswith(".")}
    assert wanted - inside == set()
    assert {name.rsplit("/", 1)[-1] for name in inside} >= {"LICENSE", "NOTICE"}
    tops = {name.split("/", 1)[0] for name in inside}
    assert {name for name in tops if not name.endswith(".dist-info")} == set(_PACKAGES)


@pytest.mark.parametrize("script", ["dev", ".ci/run"])
def test_scripts_can_be_started_and_parsed(script: str) -> None:
    assert os.access(_ROOT / script, os.X_OK)
    subprocess.run(["bash", "-n", script], cwd=_ROOT, check=True)


def test_dev_alone_lists_its_verbs_and_needs_no_setup() -> None:
    told = subprocess.run(["./dev"], cwd=_ROOT, check=True, capture_output=True, text=True).stdout
    for verb in ("demo", "run", "test", "lint", "fmt", "bench", "campaign", "services", "lock"):
        assert f"./dev {verb}" in told


def test_dev_refuses_an_unknown_verb_and_an_old_python() -> None:
    unknown = subprocess.run(["./dev", "fly"], cwd=_ROOT, check=False, capture_output=True, text=True)
    assert unknown.returncode != 0
    assert "'fly'" in unknown.stderr
    old = subprocess.run(
        ["./dev", "lint"], cwd=_ROOT, check=False, capture_output=True, text=True, env={**os.environ, "PYTHON": "false"}
    )
    assert old.returncode != 0
    assert "Python 3.11 or newer is needed" in old.stderr
