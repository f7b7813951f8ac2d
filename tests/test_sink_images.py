"""Single pictures: names, colours, opacity."""

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import flat

from engine.errors import AllaPrimaError, SinkError, UsageError
from engine.frame import Colour, Frame, StreamInfo
from engine.sinks import Encoding, open_sink

INFO = StreamInfo(16, 12, Fraction(1, 25), Fraction(25))


def painted(levels: tuple[int, int, int] = (126, 128, 128), index: int = 0, alpha: np.ndarray | None = None) -> Frame:
    return Frame(flat(16, 12, levels), index, Fraction(1, 25), index, 0.0, alpha=alpha)


def rgb(path: Path) -> tuple[int, ...]:
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    return tuple(int(value) for value in picture[6, 8, :3][::-1])


def test_a_folder_is_made_and_filled_in_order(tmp_path: Path) -> None:
    sink = open_sink(f"{tmp_path}/out/", INFO)
    for index in range(3):
        sink.write(painted(index=index))
    sink.close()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"frame_{n:06}.png" for n in range(3)]


def test_a_pattern_numbers_from_zero(tmp_path: Path) -> None:
    sink = open_sink(str(tmp_path / "still_%03d.bmp"), INFO)
    for index in range(2):
        sink.write(painted(index=index))
    sink.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["still_000.bmp", "still_001.bmp"]


def test_a_second_frame_does_not_fit_into_one_picture(tmp_path: Path) -> None:
    sink = open_sink(str(tmp_path / "still.png"), INFO)
    sink.write(painted((235, 128, 128)))
    with pytest.raises(SinkError, match="one picture, "):
        sink.write(painted((16, 128, 128), 1))
    assert rgb(tmp_path / "still.png") == (255, 255, 255)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "tiff", "ppm", "jpg", "jpeg", "webp"])
def test_every_format_can_be_read_back(tmp_path: Path, suffix: str) -> None:
    sink = open_sink(str(tmp_path / f"still.{suffix}"), INFO)
    sink.write(painted((126, 128, 128)))
    sink.close()
    assert rgb(tmp_path / f"still.{suffix}") == (pytest.approx(128, abs=2),) * 3


def _rgb_of(samples: tuple[int, int, int], weights: tuple[float, float], full: bool) -> list[float]:
    """H.273, equations 38 to 46 the other way round."""
    red_weight, blue_weight = weights
    luma = samples[0] / 255 if full else (samples[0] - 16) / 219
    blue, red = ((sample - 128) / (255 if full else 224) for sample in samples[1:])
    r, b = luma + 2 * (1 - red_weight) * red, luma + 2 * (1 - blue_weight) * blue
    g = (luma - red_weight * r - blue_weight * b) / (1 - red_weight - blue_weight)
    return [255 * min(max(value, 0), 1) for value in (r, g, b)]


@pytest.mark.parametrize("samples", [(120, 90, 160), (180, 140, 100), (81, 110, 190)])
@pytest.mark.parametrize(
    ("colour", "weights"),
    [
        (Colour(1, 1), (0.2126, 0.0722)),
        (Colour(6, 1), (0.299, 0.114)),
        (Colour(1, 2), (0.2126, 0.0722)),
        (Colour(5, 2), (0.299, 0.114)),
        (Colour(9, 1), (0.2627, 0.0593)),
        (Colour(), (0.299, 0.114)),
    ],
    ids=["709", "601", "709 full", "601 full", "2020", "unsaid and small"],
)
def test_red_green_and_blue_follow_the_matrix_and_the_range(
    tmp_path: Path, samples: tuple[int, int, int], colour: Colour, weights: tuple[float, float]
) -> None:
    sink = open_sink(str(tmp_path / "still.png"), StreamInfo(16, 12, Fraction(1, 25), Fraction(25), colour))
    sink.write(painted(samples))
    sink.close()
    assert rgb(tmp_path / "still.png") == pytest.approx(_rgb_of(samples, weights, colour.full_range), abs=2)


