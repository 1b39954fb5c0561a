"""Claims of workers that a result is wrong, and the evidence that it takes to believe one."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

from autotune.builders.artifact import Artifact
from autotune.cluster.parcel import Parcel

#: So many workers must agree where none of them has shown that it finds a right result right.
MOST_OPINIONS: Final = 3


@dataclass
class Controls:
    """Positive controls: of each task a candidate that a worker has found right, by the task's key.

    A worker that is asked for an opinion measures the control as well. One that finds it wrong is broken, or the worker
    is that found it right: the opinion is not believed, and the next right candidate replaces the control.
    """

    parcels: dict[str, Parcel] = field(default_factory=dict)
    _disputed: set[str] = field(default_factory=set)

    def note_right(self, artifact: Artifact) -> None:
        """Takes a candidate with a right result as the control of its task, where there is none, or a disputed one."""
        key = artifact.task.key
        if not artifact.is_reference and (key not in self.parcels or key in self._disputed):
            self.parcels[key] = Parcel.of(artifact)
            self._disputed.discard(key)

    def dispute(self, key: str) -> None:
        """Notes that a worker found the control of a task wrong."""
        self._disputed.add(key)


@dataclass
class Claims:
    """The claims about the artifacts of one batch, by place.

    A claim is believed with an opinion of another worker that finds the control right at the same time, else with three
    that agree; a right result settles it against those who made it.
    """

    controls: Controls
    _claimants: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))
    _sent: dict[int, Parcel] = field(default_factory=dict)

    def control_for(self, place: int, artifact: Artifact) -> Parcel | None:
        """The control to send with an artifact; None where nobody claims anything of it, or none is known.

        An untuned program has none: it is what candidates are compared with.
        """
        self._sent.pop(place, None)
        control = self.controls.parcels.get(artifact.task.key)
        if place not in self._claimants or artifact.is_reference or control is None:
            return None
        self._sent[place] = control
        return control

    def control_of(self, place: int) -> Parcel | None:
        """The control that was sent with an artifact the last time."""
        return self._sent.get(place)

    def make(self, place: int, member: str) -> bool:
        """Notes a worker's claim; returns whether it is believed now."""
        self._claimants[place].append(member)
        is_controlled = place in self._sent
        return is_controlled or len(self._claimants[place]) >= MOST_OPINIONS

    def settle(self, place: int) -> list[str]:
        """Ends the claims about an artifact; returns the workers that made them."""
        return self._claimants.pop(place, [])
