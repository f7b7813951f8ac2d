"""The command line: `allaprima live | render | styles | doctor | bench`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path

import av

from engine.controls import Controls
from engine.errors import AllaPrimaError, UsageError


def add_controls(parser: argparse.ArgumentParser) -> None:
    """One option for each control, made from the schema."""
    for control in fields(Controls):
        name = "--" + control.name.replace("_", "-")
        if control.default is False:
            parser.add_argument(name, action="store_true", help=control.metadata["help"])
            continue
        low, high = control.metadata["low"], control.metadata["high"]
        text = f"{control.metadata['help']} (default {control.default:g})"
        parser.add_argument(name, type=float, default=control.default, metavar=f"{low}..{high}", help=text)


def read_controls(options: argparse.Namespace) -> Controls:
    """The controls as given. Raises UsageError."""
    return Controls(**{control.name: getattr(options, control.name) for control in fields(Controls)})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="allaprima", description="Paints video: webcam, file or stream in, a painting out."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(
        name: str, run: Callable[[argparse.Namespace], int], help: str, *parents: argparse.ArgumentParser
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, description=help, parents=list(parents))
        sub.set_defaults(run=run)
        return sub

    painting = argparse.ArgumentParser(add_help=False)
    painting.add_argument("--style", default="starry-night", metavar="NAME", help="one of `allaprima styles list`")
    add_controls(painting)
    painting.add_argument("--size", metavar="WxH", help="scale the input, such as 1280x720")
    painting.add_argument("--backend", default="auto", help="auto, openvino, onnxruntime or torch")
    painting.add_argument("--codec", help="h264, hevc, av1, vp9, prores, ffv1, or an encoder of FFmpeg's")
    painting.add_argument("--quality", type=int, metavar="N", help="constant quality of the codec; lower is better")
    painting.add_argument("--preset", help="preset of the codec; slower is smaller")
    painting.add_argument("--report", type=Path, metavar="FILE", help="write what was measured, as JSON")

    live = command("live", _live, "paint a camera, a screen or a stream as it comes", painting)
    live.add_argument("--source", default="camera", metavar="URI", help="camera[:N], screen, lavfi:GRAPH, rtsp://…, a file")
    live.add_argument("--sink", action="append", metavar="URI", help="window, virtual, rtmp://…, a file, null; may repeat")
    render = command("render", _render, "paint a film; no frame is lost", painting)
    render.add_argument("input", help="a file, a folder or glob of pictures, a URL, lavfi:GRAPH, scene, or - for y4m")
    render.add_argument("output", help="a file, a folder or pattern of pictures, null, or - for y4m")
    styles = command("styles", _styles, "the paintings the network knows")
    styles.add_argument("action", choices=["list", "show"])
    styles.add_argument("name", nargs="?")
    command("doctor", _doctor, "what is there, what is not, and what to install for it")
    bench = command("bench", _bench, "measure the whole chain on this machine")
    bench.add_argument("--json", type=Path, metavar="FILE")
    bench.add_argument("--quick", action="store_true", help="shorter runs, no yardstick, no memory")
    bench.add_argument("--frames", type=int, default=2000, help="frames over which memory is watched (default 2000)")
    return parser


def _live(options: argparse.Namespace) -> int:
    from engine.run import run

    return run(options, options.source, options.sink or ["window"], read_controls(options), live=True)


def _render(options: argparse.Namespace) -> int:
    from engine.run import run

    return run(options, options.input, [options.output], read_controls(options), live=False)


def _styles(options: argparse.Namespace) -> int:
    from models.library import Library, LibraryError, shipped

    library = Library(shipped())
    try:
        if options.action == "list":
            for style in library.styles:
                print(f"{style.name:24} {style.title}, {style.artist}, {style.year}")
        elif not options.name:
            raise UsageError("which style? allaprima styles show NAME")
        else:
            style = library.style(options.name)
            for name in ("name", "title", "artist", "year", "rights", "source"):
                print(f"{name:8} {getattr(style, name)}")
    except LibraryError as error:
        raise UsageError(str(error)) from error
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from engine.doctor import examine

    return examine()


def _bench(options: argparse.Namespace) -> int:
    from benchmarks.chain import bench

    return bench(options.json, options.quick, options.frames)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status: 0 done, 1 failed, 2 misused, 130 interrupted."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except AllaPrimaError as error:
        print(f"allaprima: {error}", file=sys.stderr)
        return error.status
    except (OSError, MemoryError, av.FFmpegError) as error:  # of the machine, not of this program
        print(f"allaprima: {error or type(error).__name__}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("allaprima: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
