"""The shipped network and its styles: list them, and make the painter of one."""

import json
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from models.export import Layer, Painter


class LibraryError(Exception):
    """The weights or the manifest cannot be used, or there is no such style."""


@dataclass(frozen=True, slots=True)
class Style:
    """A painting the network knows, as the manifest states it."""

    name: str
    title: str
    artist: str
    year: str
    rights: str
    source: str


def shipped() -> Path:
    """The folder of weights that comes with the package."""
    return Path(str(resources.files("models") / "weights"))


@dataclass(frozen=True)
class Library:
    """A network for many styles: `fast.safetensors` and `styles.json` in `folder`.

    The convolutions between the first and the last are kept as int8 codes with a step per output channel, shared by all
    styles; a style is a gain and a bias per channel of every layer, and the range of every activation.
    """

    folder: Path

    @cached_property
    def styles(self) -> list[Style]:
        """All styles, in the order of their rows in the weights. Raises LibraryError if the manifest is damaged."""
        try:
            entries = json.loads((self.folder / "styles.json").read_text(encoding="utf-8"))
            return [Style(**entry) for entry in entries]
        except (OSError, ValueError, TypeError) as error:
            raise LibraryError(f"{self.folder / 'styles.json'} cannot be read ({error}); reinstall allaprima") from error

    def style(self, name: str) -> Style:
        """The style called `name`. Raises LibraryError with the names there are."""
        for style in self.styles:
            if style.name == name:
                return style
        raise LibraryError(f"no style '{name}'; there are {', '.join(style.name for style in self.styles)}")

    @cached_property
    def _tensors(self) -> dict[str, np.ndarray]:
        path = self.folder / "fast.safetensors"
        try:
            with safe_open(path, "np") as file:
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        except (OSError, SafetensorError) as error:
            raise LibraryError(f"{path} is damaged or missing ({error}); reinstall allaprima") from error

    def painter(self, name: str) -> Painter:
        """The network for one style. Raises LibraryError."""
        row = self.styles.index(self.style(name))
        tensors = self._tensors
        layers, ranges = {}, {}
        try:
            for key in [key for key in tensors if key.endswith(".gain")]:
                layer = key.removesuffix(".gain")
                if f"{layer}.codes" in tensors:
                    step = tensors[f"{layer}.step"][:, None, None, None]
                    weight = tensors[f"{layer}.codes"].astype(np.float32) * step
                else:
                    weight = tensors[f"{layer}.weight"].astype(np.float32)
                gain = tensors[key][row].astype(np.float32)
                layers[layer] = Layer(weight * gain[:, None, None, None], tensors[f"{layer}.bias"][row].astype(np.float32))
                if f"{layer}.range" in tensors:
                    ranges[layer] = float(tensors[f"{layer}.range"][row])
        except (KeyError, IndexError, ValueError) as error:
            raise LibraryError(
                f"{self.folder / 'fast.safetensors'} does not fit its manifest; reinstall allaprima"
            ) from error
        return Painter(layers, ranges)
