"""What a source tells its user: lines while it runs, and why something failed."""

import errno

import av

_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (FileNotFoundError, "there is no such thing"),
    (IsADirectoryError, "it is a folder"),
    (PermissionError, "permission denied"),
    (ConnectionRefusedError, "nobody answers at that address"),
    (ConnectionError, "the connection was lost"),
    (TimeoutError, "no data came in time"),
    (av.error.ExitError, "no data came in time"),  # how FFmpeg calls a read that our time limit ended
    (av.error.ProtocolNotFoundError, "this FFmpeg does not speak that protocol"),
    (av.error.DemuxerNotFoundError, "this FFmpeg does not know that kind of input"),
    (av.error.DecoderNotFoundError, "this FFmpeg cannot decode it"),
    (av.error.HTTPUnauthorizedError, "the server wants a name and password"),
    (av.error.HTTPForbiddenError, "the server forbids it"),
    (av.error.HTTPNotFoundError, "the server has no such thing"),
    (av.error.HTTPServerError, "the server failed"),
    (av.error.InvalidDataError, "it holds nothing that can be read as video"),
)


def reason(error: BaseException) -> str:
    """Why `error` happened, in words for one who is no programmer where there are some, else as FFmpeg says it."""
    if getattr(error, "errno", None) == errno.EBUSY:
        return "another program is using it"
    for kind, words in _REASONS:
        if isinstance(error, kind):
            return words
    text = getattr(error, "strerror", None) or str(error)
    return text[:1].lower() + text[1:]


class Notes(list[str]):
    """Lines for the user. What happens again and again keeps one line, whose count grows."""

    def __init__(self) -> None:
        super().__init__()
        self._tallies: dict[str, tuple[int, int]] = {}  # singular -> position, count

    def tally(self, singular: str, plural: str) -> None:
        """Count one more: `singular` is the line of the first, `plural` with its {count} replaces it from the second on."""
        position, count = self._tallies.get(singular, (len(self), 0))
        self._tallies[singular] = (position, count + 1)
        if count:
            self[position] = plural.replace("{count}", str(count + 1))
        else:
            self.append(singular)
