"""Live sources that come back: a camera that was unplugged, a stream whose sender fell silent."""

from itertools import chain, repeat

import av

from engine.errors import SourceError
from engine.notes import reason
from engine.sources.container import ContainerSource
from engine.sources.decoding import Decoded


class ReopeningSource(ContainerSource):
    """Opens again when it ends or breaks off, waiting `waits` seconds between tries, the last of them for ever.

    Time goes on meanwhile: the first frame after it lies as much later as it came later. `close` ends the waiting.
    """

    live = True
    waits: tuple[float, ...] = (1.0,)

    def _goes_on(self, error: av.FFmpegError | None) -> bool:
        why = reason(error) if error else "it ended"
        self.notes.append(f"{self.name} was lost after {self._index} frames ({why}); trying to open it again")
        self._release()
        for wait in chain(self.waits, repeat(self.waits[-1])):
            if self._closed.wait(wait):
                return False
            try:
                decoder, early = self._begin()
            except SourceError:
                continue
            break
        if self._closed.is_set():
            decoder.close(in_use=False)
            return False
        self._decoder = decoder
        pictures = [item for item in early if isinstance(item, Decoded)]
        self._pending.extend(pictures)  # sound from before the first picture has no place in time yet
        missed = pictures[0].arrived - self._last_arrival
        self._timeline.restart(round(missed / self.info.time_base))
        self.notes.append(f"{self.name} is back after {missed:.1f} s")
        return True
