"""The README's picture, one frame and all its paintings: `python -m benchmarks.gallery [SOURCE] [--frame N]`."""

import argparse
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from engine import flow, temporal
from engine.controls import Controls
from engine.frame import Frame
from engine.run import colour_encoding
from engine.sources import open_source
from engine.stylizers import open_stylizer
from kernels import cpu
from models.library import Library, shipped


def to_bgr(frame: Frame) -> np.ndarray:
    """A frame as uint8 [H, W, 3] for OpenCV's writers, by its own colour tags."""
    picture = frame.picture.reformat(format="bgr24", src_colorspace=frame.picture.colorspace)
    return picture.to_ndarray()


def painted(frame: Frame, style: str, source_info) -> Frame:
    """One frame in one style, as the first of a stream."""
    size = (frame.width, frame.height)
    stylizer = open_stylizer(style, size, colour_encoding(source_info)).stylizer
    cpu.pack_tiles(*frame.planes, stylizer.input())
    stylizer.submit()
    state = flow.FlowState.for_size(*size)
    motion = flow.step(state, frame.planes[0])
    wet = temporal.Wet.for_size(*size, state.scale)
    return temporal.step(wet, frame, motion, stylizer.collect(), Controls())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("source", nargs="?", default="scene:1280x720")
    parser.add_argument("--frame", type=int, default=75)
    parser.add_argument("--columns", type=int, default=3)
    parser.add_argument("--width", type=int, default=400, help="of one picture, pixels")
    parser.add_argument("--out", type=Path, default=Path("docs/gallery.jpg"))
    options = parser.parse_args()
    source = open_source(options.source)
    frame = next(islice((item for item in source if isinstance(item, Frame)), options.frame, None))
    pictures = [to_bgr(frame)]
    pictures += [to_bgr(painted(frame, style.name, source.info)) for style in Library(shipped()).styles]
    size = (options.width, options.width * frame.height // frame.width)
    small = [cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in pictures]
    small += [np.full_like(small[0], 255)] * (-len(small) % options.columns)
    rows = [np.hstack(small[i : i + options.columns]) for i in range(0, len(small), options.columns)]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(options.out), np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, 82])
    source.close()


if __name__ == "__main__":
    main()
