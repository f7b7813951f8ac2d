"""Still pictures: in natural order, upright, of one size, and the unreadable ones left out."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from clips import levels, read_all
from PIL import Image, ImageCms

from engine.errors import SourceError
from engine.frame import BT709, FULL, LIMITED, Frame
from engine.sources import open_source
from engine.sources.images import ImagesSource

RED, RED_709 = (200, 30, 60), (75, 124, 201)
TAG_ORIENTATION = 0x0112


def grey(path: Path, level: int, size: tuple[int, int] = (16, 12)) -> Path:
    return save(path, np.full((*size[::-1], 3), level, np.uint8))


def save(path: Path, pixels: np.ndarray) -> Path:
    """`pixels` as OpenCV has them: grey, BGR or BGRA, 8 or 16 bits."""
    assert cv2.imwrite(str(path), pixels)
    return path


def limited(level: int) -> int:
    return round(16 + 219 * level / 255)


def read(uri: object, size: tuple[int, int] | None = None) -> tuple[ImagesSource, list[Frame]]:
    source = open_source(str(uri), size)
    assert isinstance(source, ImagesSource)
    return source, read_all(source)[0]


def near(frame: Frame, wanted: tuple[int, ...]) -> bool:
    return all((abs(plane.astype(int) - want) <= 1).all() for plane, want in zip(frame.planes, wanted, strict=True))


def turned(path: Path, pixels: np.ndarray, orientation: int) -> Path:
    """A JPEG whose EXIF says how it is to be turned."""
    done, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 100])
    assert done
    entry = TAG_ORIENTATION.to_bytes(2, "big") + (3).to_bytes(2, "big") + (1).to_bytes(4, "big")
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01" + entry + orientation.to_bytes(2, "big") + bytes(2) + bytes(4)
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    path.write_bytes(encoded.tobytes()[:2] + segment + encoded.tobytes()[2:])
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures 1, 2 and 10, each of the grey that its number times 10 says, and things that are none."""
    for number in (10, 1, 2):
        grey(tmp_path / f"frame{number}.png", 10 * number)
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / ".hidden.png").write_text("not a picture")
    (tmp_path / "folder.png").mkdir()
    return tmp_path


@pytest.mark.parametrize("uri", ["", "/", "/*.png", "/frame*.png", "/frame%d.png", "/frame*"])
def test_pictures_come_in_natural_order(folder: Path, uri: str):
    source, frames = read(f"{folder}{uri}")
    assert [levels(frame) for frame in frames] == [(limited(10 * number), 128, 128) for number in (1, 2, 10)]
    assert [frame.pts for frame in frames] == [frame.index for frame in frames] == [0, 1, 2]
    assert {frame.time_base for frame in frames} == {Fraction(1, 25)}
    assert source.info.frames == 3
    assert source.info.rate == 25
    assert not source.info.live
    assert source.notes == []


def test_a_numbered_pattern_takes_its_digits_only(tmp_path: Path):
    for name in ("a_0001.png", "a_0003.png", "a_12345.png", "a_7.png", "a_x.png", "b_0001.png"):
        grey(tmp_path / name, 50)
    assert read(tmp_path / "a_%04d.png")[0].info.frames == 3


def test_a_glob_takes_kinds_of_one_or_more_letters(tmp_path: Path):
    for name in ("a.png", "b.jpg", "c.bmp", "d.tiff", "e.webp", "f.ppm"):
        grey(tmp_path / name, 100)
    source, frames = read(tmp_path)
    assert len(frames) == 6
    assert source.notes == []


def test_one_still_is_one_frame(tmp_path: Path):
    source, frames = read(grey(tmp_path / "100%d [x].png", 80))
    assert (source.info.frames, len(frames)) == (1, 1)
    assert levels(frames[0]) == (limited(80), 128, 128)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_rgb_of_8_and_16_bits_becomes_limited_bt709(tmp_path: Path, dtype: type):
    factor = 257 if dtype is np.uint16 else 1
    pixels = np.full((12, 16, 3), RED[::-1], dtype) * dtype(factor)
    source, (frame,) = read(save(tmp_path / "a.png", pixels))
    assert near(frame, RED_709)
    assert (source.info.colour.matrix, source.info.colour.range) == (BT709, LIMITED)
    assert (frame.picture.colorspace, frame.picture.color_range) == (BT709, LIMITED)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_is_full_range(tmp_path: Path, dtype: type):
    factor = 257 if dtype is np.uint16 else 1
    _, (frame,) = read(save(tmp_path / "a.png", np.full((12, 16), 200 * factor, dtype)))
    assert near(frame, (200, 128, 128))
    assert frame.picture.color_range == FULL


def test_a_jpeg_stays_full_range(tmp_path: Path):
    source, (frame,) = read(grey(tmp_path / "a.jpg", 250))
    assert near(frame, (250, 128, 128))
    assert source.info.colour.range == frame.picture.color_range == FULL


