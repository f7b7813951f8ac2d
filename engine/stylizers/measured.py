"""What is measured once on a GPU, and remembered: which of several ways to run a network is the fastest there."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np
from platformdirs import user_cache_path

from engine.errors import StylizerError
from engine.stylizers.on_device import Network
from kernels.device import Device
from kernels.layout import CHANNELS, SEEN

_WARM, _RUNS, _ROUNDS = 10, 20, 5  # of a measurement


def cache_folder() -> Path:
    """Where it is kept, and what was built with it; what lies there may be deleted at any time."""
    return user_cache_path("allaprima", appauthor=False) / "gpu"


def describe_device() -> dict[str, str]:
    """The GPU's name, compute capability and driver. Raises CuPy's errors where there is none."""
    import cupy

    properties = cupy.cuda.runtime.getDeviceProperties(0)
    return {
        "name": properties["name"].decode(),
        "capability": f"{properties['major']}.{properties['minor']}",
        "driver": str(cupy.cuda.runtime.driverGetVersion()),
    }


def cache_key(device: dict[str, str], *parts: str | bytes) -> str:
    """Of what holds for these parts, such as a graph and a library's version, on this device only."""
    of_device = [device[name] for name in sorted(device)]
    digests = [hashlib.sha256(part if isinstance(part, bytes) else part.encode()).digest() for part in (*of_device, *parts)]
    return hashlib.sha256(b"".join(digests)).hexdigest()[:24]


def fastest(record: Path, names: Iterable[str], measure: Callable[[str], float]) -> list[str]:
    """Those of `names` that run, the fastest first.

    By `record`, a JSON of milliseconds, or of an error, for each; without it by what `measure` says or raises, which is then
    written down. Raises StylizerError if none runs.
    """
    names = list(names)
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
        results = {name: found[name] for name in names}
    except (OSError, ValueError, KeyError, TypeError):  # never written, or damaged
        results = {}
    if not any(isinstance(result, float) for result in results.values()):
        for name in names:
            try:
                results[name] = round(float(measure(name)), 4)
            except Exception as error:  # of a library or of CUDA; another may run
                results[name] = " ".join(str(error).split())[:300] or type(error).__name__
        if not any(isinstance(result, float) for result in results.values()):
            raise StylizerError("; ".join(f"{name}: {result}" for name, result in results.items()))
        write(record, json.dumps(results, indent=1).encode())
    times = {name: result for name, result in results.items() if isinstance(result, float)}
    return sorted(times, key=lambda name: times[name])


def milliseconds(network: Network, device: Device, grid: tuple[int, int]) -> float:
    """What one frame takes on `device`, the best of some rounds."""
    tiles, painted = (device.zeros((1, *grid, channels), np.uint8) for channels in (SEEN, CHANNELS))
    run = device.record(lambda: network.run(tiles, painted))
    times = []
    for count in [_WARM, *[_RUNS] * _ROUNDS]:
        start = time.perf_counter()
        for _ in range(count):
            run()
        device.mark().synchronize()
        times.append((time.perf_counter() - start) * 1e3 / count)
    return min(times[1:])


def write(path: Path, data: bytes) -> None:
    """All of it or nothing, though two programs write at once. What cannot be kept is made again next time."""
    temporary = path.with_suffix(f".{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
