"""The stage paints on, whatever happens to its network, its source, its sinks and its listeners."""

import asyncio
import time
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import av
import pytest
from clips import ramp, write_clip
from studios import SIZE, Played, Workshop, drawn, running

from engine.errors import SinkError, SourceError
from engine.frame import BT601, Colour, Frame, StreamInfo
from engine.sources import open_source
from engine.sources.paced import PacedSource
from engine.studio.beside import Beside
from engine.studio.broadcast import Clock, Hall
from engine.studio.feed import CLOCK, SOUND_RATE, Shape, shown
from engine.studio.stage import MOST_PIXELS, fitting, rest

PAINTED, CAMERA = 205, 30  # the dark block of reference, painted in starry-night and not


def painted(light: float) -> bool:
    return abs(light - PAINTED) < 15


def through(light: float) -> bool:
    return abs(light - CAMERA) < 15


def test_what_comes_is_painted_and_in_order():
    with running(Workshop()) as stage, Played(stage) as played:
        assert played.until(lambda: len(played.painted) > 20)
    numbers = [number for number, _ in played.painted]
    assert numbers == sorted(numbers)
    assert all(painted(light) for _, light in played.painted)
    status = stage.status()
    assert status["failing"] is None
    assert status["size"] == list(SIZE)
    assert status["source"] == "browser"
    assert status["latency_ms"]["p50"] > 0


def test_a_style_switch_shows_within_its_morph_and_no_frame_is_the_camera():
    workshop = Workshop()
    with running(workshop) as stage, Played(stage) as played:
        assert played.until(lambda: len(played.painted) > 5)
        before = len(played.painted)
        workshop.controls = replace(workshop.controls, style="great-wave")
        assert played.until(lambda: abs(played.painted[-1][1] - 220) < 5, 2.0)
        assert played.until(lambda: stage.status()["style"] == "great-wave")
    assert not any(through(light) for _, light in played.painted[before:])


def test_a_network_that_fails_lets_the_camera_through_and_paints_again():
    workshop = Workshop()
    with running(workshop) as stage, Played(stage) as played:
        assert played.until(lambda: len(played.painted) > 5)
        workshop.fault = RuntimeError("the device is gone")
        assert played.until(lambda: through(played.painted[-1][1]))
        assert stage.failing == "network: the device is gone (camera passes through)"
        workshop.fault = None
        assert played.until(lambda: painted(played.painted[-1][1]))
        assert played.until(lambda: stage.failing is None)


def test_a_stage_that_breaks_is_named_and_the_camera_passes_through(monkeypatch):
    from engine import flow

    def break_down(state, luma):
        raise ValueError("no motion at all")

    with running(Workshop()) as stage, Played(stage) as played:
        assert played.until(lambda: len(played.painted) > 5)
        with monkeypatch.context() as patch:
            patch.setattr(flow, "step", break_down)
            assert played.until(lambda: through(played.painted[-1][1]))
            assert stage.failing is not None
            assert "no motion at all (camera passes through)" in stage.failing
        assert played.until(lambda: painted(played.painted[-1][1]))
        assert played.until(lambda: stage.failing is None)


def test_a_network_that_hangs_is_given_up():
    workshop = Workshop()
    with running(workshop) as stage, Played(stage) as played:
        assert played.until(lambda: len(played.painted) > 5)
        workshop.hang.clear()
        assert played.until(lambda: stage.failing is not None and through(played.painted[-1][1]))
        assert stage.failing == "network: no answer for 0.5 s (camera passes through)"
        workshop.hang.set()
        assert played.until(lambda: stage.failing is None and painted(played.painted[-1][1]))


def test_without_any_network_the_camera_passes_through_from_the_start():
    workshop = Workshop()
    workshop.refusal = RuntimeError("nothing runs here")
    with running(workshop) as stage, Played(stage) as played:
        assert played.until(lambda: len(played.painted) > 5)
        assert through(played.painted[-1][1])
        assert stage.failing == "network: nothing runs here (camera passes through)"
        workshop.refusal = None
        assert played.until(lambda: painted(played.painted[-1][1]))


