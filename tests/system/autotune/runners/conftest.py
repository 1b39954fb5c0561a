"""An operator with faults to provoke, and a builder for it; each file says on which device."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from faulty_kernels import add_one

from autotune.builders.local_builder import LocalBuilder
from autotune.devices.device import Device
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace


@pytest.fixture(scope="module")
def space(device: Device) -> TensorIRSpace:
    return add_one(device.target)


@pytest.fixture(scope="module")
def builder() -> Iterator[LocalBuilder]:
    with LocalBuilder(workers=1) as builder:
        yield builder
