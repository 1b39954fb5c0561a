"""The layout of a cluster: which of its nodes compile, and which measure on which devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

#: Of the resources that say that a node measures on a device: `device:pi4`.
DEVICE: Final = "device:"
#: The resource that says how many candidates a node compiles at once, where it is not all of its processors.
COMPILE: Final = "autotune:compile"


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the cluster. host: its address; cpus: its processors, as the cluster counts them."""

    id: str
    host: str
    cpus: int
    resources: Mapping[str, float] = field(default_factory=dict)

    @property
    def devices(self) -> dict[str, int]:
        """The number of devices of each name that it measures on."""
        return {
            name.removeprefix(DEVICE): int(count)
            for name, count in self.resources.items()
            if name.startswith(DEVICE) and count >= 1
        }


@dataclass(frozen=True, slots=True)
class Seat:
    """A place for a worker.

    name: the same while its node lives; slots: orders that it carries out at once; cpus: that it reserves;
    resources: that nobody else may have meanwhile.
    """

    name: str
    node: str
    slots: int
    cpus: float
    resources: Mapping[str, float] = field(default_factory=dict)


def compile_seats(nodes: Sequence[Node]) -> tuple[list[Seat], bool]:
    """A seat for each node that compiles, and whether these take turns with measurements.

    A machine that measures does nothing else, unless its resource `autotune:compile` says how many of its processors
    compile. Where all machines measure, all compile as well, in turns with the measurements.
    """
    busy = {node.host for node in nodes if node.devices}
    counts = {node.id: _compilers(node, 0 if node.host in busy else node.cpus) for node in nodes}
    takes_turns = not any(counts.values())
    if takes_turns:
        counts = {node.id: node.cpus for node in nodes}
    return [
        Seat(
            f"{node.host}/{node.id[:8]}/compiler",
            node.id,
            counts[node.id],
            0 if takes_turns else counts[node.id],
        )
        for node in nodes
        if counts[node.id]
    ], takes_turns


def device_seats(nodes: Sequence[Node], name: str) -> list[Seat]:
    """A seat for each device of a name; with it the processors of its node are reserved that do not compile."""
    _, takes_turns = compile_seats(nodes)
    return [
        Seat(
            f"{node.host}/{node.id[:8]}/{name}-{number}",
            node.id,
            1,
            0 if takes_turns else max(node.cpus - _compilers(node, 0), 0) / sum(node.devices.values()),
            {f"{DEVICE}{name}": 1},
        )
        for node in nodes
        for number in range(node.devices.get(name, 0))
    ]


def _compilers(node: Node, usual: int) -> int:
    return int(node.resources.get(COMPILE, usual))
