"""The model of GPU resources: what kernels occupied that are like another is expected of it."""

import numpy as np
import pytest

from cost_models.boosters.resource_model import ResourceModel, resource_columns
from search_spaces.errors import Misuse
from tuning_logs import GpuResources


def test_it_expects_what_compilers_reported() -> None:
    features = np.arange(64, dtype=np.float32)[:, None]
    small = GpuResources(31, 0, 1023, 0, 128, 1.0)
    large = GpuResources(255, 511, 2047, 2048, 256, 0.25)
    resources = [None if one % 8 == 0 else (small if one < 32 else large) for one in range(64)]
    expected = ResourceModel().fit(features, resource_columns(resources)).predict(features)
    np.testing.assert_allclose(expected[:32], np.tile([5.0, 0.0, 10.0, 1.0], (32, 1)), atol=0.1)
    np.testing.assert_allclose(expected[33:], np.tile([8.0, 9.0, 12.0, 0.25], (31, 1)), atol=0.1)


def test_without_a_known_launch_the_occupancy_is_not_known() -> None:
    features = np.arange(16, dtype=np.float32)[:, None]
    expected = (
        ResourceModel().fit(features, resource_columns([GpuResources(31, 0, 0)] * 16)).predict(features)
    )
    assert np.isnan(expected[:, 3]).all()
    assert not np.isnan(expected[:, :3]).any()


def test_it_needs_the_resources_of_a_kernel() -> None:
    with pytest.raises(Misuse, match="at least one kernel"):
        ResourceModel().fit(np.zeros((2, 1), dtype=np.float32), resource_columns([None, None]))
    with pytest.raises(Misuse, match="not been fitted"):
        ResourceModel().predict(np.zeros((2, 1), dtype=np.float32))
