"""One schema, checked once."""

import pytest

from engine.controls import Controls
from engine.errors import UsageError


@pytest.mark.parametrize("control", ["strength", "consistency"])
@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan")])
def test_a_value_out_of_range_is_refused_by_name(control, value):
    with pytest.raises(UsageError, match=control):
        Controls(**{control: value})


def test_the_ends_of_the_range_are_in_it():
    assert Controls(strength=0, consistency=1) != Controls()
