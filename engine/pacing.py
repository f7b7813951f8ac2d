"""What must be decided in real time, as pure functions of measured facts."""

import math

CUT_CONFIDENCE = 0.35  # mean confidence under which the motion explains too little of the picture
CUT_ERROR = 8.0  # codes of luma; mean residual over which it is the scene that changed, not the noise
HEADROOM = 0.92  # part of the time between frames that may be planned for
YIELDING = 0.4  # consistency at most, while the style changes: paint in the old one must not hold its ground
SLOWEST = 8  # frames for one run of the network, at most


def is_cut(confidence: float, error: float) -> bool:
    """Whether a frame begins a new scene, from the mean confidence in [0, 1] and the mean absolute residual in codes."""
    return confidence < CUT_CONFIDENCE and error > CUT_ERROR


def cadence(interval: float, network: float, rest: float, current: int) -> int:
    """On every how many frames the network can run while the chain keeps up with a live source.

    `interval` between frames, `network` and `rest` of the chain's work per frame, all in milliseconds: n frames take
    network + n * rest and must fit into n * interval. From a `current` cadence it becomes faster only where that leaves
    room to spare, so that it does not swing between two.
    """
    spare = interval * HEADROOM - rest
    if spare <= 0:
        return SLOWEST
    needed = min(max(math.ceil(network / spare), 1), SLOWEST)
    if needed < current:
        roomy = interval * HEADROOM * 0.9 - rest
        needed = min(max(math.ceil(network / roomy), 1), current) if roomy > 0 else current
    return needed
