"""Features of a tiled loop nest: tile sizes, footprints, vectors, parallel chunks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cost_models.features.hardware import Hardware
from cost_models.features.loop_nest import Access, Floats, LoopNest
from search_spaces.config import Config

#: Tile levels are counted from the innermost, whose role for caches and registers is the same in all nests.
_LEVELS = 6
_PER_LEVEL = (
    "steps",
    "inside",
    "bytes",
    "output_bytes",
    "read_bytes",
    "other_bytes",
    "intensity",
    "contiguous",
)
#: Where all loops of a level have one step, the levels around it act as one: a run.
_RUNS = 5
_PER_RUN = ("steps", "inside", "reduces", "contiguous", "bytes", "output_bytes", "intensity")
_INNER_LOOPS = 3
_SINGLE = (
    *(f"inner{place}_{what}" for place in range(_INNER_LOOPS) for what in ("steps", "reduces", "stride")),
    "vector",
    "vector_lanes",
    "vector_waste",
    "accumulators",
    "register_tile",
    "loads_per_step",
    "run_accumulators",
    "vector_groups",
    "run_groups",
    "chunks",
    "chunk_imbalance",
    "chunk_steps",
    "l1_traffic",
    "l2_traffic",
    "l3_traffic",
    "attached_steps",
    "attachments",
    "spatial_steps",
    "reduced_steps",
    "contiguous_extent",
    "shared_reads",
    "least_stride",
    "whole_bytes",
    "whole_intensity",
)

NEST_COLUMNS = (
    *(f"level{level}_{name}" for level in range(_LEVELS) for name in _PER_LEVEL),
    *(f"run{run}_{name}" for run in range(_RUNS) for name in _PER_RUN),
    *_SINGLE,
)


def nest_features(nest: LoopNest, configs: Sequence[Config], hardware: Hardware, parallel: int) -> Floats:
    """(n, len(NEST_COLUMNS)), log2 where not said otherwise, NaN where a nest has no such level.

    parallel: how many steps the outer loops are fused to at most.
    """
    return _NestFeatures(nest, nest.extents(configs), hardware, parallel).matrix()


class _NestFeatures:
    def __init__(self, nest: LoopNest, extents: Floats, hardware: Hardware, parallel: int) -> None:
        self._nest, self._extents, self._hardware, self._parallel = nest, extents, hardware, parallel
        self._rows = len(extents)
        self._logs = np.log2(extents)
        tiles = nest.tiles(extents)
        # (loops + 1, n): iterations at and inside a loop, bytes that they touch of each buffer.
        self._inside = np.log2(tiles).sum(axis=2)
        self._touched = [np.stack([access.touched_bytes(each) for each in tiles]) for access in nest.accesses]
        self._bytes = np.log2(np.sum(self._touched, axis=0))

    def matrix(self) -> Floats:
        columns: list[Floats] = []
        levels = self._nest.levels[::-1]
        for level in range(_LEVELS):
            if level < len(levels):
                columns += self._level(levels[level])
            else:
                columns += [self._missing()] * len(_PER_LEVEL)
        runs = self._runs()
        columns += [*runs, *self._inner_loops(), *self._vector(levels, runs)]
        columns += [*self._chunks(), *self._traffic(), *self._whole()]
        return np.stack(columns, axis=1)

    def _missing(self) -> Floats:
        return np.full(self._rows, np.nan)

    def _constant(self, value: float) -> Floats:
        return np.full(self._rows, float(value))

    def _level(self, places: Sequence[int]) -> list[Floats]:
        start = places[0]
        output, reads = self._missing(), []
        for access, touched in zip(self._nest.accesses, self._touched, strict=True):
            if access.is_output:
                output = np.log2(touched[start])
            else:
                reads.append(np.log2(touched[start]))
        # The largest read of each config first, whatever configs it is asked for with.
        ordered = np.sort(np.stack([*reads, *[np.full(self._rows, -np.inf)] * 2]), axis=0)[::-1]
        most, second = (np.where(np.isfinite(one), one, np.nan) for one in ordered[:2])
        contiguous = [place for place in places if self._nest.loops[place].axis == self._nest.contiguous_axis]
        return [
            self._logs[:, list(places)].sum(axis=1),
            self._inside[start],
            self._bytes[start],
            output,
            most,
            second,
            self._inside[start] - self._bytes[start],
            self._logs[:, contiguous].sum(axis=1) if contiguous else self._missing(),
        ]

    def _runs(self) -> list[Floats]:
        """Runs of neighbouring loops of the same kind, from the innermost; they differ between configs."""
        loops = len(self._nest.loops)
        run, kind = np.full(self._rows, -1), np.full(self._rows, -1)
        start = np.full((self._rows, _RUNS), loops)
        steps, contiguous = np.zeros((self._rows, _RUNS)), np.zeros((self._rows, _RUNS))
        reduces = np.full((self._rows, _RUNS), np.nan)
        for place in range(loops - 1, -1, -1):
            axis = self._nest.loops[place].axis
            is_reduction = int(self._nest.axes[axis].is_reduction)
            many = self._extents[:, place] > 1
            run += many & (kind != is_reduction)
            kind[many] = is_reduction
            rows = np.flatnonzero(many & (run < _RUNS))
            start[rows, run[rows]] = place
            steps[rows, run[rows]] += self._logs[rows, place]
            reduces[rows, run[rows]] = is_reduction
            if axis == self._nest.contiguous_axis:
                contiguous[rows, run[rows]] += self._logs[rows, place]
        everyone = np.arange(self._rows)
        output = np.log2(
            sum(
                (
                    touched
                    for access, touched in zip(self._nest.accesses, self._touched, strict=True)
                    if access.is_output
                ),
                np.zeros_like(self._bytes),
            )
            + 1
        )
        columns = []
        for number in range(_RUNS):
            first, absent = start[:, number], np.isnan(reduces[:, number])
            inside, touched = self._inside[first, everyone], self._bytes[first, everyone]
            found = [steps[:, number], inside, reduces[:, number], contiguous[:, number], touched]
            found += [output[first, everyone], inside - touched]
            columns += [np.where(absent, np.nan, column) for column in found]
        return columns

    def _inner_loops(self) -> list[Floats]:
        """The innermost loops with more than one step, which differ between configs."""
        found = np.full((self._rows, _INNER_LOOPS, 3), np.nan)
        seen = np.zeros(self._rows, dtype=np.int64)
        for place in range(len(self._nest.loops) - 1, -1, -1):
            axis = self._nest.loops[place].axis
            rows = np.flatnonzero((self._extents[:, place] > 1) & (seen < _INNER_LOOPS))
            # Whether every operand's next item is the neighbour, or the same one again.
            stride = max((min(access.stride(axis), 2.0) for access in self._operands()), default=0.0)
            found[rows, seen[rows], 0] = self._logs[rows, place]
            found[rows, seen[rows], 1] = float(self._nest.axes[axis].is_reduction)
            found[rows, seen[rows], 2] = stride
            seen[rows] += 1
        return [found[:, place, what] for place in range(_INNER_LOOPS) for what in range(3)]

    def _operands(self) -> list[Access]:
        return [access for access in self._nest.accesses if not access.is_packed]

    def _vector(self, levels: Sequence[Sequence[int]], run_columns: Sequence[Floats]) -> list[Floats]:
        """The innermost tile of the output as registers hold it: vectors of the contiguous axis, and how many."""
        spatial = [
            places for places in levels if not self._nest.axes[self._nest.loops[places[0]].axis].is_reduction
        ]
        axis = self._nest.contiguous_axis
        if not spatial or axis < 0:
            return [self._missing()] * 9
        runs = [dict(zip(_PER_RUN, run_columns[start:], strict=False)) for start in (0, len(_PER_RUN))]
        along = [place for place in spatial[0] if self._nest.loops[place].axis == axis]
        across = [place for place in spatial[0] if self._nest.loops[place].axis != axis]
        vector = self._extents[:, along].prod(axis=1)
        item = next(access.item_bytes for access in self._nest.accesses if access.is_output)
        lanes = self._hardware.vector_bits / 8 / item
        needed = np.ceil(vector / lanes)
        rows = self._logs[:, across].sum(axis=1)
        # The first spatial run is the register tile where the innermost level has one step.
        first = np.where(runs[0]["reduces"] == 0, 0, 1)
        steps = np.where(first == 0, runs[0]["steps"], runs[1]["steps"])
        along_run = np.where(first == 0, runs[0]["contiguous"], runs[1]["contiguous"])
        return [
            np.log2(vector),
            np.log2(vector / lanes),
            np.log2(needed * lanes / vector),
            rows + np.log2(needed),
            rows,
            np.log2(np.exp2(-rows) + 1 / needed),
            steps - along_run + np.log2(np.ceil(np.exp2(along_run) / lanes)),
            self._groups(axis, vector),
            self._groups(axis, np.rint(np.exp2(along_run))),
        ]

    def _groups(self, axis: int, steps: Floats) -> Floats:
        """log2 of the pieces into which an operand's groups cut so many steps along an axis; 0 for whole groups."""
        pieces = np.ones(self._rows)
        for period in {period for access in self._nest.accesses for period in access.periods(axis)}:
            cut = np.ceil(steps / period) + (steps % period > 0)
            pieces = np.maximum(pieces, np.where(period % steps == 0, 1, cut))
        return np.log2(pieces)

    def _chunks(self) -> list[Floats]:
        """The parallel chunks: outer loops are fused until they have enough steps."""
        chunks, open_ = np.ones(self._rows), np.full(self._rows, self._parallel > 0)
        for place, loop in enumerate(self._nest.loops):
            if self._nest.axes[loop.axis].is_reduction:
                break
            chunks = np.where(open_, chunks * self._extents[:, place], chunks)
            open_ &= chunks <= self._parallel
        threads = self._hardware.threads
        return [
            np.log2(chunks),
            np.log2(np.ceil(chunks / threads) * threads / chunks),
            self._inside[0] - np.log2(chunks),
        ]

    def _traffic(self) -> list[Floats]:
        """log2 of the bytes per iteration that move into each cache, if the largest tile that fits is fully reused."""
        found = []
        for size in self._hardware.caches:
            fits = self._bytes <= np.log2(size)
            # The outermost place that fits; the innermost statement where nothing does.
            place = np.where(fits.any(axis=0), fits.argmax(axis=0), len(self._nest.loops))
            columns = np.arange(self._rows)
            found.append(self._bytes[place, columns] - self._inside[place, columns])
        return found

    def _whole(self) -> list[Floats]:
        nest, axis = self._nest, self._nest.contiguous_axis
        attached = nest.attachments[:1]
        sizes = {False: 0.0, True: 0.0}
        for each in nest.axes:
            sizes[each.is_reduction] += float(np.log2(max(1, each.extent)))
        reads = [access for access in nest.accesses if not access.is_output]
        return [
            self._inside[min(attached[0] + 1, len(nest.loops))] if attached else self._missing(),
            self._constant(len(nest.attachments)),
            self._constant(sizes[False]),
            self._constant(sizes[True]),
            self._constant(np.log2(nest.axes[axis].extent) if axis >= 0 else np.nan),
            self._constant(sum(axis >= 0 and access.stride(axis) > 0 for access in reads)),
            self._constant(np.log2(1 + min((access.stride(axis) for access in reads), default=0.0))),
            self._bytes[0],
            self._inside[0] - self._bytes[0],
        ]
