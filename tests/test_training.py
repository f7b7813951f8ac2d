"""Teaching the painter: what the network is, what judges it, and that training, resuming and publishing keep their word."""

import argparse
import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from scenes import colours, texture

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402

from kernels import reference  # noqa: E402
from models.export import to_onnx  # noqa: E402
from models.library import Library, LibraryError, read_picture  # noqa: E402
from models.networks.generator import SHAPES, Generator, Shape  # noqa: E402
from models.tiles import seen  # noqa: E402
from models.tiles import texture as tiles_texture  # noqa: E402
from models.training import anchors, atelier, device, losses, pictures, publish, refine, train  # noqa: E402
from models.training.atelier import Atelier  # noqa: E402
from models.training.growth import grown  # noqa: E402
from models.training.lazy import LazyAdam  # noqa: E402
from models.training.loop import Course  # noqa: E402
from models.training.mean import Mean  # noqa: E402
from models.training.options import add_losses  # noqa: E402
from models.training.pictures import to_tensor  # noqa: E402

TINY = Shape(wide=8, deep=16, blocks=1)


@pytest.fixture
def folders(tmp_path):
    """Paintings `one` and `two` with their manifest, and three photographs."""
    manifest = []
    for folder, names in (("styles", ("one", "two")), ("content", ("a", "b", "c"))):
        (tmp_path / folder).mkdir()
        for index, name in enumerate(names):
            cv2.imwrite(str(tmp_path / folder / f"{name}.jpg"), colours(200, index + len(folder)))
            about = {"title": f"The {name.title()}", "artist": "A", "year": "1", "rights": "r", "source": "s"}
            manifest.append({"file": f"{name}.jpg"} | about)
    (tmp_path / "styles" / "styles.json").write_text(json.dumps(manifest))
    return tmp_path


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setitem(SHAPES, "fast", TINY)
    monkeypatch.setattr(anchors, "PROBES", 24)
    monkeypatch.setattr(train, "stand_ins", lambda paintings, photographs, seed: [colours(384, s) for s in range(6)])


def options(folders, vgg_file, **changed) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    words = ["--styles", folders / "styles", "--content", folders / "content", "--vgg", vgg_file]
    words += ["--out", folders / "out.st", "--size", 64, "--batch", 2, "--style-size", 128, "--iterations", 4]
    found = parser.parse_args([str(word) for word in words])
    for name, value in changed.items():
        setattr(found, name, value)
    return found


def tiles(seed: int, side: int = 64) -> torch.Tensor:
    return seen(to_tensor(colours(side, seed)[None]))


@pytest.mark.parametrize(("name", "most"), [("fast", 3.5e9), ("fine", 15e9)])
def test_the_networks_are_as_light_as_promised(name, most):
    assert SHAPES[name].macs(640, 360) <= most


def test_training_sees_the_texture_that_the_kernels_find():
    planes = [texture(96, 64, 1, 1.5), *(texture(48, 32, seed, 1.5) for seed in (2, 3))]
    packed = reference.pack_tiles(*planes)
    codes = torch.from_numpy(packed).permute(2, 0, 1)[None].float()
    found = tiles_texture((codes - 128) / 255)[0].permute(1, 2, 0) * 255 + 128
    np.testing.assert_allclose(found, reference.texture(packed), atol=0.51)


def test_every_style_has_a_place_for_each_of_its_numbers():
    covered = np.zeros(TINY.conditioning, int)
    for _, *slices in TINY.fields():
        for part in slices:
            covered[part] += 1
    assert (covered == 1).all()


def test_samples_are_painted_each_in_its_own_style():
    torch.manual_seed(0)
    generator = Generator(TINY)
    two = torch.cat([tiles(1), tiles(2)])
    styles = torch.randn(2, TINY.conditioning)
    together = generator(two, styles)
    apart = torch.cat([generator(two[i : i + 1], styles[i : i + 1]) for i in range(2)])
    torch.testing.assert_close(together, apart)
    assert not torch.allclose(generator(two[:1], styles[1:]), apart[:1])


def test_balanced_layers_begin_with_mean_zero_and_variance_one():
    torch.manual_seed(0)
    generator, picture = Generator(SHAPES["fast"]), tiles(1, 128)
    vector = generator.balance(picture)[None]
    entered = generator.convolve("enter", picture, vector)
    assert float(entered.detach().mean().abs()) < 1e-3
    assert float(entered.detach().var()) == pytest.approx(1, abs=0.05)
    assert float(generator(picture, vector).detach().std()) < 0.2


