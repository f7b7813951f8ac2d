"""How good a painted video is: the pure measures. Every one takes arrays and gives a number; nothing is read or run here.

Written I (input), P (painted, each frame for itself), O (output), W (warp along the flow), M (1 where the flow is valid).
Pictures are luma, float32 [H, W] in codes 0 to 255 unless said otherwise; errors are in [0, 1], codes over 255. A flow is
`backward` float32 [H, W, 2] in pixels, x before y: the way from each pixel of a frame to its place in an earlier one.
"""

from collections.abc import Sequence

import cv2
import numpy as np

CODE = 1 / 255


def warp(picture: np.ndarray, backward: np.ndarray) -> np.ndarray:
    """W: what `picture` [H, W] shows where each pixel came from, bilinearly; beyond the edge, the edge."""
    return cv2.remap(picture.astype(np.float32), *_places(backward), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def pair_error(now: np.ndarray, then: np.ndarray, backward: np.ndarray, valid: np.ndarray) -> float:
    """mean(M · (now - W(then))²), over all pixels; `valid` is M, bool [H, W]. In [0, 1]."""
    difference = (now.astype(np.float32) - warp(then, backward)) * np.float32(CODE)
    return float(np.mean(np.square(difference) * valid))


def stability(pair_errors: Sequence[float]) -> float:
    """e_stab = sqrt(mean over pairs of mean(M · (O_t - W(O_{t-1}))²)), the form of Lai et al. 2018; 0 is perfectly still."""
    return float(np.sqrt(np.mean(pair_errors)))


def gradient(picture: np.ndarray) -> tuple[float, float]:
    """mean(|p(x) - p(x-1)|) and mean(|p(y) - p(y-1)|), in codes: detail across and down."""
    picture = picture.astype(np.float32)
    return float(np.abs(np.diff(picture, axis=1)).mean()), float(np.abs(np.diff(picture, axis=0)).mean())


Gradients = Sequence[tuple[float, float]]


def gradient_ratio(ours: Gradients, theirs: Gradients) -> tuple[float, float, float]:
    """`sharpness` of pictures whose `gradient`s these are: in all, across and down; NaN where theirs are flat."""
    (across, down), (their_across, their_down) = np.mean(ours, 0).tolist(), np.mean(theirs, 0).tolist()
    parts = ((across + down, their_across + their_down), (across, their_across), (down, their_down))
    whole, across, down = (own / their if their else float("nan") for own, their in parts)
    return whole, across, down


def sharpness(pictures: Sequence[np.ndarray], references: Sequence[np.ndarray]) -> tuple[float, float, float]:
    """The mean gradient of `pictures` over that of `references`, in all, across and down.

    1 is as sharp, less is blurred, more is sharpened. What blurs along the motion may be hidden in the sum by what was
    sharpened athwart, so all three belong together.
    """
    return gradient_ratio([gradient(picture) for picture in pictures], [gradient(picture) for picture in references])


def distance(one: np.ndarray, other: np.ndarray, where: np.ndarray | None = None) -> float:
    """mean(|one - other|) over `where` (bool [H, W]; None is everywhere), in [0, 1]; NaN where there is nowhere."""
    difference = np.abs(one.astype(np.float32) - other.astype(np.float32)) * np.float32(CODE)
    chosen = difference if where is None else difference[where]
    return float(chosen.mean()) if chosen.size else float("nan")


def recovery(before: Sequence[float], after: Sequence[float]) -> int | None:
    """Frames from a cut until the output is itself again.

    `before` and `after` are mean(|O - P|) of the frames before the cut and from the first of the new scene on, in [0, 1].
    Recovered is the first frame whose error is at most one code (1/255), or at most the median before the cut: in motion O
    is not P, nor should it be. 0 is at once; None is not within `after`.
    """
    usual = max(CODE, float(np.median(before)) if len(before) else 0.0)
    return next((index for index, error in enumerate(after) if error <= usual), None)


def drift(first: np.ndarray, last: np.ndarray) -> tuple[float, float]:
    """Relative change of brightness (the mean) and of contrast (the standard deviation) from one picture to another.

    NaN where the first has none.
    """
    return _change(float(first.mean()), float(last.mean())), _change(float(first.std()), float(last.std()))


def _change(before: float, after: float) -> float:
    return after / before - 1 if before else float("nan")


def psnr(pictures: Sequence[np.ndarray], references: Sequence[np.ndarray]) -> float:
    """10 log10(255² / mean squared error over all pictures), in dB; infinite where they are equal."""
    error = np.mean([np.square(a.astype(np.float64) - b).mean() for a, b in zip(pictures, references, strict=True)])
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


def independent_flow(now: np.ndarray, then: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A flow between two uint8 [H, W], at full size, for clips whose motion nobody knows: (backward, valid [H, W])."""
    backward = estimated_flow(now, then)
    return backward, trusted(backward, estimated_flow(then, now))


def estimated_flow(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """From each pixel of `one` uint8 [H, W] to its place in `other`: dense inverse search (Kroeger et al. 2016), medium."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return search.calc(np.ascontiguousarray(one), np.ascontiguousarray(other), np.zeros((*one.shape, 2), np.float32))


def trusted(flow: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Where a flow is valid, bool [H, W], given the one `back` the other way. As in Ruder et al. 2016 these are not:

    - what does not come back: |b + f(x + b)|² > 0.01 (|b|² + |f(x + b)|²) + 0.5 (Sundaram et al. 2010),
    - motion boundaries: |∇b_x|² + |∇b_y|² > 0.01 |b|² + 0.002,
    - what comes from outside of the frame.
    """
    x, y = _places(flow)
    found = cv2.remap(back, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    length = np.square(flow).sum(2)
    returns = np.square(flow + found).sum(2) <= 0.01 * (length + np.square(found).sum(2)) + 0.5
    bend = sum(np.square(slope) for part in cv2.split(flow) for slope in np.gradient(part))
    inside = (x >= 0) & (y >= 0) & (x <= flow.shape[1] - 1) & (y <= flow.shape[0] - 1)
    return returns & (bend <= 0.01 * length + 0.002) & inside


def joined(steps: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Flows and where they are valid, from frame to frame, as one from the first to the last; valid where all are."""
    whole, valid = steps[0]
    for flow, held in steps[1:]:
        x, y = _places(whole)
        valid = valid & (cv2.remap(held.astype(np.float32), x, y, cv2.INTER_LINEAR) > 0.99)  # outside of the frame is 0
        whole = whole + cv2.remap(flow, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return whole, valid


def _places(backward: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[: backward.shape[0], : backward.shape[1]].astype(np.float32)
    return x + backward[..., 0], y + backward[..., 1]
