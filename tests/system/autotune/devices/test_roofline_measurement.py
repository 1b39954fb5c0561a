"""A machine's peaks, measured."""

import pytest

from autotune.devices.roofline_measurement import measure_roofline

pytestmark = pytest.mark.alone


def test_what_a_machine_can_do_at_most_is_found_by_running_it() -> None:
    roofline = measure_roofline(1)
    assert roofline.flops_per_sec > 1e9
    rates = [roof.bytes_per_sec for roof in roofline.roofs]
    assert len(rates) == 4
    assert rates == sorted(rates, reverse=True)
