"""`liuhen dock` as people and scripts meet it: summary, JSON, exit codes."""

import json
import socket
from pathlib import Path

import pytest

from archive.cli.main import run
from archive.cli.push_view import size_text
from tests.integration.dock.conftest import MB, TestDock, recording
from tests.support.server import Server


def test_the_summary_is_plain_and_names_cannot_steer_the_terminal(
    dock: TestDock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = tmp_path / "card"
    recording(card / "a.mp4", 2 * MB)
    recording(card / "\x1b[2Jb\n.mp4", 1000)
    recording(card / "empty.mp4", 0)
    recording(card / ".hidden", 10)
    assert run(["dock", "push", str(card), "--state", str(dock.state.path), "--wipe"]) == 65
    told = capsys.readouterr()
    assert told.err == ""
    lines = told.out.splitlines()
    assert lines[0].split() == ["result", "size", "speed", "log", "index", "file"]
    (first,) = [line for line in lines if line.endswith("a.mp4")]
    assert first.startswith("delivered, wiped")
    assert " 2.0 MB " in first
    assert "MB/s" in first
    assert any(line.endswith("\\x1b[2Jb\\n.mp4") for line in lines)
    assert "\x1b" not in told.out
    assert "    An empty file holds no evidence and is refused." in lines
    assert f"left alone: {card}/.hidden (hidden)" in lines
    assert lines[-1] == "2 delivered, 1 refused, 2 wiped."


def test_json_is_one_object_with_everything_in_it(
    dock: TestDock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = recording(tmp_path / "card" / "现场.mp4")
    arguments = ["dock", "push", str(path.parent), "--state", str(dock.state.path), "--json", "--case", "昆〔2026〕9号"]
    assert run([*arguments, "--device-time", "2026-03-01T08:00:00+08:00"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told) == {
        "server", "dock_id", "files", "skipped", "wiped_sidecars", "dock_clock_offset_ms", "device_clock_offset_ms",
        "exit_code",
    }  # fmt: skip
    (file,) = told["files"]
    assert file["path"] == str(path)
    assert (file["result"], file["sent_bytes"], file["wiped"], file["notes"]) == ("delivered", 100_000, False, [])
    assert Path(file["receipt"]).name == f"{file['sha256']}.receipt.json"
    assert isinstance(told["device_clock_offset_ms"], int)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["push", "/nowhere/at/all"], 66, "dock.path_missing"),
        (["push", ".", "--device-time", "yesterday"], 64, "input.invalid"),
        (["push", ".", "--jobs", "0"], 64, "cli.usage"),
        (["push", ".", "--case", "x" * 101], 64, "input.invalid"),
        (["push"], 64, "cli.usage"),
        (["enrol", "--server", "http://archive.example", "--code", "X"], 73, "dock.already_enrolled"),
        (["enrol", "--server", "http://archive.example", "--code", "X", "--replace"], 64, "dock.bad_server"),
        (
            ["enrol", "--server", "https://localhost:1", "--code", "X", "--replace", "--ca", "/none"],
            64,
            "input.invalid",
        ),
    ],
)
def test_wrong_use_is_told_in_one_line(
    dock: TestDock, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, says: str
) -> None:
    assert run(["dock", *arguments, "--state", str(dock.state.path)]) == code
    told = capsys.readouterr()
    assert told.err.endswith(f"[{says}]\n")
    assert told.err.count("\n") == 1


def test_a_dock_that_is_not_enrolled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dock", "push", str(tmp_path), "--state", str(tmp_path / "state")]) == 66
    assert "liuhen dock invite" in capsys.readouterr().err
    assert not (tmp_path / "state").exists()


def test_a_server_that_is_not_there_is_69_and_a_code_is_not_lost(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    state = str(tmp_path / "state")
    assert run(["dock", "enrol", "--server", nobody, "--code", "X", "--state", state]) == 69
    assert "[dock.server_unreachable]" in capsys.readouterr().err
    assert run(["dock", "enrol", "--server", server.address, "--code", server.invite(), "--state", state]) == 0


def test_inviting_listing_and_revoking(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = ["--home", str(server.home)]
    assert run(["dock", "invite", "--name", "采集站一", *home]) == 0
    code = capsys.readouterr().out.strip()
    state = tmp_path / "state"
    assert run(["dock", "enrol", "--server", server.address, "--code", code.lower(), "--state", str(state)]) == 0
    dock_id = json.loads((state / "dock.json").read_text())["dock_id"]
    capsys.readouterr()
    assert run(["dock", "list", *home]) == 0
    told = capsys.readouterr().out
    assert dock_id in told
    assert "采集站一" in told
    assert run(["dock", "revoke", dock_id, *home]) == 0
    assert run(["dock", "push", str(recording(tmp_path / "clip.mp4")), "--state", str(state)]) == 77
    assert "[ingest.dock_not_found]" not in capsys.readouterr().err
    assert run(["dock", "revoke", dock_id, *home]) == 66


def test_sizes_are_short() -> None:
    sizes = [0, 999, 1000, 999_999, 1_500_000, 123_456_789, 5_000_000_000, 7 * 10**15]
    assert [size_text(size) for size in sizes] == [
        "0 B", "999 B", "1 kB", "1000 kB", "1.5 MB", "123 MB", "5.0 GB", "7000 TB",
    ]  # fmt: skip
