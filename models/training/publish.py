"""Make what ships from checkpoints: `allaprima quantize CHECKPOINT --network fast --styles DIR --out DIR`.

The kernels become int8 codes with a step per channel; vectors and the encoder are kept in half precision.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

from models.export import quantise
from models.networks.generator import SHAPES
from models.training.atelier import load
from models.training.pictures import manifest

_PUBLISHED = ("title", "artist", "year", "rights", "source")


def run(options: argparse.Namespace) -> None:
    """Do what `allaprima quantize` was asked for."""
    with torch.no_grad():
        publish(options.checkpoint, options.network, options.styles, options.out)
    print(f"{options.out / options.network}.safetensors, {options.out / 'styles.json'}")


def publish(checkpoint: Path, network: str, styles: Path, out: Path) -> None:
    """Write `NETWORK.safetensors` and `styles.json` into `out`.

    Raises ValueError if the activations have not settled yet, or if the paintings' `styles.json` says nothing of one.
    """
    student, _ = load(checkpoint)
    generator = student.generator
    if not generator.settled:
        raise ValueError(f"{checkpoint} is not trained to the end: its activations are not bounded yet")
    about = manifest(styles)
    if missing := [name for name in student.names if name not in about]:
        raise ValueError(f"{styles / 'styles.json'} says nothing of {', '.join(missing)}")
    tensors: dict[str, np.ndarray] = {"reach": generator.reach.numpy()}
    for name, kernel in generator.kernels.items():
        tensors[f"{name}.codes"], tensors[f"{name}.step"] = quantise(kernel.detach().numpy())
    table = student.table.detach().numpy().astype(np.float16)
    tensors["identity"], tensors["styles"] = table[0], table[1:]
    for name, value in student.encoder.state_dict().items():
        # statistics vary little beside what they are
        tensors[f"encoder.{name}"] = value.numpy().astype(np.float32 if name.startswith("usual") else np.float16)
    out.mkdir(parents=True, exist_ok=True)
    save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, out / f"{network}.safetensors")
    entries = [{"name": name} | {key: about[name][key] for key in _PUBLISHED} for name in student.names]
    (out / "styles.json").write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `allaprima quantize` understands."""
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--network", choices=sorted(SHAPES), default="fast")
    parser.add_argument("--styles", type=Path, required=True, metavar="DIR", help="the paintings' folder, with styles.json")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of weights to write")