def test_a_settled_network_never_reaches_further():
    torch.manual_seed(0)
    generator, picture = Generator(TINY), tiles(1)
    vector = generator.balance(picture)[None]
    reached: dict[str, float] = {}
    generator.settle(torch.full((len(generator.order),), 0.5))
    bounded = generator.bounded

    def watch(name, activation):
        clipped = bounded(name, activation)
        reached[name] = float(clipped.detach().max())
        return clipped

    generator.bounded = watch
    generator(picture, vector)
    assert max(reached.values()) <= 0.5


def test_training_learns_and_goes_on_from_where_it_was(folders, vgg_file, small):
    train.run(options(folders, vgg_file))
    log = [json.loads(line) for line in (folders / "out.jsonl").read_text().splitlines()]
    assert [entry["iteration"] for entry in log] == [1, 2, 3, 4]
    assert all(np.isfinite(entry["style"]) for entry in log)
    first, facts = atelier.load(folders / "out.st")
    assert facts["iteration"] == 4
    assert first.names == ["one", "two"]
    assert first.generator.settled
    assert (folders / "out.png").exists()
    assert (folders / "out-000004.jpg").exists()
    train.run(options(folders, vgg_file, iterations=6, resume=True))
    log = [json.loads(line) for line in (folders / "out.jsonl").read_text().splitlines()]
    assert [entry["iteration"] for entry in log] == [1, 2, 3, 4, 5, 6]
    second, _ = atelier.load(folders / "out.st")
    assert not torch.equal(first.table, second.table)


def test_the_mean_is_of_all_that_was_and_most_of_what_was_last():
    model = torch.nn.BatchNorm1d(1)
    mean = Mean(model)
    for iteration in range(1, 101):
        with torch.no_grad():
            model.weight.fill_(iteration)
            model.running_mean.fill_(-iteration)
        mean.take(model)
        assert mean.count == iteration
        if iteration == 1:
            assert float(mean.model.weight) == 1
    assert 80 < float(mean.model.weight) < 90
    assert float(mean.model.running_mean) == -100  # no parameter
    assert not mean.model.weight.requires_grad


def test_training_goes_on_from_the_learner_not_from_the_mean(folders, vgg_file, small):
    train.run(options(folders, vgg_file, iterations=6))
    first = load_file(folders / "out.st")
    apart = (first["learner.table"] - first["table"]).abs().max()
    assert apart > 0
    train.run(options(folders, vgg_file, iterations=7, rate=1e-9, resume=True))
    second = load_file(folders / "out.st")
    assert (second["learner.table"] - first["learner.table"]).abs().max() < apart / 100
    assert (second["learner.table"] - second["table"]).abs().max() < apart  # the mean has come closer


def test_the_identity_learns_to_give_back_the_picture(folders, vgg_file, small, monkeypatch):
    monkeypatch.setattr(train, "strengths_of", torch.zeros)
    train.run(options(folders, vgg_file, iterations=25, rate=5e-3))
    same = [json.loads(line)["same"] for line in (folders / "out.jsonl").read_text().splitlines()]
    assert np.mean(same[-5:]) < 0.8 * np.mean(same[:5])


def test_a_finer_network_teaches_as_well(folders, vgg_file, small):
    train.run(options(folders, vgg_file, iterations=2))
    (folders / "out.st").rename(folders / "teacher.st")
    train.run(options(folders, vgg_file, iterations=2, seed=2, teacher=folders / "teacher.st"))
    log = [json.loads(line) for line in (folders / "out.jsonl").read_text().splitlines()]
    assert all(entry["teacher"] > 0 for entry in log)


@pytest.mark.parametrize("learning", ["encoder", "vectors"])
def test_one_part_goes_on_learning_alone(folders, vgg_file, small, learning):
    train.run(options(folders, vgg_file, iterations=2))
    (folders / "out.st").rename(folders / "network.st")
    train.run(options(folders, vgg_file, iterations=2, begin_from=folders / "network.st", only=learning))
    parts = [dict(atelier.load(folders / name)[0].named_parameters()) for name in ("network.st", "out.st")]
    changed = {name for name, before in parts[0].items() if not torch.equal(before, parts[1][name])}
    assert changed
    assert all(name == "table" if learning == "vectors" else name.startswith("encoder.") for name in changed)


