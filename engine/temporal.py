"""Keeping the paint still while the world moves: the wet frame is carried along the motion and blended with fresh paint.

Only the strokes are held: the light of each block follows fresh paint within a few frames, so that a change of light leaves
nothing old behind and nothing drifts (the luminance constraint of ReCoNet, Gao et al. 2018, without its assumption that
paint answers light one to one). The wet frame is kept in float, so that no rounding holds it back; cells that stand still
are copied, so that nothing blurs there; and where resampling and averaging have eaten detail, strokes are sharpened until
they hold as much of it as fresh paint does.
"""

from dataclasses import dataclass

import av
import numpy as np

from engine.controls import Controls
from engine.flow import Motion
from engine.frame import Frame
from kernels import cpu, cpu_motion
from kernels.layout import BLOCK, BORDER

LIFT = 0.6  # of the light in which a block differs from fresh paint, made good in one frame
ENOUGH = 0.98  # of the detail of fresh paint; the rest is its flicker, which must not be sharpened into strokes
RESTORE = 1.5  # of the detail that is missing; three samples reach only the finest part of it, and more would ripple
MOST_GAIN = 0.5  # in one frame
_NO_TILES = np.zeros((1, 1, 24), np.uint8)
_SAMPLES = ((4, 0), (2, 16), (2, 20))  # of each plane: samples on a tile's side, first channel


@dataclass(slots=True)
class Wet:
    """The painted frame before, still wet, and the buffers of this stage; planes float32, padded (`kernels.layout`)."""

    planes: list[np.ndarray]
    spare: list[np.ndarray]
    stale: np.ndarray  # float32 [h, w] in [0, 1]: where paint was carried without being sure of it
    fresh: np.ndarray  # float32 [3, h / BLOCK, w / BLOCK], see `kernels.reference.measure`: of the newest fresh paint
    blended: np.ndarray  # the same, of the wet paint
    gain: np.ndarray  # float32 [2, h / BLOCK, w / BLOCK], see `kernels.reference.restore_plane`
    lift: np.ndarray
    carried: bool = False  # the frame before got no fresh paint, so `stale` counts

    @classmethod
    def for_size(cls, width: int, height: int, scale: int) -> "Wet":
        """For pictures of this size and motion in cells of `scale` luma pixels."""

        def planes() -> list[np.ndarray]:
            sizes = [(height, width), *[((height + 1) // 2, (width + 1) // 2)] * 2]
            return [np.zeros((h + 2 * BORDER, w + 2 * BORDER), np.float32) for h, w in sizes]

        stale = np.zeros((-(-height // scale), -(-width // scale)), np.float32)
        blocks = (-(-height // BLOCK), -(-width // BLOCK))
        return cls(
            planes(),
            planes(),
            stale,
            fresh=np.zeros((3, *blocks), np.float32),
            blended=np.zeros((3, *blocks), np.float32),
            gain=np.zeros((2, *blocks), np.float32),
            lift=np.zeros(blocks, np.float32),
        )


def step(wet: Wet, frame: Frame, motion: Motion, tiles: np.ndarray | None, controls: Controls) -> Frame:
    """Paint `frame`, from fresh `tiles` uint8 [h, w, 24], or from the wet paint alone where they are None."""
    scale = motion.scale
    if wet.carried:
        cpu_motion.discount(motion.field, scale, wet.stale)
    painted = room(frame)
    for index, (original, target) in enumerate(zip(frame.planes, painted.planes, strict=True)):
        height, width = original.shape
        side, channel = _SAMPLES[index]
        cpu.blend_plane(
            wet.planes[index],
            # chroma has half the samples; cells of one luma pixel are then thinned out
            motion.field if index == 0 or scale > 1 else np.ascontiguousarray(motion.field[:, ::2, ::2]),
            scale if index == 0 else max(scale // 2, 1),
            np.float32(1.0 if index == 0 else 0.5),
            index == 0,  # the eye sees no difference in chroma, where bilinear costs a third
            tiles if tiles is not None else _NO_TILES,
            channel,
            side if tiles is not None else 0,
            height,
            width,
            np.float32(controls.consistency),
            wet.spare[index],
        )
        if index == 0:
            _compare(wet, tiles, height, width)
            cpu.restore_plane(wet.spare[0], wet.gain, wet.lift, wet.planes[0], target)
        else:
            wet.planes[index], wet.spare[index] = wet.spare[index], wet.planes[index]
            if controls.keep_color:
                np.copyto(target, original)
            else:
                cpu.round_plane(wet.planes[index], target)
    wet.carried = tiles is None
    if wet.carried:
        np.subtract(1, motion.field[2], out=wet.stale)
    return painted


def unpainted(frame: Frame) -> Frame:
    """`frame` as the camera gave it, copied: what a decoder still needs must not travel on."""
    if frame.on_device:
        return frame.like(frame.on_host().picture)
    copy = room(frame)
    for original, target in zip(frame.planes, copy.planes, strict=True):
        np.copyto(target, original)
    return copy


def room(frame: Frame) -> Frame:
    """A frame like `frame` to paint into. A new one each time, because an encoder may keep it as long as it likes; the
    allocator hands freed ones out again."""
    layout = "yuv420p" if frame.on_device else frame.picture.format.name
    return frame.like(av.VideoFrame(frame.width, frame.height, layout))


def _compare(wet: Wet, tiles: np.ndarray | None, height: int, width: int) -> None:
    """Set what brings each block's light and detail back to those of fresh paint; detail is never taken away."""
    cpu.measure_wet(wet.spare[0], height, width, wet.blended)
    if tiles is not None:
        cpu.measure_tiles(tiles, height, width, wet.fresh)
        np.subtract(wet.fresh[2], wet.blended[2], out=wet.lift)
        wet.lift *= LIFT / BLOCK**2
    else:
        wet.lift[:] = 0
    np.maximum(wet.blended, 1.0, out=wet.blended)
    np.divide(wet.fresh[:2], wet.blended[:2], out=wet.gain)
    wet.gain *= ENOUGH
    wet.gain -= 1
    wet.gain *= RESTORE
    np.clip(wet.gain, 0, MOST_GAIN, out=wet.gain)
