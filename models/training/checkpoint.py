"""Checkpoints: a model's weights, its optimiser's state and a few facts as JSON, in one safetensors file."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

_STATE = "optimiser."


def save(path: Path, model: nn.Module, optimiser: torch.optim.Optimizer | None, metadata: dict[str, Any]) -> None:
    """Write a checkpoint that training can resume from, atomically."""
    tensors = {name: value.contiguous() for name, value in model.state_dict().items()}
    if optimiser is not None:
        for index, state in optimiser.state_dict()["state"].items():
            tensors |= {f"{_STATE}{index}.{key}": value.contiguous() for key, value in state.items()}
    temporary = path.with_suffix(".partial")
    save_file(tensors, temporary, {name: json.dumps(value) for name, value in metadata.items()})
    temporary.replace(path)


def stated(path: Path) -> dict[str, Any]:
    """The metadata. Raises OSError, SafetensorError, or ValueError for what is no JSON."""
    with safe_open(path, "pt") as file:
        return {name: json.loads(value) for name, value in (file.metadata() or {}).items()}


def weights(path: Path) -> dict[str, Tensor]:
    """The model's state, by name."""
    return {name: value for name, value in load_file(path).items() if not name.startswith(_STATE)}


def restore(optimiser: torch.optim.Optimizer, path: Path) -> None:
    """Give an optimiser the state that the checkpoint holds."""
    states: dict[int, dict[str, Tensor]] = {}
    for name, value in load_file(path).items():
        if name.startswith(_STATE):
            _, index, key = name.split(".")
            states.setdefault(int(index), {})[key] = value
    optimiser.load_state_dict({"state": states, "param_groups": optimiser.state_dict()["param_groups"]})
