"""The conductor: offline nothing is lost, live the newest frame counts, errors and the end come through cleanly."""

import threading
import time
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest
from scenes import frame_of, texture

from engine import pacing
from engine.controls import Controls
from engine.errors import SinkClosed, SinkError, SourceError
from engine.frame import Frame, StreamInfo
from engine.pipeline import Pipeline
from engine.report import Facts, Report
from engine.stylizers.morphing import Wish
from kernels.layout import tile_grid

SIZE = (64, 48)


class ListSource:
    """Gives prepared items; live, one every `interval` seconds."""

    def __init__(self, items: list, live: bool = False, interval: float = 0.0, error: Exception | None = None):
        self.info = StreamInfo(*SIZE, Fraction(1, 25), Fraction(25), live=live)
        self.notes: list[str] = ["source note"]
        self.items, self.interval, self.error = items, interval, error
        self.closed = threading.Event()

    def __iter__(self) -> Iterator:
        for item in self.items:
            if self.interval and self.closed.wait(self.interval):
                return
            if isinstance(item, Frame):
                item.captured = time.perf_counter()
            yield item
        if self.error:
            raise self.error

    def close(self) -> None:
        self.closed.set()


class ListSink:
    on_device = False

    def __init__(self, delay: float = 0.0, fail_at: int | None = None, error: Exception | None = None):
        self.items: list = []
        self.notes: list[str] = []
        self.delay, self.fail_at, self.error = delay, fail_at, error or SinkError("the disk is full")

    def write(self, frame: Frame) -> None:
        time.sleep(self.delay)
        if len(self.items) == self.fail_at:
            raise self.error
        self.items.append(frame)

    def copy(self, packet) -> None:
        self.items.append(packet)


class Inverter:
    """A stylizer that paints the negative, as slowly as asked, and the camera once strength 0 is wished."""

    settled = True

    def __init__(self, depth: int = 1, delay: float = 0.0):
        self.depth, self.delay = depth, delay
        self.tiles = [np.zeros((*tile_grid(*SIZE), 40), np.uint8) for _ in range(depth + 1)]
        self.submitted = self.collected = 0
        self.wished: list[Wish] = []
        self.facts = Facts("test", "1", "here", "exact", *SIZE, "a", 1.0, depth, network="fast")
        self.notes = ["stylizer note"]

    def wish(self, wish: Wish) -> None:
        self.wished.append(wish)
        self.facts.network = wish.network

    @property
    def plain(self) -> bool:
        return self.wished[-1].strength == 0

    def input(self) -> np.ndarray:
        return self.tiles[self.submitted % len(self.tiles)]

    def submit(self) -> None:
        self.submitted += 1

    def collect(self) -> np.ndarray:
        time.sleep(self.delay)
        tiles = self.tiles[self.collected % len(self.tiles)]
        self.collected += 1
        return 255 - tiles[..., :24]


def film(count: int) -> list[Frame]:
    """Frames of different scenes, so that every painting is just its own frame's."""
    return [frame_of(texture(*SIZE, seed=i), index=i) for i in range(count)]


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_offline_every_frame_arrives_once_in_order_and_painted(depth):
    frames, sink, report = film(12), ListSink(), Report()
    originals = [frame.planes[0].copy() for frame in frames]
    Pipeline(ListSource(frames), Inverter(depth), [sink], report, cadence=1).run()
    assert [frame.pts for frame in sink.items] == list(range(12))
    np.testing.assert_array_equal(sink.items[0].planes[0], 255 - originals[0])
    assert (report.read, report.written, report.dropped, report.carried) == (12, 12, 0, 0)


def test_offline_a_slow_sink_loses_nothing():
    sink = ListSink(delay=0.01)
    Pipeline(ListSource(film(20)), Inverter(), [sink], Report()).run()
    assert len(sink.items) == 20


def test_packets_of_other_streams_pass_in_their_place():
    frames = film(4)
    sink = ListSink()
    Pipeline(ListSource([frames[0], "sound 1", frames[1], "sound 2", *frames[2:]]), Inverter(), [sink], Report()).run()
    assert [item for item in sink.items if isinstance(item, str)] == ["sound 1", "sound 2"]
    assert len(sink.items) == 6


