"""The pictures of the README and of the style list: `python -m benchmarks.gallery`.

One frame of the code-made landscape and a face (the astronaut Eileen Collins, NASA, public domain, from scikit-image), in
every shipped style, as contact sheets in `docs/`; and a thumbnail of each style beside the weights.
"""

import argparse
from collections.abc import Callable
from contextlib import closing
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from engine import flow, temporal
from engine.controls import Controls
from engine.frame import Frame, StreamInfo
from engine.run import colour_encoding
from engine.seeing import Seeing
from engine.sources import open_source
from engine.stylizers import open_stylizer
from models.library import Library

LANDSCAPE = ("scene:1280x720", 75)  # source, frame
COLUMNS, WIDTH = 5, 216  # of a sheet; pixels of one picture
THUMBNAIL = (224, 126)
Painter = Callable[[str], np.ndarray]  # from a style's name to uint8 [H, W, 3], blue first


def to_bgr(frame: Frame) -> np.ndarray:
    """A frame as uint8 [H, W, 3] for OpenCV's writers, by its own colour tags."""
    picture = frame.picture.reformat(format="bgr24", src_colorspace=frame.picture.colorspace)
    return picture.to_ndarray()


def painted(frame: Frame, look: str, info: StreamInfo, network: str = "fast") -> Frame:
    """One frame in one style, as the first of a stream."""
    size = (frame.width, frame.height)
    stylizer = open_stylizer(look, size, colour_encoding(info), library=Library().of(network)).stylizer
    Seeing.for_size(*size).show(frame.planes, stylizer.input())
    stylizer.submit()
    state = flow.FlowState.for_size(*size)
    motion = flow.step(state, frame.planes[0])
    wet = temporal.Wet.for_size(*size, state.scale)
    try:
        return temporal.step(wet, frame, motion, stylizer.collect(), Controls())
    finally:
        stylizer.close()


def opened(uri: str, index: int) -> tuple[np.ndarray, Painter]:
    """A frame of a source, blue first, and how to paint it."""
    with closing(open_source(uri)) as source:
        frame = next(islice((item for item in source if isinstance(item, Frame)), index, None))
        info = source.info
    return to_bgr(frame), lambda look: to_bgr(painted(frame, look, info))


def sheet(pictures: list[np.ndarray], columns: int = COLUMNS, width: int = WIDTH) -> np.ndarray:
    """Pictures of one size side by side, each `width` pixels wide, with a hair of white between."""
    height = width * pictures[0].shape[0] // pictures[0].shape[1]
    small = [cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA) for picture in pictures]
    small += [np.full_like(small[0], 255)] * (-len(small) % columns)
    framed = [cv2.copyMakeBorder(picture, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=(255, 255, 255)) for picture in small]
    return np.vstack([np.hstack(framed[i : i + columns]) for i in range(0, len(framed), columns)])


def _write(picture: np.ndarray, path: Path, quality: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    print(f"{path} {path.stat().st_size // 1000} kB")


def main() -> None:
    import skimage

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    parser.add_argument("--thumbnails", type=Path, default=Library().folder / "thumbnails")
    options = parser.parse_args()
    names = [style.name for style in Library().shipped]
    for uri, index, name in ((*LANDSCAPE, "gallery"), (str(Path(skimage.data_dir) / "astronaut.png"), 0, "faces")):
        given, paint = opened(uri, index)
        pictures = {look: paint(look) for look in names}
        width = WIDTH if name == "gallery" else WIDTH // 2
        shown = sheet([given, *pictures.values()], COLUMNS if name == "gallery" else 8, width)
        _write(shown, options.docs / f"{name}.jpg", 55)
        if name == "gallery":
            for look, picture in pictures.items():
                small = cv2.resize(picture, THUMBNAIL, interpolation=cv2.INTER_AREA)
                _write(small, options.thumbnails / f"{look}.jpg", 78)


if __name__ == "__main__":
    main()
