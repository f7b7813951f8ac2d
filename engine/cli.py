"""The command line: `allaprima live | render | studio | styles | train | quantize | export | evaluate | doctor | bench`."""

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import av

from engine.controls import Controls
from engine.errors import AllaPrimaError, UsageError
from engine.memory import bound_arenas

if TYPE_CHECKING:
    from models.library import Library

Run = Callable[[argparse.Namespace], int]


def add_controls(parser: argparse.ArgumentParser, *names: str) -> None:
    """One option for each control, or for those named, made from the schema."""
    for control in fields(Controls):
        if names and control.name not in names:
            continue
        name = "--" + control.name.replace("_", "-")
        if control.default is False:
            parser.add_argument(name, action="store_true", help=control.metadata["help"])
            continue
        if isinstance(control.default, str):
            text = f"{control.metadata['help']} (default {control.default})"
            choices = control.metadata["choices"] or None
            metavar = None if choices else control.metadata["value"]
            parser.add_argument(name, default=control.default, choices=choices, metavar=metavar, help=text)
            continue
        low, high = control.metadata["low"], control.metadata["high"]
        text = f"{control.metadata['help']} (default {control.default:g})"
        parser.add_argument(name, type=float, default=control.default, metavar=f"{low}..{high}", help=text)


def read_controls(options: argparse.Namespace) -> Controls:
    """The controls as given. Raises UsageError."""
    return Controls(**{control.name: getattr(options, control.name) for control in fields(Controls)})


class _Command(argparse.ArgumentParser):
    """Where `module` is named, its `add_arguments` says what the command understands, and is asked only when the command is
    given: what imports PyTorch must not keep the others waiting."""

    module: str | None = None

    def parse_known_args(self, args=None, namespace=None):
        if self.module is not None:
            _load(self.module).add_arguments(self)
        found, rest = super().parse_known_args(args, namespace)
        if isinstance(getattr(found, "input", None), list) and not any(word.startswith("-") for word in rest):
            # words behind an option, which argparse takes for none of a command that has had its output
            words = [*found.input, found.output, *rest]
            found.input, found.output, rest = words[:-1], words[-1], []
        return found, rest


def _load(module: str) -> ModuleType:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        extra = "studio" if module.startswith("engine.studio") else "train"
        raise AllaPrimaError(f"this needs {error.name}; install it with: pip install 'allaprima[{extra}]'") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="allaprima", description="Paints video: webcam, file or stream in, a painting out."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Command)

    def command(name: str, run: Run, help: str, *parents: _Command) -> _Command:
        sub = commands.add_parser(name, help=help, description=help, parents=list(parents))
        sub.set_defaults(run=run)
        return sub

    painting = _Command(add_help=False)
    add_controls(painting)
    painting.add_argument("--size", metavar="WxH", help="scale the input, such as 1280x720")
    painting.add_argument("--backend", default="auto", help="auto, or one of those that `allaprima doctor` lists")
    painting.add_argument("--codec", help="h264, hevc, av1, vp9, prores, ffv1, or an encoder of FFmpeg's")
    painting.add_argument("--quality", type=int, metavar="N", help="constant quality of the codec; lower is better")
    painting.add_argument("--preset", help="preset of the codec; slower is smaller")
    painting.add_argument("--report", type=Path, metavar="FILE", help="write what was measured, as JSON")

    live = command("live", _live, "paint a camera, a screen or a stream as it comes", painting)
    live.add_argument("--source", default="camera", metavar="URI", help="camera[:N], screen, lavfi:GRAPH, rtsp://…, a file")
    live.add_argument("--sink", action="append", metavar="URI", help="window, virtual, rtmp://…, a file, null; may repeat")
    render = command("render", _render, "paint a film; no frame is lost", painting)
    what = "a file, a folder or glob of pictures, a URL, lavfi:GRAPH, scene, or - for y4m; or several files"
    render.add_argument("input", nargs="+", help=what)
    where = "a file, a folder or pattern of pictures, null, or - for y4m; of several files the folder, which ends with /"
    render.add_argument("output", help=where)
    studio = command("studio", _studio, "paint, choose and steer in the browser; for calls and streams")
    studio.module = "engine.studio.command"
    _add_styles(command("styles", _list_styles, "the paintings the network knows, and your own"))
    for name, module, help in (
        ("train", "models.training.train", "train a network of your own"),
        ("quantize", "models.training.publish", "turn what was trained into weights of 8 bits"),
    ):
        sub = command(name, partial(_learn, module), help)
        sub.module, sub.formatter_class = module, argparse.ArgumentDefaultsHelpFormatter
    export = command("export", _export, "write the network for one style as an ONNX model")
    export.add_argument("output", type=Path, metavar="FILE.onnx")
    add_controls(export, "style", "strength", "network")
    command("evaluate", _evaluate, "how well a film was painted").module = "benchmarks.evaluate"
    command("doctor", _doctor, "what is there, what is not, and what to install for it")
    bench = command("bench", _bench, "measure the whole chain on this machine")
    bench.add_argument("--json", type=Path, metavar="FILE")
    bench.add_argument("--quick", action="store_true", help="shorter runs, no yardstick, no memory")
    bench.add_argument("--frames", type=int, default=2000, help="frames over which memory is watched (default 2000)")
    return parser