def test_all_sinks_get_all_frames():
    sinks = [ListSink(), ListSink()]
    Pipeline(ListSource(film(5)), Inverter(), sinks, Report()).run()
    assert [len(sink.items) for sink in sinks] == [5, 5]


def test_live_a_slow_chain_drops_old_frames_and_the_delay_does_not_grow():
    sink, report = ListSink(), Report()
    source = ListSource(film(60), live=True, interval=0.005)
    Pipeline(source, Inverter(delay=0.02), [sink], report).run()
    assert report.dropped > 0
    assert report.written + report.dropped == 60
    assert report.latency.percentile(99) < 500  # were all frames painted, the last would be a second late
    assert [frame.pts for frame in sink.items] == sorted({frame.pts for frame in sink.items})


def test_live_the_network_rests_on_frames_that_it_has_no_time_for():
    still = texture(*SIZE)
    frames = [frame_of(still, index=i) for i in range(40)]
    report = Report()
    source = ListSource(frames, live=True, interval=0.04)
    Pipeline(source, Inverter(delay=0.06), [ListSink()], report).run()
    assert report.carried > 5
    assert report.dropped < 30


@pytest.fixture
def scripted(monkeypatch):
    """Measured times are those of `milliseconds` by network, whatever the clock says, and patience is short."""
    milliseconds: dict[str, float] = {}
    stylizer, measured = Inverter(), pacing.Load
    stylizer.facts.networks = {"fast": 1.0, "fine": 4.0}
    monkeypatch.setattr(pacing, "Load", lambda *_: measured(33.3, milliseconds[stylizer.facts.network], 3, 5))
    for name, frames in {"CALM": 5, "SETTLED": 3, "PATIENCE": 3}.items():
        monkeypatch.setattr(pacing, name, frames)
    return stylizer, milliseconds


@pytest.mark.parametrize(("fine", "network"), [(12.0, "fine"), (60.0, "fast")])
def test_live_the_finer_network_paints_where_there_is_time_for_it(scripted, fine, network):
    stylizer, milliseconds = scripted
    milliseconds |= {"fast": 1.0, "fine": fine}
    pipeline = Pipeline(ListSource(film(100), live=True, interval=0.01), stylizer, [ListSink()], Report())
    pipeline.run()
    assert {wish.network for wish in stylizer.wished} == {"fast", "fine"}  # it is tried before it is known
    assert pipeline.pace.network == network
    assert network in pipeline.report.pacing


def test_a_network_that_is_asked_for_stays_however_slow_it_is(scripted):
    stylizer, milliseconds = scripted
    milliseconds |= {"fast": 1.0, "fine": 60.0}
    source = ListSource(film(60), live=True, interval=0.01)
    pipeline = Pipeline(source, stylizer, [ListSink()], Report(), lambda: Controls(network="fine"))
    pipeline.run()
    assert {wish.network for wish in stylizer.wished} == {"fine"}
    assert pipeline.pace.cadence > 1


def test_a_cadence_carries_the_frames_between_by_motion():
    still = texture(*SIZE)
    report = Report()
    stylizer = Inverter(depth=2)
    Pipeline(ListSource([frame_of(still, index=i) for i in range(9)]), stylizer, [ListSink()], report, cadence=3).run()
    assert stylizer.submitted == 3
    assert report.carried == 6


def test_of_a_broken_cadence_the_fresh_frames_are_spread_evenly():
    still, report, stylizer = texture(*SIZE), Report(), Inverter()
    Pipeline(ListSource([frame_of(still, index=i) for i in range(12)]), stylizer, [ListSink()], report, cadence=1.5).run()
    assert (stylizer.submitted, report.carried) == (8, 4)


def test_at_a_cut_the_network_runs_whatever_the_cadence():
    stylizer = Inverter()
    Pipeline(ListSource(film(6)), stylizer, [ListSink()], Report(), cadence=4).run()
    assert stylizer.submitted == 6


def test_an_error_of_the_source_comes_through_after_what_was_read_is_delivered():
    sink = ListSink()
    source = ListSource(film(5), error=SourceError("the camera was unplugged"))
    with pytest.raises(SourceError, match="unplugged"):
        Pipeline(source, Inverter(depth=2), [sink], Report()).run()
    assert len(sink.items) == 5


