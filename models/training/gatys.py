"""Paint one picture by optimising its pixels: `python -m models.training.gatys PHOTO PAINTING OUT`.

Gatys et al. 2016: slow, and bound to no network, so that it shows how well the losses can be met at all, and paints single
pictures at the highest quality. The losses and their weights are those that our networks learn by, so that figures compare;
but all of the picture is judged at every scale, nothing is random, and L-BFGS searches along a function that stands still.
"""

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from models.training.device import best
from models.training.loop import keep_freed_memory
from models.training.losses import LAYERS, Judgement, StyleLoss, Vgg19, Weights, halve, picture_losses
from models.training.pictures import PICTURES, read_rgb, to_tensor
from models.training.vgg import find_vgg

_STYLE_SIZE = 512  # short side of the painting, pixels, as our networks learn it
_RATE = 0.02  # Adam's, in units of full scale
_BOUNDS = 100.0  # weight of the mean squared distance by which pixels are out of [0, 1]; clipping then costs next to nothing

Judge = Callable[[Tensor], dict[str, Tensor]]
Watch = Callable[[int, float, Tensor], None]


@dataclass(frozen=True, slots=True)
class Options:
    """How to optimise; `steps` is how often the losses may be computed, which is what takes the time."""

    steps: int = 300
    optimiser: str = "lbfgs"  # or adam
    start: str = "content"  # or noise
    weights: Weights = field(default_factory=Weights)
    judgement: Judgement = field(default_factory=Judgement)
    seed: int = 1  # of the noise


def judge(photo: Tensor, painting: Tensor, vgg: Vgg19, options: Options) -> Judge:
    """What gives each loss, weighted, of a picture [1, 3, H, W], as a number, for `photo` in the style of `painting`.

    All pictures are R'G'B' float32 [1, 3, H, W] in [0, 1] on the device of `vgg`; H and W are 16 or more.
    """
    style_loss = StyleLoss(vgg, options.judgement, tamed=True)
    targets = style_loss.targets(painting)
    with torch.no_grad():
        wanted = vgg(halve(photo), options.judgement.content_layer)

    def losses(painted: Tensor) -> dict[str, Tensor]:
        found, _ = picture_losses(style_loss, painted, photo, targets, options.weights, whole=True, wanted=wanted)
        return {name: value.sum() for name, value in found.items()}

    return losses


def begin(photo: Tensor, options: Options) -> Tensor:
    """The picture from which to set out: the photograph, or noise around mid-grey."""
    if options.start == "content":
        return photo.clone()
    noise = torch.randn(photo.shape, generator=torch.Generator().manual_seed(options.seed))
    return (0.5 + 0.1 * noise).to(photo)


def optimise(
    photo: Tensor, painting: Tensor, vgg: Vgg19, options: Options = Options(), watch: Watch | None = None
) -> Tensor:
    """The painting R'G'B' float32 [1, 3, H, W] in [0, 1] with the smallest loss found; pictures are as `judge` takes them.

    `watch` is called after every computation of the losses with its number from 1, their sum, and the best picture so far,
    not clipped. L-BFGS may need a few computations more than `steps` to end its last search. Raises ValueError if it is to
    work with a `vgg` that is not in float32: with the noise of bfloat16 gradients its searches end before their time.
    """
    if options.optimiser == "lbfgs" and vgg.mean.dtype != torch.float32:
        raise ValueError(f"L-BFGS needs VGG-19 in float32, not {vgg.mean.dtype}; take it so, or take adam")
    losses = judge(photo, painting, vgg, options)
    picture = begin(photo, options).requires_grad_()
    best, least, count = picture.detach().clone(), float("inf"), 0

    def compute() -> Tensor:
        nonlocal least, count
        search.zero_grad(set_to_none=True)
        total = torch.stack(list(losses(picture).values())).sum()
        bounded = total + _BOUNDS * (picture - picture.clamp(0, 1)).square().mean()
        bounded.backward()
        count += 1
        value = float(bounded.detach())
        if value < least:
            least = value
            best.copy_(picture.detach())
        if watch is not None:
            watch(count, float(total.detach()), best)
        return bounded

    search: torch.optim.Optimizer
    if options.optimiser == "lbfgs":
        search = torch.optim.LBFGS(
            [picture],
            max_iter=options.steps,
            max_eval=options.steps,
            tolerance_grad=0.0,  # a pixel's gradient is tiny from the first
            history_size=30,
            line_search_fn="strong_wolfe",
        )
        search.step(compute)
    else:
        search = torch.optim.Adam([picture], _RATE)
        for _ in range(options.steps):
            search.step(compute)
    return best.clamp(0, 1)


