"""A stand-in for VGG-19 in tests: the right names and shapes, random weights."""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

_CHANNELS = {"1_1": (3, 64), "1_2": (64, 64), "2_1": (64, 128), "2_2": (128, 128), "3_1": (128, 256)}
_CHANNELS |= {f"3_{i}": (256, 256) for i in (2, 3, 4)}


def random_vgg(path: Path) -> Path:
    """Write `convX_Y.weight` [O, I, 3, 3] and `.bias` [O], He-initialised, float16."""
    random = np.random.default_rng(0)
    tensors = {}
    for name, (inputs, outputs) in _CHANNELS.items():
        weight = random.normal(0, np.sqrt(2 / (9 * inputs)), (outputs, inputs, 3, 3))
        tensors[f"conv{name}.weight"] = weight.astype(np.float16)
        tensors[f"conv{name}.bias"] = np.zeros(outputs, np.float16)
    save_file(tensors, path)
    return path
