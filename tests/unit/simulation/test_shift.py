"""The simulation held against shift changes that can be worked out on paper."""

import json
from pathlib import Path

import pytest

from archive.cli.main import run
from archive.simulation.fair_shares import Line, Shares, Work
from archive.simulation.parameters import Parameters, ParametersInvalid
from archive.simulation.shift import simulate
from archive.simulation.telling import figures, percentile, requests

_STATION = Path(__file__).parents[3] / "docs" / "scale" / "station.toml"


def _given(**changed: float) -> Parameters:
    """Return ten docks with one camera each of one recording of 100 MB, in a world where nothing costs anything.

    A link takes 8 s for it (100 Mbit/s). Changes are made by name, in whichever table has it.
    """
    told = Parameters.read(_STATION).model_dump()
    told["costs"] = dict.fromkeys(told["costs"], 0.0)
    usual = {
        "docks": 10,
        "cameras_per_dock": 1,
        "recordings_per_camera": 1,
        "recorded_s": 100,
        "camera_mbit_per_s": 8.0,
        "arrival_s": 0.0,
        "dock_mbit_per_s": 100,
        "shared_mbit_per_s": 1e6,
        "cores": 4.0,
        "busy_cores": 0.0,
        "store_mb_per_s": 1e6,
    }
    for name, value in {**usual, **changed}.items():
        (table,) = (table for table in told.values() if name in table)
        table[name] = value
    return Parameters.model_validate(told)


@pytest.mark.parametrize(
    ("changed", "last_receipt_s"),
    [
        ({}, 8.0),
        ({"shared_mbit_per_s": 500}, 16.0),  # ten links of 100 Mbit/s share 500
        ({"recordings_per_camera": 3}, 24.0),
        ({"cameras_per_dock": 3}, 24.0),
        ({"recordings_per_camera": 2, "at_once_per_dock": 2}, 16.0),  # two at once share the link of their dock
        ({"send_host_core_s_per_mb": 0.08}, 20.0),  # 1000 MB are 80 core seconds, for four cores
        ({"send_dock_core_s_per_mb": 0.08}, 8.0),  # which docks have themselves
        ({"send_host_core_s_per_mb": 0.08, "busy_cores": 2.0}, 40.0),
        ({"hash_s_per_mb": 0.05, "begin_s": 1.0}, 14.0),
        ({"take_s": 1.0, "take_s_per_mb": 0.02, "receipt_s": 0.5}, 11.5),
        ({"take_s": 1.0, "taken_at_once": 2}, 13.0),  # ten come at once before two
        ({"store_mb_per_mb": 1.0, "take_s_per_mb": 0.01, "store_mb_per_s": 200}, 13.0),  # 1000 MB at 200 a second
        ({"wipe_s": 2.0, "recordings_per_camera": 2}, 18.0),  # the next one goes when the first is deleted
    ],
)
def test_the_last_receipt_comes_when_it_must(changed: dict[str, float], last_receipt_s: float) -> None:
    outcome = simulate(_given(**changed))
    assert max(outcome.receipts_s) == pytest.approx(last_receipt_s, rel=1e-4)
    assert len(outcome.receipts_s) == outcome.recordings


def test_cameras_are_free_when_they_are_wiped() -> None:
    outcome = simulate(_given(wipe_s=1.0, wipe_s_per_mb=0.02, receipt_s=0.25))
    assert outcome.free_s == pytest.approx([11.25] * 10)
    assert outcome.waits_s == pytest.approx([0.25] * 10, abs=1e-3)


@pytest.mark.parametrize(
    ("changed", "idle_s"),
    [
        ({"playable_s": 3.0, "prompt_workers": 5}, 14.0),  # ten before five
        ({"long_s_per_recorded_s": 0.01, "long_workers": 1}, 18.0),
        ({"encoded_share": 0.5, "encode_s_per_recorded_s": 0.02, "long_workers": 5}, 10.0),
        ({"footage_share": 0.5, "playable_s_per_recorded_s": 0.01, "prompt_workers": 1}, 13.0),
        ({"playable_s": 4.0, "job_cores": 1.0, "prompt_workers": 10, "cores": 2.5}, 24.0),  # 40 core seconds for 2.5
    ],
)
def test_the_queues_are_empty_when_they_must_be(changed: dict[str, float], idle_s: float) -> None:
    assert simulate(_given(**changed)).idle_s == pytest.approx(idle_s, rel=1e-3)


def test_small_users_get_what_they_need_beside_large_ones() -> None:
    """Fair shares: what needs little of a core is not slowed by what takes all that is left."""
    shares, ended = Shares({"cores": 1.0}), {}
    shares.start(Work("small", 1.0, {"cores": 0.1}), 2.0, lambda: ended.setdefault("small", shares.now_s))
    for number in range(3):
        shares.start(
            Work("large", 1.0, {"cores": 1.0}), 0.3, lambda number=number: ended.setdefault(number, shares.now_s)
        )
    shares.run()
    assert ended == {"small": 2.0, **dict.fromkeys(range(3), pytest.approx(1.0))}


