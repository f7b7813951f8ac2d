"""What can go wrong, in one line the user can act on."""


class AllaPrimaError(Exception):
    """A failure whose message says what is wrong and what to do. The command line prints it and exits with `status`."""

    status = 1


class UsageError(AllaPrimaError):
    """The user asked for something that cannot be: an unknown style, a value out of range, the same file in and out."""

    status = 2


class SourceError(AllaPrimaError):
    """A source cannot be opened or read."""


class SinkError(AllaPrimaError):
    """A sink cannot be opened or written."""


class SinkClosed(SinkError):
    """Whoever was looking has left: the window was closed, the pipe's reader ended. A reason to stop, not a failure."""


class StylizerError(AllaPrimaError):
    """A network cannot be loaded or run."""