def _add_styles(parser: _Command) -> None:
    actions = parser.add_subparsers(required=True, metavar="ACTION")

    def action(name: str, run: Run, help: str) -> argparse.ArgumentParser:
        sub = actions.add_parser(name, help=help, description=help)
        sub.set_defaults(run=run)
        return sub

    action("list", _list_styles, "all of them")
    action("show", _show_style, "one painting and its rights").add_argument("name")
    add = action("add", _add_style, "keep a picture as a style of your own")
    add.add_argument("picture", type=Path, metavar="IMAGE")
    add.add_argument("--name", help="what to call it; else it is made from the file name")
    for about in ("title", "artist", "year"):
        add.add_argument(f"--{about}", default="", help="of the picture, for `styles show`")
    add.add_argument("--refine", type=float, metavar="MINUTES", help="train it so long for each network, for a closer match")
    add.add_argument("--content", type=Path, metavar="DIR", help="folder of photographs to refine on")
    add.add_argument("--vgg", type=Path, metavar="FILE", help="VGG-19 weights to refine by; else they are downloaded once")
    action("remove", _remove_style, "forget a style of your own").add_argument("name")


def _live(options: argparse.Namespace) -> int:
    bound_arenas()
    from engine.run import run

    return run(options, options.source, options.sink or ["window"], read_controls(options), live=True)


def _render(options: argparse.Namespace) -> int:
    controls = read_controls(options)
    if len(options.input) > 1:
        from engine.several import run_several

        return run_several(options, options.input, options.output, controls)
    from engine.run import run

    return run(options, options.input[0], [options.output], controls, live=False)


def _studio(options: argparse.Namespace) -> int:
    bound_arenas()
    return _load("engine.studio.command").run(options)


@contextlib.contextmanager
def _library() -> Iterator["Library"]:
    """The library; what it refuses is the user's mistake."""
    from models.library import Library, LibraryError

    try:
        yield Library()
    except LibraryError as error:
        raise UsageError(str(error)) from error


def _list_styles(options: argparse.Namespace) -> int:
    with _library() as library:
        for style in library.styles:
            about = ", ".join(part for part in (style.title, style.artist, style.year) if part)
            print(f"{style.name:32} {about}{' (your own)' if style.own else ''}")
    return 0


def _show_style(options: argparse.Namespace) -> int:
    with _library() as library:
        style = library.style(options.name)
    for name in ("name", "title", "artist", "year", "rights", "source"):
        print(f"{name:8} {getattr(style, name)}")
    for network, figures in style.measured.items():
        found = ", ".join(f"{key} {value:g}" for key, value in figures.items())
        print(f"{'measured':8} {network}: {found} (relative distances over VGG-19; 0 is equal)")
    return 0


def _add_style(options: argparse.Namespace) -> int:
    if options.refine is not None and (options.refine <= 0 or options.content is None):
        raise UsageError("--refine takes minutes, and photographs to practise on: --refine 3 --content DIR")
    from models.library import read_picture

    with _library() as library:
        source = str(options.picture.resolve())
        about = (options.name or options.picture.stem, options.title, options.artist, options.year, source)
        style = library.add(read_picture(options.picture), *about)
        print(f"{options.picture} is now the style '{style.name}'; paint with it: --style {style.name}")
        if options.refine is not None:
            refine = _load("models.training.refine").refine
            for network in library.networks:
                with _mistakes_of_the_user():
                    left = refine(library.of(network), style.name, options.refine, options.content, options.vgg)
                print(f"refined for the {network} network: {left:.0%} of the distance in style is left")
    return 0


def _remove_style(options: argparse.Namespace) -> int:
    with _library() as library:
        library.remove(options.name)
    print(f"the style '{options.name}' is forgotten")
    return 0


@contextlib.contextmanager
def _mistakes_of_the_user() -> Iterator[None]:
    """Folders without pictures, weights of another shape: what `models` raises as ValueError."""
    try:
        yield
    except ValueError as error:
        raise UsageError(str(error)) from error


def _learn(module: str, options: argparse.Namespace) -> int:
    with _mistakes_of_the_user():
        _load(module).run(options)
    return 0


def _export(options: argparse.Namespace) -> int:
    from engine.stylizers import beginning
    from models.export import to_onnx

    controls = Controls(style=options.style, strength=options.strength, network=options.network)
    with _library() as every:
        library = beginning(controls.network, every)
        model = to_onnx(library.painter(library.conditioning(controls.style, controls.strength)))
    options.output.write_bytes(model.SerializeToString())
    print(
        f"{options.output}: 4x4 tiles of full-range BT.709 4:2:0, with texture in, uint8 [1, h, w, 40], without out,"
        " [1, h, w, 24]; h and w even"
    )
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    return _load("benchmarks.evaluate").evaluate(options)


def _doctor(options: argparse.Namespace) -> int:
    from engine.doctor import examine

    return examine()


def _bench(options: argparse.Namespace) -> int:
    from benchmarks.chain import bench

    return bench(options.json, options.quick, options.frames)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status: 0 done, 1 failed, 2 misused, 130 interrupted."""
    try:
        options = _parser().parse_args(arguments)
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