def test_another_size_is_painted_without_a_stop():
    workshop = Workshop()
    with running(workshop) as stage, Played(stage) as played:
        assert played.until(lambda: len(played.painted) > 5)
        stage.change((320, 192), "auto")
        assert played.until(lambda: played.sizes[-1] == (320, 192))
        at = played.sizes.index((320, 192))
        assert played.until(lambda: len(played.painted) > at + 5)
    assert set(played.sizes) == {SIZE, (320, 192)}
    assert all(painted(light) for _, light in played.painted)


def test_a_backend_that_does_not_run_changes_nothing():
    workshop = Workshop()
    with running(workshop) as stage, Played(stage) as played:
        assert played.until(lambda: len(played.painted) > 5)
        workshop.refusal = RuntimeError("torch is not installed")
        stage.change(SIZE, "torch")
        assert played.until(lambda: stage.failing is not None)
        assert stage.failing == "network: torch is not installed"
        assert stage.backend == "auto"
        assert painted(played.painted[-1][1])


class Numbered:
    """A source of a few frames, of which the first opening fails."""

    opened = 0

    def __init__(self):
        Numbered.opened += 1
        if Numbered.opened == 1:
            raise SourceError("there is no camera; connect one")
        self.info = StreamInfo(*SIZE, Fraction(1, 25), Fraction(25), Colour(matrix=BT601), live=True)
        self.notes: list[str] = []

    def __iter__(self):
        for number in range(10):
            time.sleep(0.01)
            yield Frame(drawn(number), number, Fraction(1, 25), number, time.perf_counter())

    def close(self) -> None:
        pass


def test_a_source_that_fails_is_named_and_opened_again_and_a_film_begins_anew(monkeypatch):
    monkeypatch.setattr("engine.studio.feed.AGAIN", 0.1)
    Numbered.opened = 0
    with running(Workshop()) as stage:
        played = Played(stage)
        stage.play("camera", Numbered)
        assert played.until(lambda: stage.failing is not None)
        assert stage.failing == "source: there is no camera; connect one"
        assert played.until(lambda: Numbered.opened > 2 and len(played.painted) > 15)
        assert (stage.failing, stage.source) == (None, "camera")
        stage.play("browser", None)
        assert stage.source == "browser"


class Ear:
    """Hears what all listeners hear."""

    def __init__(self) -> None:
        self.heard: list[tuple[av.AudioFrame, float]] = []

    def tell(self, item: tuple[av.AudioFrame, float]) -> None:
        self.heard.append(item)


def test_the_sound_of_a_film_is_heard_with_the_pictures_of_its_time(tmp_path):
    film = write_clip(tmp_path / "film.mp4", ramp(10, SIZE), sound=True)
    with running(Workshop()) as stage:
        ear, began = Ear(), time.perf_counter()
        stage.sound.listeners.add(ear)  # type: ignore[arg-type]
        stage.play("film", lambda: PacedSource(open_source(str(film))))
        assert Played(stage).until(lambda: sum(sound.samples for sound, _ in ear.heard) > 0.25 * SOUND_RATE)
    assert {(sound.format.name, sound.layout.name, sound.sample_rate) for sound, _ in ear.heard} == {
        ("s16", "stereo", SOUND_RATE)
    }
    instants = [instant - began for _, instant in ear.heard]
    # each is as late as the picture beside it, which on a busy machine is now and then late
    assert all(after - before > -0.05 for before, after in pairwise(instants))
    assert 0 <= instants[0] < 2
    seconds = sum(sound.samples for sound, _ in ear.heard[:-1]) / SOUND_RATE
    assert instants[-1] - instants[0] == pytest.approx(seconds, abs=0.05)


class Kept:
    """A sink that keeps what it is given, or fails."""

    on_device = False

    def __init__(self, error: Exception | None = None):
        self.error, self.frames, self.closed, self.notes = error, [], False, []

    def open(self, info: StreamInfo) -> "Kept":
        self.info = info
        return self

    def write(self, frame: Frame) -> None:
        if self.error:
            raise self.error
        self.frames.append((frame.width, frame.height, frame.pts))

    def close(self, complete: bool = True) -> None:
        self.closed = complete


