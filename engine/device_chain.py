"""The chain of one frame on a GPU, and the way from it to the CPU when the GPU breaks."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import av

from engine import flow, pacing, temporal
from engine.chain import Chain
from engine.controls import Controls
from engine.frame import Frame
from engine.lending import Lending
from engine.report import Report
from engine.stylizers.morphing import MorphingStylizer
from engine.stylizers.on_device import DeviceStylizer, Engine, Network
from kernels.gpu import GpuChain, Rules

RULES = Rules(
    flow.STILL,
    flow.SLACK,
    flow.SURE,
    flow.UNSURE,
    pacing.CUT_CONFIDENCE,
    pacing.CUT_ERROR,
    temporal.LIFT,
    temporal.ENOUGH,
    temporal.RESTORE,
    temporal.MOST_GAIN,
)


@dataclass(frozen=True, slots=True)
class Ends:
    """Whether frames come to a chain on a GPU there, as NV12 (it takes those on the CPU as well), and whether they are to
    stay there when they are painted, which those of an even size can."""

    begin: bool = False
    end: bool = False


def chain_for(width: int, height: int, stylizer: MorphingStylizer, report: Report, on_device: Ends = Ends()) -> "AnyChain":
    """A chain for pictures of this size where `stylizer` runs: on its GPU, or on the CPU."""
    if isinstance(getattr(stylizer, "painting", None), DeviceStylizer):
        return SafeChain(width, height, stylizer, report, on_device)
    return Chain.for_size(width, height, stylizer, report)


@dataclass(slots=True)
class _Begun:
    """A frame on its way through the device; one that is let through is not there at all. `painted` is what has already been
    taken from there, `lent` the picture that stays there."""

    frame: Frame
    let_through: bool = False
    fresh: bool = False  # the network works on it
    first: bool = False  # of its scene, whatever it shows
    painted: Frame | None = None
    lent: Callable[[], av.VideoFrame] | None = None


class DeviceChain:
    """See `engine.chain.Chain`: the same frames, which stay on the device between decoder and encoder.

    `stylizer` paints on a GPU. Raises whatever the device raises.
    """

    def __init__(self, width: int, height: int, stylizer: MorphingStylizer, report: Report, on_device: Ends = Ends()):
        painting = _on_device(stylizer)
        self.stylizer, self.report = stylizer, report
        self.waiting: deque[_Begun] = deque()
        self._device = painting.open_device()
        self._engine, self._networks = painting.engine, dict[Engine, Network]()
        self._loaded = painting
        self._recording = threading.Lock()  # what another thread gives the device meanwhile would be recorded too
        network = self._network(painting)
        network.load(painting.weights)
        scale = flow.flow_scale(width, height)
        self._chain = GpuChain(self._device, width, height, scale, RULES, network.run, on_device.begin or on_device.end)
        self._lending = Lending(self._device, width, height) if on_device.end else None
        self._first = True  # the next frame ends no scene
        stylizer.prepare_with(self._prepare)
        for note in self._device.notes:
            report.note(note)

    @property
    def full(self) -> bool:
        return len(self.waiting) >= min(self.stylizer.depth, GpuChain.IN_FLIGHT)

    def begin(self, frame: Frame, fresh: bool, controls: Controls) -> None:
        with self.report.stages["pack"].timed():
            self._follow()
            onto = self._lending.planes() if self._lending else ()
            fresh = self._chain.submit(frame.planes, fresh, controls.consistency, controls.keep_color, onto)
        if fresh:
            self.stylizer.count()
        lent = partial(self._lending.picture, onto) if self._lending else None
        self.waiting.append(_Begun(frame, fresh=fresh, first=self._first, lent=lent))
        self._first = False

    def let_through(self, frame: Frame) -> None:
        self._forget()
        self.waiting.append(_Begun(frame, let_through=True))

    def finish(self) -> Frame:
        begun = self.waiting.popleft()
        return begun.painted or self._collect(begun)

    def _collect(self, begun: _Begun) -> Frame:
        if begun.let_through:
            return temporal.unpainted(begun.frame)
        painted = None if begun.lent else temporal.room(begun.frame)
        with self.report.stages["network"].timed():
            _, _, cut = self._chain.collect(painted.planes if painted else ())
        self.report.carried += not begun.fresh
        self.report.cuts += cut and not begun.first
        if begun.lent:
            painted = begun.frame.like(begun.lent())
        assert painted is not None
        return painted

    def _forget(self) -> None:
        self._chain.forget()
        self._first = True

    def _follow(self) -> None:
        """Take over the weights, and where it is another, the network of what paints now."""
        painting = _on_device(self.stylizer)
        if painting is self._loaded:
            return
        if painting.engine is not self._engine:
            for begun in self.waiting:
                begun.painted = begun.painted or self._collect(begun)
            network = self._network(painting)
            with self._recording:
                self._chain.renew(network.run)
            self._first = True
            self._engine, self._networks = painting.engine, {painting.engine: network}
        self._network(painting).load(painting.weights)
        self._loaded = painting

    def _network(self, painting: DeviceStylizer) -> Network:
        with self._recording:
            if painting.engine not in self._networks:
                self._networks[painting.engine] = painting.engine.network(self._device)
            return self._networks[painting.engine]

    def _prepare(self, made: object) -> None:
        """Make ready what will paint soon, in the thread that made it. Weights are only copied when it does."""
        if isinstance(made, DeviceStylizer):
            self._network(made)


class SafeChain:
    """See `engine.chain.Chain`: a `DeviceChain`, and after any failure of the device one on the CPU.

    Frames on their way are painted again, so that none is lost; the reason is among the stylizer's facts and notes. From
    then on those on the device are brought to the CPU.
    """

    def __init__(self, width: int, height: int, stylizer: MorphingStylizer, report: Report, on_device: Ends = Ends()):
        self.stylizer, self.report = stylizer, report
        self._size = width, height
        self._begun: deque[tuple[Frame, bool, Controls] | Frame] = deque()  # and not yet finished
        self._chain: DeviceChain | Chain
        try:
            self._chain = DeviceChain(width, height, stylizer, report, on_device)
        except Exception as error:  # a GPU may fail in any way of its own
            self._fall_back(error)

    @property
    def waiting(self) -> deque:
        return self._chain.waiting

    @property
    def full(self) -> bool:
        return self._chain.full

    def begin(self, frame: Frame, fresh: bool, controls: Controls) -> None:
        frame = self._where_it_is_painted(frame)
        self._begun.append((frame, fresh, controls))
        try:
            self._chain.begin(frame, fresh, controls)
        except Exception as error:
            self._fall_back(error)

    def let_through(self, frame: Frame) -> None:
        frame = self._where_it_is_painted(frame)
        self._begun.append(frame)
        self._chain.let_through(frame)

    def _where_it_is_painted(self, frame: Frame) -> Frame:
        return frame.on_host() if isinstance(self._chain, Chain) else frame

    def finish(self) -> Frame:
        try:
            painted = self._chain.finish()
        except Exception as error:
            self._fall_back(error)
            painted = self._chain.finish()
        self._begun.popleft()
        return painted

    def _fall_back(self, error: Exception) -> None:
        """Raises `error` again if it was the CPU's."""
        if isinstance(getattr(self, "_chain", None), Chain):
            raise error
        self.stylizer.fall_back(" ".join(str(error).split())[:200] or type(error).__name__)
        self._chain = Chain.for_size(*self._size, self.stylizer, self.report)
        for begun in self._begun:
            if isinstance(begun, Frame):
                self._chain.let_through(begun.on_host())
            else:
                frame, fresh, controls = begun
                self._chain.begin(frame.on_host(), fresh, controls)


AnyChain = Chain | SafeChain


def _on_device(stylizer: MorphingStylizer) -> DeviceStylizer:
    painting = stylizer.painting
    assert isinstance(painting, DeviceStylizer), f"{stylizer.facts.backend} runs on no device"
    return painting
