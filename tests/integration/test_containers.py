"""What the containers run, run here: the same command lines and variables, with folders of the test in their place."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import ROOT
from tests.unit.test_docker import DOCKER, compose

_START_S = 240.0


def _environment(service: Mapping[str, Any], places: Mapping[str, Path], **instead: str) -> dict[str, str]:
    """Return a service's variables, with these folders in the place of those of the container."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("LIUHEN_")}
    told = {name: str(value) for name, value in service["environment"].items()}
    for place, folder in places.items():
        told = {name: value.replace(place, str(folder)) for name, value in told.items()}
    return {**plain, **told, "PYTHONPATH": str(ROOT), **instead}


def _liuhen(words: list[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "archive.cli", *words], env=environment, cwd="/")


@contextmanager
def _running(words: list[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = _liuhen(words, environment)
    try:
        yield process
        process.terminate()
        assert process.wait(60) == 0, "it ends in order when it is told"
    finally:
        process.kill()
        process.wait()


def _is_healthy(environment: Mapping[str, str]) -> bool:
    asked = subprocess.run([sys.executable, str(DOCKER / "healthcheck.py")], env=dict(environment), check=False)
    return asked.returncode == 0


def _until_healthy(environment: Mapping[str, str]) -> None:
    until = time.monotonic() + _START_S
    while not _is_healthy(environment):
        assert time.monotonic() < until
        time.sleep(0.2)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="lh-") as made:  # sockets have short names
        yield Path(made)


def test_the_embedded_deployment_is_made_serves_and_is_well(folder: Path) -> None:
    service = compose(DOCKER / "compose.embedded.yaml")["services"]["archive"]
    environment = _environment(service, {"/var/lib/liuhen": folder / "home"}, LIUHEN_PORT="0")
    assert not _is_healthy(environment), "what is not there is not well"
    assert _liuhen(["init", "--organisation", "某某局"], environment).wait() == 0
    with _running(service["command"], environment):
        _until_healthy(environment)
    assert not _is_healthy(environment)


def test_the_web_processes_of_the_scaled_one_answer_on_their_sockets(folder: Path) -> None:
    """With SQLite and files: what it runs on has tests of its own, and other hosts may serve the same home."""
    service = compose(DOCKER / "compose.scaled.yaml")["services"]["web"]
    places = {
        "/var/lib/liuhen-local": folder / "local",
        "/var/lib/liuhen": folder / "home2",
        "/run/liuhen": folder / "run",
    }
    engines = ("DATABASE_URL", "STORE", "S3_", "BROKER_", "LOCAL_FOLDER", "PUBLIC_ORIGIN")
    kept = {name: value for name, value in service["environment"].items() if not name[7:].startswith(engines)}
    environment = _environment({"environment": kept}, places, LIUHEN_PORT="0", LIUHEN_WEB_PROCESSES="2")
    assert _liuhen(["init"], environment).wait() == 0
    with _running(service["command"], environment):
        _until_healthy(environment)
        names = {path.name for path in (folder / "run").iterdir()}
        assert names == {f"web-{number}.sock" for number in range(2)}
        assert not (folder / "home2" / "run" / "address").exists()
    assert not _is_healthy(environment)


def test_nginx_of_the_scaled_one_knows_every_process() -> None:
    told = compose(DOCKER / "compose.scaled.yaml")["services"]
    web, nginx = told["web"]["environment"], told["nginx"]["environment"]
    wanted = [f"server unix:{web['LIUHEN_WEB_SOCKETS']}/web-{n}.sock;" for n in range(int(web["LIUHEN_WEB_PROCESSES"]))]
    assert nginx["PROXY_UPSTREAMS"].split("; ") == " ".join(wanted).split("; ")
    template = (DOCKER / "nginx" / "templates" / "liuhen.conf.template").read_text("utf-8")
    variables = {name for name in nginx if name.startswith("PROXY_")}
    assert all(f"${{{name}}}" in template for name in variables)
