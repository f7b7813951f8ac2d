"""The shipped networks and all styles: list them, mix them, add your own, and make the painter of any mixture."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
from platformdirs import user_data_path
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from models.encoder import encode
from models.export import Layer, Painter
from models.looks import parse_look

MOST_PIXELS = 100_000_000  # of a picture that is to be a style
_KEPT_SIDE = 768  # pixels; of an added picture as much is kept as any network learns from


class LibraryError(Exception):
    """The weights or the manifest cannot be used, or there is no such style."""


@dataclass(frozen=True, slots=True)
class Style:
    """A painting the networks know, as the manifest states it. `measured` are figures of `benchmarks.quality`."""

    name: str
    title: str
    artist: str
    year: str
    rights: str
    source: str
    measured: dict[str, dict[str, float]] = field(default_factory=dict)
    own: bool = False  # added by the user


def shipped() -> Path:
    """The folder of weights that comes with the package."""
    return Path(str(resources.files("models") / "weights"))


def user_styles() -> Path:
    """The folder of styles that the user has added."""
    return user_data_path("allaprima", appauthor=False) / "styles"


def read_picture(path: Path) -> np.ndarray:
    """A picture file as R'G'B' uint8 [H, W, 3]. Raises LibraryError for what is none, and for what is monstrous."""
    try:
        return decoded(path.read_bytes(), str(path))
    except OSError as error:
        raise LibraryError(f"{path} cannot be read ({error.strerror})") from error


def decoded(data: bytes, called: str) -> np.ndarray:
    """The same for a file's bytes."""
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error as error:
        raise LibraryError(f"{called} cannot be read ({' '.join(str(error).split())[:120]})") from error
    if bgr is None:
        raise LibraryError(f"{called} is not a picture that can be read")
    height, width = bgr.shape[:2]
    if min(height, width) < 32 or height * width > MOST_PIXELS:
        raise LibraryError(f"{called} is {width}x{height}; a style needs 32x32 to {MOST_PIXELS // 10**6} megapixels")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