def test_what_runs_in_the_background_gets_less_and_ends_all_the_same() -> None:
    shares, ended = Shares({"cores": 1.0}), {}
    shares.start(Work("look", 1.0, {"cores": 1.0}, 0.25), 0.4, lambda: ended.setdefault("look", shares.now_s))
    shares.start(Work("take", 1.0, {"cores": 1.0}), 0.8, lambda: ended.setdefault("take", shares.now_s))
    shares.run()
    assert ended == {"take": pytest.approx(1.0), "look": pytest.approx(1.2)}


def test_looks_wait_for_receipts_and_not_the_other_way() -> None:
    busy = {"take_s": 1.0, "take_core_s": 1.0, "recordings_per_camera": 4, "cores": 2.0}
    looks = {"long_s": 4.0, "job_cores": 1.0, "footage_share": 1.0, "long_workers": 4}
    equal, behind = (simulate(_given(**busy, **looks, background_weight=weight)) for weight in (1.0, 0.1))
    assert percentile(behind.waits_s, 0.5) < percentile(equal.waits_s, 0.5)
    assert behind.idle_s == pytest.approx(equal.idle_s, rel=0.05), "the same work in all"


def test_the_limit_is_what_was_used_up() -> None:
    outcome = simulate(_given(send_host_core_s_per_mb=0.08, shared_mbit_per_s=800))
    assert outcome.load_to_receipts["shared network"] == pytest.approx(0.0, abs=1e-6)
    assert outcome.load_to_receipts["cores"] == pytest.approx(1.0)


def test_a_line_keeps_its_order_and_its_workers_busy() -> None:
    shares, ended = Shares({"cores": 10.0}), []
    line = Line(shares, 2)
    for number, amount in enumerate([3.0, 1.0, 1.0, 1.0]):
        line.put(Work("job", 1.0), amount, lambda number=number: ended.append((number, shares.now_s)))
    assert line.length == 4
    shares.run()
    assert ended == [(1, 1.0), (2, 2.0), (0, 3.0), (3, 3.0)]
    assert line.full_s(shares.now_s) == 3.0


def test_the_queues_are_told_over_time() -> None:
    outcome = simulate(_given(playable_s=100.0, prompt_workers=1), look_s=100.0)
    assert [moment.prompt for moment in outcome.moments][:2] == [0, 10]
    assert [moment.at_s for moment in outcome.moments][:2] == pytest.approx([0.0, 108.0])
    assert outcome.moments[0].not_sent == 10


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("docks = 20", "dockz = 20", "shift.docks"),
        ("docks = 20", "docks = 0", "shift.docks"),
        ("docks = 20", "docks = 2.5", "shift.docks"),
        ("[costs]", "[coasts]", "costs"),
        ("[costs]", "[costs", "TOML"),
        ("encoded_share = 0.0", "encoded_share = 1.5", "encoded_share"),
        ("cores = 16", "cores = nan", "hosts.cores"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(tmp_path: Path, before: str, after: str, told: str) -> None:
    path = tmp_path / "shift.toml"
    text = _STATION.read_text("utf-8")
    assert before in text
    path.write_text(text.replace(before, after), "utf-8")
    with pytest.raises(ParametersInvalid, match=told):
        Parameters.read(path)


def test_parameters_come_back_as_they_were_written(tmp_path: Path) -> None:
    given, path = Parameters.read(_STATION), tmp_path / "shift.toml"
    path.write_text(given.as_toml(), "utf-8")
    assert Parameters.read(path) == given


def test_the_command_says_it_in_words_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", str(_STATION)]) == 0
    words = capsys.readouterr().out
    assert run(["simulate", str(_STATION), "--json"]) == 0
    told, given = json.loads(capsys.readouterr().out), Parameters.read(_STATION)
    assert told == json.loads(json.dumps(figures(given, simulate(given))))
    assert f"{told['mb_per_s']:.1f} MB/s" in words


def test_requests_are_counted_and_priced() -> None:
    given = _given(
        docks=1000, writes=40, reads=30, writes_per_mb=0.1, price_per_million_writes=8.0, price_per_million_reads=2.0
    )
    assert requests(given) == pytest.approx({"writes": 50_000, "reads": 30_000, "cost": 0.46})


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(number) for number in range(1, 101)]
    assert [percentile(values, share) for share in (0.0, 0.5, 0.95, 0.99, 1.0)] == [1.0, 50.0, 95.0, 99.0, 100.0]
    assert percentile([7.0], 0.5) == 7.0
