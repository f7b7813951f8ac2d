"""Threads that come and go share what memory was taken for them."""

import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = """
import ctypes, threading
from engine.memory import ARENAS, bound_arenas
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.fdopen.restype = ctypes.c_void_p, ctypes.c_void_p
if {bounded}: bound_arenas()
together = threading.Barrier(9)
def take():
    libc.malloc(1000)
    together.wait()
    together.wait()
threads = [threading.Thread(target=take) for _ in range(8)]
for thread in threads: thread.start()
together.wait()
out = libc.fdopen(1, b"w")
libc.malloc_info(0, ctypes.c_void_p(out))
libc.fflush(ctypes.c_void_p(out))
together.wait()
"""


def arenas(bounded: bool) -> int:
    """How many there are when eight threads have taken memory."""
    command = [sys.executable, "-c", _PROGRAM.format(bounded=bounded)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=Path(__file__).parent.parent, check=True)
    return done.stdout.count("<heap nr=")


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_threads_share_two_arenas_where_each_would_have_had_its_own():
    assert arenas(bounded=False) > 2
    assert arenas(bounded=True) <= 2
