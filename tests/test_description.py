"""What the encoder learns first: to describe a picture as VGG-19 sees it."""

import json

import numpy as np
import pytest
from scenes import colours

torch = pytest.importorskip("torch")

from models.networks.encoder import DESCRIPTION, StyleEncoder, _Statistics  # noqa: E402
from models.training import description  # noqa: E402
from models.training.loop import Course  # noqa: E402
from models.training.losses import StyleLoss, Vgg19  # noqa: E402
from models.training.pictures import Styles, to_tensor  # noqa: E402


@pytest.fixture
def pictures(vgg_file):
    """Rough and smooth ones, dark and bright ones."""
    made = [colours(128, seed, smooth=1 + seed % 4 * 3) // (1 + seed % 3) for seed in range(12)]
    return Styles(made, StyleLoss(Vgg19(vgg_file)), torch.device("cpu"))


def test_statistics_have_the_gradient_of_their_formula():
    x = torch.rand(2, 3, 5, 6, dtype=torch.double, generator=torch.manual_seed(0)).requires_grad_()
    assert torch.autograd.gradcheck(_Statistics.apply, (x,))
    mean, deviation = _Statistics.apply(x)
    torch.testing.assert_close(mean, x.mean((2, 3)))
    torch.testing.assert_close(deviation, (x.var((2, 3), correction=0) + 1e-4).sqrt())


def test_how_a_picture_differs_from_what_is_usual_is_described_however_little_that_is():
    torch.manual_seed(0)
    encoder, looks = StyleEncoder(8), to_tensor(np.stack([colours(64, seed) for seed in range(6)]))
    given = encoder.statistics(looks).detach()
    encoder.usual_mean.copy_(given.mean(0))
    encoder.usual_variance.copy_(given.var(0))
    seen = []
    encoder.description.register_forward_hook(lambda layer, inputs, output: seen.append(inputs[0]))
    encoder.describe(looks)
    assert given.std(0).median() < 0.1
    torch.testing.assert_close(seen[0].std(0).median(), torch.tensor(1.0), atol=0.1, rtol=0)


def test_coordinates_say_most_of_what_tells_gram_matrices_apart(pictures):
    said = description.coordinates(pictures)
    assert said.shape == (12, DESCRIPTION)
    assert 0.9 < float(said.var(0, correction=0).max()) < 1.1
    grams = torch.stack([pictures.targets([index])[1]["relu2_2"][0].float().flatten() for index in range(12)])
    apart, told = (torch.cdist(rows, rows)[*torch.triu_indices(12, 12, 1)] for rows in (grams, said))
    assert np.corrcoef(apart.log().numpy(), told.log().numpy())[0, 1] > 0.5


def test_an_encoder_learns_to_describe(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(description, "_BATCH", 8)
    torch.manual_seed(0)
    encoder = StyleEncoder(8)
    second_half = [encoder.hidden, encoder.code, encoder.head]
    before = [layer.weight.detach().clone() for layer in second_half]
    wanted = description.coordinates(pictures)
    description.learn(encoder, pictures, Course(40, None, 2e-3, 5), tmp_path / "log.jsonl")
    with torch.no_grad():
        found = encoder.describe(pictures.looks(list(range(12))))
    assert np.corrcoef(found.flatten(), wanted.flatten())[0, 1] > 0.6
    assert all(torch.equal(layer.weight, weight) for layer, weight in zip(second_half, before, strict=True))
    lost = [json.loads(line)["description"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert len(lost) == 40
    assert sum(lost[-5:]) < 0.3 * sum(lost[:5])