def test_vectors_rest_until_they_are_asked_for():
    layer, table = torch.nn.Linear(3, 3), torch.nn.Parameter(torch.zeros(4, 3))
    optimiser = LazyAdam([*layer.parameters(), table], table, 0.01)
    for row in (1, 2, 2):
        optimiser.zero_grad()
        before = table.detach().clone()
        layer(table[row] + torch.ones(3)).square().sum().backward()
        optimiser.step()
        moved = (table.detach() - before).abs().amax(1)
        assert moved[row] > 0
        assert moved.count_nonzero() == 1
    first = (table.detach()[1]).abs()
    torch.testing.assert_close(first, torch.full_like(first, 0.03))  # of Adam's steps the first is as long as its rate


def test_every_named_painting_has_its_turn(vgg_file):
    loss = losses.StyleLoss(losses.Vgg19(vgg_file), losses.Judgement())
    named = pictures.Styles([colours(64, seed) for seed in range(5)], loss, torch.device("cpu"))
    teacher = train.Teacher(named, None, losses.Weights())
    asked = [style for _ in range(5) for style in teacher.lesson(2).styles]
    assert sorted(asked[:5]) == sorted(asked[5:]) == list(range(5))


def test_a_checkpoint_of_other_paintings_cannot_be_resumed(folders, vgg_file, small):
    Atelier(TINY, ["three"]).save(folders / "out.st")
    with pytest.raises(ValueError, match="three"):
        train.run(options(folders, vgg_file, resume=True))


def test_a_network_for_more_paintings_begins_with_what_another_knows():
    known = Atelier(TINY, ["one", "two"])
    with torch.no_grad():
        known.table.copy_(torch.randn_like(known.table))
    more = known.renamed(["two", "three"])
    assert more.names == ["two", "three"]
    torch.testing.assert_close(more.table[:2], known.table[[0, 2]])
    torch.testing.assert_close(more.table[2], known.table[1:].mean(0))


def test_paintings_are_called_after_their_titles(folders):
    paths = [folders / "styles" / "one.jpg", folders / "styles" / "Two_Horses.jpg"]
    assert pictures.names_of(paths) == ["one", "two-horses"]
    assert pictures.style_name("The Great Wave off Kanagawa") == "great-wave"


def test_an_empty_folder_is_one_clear_error(folders, vgg_file):
    (folders / "none").mkdir()
    with pytest.raises(ValueError, match="no pictures"):
        train.run(options(folders, vgg_file, styles=folders / "none"))


@pytest.fixture
def published(folders) -> Library:
    torch.manual_seed(0)
    student = Atelier(TINY, ["one", "two"])
    student.begin(to_tensor(np.stack([colours(64, 1)])))
    with torch.no_grad():
        student.table.add_(torch.randn_like(student.table) * 0.1)
    student.generator.settle(torch.full((len(student.generator.order),), 4.0))
    student.save(folders / "done.st")
    publish.publish(folders / "done.st", "fast", folders / "styles", folders / "weights")
    return Library(folders / "weights", own=folders / "own")


def test_what_is_published_paints_what_was_trained(folders, published):
    student, _ = atelier.load(folders / "done.st")
    again = atelier.from_library(published)
    assert [style.name for style in published.styles] == ["one", "two"]
    vectors = student.table[1:]
    np.testing.assert_allclose(published.conditioning("two"), vectors[1].detach(), rtol=2e-3, atol=2e-3)
    with torch.no_grad():
        before, after = (model.generator(tiles(3), model.table[2:]) for model in (student, again))
    assert float((before - after).square().mean()) < 1e-3 * float(before.square().mean())
    painter = published.painter(published.conditioning("two"))
    gain, bias = (again.table[2, place].detach() for place in again.generator.places["down"])
    weight = again.generator.kernels["down"].detach() * gain[:, None, None, None]
    np.testing.assert_allclose(painter.layers["down"].weight, weight, atol=1e-4)
    np.testing.assert_allclose(painter.layers["down"].bias, bias, atol=1e-5)
    assert len(to_onnx(painter).graph.node) > 10


def test_what_is_not_trained_to_the_end_is_not_published(folders):
    Atelier(TINY, ["one"]).save(folders / "early.st")
    with pytest.raises(ValueError, match="not trained to the end"):
        publish.publish(folders / "early.st", "fast", folders / "styles", folders / "weights")


