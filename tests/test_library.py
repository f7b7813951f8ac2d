"""Styles: names, mixtures, pictures of one's own; one vector each, and plain convolutions of it."""

import json
import shutil

import cv2
import numpy as np
import pytest
from scenes import texture

from models.encoder import NEARER, SHORT_SIDE, SIDE, looks
from models.library import Library, LibraryError, read_picture, shipped
from models.looks import parse_look


@pytest.fixture
def library(tmp_path) -> Library:
    return Library(own=tmp_path / "own")


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "Müller's Garden.png"
    colours = np.stack([texture(200, 160, seed, smooth=5) for seed in range(3)], -1)
    cv2.imencode(".png", colours)[1].tofile(path)
    return path


@pytest.mark.parametrize(
    ("look", "parts"),
    [
        ("starry-night", [("starry-night", 1.0)]),
        ("a:0.6,b:0.4", [("a", 0.6), ("b", 0.4)]),
        ("a:3, b:1", [("a", 0.75), ("b", 0.25)]),
        ("a,b", [("a", 0.5), ("b", 0.5)]),
        (r"C:\my.jpg", [(r"C:\my.jpg", 1.0)]),
        (r"C:\my.jpg:1,a:1", [(r"C:\my.jpg", 0.5), ("a", 0.5)]),
    ],
)
def test_a_look_is_a_name_a_path_or_a_mixture_whose_shares_add_up_to_one(look, parts):
    assert parse_look(look) == [(name, pytest.approx(share)) for name, share in parts]


@pytest.mark.parametrize("look", ["", "a:0,b:0", "a:-1", "a:nan", "a:inf", ":1", "a,,b"])
def test_a_look_that_means_nothing_is_refused(look):
    with pytest.raises(ValueError, match=r"mixture|shares"):
        parse_look(look)


def test_a_file_whose_name_looks_like_a_mixture_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a:1,b:2").write_bytes(b"")
    assert parse_look("a:1,b:2") == [("a:1,b:2", 1.0)]


def test_there_are_at_least_24_styles_and_each_states_its_painting_and_rights(library):
    styles = library.styles
    assert len({style.name for style in styles}) == len(styles) >= 24
    for style in styles:
        assert all((style.title, style.artist, style.year, "public domain" in style.rights)), style.name


def test_a_mixture_lies_between_its_styles(library):
    one, other = (library.conditioning(name) for name in ("starry-night", "great-wave"))
    mixed = library.conditioning("starry-night:1,great-wave:3")
    np.testing.assert_allclose(mixed, 0.25 * one + 0.75 * other, rtol=1e-4, atol=1e-5)


def test_strength_leads_from_the_same_identity_to_the_style(library):
    full, none = library.conditioning("starry-night"), library.conditioning("starry-night", 0.0)
    np.testing.assert_array_equal(none, library.conditioning("scream", 0.0))
    np.testing.assert_allclose(library.conditioning("starry-night", 0.5), (full + none) / 2, rtol=1e-4, atol=1e-5)
    assert np.abs(full - none).max() > 0.1


