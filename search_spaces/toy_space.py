"""A search space in pure Python, for tests, examples and documentation: tiling a loop nest on a made-up machine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from search_spaces.config import Config
from search_spaces.decision import Choose, Decision
from search_spaces.errors import IllegalSchedule
from search_spaces.factorization import factorizations
from search_spaces.space import Candidate
from search_spaces.target import Target
from search_spaces.task import TuningTask
from search_spaces.workload import Workload


@dataclass(frozen=True, slots=True)
class ToyProgram:
    """The program of a toy config: tiles of a square loop nest, and its time on a simulated machine."""

    tile_x: int
    tile_y: int
    unroll: int
    run_secs: float


class ToySpace:
    """Tiles an n × n loop nest by x and y, and unrolls it.

    Tiles of more than 1,024 elements are illegal (they do not fit the made-up cache); square tiles of 16 × 16 with
    unrolling 4 are fastest. Conditional: only the "tiled" style asks for tiles.
    """

    def __init__(self, extent: int = 64) -> None:
        self.extent = extent
        workload = Workload(f"{extent:032x}", f"toy_{extent}", "", float(extent * extent))
        self._task = TuningTask(workload, Target("toy"))

    @property
    def task(self) -> TuningTask:
        """The made-up operator."""
        return self._task

    @property
    def version(self) -> str:
        """The questions never change."""
        return "toy-1"

    @property
    def default(self) -> Config:
        """No tiles, no unrolling."""
        return Config((("style", "default"),))

    @property
    def size(self) -> int:
        """Lists of answers, illegal ones included."""
        return 1 + len(self._unroll.choices) * len(self._tile("x").choices) ** 2

    @property
    def _unroll(self) -> Decision:
        return Decision("unroll", (1, 2, 4, 8))

    def _tile(self, axis: str) -> Decision:
        return Decision(f"tile_{axis}", factorizations(self.extent, 2, -1))

    def answer(self, choose: Choose) -> Config:
        """Asks for the style and, if tiled, for the tiles and the unrolling."""
        style = Decision("style", ("default", "tiled"))
        if style.choices[choose(style)] == "default":
            return self.default
        asked = (self._tile("x"), self._tile("y"), self._unroll)
        answers = tuple((decision.name, decision.choices[choose(decision)]) for decision in asked)
        return Config((("style", "tiled"), *answers))

    def heuristic_samples(self, count: int, rng: np.random.Generator) -> list[Config]:
        """None: nothing is known before the first measurement."""
        return []

    def apply(self, choose: Choose) -> Candidate:
        """The program, or IllegalSchedule where the tile does not fit."""
        config = self.answer(choose)
        if config == self.default:
            return Candidate(self._task, config, ToyProgram(self.extent, self.extent, 1, self._secs(1, 1, 1)))
        tile_x, tile_y = (config.by_name[f"tile_{axis}"] for axis in "xy")
        unroll = config.by_name["unroll"]
        assert isinstance(tile_x, tuple)
        assert isinstance(tile_y, tuple)
        assert isinstance(unroll, int)
        elements = tile_x[1] * tile_y[1]
        if elements > 1024:
            raise IllegalSchedule(f"a tile of {elements} elements does not fit the cache of 1024")
        secs = self._secs(tile_x[1], tile_y[1], unroll)
        return Candidate(self._task, config, ToyProgram(tile_x[1], tile_y[1], unroll, secs))

    def _secs(self, tile_x: int, tile_y: int, unroll: int) -> float:
        off = abs(tile_x.bit_length() - 5) + abs(tile_y.bit_length() - 5) + abs(unroll.bit_length() - 3) / 2
        return 1e-6 * self.extent * self.extent * (1 + off)