@dataclass(frozen=True)
class Library:
    """One network for many styles, `NETWORK.safetensors` and `styles.json` in `folder`, and the user's styles in `own`.

    Kernels are kept as int8 codes with a step per output channel. A style is one vector (see
    `models.networks.generator`), and so is every mixture of styles.
    """

    folder: Path = field(default_factory=shipped)
    network: str = "fast"
    own: Path = field(default_factory=user_styles)
    _seen: dict[tuple[str, int], np.ndarray] = field(default_factory=dict, compare=False, repr=False)  # vectors of pictures
    _others: dict[str, "Library"] = field(default_factory=dict, compare=False, repr=False)  # by network

    @property
    def networks(self) -> list[str]:
        """Names of the networks that are there."""
        return sorted(path.stem for path in self.folder.glob("*.safetensors"))

    def of(self, network: str) -> "Library":
        """The same library for another of its networks. Raises LibraryError if there is none of that name."""
        if network == self.network:
            return self
        if network not in self.networks:
            raise LibraryError(f"there is no network '{network}' in {self.folder}; there are {', '.join(self.networks)}")
        if network not in self._others:
            self._others[network] = replace(self, network=network, _seen={}, _others=self._others | {self.network: self})
        return self._others[network]

    def macs(self, width: int, height: int) -> int:
        """Multiplications and additions that painting one picture of that size takes."""
        total = 0
        for name in self._layers:
            side = 8 if name == "down" or name.startswith("block") else 4
            total += self._tensor(f"{name}.codes").size * (-(-width // side)) * (-(-height // side))
        return total

    @cached_property
    def shipped(self) -> list[Style]:
        """The styles that come with the network, in the order of their rows. Raises LibraryError."""
        path = self.folder / "styles.json"
        try:
            return [Style(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))]
        except (OSError, ValueError, TypeError) as error:
            raise LibraryError(f"{path} cannot be read ({error}); reinstall allaprima") from error

    @property
    def styles(self) -> list[Style]:
        """The shipped styles, then the user's own by name. Raises LibraryError if a manifest is damaged."""
        return [*self.shipped, *self._added()]

    def _added(self) -> Iterator[Style]:
        for path in sorted(self.own.glob("*.json")):
            try:
                yield Style(**json.loads(path.read_text(encoding="utf-8")), own=True)
            except (OSError, ValueError, TypeError) as error:
                raise LibraryError(f"{path} is damaged ({error}); `allaprima styles remove {path.stem}`") from error

    def style(self, name: str) -> Style:
        """The style called `name`. Raises LibraryError with the names there are."""
        for style in self.styles:
            if style.name == name:
                return style
        names = ", ".join(style.name for style in self.styles)
        raise LibraryError(f"no style and no picture '{name}'; there are {names}")

    def conditioning(self, look: str, strength: float = 1.0) -> np.ndarray:
        """The vector float32 [D] of a style, a picture or a mixture (`models.looks`); strength 0 is the camera itself.

        Raises LibraryError.
        """
        try:
            parts = parse_look(look)
        except ValueError as error:
            raise LibraryError(str(error)) from error
        vector = sum(np.float32(share) * self._vector(name) for name, share in parts)
        identity = self._tensor("identity").astype(np.float32)
        return (identity + np.float32(strength) * (vector - identity)).astype(np.float32)

    def _vector(self, name: str) -> np.ndarray:
        if Path(name).is_file() and not any(style.name == name for style in self.styles):
            key = name, Path(name).stat().st_mtime_ns
            if key not in self._seen:
                self._seen[key] = self.encode(read_picture(Path(name)))
            return self._seen[key]
        style = self.style(name)
        if not style.own:
            rows = self._tensor("styles")
            index = self.shipped.index(style)
            if index >= len(rows):
                raise LibraryError(f"{self._path} does not fit its manifest; reinstall allaprima")
            return rows[index].astype(np.float32)
        tensors = _load(self.own / f"{name}.safetensors", f"`allaprima styles remove {name}` and add it again")
        if self.network in tensors:
            return tensors[self.network].astype(np.float32)
        return self.encode(read_picture(self.own / f"{name}.jpg"))

    def encode(self, rgb: np.ndarray) -> np.ndarray:
        """The vector float32 [D] of any picture uint8 [H, W, 3], by the network's encoder."""
        prefix = "encoder."
        return encode(rgb, {n.removeprefix(prefix): t for n, t in self.tensors.items() if n.startswith(prefix)})

    def add(self, rgb: np.ndarray, name: str, title: str = "", artist: str = "", year: str = "", source: str = "") -> Style:
        """Keep a picture uint8 [H, W, 3] (`read_picture`) as a style called like `name`. Raises LibraryError."""
        chosen = slug(name)
        if not chosen:
            raise LibraryError(f"'{name}' makes no name; choose another with --name")
        if any(style.name == chosen for style in self.styles):
            raise LibraryError(f"there is a style '{chosen}' already; choose another with --name")
        factor = min(_KEPT_SIDE / min(rgb.shape[:2]), 1)
        small = cv2.resize(rgb, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA) if factor < 1 else rgb
        style = Style(chosen, title or name, artist, year, "yours to know", source, own=True)
        self.own.mkdir(parents=True, exist_ok=True)
        cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR))[1].tofile(self.own / f"{chosen}.jpg")
        self.keep(chosen, self.encode(small))
        entry = {key: value for key, value in asdict(style).items() if key not in ("own", "measured")}
        _write(self.own / f"{chosen}.json", json.dumps(entry, indent=1, ensure_ascii=False).encode())
        return style

    def keep(self, name: str, vector: np.ndarray) -> None:
        """Make `vector` float32 [D] this network's vector of the user's style `name`."""
        path = self.own / f"{name}.safetensors"
        kept = _load(path, "") if path.exists() else {}
        temporary = path.with_suffix(".partial")
        save_file(kept | {self.network: vector.astype(np.float32)}, temporary)
        os.replace(temporary, path)

    def remove(self, name: str) -> None:
        """Forget a style of the user's own. Raises LibraryError for any other."""
        if not re.fullmatch(r"[a-z0-9-]+", name) or not (self.own / f"{name}.json").exists():
            shipped_one = any(style.name == name for style in self.shipped)
            raise LibraryError(f"'{name}' is not one of your own styles" + (", it is shipped" if shipped_one else ""))
        for suffix in (".json", ".jpg", ".safetensors"):
            (self.own / f"{name}{suffix}").unlink(missing_ok=True)

    @property
    def _path(self) -> Path:
        return self.folder / f"{self.network}.safetensors"

    @cached_property
    def tensors(self) -> dict[str, np.ndarray]:
        """The network as it is stored, by name. Raises LibraryError."""
        return _load(self._path, "reinstall allaprima")

    def _tensor(self, name: str) -> np.ndarray:
        try:
            return self.tensors[name]
        except KeyError as error:
            raise LibraryError(f"{self._path} holds no {error}; reinstall allaprima") from error

    def painter(self, conditioning: np.ndarray) -> Painter:
        """The network for one vector float32 [D]: plain convolutions; lasting for a shipped style's. Raises LibraryError."""
        expected = len(self._tensor("identity"))
        if len(conditioning) != expected:
            raise LibraryError(f"a style of {len(conditioning)} numbers does not fit {self._path}, which takes {expected}")
        layers, start = {}, 0
        for name in self._layers:
            codes = self._tensor(f"{name}.codes")
            gain, bias = conditioning[start : start + 2 * len(codes)].reshape(2, -1)
            start += 2 * len(codes)
            scale = (self._tensor(f"{name}.step") * gain).astype(np.float32)
            layers[name] = Layer(codes * scale[:, None, None, None], bias.astype(np.float32))
        reach = map(float, self._tensor("reach"))
        lasting = bool((self._tensor("styles") == conditioning).all(1).any())
        return Painter(layers, dict(zip([name for name in layers if name != "leave"], reach, strict=True)), lasting)

    @property
    def unstyled(self) -> Painter:
        """The network with gains of 1 and no biases: its kernels, of which every style is a scaling. Raises LibraryError."""
        counts = [len(self._tensor(f"{name}.codes")) for name in self._layers]
        return self.painter(np.concatenate([np.repeat(np.array([1, 0], np.float32), count) for count in counts]))

    @cached_property
    def _layers(self) -> list[str]:
        """Names of the layers from front to back."""
        blocks = sum(name.startswith("block") and name.endswith("a.codes") for name in self.tensors)
        trunk = [f"block{index}{part}" for index in range(blocks) for part in "ab"]
        return ["enter", "down", *trunk, "up", "refine", "leave"]


def slug(name: str) -> str:
    """`My Garden!` as `my-garden`; empty where nothing is left."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _load(path: Path, remedy: str) -> dict[str, np.ndarray]:
    try:
        with safe_open(path, "np") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError) as error:
        raise LibraryError(f"{path} is damaged or missing ({error}); {remedy}") from error


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_suffix(".partial")
    temporary.write_bytes(data)
    os.replace(temporary, path)
