"""What is there, what is not, and what to install for it."""

import os
import platform
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_MARKS = {True: "ok  ", False: "--  "}
Finding = tuple[bool, str]


def examine() -> int:
    """Print the findings, room by room; returns 0 if painting a file works here, else 1."""
    rooms: dict[str, Callable[[], Iterator[Finding]]] = {
        "machine": _machine,
        "networks": _networks,
        "backends": _backends,
        "encoders": _encoders,
        "devices": _devices,
    }
    essential = True
    for name, room in rooms.items():
        print(name)
        for found, line in room():
            print(f"  {_MARKS[found]}{line}")
            essential &= found or name not in ("networks",)
    return 0 if essential else 1


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _machine() -> Iterator[Finding]:
    yield True, f"Python {platform.python_version()} on {platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    if flags:
        fast = "avx512_vnni" in flags or "avx_vnni" in flags
        yield fast, "VNNI instructions" + ("" if fast else " are missing: 8-bit networks run at about half the speed")
    for package in ("av", "numba", "numpy", "opencv-python-headless"):
        found = _installed(package)
        if found:
            yield True, f"{package} {found}"


def _networks() -> Iterator[Finding]:
    from models.library import Library, LibraryError

    try:
        library = Library()
        for style in library.styles:
            vector = library.conditioning(style.name)
        library.painter(vector)
        own = sum(style.own for style in library.styles)
        yield True, f"{len(library.styles)} styles, {own} of them your own"
    except LibraryError as error:
        yield False, str(error)


def _backends() -> Iterator[Finding]:
    from engine.stylizers import BACKENDS, installed
    from kernels.device import present

    for name, (_, package) in BACKENDS.items():
        found = installed(name)
        yield bool(found), f"{name} ({found})" if found else f"{name}: pip install '{package}'"
    yield present(), "NVIDIA GPU" + ("" if present() else ": none, or no driver")


def _encoders() -> Iterator[Finding]:
    import av

    for name, use in (
        ("libx264", "H.264"),
        ("libx265", "HEVC"),
        ("libsvtav1", "AV1"),
        ("libvpx-vp9", "VP9"),
        ("prores_ks", "ProRes"),
        ("ffv1", "FFV1"),
    ):
        yield name in av.codecs_available, f"{use} ({name})"


def _devices() -> Iterator[Finding]:
    display = sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    yield display, "display" + ("" if display else ": none, so no window and no screen capture")
    window = _installed("pysdl2-dll")
    yield window is not None, f"window (SDL {window})" if window else "window: pip install pysdl2 pysdl2-dll"
    from engine.sinks import opengl

    lacking = opengl.missing()
    yield not lacking, f"window that gets a GPU's pictures from it directly{': ' + lacking if lacking else ''}"
    if sys.platform == "linux":
        cameras = sorted(str(path) for path in Path("/dev").glob("video*"))
        yield bool(cameras), f"cameras: {', '.join(cameras)}" if cameras else "camera: no /dev/video*; plug one in"
    virtual = _installed("pyvirtualcam")
    yield virtual is not None, f"virtual camera {virtual or ': pip install allaprima[camera], and a driver (v4l2loopback)'}"
