"""The benchmark: its parts make the whole, and it says what it compares with."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path

import pytest
import torch
from rich.console import Console

from uaafusion_ros.bench import node_report, report
from uaafusion_ros.bench.case import PARTS
from uaafusion_ros.bench.models import AUTHORS_PASSES, build_model
from uaafusion_ros.bench.node import run_node_bench
from uaafusion_ros.bench.run import BenchPlan, parse_sizes, run_bench
from uaafusion_ros.bench.stopwatch import Stopwatch
from uaafusion_ros.bench.tables import print_cases
from uaafusion_ros.inference.errors import SettingsError
from uaafusion_ros.inference.threads import let_waiting_threads_sleep
from uaafusion_ros.network.segmentation import class_ids
from uaafusion_ros.network.unfolding import Output

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def result(tiny_model) -> dict:
    """Two modes of a tiny model at 64x64, and a model that there is not."""
    plan = BenchPlan(
        models=(str(tiny_model), "nowhere.safetensors"),
        sizes=((64, 64),),
        modes=("exact", "realtime"),
        repeats=2,
        threads=1,
    )
    return run_bench(plan, Console(quiet=True))


def measured(result: dict) -> list[dict]:
    return [case for case in result["cases"] if "error" not in case]


def test_the_parts_of_a_frame_add_up_to_it_and_all_are_seen(result) -> None:
    for case in measured(result):
        split = case["split"]
        assert set(split) == {*PARTS, "other"}
        assert sum(split.values()) == pytest.approx(case["frame_split"])
        assert all(split[part] > 0 for part in PARTS)
        assert 0 <= split["other"] < 0.5 * case["frame_split"]


def test_figures_are_plain_json_with_the_ratio_to_the_release_network(result) -> None:
    assert json.loads(json.dumps(result)) == result
    assert result["machine"]["cpu"] and result["machine"]["torch"] == torch.__version__
    for case in measured(result):
        assert case["passes_cpu"] == pytest.approx(case["frame_cpu"] / case["yardstick_cpu"])
        assert 0 < case["passes"] < AUTHORS_PASSES
        assert case["multiply_adds"] > 1e6 and case["classes_present"] >= 1
        assert case["peak_rss_mib"] > case["loaded_rss_mib"] / 2 > 0


def test_exact_counts_the_work_of_its_gradients(result) -> None:
    exact, realtime = (case["multiply_adds"] for case in measured(result))
    assert exact > realtime


def test_a_model_without_a_head_is_timed_in_realtime_with_an_untrained_one(result) -> None:
    assert [case["untrained_head"] for case in measured(result)] == [False, True]


def test_a_case_that_fails_is_reported_and_the_others_are_measured(result) -> None:
    failed = [case for case in result["cases"] if "error" in case]
    assert len(measured(result)) == len(failed) == 2
    assert all("neither a file nor one that ships" in case["error"] for case in failed)


def test_markdown_replaces_its_own_section_and_leaves_the_rest(result, tmp_path: Path) -> None:
    path = tmp_path / "performance.md"
    report.write_markdown(result, "uaafusion bench", path)
    path.write_text("Before.\n" + path.read_text() + "After.\n")
    first = path.read_text()
    report.write_markdown(result, "uaafusion bench", path)
    assert path.read_text() == first
    assert first.startswith("Before.") and first.endswith("After.\n")
    assert first.count("| tiny | realtime (untrained head) | 64x64 |") == 1


def test_cost_against_size_is_drawn(result, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    report.plot(result, tmp_path / "cost.png")
    assert (tmp_path / "cost.png").stat().st_size > 5000


def test_the_authors_shape_has_a_region_of_every_class() -> None:
    pair = torch.rand(2, 1, 1, 96, 128)
    pair = torch.nn.functional.interpolate(pair[..., ::8, ::8].flatten(1, 2), (96, 128))[:, None]
    model, _, _ = build_model("release", "exact", pair[0], pair[1])
    labels = model.prepare_for_inference()(pair[0], pair[1], Output.LABELS).labels_BHW
    assert labels.unique().numel() == 15


def test_a_section_inside_another_is_not_counted_twice() -> None:
    watch = Stopwatch()
    with watch.section("outer"):
        time.sleep(0.01)
        with watch.section("inner"):
            time.sleep(0.02)
    seconds = watch.take()
    assert seconds["inner"] >= 0.02 and seconds["outer"] >= 0.01
    assert not watch.running and watch.take() == {}


def test_the_node_is_measured_over_dds_with_every_pair_accounted_for(tiny_model, tmp_path) -> None:
    pytest.importorskip("rclpy")
    pytest.importorskip("rosbags")
    plan = BenchPlan(models=(str(tiny_model),), sizes=((64, 64),), modes=("exact",), threads=1)
    result = run_node_bench(plan, seconds=2.0, rate=5.0, console=Console(quiet=True))
    (case,) = result["cases"]
    assert case["sent"] == 10 and case["accounted"]
    assert case["published"] + sum(case["dropped"].values()) == 10
    assert case["latency"]["in_the_model_median"] > 0
    assert case["latency"]["beside_the_model_median"] > 0
    node_report.write_markdown(result, "uaafusion bench", tmp_path / "performance.md", "node")
    assert "| tiny | exact | 64x64 | 10 at 5 Hz |" in (tmp_path / "performance.md").read_text()


def test_threads_sleep_where_they_wait_unless_the_user_says_otherwise() -> None:
    environment: dict[str, str] = {}
    let_waiting_threads_sleep(environment)
    assert environment == {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "1000"}
    environment = {"OMP_WAIT_POLICY": "ACTIVE"}
    let_waiting_threads_sleep(environment)
    assert environment == {"OMP_WAIT_POLICY": "ACTIVE"}


@pytest.mark.parametrize("sizes", ["320", "320x", "320x256,", "axb"])
def test_a_malformed_size_is_refused_with_an_example(sizes: str) -> None:
    with pytest.raises(SettingsError, match="for example 320x256"):
        parse_sizes(sizes)


@pytest.mark.parametrize("channels_last", [False, True])
def test_the_fast_argmax_is_torchs_with_the_first_of_equals(channels_last: bool) -> None:
    torch.manual_seed(0)
    scores = torch.randint(0, 4, (2, 7, 9, 11)).float()
    if channels_last:
        scores = scores.contiguous(memory_format=torch.channels_last)
    assert torch.equal(class_ids(scores), scores.argmax(dim=1))
    scores[0, :, 0, 0] = torch.nan
    assert class_ids(scores).max() < 7, "also where nothing is a number"


@pytest.mark.parametrize("width", [60, 80, 400])
def test_tables_are_whole_in_terminals_of_any_width(width: int) -> None:
    headings = ["model", "mode", "size", *(f"figure {number}" for number in range(12))]
    rows = [[f"{name}{number}" for number in range(15)] for name in ("first", "second", "third")]
    console = Console(width=width, file=io.StringIO())
    print_cases(headings, rows, "machine", console)
    shown = console.file.getvalue()
    assert all(f" {text} " in shown for line in (headings, *rows) for text in line)
    assert max(map(len, shown.splitlines())) <= width
