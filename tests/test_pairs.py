"""The stream of moving pairs that a GPU learns from, made ahead by other processes."""

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from models.training import pictures  # noqa: E402


@pytest.fixture
def pairs(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "_WORKERS", 2)
    monkeypatch.setattr(pictures, "_PATIENCE", 20)
    for index in range(2):
        picture = np.random.default_rng(index).integers(0, 256, (400, 500, 3), np.uint8)
        cv2.imwrite(str(tmp_path / f"{index}.png"), picture)
    return pictures.Pairs(tmp_path, 1, 2, 320)


@pytest.mark.filterwarnings("ignore")  # PyTorch's, of pinned memory without a GPU and of more processes than cores
def test_pairs_for_a_gpu_are_made_by_others_even_after_this_process_has_used_threads(pairs):
    whole = cv2.getNumThreads()
    try:
        cv2.setNumThreads(4)
        pairs.photographs.pairs(2, 320)  # OpenCV's threads are running now
        stream = iter(pairs.batches(torch.device("cuda")))
        first, second = (next(stream) for _ in range(2))
    finally:
        cv2.setNumThreads(whole)
    assert first.first.dtype == torch.uint8
    assert first.first.shape == (2, 3, 320, 320)
    assert first.backward.shape == (2, 320, 320, 2)
    assert not torch.equal(first.first, second.first)  # each process draws its own
