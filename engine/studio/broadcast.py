"""Where the studio's pictures and sound go out: to any number of listeners, none of which can hold up the others."""

import asyncio
import contextlib
import time
from collections import deque
from dataclasses import replace
from typing import Generic, TypeVar

import av

from engine.frame import Frame
from engine.studio.feed import CLOCK

Item = TypeVar("Item")

_ASTRAY = 0.5  # seconds that a stream's own time may differ from the clock before it is set anew
_KEPT = 256  # frames
_RATE_OVER = 2.0  # seconds over which the frame rate is counted


class Clock:
    """Puts streams that follow each other, each with a time of its own, on one that never runs back."""

    def __init__(self, rate: int):
        self.rate = rate  # ticks a second
        self._offset: int | None = None
        self._last = -1

    def place(self, pts: int, now: float) -> int:
        """The time of `pts` (in ticks) in ticks; `now` in seconds is when it came, on a clock that all streams share."""
        if self._offset is None or abs((pts + self._offset) / self.rate - now) > _ASTRAY:
            self._offset = round(now * self.rate) - pts
        self._last = max(pts + self._offset, self._last + 1)
        return self._last


class Listener(Generic[Item]):
    """One that listens, on its own event loop: `next` waits for what came since the last. Of more than `room` the oldest
    are lost."""

    def __init__(self, hall: "Hall[Item]", room: int):
        self._hall, self._loop = hall, asyncio.get_running_loop()
        self._waiting: deque[Item] = deque(maxlen=room)
        self._came = asyncio.Event()

    def tell(self, item: Item) -> None:
        """From any thread."""
        self._waiting.append(item)
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody listens any more
            self._loop.call_soon_threadsafe(self._came.set)

    async def next(self) -> Item:
        while not self._waiting:
            self._came.clear()
            await self._came.wait()
        return self._waiting.popleft()

    def leave(self) -> None:
        self._hall.listeners.discard(self)


class Hall(Generic[Item]):
    """All that listen to one thing."""

    def __init__(self, room: int = 1):
        self.listeners: set[Listener[Item]] = set()
        self._room = room

    def enter(self) -> Listener[Item]:
        listener = Listener(self, self._room)
        self.listeners.add(listener)
        return listener

    def tell(self, item: Item) -> None:
        for listener in tuple(self.listeners):
            listener.tell(item)


class Broadcast:
    """See `engine.sinks.Sink`: tells all listeners each painted frame, its time on the studio's clock in `CLOCK`'s ticks.
    Chains that follow each other share it."""

    on_device = False

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.hall: Hall[Frame] = Hall()
        self.delays: deque[float] = deque(maxlen=_KEPT)  # milliseconds from capture to here, of the newest frames
        self.count = 0
        self._clock = Clock(CLOCK.denominator)
        self._times: deque[float] = deque(maxlen=_KEPT)  # when they came

    def write(self, frame: Frame) -> None:
        now = time.perf_counter()
        self.delays.append((now - frame.captured) * 1e3)
        self._times.append(now)
        self.count += 1
        # the picture itself is left alone: other sinks have it as well
        self.hall.tell(replace(frame, pts=self._clock.place(frame.pts, frame.captured)))

    @property
    def rate(self) -> float:
        """Frames a second over the last two seconds."""
        since = time.perf_counter() - _RATE_OVER
        return sum(at > since for at in tuple(self._times)) / _RATE_OVER

    def latency(self, share: float) -> float:
        """Percentile of the newest frames' latency in milliseconds, from their capture to here; 0 before the first."""
        delays = sorted(self.delays)  # not by NumPy, which takes ten times as long for so few, at every packet of sound
        return delays[round((len(delays) - 1) * share / 100)] if delays else 0.0

    def copy(self, packet: av.Packet) -> None: ...

    def close(self, complete: bool = True) -> None: ...

    def discard(self) -> None: ...