def test_a_picture_is_a_style_at_once(library, picture):
    vector = library.conditioning(str(picture))
    assert vector.shape == library.conditioning("scream").shape
    assert np.isfinite(vector).all()
    darker = picture.with_name("darker.png")
    cv2.imencode(".png", cv2.imdecode(np.fromfile(picture, np.uint8), 1) // 4)[1].tofile(darker)
    assert np.abs(library.conditioning(str(darker)) - vector).max() > 1e-3


def test_a_picture_is_encoded_once_until_it_changes(library, picture, monkeypatch):
    before = library.conditioning(str(picture))
    monkeypatch.setattr(Library, "encode", lambda self, rgb: before + 1)
    np.testing.assert_array_equal(library.conditioning(str(picture), 1.0), before)
    picture.touch()
    assert np.abs(library.conditioning(str(picture)) - before).max() > 0.5


def test_the_encoder_looks_from_corner_to_corner_at_the_size_of_training_and_from_nearer():
    rgb = np.zeros((300, 700, 3), np.uint8)
    rgb[:, -100:] = 255
    squares = looks(rgb)
    assert [square.shape for square in squares] == [(SIDE, SIDE, 3)] * 6
    for last, short_side in ((2, SHORT_SIDE), (5, NEARER)):
        assert squares[last - 2].max() == 0
        white = np.arange(SIDE)[None, :, None] > SIDE - 100 * short_side // 300 + 2
        assert squares[last].min(initial=255, where=white) > 250
        black = np.arange(SIDE)[None, :, None] < SIDE - 100 * short_side // 300 - 4
        assert squares[last].max(initial=0, where=black) < 5


def test_numpy_encodes_what_torch_encodes(library):
    torch = pytest.importorskip("torch")
    from models.training import atelier
    from models.training.pictures import to_tensor

    rgb = np.stack([texture(420, 330, seed, smooth=3) for seed in range(3)], -1)
    with torch.no_grad():
        expected = atelier.from_library(library).encoder(to_tensor(np.stack(looks(rgb)))).mean(0).numpy()
    np.testing.assert_allclose(library.encode(rgb), expected, atol=2e-3 * np.abs(expected).max())


def test_an_added_picture_stays_until_it_is_removed(library, picture):
    style = library.add(read_picture(picture), picture.stem, title="The Garden")
    assert style.name == "m-ller-s-garden"
    assert style.own
    again = Library(own=library.own)
    assert again.style(style.name).title == "The Garden"
    assert [s.name for s in again.styles][-1] == style.name
    np.testing.assert_allclose(again.conditioning(style.name), library.conditioning(str(picture)), atol=0.3)
    picture.unlink()  # what was kept is enough
    again.conditioning(f"{style.name}:1,scream:1")
    again.remove(style.name)
    assert list(library.own.iterdir()) == []
    with pytest.raises(LibraryError, match="no style"):
        again.conditioning(style.name)


def test_a_refined_vector_is_the_style_from_then_on(library, picture):
    name = library.add(read_picture(picture), "garden").name
    library.keep(name, library.conditioning("scream"))
    np.testing.assert_array_equal(library.conditioning(name), library.conditioning("scream"))


def test_an_added_style_is_encoded_again_for_a_network_it_was_not_added_with(library, picture):
    name = library.add(read_picture(picture), "garden").name
    vector = library.conditioning(name)
    from safetensors.numpy import save_file

    save_file({"another": vector}, library.own / f"{name}.safetensors")
    np.testing.assert_allclose(library.conditioning(name), vector, atol=0.3)


def test_names_are_taken_once_and_shipped_styles_stay(library, picture):
    library.add(read_picture(picture), "garden")
    with pytest.raises(LibraryError, match="already"):
        library.add(read_picture(picture), "Garden")
    with pytest.raises(LibraryError, match="already"):
        library.add(read_picture(picture), "starry-night")
    with pytest.raises(LibraryError, match="makes no name"):
        library.add(read_picture(picture), "???")
    with pytest.raises(LibraryError, match="it is shipped"):
        library.remove("starry-night")
    with pytest.raises(LibraryError, match="not one of your own"):
        library.remove("../own/garden")


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n broken"])
def test_what_is_no_picture_is_one_clear_error(library, tmp_path, content):
    path = tmp_path / "x.png"
    path.write_bytes(content)
    with pytest.raises(LibraryError, match="not a picture"):
        library.conditioning(str(path))
    with pytest.raises(LibraryError, match="not a picture"):
        library.add(read_picture(path), "x")
    assert not library.own.exists()


def test_a_tiny_picture_is_refused(library, tmp_path):
    path = tmp_path / "dot.png"
    cv2.imwrite(str(path), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(LibraryError, match="8x8"):
        library.conditioning(str(path))


def test_an_unknown_name_is_refused_with_the_names_there_are(library):
    with pytest.raises(LibraryError, match="starry-night"):
        library.conditioning("mona-lisa")
    with pytest.raises(LibraryError, match="mona-lisa"):
        library.conditioning("starry-night:1,mona-lisa:1")


def test_a_vector_of_another_network_is_refused(library):
    with pytest.raises(LibraryError, match="does not fit"):
        library.painter(np.zeros(17, np.float32))


def test_a_damaged_style_of_ones_own_says_how_to_be_rid_of_it(library, picture):
    name = library.add(read_picture(picture), "garden").name
    (library.own / f"{name}.json").write_text("{")
    with pytest.raises(LibraryError, match="styles remove garden"):
        _ = library.styles
    library.remove(name)
    assert len(library.styles) == len(library.shipped)


def test_weights_that_do_not_fit_their_manifest_are_refused(tmp_path):
    shutil.copytree(shipped(), tmp_path, dirs_exist_ok=True)
    entries = json.loads((tmp_path / "styles.json").read_text())
    (tmp_path / "styles.json").write_text(json.dumps([*entries, {**entries[-1], "name": "one-more"}]))
    with pytest.raises(LibraryError, match="reinstall"):
        Library(tmp_path).conditioning("one-more")