def paint(options: argparse.Namespace) -> None:
    """The whole command. Raises ValueError for what cannot be read or written; Ctrl-C goes on after OUT is written."""
    if options.out.suffix.lower() not in PICTURES or not options.out.parent.is_dir():
        raise ValueError(f"{options.out} cannot be written; name a {', '.join(sorted(PICTURES))} in a folder that is there")
    if options.size < 32 or options.steps < 1:
        raise ValueError("--size is 32 pixels or more, and --steps 1 or more")
    keep_freed_memory()
    device = best()
    photo = to_tensor(read_rgb(options.photo, options.size)[None]).to(device)
    painting = to_tensor(read_rgb(options.painting, _STYLE_SIZE)[None]).to(device)
    weights = replace(Weights(), content=options.content_weight, style=options.style_weight)
    judgement = Judgement()
    if options.layers:
        judgement = replace(judgement, style_layers=tuple(options.layers), finest_layers=tuple(options.layers))
    vgg = Vgg19(find_vgg(options.vgg), judgement.pooling).to(device)
    chosen = Options(options.steps, options.optimiser, options.start, weights, judgement, options.seed)
    painted = begin(photo, chosen)
    losses = judge(photo, painting, vgg, chosen)
    print(f"before: {_figures(losses, painted)}")
    with tqdm(total=options.steps) as progress:

        def watch(step: int, loss: float, best: Tensor) -> None:
            nonlocal painted
            painted = best
            progress.total = max(options.steps, step)
            progress.set_postfix(loss=f"{loss:.3f}", refresh=False)
            progress.update()

        try:
            painted = optimise(photo, painting, vgg, chosen, watch)
        except KeyboardInterrupt:
            _write(options.out, painted.clamp(0, 1))
            raise
    _write(options.out, painted)
    print(f"after:  {_figures(losses, painted)}")


@torch.no_grad()
def _figures(losses: Judge, picture: Tensor) -> str:
    found = {name: float(value) for name, value in losses(picture).items()}
    return f"loss {sum(found.values()):.3f} (" + ", ".join(f"{name} {value:.3f}" for name, value in found.items()) + ")"


def _write(path: Path, picture: Tensor) -> None:
    rgb = np.rint(picture[0].permute(1, 2, 0).cpu().numpy() * 255).astype(np.uint8)
    temporary = path.with_suffix(".partial")
    temporary.write_bytes(cv2.imencode(path.suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1].tobytes())
    os.replace(temporary, path)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command understands."""
    parser.add_argument("photo", type=Path)
    parser.add_argument("painting", type=Path)
    parser.add_argument("out", type=Path, help="picture to write")
    parser.add_argument("--vgg", type=Path, metavar="FILE", help="VGG-19 weights, safetensors; else downloaded once")
    parser.add_argument("--steps", type=int, default=Options().steps, help="how often the losses are computed")
    parser.add_argument("--optimiser", choices=("lbfgs", "adam"), default=Options().optimiser)
    parser.add_argument("--start", choices=("content", "noise"), default=Options().start, help="what to set out from")
    parser.add_argument("--content-weight", type=float, default=Weights().content)
    parser.add_argument("--style-weight", type=float, default=Weights().style)
    parser.add_argument(
        "--layers", nargs="+", choices=LAYERS, help="of VGG-19, for style at every scale; else as in training"
    )
    parser.add_argument("--size", type=int, default=512, metavar="PIXELS", help="short side of the picture")
    parser.add_argument("--seed", type=int, default=Options().seed, help="of the noise")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add_arguments(parser)
    options = parser.parse_args()
    try:
        paint(options)
    except (OSError, ValueError) as error:
        parser.exit(1, f"{error}\n")
    except KeyboardInterrupt:
        parser.exit(130, f"stopped; {options.out} is as far as it came\n")


if __name__ == "__main__":
    main()
