"""`headwater bench`: figures are whole, ratios follow from parts, nothing is lost. How fast is no question here."""

import json
import os
import subprocess
import sys

import pytest

from headwater.app.bench.run import MEASUREMENTS
from headwater.app.bench.targets import TARGETS, verdicts
from headwater.cli import bench as command


def bench(*arguments, directory, started_in=None):
    return subprocess.run(
        [sys.executable, "-m", "headwater", "bench", *arguments, "--data-dir", str(directory)],
        cwd=started_in or directory,
        env={name: value for name, value in os.environ.items() if not name.startswith("HEADWATER_")},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    directory = tmp_path_factory.mktemp("bench")
    done = bench("--quick", "--json", directory=directory)
    assert done.returncode == 0, done.stderr
    assert not list(directory.iterdir()), "what it wrote is gone"
    assert "accept" in done.stderr, "says what it is doing"
    return json.loads(done.stdout)


def test_the_figures_name_machine_program_and_time(found):
    assert found["quick"] is True
    assert found["version"]
    assert found["at"].endswith("Z")
    machine = found["machine"]
    assert machine["cpus"] >= 1
    assert machine["cpu"]
    assert machine["python"] == sys.version.split()[0]
    assert 0 < machine["fdatasync"]["p50_ms"] <= machine["fdatasync"]["p99_ms"] <= machine["fdatasync"]["max_ms"]


def test_every_measurement_is_there_and_has_its_verdicts(found):
    assert list(found["measurements"]) == list(MEASUREMENTS) == list(command.MEASUREMENTS)
    assert [each["what"] for each in found["targets"]] == [target.what for target in TARGETS]
    assert all(each["others_cores"] >= 0 for each in found["measurements"].values())
    for verdict in found["targets"]:
        assert verdict["measured"] >= 0
        assert verdict["unit"]
        assert verdict["target"]


def test_accepting_loses_nothing_and_its_ratios_follow_from_their_parts(found):
    accept = found["measurements"]["accept"]
    assert accept["stored"] == accept["acknowledged"] > 0
    assert accept["split_events_per_s"] > 0
    for kind in ("single", "batch"):
        modes = accept[kind]
        for mode in ("durable", "nothing", "bare"):
            assert modes[mode]["events_per_s"] > 0
            assert 0 < modes[mode]["p50_ms"] <= modes[mode]["p99_ms"]
            assert modes[mode]["sender_cpu_share"] > 0
        for limit in ("nothing", "bare"):
            ratio = modes["durable"]["events_per_s"] / modes[limit]["events_per_s"]
            assert modes[f"ratio_to_{limit}"] == pytest.approx(ratio, abs=0.001)


def test_loading_loses_nothing_and_its_ratio_follows_from_its_parts(found):
    load = found["measurements"]["load"]
    ours, bare = load["ours"], load["bare"]
    assert ours["ids"] == load["events"]
    assert load["lost"] == 0
    assert ours["rows"] > load["events"], "a track is a row of two tables"
    assert ours["rss_mb_max"] > 0
    assert load["ratio"] == pytest.approx(ours["events_per_cpu_s"] / bare["events_per_cpu_s"], abs=0.001)


def test_the_whole_program_loses_nothing_at_full_speed(found):
    throughput = found["measurements"]["throughput"]
    assert throughput["rows"] == throughput["events"] > 0
    assert throughput["lost"] == 0
    assert throughput["sustained_events_per_s"] == pytest.approx(throughput["events"] / throughput["seconds"], rel=0.02)
    assert set(throughput["roles"]) == {"supervisor", "ingest", "web", "pipeline"}
    for role in throughput["roles"].values():
        assert 0 < role["rss_mb_first"] <= role["rss_mb_max"]


def test_every_webhook_is_answered_queryable_and_delivered(found):
    latency = found["measurements"]["latency"]
    for name in ("webhook", "track"):
        assert latency[name]["sent"] > 0
        assert latency[name]["lost"] == 0
        assert latency[name]["answer"]["p50_ms"] <= latency[name]["queryable"]["p50_ms"]
    assert latency["webhook"]["undelivered"] == 0
    assert 0 < latency["webhook"]["delivered"]["p50_ms"] <= latency["webhook"]["delivered"]["p99_ms"]


def test_an_idle_program_has_memory_and_a_start(found):
    idle = found["measurements"]["idle"]
    assert 0 < idle["pss_mb"] <= idle["rss_mb"]
    assert set(idle["processes"]) == {"supervisor", "ingest", "web", "pipeline"}
    assert idle["help_ms"] > 0
    assert idle["ready_s"] > 0
    assert idle["cpu_percent"] >= 0


def test_a_target_is_met_only_if_both_figure_and_ratio_are():
    def accept(measured, limit):
        durable, nothing = {"events_per_s": measured, "p99_ms": 1}, {"events_per_s": limit}
        modes = {"durable": durable, "nothing": nothing}
        return verdicts({"accept": {"single": modes, "batch": modes}})[0]

    assert accept(20_000, 30_000).met
    assert not accept(14_000, 20_000).met
    assert not accept(20_000, 50_000).met
    assert accept(20_000, 30_000).ratio == pytest.approx(0.667)


def test_one_measurement_can_be_asked_for_and_is_shown_as_a_table(tmp_path):
    done = bench("--quick", "--only", "idle", directory=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "headwater --help" in done.stdout
    assert "idle memory" in done.stdout
    assert "durable accept" not in done.stdout


def test_a_directory_that_is_not_there_is_one_sentence_and_exit_1(tmp_path):
    done = bench("--only", "idle", directory=tmp_path / "missing", started_in=tmp_path)
    assert done.returncode == 1
    assert "--data-dir" in done.stderr
    assert "Traceback" not in done.stderr
