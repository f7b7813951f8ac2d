"""Every CUDA kernel equals its NumPy reference: compiled by g++ and run here, and on a GPU where there is one.

With REQUIRE_GPU set, a missing GPU is a failure.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from cuda_on_cpu import COMPILER, build, open_device
from scenes import field_of

from kernels import cuda, dis, reference, reference_motion
from kernels.cuda import PITCH
from kernels.gpu import FlowSearch
from kernels.layout import BLOCK, BORDER, tile_grid

SIZES = [(1, 1), (2, 3), (37, 21), (64, 48), (131, 70)]
f32 = np.float32
ROWS_OF_32 = (32, 8)  # threads


@pytest.fixture(scope="module", params=["cpu", "gpu"])
def device(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return open_device(request.param, tmp_path_factory)


@pytest.fixture(scope="module", params=["cpu", "gpu"])
def half_device(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return open_device(request.param, tmp_path_factory, wet_half=True)


def on(device: Any, array: np.ndarray) -> Any:
    """A copy of the array on the device."""
    there = device.zeros(array.shape, array.dtype)
    device.send(np.ascontiguousarray(array), there)
    device.mark().synchronize()
    return there


def back(device: Any, array: Any) -> np.ndarray:
    host = np.empty(array.shape, array.dtype)
    device.fetch(array, host)
    device.mark().synchronize()
    return host


def pitched(plane: np.ndarray, dtype: Any = None) -> np.ndarray:
    """The plane [..., H, W] with rows of a multiple of PITCH, the rest of each filled with what must not be read."""
    *rest, width = plane.shape
    room = np.full((*rest, -(-width // PITCH) * PITCH), 77, dtype or plane.dtype)
    room[..., :width] = plane
    return room


def launch(device: Any, kernel: str, threads: tuple[int, ...], block: tuple[int, int], *arguments: Any) -> None:
    """With at least `threads` threads."""
    grid = tuple(-(-count // size) for count, size in zip(threads, (*block, 1), strict=False))
    device.launch(kernel, grid, block, *arguments)


def planes_of(width: int, height: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    shapes = [(height, width), *[((height + 1) // 2, (width + 1) // 2)] * 2]
    return tuple(random.integers(0, 256, shape).astype(np.uint8) for shape in shapes)


def chroma_of(cb: np.ndarray, cr: np.ndarray, interleaved: bool) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Both planes in one array, planar or as in NV12, and its pitch, step and way to Cr."""
    if interleaved:
        both = pitched(np.stack([cb, cr], -1).reshape(cb.shape[0], -1))
        return both, (both.shape[1], 2, 1)
    both = pitched(np.stack([cb, cr]))
    return both, (both.shape[2], 1, both.shape[1] * both.shape[2])


def settings(consistency: float = 0.8, keep_color: bool = False, begun: bool = True) -> np.ndarray:
    return np.array([consistency, keep_color, begun], f32)


def wet_planes(count: int, width: int, height: int) -> np.ndarray:
    """Wet paint float32 [count, H, W] in [0, 255]."""
    return (255 * np.random.default_rng(5).random((count, height, width))).astype(f32)


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("interleaved", [False, True])
def test_packing_equals_the_reference(device, width, height, interleaved):
    luma, cb, cr = planes_of(width, height)
    chroma, layout = chroma_of(cb, cr, interleaved)
    rows, columns = tile_grid(width, height)
    tiles = on(device, np.zeros((rows, columns, 40), np.uint8))
    luma_there = on(device, pitched(luma))
    camera = (luma_there, luma_there.shape[1], on(device, chroma), *layout)
    launch(device, "pack_tiles", (columns, rows), ROWS_OF_32, *camera, width, height, tiles, rows, columns)
    np.testing.assert_array_equal(back(device, tiles)[..., :24], reference.pack_tiles(luma, cb, cr))


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("fainter", [1, 16, 64])
def test_texture_equals_the_reference(device, width, height, fainter):
    luma, *chroma = planes_of(width, height)
    luma = luma // fainter
    packed = reference.pack_tiles(luma, *chroma)
    rows, columns, _ = packed.shape
    plane, grid = on(device, pitched(luma)), (rows, columns)
    detail = device.zeros((rows * 4, columns * 4), f32)
    energy, gain = device.zeros(grid, f32), device.zeros(grid, f32)
    tiles = on(device, np.concatenate([packed, np.zeros((*grid, 16), np.uint8)], 2))
    pixels = (columns * 4, rows * 4)
    launch(device, "find_detail", pixels, ROWS_OF_32, plane, plane.shape[1], width, height, detail, energy, *grid)
    launch(device, "measure_detail", (columns, rows), ROWS_OF_32, energy, gain, *grid)
    launch(device, "write_texture", (columns, rows), ROWS_OF_32, detail, gain, tiles, *grid)
    found = back(device, tiles)
    np.testing.assert_array_equal(found[..., :24], packed)
    apart = np.abs(found[..., 24:].astype(int) - reference.texture(packed))
    assert apart.max() <= 1  # which way the half of a code is rounded
    assert apart.mean() < 1e-3


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("interleaved", [False, True])
def test_unpacking_gives_back_what_was_packed(device, width, height, interleaved):
    luma, cb, cr = planes_of(width, height)
    expected, layout = chroma_of(cb, cr, interleaved)
    tiles = reference.pack_tiles(luma, cb, cr)
    rows, columns, _ = tiles.shape
    luma_there, chroma_there = on(device, pitched(0 * luma)), on(device, np.full_like(expected, 77))
    out = (luma_there, luma_there.shape[1], chroma_there, *layout)
    launch(device, "unpack_tiles", (columns, rows), ROWS_OF_32, on(device, tiles), rows, columns, width, height, *out)
    np.testing.assert_array_equal(back(device, luma_there)[:, :width], luma)
    np.testing.assert_array_equal(back(device, chroma_there), expected)