def test_a_sink_beside_the_page_keeps_its_size_and_its_clock():
    kept = Kept()
    with running(Workshop(), sinks=[Beside("kept", kept.open)]) as stage, Played(stage) as played:
        assert played.until(lambda: len(kept.frames) > 5)
        stage.change((320, 192), "auto")
        assert played.until(lambda: played.sizes[-1] == (320, 192))
        seen = len(kept.frames)
        assert played.until(lambda: len(kept.frames) > seen + 5)
    times = [pts for *_, pts in kept.frames]
    assert {(width, height) for width, height, _ in kept.frames} == {SIZE}
    assert all(later > earlier for earlier, later in pairwise(times))
    assert kept.closed


def test_a_sink_that_breaks_is_named_and_the_page_goes_on():
    sink = Beside("rtmp://there", Kept(SinkError("the server has gone")).open)
    with running(Workshop(), sinks=[sink]) as stage, Played(stage) as played:
        assert played.until(lambda: stage.failing == "sink rtmp://there: the server has gone")
        seen = len(played.painted)
        assert played.until(lambda: len(played.painted) > seen + 5)


@pytest.mark.parametrize(
    ("running_as", "incoming", "fixed", "painted_as"),
    [
        (None, Shape(640, 480), None, Shape(640, 480)),
        (Shape(640, 480), Shape(320, 240), None, Shape(640, 480)),  # a bad line
        (Shape(320, 240), Shape(640, 480), None, Shape(640, 480)),
        (Shape(640, 480), Shape(480, 640), None, Shape(480, 640)),  # a phone that is turned
        (Shape(640, 480), Shape(641, 479), None, Shape(640, 480)),
        (Shape(640, 480), Shape(640, 480), (800, 600), Shape(800, 600)),
        (Shape(640, 480), Shape(480, 640), (800, 600), Shape(450, 600)),  # nothing is drawn out of its shape
        (Shape(640, 480), Shape(640, 480), (960, 540), Shape(720, 540)),
        (None, Shape(3840, 2160), None, Shape(1280, 720)),
    ],
)
def test_the_size_follows_the_camera_but_not_the_line(running_as, incoming, fixed, painted_as):
    shape = fitting(running_as, incoming, fixed)
    assert shape == painted_as
    assert fixed is not None or shape.width * shape.height <= MOST_PIXELS


def test_what_breaks_again_and_again_rests_longer_each_time():
    assert [rest(2.0, breaks) for breaks in (1, 2, 3, 6, 10_000)] == [2, 4, 8, 60, 60]


def test_passwords_and_tokens_are_not_shown():
    assert shown("rtsp://me:secret@camera/one") == "rtsp://camera/one"
    assert shown("whip+https://TOKEN@host/x") == "whip+https://host/x"
    assert shown("camera:0") == "camera:0"


def test_streams_that_follow_each_other_have_one_time_that_never_runs_back():
    clock = Clock(CLOCK.denominator)
    first = [clock.place(n * 3600, 10 + n * 0.04 + (n % 3) * 0.01) for n in range(5)]
    assert [b - a for a, b in pairwise(first)] == [3600] * 4  # the arrivals' jitter is not passed on
    again = [clock.place(n * 3600, 20 + n * 0.04) for n in range(3)]
    assert again[0] - first[0] == 10 * CLOCK.denominator
    assert clock.place(7200, 20.08) > again[-1]


def test_a_slow_listener_gets_the_newest_and_holds_nobody_up():
    async def listen() -> tuple[list[int], int]:
        hall: Hall[int] = Hall()
        fast, slow = hall.enter(), hall.enter()
        heard = []
        for number in range(50):
            hall.tell(number)
            heard.append(await fast.next())
        slow.leave()
        hall.tell(50)
        return heard, await slow.next()

    assert asyncio.run(listen()) == (list(range(50)), 49)
