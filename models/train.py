"""Train the generator: `python -m models.train --styles DIR --content DIR --vgg FILE --out FILE`.

First the network normalises each picture by its own statistics, which learns fast; at `--fix-at` the statistics are fixed
per style and training goes on without them, so that what ships folds into plain convolutions and cannot flicker as a whole.
Throughout, pairs that differ by a shift of whole pixels, noise and light must be painted alike.
"""

import argparse
import json
import time
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm import tqdm

from models.network import FAST, Generator
from models.perceptual import StyleLoss, Vgg19, content_loss, halve, total_variation
from models.photographs import Photographs, degrade, read_rgb, to_tensor
from models.tiles import MARGIN, rgb_to_tiles, tiles_to_rgb

SHIFT = 32  # pixels; pairs are cut from a crop with this margin


def clip(rgb: Tensor) -> Tensor:
    """Clip to [0, 1] while letting the gradient through, so that a saturated pixel can come back."""
    return rgb + (rgb.clamp(0, 1) - rgb).detach()


def paint(generator: Generator, rgb: Tensor, style: Tensor) -> Tensor:
    """R'G'B' to painted R'G'B', both float [N, 3, H, W] in [0, 1], H and W multiples of 8."""
    framed = F.pad(rgb, (MARGIN,) * 4, mode="replicate")
    with torch.autocast(rgb.device.type, torch.bfloat16):
        tiles = generator(rgb_to_tiles(framed).to(memory_format=torch.channels_last), style)
    return clip(tiles_to_rgb(tiles.float()))[..., MARGIN:-MARGIN, MARGIN:-MARGIN]


def stability_loss(first: Tensor, second: Tensor, shift: tuple[int, int]) -> Tensor:
    """Mean squared difference of two paintings of the same scene where they overlap; the second lies at (y, x).

    What is near the edge of the one is inside of the other, so this also teaches the network not to paint a frame.
    """
    (y, x), size = shift, first.shape[-1]
    return (first[..., y:, x:] - second[..., : size - y, : size - x]).square().mean()


def contact_sheet(generator: Generator, photographs: list[np.ndarray], styles: int, path: Path) -> None:
    """Every style (columns) on a few photographs (rows) as one picture."""
    generator.eval()
    rows = []
    with torch.no_grad():
        for photograph in photographs:
            rgb = to_tensor(photograph[None])
            painted = [paint(generator, rgb, torch.tensor([s]))[0] for s in range(styles)]
            row = [photograph, *((p.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8) for p in painted)]
            rows.append(np.hstack(row))
    generator.train()
    cv2.imwrite(str(path), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))