@pytest.mark.parametrize("clear", [False, True])
def test_a_palette_has_alpha_only_where_it_is_used(tmp_path: Path, clear: bool):
    picture = av.VideoFrame(16, 12, "pal8")
    np.frombuffer(picture.planes[0], np.uint8)[:] = 5
    colours = np.frombuffer(picture.planes[1], np.uint32)
    colours[:] = 0xFF000000
    colours[5] = (77 if clear else 255) << 24 | RED[0] << 16 | RED[1] << 8 | RED[2]
    encoder = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 16, 12, "pal8", Fraction(1, 25)
    (tmp_path / "a.png").write_bytes(b"".join(bytes(packet) for packet in [*encoder.encode(picture), *encoder.encode(None)]))
    source, (frame,) = read(tmp_path / "a.png")
    assert near(frame, RED_709)
    assert source.info.has_alpha is clear
    assert (frame.alpha is not None and bool((frame.alpha == 77).all())) is clear


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_alpha_is_read_apart(tmp_path: Path, dtype: type):
    factor = 257 if dtype is np.uint16 else 1
    pixels = np.full((12, 16, 4), (*RED[::-1], 77), dtype) * dtype(factor)
    source, (frame,) = read(save(tmp_path / "a.png", pixels))
    assert source.info.has_alpha
    assert near(frame, RED_709)
    assert frame.alpha is not None
    assert frame.alpha.shape == (12, 16)
    assert (abs(frame.alpha.astype(int) - 77) <= 1).all()


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (1, lambda p: p),
        (2, np.fliplr),
        (3, lambda p: np.rot90(p, 2)),
        (4, np.flipud),
        (5, lambda p: p.T),
        (6, lambda p: np.rot90(p, -1)),
        (7, lambda p: np.rot90(p, 2).T),
        (8, np.rot90),
    ],
)
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, turn):
    stored = np.kron(np.array([[40, 90], [140, 190]], np.uint8), np.ones((16, 32), np.uint8))
    source, (frame,) = read(turned(tmp_path / "a.jpg", cv2.cvtColor(stored, cv2.COLOR_GRAY2BGR), orientation))
    upright = turn(stored)
    assert (source.info.width, source.info.height) == (frame.width, frame.height) == upright.shape[::-1]
    assert (abs(frame.planes[0].astype(int) - upright) <= 2).all()


def test_other_sizes_are_rescaled_with_one_note(tmp_path: Path):
    for name, size in [("1", (16, 12)), ("2", (32, 24)), ("3", (8, 8))]:
        grey(tmp_path / f"{name}.png", 100, size)
    source, frames = read(tmp_path)
    assert {(frame.width, frame.height) for frame in frames} == {(16, 12)}
    assert all(near(frame, (limited(100), 128, 128)) for frame in frames)
    assert source.notes == ["2 pictures have another size than the first and are rescaled to 16x12"]


def test_another_size_is_rescaled_to(tmp_path: Path):
    source, (frame,) = read(grey(tmp_path / "a.png", 100), (8, 6))
    assert (source.info.width, source.info.height) == (frame.width, frame.height) == (8, 6)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (15, 1)])
def test_odd_sizes_are_read_whole(tmp_path: Path, size):
    _, (frame,) = read(grey(tmp_path / "a.png", 100, size))
    assert (frame.width, frame.height) == size
    assert levels(frame) == (limited(100), 128, 128)


def test_an_unreadable_picture_is_left_out_with_a_note_and_leaves_its_time(tmp_path: Path):
    for number in (1, 2, 4):
        grey(tmp_path / f"{number}.png", 100)
    (tmp_path / "3.png").write_text("not a picture")
    source, frames = read(tmp_path)
    assert [frame.pts for frame in frames] == [0, 1, 3]
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert len(source.notes) == 1
    assert source.notes[0].startswith("1 picture cannot be read and is left out")
    assert "3.png" in source.notes[0]


def test_a_picture_cut_off_does_not_end_the_others(tmp_path: Path):
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    for number in (1, 2, 3):
        save(tmp_path / f"{number}.png", noise)
    whole = (tmp_path / "2.png").read_bytes()
    (tmp_path / "2.png").write_bytes(whole[:40])
    source, frames = read(tmp_path)
    assert [frame.pts for frame in frames] == [0, 2]
    assert "2.png" in source.notes[0]


@pytest.mark.parametrize("count", [1, 3])
def test_nothing_readable_is_an_error(tmp_path: Path, count: int):
    for number in range(count):
        (tmp_path / f"{number}.png").write_text("not a picture")
    with pytest.raises(SourceError) as caught:
        open_source(str(tmp_path))
    assert "0.png" in str(caught.value)
    assert "convert it to PNG or JPEG" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gone.png", "gone.png' does not exist"),
        ("x*.png", "named like"),
        ("x%03d.png", "named like"),
        ("no/*.png", "named like"),
    ],
)
def test_names_that_stand_for_nothing_are_an_error(folder: Path, name: str, words: str):
    with pytest.raises(SourceError, match=words):
        open_source(f"{folder}/{name}")


def test_closing_ends_the_iteration(folder: Path):
    source = ImagesSource(str(folder))
    frames = iter(source)
    next(frames)
    source.close()
    assert list(frames) == []


def test_a_picture_with_a_named_colour_profile_does_not_break_the_garbage_collector(tmp_path):
    """It did, hard, through PyAV's side data: in another process, so that the tests survive it."""
    path = tmp_path / "profiled.png"
    Image.new("RGB", (64, 48), (200, 30, 30)).save(
        path, icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    )
    program = (
        "import gc, sys\nfrom engine.sources import open_source\n"
        "for _ in range(5):\n    source = open_source(sys.argv[1])\n    frames = list(source)\n    source.close()\n"
        "    del source, frames\n    gc.collect()\n"
    )
    assert subprocess.run([sys.executable, "-c", program, str(path)], check=False).returncode == 0
