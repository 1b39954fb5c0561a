"""Features of scheduled programs, comparable across tasks and devices (imports TVM)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tvm
from numpy.typing import NDArray
from tvm.target import codegen

from cost_models.features.block_chain import CHAIN_COLUMNS, chain_row
from cost_models.features.hardware import HARDWARE_COLUMNS, Hardware
from cost_models.features.nest_features import NEST_COLUMNS, nest_features
from cost_models.features.sketch_outline import SketchOutline, operators, outline
from search_spaces.config import UNTOUCHED, Config
from search_spaces.target import Target
from search_spaces.task import TuningTask
from search_spaces.tensor_ir import modules
from search_spaces.tensor_ir.sketch import Sketch
from tuning_logs.records.device_fingerprint import DeviceFingerprint

#: Goes up whenever a column changes its place or its meaning: models of other versions are not used.
FEATURE_VERSION = 5

_NESTS = 2
_STEPS = (
    "ComputeInline",
    "ComputeAt",
    "ReverseComputeAt",
    "CacheRead",
    "CacheWrite",
    "RFactor",
    "Split",
    "Fuse",
)
_LOOSE = 2
_LOCATIONS = 5
_WIDEST = (("avx512f", 512), ("avx2", 256), ("avx", 256), ("sve", 256), ("sse4.2", 128), ("neon", 128))

COLUMNS = (
    *(f"nest{nest}_{name}" for nest in range(_NESTS) for name in NEST_COLUMNS),
    "unroll",
    *(f"unroll_beyond_level{level}" for level in range(4)),
    *(
        f"loose{place}_{what}"
        for place in range(_LOOSE)
        for what in ("outer", "inner", "side", "apart", "rest")
    ),
    *(f"location{place}_{what}" for place in range(_LOCATIONS) for what in ("depth", "steps")),
    "inlined",
    "at_root",
    *CHAIN_COLUMNS,
    *(f"steps_{name}" for name in _STEPS),
    "nests",
    "is_untouched",
    "flops",
    "operators",
    "operator_steps",
    "operator_spatial",
    "operator_reduced",
    "operator_bytes",
    "operator_intensity",
    *HARDWARE_COLUMNS,
)


def vector_bits(target: Target) -> int:
    """Bits of the widest vectors of a target, 128 where LLVM names no vector feature."""
    known = modules.tvm_target(target)
    if str(known.kind.name) != "llvm":
        return 128
    for feature, bits in _WIDEST:
        if codegen.target_has_features([feature], known):
            return bits
    return 128


class ProgramFeatures:
    """The features of one task's programs on one device.

    >>> features = ProgramFeatures(task, device)
    >>> features.matrix(space.sketches[0], configs).shape
    (len(configs), len(COLUMNS))
    """

    def __init__(self, task: TuningTask, device: DeviceFingerprint) -> None:
        self._task = task
        self.module: tvm.IRModule = modules.normalize(modules.load(task.workload.module))
        self._hardware = Hardware.of(device, vector_bits(task.target))
        self._outlines: dict[int, tuple[Sketch, SketchOutline]] = {}
        self._operator = _operator_row(self.module, task.workload.flops)

    def matrix(self, sketch: Sketch | None, configs: Sequence[Config]) -> NDArray[np.float32]:
        """(n, len(COLUMNS)) features of configs of one sketch; with None, of the untuned operator,
        whose loops are not told of."""
        rows = len(configs)
        if sketch is None:
            scheduled = np.full((rows, COLUMNS.index("nests")), np.nan)
            is_untouched = np.array([[float(config == UNTOUCHED)] for config in configs]).reshape(rows, 1)
            found = [scheduled, np.zeros((rows, 1)), is_untouched]
        else:
            known = self._outlines.get(id(sketch))
            if known is None:
                known = self._outlines[id(sketch)] = (sketch, outline(sketch))
            found = [self._scheduled(known[1], configs), np.zeros((rows, 1))]
        same = np.concatenate([self._operator, self._hardware.row])
        return np.concatenate([*found, np.tile(same, (rows, 1))], axis=1).astype(np.float32)

    def _scheduled(self, sketch: SketchOutline, configs: Sequence[Config]) -> NDArray[np.float64]:
        rows = len(configs)
        blocks = [
            nest_features(nest, configs, self._hardware, sketch.parallel) for nest in sketch.nests[:_NESTS]
        ]
        blocks += [np.full((rows, len(NEST_COLUMNS)), np.nan)] * (_NESTS - len(blocks))
        extents = sketch.nests[0].extents(configs) if sketch.nests else np.zeros((rows, 0))
        from_inside = np.cumsum(np.log2(extents)[:, ::-1], axis=1)[:, ::-1]
        answered = np.array(
            [
                [*_answers(sketch, config, row), *chain_row(sketch.chain, config.by_name)]
                for config, row in zip(configs, from_inside, strict=True)
            ]
        )
        unroll = answered[:, :1]
        # A loop is unrolled where what is inside it, vectors counted once, has no more steps than this.
        vector = blocks[0][:, NEST_COLUMNS.index("vector")]
        inside = [blocks[0][:, NEST_COLUMNS.index(f"level{level}_inside")] for level in range(4)]
        beyond = [unroll[:, 0] - (each - vector) for each in inside]
        steps = dict(sketch.steps)
        fixed = [np.log2(1 + steps.get(name, 0)) for name in _STEPS] + [float(len(sketch.nests))]
        return np.concatenate(
            [*blocks, unroll, np.stack(beyond, axis=1), answered[:, 1:], np.tile(fixed, (rows, 1))], axis=1
        )


def _answers(sketch: SketchOutline, config: Config, inside: NDArray[np.float64]) -> list[float]:
    """Features of a config's answers beside the tiles of its nests: unrolling, split reductions, compute locations."""
    given = config.by_name
    numbers = [answer for name in sketch.unrolls if isinstance(answer := given.get(name), int)]
    row = [float(np.log2(1 + max(numbers))) if numbers else float("nan")]
    for place in range(_LOOSE):
        name, apart = sketch.loose[place] if place < len(sketch.loose) else ("", -1)
        answer = given.get(name)
        logs = [float(np.log2(factor)) for factor in answer] if isinstance(answer, tuple) else []
        row += [logs[0], logs[-1]] if logs else [float("nan")] * 2
        row += (
            [float(apart), logs[apart], sum(logs) - logs[apart]]
            if logs and apart >= 0
            else [float("nan")] * 3
        )
    places = [answer for name in sketch.locations if isinstance(answer := given.get(name), int)]
    for number in range(_LOCATIONS):
        if number < len(places):
            depth = places[number]
            row += [float(depth), float(inside[depth]) if 0 <= depth < len(inside) else float("nan")]
        else:
            row += [float("nan")] * 2
    return [*row, float(places.count(-2)), float(places.count(-1))]


def _operator_row(module: tvm.IRModule, flops: float) -> NDArray[np.float64]:
    """Features that do not depend on the schedule: of the heaviest operator of a task."""
    known = list(operators(module).values())
    if not known:
        return np.array([np.log2(1 + flops), *[np.nan] * 6])
    sizes = [sum(float(np.log2(max(1, axis.extent))) for axis in axes) for axes, _ in known]
    axes, accesses = known[int(np.argmax(sizes))]
    tiles = np.array([[float(axis.extent) for axis in axes]]).reshape(1, len(axes))
    touched = float(np.log2(sum(float(access.touched_bytes(tiles)[0]) for access in accesses) or 1.0))
    reduced = sum(float(np.log2(max(1, axis.extent))) for axis in axes if axis.is_reduction)
    steps = max(sizes)
    return np.array(
        [np.log2(1 + flops), len(known), steps, steps - reduced, reduced, touched, steps - touched],
        dtype=np.float64,
    )
