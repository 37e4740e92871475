"""The parameters of a simulation: a TOML file with a table for each of shift, network, hosts and costs.

Every field must be there and nothing else: a name that is misspelt would be a parameter that does nothing.
"""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from archive.kernel.errors import InvalidInput

_Table = TypeVar("_Table", "Shift", "Network", "Hosts", "Costs")
_KINDS: Final = {"int": int, "float": (int, float), "bool": bool}
_WORDS: Final = {"int": "a whole number", "float": "a number", "bool": "true or false"}
_MAY_BE_NOTHING: Final = frozenset({"arrival_s", "encoded_share", "busy_cores", "taken_at_once"})


class ParametersInvalid(InvalidInput):
    """The parameters of the simulation cannot be used."""

    code = "simulation.parameters_invalid"
    exit_code = 65


@dataclass(frozen=True, slots=True)
class Shift:
    """What comes in. Units: seconds; megabits (10^6) a second.

    `arrival_s`: cameras are put into their docks evenly within it, each dock's own at once in the order in which they
    come. `encoded_share`: of the recordings, those in a form that browsers do not play.
    """

    docks: int
    cameras_per_dock: int
    recordings_per_camera: int
    recorded_s: float
    camera_mbit_per_s: float
    arrival_s: float
    encoded_share: float

    @property
    def recording_mb(self) -> float:
        """Size of one recording, in 10^6 bytes."""
        return self.recorded_s * self.camera_mbit_per_s / 8

    @property
    def recordings(self) -> int:
        """Recordings in all."""
        return self.docks * self.cameras_per_dock * self.recordings_per_camera


@dataclass(frozen=True, slots=True)
class Network:
    """The links. Units: megabits a second. `shared_mbit_per_s` is what all docks have together."""

    dock_mbit_per_s: float
    shared_mbit_per_s: float
    at_once_per_dock: int


@dataclass(frozen=True, slots=True)
class Hosts:
    """The machines. `cores` are those that work on what is simulated; `busy_cores` of them do something else.

    `docks_on_host`: whether the docks' own work takes of these cores, as in a test on one machine. `taken_at_once`: the
    recordings that are stored or read again at once, 0 for no limit. Units: 10^6 bytes a second of the store.
    """

    cores: float
    busy_cores: float
    docks_on_host: bool
    store_mb_per_s: float
    taken_at_once: int
    prompt_workers: int
    long_workers: int


@dataclass(frozen=True, slots=True)
class Costs:
    """What one recording costs on an idle machine. Units: seconds, and seconds of one core (`core_s`).

    `..._per_mb` are for 10^6 bytes, `..._per_recorded_s` for a second of recording; the others for each recording.
    hash: the dock reads it before it sends. send: all work on bytes under way, by dock and host. take: from the last
    byte until it is stored, locked and written down. receipt: from there until the dock has the receipt. playable: the
    job after which it plays. prompt: the others that somebody waits for. long: the looks into it. encode: for those
    that must be encoded. wipe: deleting it from the camera.
    """

    hash_s_per_mb: float
    hash_core_s_per_mb: float
    begin_s: float
    send_host_core_s_per_mb: float
    send_dock_core_s_per_mb: float
    send_core_s: float
    take_s: float
    take_s_per_mb: float
    take_core_s: float
    take_core_s_per_mb: float
    store_mb_per_mb: float
    receipt_s: float
    playable_s: float
    playable_s_per_recorded_s: float
    prompt_s: float
    prompt_s_per_recorded_s: float
    long_s: float
    long_s_per_recorded_s: float
    job_cores: float
    encode_s_per_recorded_s: float
    encode_cores: float
    wipe_s: float
    wipe_s_per_mb: float


@dataclass(frozen=True, slots=True)
class Parameters:
    """All of them."""

    shift: Shift
    network: Network
    hosts: Hosts
    costs: Costs

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file. Raises: ParametersInvalid, which says what is wrong."""
        try:
            told = tomllib.loads(path.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
            raise ParametersInvalid(f"{path} is no TOML: {exc}") from exc
        _require_names("the file", told, {field.name for field in fields(cls)})
        return cls(
            shift=_table(Shift, told),
            network=_table(Network, told),
            hosts=_table(Hosts, told),
            costs=_table(Costs, told),
        )

    def as_toml(self) -> str:
        """Return the file that `read` reads."""
        lines = []
        for name, values in asdict(self).items():
            lines += [f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in values.items()), ""]
        return "\n".join(lines)


def _table(kind: type[_Table], told: Mapping[str, Any]) -> _Table:
    """Read one table. Raises: ParametersInvalid."""
    name = kind.__name__.lower()
    table = told[name]
    if not isinstance(table, dict):
        raise ParametersInvalid(f"[{name}] must be a table")
    known = {field.name: getattr(field.type, "__name__", str(field.type)) for field in fields(kind)}
    _require_names(f"[{name}]", table, set(known))
    values = {key: _value(f"{name}.{key}", value, kind=known[key]) for key, value in table.items()}
    return kind(**values)


def _require_names(where: str, told: Mapping[str, Any], known: set[str]) -> None:
    if missing := sorted(known - set(told)):
        raise ParametersInvalid(f"{where} lacks {', '.join(missing)}")
    if strange := sorted(set(told) - known):
        raise ParametersInvalid(f"{where} has {', '.join(strange)}, which is no parameter")


def _value(name: str, value: object, *, kind: str) -> float | bool:
    wanted = _KINDS[kind]
    if isinstance(value, bool) != (wanted is bool) or not isinstance(value, wanted):
        raise ParametersInvalid(f"{name} must be {_WORDS[kind]}")
    if isinstance(value, int | float) and not isinstance(value, bool):
        least = 0.0 if name.partition(".")[2] in _MAY_BE_NOTHING or name.startswith("costs.") else 1e-9
        if not math.isfinite(value) or value < least:
            raise ParametersInvalid(f"{name} must be {'at least' if least == 0 else 'more than'} 0")
    return value if isinstance(value, bool | int) else float(value)


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:.6g}" if isinstance(value, float) else str(value)
