"""`allaprima studio`: the stage, and the server that shows it."""

import argparse
import os
import secrets
import sys
from collections.abc import Callable, Sequence
from functools import partial

from aiohttp import web

from engine.controls import Controls
from engine.errors import UsageError
from engine.frame import StreamInfo, parse_size
from engine.run import colour_encoding
from engine.sinks import open_sink
from engine.sources import Source, open_source
from engine.sources.paced import PacedSource
from engine.studio import peers
from engine.studio.api import Api
from engine.studio.beside import Beside
from engine.studio.desk import Desk
from engine.studio.feed import CLOCK, Shape, shown
from engine.studio.gallery import Gallery
from engine.studio.presets import Presets, user_presets
from engine.studio.safety import Guardian, is_loopback
from engine.studio.stage import Stage
from engine.stylizers import BACKENDS, Painting, beginning, open_stylizer
from models.library import Library, LibraryError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from engine.cli import add_controls  # which asks for this module when the command is given

    add_controls(parser)
    help = (
        "what is shown, as for `live` (default browser: its camera); of several, the page chooses, the first to begin with"
    )
    parser.add_argument("--source", action="append", metavar="URI", help=help)
    parser.add_argument("--sink", action="append", default=[], metavar="URI", help="beside the page; may repeat")
    parser.add_argument("--size", metavar="WxH", help="paint in this size; else in the camera's")
    parser.add_argument("--backend", default="auto", help=f"auto, {', '.join(BACKENDS)}")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default 127.0.0.1: this machine alone)")
    parser.add_argument("--port", type=int, default=8337, help="default 8337")
    parser.add_argument("--token", help="what others must show; made up where --host lets them in and none is given")


def run(options: argparse.Namespace) -> int:
    """Serve until it is interrupted. Raises AllaPrimaError."""
    from engine.cli import read_controls

    if options.backend not in ("auto", *BACKENDS):
        raise UsageError(f"no backend '{options.backend}'; there are auto, {', '.join(BACKENDS)}")
    library, controls = Library(), read_controls(options)
    try:
        library.conditioning(controls.style, controls.strength)
    except LibraryError as error:
        raise UsageError(str(error)) from error
    token, size = options.token, parse_size(options.size) if options.size else None
    if is_loopback(options.host):
        peers.keep_to_loopback()
    else:
        token = token or secrets.token_urlsafe(16)
    sinks = [Beside(uri, partial(open_sink, uri)) for uri in options.sink]
    desk = Desk(controls, library)
    make = partial(open_painting, library, lambda: desk.controls)
    stage = Stage(make, lambda: desk.controls, sinks, size, options.backend)
    uris = options.source or ["browser"]
    sources = sources_of(uris)
    app = Api(stage, desk, Gallery(library), Presets(user_presets()), sources).application(Guardian(options.host, token))

    def announce(_: str) -> None:
        where = f"[{options.host}]" if ":" in options.host else options.host
        print(f"allaprima: the studio is at http://{where}:{options.port}/{f'?token={token}' if token else ''}", flush=True)

    for uri in uris:
        if uri != "browser":
            _open(uri).close()  # one that is not there is the user's mistake; one that goes later comes back
    stage.play(shown(uris[0]), sources[shown(uris[0])])
    stage.start()
    try:
        web.run_app(app, host=options.host, port=options.port, print=announce, access_log=None, shutdown_timeout=2)
    finally:
        stage.close()
        for note in [note for sink in sinks for note in (*sink.notes, *([sink.failing] if sink.failing else []))]:
            print(f"allaprima: {note}", file=sys.stderr)
    if stage.is_alive():  # in a compiler, which cannot be interrupted and does not survive the interpreter's end
        sys.stdout.flush()
        os._exit(0)
    return 0


def sources_of(uris: Sequence[str]) -> dict[str, Callable[[], Source] | None]:
    """What the page may choose from: the browsers' cameras, and those of `uris` that are other sources."""
    return {"browser": None} | {shown(uri): partial(_open, uri) for uri in uris if uri != "browser"}


def _open(uri: str) -> Source:
    source = open_source(uri)
    return source if source.info.live else PacedSource(source)


def open_painting(library: Library, controls: Callable[[], Controls], shape: Shape, backend: str) -> Painting:
    """The network for what is wished now, in `shape`, on `backend`. Raises AllaPrimaError."""
    wish, info = controls(), StreamInfo(shape.width, shape.height, CLOCK, colour=shape.colour, live=True)
    size = (shape.width, shape.height)
    begun = beginning(wish.network, library)
    return open_stylizer(wish.style, size, colour_encoding(info), backend, 1, begun, wish.strength, changing=True)