def test_ten_bits_are_rounded_to_eight(device):
    codes = np.arange(1024, dtype=np.uint16).reshape(8, 128)
    there = device.zeros(codes.shape, np.uint8)
    launch(device, "round_p010", (32, 8), ROWS_OF_32, on(device, codes << 6), 128, 128, 8, there, 128)
    expected = np.minimum(np.floor(codes / 4 + 0.5), 255)
    np.testing.assert_array_equal(back(device, there), expected)


def blend_luma(device, wet, field, scale, tiles, fresh, consistency):
    height, width = wet.shape
    there = on(device, pitched(wet, device.wet))
    out = on(device, np.zeros_like(pitched(wet, device.wet)))
    _, rows, columns = field.shape
    motion = (on(device, field), rows, columns, 1 / scale)
    paint = (on(device, tiles), tiles.shape[1], fresh, on(device, settings(consistency)))
    threads = (width, -(-height // 4))
    launch(device, "blend_luma", threads, ROWS_OF_32, there, there.shape[1], width, height, *motion, *paint, out)
    return back(device, out)[:, :width].astype(f32)


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
@pytest.mark.parametrize("fresh", [True, False])
def test_blending_luma_equals_the_reference(device, scale, fresh):
    planes = planes_of(123, 61)
    wet = wet_planes(1, 123, 61)[0]
    field = field_of(-(-61 // scale), -(-123 // scale))
    found = blend_luma(device, wet, field, scale, reference.pack_tiles(*planes), int(fresh), 0.8)
    paint = planes[0] if fresh else None
    expected = reference.blend_plane(reference.pad_wet(wet), field, scale, 1, True, paint, wet.shape, 0.8)
    np.testing.assert_allclose(found, expected[BORDER:-BORDER, BORDER:-BORDER], atol=4e-3)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_blending_luma_of_any_size_equals_the_reference(device, width, height):
    planes = planes_of(width, height)
    wet = wet_planes(1, width, height)[0]
    field = field_of(-(-height // 4), -(-width // 4))
    found = blend_luma(device, wet, field, 4, reference.pack_tiles(*planes), 1, 0.9)
    expected = reference.blend_plane(reference.pad_wet(wet), field, 4, 1, True, planes[0], wet.shape, 0.9)
    np.testing.assert_allclose(found, expected[BORDER:-BORDER, BORDER:-BORDER], atol=4e-3)


def test_paint_that_stands_still_is_copied_exactly(device):
    wet = wet_planes(1, 70, 41)[0]
    field = np.zeros((3, 11, 18), f32)
    np.testing.assert_array_equal(blend_luma(device, wet, field, 4, np.zeros((18, 24, 24), np.uint8), 0, 1), wet)


def test_paint_carried_by_whole_pixels_is_shifted_exactly(device):
    wet = wet_planes(1, 64, 40)[0]
    field = np.zeros((3, 10, 16), f32)
    field[0], field[1] = 3, -2
    found = blend_luma(device, wet, field, 4, np.zeros((14, 20, 24), np.uint8), 0, 1)
    np.testing.assert_array_equal(found[2:, :61], wet[:38, 3:])


def test_half_precision_paint_is_off_by_its_steps_at_most(half_device):
    planes = planes_of(70, 41)
    wet = wet_planes(1, 70, 41)[0].astype(np.float16).astype(f32)
    field = field_of(11, 18)
    found = blend_luma(half_device, wet, field, 4, reference.pack_tiles(*planes), 1, 0.9)
    expected = reference.blend_plane(reference.pad_wet(wet), field, 4, 1, True, planes[0], wet.shape, 0.9)
    np.testing.assert_allclose(found, expected[BORDER:-BORDER, BORDER:-BORDER], atol=1 / 16 + 4e-3)


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize(("scale", "fresh", "interleaved", "keep"), [(1, 1, 0, 0), (2, 1, 1, 0), (8, 0, 1, 0), (4, 1, 1, 1)])
def test_blending_chroma_equals_the_reference(device, width, height, scale, fresh, interleaved, keep):
    luma, cb, cr = planes_of(width, height)
    camera, layout = chroma_of(cb, cr, bool(interleaved))
    rows, columns = cb.shape
    wet = wet_planes(2, columns, rows)
    there = on(device, pitched(wet, device.wet))
    out, painted = on(device, np.zeros_like(pitched(wet, device.wet))), on(device, np.full_like(camera, 77))
    field = field_of(-(-height // scale), -(-width // scale))
    tiles = on(device, reference.pack_tiles(luma, cb, cr))
    motion = (on(device, field), *field.shape[1:], int(scale == 1), 1 / max(scale // 2, 1))
    paint = (tiles, tiles.shape[1], fresh, on(device, settings(0.8, bool(keep))))
    result = (on(device, camera), out, painted, *layout)
    threads = (columns, -(-rows // 2))
    launch(device, "blend_chroma", threads, ROWS_OF_32, there, there.shape[2], columns, rows, *motion, *paint, *result)
    found, field = back(device, out)[..., :columns], field[:, ::2, ::2] if scale == 1 else field
    for index, plane in enumerate((cb, cr)):
        paint = plane if fresh else None
        wide = reference.pad_wet(wet[index])
        expected = reference.blend_plane(wide, field, max(scale // 2, 1), 0.5, False, paint, plane.shape, 0.8)
        np.testing.assert_allclose(found[index], expected[BORDER:-BORDER, BORDER:-BORDER], atol=1e-3)
    rounded = [plane if keep else reference.round_plane(wet) for plane, wet in zip((cb, cr), found, strict=True)]
    np.testing.assert_array_equal(back(device, painted), chroma_of(*rounded, bool(interleaved))[0])


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("fresh", [True, False])
def test_comparing_blocks_equals_the_reference(device, width, height, fresh):
    planes = planes_of(width, height)
    wet = wet_planes(1, width, height)[0]
    there, tiles = on(device, pitched(wet, device.wet)), on(device, reference.pack_tiles(*planes))
    rows, columns = -(-height // BLOCK), -(-width // BLOCK)
    before = (1000 * np.random.default_rng(3).random((3, rows, columns))).astype(f32)
    known, found = on(device, before), device.zeros((3, rows, columns), f32)
    gain, lift = device.zeros((2, rows, columns), f32), device.zeros((rows, columns), f32)
    numbers = (0.6 / BLOCK**2, 0.97, 1.5, 0.5)
    plane = (there, there.shape[1], width, height)
    out = (known, found, gain, lift)
    device.launch("compare_blocks", (columns, rows), (256,), *plane, tiles, tiles.shape[1], int(fresh), *numbers, *out)
    blended, paint = reference.measure(wet), reference.measure(planes[0]) if fresh else before
    np.testing.assert_allclose(back(device, found), blended, rtol=1e-6, atol=1e-3)
    np.testing.assert_allclose(back(device, known), paint, rtol=1e-6, atol=1e-3)
    expected = np.clip((paint[:2] / np.maximum(blended[:2], 1) * 0.97 - 1) * 1.5, 0, 0.5)
    np.testing.assert_allclose(back(device, gain), expected, atol=1e-4)
    np.testing.assert_allclose(back(device, lift), fresh * 0.6 / BLOCK**2 * (paint[2] - blended[2]), atol=1e-4)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_restoring_detail_equals_the_reference(device, width, height):
    wet = wet_planes(1, width, height)[0]
    gain = np.random.default_rng(1).random((2, -(-height // BLOCK), -(-width // BLOCK))).astype(f32)
    lift = 10 * gain[0, ::-1, ::-1] - 5
    there, out = on(device, pitched(wet, device.wet)), on(device, pitched(0 * wet, device.wet))
    painted = on(device, pitched(np.zeros((height, width), np.uint8)))
    blocks = (on(device, gain), on(device, lift), *lift.shape)
    threads = (-(-width // 4), height)
    plane = (there, there.shape[1], width, height)
    launch(device, "restore_plane", threads, ROWS_OF_32, *plane, *blocks, out, painted, painted.shape[1])
    found = back(device, out)[:, :width]
    expected, _ = reference.restore_plane(reference.pad_wet(wet), gain, lift)
    np.testing.assert_allclose(found, expected[BORDER:-BORDER, BORDER:-BORDER], atol=2e-4)
    np.testing.assert_array_equal(back(device, painted)[:, :width], reference.round_plane(found))


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (37, 21), (301, 205)])
def test_cells_and_their_pyramid_equal_the_reference(device, scale, width, height):
    random = np.random.default_rng(4)
    luma = random.integers(0, 256, (height, width)).astype(np.uint8)
    small = shrunk(luma, scale)
    rows, columns = small.shape
    expected = dis.pyramid(small)
    there, cells = on(device, pitched(luma)), device.zeros(small.shape, np.uint8)
    pyramid = device.zeros((sum(level.size for level in expected),), f32)
    pixels = (there, there.shape[1], width, height, scale)
    grid = (-(-columns // 16), -(-rows // 16))
    device.launch("build_pyramid", grid, (16, 16), *pixels, cells, rows, columns, pyramid, len(expected))
    np.testing.assert_array_equal(back(device, cells), small)
    np.testing.assert_array_equal(back(device, pyramid), np.concatenate([level.ravel() for level in expected]))


def shrunk(luma: np.ndarray, scale: int) -> np.ndarray:
    """As `engine.flow` does it."""
    height, width = luma.shape
    framed = cv2.copyMakeBorder(luma, 0, -height % scale, 0, -width % scale, cv2.BORDER_REPLICATE)
    size = (framed.shape[1] // scale, framed.shape[0] // scale)
    return cv2.resize(framed, size, interpolation=cv2.INTER_AREA)


def small_pair(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Two small pictures, and motions between them that do not always agree."""
    random = np.random.default_rng(0)
    rows, columns = shape
    small, previous = (random.integers(80, 120, shape).astype(np.uint8) for _ in range(2))
    coarse = random.normal(0, 1.0, (-(-rows // 5), -(-columns // 5), 2))
    backward = np.repeat(np.repeat(coarse, 5, 0), 5, 1)[:rows, :columns].astype(f32)
    forward = -backward + random.normal(0, 0.4, (*shape, 2)).astype(f32)
    return small, previous, backward, forward


@pytest.mark.parametrize("scale", [1, 4])
@pytest.mark.parametrize("shape", [(45, 80), (1, 1), (7, 33)])
def test_motion_field_and_its_verdict_equal_the_reference(device, scale, shape):
    small, previous, backward, forward = small_pair(shape)
    rows, columns = shape
    field, residual = device.zeros((3, *shape), f32), device.zeros(shape, f32)
    blocks = -(-columns // 32) * -(-rows // 8)
    sums, verdict = device.zeros((2, blocks), f32), device.zeros((3,), f32)
    known = (on(device, small), on(device, previous), on(device, np.stack([backward, forward])), rows, columns)
    limits = (0.4, 1.0, 6.0, 20.0)
    results = (field, residual, sums)
    launch(device, "motion_field", (columns, rows), ROWS_OF_32, *known, float(scale), *limits, *results)
    expected, residual_expected = reference_motion.motion_field(small, previous, backward, forward, scale, *limits)
    if shape == (45, 80):
        assert 0.05 < (expected[2] > 0).mean() < 0.95  # both outcomes occur
        assert 0 < (expected[0] == 0).mean() < 1
    np.testing.assert_allclose(back(device, field), expected, atol=1e-4)
    np.testing.assert_allclose(back(device, residual), residual_expected, atol=1e-4)

    confidence, error = expected[2].mean(), np.abs(residual_expected).mean()
    for least, most, begun, cut in [
        (confidence + 0.01, error - 0.01, True, True),
        (confidence - 0.01, error - 0.01, True, False),
        (confidence + 0.01, error + 0.01, True, False),
        (confidence - 0.01, error + 0.01, False, True),
    ]:
        numbers = (blocks, 1 / (rows * columns), float(least), float(most), on(device, settings(begun=begun)))
        device.launch("judge", (1,), (256,), sums, *numbers, verdict)
        np.testing.assert_allclose(back(device, verdict), [confidence, error, cut], rtol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (2, 5), (20, 30), (45, 80)])
@pytest.mark.parametrize("fresh", [True, False])
def test_settling_the_field_equals_erosion_blur_and_discount(device, shape, fresh):
    rows, columns = shape
    field = field_of(rows, columns)
    stale = np.random.default_rng(2).random(shape).astype(f32)
    out, next_stale = device.zeros((3, *shape), f32), device.zeros(shape, f32)
    for cut in (0, 1):
        verdict = on(device, np.array([0.5, 5, cut], f32))
        given = (on(device, field), rows, columns, 4.0, verdict, on(device, stale), int(fresh))
        launch(device, "settle_field", (columns, rows), ROWS_OF_32, *given, out, next_stale)
        expected = (1 - cut) * field
        expected[2] = cv2.blur((cv2.erode(expected[2], np.ones((3, 3), np.uint8)) + expected[2]) / 2, (3, 3))
        expected[2] = reference_motion.discount(expected, 4, stale)
        np.testing.assert_allclose(back(device, out), expected, atol=1e-5)
        np.testing.assert_allclose(back(device, next_stale), 0 if fresh else 1 - expected[2], atol=1e-5)


@pytest.mark.parametrize("size", [(16, 16), (47, 33), (66, 41)])
def test_dense_search_equals_its_definition(device, size):
    columns, rows = size
    one, other = moved_texture(columns, rows)
    search = FlowSearch(device, rows, columns)
    pyramids = [on(device, np.concatenate([level.ravel() for level in dis.pyramid(p)])) for p in (one, other)]
    search.run(*pyramids)
    found = back(device, search.motion)
    np.testing.assert_array_equal(found, np.stack([dis.flow(one, other), dis.flow(other, one)]))


def moved_texture(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """A texture, and the same moved unevenly by a few cells."""
    random = np.random.default_rng(7)
    wide = cv2.GaussianBlur(random.random((height + 20, width + 20)).astype(f32), (0, 0), 1.5)
    wide = np.clip((wide - wide.mean()) / wide.std() * 40 + 128, 0, 255)
    y, x = np.mgrid[:height, :width].astype(f32)
    moved = cv2.remap(wide, x + 12 + 2 * np.sin(y / 9), y + 8.5 + np.cos(x / 11), cv2.INTER_CUBIC)
    return wide[10 : 10 + height, 10 : 10 + width].astype(np.uint8), np.clip(moved, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("given", [(1, 2), tuple(range(11)), (1.0, *range(4))])
def test_wrong_arguments_are_refused(given):
    with pytest.raises(TypeError, match="takes"):
        cuda.arguments("sweep", given)


@pytest.fixture(scope="module")
def checked_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory, flags=("-fsanitize=address",))


def run_checked(library: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Python under AddressSanitizer, which must be there before all else."""
    sanitizer = subprocess.run([str(COMPILER), "-print-file-name=libasan.so"], capture_output=True, text=True).stdout.strip()
    if not Path(sanitizer).is_file():
        pytest.skip("no libasan")
    sanitized = {"LD_PRELOAD": sanitizer, "ASAN_OPTIONS": "detect_leaks=0", "CUDA_ON_CPU_LIBRARY": str(library)}
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, **sanitized},
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
def test_kernels_stay_inside_of_their_memory(checked_library):
    files = [__file__, str(Path(__file__).with_name("test_convolution.py"))]
    only = "cpu and not half and not network"  # what runs on a stand-in, and loads no library that the sanitizer dislikes
    done = run_checked(checked_library, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", only, *files)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_a_kernel_that_leaves_its_memory_is_caught_with_its_line(checked_library):
    code = (
        "import sys, numpy as np; from pathlib import Path; from cuda_on_cpu import CpuDevice\n"
        "deep, plane = np.zeros((2, 128), np.uint16), np.zeros((1, 128), np.uint8)\n"
        "CpuDevice(Path(sys.argv[1])).launch('round_p010', (1, 1), (32, 2), deep, 128, 128, 2, plane, 128)"
    )
    done = run_checked(checked_library, "-c", code, str(checked_library))
    assert done.returncode != 0
    assert "heap-buffer-overflow" in done.stderr
    assert "paint.cu" in done.stderr
