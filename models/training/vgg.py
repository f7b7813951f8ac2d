"""Where VGG-19's weights come from: a file of the user's, or Keras' public storage, converted once and kept."""

import hashlib
import os
import tempfile
import urllib.request
from http.client import HTTPException
from pathlib import Path

import numpy as np
from platformdirs import user_cache_path
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from tqdm import tqdm

# both as in keras/src/applications/vgg19.py (WEIGHTS_PATH_NO_TOP and its file_hash)
URL = "https://storage.googleapis.com/tensorflow/keras-applications/vgg19/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"
MD5 = "253f8cb515780f3b799900260a226db6"

_CHANNELS = {"1_1": (3, 64), "1_2": (64, 64), "2_1": (64, 128), "2_2": (128, 128), "3_1": (128, 256)}
_CHANNELS |= {f"3_{index}": (256, 256) for index in (2, 3, 4)}
_SHAPES: dict[str, tuple[int, ...]] = {
    **{f"conv{name}.weight": (outputs, inputs, 3, 3) for name, (inputs, outputs) in _CHANNELS.items()},
    **{f"conv{name}.bias": (outputs,) for name, (_, outputs) in _CHANNELS.items()},
}  # of every tensor that `losses.Vgg19` reads


def find_vgg(path: Path | None) -> Path:
    """The safetensors file of VGG-19 for `losses.Vgg19`: `path` if one is given, else a kept one, else a download (80 MB).

    Raises ValueError in one line if the file is not VGG-19, or cannot be had.
    """
    if path is not None:
        return _checked(path, "give VGG-19 as safetensors, with convX_Y.weight and .bias up to conv3_4")
    kept = user_cache_path("allaprima", appauthor=False) / "vgg19.safetensors"
    if not kept.exists():
        _fetch(kept)
    return _checked(kept, "delete it, and it is downloaded again")


def _checked(path: Path, remedy: str) -> Path:
    if not path.is_file():
        raise ValueError(f"there is no file {path}; {remedy}")
    try:
        with safe_open(path, "np") as file:
            found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path} is not a safetensors file ({error}); {remedy}") from error
    for name, shape in _SHAPES.items():
        if found.get(name) != shape:
            raise ValueError(f"{path} is not VGG-19: {name} is {found.get(name, 'missing')}, not {shape}; {remedy}")
    return path


def _fetch(kept: Path) -> None:
    """Download, verify, convert, and only then appear as `kept`. Raises ValueError."""
    try:
        import h5py
    except ImportError as error:
        raise ValueError("VGG-19 is downloaded as HDF5; pip install h5py, or give its weights with --vgg FILE") from error
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
            original, converted = Path(folder, "vgg19.h5"), Path(folder, kept.name)
            if _download(original) != MD5:
                raise ValueError(f"{URL} is not what it should be (MD5); try again, or give VGG-19 with --vgg FILE")
            with h5py.File(original, "r") as file:
                save_file(_converted(file), converted)
            os.replace(converted, kept)
    except (OSError, HTTPException) as error:
        raise ValueError(f"VGG-19 cannot be downloaded ({error}); give its weights with --vgg FILE") from error


def _download(path: Path) -> str:
    """Fetch URL into a file and return its MD5, in hexadecimal digits."""
    checksum = hashlib.md5(usedforsecurity=False)
    with urllib.request.urlopen(URL, timeout=30) as answer, path.open("wb") as file:
        size = int(answer.headers.get("Content-Length", 0)) or None
        with tqdm(total=size, desc="VGG-19", unit="B", unit_scale=True) as progress:
            while chunk := answer.read(1 << 18):
                file.write(chunk)
                checksum.update(chunk)
                progress.update(len(chunk))
    return checksum.hexdigest()


def _converted(file) -> dict[str, np.ndarray]:
    """Keras' HDF5 as float16 tensors: kernels from HWIO to OIHW, and conv1_1, which sees BGR there, turned to RGB."""
    tensors = {}
    for name in _CHANNELS:
        block, index = name.split("_")
        layer = f"block{block}_conv{index}"
        weight = np.transpose(file[layer][f"{layer}_W_1:0"][()], (3, 2, 0, 1))
        weight = weight[:, ::-1] if name == "1_1" else weight
        tensors[f"conv{name}.weight"] = np.ascontiguousarray(weight, np.float16)
        tensors[f"conv{name}.bias"] = file[layer][f"{layer}_b_1:0"][()].astype(np.float16)
    return tensors
