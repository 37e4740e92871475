"""The tus suite against the real server: it conforms, save for what is listed."""

from pathlib import Path

from tests.conformance.liuhen.dock import FOLDER, ForeignDock
from tests.conformance.tus.runner import run_suite
from tests.support.server import serving

DIFFERENCES = Path(__file__).parent / "differences.toml"


def test_conforms_to_tus(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        dock = ForeignDock.enrolled(server, tmp_path / "dock")
        outcome = run_suite(
            f"{server.address}/api/v1/uploads",
            headers=dock.headers,
            metadata="tests.conformance.liuhen.dock:metadata",
            read_back="tests.conformance.liuhen.dock:read_back",
            differences=DIFFERENCES,
            environment={FOLDER: str(dock.folder)},
        )
        outcome.assert_conforms()
        server.assert_sound()
