"""Fingerprints of devices, which tell whether two measurements are from the same kind of machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

FingerprintValue = str | int | float | bool | None


@dataclass(frozen=True)
class DeviceFingerprint:
    """A device as measured: its name for people, and the facts that make timings comparable.

    facts holds, for a CPU: cpu_model, isa, cores, threads, l1d_bytes, l2_bytes, l3_bytes, memory_bytes;
    and where they limit the process: cpu_quota (processors), processors (by affinity), cores_allowed;
    for a GPU: gpu_name, driver, compute_capability. `threads` is the number the kernels ran with.
    """

    name: str
    facts: Mapping[str, FingerprintValue] = field(default_factory=dict)

    @cached_property
    def key(self) -> str:
        """A digest of the facts (16 hex digits), whatever the device is called."""
        text = json.dumps(dict(self.facts), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def __hash__(self) -> int:
        return hash(self.key)
