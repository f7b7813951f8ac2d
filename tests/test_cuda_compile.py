"""The CUDA sources compile for every GPU they are meant for, without warnings and without spilled registers."""

import re
from typing import Any

import pytest

from kernels import cuda

nvrtc = pytest.importorskip("cuda.bindings.nvrtc", reason="needs cuda-bindings")
pathfinder = pytest.importorskip("cuda.pathfinder", reason="needs cuda-bindings")

# GeForce 20 and T4; GeForce 30; GeForce 40 and L4; H100 and H200; GeForce 50
ARCHITECTURES = (75, 86, 89, 90, 120)


def compile_for(architecture: int, code: str, name: str, wet_half: bool = False) -> tuple[bool, str]:
    """Whether NVRTC makes machine code of it, and what the compiler and the assembler say."""
    try:
        program = checked(nvrtc.nvrtcCreateProgram(code.encode(), name.encode(), 0, [], []))
    except RuntimeError as error:  # cuda-bindings without the library itself
        pytest.skip(f"needs nvidia-cuda-nvrtc: {error}")
    options = [*cuda.options(wet_half), f"--gpu-architecture=sm_{architecture}"]
    options += ["--ptxas-options=-v", "--ptxas-options=--warn-on-spills"]
    if wet_half:
        options.append(f"-I{pathfinder.find_nvidia_header_directory('cudart')}")
    status, *_ = nvrtc.nvrtcCompileProgram(program, len(options), [option.encode() for option in options])
    log = b" " * checked(nvrtc.nvrtcGetProgramLogSize(program))
    checked(nvrtc.nvrtcGetProgramLog(program, log))
    checked(nvrtc.nvrtcDestroyProgram(program))
    return status == nvrtc.nvrtcResult.NVRTC_SUCCESS, log.rstrip(b" \0").decode()


def checked(result: tuple) -> Any:
    status, *values = result
    assert status == nvrtc.nvrtcResult.NVRTC_SUCCESS, nvrtc.nvrtcGetErrorString(status)[1]
    return values[0] if values else None


def assert_sound(log: str, kernels: list[str]) -> None:
    assert "warning" not in log
    found = re.findall(r"entry function '(\w+)'.*?(\d+) bytes spill stores.*?Used (\d+) registers", log, re.DOTALL)
    assert sorted(kernel for kernel, *_ in found) == sorted(kernels)
    for kernel, spilled, registers in found:
        assert spilled == "0", kernel
        # three blocks of 256 threads then share a multiprocessor, or four of the 128 that convolutions have
        assert int(registers) <= (128 if kernel.startswith("convolve") else 80), kernel


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("name", cuda.SOURCES)
def test_sources_compile_cleanly(architecture, name):
    code = cuda.source(name)
    compiled, log = compile_for(architecture, code, f"{name}.cu")
    assert compiled, log
    assert_sound(log, [kernel for kernel in cuda.signatures() if f" {kernel}(" in code])


def test_paint_compiles_for_half_precision():
    compiled, log = compile_for(75, cuda.source("paint"), "paint.cu", wet_half=True)
    assert compiled, log
    assert_sound(log, [kernel for kernel in cuda.signatures() if f" {kernel}(" in cuda.source("paint")])


def test_errors_name_the_file_and_the_line():
    lines = (cuda.FOLDER / "motion.cu").read_text(encoding="utf-8").splitlines()
    wrong = next(number for number, line in enumerate(lines, 1) if "int sum = 0;" in line)
    compiled, log = compile_for(90, cuda.source("motion").replace("int sum = 0;", "int sum = none;"), "motion.cu")
    assert not compiled
    assert f"motion.cu({wrong})" in log


def test_every_kernel_of_the_sources_is_known():
    kernels = [kernel for name in cuda.SOURCES for kernel in re.findall(r"__global__ void", cuda.source(name))]
    assert len(kernels) == len(cuda.signatures())
