"""The networks we measure ourselves against: they are what was published, learn by our losses, and load as they were."""

import argparse
import json

import cv2
import pytest
from scenes import colours

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402

from models.networks.johnson import InstanceNorm, Johnson  # noqa: E402
from models.networks.reconet import ReCoNet  # noqa: E402
from models.training import checkpoint, yardstick  # noqa: E402
from models.training.losses import (  # noqa: E402
    StyleLoss,
    Vgg19,
    Weights,
)
from models.training.pictures import Batch, to_tensor  # noqa: E402


def batch(side: int = 64) -> Batch:
    """A picture that does not move."""
    frame = to_tensor(colours(side, 1)[None])
    return Batch(frame, frame.clone(), torch.zeros(1, side, side, 2), torch.ones(1, side, side))


@pytest.fixture
def narrow(monkeypatch):
    """Both networks with few channels, and small paintings: the same layers in less time."""
    for network in (Johnson, ReCoNet):
        monkeypatch.setattr(network, "widths", (8, 12, 16))
        monkeypatch.setattr(network, "blocks", 1)
    monkeypatch.setattr(yardstick, "_STYLE_SIZE", 64)


@pytest.fixture
def options(tmp_path, vgg_file, narrow):
    """What trains `wave.jpg` on two photographs; keywords change it."""
    (tmp_path / "content").mkdir()
    for path, seed in (("content/a.jpg", 1), ("content/b.jpg", 2), ("wave.jpg", 3), ("other.jpg", 4)):
        cv2.imwrite(str(tmp_path / path), colours(160, seed))
    parser = argparse.ArgumentParser()
    yardstick.add_arguments(parser)

    def parse(*more: object) -> argparse.Namespace:
        words = ["--style", tmp_path / "wave.jpg", "--content", tmp_path / "content", "--vgg", vgg_file]
        words += ["--out", tmp_path / "out.safetensors", "--size", 32, "--batch", 1, *more]
        return parser.parse_args([str(word) for word in words])

    return parse


@pytest.mark.parametrize(("network", "weights"), [(Johnson, 1_679_235), (ReCoNet, 3_098_307)])
def test_the_networks_have_as_many_weights_as_the_published_ones(network, weights):
    assert sum(parameter.numel() for parameter in network().parameters()) == weights


@pytest.mark.parametrize("network", [Johnson, ReCoNet])
def test_pictures_keep_their_size_and_features_are_a_quarter_of_it(network):
    rgb = torch.rand(2, 3, 24, 40)
    with torch.no_grad():
        assert network()(rgb).shape == rgb.shape
        assert network().encode(rgb).shape == (2, network.widths[-1], 6, 10)


def test_reconet_reaches_a_little_past_black_and_white_and_no_further():
    network = ReCoNet()
    with torch.no_grad():
        network.decoder[-1][1].weight.mul_(1000)
        painted = network(torch.rand(1, 3, 16, 16))
    assert painted.min() < 0
    assert painted.max() > 1
    assert (painted - 0.5).abs().max() <= 150 / 255 + 1e-6


def test_instance_normalisation_is_what_pytorch_means_by_it():
    ours, theirs = InstanceNorm(3), torch.nn.InstanceNorm2d(3, affine=True)
    theirs.load_state_dict({"weight": torch.tensor([1.0, 2.0, -0.5]), "bias": torch.tensor([0.0, 1.0, 3.0])})
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 3, 8, 9) * 5 + 20
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("network", [Johnson, ReCoNet])
def test_a_few_iterations_lower_the_loss(network, vgg_file, narrow):
    torch.manual_seed(0)
    student, style_loss, given = network(), StyleLoss(Vgg19(vgg_file), tamed=True), batch()
    targets = style_loss.targets(to_tensor(colours(64, 7)[None]))
    optimiser = torch.optim.Adam(student.parameters(), 3e-3)
    totals = []
    for _ in range(8):
        found = yardstick.losses(student, given, style_loss, targets, Weights())
        total = torch.stack(list(found.values())).sum()
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        totals.append(float(total.detach()))
    assert totals[-1] < 0.8 * totals[0]


