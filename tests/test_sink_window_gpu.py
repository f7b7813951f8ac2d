"""Pictures on a GPU are shown by OpenGL without a download (`cuda_gl`, `nvdec` stand in for it), as those on the CPU are."""

from collections.abc import Callable
from fractions import Fraction
from threading import Thread
from typing import Any

import av
import cv2
import numpy as np
import pytest
from clips import flat
from cuda_gl import PyCuda, shown
from nvdec import CudaPicture, Nvdec

from engine.errors import SinkClosed
from engine.frame import FULL, LIMITED, Colour, Frame, StreamInfo
from engine.sinks import Encoding, opengl
from engine.sinks.window import WindowSink

sdl2 = pytest.importorskip("sdl2")
pytest.importorskip("moderngl")

SIZE = (96, 64)
INFO = StreamInfo(*SIZE, Fraction(1, 25), Fraction(25))
ON_DEVICE = Encoding(on_device=True)


@pytest.fixture(autouse=True)
def _driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "offscreen")
    sdl2.SDL_InitSubSystem(sdl2.SDL_INIT_VIDEO)
    opengl.GlCanvas.prepare(sdl2)
    window = sdl2.SDL_CreateWindow(b"", 0, 0, 8, 8, sdl2.SDL_WINDOW_OPENGL)
    context = window and sdl2.SDL_GL_CreateContext(window)
    why = sdl2.SDL_GetError().decode()
    if context:
        sdl2.SDL_GL_DeleteContext(context)
    if window:
        sdl2.SDL_DestroyWindow(window)
    sdl2.SDL_QuitSubSystem(sdl2.SDL_INIT_VIDEO)
    if not context:
        pytest.skip(f"no OpenGL here ({why})")


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> PyCuda:
    return PyCuda(monkeypatch)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Nvdec:
    return Nvdec(monkeypatch)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """What was shown, uint8 [h, w, 3]."""
    swap, seen = sdl2.SDL_GL_SwapWindow, list[np.ndarray]()

    def swapped(window: Any) -> None:
        seen.append(shown(SIZE))
        swap(window)

    monkeypatch.setattr(sdl2, "SDL_GL_SwapWindow", swapped)
    return seen


def painted(gpu: Nvdec, paint: av.VideoFrame, camera: av.VideoFrame) -> Frame:
    """On the device, as is what it was made of."""
    before: Any = CudaPicture(camera, gpu)
    return Frame(before, 0, Fraction(1, 25), 0, 0.0).like(CudaPicture(paint, gpu))  # type: ignore[arg-type]


PAINT, CAMERA = flat(*SIZE, (90, 100, 160)), flat(*SIZE, (200, 128, 128))


def press(key: int) -> None:
    event = sdl2.SDL_Event()
    event.type, event.key.keysym.sym = sdl2.SDL_KEYDOWN, key
    sdl2.SDL_PushEvent(event)


@pytest.mark.parametrize("colour", [Colour(1, LIMITED), Colour(6, LIMITED), Colour(6, FULL)])
def test_a_picture_has_the_colours_that_its_matrix_and_range_say(
    cuda: PyCuda, gpu: Nvdec, screen: list[np.ndarray], colour: Colour
) -> None:
    rgb = cv2.resize(np.random.default_rng(1).integers(30, 220, (4, 6, 3), np.uint8), SIZE, interpolation=cv2.INTER_LINEAR)
    given = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(
        format="yuv420p", dst_colorspace=colour.matrix - (colour.matrix == 6), dst_color_range=colour.range
    )
    sink = WindowSink("window", StreamInfo(*SIZE, Fraction(1, 25), colour=colour), ON_DEVICE)
    assert sink.on_device
    sink.write(painted(gpu, given, CAMERA))
    assert np.abs(screen[0].astype(int) - rgb)[4:-4, 4:-4].mean() < 2
    assert (cuda.copies, gpu.downloads, sink.notes) == (2, 0, [])
    sink.close()
    assert cuda.registered == set()
    assert not cuda.entered


