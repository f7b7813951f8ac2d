"""Runs the CUDA kernels on the CPU: g++ compiles the sources of `kernels.cuda` with `cuda_cpu/cuda_on_cpu.h`."""

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernels import cuda
from kernels.device import Copies, Cuda, Event

COMPILER = shutil.which("g++") if sys.platform == "linux" else None
_HEADERS = Path(__file__).parent / "cuda_cpu"
# no contraction to fused multiply-adds: float32 arithmetic is then that of NumPy
_EXACT = ["-O1", "-ffp-contract=off", "-fno-strict-aliasing"]
# a fortified longjmp would not let fibers change
_FLAGS = ["-shared", "-fPIC", "-g", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-U_FORTIFY_SOURCE", *_EXACT]
_DTYPES = {"byte*": np.uint8, "unsigned*": np.uint32, "unsigned short*": np.uint16, "float*": np.float32}


def open_device(kind: str, tmp_path_factory: pytest.TempPathFactory, wet_half: bool = False) -> Any:
    """A device of a kind, "cpu" or "gpu". Where there is none the test is skipped, or fails with REQUIRE_GPU set."""
    if kind == "cpu":
        # by the test that runs the others under AddressSanitizer
        built = os.environ.get("CUDA_ON_CPU_LIBRARY")
        return CpuDevice(Path(built) if built else build(tmp_path_factory, wet_half), wet_half)
    try:
        import cupy

        cupy.cuda.Device(0).compute_capability  # noqa: B018
    except Exception as error:  # no CuPy, no driver, no device: each raises in its own way
        reason = f"no GPU here: {' '.join(str(error).split())[:200]}"
        (pytest.fail if os.environ.get("REQUIRE_GPU") else pytest.skip)(reason)
    return Cuda(wet_half)


def build(tmp_path_factory: pytest.TempPathFactory, wet_half: bool = False, flags: tuple[str, ...] = ()) -> Path:
    """Compile all kernels into a shared library, once in a session."""
    if COMPILER is None:
        pytest.skip("no g++ to compile the CUDA sources for the CPU")
    version = subprocess.run([COMPILER, "-dumpversion"], capture_output=True, text=True, check=True).stdout
    if wet_half and int(version.split(".")[0]) < 12:
        pytest.skip("g++ knows no half precision before version 12")
    folder = tmp_path_factory.getbasetemp() / "-".join(["cuda", "half" if wet_half else "full", *flags])
    if folder.exists():
        return folder / "kernels.so"
    folder.mkdir()
    lines = ['#include "cuda_on_cpu.h"', *(f'#include "{name}.cu"' for name in cuda.SOURCES)]
    lines += [f"LAUNCHER({kernel})" for kernel in cuda.signatures()]
    code, library = folder / "kernels.cpp", folder / "kernels.so"
    code.write_text("\n".join(lines) + "\n", encoding="utf-8")
    includes = [f"-I{cuda.FOLDER}", f"-I{_HEADERS}"]
    command = [COMPILER, *_FLAGS, *flags, *includes, *cuda.options(wet_half), str(code), "-o", str(library)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return library


class _Now:
    """An event that is reached."""

    def synchronize(self) -> None: ...


class CpuDevice:
    """Has the methods of `kernels.device.Cuda`, and does at once what it is given; its arrays are NumPy's."""

    def __init__(self, library: Path, wet_half: bool = False):
        self._library = ctypes.CDLL(str(library))
        self.wet = np.dtype(np.float16 if wet_half else np.float32)
        self.notes: list[str] = []

    def zeros(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        return np.zeros(shape, dtype)

    staging = zeros

    def send(self, host: np.ndarray, array: np.ndarray) -> None:
        np.copyto(array, host, casting="no")

    def fetch(self, array: np.ndarray, host: np.ndarray) -> None:
        np.copyto(host, array, casting="no")

    def upload(self, copies: Copies, after: Event) -> Event:
        for host, array in copies:
            self.send(host, array)
        return _Now()

    def download(self, copies: Copies, after: Event) -> Event:
        for array, host in copies:
            self.fetch(array, host)
        return _Now()

    def adopt(self, copies: Copies, after: Event) -> Event:
        for plane, array in copies:
            samples = np.from_dlpack(plane)
            if samples.dtype == np.uint16:
                grid, block, taken = cuda.rounding(samples, array)
                self.launch("round_p010", grid, block, *taken)
                continue
            rows = samples.reshape(len(samples), -1)
            array[:, : rows.shape[1]] = rows
        return _Now()

    def keep(self, copies: Copies, after: Event) -> Event:
        for array, room in copies:
            np.copyto(room, array[: room.shape[0], : room.shape[1]])
        return _Now()

    def enter(self) -> None: ...

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        return work

    def together(self, works: Sequence[Callable[[], None]]) -> None:
        for work in works:
            work()

    def mark(self) -> Event:
        return _Now()

    def follow(self, event: Event) -> None: ...

    def launch(self, kernel: str, grid: tuple[int, ...], block: tuple[int, ...], *given: Any) -> None:
        """Runs `kernel` to its end. Raises TypeError for arguments that it does not take."""
        values: list[Any] = []
        for kind, value in zip(cuda.signatures()[kernel], cuda.arguments(kernel, given), strict=True):
            if not isinstance(value, np.ndarray):
                values.append(ctypes.c_int(value) if kind == "int" else ctypes.c_float(value))
                continue
            wanted = {**_DTYPES, "Wet*": self.wet, "float2*": np.float32}[kind]
            if value.dtype != wanted or not value.flags.c_contiguous:
                raise TypeError(f"{kernel} takes {kind}, not {value.dtype}")
            values.append(ctypes.c_void_p(value.ctypes.data))
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        sizes = [(ctypes.c_uint * 3)(*dims, *[1] * (3 - len(dims))) for dims in (grid, block)]
        getattr(self._library, f"launch_{kernel}")(*sizes, pointers)
