"""The files of `docker/`: what they name is there, what they start is a command, what they set is a setting.

No Docker engine runs here. hadolint and the rules of the Compose specification judge the files; the entry points are run
by `tests/integration/test_containers.py`.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose
from typer.main import get_command

from archive.cli.main import build
from archive.settings import Settings

DOCKER = Path(__file__).parents[2] / "docker"
FILES = sorted(DOCKER.glob("compose.*.yaml"))
_SETTINGS = {f"LIUHEN_{name.upper()}" for name in Settings.model_fields}
_SECRET = re.compile(r"(password|secret|token|_key)", re.IGNORECASE)


def compose(path: Path) -> dict[str, Any]:
    """Return a file with what it merges in its place."""
    found: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return found


def services() -> list[Any]:
    return [
        pytest.param(path, name, service, id=f"{path.name}-{name}")
        for path in FILES
        for name, service in compose(path)["services"].items()
    ]


OURS = [each for each in services() if each.values[2]["image"].startswith("liuhen:")]


def test_both_deployments_are_there() -> None:
    assert [path.name for path in FILES] == ["compose.embedded.yaml", "compose.scaled.yaml"]
    assert set(compose(FILES[1])["services"]) >= {
        "nginx",
        "web",
        "relay",
        "sequencer",
        "worker-prompt",
        "worker-long",
        "witness",
        "postgres",
        "rabbitmq",
        "s3",
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_is_what_the_specification_allows(path: Path) -> None:
    told = PyCompose.from_json(json.dumps(compose(path)))
    told.validate()
    assert set(told.service_names()) == set(compose(path)["services"])
    wrong = {**compose(path), "services": {"a": {"image": "x", "cap_drops": ["ALL"]}}}
    with pytest.raises(ValueError, match="cap_drops"):
        PyCompose.from_json(json.dumps(wrong))


def test_the_image_is_what_hadolint_allows(tmp_path: Path) -> None:
    program = shutil.which("hadolint") or str(Path(sys.executable).parent / "hadolint")
    found = subprocess.run([program, str(DOCKER / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")
    (tmp_path / "Dockerfile").write_text("FROM python\nRUN apt-get install curl\n")
    assert subprocess.run([program, str(tmp_path / "Dockerfile")], capture_output=True, check=False).returncode == 1


@pytest.mark.parametrize(("path", "name", "service"), services())
def test_a_service_is_pinned_bounded_and_comes_back(path: Path, name: str, service: dict[str, Any]) -> None:
    image, _, tag = service["image"].rpartition(":")
    assert image
    assert re.fullmatch(r"[0-9][\w.-]*", tag), "a tag that says a version"
    assert service["restart"] == "unless-stopped"
    assert service["mem_limit"]
    assert service["cpus"]
    assert service["stop_grace_period"]
    assert service["logging"]["options"]["max-size"]
    assert not service.get("privileged")
    assert "cap_add" not in service


@pytest.mark.parametrize(("path", "name", "service"), OURS)
def test_our_services_write_nowhere_but_where_they_are_told(path: Path, name: str, service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert "seccomp=seccomp.json" in service["security_opt"]
    assert "user" not in service, "the image's own, which is not root"


@pytest.mark.parametrize(("path", "name", "service"), services())
def test_no_secret_stands_in_the_file(path: Path, name: str, service: dict[str, Any]) -> None:
    for variable, value in (service.get("environment") or {}).items():
        if _SECRET.search(variable):
            assert str(value).startswith("/run/secrets/"), f"{variable} is no file"
        assert not re.search(r"://[^/@]*:[^/@]*@", str(value)), f"{variable} holds a password"
    declared = compose(path).get("secrets", {})
    for secret in service.get("secrets", []):
        assert (secret if isinstance(secret, str) else secret["source"]) in declared
    assert all(set(told) == {"file"} for told in declared.values())
    assert not (DOCKER / "secrets").exists()


@pytest.mark.parametrize(("path", "name", "service"), OURS)
def test_every_variable_is_a_setting(path: Path, name: str, service: dict[str, Any]) -> None:
    given = {variable for variable in service.get("environment", {}) if variable.startswith("LIUHEN_")}
    assert given <= _SETTINGS


@pytest.mark.parametrize(("path", "name", "service"), OURS)
def test_every_command_is_one_of_ours(path: Path, name: str, service: dict[str, Any]) -> None:
    words, command = list(service["command"]), get_command(build())
    while hasattr(command, "commands"):
        assert words[0] in command.commands
        command = command.commands[words.pop(0)]
    command.make_context("liuhen", words)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_that_is_named_is_there(path: Path) -> None:
    told = compose(path)
    named = [DOCKER / str(told["services"][name]["build"]["context"]) / "docker/Dockerfile"
             for name in told["services"] if "build" in told["services"][name]]  # fmt: skip
    for service in told["services"].values():
        named += [
            DOCKER / part.removeprefix("seccomp=") for part in service.get("security_opt", []) if "seccomp=" in part
        ]
        for volume in service.get("volumes", []):
            source = str(volume).partition(":")[0]
            if source.startswith("."):
                named.append(DOCKER / source)
            else:
                assert source in told["volumes"]
    for place in named:
        assert place.exists(), place
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", (DOCKER / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    for each in " ".join(copied).split():
        assert (DOCKER.parent / each).exists(), each


def test_the_profile_of_system_calls_lets_the_sandbox_work_and_nothing_load() -> None:
    told = json.loads((DOCKER / "seccomp.json").read_text("utf-8"))
    refused = {name for rule in told["syscalls"] for name in rule["names"]}
    assert {"init_module", "kexec_load", "bpf", "ptrace", "keyctl"} <= refused
    assert not {"clone", "clone3", "unshare", "mount", "umount2", "pivot_root", "seccomp"} & refused
