"""`python -m benchmarks.gpu` measures every row that it promises; here on the stand-in of a GPU."""

import json
from typing import Any

import numpy as np
import pytest
from cuda_on_cpu import open_device

from benchmarks import gpu
from benchmarks.gpu import Limits, Row
from benchmarks.gpu_networks import Candidate

SIZE = (96, 64)
LIMITS = Limits(bandwidth=4e12, macs=4e14)


class Negative:
    version = device = precision = "test"

    def network(self, device: Any, count: int = 1) -> "Negative":
        return self

    def load(self, weights: Any) -> None: ...

    def run(self, tiles: np.ndarray, painted: np.ndarray) -> None:
        np.subtract(255, tiles[..., :24], out=painted)


CANDIDATE = Candidate("negative fp16", Negative(), {})


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return open_device("cpu", tmp_path_factory)


def test_without_a_gpu_it_says_so_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr(gpu, "present", lambda: False)
    assert gpu.main([]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "no NVIDIA GPU" in said.err


def test_the_chain_and_its_parts_are_measured(device, monkeypatch):
    monkeypatch.setattr(gpu, "_RUNS", 2)
    rows = list(gpu.chain_rows(device, SIZE, CANDIDATE, LIMITS, {"chain": (4, 1.5), "flow": (1, 0.4)}))
    assert rows[0].name == "96x64 whole chain, frame stays on the device"
    assert (rows[0].least, rows[0].aim) == (4, 1.5)
    assert len({row.name for row in rows}) == len(rows) == 9
    for row in rows:
        assert row.value > 0
        assert row.p99 is None or row.p99 >= row.value


def test_the_fastest_network_is_named_and_compared_with_what_the_device_does(device, monkeypatch):
    times = {"slow int8": 2.0, "quick fp16": 0.5}
    offered = [Candidate(name, Negative(), {}) for name in times]
    measured = iter(times.values())
    monkeypatch.setattr(gpu, "durations", lambda device, work: np.full(3, next(measured)))
    rows, best = gpu.network_rows(device, SIZE, offered, int(1e11), LIMITS)
    assert best.name == "quick fp16"
    assert [row.value for row in rows] == [2.0, 0.5]
    assert rows[1].share == "50 % of fp16 peak"  # 1e11 in half a millisecond, of 4e14 a second


def test_the_searched_motion_is_as_good_as_opencvs(device):
    row = gpu.flow_error(device, SIZE, CANDIDATE, lambda array: array)
    assert row.verdict in ("aim", "ok")


def test_streams_are_counted_together(device, monkeypatch):
    monkeypatch.setattr(gpu, "_STREAMS", 2)
    monkeypatch.setattr(gpu, "_FRAMES", 2)
    monkeypatch.setattr(gpu, "_wall", lambda work: work() and 100.0)
    rows = list(gpu.stream_rows(lambda: device, CANDIDATE, SIZE))
    assert [row.value for row in rows] == pytest.approx([2 * 2 / 0.1 / 30] * 2)
    assert len({row.name for row in rows}) == 2


def test_a_network_that_fails_is_said_and_the_others_are_measured(device, monkeypatch):
    class Broken(Negative):
        def load(self, weights: Any) -> None:
            raise RuntimeError("no kernel\nimage")

    monkeypatch.setattr(gpu, "_RUNS", 2)
    said: list[str] = []
    offered = [Candidate("broken int8", Broken(), {}), CANDIDATE]
    rows, best = gpu.network_rows(device, SIZE, offered, int(1e11), LIMITS, said.append)
    assert best is CANDIDATE
    assert [row.name for row in rows] == ["  network alone, negative fp16"]
    assert said == ["  network alone, broken int8: RuntimeError: no kernel image"]


def test_a_part_that_fails_takes_no_figures_of_the_others_along(device, monkeypatch, tmp_path, capsys):
    def fails(*given: Any) -> Any:
        yield Row("begun", 1.0)
        raise RuntimeError("broke")

    monkeypatch.setattr(gpu, "Cuda", lambda: device)
    monkeypatch.setattr(gpu, "limits_of", lambda device: LIMITS)
    monkeypatch.setattr(gpu, "candidates", lambda *given: [CANDIDATE])
    monkeypatch.setattr(gpu, "network_rows", lambda *given: ([Row("network fp16", 1.0)], CANDIDATE))
    monkeypatch.setattr(gpu, "chain_rows", fails)
    monkeypatch.setattr(gpu, "flow_error", lambda *given: Row("flow", 1.0))
    monkeypatch.setattr(gpu, "stream_rows", lambda *given: [Row("streams", 1.0)])
    monkeypatch.setattr(gpu, "file_rows", fails)
    monkeypatch.setattr("engine.stylizers.measured.describe_device", lambda: {"name": "none"})
    monkeypatch.setattr(gpu, "present", lambda: True)
    written = tmp_path / "gpu.json"
    assert gpu.main(["--json", str(written)]) == 1
    found = json.loads(written.read_text())
    names = ["network fp16", "begun", "flow", "streams", "network fp16", "begun", "begun"]
    assert [row["name"] for row in found["rows"]] == names
    parts = ("1920x1080, chain", "3840x2160, chain", "files")
    assert found["device"]["failed"] == [f"{part}: RuntimeError: broke" for part in parts]
    assert "files failed: RuntimeError: broke" in capsys.readouterr().out


def test_shares_are_of_what_was_measured():
    assert LIMITS.of(0.01, moved=2e7) == "50 % of bandwidth"  # 20 MB in 10 us are 2 TB/s
    assert LIMITS.of(1.0) == ""
    assert Limits(1e12, 0).of(1.0, macs=1e9) == ""


def test_the_wet_paint_moves_at_least_its_samples():
    half, full = (gpu.wet_bytes((1920, 1080), 8, wet) for wet in (2, 4))
    assert full / (1920 * 1080) == pytest.approx(23 + 11 / 2, rel=0.02)
    assert half / (1920 * 1080) == pytest.approx(13 + 7 / 2, rel=0.03)


@pytest.mark.parametrize(("value", "verdict"), [(0.3, "aim"), (0.9, "ok"), (1.1, "SHORT")])
def test_a_row_says_what_it_reached(value, verdict):
    row = Row("flow", value, "ms", value, 1.0, 0.4)
    assert row.verdict == verdict
    assert verdict in str(row)
    assert Row("pack", value).verdict == ""
