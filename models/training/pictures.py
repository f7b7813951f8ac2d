"""Training pictures: photographs as moving pairs, and paintings as styles."""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from models.training.losses import Grams, StyleLoss
from models.training.motion import MARGIN, moving_pair

PICTURES = {".jpg", ".jpeg", ".png", ".webp"}
_WORKERS = 8  # processes that make pairs for a GPU; one makes some forty a second
_PATIENCE = 120  # seconds that a batch may take them


def read_rgb(path: Path, short_side: int | None = None) -> np.ndarray:
    """Read a picture as R'G'B' uint8 [H, W, 3], its short side scaled to `short_side` pixels.

    Raises ValueError if the file is not a picture.
    """
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise ValueError(f"{path} is not a picture that can be read")
    rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
    return rgb if short_side is None else scaled(rgb, short_side)


def scaled(rgb: np.ndarray, short_side: int) -> np.ndarray:
    """The picture with its short side at `short_side` pixels."""
    factor = short_side / min(rgb.shape[:2])
    size = (round(rgb.shape[1] * factor), round(rgb.shape[0] * factor))
    return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)


def to_tensor(rgb: np.ndarray) -> Tensor:
    """R'G'B' uint8 [..., H, W, 3] as float32 [..., 3, H, W] in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(rgb, -1, -3))).float() / 255


def find_pictures(folder: Path) -> list[Path]:
    """All pictures in a folder, by name. Raises ValueError if there are none."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES) if folder.is_dir() else []
    if not paths:
        raise ValueError(f"no pictures in {folder}")
    return paths


def manifest(folder: Path) -> dict[str, dict[str, str]]:
    """What `styles.json` in a folder of paintings states of each, by the painting's name; see `style_name`."""
    path = folder / "styles.json"
    entries = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    return {style_name(entry["title"]): entry for entry in entries}


def style_name(title: str) -> str:
    """`The Great Wave off Kanagawa` as `great-wave`: short enough to type, still the painting's own."""
    title = title.lower().split(" off ")[0].split(" (")[0].split(" / ")[0].split(", guarded")[0]
    words = "".join(letter if letter.isalnum() else " " for letter in title).split()
    return "-".join(word for word in words if word not in ("the", "a"))


def names_of(paths: list[Path]) -> list[str]:
    """What the paintings are called: after their titles, where `styles.json` states them, else after their files."""
    titles = {entry["file"]: name for name, entry in manifest(paths[0].parent).items()}
    return [titles.get(path.name, style_name(path.stem)) for path in paths]


@dataclass(frozen=True, slots=True)
class Batch:
    """Moving pairs: frames [N, 3, S, S], flow float32 [N, S, S, 2] back to the first, where it holds [N, S, S].

    Frames are uint8 while they travel, and float32 in [0, 1] once they are where they are trained with (`to`).
    """

    first: Tensor
    second: Tensor
    backward: Tensor
    visible: Tensor

    def pin_memory(self) -> "Batch":
        """The same in memory that a GPU copies from beside its work; what `DataLoader` asks for."""
        return Batch(*(part.pin_memory() for part in (self.first, self.second, self.backward, self.visible)))

    def to(self, device: torch.device) -> "Batch":
        first, second, backward, visible = (
            part.to(device, non_blocking=True) for part in (self.first, self.second, self.backward, self.visible)
        )
        return Batch(first.float() / 255, second.float() / 255, backward, visible)


class Photographs:
    """All photographs of a folder, decoded once and kept in memory; batches of random crops, scales and mirrorings."""

    def __init__(self, folder: Path, seed: int):
        self.pictures = [read_rgb(path) for path in find_pictures(folder)]
        self.random = np.random.default_rng(seed)

    def batch(self, count: int, side: int) -> Tensor:
        """R'G'B' float32 [count, 3, side, side] in [0, 1]."""
        return to_tensor(np.stack([self.crop(side) for _ in range(count)]))

    def pairs(self, count: int, side: int) -> Batch:
        """Moving pairs of two photographs each; frames uint8."""
        wide = side + 2 * MARGIN
        pairs = [moving_pair(self.crop(wide), self.crop(wide), self.random) for _ in range(count)]
        first, second, flows, seen = (
            torch.from_numpy(np.stack([getattr(pair, name) for pair in pairs]))
            for name in ("first", "second", "backward", "visible")
        )
        return Batch(first.permute(0, 3, 1, 2), second.permute(0, 3, 1, 2), flows, seen)

    def crop(self, side: int) -> np.ndarray:
        """R'G'B' uint8 [side, side, 3].

        Scales vary widely, since a frame of video at 1280x720 is smoother than a photograph of 288 pixels.
        """
        picture = self.pictures[self.random.integers(len(self.pictures))]
        factor = side * self.random.uniform(1.0, 3.0) / min(picture.shape[:2])
        part = min(int(np.ceil(side / factor)), *picture.shape[:2])
        y = self.random.integers(picture.shape[0] - part + 1)
        x = self.random.integers(picture.shape[1] - part + 1)
        crop = cv2.resize(picture[y : y + part, x : x + part], (side, side), interpolation=cv2.INTER_CUBIC)
        return crop[:, ::-1] if self.random.random() < 0.5 else crop


class Pairs(IterableDataset):
    """An endless stream of batches; every worker draws its own."""

    def __init__(self, content: Path, seed: int, count: int, side: int):
        self.photographs, self.seed, self.count, self.side = Photographs(content, seed), seed, count, side

    def __iter__(self):
        worker = get_worker_info()
        self.photographs.random = np.random.default_rng([self.seed, worker.id if worker else 0])
        while True:
            yield self.photographs.pairs(self.count, self.side)

    def batches(self, device: torch.device) -> DataLoader[Batch]:
        """The stream for training on a device: a GPU's is made ahead, by processes of its own. Reading it raises
        RuntimeError if one of these dies or hangs."""
        if device.type != "cuda":
            return DataLoader(self, batch_size=None)
        cv2.setNumThreads(1)  # here: in a process forked from it, OpenCV would wait for ever for its threads
        return DataLoader(self, batch_size=None, num_workers=_WORKERS, pin_memory=True, timeout=_PATIENCE)


class Styles:
    """Paintings with the Gram matrices they ask for; each is computed at its first use and kept in half precision."""

    def __init__(self, pictures: list[np.ndarray], loss: StyleLoss, device: torch.device):
        self.pictures, self.loss, self.device = pictures, loss, device
        self._grams: dict[int, Grams] = {}

    def __len__(self) -> int:
        return len(self.pictures)

    def targets(self, indices: list[int]) -> Grams:
        """Gram matrices of the paintings, stacked."""
        for index in indices:
            if index not in self._grams:
                painting = to_tensor(self.pictures[index][None]).to(self.device)
                # each has a size of its own, for which trying out convolutions would take seconds
                with torch.backends.cudnn.flags(benchmark=False, allow_tf32=False):
                    found = self.loss.targets(painting)
                # as float16 the largest entries would overflow
                self._grams[index] = [{name: value.bfloat16() for name, value in scale.items()} for scale in found]
        chosen = [self._grams[index] for index in indices]
        return [
            {name: torch.cat([grams[scale][name] for grams in chosen]) for name in chosen[0][scale]}
            for scale in range(len(chosen[0]))
        ]

    def looks(self, indices: list[int]) -> Tensor:
        """What the encoder sees of the paintings, which are squares of `models.encoder.SIDE`: float32 [N, 3, S, S]."""
        return to_tensor(np.stack([self.pictures[index] for index in indices])).to(self.device)
