"""The parameters of a simulation: a TOML file with a table for each of shift, network, hosts, costs and requests.

Every field must be there and nothing else: a name that is misspelt would be a parameter that does nothing.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from archive.kernel.errors import InvalidInput

Count = Annotated[int, Field(ge=1)]
More = Annotated[FiniteFloat, Field(gt=0)]
"""More than nothing."""
Much = Annotated[FiniteFloat, Field(ge=0)]
"""Nothing or more."""


class ParametersInvalid(InvalidInput):
    """The parameters of the simulation cannot be used."""

    code = "simulation.parameters_invalid"
    exit_code = 65


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Shift(_Table):
    """What comes in. Units: seconds; megabits (10^6) a second.

    `arrival_s`: cameras are put into their docks evenly within it. `footage_share`: of the files, those that workers
    make playable; `encoded_share`: of these, those in a form that browsers do not play.
    """

    docks: Count
    cameras_per_dock: Count
    recordings_per_camera: Count
    recorded_s: More
    camera_mbit_per_s: More
    arrival_s: Much
    footage_share: Annotated[FiniteFloat, Field(ge=0, le=1)]
    encoded_share: Annotated[FiniteFloat, Field(ge=0, le=1)]

    @property
    def recording_mb(self) -> float:
        """Size of one recording, in 10^6 bytes."""
        return self.recorded_s * self.camera_mbit_per_s / 8

    @property
    def recordings(self) -> int:
        """Recordings in all."""
        return self.docks * self.cameras_per_dock * self.recordings_per_camera


class Network(_Table):
    """The links. Units: megabits a second. `shared_mbit_per_s` is what all docks have together."""

    dock_mbit_per_s: More
    shared_mbit_per_s: More
    at_once_per_dock: Count


class Hosts(_Table):
    """The machines. `cores` are those that work on what is simulated; `busy_cores` of them do something else.

    `docks_on_host`: whether the docks' own work takes of these cores, as in a test on one machine. `taken_at_once`: the
    recordings that are stored or read again at once, 0 for no limit. `background_weight`: what looks and encoding get
    of a core where other work gets 1; Linux gives 110 / 1024 to the niceness of 10 that they have. Units: 10^6 bytes a
    second of the store.
    """

    cores: More
    busy_cores: Much
    docks_on_host: bool
    store_mb_per_s: More
    taken_at_once: Annotated[int, Field(ge=0)]
    prompt_workers: Count
    long_workers: Count
    background_weight: Annotated[FiniteFloat, Field(gt=0, le=1)]


class Costs(_Table):
    """What one recording costs on an idle machine. Units: seconds, and seconds of one core (`core_s`).

    `..._per_mb` are for 10^6 bytes, `..._per_recorded_s` for a second of recording; the others for each recording.
    hash: the dock reads it before it sends. send: all work on bytes under way, by dock and host. take: from the last
    byte until it is stored, locked and written down. receipt: from there until the dock has the receipt. playable: the
    job after which it plays. prompt: the others that somebody waits for. long: the looks into it. encode: for those
    that must be encoded. wipe: deleting it from the camera.
    """

    hash_s_per_mb: Much
    hash_core_s_per_mb: Much
    begin_s: Much
    send_host_core_s_per_mb: Much
    send_dock_core_s_per_mb: Much
    send_core_s: Much
    take_s: Much
    take_s_per_mb: Much
    take_core_s: Much
    take_core_s_per_mb: Much
    store_mb_per_mb: Much
    receipt_s: Much
    playable_s: Much
    playable_s_per_recorded_s: Much
    prompt_s: Much
    prompt_s_per_recorded_s: Much
    long_s: Much
    long_s_per_recorded_s: Much
    job_cores: Much
    encode_s_per_recorded_s: Much
    encode_cores: Much
    wipe_s: Much
    wipe_s_per_mb: Much


class Requests(_Table):
    """What a recording asks of S3, from intake to the last look, and what a provider takes for it.

    `writes` are requests that write or list, `reads` those that read; `writes_per_mb` are the parts. Prices are for a
    million, in any currency; 0 is for not known.
    """

    writes: Much
    reads: Much
    writes_per_mb: Much
    price_per_million_writes: Much
    price_per_million_reads: Much


class Parameters(_Table):
    """All of them."""

    shift: Shift
    network: Network
    hosts: Hosts
    costs: Costs
    requests: Requests

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file. Raises: ParametersInvalid, which says what is wrong."""
        try:
            return cls.model_validate(tomllib.loads(path.read_text("utf-8")))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
            raise ParametersInvalid(f"{path} is no TOML: {exc}") from exc
        except ValidationError as exc:
            told = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in exc.errors())
            raise ParametersInvalid(f"{path}: {told}") from exc

    def as_toml(self) -> str:
        """Return the file that `read` reads."""
        lines = []
        for name, table in self.model_dump().items():
            lines += [f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in table.items()), ""]
        return "\n".join(lines)


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:.6g}" if isinstance(value, float) else str(value)