def test_a_painting_without_its_title_and_rights_is_not_published(folders):
    student = Atelier(TINY, ["stolen"])
    student.generator.settle(torch.ones(len(student.generator.order)))
    student.save(folders / "x.st")
    with pytest.raises(ValueError, match="stolen"):
        publish.publish(folders / "x.st", "fast", folders / "styles", folders / "weights")


def test_refining_brings_a_style_closer_and_touches_nothing_else(folders, vgg_file, vgg, published, monkeypatch):
    monkeypatch.setattr(refine, "Course", lambda iterations, minutes, rate, every: Course(25, None, rate, every))
    cv2.imwrite(str(folders / "mine.png"), colours(160, 9, smooth=3))
    name = published.add(read_picture(folders / "mine.png"), "mine").name
    before, identity = published.conditioning(name), published.conditioning(name, 0.0)

    def far() -> float:
        judge, wanted = losses.StyleLoss(vgg), to_tensor(pictures.scaled(read_picture(folders / "mine.png"), 512)[None])
        vector = torch.from_numpy(published.conditioning(name))
        with torch.no_grad():
            photograph = to_tensor(pictures.read_rgb(folders / "content" / "a.jpg", 256)[None])
            painted, _ = atelier.from_library(published).paint(photograph, vector[None])
            return float(judge(painted, judge.targets(wanted), whole=True))

    at_first = far()
    refine.refine(published, name, 1.0, folders / "content", vgg_file)
    assert far() < 0.95 * at_first
    assert np.abs(published.conditioning(name) - before).max() > 1e-3
    np.testing.assert_array_equal(published.conditioning(name, 0.0), identity)
    assert sorted(path.suffix for path in published.own.iterdir()) == [".jpg", ".json", ".safetensors"]


def test_a_library_has_each_of_its_networks_for_the_same_styles(published, folders):
    large = grown(atelier.from_library(published), Shape(12, 24, 2))
    large.generator.settle(torch.full((len(large.generator.order),), 4.0))
    large.save(folders / "large.st")
    publish.publish(folders / "large.st", "fine", folders / "styles", folders / "weights")
    finer = published.of("fine")
    assert finer.of("fast").conditioning("two").tolist() == published.conditioning("two").tolist()
    assert len(finer.conditioning("two")) == Shape(12, 24, 2).conditioning
    assert (published.macs(640, 360), finer.macs(640, 360)) == (TINY.macs(640, 360), Shape(12, 24, 2).macs(640, 360))
    with pytest.raises(LibraryError, match=r"no network 'large'.*fast, fine"):
        published.of("large")


def test_training_for_a_larger_network_begins_with_the_published_one(folders, published, vgg_file, small, monkeypatch):
    monkeypatch.setitem(SHAPES, "fine", Shape(12, 24, 2))
    train.run(options(folders, vgg_file, iterations=1, network="fine", begin_from=folders / "weights"))
    student, _ = atelier.load(folders / "out.st")
    assert student.generator.shape == SHAPES["fine"]


def test_bfloat16_is_used_where_the_processor_multiplies_it(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True, "avx512_f": True})
    assert device.precision(torch.device("cpu")) == torch.bfloat16
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": False, "avx512_f": True})
    assert device.precision(torch.device("cpu")) == torch.float32
    assert device.precision(torch.device("cuda")) == torch.bfloat16


def judged_by(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_losses(parser)
    return parser.parse_args(words)


def test_weights_layers_and_pooling_are_options_and_the_rest_stays():
    assert judged_by() == argparse.Namespace(weights=losses.Weights(), judgement=losses.Judgement())
    given = judged_by("--weights", "style=5", "still=300.5", "--pooling", "average", "--style-layers", "relu3_1", "relu1_1")
    assert given.weights == replace(losses.Weights(), style=5.0, still=300.5)
    assert given.judgement == replace(
        losses.Judgement(), pooling="average", style_layers=("relu1_1", "relu3_1"), finest_layers=("relu1_1",)
    )
    assert judged_by("--content-layer", "relu2_2").judgement == replace(losses.Judgement(), content_layer="relu2_2")


@pytest.mark.parametrize("words", [["--weights", "beauty=3"], ["--weights", "style"], ["--style-layers", "relu4_1"]])
def test_what_cannot_be_judged_by_is_one_clear_error(words, capsys):
    with pytest.raises(SystemExit):
        judged_by(*words)
    assert words[1] in capsys.readouterr().err.splitlines()[-1]
