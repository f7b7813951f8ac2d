"""Judging a painted film against its original: right figures, and one clear line where there can be none."""

import argparse
import json
import sys
import weakref
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import write_clip
from perception import random_vgg
from scenes import frame_of, panned, texture

import benchmarks
from benchmarks import evaluate as judging
from engine.errors import UsageError

STEP = (3, 2)  # pixels by which the content moves up and to the left
SIZE = (96, 64)


def film(path: Path, lumas: list[np.ndarray]) -> Path:
    return write_clip(path, [frame_of(luma).picture for luma in lumas])


def judge(original: Path, painted: Path, **changed) -> dict:
    """What `allaprima evaluate` writes as JSON."""
    parser = argparse.ArgumentParser()
    judging.add_arguments(parser)
    options = parser.parse_args([str(original), str(painted), "--json", str(painted.with_suffix(".json"))])
    for name, value in changed.items():
        setattr(options, name, value)
    assert judging.evaluate(options) == 0
    return json.loads(options.json.read_text())


@pytest.fixture(autouse=True)
def without_perception(monkeypatch, request):
    """Nothing is loaded, unless a test wants to see what VGG judges."""
    if "vgg_file" not in request.fixturenames:
        monkeypatch.setattr(judging, "judges_of", lambda style, vgg: ({}, {}))


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    return random_vgg(tmp_path_factory.mktemp("vgg") / "vgg.safetensors")


@pytest.fixture
def vgg_file(weights, monkeypatch) -> Path:
    """Weights that stand for VGG's, and small paintings."""
    pytest.importorskip("torch")
    pytest.importorskip("skimage")
    monkeypatch.setattr(judging, "SHORT_SIDE", 64)
    return weights


@pytest.fixture
def original(tmp_path) -> Path:
    return film(tmp_path / "original.mkv", panned(*SIZE, 12, STEP))


def test_paint_that_moves_with_the_world_is_still_and_paint_that_flickers_is_not(original, tmp_path):
    paint = panned(*SIZE, 12, STEP, seed=5)
    still = judge(original, film(tmp_path / "still.mkv", paint))
    flickering = [np.clip(luma.astype(int) + 20 * (index % 2), 0, 255).astype(np.uint8) for index, luma in enumerate(paint)]
    restless = judge(original, film(tmp_path / "restless.mkv", flickering))
    assert still["frames"] == 12
    assert still["e_stab_at_1"]["painted"] < 0.01
    assert restless["e_stab_at_1"]["painted"] > 5 * still["e_stab_at_1"]["painted"]
    assert restless["e_stab_at_1"]["original"] == still["e_stab_at_1"]["original"]
    assert restless["e_stab_at_10"]["painted"] < restless["e_stab_at_1"]["painted"]  # every second frame is alike


def test_sharpness_and_drift_are_told_of_both(original, tmp_path):
    lumas = panned(*SIZE, 12, STEP)
    blurred = [cv2.GaussianBlur(luma, (0, 0), 2) for luma in lumas]
    blurred[-1] = (blurred[-1] * 0.9).astype(np.uint8)
    found = judge(original, film(tmp_path / "blurred.mkv", blurred))
    assert found["sharpness"]["whole"] < 0.8
    assert found["drift"]["painted"]["brightness"] == pytest.approx(found["drift"]["original"]["brightness"] - 0.1, abs=0.02)


def test_the_original_is_its_own_perfect_painting(original, tmp_path, vgg_file):
    found = judge(original, original, vgg=vgg_file, frames=3)
    assert found["e_stab_at_1"]["painted"] == found["e_stab_at_1"]["original"]
    assert found["sharpness"] == {"whole": 1, "across": 1, "down": 1}
    assert found["content"] == 0
    assert found["ssim"] == pytest.approx(1)
    assert set(found["left_out"]) == {"style", "e_stab at 10"}


def test_style_is_the_distance_to_the_painting_given(original, tmp_path, vgg_file):
    painting = tmp_path / "painting.png"
    cv2.imwrite(str(painting), texture(96, 64, seed=8, smooth=1.0))
    painted = film(tmp_path / "painted.mkv", [texture(*SIZE, seed=9 + index, smooth=1.0) for index in range(2)])
    found = judge(original, painted, vgg=vgg_file, style=painting, frames=2)
    assert found["style"] < 0.5 * found["style_of_original"]


def test_without_weights_or_pytorch_the_rest_is_judged_and_the_reason_given(original, monkeypatch, capsys, vgg_file):
    from benchmarks import perception

    def fail(path: Path | None) -> Path:
        raise ValueError("there are no VGG weights here")

    monkeypatch.setattr(perception, "find_vgg", fail)
    found = judge(original, original, frames=2)
    assert found["left_out"]["content, style"] == "there are no VGG weights here"
    assert {"ssim", "e_stab_at_1"} <= set(found)
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "benchmarks.perception")
    monkeypatch.delattr(benchmarks, "perception")
    found = judge(original, original, frames=2)
    assert "torch" in found["left_out"]["content, style, SSIM"]
    assert "e_stab_at_1" in found
    assert "allaprima[train]" in capsys.readouterr().out


