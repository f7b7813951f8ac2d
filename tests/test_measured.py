"""The fastest way to run a network on a GPU is measured once, and remembered for that GPU."""

import json
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cuda_on_cpu import CpuDevice

from engine import stylizers
from engine.errors import StylizerError
from engine.report import Facts
from engine.stylizers import measured, open_stylizer
from engine.stylizers.measured import fastest, milliseconds
from kernels import device
from kernels.layout import tile_grid
from models.colour import Encoding

NAMES = ("int8", "fp16")
DEVICE = {"name": "NVIDIA Test", "capability": "8.9", "driver": "13000"}


def test_the_fastest_is_measured_once_and_remembered(tmp_path):
    asked, times = [], {"int8": 0.8, "fp16": 0.5}

    def measure(name: str) -> float:
        asked.append(name)
        return times[name]

    record = tmp_path / "gpu" / "choice.json"
    assert [fastest(record, NAMES, measure) for _ in range(2)] == [["fp16", "int8"]] * 2
    assert asked == ["int8", "fp16"]
    assert json.loads(record.read_text()) == times
    assert [path.name for path in record.parent.iterdir()] == ["choice.json"]  # nothing half-written


@pytest.mark.parametrize("damage", ["{", "[]", '{"int8": 0.1}', '{"int8": "broken", "fp16": "broken"}'])
def test_what_is_damaged_is_measured_again(tmp_path, damage):
    record = tmp_path / "choice.json"
    record.write_text(damage)
    assert fastest(record, NAMES, {"int8": 0.1, "fp16": 0.2}.__getitem__) == ["int8", "fp16"]


def test_what_does_not_run_is_left_out_and_its_reason_is_kept(tmp_path):
    def measure(name: str) -> float:
        if name == "int8":
            raise RuntimeError("no such\nconvolution")
        return 1.0

    assert fastest(tmp_path / "choice.json", NAMES, measure) == ["fp16"]
    assert json.loads((tmp_path / "choice.json").read_text())["int8"] == "no such convolution"


def test_if_none_runs_all_reasons_are_told_and_nothing_is_remembered(tmp_path):
    def measure(name: str) -> float:
        raise RuntimeError(f"{name} is broken")

    with pytest.raises(StylizerError, match="int8: int8 is broken; fp16: fp16 is broken"):
        fastest(tmp_path / "choice.json", NAMES, measure)
    assert not any(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_no_failure(tmp_path):
    (tmp_path / "gpu").write_text("in the way")
    assert fastest(tmp_path / "gpu" / "choice.json", NAMES, lambda name: 1.0) == ["int8", "fp16"]


class Counting:
    """A network and a device; every frame is counted."""

    frames = 0
    zeros = staticmethod(np.zeros)
    record, mark = CpuDevice.record, CpuDevice.mark

    def load(self, weights: Any) -> None: ...

    def run(self, tiles: np.ndarray, painted: np.ndarray) -> None:
        assert (tiles.shape, painted.shape) == ((1, 4, 6, 40), (1, 4, 6, 24))
        self.frames += 1


def test_frames_are_painted_before_the_clock_runs_and_under_it():
    counting = Counting()
    assert 0 < milliseconds(counting, counting, (4, 6)) < 100  # type: ignore[arg-type]
    assert counting.frames == 10 + 5 * 20


class Tinted:
    """A stylizer of a backend on the GPU that takes its time."""

    version = device = precision = "test"

    def __init__(self, painter: Any, grid: tuple[int, int], depth: int):
        self.depth, self.engine, self.weights, self.open_device = depth, self, {}, Counting

    def network(self, device: Any) -> Any:
        return device


@pytest.mark.parametrize(
    ("times", "first"),
    [({"tensorrt": 0.9, "cuda": 0.4}, "cuda"), ({"tensorrt": 0.2, "cuda": 0.4}, "tensorrt")],
)
def test_of_the_backends_on_the_gpu_the_fastest_paints(monkeypatch, tmp_path, times, first):
    painted: list[tuple[int, int]] = []

    def timed(network: Any, device: Any, grid: tuple[int, int]) -> float:
        painted.append(grid)
        return list(times.values())[len(painted) - 1]

    monkeypatch.setattr(device, "present", lambda: True)
    monkeypatch.setattr(measured, "describe_device", lambda: DEVICE)
    monkeypatch.setattr(measured, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(measured, "milliseconds", timed)
    monkeypatch.setitem(sys.modules, "engine.stylizers.tinted", SimpleNamespace(Tinted=Tinted))
    for name in times:
        monkeypatch.setitem(stylizers.BACKENDS, name, ("tinted:Tinted", "nothing"))

    def opened() -> Facts:
        return open_stylizer("starry-night", (64, 48), Encoding()).facts

    assert opened().backend == first
    assert painted == [tile_grid(64, 48)] * 2  # the third is not installed
    assert opened().backend == first
    assert len(painted) == 2  # and not again
