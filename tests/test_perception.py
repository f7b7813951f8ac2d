"""What a painting is like to the eye, and what `benchmarks.quality` makes of it: right where the answer is known."""

import json
from collections.abc import Callable

import numpy as np
import pytest
from perception import random_vgg
from scenes import texture

torch = pytest.importorskip("torch")
pytest.importorskip("skimage")

from benchmarks import findings, perception, quality  # noqa: E402
from benchmarks.quality import Level  # noqa: E402
from engine.frame import BT709, FULL, LIMITED, Colour, StreamInfo  # noqa: E402
from models.export import Layer, Painter  # noqa: E402
from models.library import Style  # noqa: E402


def colours(seed: int, size: tuple[int, int] = (96, 64), smooth: float = 3.0) -> np.ndarray:
    """R'G'B' uint8 [H, W, 3]."""
    return np.stack([texture(*size, seed * 3 + part, smooth) for part in range(3)], -1)


@pytest.fixture(scope="module")
def vgg(tmp_path_factory):
    return perception.open_vgg(random_vgg(tmp_path_factory.mktemp("vgg") / "vgg.safetensors"))


def test_style_loss_is_nought_for_the_painting_and_the_same_every_time(vgg):
    painting, other = colours(1), colours(2, smooth=1.0)
    targets = perception.grams(vgg, painting)
    assert perception.style_loss(vgg, painting, targets) == 0
    loss = perception.style_loss(vgg, other, targets)
    assert loss > 0.01
    assert perception.style_loss(vgg, other, targets) == loss


@pytest.mark.parametrize("corner", [np.s_[:16, :16], np.s_[-16:, -16:]])
def test_style_loss_sees_the_whole_picture(vgg, corner):
    painting = colours(1)
    targets = perception.grams(vgg, painting)
    changed = painting.copy()
    changed[corner] = 0
    assert perception.style_loss(vgg, changed, targets) > 0


def test_style_loss_is_relative_to_the_painting(vgg):
    """Gram matrices g and t alone: |g - t|² / |t|², of every layer, times the weight of its scale."""
    names = ("relu1_2", "relu2_2")
    wanted = [{name: torch.full((1, 2, 2), 3.0) for name in names} for _ in range(3)]
    found = [{name: value * 1.5 for name, value in scale.items()} for scale in wanted]
    weights = perception.Judgement().scales
    assert perception.gram_distance(found, wanted) == pytest.approx(0.25 * 2 * sum(weights))


def test_content_distance_grows_with_the_difference(vgg):
    picture, other = colours(1), colours(2)
    assert perception.content_distance(vgg, picture, picture) == 0
    part = (0.8 * picture + 0.2 * other).astype(np.uint8)
    assert 0 < perception.content_distance(vgg, part, picture) < perception.content_distance(vgg, other, picture)


def test_ssim_is_one_for_the_same_and_falls_with_noise():
    picture = colours(1)
    noisy = np.clip(picture + np.random.default_rng(0).normal(0, 25, picture.shape), 0, 255).astype(np.uint8)
    assert perception.ssim(picture, picture) == pytest.approx(1)
    assert perception.ssim(noisy, picture) < 0.8


def test_what_is_too_large_for_memory_is_judged_at_half_its_size(vgg, monkeypatch):
    wide, narrow = colours(1, (96, 64)).repeat(2, 0).repeat(2, 1), colours(1, (96, 64))
    monkeypatch.setattr(perception, "MOST_PIXELS", 96 * 64)
    assert perception.content_distance(vgg, wide, narrow) == pytest.approx(0, abs=1e-9)


def test_a_file_that_holds_no_vgg_is_one_line(tmp_path):
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match=r"broken\.safetensors") as caught:
        perception.open_vgg(broken)
    assert "\n" not in str(caught.value)


def unchanging() -> Painter:
    """A painter that gives back what it sees: light and dark on channels of their own, so that no ReLU cuts them off."""
    both = np.concatenate([np.eye(24), -np.eye(24)])

    def layer(matrix: np.ndarray) -> Layer:
        weight = np.zeros((*matrix.shape, 3, 3), np.float32)
        weight[:, :, 1, 1] = matrix
        return Layer(weight, np.zeros(len(matrix), np.float32))

    shapes = {"down": (8, 48), "block0a": (8, 8), "block0b": (8, 8), "up": (48, 8)}
    layers = {
        "enter": layer(np.pad(both, ((0, 0), (0, 16)))),
        **{name: layer(np.zeros(shape)) for name, shape in shapes.items()},
    }
    layers |= {"refine": layer(np.eye(48)), "leave": layer(both.T)}
    return Painter(layers, dict.fromkeys([*list(layers)[:-1]], 0.51))


