"""Checkpoints: a model's weights, its optimiser's state and a few facts as JSON, in one safetensors file."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

_LEARNER, _STATE = "learner.", "optimiser."


@dataclass(frozen=True, slots=True)
class Progress:
    """What learning goes on from: the model that learns, of which the checkpoint's own weights are the mean, and its
    optimiser."""

    learner: nn.Module
    optimiser: torch.optim.Optimizer

    def tensors(self) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {f"{_LEARNER}{name}": value for name, value in self.learner.named_parameters()}
        for index, state in self.optimiser.state_dict()["state"].items():
            found |= {f"{_STATE}{index}.{key}": value for key, value in state.items()}
        return found


def save(path: Path, model: nn.Module, progress: Progress | None, metadata: dict[str, Any]) -> None:
    """Write a checkpoint, atomically; with `progress`, training can resume from it."""
    tensors = model.state_dict() | (progress.tensors() if progress else {})
    tensors = {name: value.detach().contiguous() for name, value in tensors.items()}
    temporary = path.with_suffix(".partial")
    save_file(tensors, temporary, {name: json.dumps(value) for name, value in metadata.items()})
    temporary.replace(path)


def stated(path: Path) -> dict[str, Any]:
    """The metadata. Raises OSError, SafetensorError, or ValueError for what is no JSON."""
    with safe_open(path, "pt") as file:
        return {name: json.loads(value) for name, value in (file.metadata() or {}).items()}


def weights(path: Path) -> dict[str, Tensor]:
    """The model's state, by name."""
    return {name: value for name, value in load_file(path).items() if not name.startswith((_LEARNER, _STATE))}


@torch.no_grad()
def restore(progress: Progress, path: Path) -> None:
    """Give a learner and its optimiser the state that the checkpoint holds of them."""
    states: dict[int, dict[str, Tensor]] = {}
    parameters = dict(progress.learner.named_parameters())
    for name, value in load_file(path).items():
        if name.startswith(_LEARNER):
            parameters[name.removeprefix(_LEARNER)].copy_(value)
        if name.startswith(_STATE):
            _, index, key = name.split(".")
            states.setdefault(int(index), {})[key] = value
    optimiser = progress.optimiser
    optimiser.load_state_dict({"state": states, "param_groups": optimiser.state_dict()["param_groups"]})
