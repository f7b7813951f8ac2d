"""What the commands that train have in common: by which layers of VGG-19 is judged, and how heavily each loss counts."""

import argparse
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from models.training.losses import LAYERS, Judgement, Weights

_COARSE = "relu3"  # layers from here on are too dear at full scale, where brush texture needs no more than those before


class _Weigh(argparse.Action):
    def __call__(
        self, parser: argparse.ArgumentParser, options: argparse.Namespace, values: Any, option: Any = None
    ) -> None:
        for value in values:
            name, _, number = value.partition("=")
            try:
                options.weights = replace(options.weights, **{name: float(number)})
            except (TypeError, ValueError):
                known = ", ".join(field.name for field in fields(Weights))
                parser.error(f"'{value}' is no weight; write one of {known}, then = and a number")


class _Judge(argparse.Action):
    def __call__(
        self, parser: argparse.ArgumentParser, options: argparse.Namespace, values: Any, option: Any = None
    ) -> None:
        options.judgement = replace(options.judgement, **{self.dest: values})


class _JudgeStyle(argparse.Action):
    def __call__(
        self, parser: argparse.ArgumentParser, options: argparse.Namespace, values: Any, option: Any = None
    ) -> None:
        chosen: Sequence[str] = sorted(set(values))
        finest = [layer for layer in chosen if layer < _COARSE] or chosen[:1]
        options.judgement = replace(options.judgement, style_layers=tuple(chosen), finest_layers=tuple(finest))


def add_losses(parser: argparse.ArgumentParser) -> None:
    """Options that make `weights` (`Weights`) and `judgement` (`Judgement`)."""
    weights, judgement = Weights(), Judgement()
    parser.set_defaults(weights=weights, judgement=judgement)
    group = parser.add_argument_group("what is judged")
    heavy = ", ".join(f"{field.name}={getattr(weights, field.name):g}" for field in fields(weights))
    quiet: Any = argparse.SUPPRESS  # what is not given leaves the defaults above
    group.add_argument(
        "--weights", nargs="+", action=_Weigh, default=quiet, dest="weigh", metavar="LOSS=NUMBER", help=f"instead of {heavy}"
    )
    layers: dict[str, Any] = {"choices": LAYERS, "metavar": "LAYER"}
    group.add_argument(
        "--style-layers",
        nargs="+",
        action=_JudgeStyle,
        default=quiet,
        help=f"of {LAYERS[0]} to {LAYERS[-1]}, instead of {', '.join(judgement.style_layers)}",
        **layers,
    )
    group.add_argument(
        "--content-layer", action=_Judge, default=quiet, help=f"instead of {judgement.content_layer}", **layers
    )
    group.add_argument(
        "--pooling", action=_Judge, default=quiet, choices=("max", "average"), help=f"instead of {judgement.pooling}"
    )