def test_a_picture_comes_through_the_chain_with_its_colours_and_in_its_place():
    picture = colours(1, (101, 67), smooth=6.0)
    painted = quality.paint_picture(unchanging(), picture)
    assert painted.shape == picture.shape
    assert painted.dtype == np.uint8
    inside = np.s_[2:-3, 2:-3]
    assert np.abs(painted[inside].astype(int) - picture[inside]).mean() < 3
    assert np.abs(np.roll(painted, 4, 1)[inside].astype(int) - picture[inside]).mean() > 6


@pytest.mark.parametrize(("span", "black", "white"), [(FULL, 0, 255), (LIMITED, 16, 235)])
def test_luma_is_in_the_codes_of_the_stream(span, black, white):
    info = StreamInfo(8, 8, 1, colour=Colour(BT709, span))
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[:4] = 255
    picture[4:, :, 1] = 255
    luma = quality.luma_of(picture, info)
    assert (luma[:4] == white).all()
    assert (luma[4:] == round(black + 0.7152 * (white - black))).all()


def line(style: float, content: float, most: float = 3.0) -> Callable[[float], Level]:
    """A painter whose style loss rises from `style` to `most` and whose content falls to 0, straight, as strength does."""
    return lambda strength: Level(most + strength * (style - most), strength * content)


def test_content_is_compared_at_an_equal_style_loss():
    assert quality.content_at(2.0, line(1.0, 0.8)) == pytest.approx(0.4)
    assert quality.content_at(1.73, line(1.0, 0.8)) == pytest.approx(0.8 * 1.27 / 2)  # between two strengths tried
    assert np.isnan(quality.content_at(4.0, line(1.0, 0.8)))
    assert quality.equal_content(line(1.0, 0.8), line(1.0, 0.8)) == pytest.approx(1)
    # on the same line, however strongly either paints, neither is better
    assert quality.equal_content(line(1.0, 0.8), line(2.0, 0.4)) == pytest.approx(1)
    assert quality.equal_content(line(2.0, 0.4), line(1.0, 0.8)) == pytest.approx(1)
    assert quality.equal_content(line(2.0, 0.8), line(1.0, 0.8)) == pytest.approx(2)
    assert quality.equal_content(line(1.0, 0.4), line(2.0, 0.4)) == pytest.approx(0.5)


def test_a_painting_belongs_to_a_style_by_name_or_by_title(tmp_path):
    def style(name: str, title: str) -> Style:
        return Style(name, title, "", "", "", "")

    for stem in ("great_wave", "vg_cafe", "unseen"):
        (tmp_path / f"{stem}.jpg").touch()
    (tmp_path / "styles.json").write_text(json.dumps([{"file": "vg_cafe.jpg", "title": "The Night Cafe"}]))
    styles = [style("great-wave", "The Great Wave"), style("night-cafe", "The Night Cafe"), style("scream", "The Scream")]
    named, unseen = quality.match(styles, tmp_path)
    assert {name: path.stem for name, path in named.items()} == {"great-wave": "great_wave", "night-cafe": "vg_cafe"}
    assert [path.stem for path in unseen] == ["unseen"]


def test_photographs_are_cut_to_one_size_and_spread_over_the_folder(tmp_path):
    import cv2

    for index in range(6):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((50 + index, 80, 3), index * 10, np.uint8))
    found = quality.pictures(tmp_path, 3, (64, 48))
    assert [picture.shape for picture in found] == [(48, 64, 3)] * 3
    assert [int(picture[0, 0, 0]) for picture in found] == [0, 20, 40]


class Unpainted:
    """A library whose network gives back the camera."""

    network = "fast"

    def conditioning(self, look: str) -> None:
        pass

    def painter(self, vector: None) -> Painter:
        return unchanging()