def test_an_error_of_a_sink_stops_the_run():
    with pytest.raises(SinkError, match="disk is full"):
        Pipeline(ListSource(film(200)), Inverter(), [ListSink(fail_at=3)], Report()).run()


def test_a_sink_that_the_user_closed_ends_the_run_without_an_error():
    report = Report()
    sink = ListSink(fail_at=3, error=SinkClosed("window closed"))
    Pipeline(ListSource(film(200)), Inverter(), [sink], report).run()
    assert report.written < 200


def test_stopping_finishes_what_was_begun():
    sink, report = ListSink(), Report()

    def show(report: Report) -> None:
        if report.written == 5:
            pipeline.stop()

    pipeline = Pipeline(ListSource(film(200)), Inverter(depth=3), [sink], report, progress=show)
    pipeline.run()
    assert len(sink.items) == report.written < 20


def test_the_report_holds_times_counts_and_notes():
    report = Report()
    Pipeline(ListSource(film(5)), Inverter(), [ListSink()], report).run()
    found = report.as_dict()
    assert found["frames"]["written"] == 5
    assert found["notes"] == ["source note", "stylizer note"]
    assert set(found["stages_ms"]) == {"decode", "pack", "flow", "network", "temporal", "deliver"}
    assert found["latency_ms"]["p99"] >= found["latency_ms"]["p50"] > 0


class Slider:
    """Controls of which each frame gets the next."""

    def __init__(self, *controls: Controls):
        self.left = list(controls)

    def __call__(self) -> Controls:
        return self.left.pop(0)


def test_the_stylizer_is_told_of_every_frame_s_style_strength_and_network():
    controls = [Controls(style="a", strength=0.5), Controls(style="b", strength=1, network="fine")]
    stylizer = Inverter()
    Pipeline(ListSource(film(2)), stylizer, [ListSink()], Report(), Slider(*controls)).run()
    assert stylizer.wished == [Wish("a", 0.5, "fast"), Wish("b", 1, "fine")]


@pytest.mark.parametrize("depth", [1, 3])
def test_while_strength_is_nought_frames_pass_as_they_are_in_their_order_and_the_network_rests(depth):
    frames, sink, report = film(9), ListSink(), Report()
    strengths = [1, 1, 0, 0, 0, 1, 1, 0, 1]
    stylizer = Inverter(depth)
    Pipeline(ListSource(frames), stylizer, [sink], report, Slider(*(Controls(strength=s) for s in strengths))).run()
    assert stylizer.submitted == strengths.count(1)
    assert [frame.pts for frame in sink.items] == list(range(9))
    for frame, painted, strength in zip(frames, sink.items, strengths, strict=True):
        luma = frame.planes[0]
        np.testing.assert_array_equal(painted.planes[0], 255 - luma if strength else luma)
    assert report.carried == 0


def test_paint_from_before_the_strength_was_nought_does_not_come_back():
    still = texture(*SIZE)
    sink, report = ListSink(), Report()
    frames = [frame_of(still, index=0), frame_of(still, index=1), frame_of(255 - still, index=2)]
    frames.append(frame_of(255 - still, index=3))
    controls = [Controls(strength=s, consistency=1) for s in (1, 0, 0, 1)]
    Pipeline(ListSource(frames), Inverter(), [sink], report, Slider(*controls), cadence=4).run()
    np.testing.assert_array_equal(sink.items[3].planes[0], still)
    assert report.cuts == 0


def test_while_the_style_changes_old_paint_gives_way_even_at_full_consistency():
    stylizer = Inverter()
    stylizer.settled = False
    still = texture(*SIZE)
    frames, sink = [frame_of(still, index=i) for i in range(12)], ListSink()

    def collect() -> np.ndarray:  # from the second frame on in another style
        stylizer.collected += 1
        return 255 - stylizer.tiles[0] if stylizer.collected == 1 else stylizer.tiles[0]

    stylizer.tiles = stylizer.tiles[:1]
    stylizer.collect = collect
    Pipeline(ListSource(frames), stylizer, [sink], Report(), lambda: Controls(consistency=1)).run()
    assert np.abs(sink.items[-1].planes[0].astype(int) - still).mean() < 5