def test_space_shows_what_was_painted_and_b_both_side_by_side(cuda: PyCuda, gpu: Nvdec, screen: list[np.ndarray]) -> None:
    sink = WindowSink("window", INFO, ON_DEVICE)

    def after(*keys: int) -> tuple[list[int], list[int]]:
        """The colours at the left and at the right."""
        for key in keys:
            press(key)
        for _ in range(2):
            sink.write(painted(gpu, PAINT, CAMERA))
        return screen[-1][32, 4].tolist(), screen[-1][32, -5].tolist()

    paint, camera = after()[0], after(sdl2.SDLK_SPACE)[0]
    assert paint != camera
    assert after(sdl2.SDLK_SPACE, sdl2.SDLK_b) == (camera, paint)
    assert gpu.downloads == 0
    press(sdl2.SDLK_ESCAPE)
    with pytest.raises(SinkClosed):
        sink.write(painted(gpu, PAINT, CAMERA))
    sink.close()


def test_it_is_closed_on_another_thread_than_that_which_drew(cuda: PyCuda, gpu: Nvdec, screen: list[np.ndarray]) -> None:
    sink = WindowSink("window", INFO, ON_DEVICE)
    painter = Thread(target=lambda: [sink.write(painted(gpu, PAINT, CAMERA)) for _ in range(2)])
    painter.start()
    painter.join()
    assert len(screen) == 2
    sink.close()
    assert cuda.registered == set()


def test_a_picture_of_the_cpu_is_shown_as_one_of_the_gpu(cuda: PyCuda, gpu: Nvdec, screen: list[np.ndarray]) -> None:
    sink = WindowSink("window", INFO, ON_DEVICE)
    sink.write(painted(gpu, PAINT, CAMERA))
    sink.write(Frame(PAINT, 0, Fraction(1, 25), 0, 0.0))
    assert np.array_equal(screen[0], screen[1])
    sink.close()


def test_the_picture_keeps_its_shape_between_bars(cuda: PyCuda, gpu: Nvdec, screen: list[np.ndarray]) -> None:
    sink = WindowSink("window", INFO, ON_DEVICE)
    sink.write(painted(gpu, CAMERA, PAINT))
    sdl2.SDL_SetWindowSize(sink._window, SIZE[0], SIZE[1] // 2)
    sink.write(painted(gpu, CAMERA, PAINT))
    across = screen[-1][-10, :, 0] > 100
    assert abs(across.sum() - SIZE[0] // 2) <= 1
    assert not across[:20].any()
    assert not across[-20:].any()
    sink.close()


def without_interop(cuda: PyCuda) -> None:
    cuda.refuses = True


def lost_at_once(cuda: PyCuda) -> None:
    cuda.lost = True


@pytest.mark.parametrize("breaks", [without_interop, lost_at_once])
def test_where_opengl_cannot_have_them_they_are_downloaded_and_it_says_why(
    cuda: PyCuda, gpu: Nvdec, screen: list[np.ndarray], breaks: Callable[[PyCuda], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDL_RENDER_DRIVER", "software")
    breaks(cuda)
    sink = WindowSink("window", INFO, ON_DEVICE)
    sink.write(painted(gpu, PAINT, CAMERA))
    assert gpu.downloads == 1
    assert screen == []
    assert len(sink.notes) == 1
    assert "from the CPU, not the GPU" in sink.notes[0]
    sink.close()


def test_a_gpu_lost_in_mid_stream_takes_its_pictures_with_it_but_not_the_window(
    cuda: PyCuda, gpu: Nvdec, screen: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDL_RENDER_DRIVER", "software")
    sink = WindowSink("window", INFO, ON_DEVICE)
    sink.write(painted(gpu, PAINT, CAMERA))
    cuda.lost = gpu.lost = True
    sink.write(painted(gpu, PAINT, CAMERA))
    assert "illegal memory access" in sink.notes[0]
    press(sdl2.SDLK_b)
    for _ in range(2):
        sink.write(Frame(CAMERA, 0, Fraction(1, 25), 0, 0.0).like(flat(*SIZE, (90, 100, 160))))
    assert len(screen) == 1
    assert len(sink.notes) == 1
    sink.close()


def test_without_its_packages_the_window_takes_no_pictures_on_a_gpu() -> None:
    sink = WindowSink("window", INFO, ON_DEVICE)
    assert not sink.on_device
    sink.close()
