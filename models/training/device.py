"""Where to train, and in what precision."""

import torch


def best() -> torch.device:
    """A GPU where there is one, whose convolutions are then chosen by trying them out, since sizes stay as they are.

    What is not in bfloat16 there is so for a reason: the texture is a difference of two blurs, a code small, and TF32 would
    add a tenth of a code of noise to it.
    """
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = False
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def precision(device: torch.device) -> torch.dtype:
    """bfloat16 where the processor multiplies it; elsewhere it would be four times slower than float32."""
    if device.type == "cpu":
        able = torch.cpu.get_capabilities()
        if not any(able.get(name) for name in ("amx_bf16", "avx512_bf16", "bf16")):
            return torch.float32
    return torch.bfloat16


def autocast(device: torch.device) -> torch.autocast:
    """A region in which the convolutions of a network run in that precision."""
    dtype = precision(device)
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)