@pytest.mark.parametrize("colour", [Colour(1, 1), Colour(1, 2)], ids=["limited", "full"])
def test_black_and_white_are_black_and_white(tmp_path: Path, colour: Colour) -> None:
    sink = open_sink(f"{tmp_path}/", StreamInfo(16, 12, Fraction(1, 25), Fraction(25), colour))
    for index, level in enumerate((0, 255) if colour.full_range else (16, 235)):
        sink.write(painted((level, 128, 128), index))
    sink.close()
    assert [rgb(path) for path in sorted(tmp_path.iterdir())] == [(0, 0, 0), (255, 255, 255)]


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_opacity_is_kept_where_the_format_can(tmp_path: Path, suffix: str) -> None:
    alpha = np.full((12, 16), 255, np.uint8)
    alpha[:, :8] = 40
    info = StreamInfo(16, 12, Fraction(1, 25), Fraction(25), has_alpha=True)
    sink = open_sink(str(tmp_path / f"still_%d.{suffix}"), info)
    sink.write(painted(alpha=alpha))
    sink.write(painted(index=1))
    first, second = (cv2.imread(str(tmp_path / f"still_{n}.{suffix}"), cv2.IMREAD_UNCHANGED) for n in range(2))
    assert first is not None
    assert second is not None
    assert np.array_equal(first[..., 3], alpha)
    assert second.shape[2] == 3 or (second[..., 3] == 255).all()  # readers of WebP leave out what is opaque everywhere


def test_elsewhere_the_painting_stands_before_black(tmp_path: Path) -> None:
    info = StreamInfo(16, 12, Fraction(1, 25), Fraction(25), has_alpha=True)
    sink = open_sink(str(tmp_path / "still.bmp"), info)
    sink.write(painted((235, 128, 128), alpha=np.zeros((12, 16), np.uint8)))
    assert rgb(tmp_path / "still.bmp") == (0, 0, 0)


def test_discarding_removes_this_run_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "frame_000007.png").write_bytes(b"older")
    sink = open_sink(f"{tmp_path}/", INFO)
    sink.write(painted())
    sink.discard()
    assert [path.name for path in tmp_path.iterdir()] == ["frame_000007.png"]


def test_discarding_removes_the_folder_it_made(tmp_path: Path) -> None:
    sink = open_sink(f"{tmp_path}/out/", INFO)
    sink.write(painted())
    sink.discard()
    assert not (tmp_path / "out").exists()


def test_a_lower_quality_number_is_a_better_picture(tmp_path: Path) -> None:
    noise = painted()
    noise.planes[0][:] = np.random.default_rng(1).integers(16, 235, (12, 16), np.uint8)
    for quality in (2, 80):
        sink = open_sink(str(tmp_path / f"{quality}.jpg"), INFO, Encoding(quality=quality))
        sink.write(noise)
    assert (tmp_path / "2.jpg").stat().st_size > (tmp_path / "80.jpg").stat().st_size


def test_an_odd_size_is_kept(tmp_path: Path) -> None:
    sink = open_sink(str(tmp_path / "still.png"), StreamInfo(15, 11, Fraction(1, 25)))
    sink.write(Frame(flat(15, 11, (126, 128, 128)), 0, Fraction(1, 25), 0, 0.0))
    picture = cv2.imread(str(tmp_path / "still.png"))
    assert picture is not None
    assert picture.shape == (11, 15, 3)


@pytest.mark.parametrize(
    ("name", "encoding", "words"),
    [
        ("nowhere/still.png", Encoding(), "does not exist"),
        ("nowhere/deep/", Encoding(), "cannot be made"),
        ("still.png", Encoding("h264"), "no codec"),
        ("still.jpg", Encoding(quality=100), "0 to 99"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(tmp_path: Path, name: str, encoding: Encoding, words: str) -> None:
    with pytest.raises(AllaPrimaError, match=words) as caught:
        open_sink(f"{tmp_path}/{name}", INFO, encoding)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, UsageError) == (encoding != Encoding())
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_called_full(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("has no device that is always full")
    (tmp_path / "still.partial.png").symlink_to("/dev/full")
    sink = open_sink(str(tmp_path / "still.png"), INFO)
    with pytest.raises(SinkError, match="the disk is full"):
        sink.write(painted())
    assert list(tmp_path.iterdir()) == []
