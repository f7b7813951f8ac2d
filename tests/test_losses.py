"""What a network is judged by while it learns: each loss is about what it says it is about."""

import numpy as np
import pytest
from scenes import colours

torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install '.[train]'")

from models.training import losses  # noqa: E402
from models.training.pictures import to_tensor  # noqa: E402
from models.training.train import frame_loss  # noqa: E402


def test_light_must_stay_light_and_dark_dark_whatever_the_palette():
    photograph = to_tensor(colours(64, 1, smooth=20)[None])
    other = to_tensor(colours(64, 5, smooth=20)[None])
    assert float(losses.tone_loss(photograph * 0.5 + 0.2, photograph)) < 0.1
    assert float(losses.tone_loss(1 - photograph, photograph)) > 2
    assert float(losses.tone_loss(other, photograph)) > 0.5


def test_a_painting_has_no_style_loss_to_itself_and_much_to_another(vgg):
    style = losses.StyleLoss(vgg, losses.Judgement(scales=(0.0, 1.0, 0.7)))  # at full scale a random part is judged
    one, other = (to_tensor(colours(128, seed, smooth)[None]) for seed, smooth in ((1, 3), (2, 12)))
    assert float(style(one, style.targets(one))) == pytest.approx(0, abs=1e-6)
    assert float(style(other, style.targets(one))) > 0.05


def test_a_gram_matrix_has_the_gradient_of_its_definition():
    features = torch.randn(2, 5, 4, 3, dtype=torch.float64, requires_grad=True)

    def plain(x):
        flat = x.flatten(2)
        return flat @ flat.transpose(1, 2) / flat.shape[2]

    torch.testing.assert_close(losses.gram(features).double(), plain(features), atol=1e-6, rtol=1e-6)
    weight = torch.randn(2, 5, 5, dtype=torch.float64)
    (found,) = torch.autograd.grad((losses.gram(features).double() * weight).sum(), features)
    (expected,) = torch.autograd.grad((plain(features) * weight).sum(), features)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_what_moves_with_the_scene_costs_nothing_and_what_stays_behind_does():
    picture = to_tensor(colours(96, 1)[None])
    shift = torch.zeros(1, 64, 64, 2)
    shift[..., 0], shift[..., 1] = 8, 16
    first, second = picture[..., :64, :64], picture[..., 16:80, 8:72]
    visible = torch.zeros(1, 64, 64)
    visible[:, :48, :56] = 1
    paint = lambda rgb: 1 - rgb  # noqa: E731
    still = losses.temporal_loss((paint(first), paint(second)), (first, second), shift, visible)
    # the change of light that is taken off is that of the input, which here is none
    assert float(still) == pytest.approx(0, abs=1e-6)
    assert float(losses.temporal_loss((first, first), (first, second), shift, visible)) > 0.03


def test_a_change_of_light_in_the_input_is_allowed_in_the_painting():
    given = to_tensor(colours(64, 1)[None]) * 0.5
    none, everywhere = torch.zeros(1, 64, 64, 2), torch.ones(1, 64, 64)
    brighter = (given, given + 0.1)
    assert float(losses.temporal_loss(brighter, brighter, none, everywhere)) == pytest.approx(0, abs=1e-6)
    assert float(losses.temporal_loss(brighter, (given, given), none, everywhere)) == pytest.approx(0.1, rel=0.05)


def test_noise_of_the_camera_is_no_light_to_be_followed():
    given = to_tensor(colours(64, 1)[None]) * 0.5
    none, everywhere = torch.zeros(1, 64, 64, 2), torch.ones(1, 64, 64)
    noise = torch.randn(given.shape, generator=torch.Generator().manual_seed(1)) * 0.02
    resting = losses.temporal_loss((given, given), (given, given + noise), none, everywhere)
    following = losses.temporal_loss((given, given + noise), (given, given + noise), none, everywhere)
    assert float(resting) < 1e-3 < float(following)


def test_features_are_compared_along_the_flow():
    features = torch.randn(1, 6, 8, 8)
    shift = torch.zeros(1, 64, 64, 2)
    shift[..., 0] = 16
    moved = torch.roll(features, -2, 3)
    visible = torch.zeros(1, 64, 64)
    visible[..., :48] = 1
    assert float(losses.feature_temporal_loss((features, moved), shift, visible)) == pytest.approx(0, abs=1e-6)
    assert float(losses.feature_temporal_loss((features, features), shift, visible)) > 0.1


def test_a_grid_of_tiles_costs_and_a_picture_that_has_none_does_not():
    picture = to_tensor(np.stack([colours(96, 4)]))
    quiet = losses.grid_loss(picture)
    grid = torch.zeros(1, 1, 96, 96)
    grid[..., ::4, :] = 8 / 255
    assert float(losses.grid_loss(picture * 0.8 + grid)) > 20 * float(quiet)
    shifted = losses.grid_loss(picture * 0.5 + 0.2)  # lighter everywhere is no grid
    assert float(shifted) <= float(quiet)


def test_a_frame_along_the_borders_costs_and_other_strokes_cost_less():
    torch.manual_seed(1)
    whole = to_tensor(np.stack([colours(96, 4)]))
    framed, darker_inside = whole.clone(), whole.clone()
    framed[..., :8, :] += 8 / 255
    darker_inside[..., 32:64, 32:64] = 0
    strokes = whole + torch.randn(whole.shape) * 8 / 255
    assert float(losses.edge_loss(whole, whole)) == 0 == float(losses.edge_loss(darker_inside, whole))

    def dear(picture: torch.Tensor) -> float:
        """In proportion to how different it is."""
        return float(losses.edge_loss(picture, whole) / (picture - whole).square().mean())

    assert dear(framed) > 20 * dear(strokes) > 0


def test_the_edges_of_a_painting_are_compared_with_the_same_place_in_a_larger_one():
    class Student:
        def paint(self, rgb, conditioning):
            """The picture, with a frame of 0.5."""
            framed = rgb.clone()
            framed[..., 0, :] = framed[..., -1, :] = framed[..., 0] = framed[..., -1] = 0.5
            return framed, None

    picture = torch.zeros(1, 3, 192, 192)
    painted, _ = Student().paint(picture, None)
    # of each of four sides' 32 lines one is 0.5 off, and of the others the two ends of stretches of 32 pixels
    found = float(frame_loss(Student(), picture, painted, None))
    assert found == pytest.approx(0.25 / 32, rel=0.1)
