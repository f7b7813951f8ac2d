"""Pictures whose vectors are known: what the encoder is held to, and by what measure."""

import cv2
import numpy as np
import pytest
from scenes import colours

torch = pytest.importorskip("torch")

from models.networks.generator import Shape  # noqa: E402
from models.training.anchors import Anchors, mixture, probes  # noqa: E402
from models.training.atelier import Atelier  # noqa: E402
from models.training.pictures import Photographs, Styles, to_tensor  # noqa: E402


@pytest.fixture
def photographs(tmp_path):
    for seed in range(3):
        cv2.imwrite(str(tmp_path / f"{seed}.png"), colours(200, seed))
    return Photographs(tmp_path, 1)


@pytest.fixture
def student():
    """Three styles around a network that lets something through."""
    torch.manual_seed(0)
    found = Atelier(Shape(wide=8, deep=16, blocks=1), ["one", "two", "three"])
    found.begin(to_tensor(np.stack([colours(64, seed) for seed in range(2)])))
    with torch.no_grad():
        found.table[1:] += 0.3 * torch.randn_like(found.table[1:])
    return found.requires_grad_(False)


def test_mixtures_are_of_few_styles_and_whole():
    random = np.random.default_rng(0)
    found = torch.stack([mixture(9, random) for _ in range(200)])
    assert torch.allclose(found.sum(1), torch.ones(200))
    assert (found >= 0).all()
    assert {int(count) for count in (found > 0).sum(1)} == {1, 2, 3, 5}
    assert mixture(1, random).tolist() == [1]


def test_the_measure_is_that_of_what_is_painted(student, photographs):
    found = probes(student, photographs, np.random.default_rng(0), 240)
    assert found.shape == (240, student.generator.shape.conditioning)
    torch.manual_seed(1)
    changes = torch.randn(12, found.shape[1]) * torch.logspace(-3, -1.5, 12)[:, None]
    changes *= torch.rand(changes.shape) < torch.linspace(0.05, 1, 12)[:, None]
    rgb, vector = photographs.batch(4, 96), student.table[1:].mean(0, keepdim=True)
    before, _ = student.paint(rgb, vector)
    shown = torch.stack([(student.paint(rgb, vector + change)[0] - before).square().mean() for change in changes])
    measured = (changes @ found.T).square().mean(1)
    assert np.corrcoef(shown.log().numpy(), measured.log().numpy())[0, 1] > 0.97


def test_what_cannot_be_seen_counts_for_nothing(student, photographs):
    student.generator.kernels["leave"].zero_()
    found = probes(student, photographs, np.random.default_rng(0), 24)
    gain, bias = student.generator.places["leave"]
    seen = found.abs().sum(0) > 0
    assert seen[bias].all()
    assert int(seen.sum()) == bias.stop - bias.start
    assert gain.start < gain.stop <= bias.start


def anchors_of(student, photographs) -> Anchors:
    named = Styles([colours(420, seed) for seed in (11, 12, 13)], None, torch.device("cpu"))  # type: ignore[arg-type]
    return Anchors(student, named, photographs, np.random.default_rng(0))


def test_an_encoder_that_knows_costs_nothing_and_one_that_changes_nothing_costs_one(student, photographs, monkeypatch):
    monkeypatch.setattr("models.training.anchors.PROBES", 24)
    student.table[1:] = student.table[1]
    student.encoder.head.weight.zero_()
    anchors = anchors_of(student, photographs)
    student.encoder.head.bias.copy_(student.table[1])
    assert float(anchors.loss(6)) < 1e-6
    student.encoder.head.bias.copy_(student.table[0])
    assert float(anchors.loss(6)) == pytest.approx(1, rel=1e-3)


def test_painted_photographs_are_painted_in_their_vectors(student, photographs, monkeypatch):
    monkeypatch.setattr("models.training.anchors.PROBES", 24)
    anchors = anchors_of(student, photographs)
    given = []
    batch = photographs.batch
    monkeypatch.setattr(photographs, "batch", lambda count, side: given.append(batch(count, side)) or given[-1])
    for _ in range(3):
        anchors.loss(2)
    assert len(anchors.painted) == 3
    for rgb, (look, vector) in zip(given, anchors.painted, strict=True):
        painted, _ = student.paint(rgb, vector[None])
        assert np.abs(painted[0].permute(1, 2, 0).numpy() * 255 - look).max() <= 0.51


def test_of_two_paintings_side_by_side_the_vector_is_their_mixture(student, photographs, monkeypatch):
    monkeypatch.setattr("models.training.anchors.PROBES", 24)
    monkeypatch.setattr("models.training.anchors.BESIDE", 1.0)
    anchors = anchors_of(student, photographs)
    anchors.named.pictures = [np.full((420, 420, 3), value, np.uint8) for value in (0, 100, 200)]
    for _ in range(10):
        look, vector = anchors._part()
        shares = torch.tensor([(look == value).mean() for value in (0, 100, 200)], dtype=torch.float32)
        torch.testing.assert_close(vector, shares @ student.table[1:])
