"""Painting by optimising pixels: it lowers our losses, always in the same way, and loses nothing."""

import cv2
import numpy as np
import pytest
from scenes import colours

torch = pytest.importorskip("torch")

from models.training import gatys  # noqa: E402
from models.training.losses import Vgg19  # noqa: E402
from models.training.pictures import to_tensor  # noqa: E402

PHOTO, PAINTING = (to_tensor(colours(48, seed)[None]) for seed in (1, 2))


@pytest.fixture
def command(tmp_path, vgg_file, monkeypatch):
    """Runs the program on a photograph of 96x64 pixels."""
    cv2.imwrite(str(tmp_path / "photo.png"), colours(96, 1)[:64])
    cv2.imwrite(str(tmp_path / "painting.png"), colours(64, 2))
    monkeypatch.setattr(gatys, "_STYLE_SIZE", 48)

    def run(out: str, *more: object) -> None:
        words = [tmp_path / "photo.png", tmp_path / "painting.png", tmp_path / out, "--vgg", vgg_file, "--size", 48, *more]
        monkeypatch.setattr("sys.argv", ["gatys", *(str(word) for word in words)])
        gatys.main()

    return run


def total(vgg: Vgg19, options: gatys.Options, picture: torch.Tensor) -> float:
    with torch.no_grad():
        return float(sum(gatys.judge(PHOTO, PAINTING, vgg, options)(picture).values()))


@pytest.mark.parametrize("optimiser", ["lbfgs", "adam"])
@pytest.mark.parametrize("start", ["content", "noise"])
def test_the_loss_falls_from_either_start(vgg, optimiser, start):
    options = gatys.Options(steps=12, optimiser=optimiser, start=start)
    painted = gatys.optimise(PHOTO, PAINTING, vgg, options)
    assert painted.shape == PHOTO.shape
    assert 0 <= painted.min() <= painted.max() <= 1
    assert total(vgg, options, painted) < 0.85 * total(vgg, options, gatys.begin(PHOTO, options))


def test_the_function_stands_still_and_so_does_what_comes_of_it(vgg):
    options = gatys.Options(steps=4, start="noise")
    assert total(vgg, options, PHOTO) == total(vgg, options, PHOTO)
    first, second = (gatys.optimise(PHOTO, PAINTING, vgg, options) for _ in range(2))
    assert torch.equal(first, second)


def test_another_seed_sets_out_from_other_noise():
    first, second = (gatys.begin(PHOTO, gatys.Options(start="noise", seed=seed)) for seed in (1, 2))
    assert not torch.equal(first, second)


def test_the_photograph_itself_has_no_content_loss_and_the_painting_no_style_loss(vgg):
    judge = gatys.judge(PHOTO, PAINTING, vgg, gatys.Options())
    with torch.no_grad():
        assert float(judge(PHOTO)["content"]) == float(judge(PHOTO)["tone"]) == 0
        assert float(judge(PAINTING)["style"]) == pytest.approx(0, abs=1e-9)
        assert float(judge(PHOTO)["style"]) > 0


def test_the_best_that_was_seen_is_kept_when_later_steps_lead_astray(vgg, monkeypatch):
    monkeypatch.setattr(gatys, "_RATE", 30.0)
    seen: list[tuple[int, float]] = []
    options = gatys.Options(steps=4, optimiser="adam")
    painted = gatys.optimise(PHOTO, PAINTING, vgg, options, lambda step, loss, best: seen.append((step, loss)))
    assert [step for step, _ in seen] == [1, 2, 3, 4]
    assert min(loss for _, loss in seen[1:]) > seen[0][1]
    assert torch.equal(painted, PHOTO)


def test_lbfgs_is_refused_gradients_that_lead_it_astray(vgg_file):
    with pytest.raises(ValueError, match="float32"):
        gatys.optimise(PHOTO, PAINTING, Vgg19(vgg_file).bfloat16(), gatys.Options(steps=1))


def test_the_command_writes_the_picture_and_says_how_far_the_loss_fell(command, tmp_path, capsys):
    command("out.png", "--steps", 3, "--layers", "relu1_1", "relu2_1")
    assert cv2.imread(str(tmp_path / "out.png")).shape == (48, 72, 3)
    before, after = (line for line in capsys.readouterr().out.splitlines() if "loss" in line)
    assert float(after.split()[2]) < float(before.split()[2])


def test_ctrl_c_keeps_what_there_is(command, tmp_path, monkeypatch, capsys):
    def interrupted(photo, painting, vgg, options, watch):
        watch(1, 2.0, torch.full_like(photo, 0.6))
        raise KeyboardInterrupt

    monkeypatch.setattr(gatys, "optimise", interrupted)
    with pytest.raises(SystemExit) as exit_status:
        command("out.png")
    assert exit_status.value.code == 130
    assert np.unique(cv2.imread(str(tmp_path / "out.png"))) == 153
    assert "stopped" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("out", "more", "said"),
    [
        ("out.xyz", (), "cannot be written"),
        ("no/out.png", (), "cannot be written"),
        ("out.png", ("--size", 8), "--size"),
        ("out.png", ("--vgg", "nowhere"), "no file nowhere"),
    ],
)
def test_misuse_is_one_line_before_any_work(command, capsys, out, more, said):
    with pytest.raises(SystemExit) as exit_status:
        command(out, *more)
    assert exit_status.value.code == 1
    assert said in capsys.readouterr().err
