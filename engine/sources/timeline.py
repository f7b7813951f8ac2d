"""Timestamps that rise strictly, whatever those of the stream do."""

from fractions import Fraction


class Timeline:
    """Places the frames of one stream in time. All in ticks of the stream's time base; no clock is read.

    A timestamp that rises is kept as it is, so a variable frame rate stays exact. One that is missing or does not rise is
    set one frame after the last. Where the stream's own clock starts again (joined recordings, a camera plugged in again),
    the new times follow the old ones from there on, with their distances kept.
    """

    def __init__(self, step: Fraction, from_zero: bool = False) -> None:
        """`step` is the time of one frame; `from_zero` moves the first frame to 0, for clocks that count from elsewhere."""
        self.step = step
        self.repaired = 0
        self.offset = 0  # what is added to the stream's own times, those of its sound too
        self._from_zero = from_zero
        self._own: int | None = None  # the stream's own time of the last frame
        self._exact = Fraction(0)  # of the last frame, unrounded, so that repaired frames do not drift
        self._last: int | None = None
        self._resume: int | None = None  # where the next frame belongs after a restart
        self._was_repaired = False

    def place(self, own: int | None) -> int:
        """The time of the next frame, whose own time is `own` (None: it has none)."""
        if self._resume is not None and own is not None:
            self.offset, self._resume = self._resume - own, None
        elif self._last is None and own is not None and self._from_zero:
            self.offset = -own
        placed = self._kept(own)
        self._was_repaired = placed is None
        if placed is None:
            placed = self._follow()
            self.repaired += 1
        else:
            self._exact = Fraction(placed)
        self._own, self._last = own, placed
        return placed

    def restart(self, gap: int) -> None:
        """The stream was opened anew: its next frame belongs `gap` after the last, at least one frame."""
        if self._last is not None:
            self._resume = self._last + max(gap, round(self.step), 1)
            self._own = None

    def _kept(self, own: int | None) -> int | None:
        if own is None:
            return None
        if self._last is None or own + self.offset > self._last:
            return own + self.offset
        if self._was_repaired and self._own is not None and own > self._own:
            # Two in a row that rise again, only from an earlier start: another clock, not a single wrong stamp.
            self.offset = self._last - self._own
            return own + self.offset
        return None

    def _follow(self) -> int:
        if self._resume is not None:
            follows, self._resume = self._resume, None
            self._exact = Fraction(follows)
            return follows
        if self._last is None:
            return 0
        self._exact += self.step
        return max(self._last + 1, round(self._exact))
