"""Make what ships from a checkpoint: `python -m models.publish CHECKPOINT --styles DIR --content DIR --out DIR`.

Folds the statistics, turns the inner convolutions into int8 codes that all styles share, and measures on photographs how
far each activation of each style reaches, which fixes the steps of the 8-bit network.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from torch import Tensor
from tqdm import tqdm

from models.export import quantise
from models.network import Generator, Shape
from models.photographs import Photographs
from models.tiles import rgb_to_tiles

_PUBLISHED = ("title", "artist", "year", "rights", "source")


def load(checkpoint: Path) -> tuple[Generator, list[str]]:
    """The generator of a training checkpoint, its statistics fixed, and its styles' names."""
    with safe_open(checkpoint, "pt") as file:
        metadata = file.metadata()
        names = json.loads(metadata["styles"])
        generator = Generator(len(names), Shape(**json.loads(metadata["shape"])))
        generator.load_state_dict({n: file.get_tensor(n) for n in file.keys() if not n.startswith("optimiser.")})  # noqa: SIM118
    generator.fix_statistics()
    return generator.eval(), names


@torch.no_grad()
def activation_ranges(generator: Generator, style: int, tiles: Tensor, kept: float) -> dict[str, float]:
    """For each activation, the value under which the part `kept` of all its non-zero values over `tiles` lies."""
    reached: dict[str, float] = {}

    def record(name: str, values: Tensor) -> None:
        flat = values.flatten()
        flat = flat[flat > 0]
        rank = max(int(len(flat) * (1 - kept)), 1)
        reached[name] = float(flat.topk(rank).values[-1]) if len(flat) else 1.0

    generator(tiles, torch.full((len(tiles),), style), record)
    return reached


def publish(checkpoint: Path, styles: Path, content: Path, out: Path, photographs: int, kept: float) -> None:
    """Write `fast.safetensors` and `styles.json` into `out`."""
    generator, stems = load(checkpoint)
    manifest = {Path(entry["file"]).stem: entry for entry in json.loads((styles / "styles.json").read_text())}
    tensors: dict[str, np.ndarray] = {}
    for name, layer in generator.styled.items():
        gain, bias = layer.folded()
        tensors[f"{name}.gain"], tensors[f"{name}.bias"] = gain.numpy(), bias.numpy()
        weight = layer.weight.detach().numpy()
        if name in ("enter", "leave"):  # the stream's colour matrix is folded into these two before they are quantised
            tensors[f"{name}.weight"] = weight.astype(np.float16)
        else:
            tensors[f"{name}.codes"], tensors[f"{name}.step"] = quantise(weight)
    tiles = rgb_to_tiles(Photographs(content, seed=7).batch(photographs, 320, 0))
    ranges = [activation_ranges(generator, style, tiles, kept) for style in tqdm(range(len(stems)), unit="style")]
    for name in ranges[0]:
        tensors[f"{name}.range"] = np.array([reached[name] for reached in ranges], np.float32)
    out.mkdir(parents=True, exist_ok=True)
    save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, out / "fast.safetensors")
    entries = [
        {"name": manifest[stem]["title"].lower().replace("the ", "").replace(" ", "-").split("-off-")[0]}
        | {key: manifest[stem][key] for key in _PUBLISHED}
        for stem in stems
    ]
    (out / "styles.json").write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--styles", type=Path, required=True, help="folder of paintings with styles.json")
    parser.add_argument("--content", type=Path, required=True, help="folder of photographs")
    parser.add_argument("--out", type=Path, default=Path("models/weights"))
    parser.add_argument("--photographs", type=int, default=24, help="how many to measure activations on")
    parser.add_argument("--kept", type=float, default=0.9999, help="part of the activations that is not clipped")
    options = parser.parse_args()
    publish(options.checkpoint, options.styles, options.content, options.out, options.photographs, options.kept)


if __name__ == "__main__":
    main()