def save(generator: Generator, optimiser: torch.optim.Optimizer, iteration: int, names: list[str], path: Path) -> None:
    """Write a checkpoint that training can resume from, atomically."""
    tensors = {name: value.contiguous() for name, value in generator.state_dict().items()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{key}": value.contiguous() for key, value in state.items()}
    metadata = {"iteration": str(iteration), "styles": json.dumps(names), "shape": json.dumps(vars(generator.shape))}
    temporary = path.with_suffix(".partial")
    save_file(tensors, temporary, metadata)
    temporary.replace(path)


def resume(generator: Generator, optimiser: torch.optim.Optimizer, path: Path) -> None:
    """Load what `save` wrote."""
    tensors = load_file(path)
    states: dict[int, dict[str, Tensor]] = {}
    for name in [n for n in tensors if n.startswith("optimiser.")]:
        _, index, key = name.split(".")
        states.setdefault(int(index), {})[key] = tensors.pop(name)
    generator.load_state_dict(tensors)
    optimiser.load_state_dict({"state": states, "param_groups": optimiser.state_dict()["param_groups"]})


def train(options: argparse.Namespace) -> None:
    """Run the whole training; raises ValueError for folders without pictures."""
    torch.manual_seed(options.seed)
    paintings = sorted(p for p in options.styles.iterdir() if p.stem in options.names or not options.names)
    paintings = [p for p in paintings if p.suffix in (".jpg", ".png")]
    names = [p.stem for p in paintings]
    pictures = [to_tensor(read_rgb(p, options.style_size)) for p in paintings]
    pictures = [p[:, : p.shape[1] // 8 * 8, : p.shape[2] // 8 * 8] for p in pictures]
    photographs = Photographs(options.content, options.seed)
    samples = [read_rgb(p) for p in sorted(options.content.iterdir())[:: len(photographs.pictures) // 4][:4]]
    samples = [cv2.resize(s, (384, 288), interpolation=cv2.INTER_AREA) for s in samples]
    vgg = Vgg19(options.vgg)
    vgg = vgg.to(torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        style_loss = StyleLoss(vgg, pictures)
    generator = Generator(len(names), FAST)
    optimiser = torch.optim.Adam(generator.parameters(), options.rate, betas=(0.9, 0.99))
    start = 0
    if options.resume and options.out.exists():
        resume(generator, optimiser, options.out)
        with safe_open(options.out, "pt") as file:
            start = int(file.metadata()["iteration"])
    log = options.out.with_suffix(".jsonl").open("a")
    progress = tqdm(range(start, options.iterations), initial=start, total=options.iterations, unit="it")
    for iteration in progress:
        if iteration >= options.fix_at:
            generator.fix_statistics()
        remaining = 1 - iteration / options.iterations
        for group in optimiser.param_groups:
            group["lr"] = options.rate * min(1.0, (iteration + 1) / 50) * min(1.0, remaining / 0.4 + 0.02)
        scene = photographs.batch(options.batch, options.size, SHIFT)
        shift = int(torch.randint(0, SHIFT + 1, ())), int(torch.randint(0, SHIFT + 1, ()))
        first, second = scene, degrade(scene[..., shift[0] :, shift[1] :])
        first, second = first[..., : options.size, : options.size], second[..., : options.size, : options.size]
        style = torch.randint(0, len(names), (options.batch,))
        painted = paint(generator, first, style)
        small = halve(painted)
        with torch.autocast("cpu", torch.bfloat16):
            features = vgg(small)
            with torch.no_grad():
                wanted = vgg(halve(first), "relu3_2")
            losses = {
                "content": options.content_weight * content_loss(features, wanted),
                "style": options.style_weight * style_loss(painted, style, features),
            }
        losses["smooth"] = options.smooth_weight * total_variation(painted)
        losses["stable"] = options.stable_weight * stability_loss(painted, paint(generator, second, style), shift)
        total = sum(losses.values())
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(generator.parameters(), 1.0)
        optimiser.step()
        figures = {name: round(float(value.detach()), 4) for name, value in losses.items()}
        progress.set_postfix(figures)
        log.write(json.dumps({"iteration": iteration, "time": round(time.time(), 1), **figures}) + "\n")
        log.flush()
        if (iteration + 1) % options.every == 0 or iteration + 1 == options.iterations:
            save(generator, optimiser, iteration + 1, names, options.out)
            sheet = options.out.with_name(f"{options.out.stem}-{iteration + 1:06d}.jpg")
            contact_sheet(generator, samples, len(names), sheet)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--styles", type=Path, required=True, help="folder of paintings")
    parser.add_argument("--names", nargs="*", default=[], help="stems of the paintings to learn; all unless given")
    parser.add_argument("--content", type=Path, required=True, help="folder of photographs")
    parser.add_argument("--vgg", type=Path, required=True, help="VGG-19 weights, safetensors")
    parser.add_argument("--out", type=Path, required=True, help="checkpoint, safetensors")
    parser.add_argument("--iterations", type=int, default=7500)
    parser.add_argument("--fix-at", type=int, default=1000, help="iteration at which statistics become fixed")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--size", type=int, default=320, help="crop, pixels")
    parser.add_argument("--style-size", type=int, default=512, help="short side of a painting, pixels")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--content-weight", type=float, default=3.0)
    parser.add_argument("--style-weight", type=float, default=2.0)
    parser.add_argument("--smooth-weight", type=float, default=10.0)
    parser.add_argument("--stable-weight", type=float, default=150.0)
    parser.add_argument("--every", type=int, default=200, help="iterations between checkpoints")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--resume", action="store_true")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
