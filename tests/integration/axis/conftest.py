"""A server for all of these tests, systems of their own for each, and recordings as a body-worn system sends them."""

import random
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import quote

import pytest
import swiftclient
from sqlalchemy import select
from swiftclient.exceptions import ClientException

from archive.kernel.clock import SystemClock
from archive.kernel.ids import DockId
from archive.ledger.entries import OPERATOR
from ingest.axis.models import AxisContainer, AxisObject
from ingest.axis.systems import enrol_system
from ingest.doors import Doors
from ingest.models import Upload
from tests.support.archive_home import clock, home
from tests.support.server import Server, serving

__all__ = ["clock", "home"]

MOST_BYTES = 40_000_000


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running archive over plain HTTP that takes files of at most 40 MB."""
    with serving(
        tmp_path_factory.mktemp("server"), environment={"LIUHEN_MAX_UPLOAD_BYTES": str(MOST_BYTES)}
    ) as running:
        yield running


@dataclass(frozen=True)
class System:
    """An Axis system with its key, as the operator enrolled it."""

    server: Server
    dock_id: DockId
    name: str
    key: str

    @property
    def auth_address(self) -> str:
        return f"{self.server.address}/axis/auth/v1.0"

    def connect(self, **given: object) -> swiftclient.Connection:
        """Return a client of OpenStack's own library, which tries nothing twice by itself."""
        options = {"retries": 0, "auth_version": "1", **given}
        return swiftclient.Connection(self.auth_address, self.name, self.key, **options)

    def uploads(self) -> list[Upload]:
        with self.server.database.read() as tx:
            return list(tx.scalars(select(Upload).where(Upload.dock_id == self.dock_id).order_by(Upload.id)))

    def container(self, name: str) -> AxisContainer:
        with self.server.database.read() as tx:
            return tx.scalars(
                select(AxisContainer).where(AxisContainer.dock_id == self.dock_id, AxisContainer.name == name)
            ).one()

    def objects(self, container: str) -> dict[str, AxisObject]:
        with self.server.database.read() as tx:
            found = tx.scalars(select(AxisObject).where(AxisObject.container_id == self.container(container).id))
            return {row.name: row for row in found}


def doors_of(server: Server) -> Doors:
    return Doors(server.database, SystemClock(), server.home / "keys")


@pytest.fixture
def enrolled(server: Server) -> Callable[[], System]:
    """`enrolled()`: a new system."""

    def enrolled_system() -> System:
        name = f"bws:{uuid.uuid4().hex[:8]}"
        dock_id, key = enrol_system(doors_of(server), name=name, by=OPERATOR)
        return System(server, dock_id, name, key)

    return enrolled_system


@pytest.fixture
def system(enrolled: Callable[[], System]) -> System:
    return enrolled()


@dataclass
class Film:
    """What a camera filmed: a recording of two clips with a bookmark and a location trail."""

    user: str = field(default_factory=lambda: str(uuid.uuid4()))
    serial: str = field(default_factory=lambda: f"B8A44F{random.randrange(1 << 24):06X}")
    clip_bytes: int = 50_000

    def __post_init__(self) -> None:
        self.name = f"{self.user}_{self.serial}_20260302T013112Z"
        self.clips = {f"20260302_0131{second:02}_4711.mp4": random.randbytes(self.clip_bytes) for second in (12, 42)}
        self.trail_name = f"20260302_013112_4711_{self.serial}_gpstrail.json"
        self.trail = (
            b'{"CoordinateEntries": [{"LocationWKT": "POINT(102.7123 25.0406)", "SecondsFromStart": 1.0, '
            b'"Timestamp": "2026-03-02T01:31:13Z", "x": ' + str(random.random()).encode() + b"}]}"
        )

    @property
    def meta(self) -> dict[str, str]:
        return headers(
            "Container",
            ContainerName=self.name,
            BWCSerialNumber=self.serial,
            SCUSerialNumber="ACCC8E000001",
            FirmwareVersion="11.11.1",
            UserID=self.user,
            TriggerOn="Button",
            TriggerOnTime="1772415072",
            TriggerOnTimeISO="2026-03-02T01:31:12Z",
            TimeZone="Asia/Shanghai",
            BWCModel="W120",
            Status="Transferring",
        )


def headers(scope: str, **meta: str) -> dict[str, str]:
    """Return metadata as these systems send it: percent-encoded UTF-8."""
    return {f"X-{scope}-Meta-{name}": quote(value) for name, value in meta.items()}


COMPLETE = headers("Container", Status="Complete", TriggerOff="Button", TriggerOffTimeISO="2026-03-02T01:33:00Z")


def register(client: swiftclient.Connection, film: Film, name: str = "李晓东") -> None:
    """Announce system, user and camera, as a system does before its first recording."""
    for container in ("System", "Users", "Devices"):
        client.put_container(container)
    client.put_object(
        "Users", film.user, contents=b"", headers=headers("Object", Active="True", Name=name, UserID="5301-0117")
    )
    client.put_object(
        "Devices", film.serial, contents=b"", headers=headers("Object", Active="True", Name="北市区 1", Model="W120")
    )


def send(client: swiftclient.Connection, film: Film) -> None:
    """Send everything of a recording but the word that it is whole."""
    client.put_container(film.name, headers=film.meta)
    for name, data in film.clips.items():
        start = f"2026-03-02T01:31:{name[13:15]}Z"
        client.put_object(
            film.name, name, contents=data, headers=headers("Object", StartTimeISO=start, ContainerType="mp4")
        )
    client.put_object(film.name, film.trail_name, contents=film.trail, headers=headers("Object", FileType="json"))
    client.put_object(
        film.name,
        "bookmark_20260302T013120Z_1",
        contents="当事人拒绝停止经营".encode(),
        headers=headers("Object", CategoryID="5", CategoryName="占道经营", StartTime="2026-03-02T01:31:20Z"),
    )


def complete(client: swiftclient.Connection, name: str, meta: dict[str, str] = COMPLETE) -> None:
    """Say that a recording is whole, again and again as a system does, until the archive confirms it."""
    for _ in range(60):
        try:
            client.post_container(name, meta)
        except ClientException as error:
            if error.http_status != 503:
                raise
        else:
            return
    raise AssertionError("It was never confirmed")
