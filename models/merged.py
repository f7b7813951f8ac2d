"""The network for one style as OpenVINO runs it fastest: what doubles the picture and the convolution after it are one.

Of the nine taps over a picture that was doubled by repeating pixels several fall on the same one of them: every output sees
2x2 pixels, by sums of taps. That is a transposed convolution of 4x4 taps and stride 2 (Dumoulin & Visin 2016, section 4.6),
with four ninths of the multiplications. ONNX Runtime has none such in 8 bits, so it is not the form that is exported.
"""

import numpy as np

from models.export import Graph, Painter, quantise, written

# which taps fall on the pixel that tap k of the transposed kernel spreads, along one side
_SUMS = np.array([[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]], np.float32)


def to_merged_onnx(painter: Painter) -> bytes:
    """The model of `models.export.to_onnx` in this form, serialised; h and w are left open."""
    return written(_Merged(painter), ("h", "w")).SerializeToString()


class _Merged(Graph):
    def risen(self, x: str, name: str) -> str:
        layer = self.painter.layers["up"]
        codes, step = quantise(np.einsum("ky,lx,oiyx->oikl", _SUMS, _SUMS, layer.weight, optimize=True))
        weight = self.dequantised("up", codes.swapaxes(0, 1), step, axis=1)  # inputs come first
        how = {"kernel_shape": [4, 4], "pads": [1] * 4, "strides": [2, 2]}
        return self.node("ConvTranspose", [x, weight, self.constant("up.bias", layer.bias)], "up.sum", **how)
