"""Whole programs over long streams; run with `-m slow`."""

import pytest

from benchmarks.chain import memory

pytestmark = pytest.mark.slow


def test_memory_is_flat_over_twenty_thousand_frames():
    peak, growth = memory(20_000)
    assert peak < 700
    assert growth < 5