def test_weights_or_a_painting_that_were_named_must_be_there(original, tmp_path, vgg_file):
    with pytest.raises(UsageError, match="missing"):
        judge(original, original, vgg=tmp_path / "missing.safetensors")
    with pytest.raises(UsageError, match=r"missing\.jpg"):
        judge(original, original, vgg=vgg_file, style=tmp_path / "missing.jpg")


def test_one_picture_is_judged_without_stability(tmp_path, vgg_file):
    paths = [tmp_path / "original.png", tmp_path / "painted.png"]
    for seed, path in enumerate(paths):
        cv2.imwrite(str(path), texture(*SIZE, seed))
    found = judge(*paths, vgg=vgg_file)
    assert found["frames"] == 1
    assert found["content"] > 0
    assert not {"drift", "e_stab_at_1", "e_stab_at_10"} & set(found)
    assert {"e_stab at 1", "e_stab at 10"} <= set(found["left_out"])


def test_frames_and_sizes_must_match(original, tmp_path):
    shorter = film(tmp_path / "shorter.mkv", panned(*SIZE, 11, STEP))
    with pytest.raises(UsageError, match=r"shorter\.mkv ends after 11, .*original\.mkv goes on"):
        judge(original, shorter)
    with pytest.raises(UsageError, match=r"shorter\.mkv ends after 11"):
        judge(shorter, original)
    assert judge(original, shorter, frames=11)["frames"] == 11
    with pytest.raises(UsageError, match="sizes differ"):
        judge(original, film(tmp_path / "small.mkv", panned(64, 48, 12, STEP)))


@pytest.fixture
def flows(tmp_path) -> list[Path]:
    """The true motion between the first three frames: what is at p is at p - STEP in the next."""
    paths = [tmp_path / f"{index}.flo" for index in range(2)]
    for path in paths:
        cv2.writeOpticalFlow(str(path), np.full((SIZE[1], SIZE[0], 2), [-step for step in STEP], np.float32))
    return paths


def test_with_the_true_motion_what_moves_with_it_is_exactly_still(original, tmp_path, flows):
    painted = film(tmp_path / "painted.mkv", panned(*SIZE, 3, STEP, seed=5))
    assert judge(original, painted, flow=flows, frames=3)["e_stab_at_1"] == {"original": 0, "painted": 0}
    unmoved = film(tmp_path / "unmoved.mkv", panned(*SIZE, 3, (0, 0), seed=5))
    assert judge(original, unmoved, flow=flows, frames=3)["e_stab_at_1"]["painted"] > 0.01


def test_flows_must_be_as_many_as_the_pairs_and_of_their_size(original, tmp_path, flows):
    with pytest.raises(UsageError, match="fewer flows"):
        judge(original, original, flow=flows, frames=4)
    with pytest.raises(UsageError, match="1 flows more"):
        judge(original, original, flow=flows, frames=2)
    broken = tmp_path / "broken.flo"
    broken.write_bytes(b"not a flow")
    with pytest.raises(UsageError, match=r"broken\.flo is no \.flo file"):
        judge(original, original, flow=[broken], frames=2)
    cv2.writeOpticalFlow(str(broken), np.zeros((8, 9, 2), np.float32))
    with pytest.raises(UsageError, match="9x8"):
        judge(original, original, flow=[broken], frames=2)


def test_far_motion_is_joined_of_the_near_ones():
    """Over ten frames a flow of one pixel each is one of ten."""
    lumas = panned(160, 96, 12, (1, 0))
    given = judging.Given([])
    one = np.full((96, 160, 2), (-1, 0), np.float32)
    given._steps.extend([(one, np.ones((96, 160), bool))] * 10)
    way, valid = given([lumas[0]] * 11, judging.FAR)
    assert (way == (-10, 0)).all()
    assert valid[:, 10:].all()
    assert not valid[:, :8].any()


def test_however_long_a_film_is_only_its_last_frames_are_kept():
    alive = most = 0

    def gone() -> None:
        nonlocal alive
        alive -= 1

    def luma() -> np.ndarray:
        nonlocal alive, most
        picture = np.full((32, 32), 99, np.uint8)
        weakref.finalize(picture, gone)
        alive += 1
        most = max(most, alive)
        return picture

    found = judging.measure((((luma(), luma()), None) for _ in range(60)), judging.Estimated(), {})
    assert found.frames == 60
    assert most <= 2 * (judging.FAR + 4)  # of each side; those of the newest and the first pair as well


def test_the_pictures_to_be_judged_are_spread_over_the_film(original, vgg_file, monkeypatch):
    shown = []
    monkeypatch.setattr(
        judging, "judges_of", lambda *_: ({"seen": lambda painted, _: shown.append(painted.shape) or 1.0}, {})
    )
    monkeypatch.setattr(judging, "JUDGED", 4)
    judge(original, original)
    assert shown == [(SIZE[1], SIZE[0], 3)] * 4


def test_plots_are_drawn(original, tmp_path):
    pytest.importorskip("matplotlib")
    judge(original, original, plots=tmp_path / "plots")
    for name in ("stability.png", "sharpness.png"):
        assert cv2.imread(str(tmp_path / "plots" / name)).std() > 1
