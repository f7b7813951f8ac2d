"""Train a yardstick: `python -m models.training.yardstick --network johnson --style FILE --content DIR --out FILE`.

One well-known network learns one painting, from the same photographs, by the same losses and over the same course as ours,
so that what is left between them is the network. Johnson's learns from single frames, by all but the temporal losses;
ReCoNet's from moving pairs, by those as well.
"""

import argparse
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor, nn

from models.networks.johnson import Johnson
from models.networks.reconet import ReCoNet
from models.training import checkpoint as checkpoints
from models.training.device import autocast, best, precision
from models.training.loop import Course, follow
from models.training.losses import (
    Grams,
    StyleLoss,
    Vgg19,
    Weights,
    clip,
    feature_temporal_loss,
    picture_losses,
    temporal_loss,
)
from models.training.mean import Mean
from models.training.options import add_losses
from models.training.pictures import Batch, Pairs, Styles, read_rgb
from models.training.vgg import find_vgg

NETWORKS: dict[str, type[Johnson]] = {"johnson": Johnson, "reconet": ReCoNet}
_STYLE_SIZE = 512  # short side of the painting, pixels, as our networks learn it
_RATE = 1e-3  # Johnson et al. 2016 and Gao et al. 2018
_SEED = 1


def losses(network: Johnson, batch: Batch, style_loss: StyleLoss, targets: Grams, weights: Weights) -> dict[str, Tensor]:
    """Each loss, weighted, as the mean over the batch; `targets` are the Gram matrices of the one painting."""
    moving = isinstance(network, ReCoNet)
    frames = torch.cat([batch.first, batch.second]) if moving else batch.first
    with autocast(frames.device):
        encoded = network.encode(frames.contiguous(memory_format=torch.channels_last))
        painted = network.decode(encoded)
    painted = clip(painted.float())
    count = len(batch.first)
    first, second = painted[:count], painted[count:]
    found, _ = picture_losses(style_loss, first, batch.first, targets, weights)
    if moving:
        given, pair = (batch.first, batch.second), (encoded[:count], encoded[count:])
        found["still"] = weights.still * temporal_loss((first, second), given, batch.backward, batch.visible)
        found["deep"] = weights.feature_still * feature_temporal_loss(pair, batch.backward, batch.visible)
    return {name: value.mean() for name, value in found.items()}


def describe(path: Path) -> dict[str, Any]:
    """What a checkpoint states: `network`, `style` (the painting's stem) and `facts` (iteration, seconds).

    Raises ValueError if the file is none of this program's.
    """
    try:
        metadata = checkpoints.stated(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise ValueError(f"{path} is not a checkpoint that can be read ({error})") from error
    if metadata.get("network") not in NETWORKS:
        raise ValueError(f"{path} is not a checkpoint of {' or '.join(NETWORKS)}")
    return metadata


def load(path: Path) -> nn.Module:
    """The network of a checkpoint, on the CPU, in eval mode. Raises ValueError as `describe` does."""
    network = NETWORKS[describe(path)["network"]]()
    network.load_state_dict(checkpoints.weights(path))
    return network.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]


@torch.no_grad()
def paint(module: nn.Module, rgb: Tensor) -> Tensor:
    """R'G'B' float [N, 3, H, W] in [0, 1], of any size and on the module's device, painted and clipped to [0, 1]."""
    height, width = rgb.shape[-2:]
    whole = F.pad(rgb, (0, -width % 4, 0, -height % 4), mode="replicate")
    return module(whole.contiguous(memory_format=torch.channels_last))[..., :height, :width].clamp(0, 1)


def train(options: argparse.Namespace) -> None:
    """Run the whole training. Raises ValueError for what is no picture, an odd size, and a checkpoint of something else."""
    if options.size % 16:
        raise ValueError(f"--size must be a multiple of 16, not {options.size}")
    torch.manual_seed(_SEED)
    device = best()
    painting = read_rgb(options.style, _STYLE_SIZE)
    pairs = Pairs(options.content, _SEED, options.batch, options.size)
    vgg = Vgg19(find_vgg(options.vgg), options.judgement.pooling).to(device, precision(device))
    style_loss = StyleLoss(vgg, options.judgement, tamed=True)
    targets = Styles([painting], style_loss, device).targets([0])
    course = Course(None if options.minutes else options.iterations, options.minutes, _RATE, every=5)
    network = _begun(options, course).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    progress = checkpoints.Progress(network, torch.optim.Adam(network.parameters(), _RATE, betas=(0.9, 0.99)))
    mean = Mean(network, course.iteration)
    if options.resume:
        checkpoints.restore(progress, options.out)

    def checkpoint() -> None:
        facts = {"iteration": course.iteration, "seconds": course.seconds}
        metadata = {"network": options.network, "style": options.style.stem, "facts": facts}
        checkpoints.save(options.out, mean.model, progress, metadata)

    def judged(batch: Batch) -> dict[str, Tensor]:
        return losses(network, batch, style_loss, targets, options.weights)

    log = options.out.with_suffix(".jsonl")
    follow(course, network, mean, progress.optimiser, pairs.batches(device), judged, log, checkpoint)
    print(f"{course.iteration} iterations in {course.seconds / 60:.0f} minutes: {options.out}, and beside it the log")


def _begun(options: argparse.Namespace, course: Course) -> Johnson:
    """A new network, or the checkpoint that is to be continued, whose progress goes into `course`."""
    if not options.resume:
        return NETWORKS[options.network]()
    stated = describe(options.out)
    if (stated["network"], stated["style"]) != (options.network, options.style.stem):
        raise ValueError(f"{options.out} is {stated['network']} for {stated['style']}; it cannot be continued as another")
    course.iteration, course.seconds = stated["facts"]["iteration"], stated["facts"]["seconds"]
    return load(options.out).train()  # type: ignore[return-value]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command understands."""
    parser.add_argument("--network", choices=sorted(NETWORKS), default="johnson")
    parser.add_argument("--style", type=Path, required=True, metavar="FILE", help="the painting")
    parser.add_argument("--content", type=Path, required=True, metavar="DIR", help="folder of photographs")
    parser.add_argument("--vgg", type=Path, metavar="FILE", help="VGG-19 weights, safetensors; else downloaded once")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="checkpoint to write, safetensors")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--iterations", type=int, default=20000)
    length.add_argument("--minutes", type=float, help="train for so long instead")
    parser.add_argument("--size", type=int, default=256, help="side of a crop, pixels, a multiple of 16")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint --out")
    add_losses(parser)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add_arguments(parser)
    options = parser.parse_args()
    try:
        train(options)
    except (OSError, ValueError) as error:
        parser.exit(1, f"{error}\n")
    except KeyboardInterrupt:
        parser.exit(130, f"stopped; go on with --resume: {options.out}\n")


if __name__ == "__main__":
    main()
