"""The controls as they are now, which everyone may turn and everyone sees turned."""

import asyncio
from typing import Any

from engine.controls import Controls
from engine.studio import schema
from models.library import Library


class Desk:
    """`controls` may be read on any thread; the rest belongs to the event loop."""

    def __init__(self, controls: Controls, library: Library):
        self.controls, self.library = controls, library
        self.version = 0  # how often they were changed
        self._turned = asyncio.Event()

    def turn(self, values: Any) -> Controls:
        """Set some of the controls. Raises UsageError, and then leaves all as they are."""
        controls = schema.changed(self.controls, values, self.library)
        if controls != self.controls:
            self.controls = controls
            self.version += 1
            self._turned.set()
            self._turned = asyncio.Event()
        return controls

    async def turned(self, timeout: float) -> None:
        """Wait until somebody turns one, at most `timeout` seconds."""
        try:
            await asyncio.wait_for(self._turned.wait(), timeout)
        except TimeoutError:
            return