def test_an_optimisation_comes_closer_to_the_painting_than_the_photograph(vgg, tmp_path, monkeypatch):
    import cv2

    cv2.imwrite(str(tmp_path / "painting.png"), colours(2, (64, 64), smooth=1.0))
    jury = quality.Jury([colours(1, (64, 48)), colours(3, (64, 48))], vgg)
    monkeypatch.setattr(quality, "OPTIMISED", quality.gatys.Options(steps=12))
    found = quality.of_optimisation("scream", tmp_path / "painting.png", [Unpainted()], jury, 1)
    assert (found["style"], found["photographs"], found["ours"].keys()) == ("scream", 1, {"fast"})
    assert found["level"]["style"] < 0.8 * found["ours"]["fast"]["style"]


def outcome() -> dict:
    """What `quality.measure` gives for one network, one style of its own and one checkpoint."""
    figures = {"e_stab_I": 0.002, "e_stab_P": 0.02, "e_stab_O": 0.01, "sharpness": 0.97}
    fast = {
        "named": {
            "great-wave": {"style": 1.2, "content": 0.5, "unpainted": 4.0},
            "scream": {"style": 0.8, "content": 0.5, "unpainted": 6.0},
        },
        "unseen": {"other": {"style": 1.3, "content": 0.5, "unpainted": 5.0}},
        "clips": {"great-wave": {"scene": figures, "clip.mp4": figures}},
        "int8": {"great-wave": {"psnr_db": 36.0, "e_stab_over_float": 1.01}, "scream": None},
        "milliseconds": 18.0,
    }
    rival = {
        "network": "johnson",
        "style": "great-wave",
        "level": {"style": 1.0, "content": 0.6},
        "content_ratio_at_equal_style": {"fast": 1.04},
        "clips": {"scene": {"e_stab": 0.04}, "clip.mp4": {"e_stab": 0.01}},
    }
    return {"machine": {"cores": 2}, "networks": {"fast": fast}, "yardsticks": [rival]}


def test_the_table_says_what_was_found_and_what_was_not_measured():
    found = {finding.row.name: finding for finding in findings.findings(outcome())}
    expected = {
        "fast: style loss over Johnson's": (1.2, "ok"),
        "fast: style loss, unseen over named": (1.3, "ok"),
        "fast: content at equal style over Johnson's": (1.04, "ok"),
        "fast: e_stab, network, over Johnson's": (1.0, "SHORT"),  # 0.5 and 2
        "fast: e_stab, chain, over Johnson's": (0.5, "SHORT"),
        "fast: sharpness, chain over network": (0.97, "ok"),
        "fast: 8 bits against 32": (36.0, "ok"),
        "fast: e_stab, 8 bits over 32": (1.0, "ok"),
        "fast: network at 1280x720, 2 cores": (18.0, "ok"),
    }
    for name, (value, verdict) in expected.items():
        assert (found[name].row.value, found[name].row.verdict) == (pytest.approx(value), verdict), name
    fine = [finding for name, finding in found.items() if name.startswith("fine")]
    assert len(fine) == 8
    assert not any(finding.measured for finding in fine)
    assert all("'fine' does not ship" in finding.note for finding in fine)


def test_without_a_checkpoint_nothing_is_compared_with_one():
    found = findings.findings(outcome() | {"yardsticks": []})
    missing = {finding.row.name for finding in found if finding.row.name.startswith("fast") and not finding.measured}
    assert missing == {
        "fast: style loss over Johnson's",
        "fast: content at equal style over Johnson's",
        "fast: e_stab, network, over Johnson's",
        "fast: e_stab, chain, over Johnson's",
    }


def test_the_figures_and_charts_are_written(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(quality, "measure", lambda options: outcome())
    (tmp_path / "styles.json").write_text(json.dumps([{"name": "scream"}, {"name": "unmeasured"}]))
    arguments = [
        "--photographs",
        tmp_path,
        "--paintings",
        tmp_path,
        "--weights",
        tmp_path,
        "--json",
        tmp_path / "quality.json",
    ]
    quality.main([str(word) for word in arguments])
    scream, unmeasured = json.loads((tmp_path / "styles.json").read_text())
    assert scream["measured"]["fast"].keys() == {"style", "content"}
    assert unmeasured["measured"] == {}
    written = json.loads((tmp_path / "quality.json").read_text())
    assert written["networks"]["fast"]["milliseconds"] == 18
    assert {"name", "missing"} in [set(row) for row in written["rows"]]
    assert {path.name for path in tmp_path.glob("*.png")} == {"quality-style.png", "quality-stability.png"}
    printed = capsys.readouterr().out
    assert "not measured" in printed
    assert "2 named paintings: 5.00 before, 1.00 painted" in printed
