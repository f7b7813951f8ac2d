"""A network that grows or comes alive again: it paints what it painted before, and what is new in it learns."""

import copy

import numpy as np
import pytest
from scenes import colours

torch = pytest.importorskip("torch")

from models.networks.generator import Shape  # noqa: E402
from models.tiles import seen  # noqa: E402
from models.training.atelier import Atelier  # noqa: E402
from models.training.growth import grown  # noqa: E402
from models.training.pictures import to_tensor  # noqa: E402
from models.training.revival import revive  # noqa: E402

TINY = Shape(wide=8, deep=16, blocks=1)


@pytest.mark.parametrize("larger", [Shape(12, 16, 1), Shape(8, 24, 1), Shape(8, 16, 2), Shape(16, 32, 3)])
def test_a_grown_network_paints_like_the_one_it_grew_from(larger):
    small = Atelier(TINY, ["one", "two"])
    small.begin(to_tensor(colours(64, 1)[None]))
    with torch.no_grad():
        small.table += 0.1 * torch.randn(small.table.shape)
        small.encoder.head.weight.normal_(std=0.01)
    large = grown(small, larger)
    picture, look = to_tensor(colours(64, 2)[None]), to_tensor(colours(384, 3)[None])
    with torch.no_grad():
        pairs = [(small.table[index : index + 1], large.table[index : index + 1]) for index in range(3)]
        for before, after in [*pairs, (small.encoder(look), large.encoder(look))]:
            torch.testing.assert_close(large.paint(picture, after)[0], small.paint(picture, before)[0], rtol=0, atol=1e-5)


def test_what_is_new_in_a_grown_network_learns():
    small = Atelier(TINY, ["one"])
    small.begin(to_tensor(colours(64, 1)[None]))
    large = grown(small, Shape(12, 24, 2))
    optimiser = torch.optim.SGD(large.parameters(), 0.01)
    picture = to_tensor(colours(64, 2)[None])
    before = {name: value.detach().clone() for name, value in large.generator.kernels.items()}
    for _ in range(2):  # at first only what listens to the new channels does, then they themselves
        optimiser.zero_grad()
        large.paint(picture, large.table[1:])[0].square().mean().backward()
        optimiser.step()
    for name, value in large.generator.kernels.items():
        known = small.generator.kernels[name].shape[0] if name in small.generator.kernels else 0
        assert known == len(value) or not torch.equal(value[known:], before[name][known:]), name


def test_a_network_does_not_grow_smaller():
    with pytest.raises(ValueError, match="grow"):
        grown(Atelier(TINY, ["one"]), Shape(8, 8, 1))


def test_channels_that_have_died_begin_anew_and_no_painting_changes():
    student = Atelier(TINY, ["one", "two"])
    student.begin(to_tensor(colours(64, 1)[None]))
    pictures = to_tensor(np.stack([colours(64, seed) for seed in (2, 3)]))
    places = student.generator.places
    with torch.no_grad():
        student.table += 0.1 * torch.randn(student.table.shape)
        for layer, channels in (("block0a", [3, 5]), ("refine", [0])):
            student.table[:, [places[layer][1].start + channel for channel in channels]] = -100.0
    twin = copy.deepcopy(student)

    def painted(one: Atelier) -> torch.Tensor:
        with torch.no_grad():
            return one.paint(to_tensor(colours(64, 4)[None]), one.table[1:2])[0]

    before = painted(student)
    assert revive([student, twin], pictures) == 3
    torch.testing.assert_close(painted(student), before, rtol=0, atol=1e-5)
    torch.testing.assert_close(painted(twin), before, rtol=0, atol=1e-5)
    for one in (student, twin):
        activations: list[tuple[str, torch.Tensor]] = []
        one.generator(seen(to_tensor(colours(64, 5)[None])), one.table[2:], lambda *both, to=activations: to.append(both))
        active = {name: (values > 0).float().mean((0, 2, 3)) for name, values in activations}
        assert float(active["block0a"][[3, 5]].min()) > 0.2 < float(active["refine"][0])
    assert revive([student], pictures) == 0