def test_johnson_learns_from_single_frames_and_reconet_from_pairs(vgg_file, narrow):
    style_loss = StyleLoss(Vgg19(vgg_file), tamed=True)
    targets = style_loss.targets(to_tensor(colours(64, 7)[None]))
    single, moving = (set(yardstick.losses(n, batch(), style_loss, targets, Weights())) for n in (Johnson(), ReCoNet()))
    assert moving - single == {"still", "deep"}
    assert single == {"content", "style", "tone", "smooth"}


def test_what_stands_still_costs_reconet_nothing(vgg_file, narrow):
    style_loss = StyleLoss(Vgg19(vgg_file), tamed=True)
    targets = style_loss.targets(to_tensor(colours(64, 7)[None]))
    found = yardstick.losses(ReCoNet(), batch(), style_loss, targets, Weights())
    assert float(found["still"].detach()) == pytest.approx(0, abs=1e-6)
    assert float(found["deep"].detach()) == pytest.approx(0, abs=1e-6)


def test_a_checkpoint_states_what_it_is_and_resuming_goes_on_from_it(options, monkeypatch):
    yardstick.train(options("--iterations", 2))
    path = options().out
    first = load_file(path)
    assert yardstick.describe(path) | {"facts": None} == {"network": "johnson", "style": "wave", "facts": None}
    monkeypatch.setattr(yardstick, "_SEED", 2)  # a new beginning would be elsewhere
    yardstick.train(options("--iterations", 3, "--resume"))
    second = load_file(path)
    assert yardstick.describe(path)["facts"]["iteration"] == 3
    lines = path.with_suffix(".jsonl").read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in lines] == [1, 2, 3]
    assert float(second["optimiser.0.step"]) == 3  # Adam remembers
    name = "learner.encoder.0.0.1.weight"  # whose mean the checkpoint's own weights are
    step = (second[name] - first[name]).abs().max()
    assert 0 < step < 1e-3


@pytest.mark.parametrize("network", yardstick.NETWORKS)
def test_a_checkpoint_paints_as_the_network_it_was_made_from(network, tmp_path):
    module = yardstick.NETWORKS[network]().eval()
    checkpoint.save(tmp_path / "x.safetensors", module, None, {"network": network, "style": "s", "facts": {}})
    loaded, rgb = yardstick.load(tmp_path / "x.safetensors"), torch.rand(1, 3, 32, 32)
    assert not loaded.training
    for name, value in module.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)
    torch.testing.assert_close(yardstick.paint(loaded, rgb), yardstick.paint(module, rgb))


def test_pictures_of_any_size_are_painted_and_clipped(narrow):
    module = Johnson().eval()
    with torch.no_grad():
        module.decoder[-1][1].weight.mul_(100)
    painted = yardstick.paint(module, torch.rand(2, 3, 30, 45))
    assert painted.shape == (2, 3, 30, 45)
    assert painted.min() == 0
    assert painted.max() == 1


@pytest.mark.parametrize("changed", [("--network", "reconet"), ("--style", "other.jpg")])
def test_a_checkpoint_is_not_continued_as_another(options, tmp_path, changed):
    network = Johnson()
    metadata = {"network": "johnson", "style": "wave", "facts": {"iteration": 1, "seconds": 1.0}}
    checkpoint.save(options().out, network, None, metadata)
    name, value = changed
    with pytest.raises(ValueError, match="is johnson for wave"):
        yardstick.train(options(name, tmp_path / value if name == "--style" else value, "--resume"))


@pytest.mark.parametrize("content", [None, b"", b"something else"])
def test_what_is_no_checkpoint_is_one_clear_error(tmp_path, content):
    path = tmp_path / "x.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.safetensors is not a checkpoint"):
        yardstick.load(path)


def test_weights_of_another_kind_are_no_checkpoint(vgg_file):
    with pytest.raises(ValueError, match="not a checkpoint of johnson or reconet"):
        yardstick.load(vgg_file)
