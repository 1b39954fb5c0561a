"""The outline of a sketch: its loop nests and decisions, before any is answered (imports TVM)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import tvm
from tvm import s_tir

from cost_models.features.block_chain import Block, BlockChain
from cost_models.features.loop_nest import Access, Axis, Loop, LoopNest, Term
from search_spaces.tensor_ir.sketch import Sketch, piece_rows

_TILES = ("SamplePerfectTile", "SamplePartitionedTile")
_SAMPLING = (*_TILES, "SampleCategorical", "SampleComputeLocation")
_REDUCTION = 2
_INNERMOST = 3


@dataclass(frozen=True, slots=True)
class SketchOutline:
    """The structure of a sketch, independent of a config's answers.

    nests:     its tiled operators, the one with the most iterations first.
    chain:     its blocks and where they are computed.
    loose:     decisions on tiles that are part of no nest, such as those of split reductions; with the factor that
               runs in parallel to the others, -1 where none does.
    locations: decisions on compute locations.
    unrolls:   decisions on a number, the unrolling among them.
    parallel:  the most steps of the fused outer loops that run in parallel; 0: none.
    steps:     the number of instructions of each kind.
    """

    nests: tuple[LoopNest, ...]
    chain: BlockChain
    loose: tuple[tuple[str, int], ...]
    locations: tuple[str, ...]
    unrolls: tuple[str, ...]
    parallel: int
    steps: tuple[tuple[str, int], ...]


def outline(sketch: Sketch) -> SketchOutline:
    """Follows the sketch's splits and reorderings, without applying them (about 5 ms)."""
    reader = _TraceReader(sketch.module)
    asked = iter(sketch.decisions)
    for instruction in sketch.trace.insts:
        decision = next(asked) if instruction.kind.name in _SAMPLING else None
        reader.read(instruction, decision)
    return reader.outline()


def operators(module: tvm.IRModule) -> dict[str, tuple[tuple[Axis, ...], tuple[Access, ...]]]:
    """The axes and accesses of each block of a normalised module, by the block's name."""
    function = module["main"]
    layout_free = {int(place) for place in function.attrs.get("layout_free_buffers", ())}
    packed = [function.params[place] for place in layout_free if place < len(function.params)]
    found = {}
    for block in _blocks(function.body):
        name = str(block.name_hint)
        if name == "root" or name in found:
            continue
        variables = [each.var for each in block.iter_vars]
        axes = tuple(
            Axis(_constant(each.dom.extent), int(each.iter_type) == _REDUCTION) for each in block.iter_vars
        )
        accesses = [_access(region, variables, packed, is_output=False) for region in block.reads]
        accesses += [_access(region, variables, packed, is_output=True) for region in block.writes]
        found[name] = (axes, tuple(accesses))
    return found


def _blocks(statement: Any) -> Iterator[Any]:
    pending = [statement]
    while pending:
        each = pending.pop()
        if isinstance(each, s_tir.SBlock):
            yield each
        for field in ("body", "block", "then_case", "else_case"):
            child = getattr(each, field, None)
            if child is not None:
                pending.append(child)
        pending.extend(getattr(each, "seq", ()))


def _access(region: Any, variables: list[Any], packed: list[Any], *, is_output: bool) -> Access:
    buffer = region.source
    dims = tuple(_terms(each.min, variables) for each in region.region)
    return Access(
        buffer=str(buffer.name),
        dims=dims,
        shape=tuple(_constant(extent) for extent in buffer.shape),
        item_bytes=max(1, tvm.DataType(str(buffer.dtype)).bits // 8),
        is_output=is_output,
        is_packed=any(buffer.same_as(each) for each in packed),
    )


def _terms(index: Any, variables: list[Any]) -> tuple[Term, ...]:
    """The terms of an index; coefficient 1 for each axis in an index that is no sum of axes and quotients."""
    found = _sum(index, variables)
    if found is None:
        text = str(index)
        return tuple(Term(place, 1.0) for place, variable in enumerate(variables) if str(variable) in text)
    return tuple(Term(place, float(factor), period) for (place, period), factor in found.items() if factor)


def _sum(index: Any, variables: list[Any], times: int = 1) -> Counter[tuple[int, int]] | None:
    """Coefficients by axis and period: of ``c // 28 * 6 + k`` 6 for (c, 28) and 1 for (k, 1); None of anything else."""
    if isinstance(index, tvm.tirx.IntImm):
        return Counter()
    if isinstance(index, tvm.tirx.Add | tvm.tirx.Sub):
        left = _sum(index.a, variables, times)
        right = _sum(index.b, variables, -times if isinstance(index, tvm.tirx.Sub) else times)
        if left is None or right is None:
            return None
        left.update(right)
        return left
    if isinstance(index, tvm.tirx.Mul) and isinstance(index.b, tvm.tirx.IntImm):
        return _sum(index.a, variables, times * int(index.b.value))
    is_quotient = isinstance(index, tvm.tirx.FloorDiv) and isinstance(index.b, tvm.tirx.IntImm)
    period = int(index.b.value) if is_quotient else 1
    axis = index.a if is_quotient else index
    place = next((place for place, each in enumerate(variables) if each.same_as(axis)), None)
    return None if place is None else Counter({(place, period): times})


def _constant(extent: Any) -> int:
    return (
        int(extent.value)
        if isinstance(extent, tvm.tirx.IntImm)
        else int(extent)
        if isinstance(extent, int)
        else 1
    )


class _TraceReader:
    """Maps the loops of a trace to the blocks and axes that they come from."""

    def __init__(self, module: tvm.IRModule) -> None:
        self._operators = operators(module)
        self._chain = {name: Block(*parts) for name, parts in self._operators.items()}
        self._located: list[tuple[str, str]] = []
        self._attached: set[str] = set()
        self._blocks: dict[Any, str] = {}
        self._owners: dict[Any, str] = {}
        self._axes: dict[Any, tuple[str, int]] = {}
        self._factors: dict[Any, tuple[str, int, int]] = {}
        self._loops: dict[Any, tuple[str, Loop]] = {}
        self._nests: dict[str, LoopNest] = {}
        self._places: dict[Any, tuple[str, int]] = {}
        self._parts: dict[Any, tuple[str, int]] = {}
        self._apart: dict[str, int] = {}
        self._tilings: dict[str, Any] = {}
        self._locations: list[str] = []
        self._numbers: list[str] = []
        self._parallel = 0
        self._steps: Counter[str] = Counter()

    def read(self, instruction: Any, decision: Any) -> None:
        """Follows one instruction of the trace; decision: of a sampling instruction, else None."""
        kind, inputs, outputs = instruction.kind.name, list(instruction.inputs), list(instruction.outputs)
        self._steps[kind] += 1
        self._note_owners(kind, inputs, outputs)
        if decision is not None:
            self._read_sampling(kind, inputs, outputs, decision)
        match kind:
            case "GetSBlock":
                self._blocks[outputs[0]] = str(instruction.attrs[0])
            case "GetProducers":
                self._take_producers(self._blocks.get(inputs[0], ""), outputs)
            case "GetLoops":
                self._take_loops(self._blocks.get(inputs[0], ""), outputs)
            case "Split":
                self._split(inputs, outputs, piece_rows(instruction))
            case "Reorder":
                self._reorder(inputs)
            case "ReverseComputeAt":
                self._attach(inputs[1])
            case "RFactor":
                self._factor_reduction(inputs[0], outputs[0])
            case "Annotate" if str(instruction.attrs[0]) == "meta_schedule.parallel":
                self._parallel = max(self._parallel, _constant(inputs[1]))

    def _note_owners(self, kind: str, inputs: list[Any], outputs: list[Any]) -> None:
        if kind in ("ComputeInline", "ReverseComputeInline", "ReverseComputeAt"):
            self._attached.add(self._blocks.get(inputs[0], ""))
        if kind in ("GetLoops", "Fuse", "Split"):
            block = self._blocks.get(inputs[0]) or self._owners.get(inputs[0], "")
            self._owners.update(dict.fromkeys(outputs, block))

    def _read_sampling(self, kind: str, inputs: list[Any], outputs: list[Any], decision: Any) -> None:
        if kind == "SampleComputeLocation":
            self._locations.append(decision.name)
            self._located.append((decision.name, self._blocks.get(inputs[0], "")))
        elif kind == "SampleCategorical":
            self._numbers.append(decision.name)
        else:
            self._tilings[decision.name] = decision.choices[0]
            for level, output in enumerate(outputs):
                constant = decision.choices[0][level] if isinstance(decision.choices[0], tuple) else 1
                self._factors[output] = (decision.name, level, int(constant))

    def _attach(self, loop: Any) -> None:
        if loop in self._places:
            block, place = self._places[loop]
            nest = self._nests[block]
            self._nests[block] = replace(nest, attachments=(*nest.attachments, place))

    def _factor_reduction(self, loop: Any, output: Any) -> None:
        if loop in self._parts:
            name, level = self._parts[loop]
            self._apart[name] = level
            self._split_sum(self._owners.get(loop, ""), output, name, level)

    def _take_loops(self, block: str, outputs: list[Any]) -> None:
        axes, _ = self._operators.get(block, ((), ()))
        # Blocks that the trace itself made, and loops that it changed before, stay unknown.
        if len(axes) == len(outputs):
            for place, output in enumerate(outputs):
                self._axes[output] = (block, place)

    def _take_producers(self, block: str, outputs: list[Any]) -> None:
        accesses = self._chain[block].accesses if block in self._chain else ()
        reads = {access.buffer for access in accesses if not access.is_output}
        makers = [name for name, each in self._chain.items() if each.written.buffer in reads]
        if len(makers) == len(outputs):
            self._blocks.update(zip(outputs, makers, strict=True))

    def _split_sum(self, block: str, output: Any, tile: str, execution: int) -> None:
        """Replaces a block by the two of `RFactor`: `…_rf` with partial sums, and the block that sums these."""
        whole = self._chain.get(block)
        if whole is None:
            return
        name, factors = f"{block}_rf", tuple(self._tilings[tile])
        between = replace(whole.written, buffer=name)
        reads = [access for access in whole.accesses if not access.is_output]
        self._blocks[output] = name
        partial = Block(whole.axes, (*reads, between), tile, execution, is_partial=True, factors=factors)
        rest = (replace(between, is_output=False), whole.written)
        self._chain[name] = partial
        self._chain[block] = replace(partial, accesses=rest, is_partial=False)

    def _split(self, inputs: list[Any], outputs: list[Any], rows: int) -> None:
        if rows > 1 and inputs[0] in self._axes:
            # The loop over the pieces is tiled after that.
            block, axis = self._axes[outputs[0]] = self._axes[inputs[0]]
            self._loops[outputs[1]] = (block, Loop(axis, "", _INNERMOST, rows))
            return
        for factor, output in zip(inputs[1:], outputs, strict=True):
            if factor in self._factors:
                name, level, constant = self._factors[factor]
                self._parts[output] = (name, level)
                if inputs[0] in self._axes:
                    block, axis = self._axes[inputs[0]]
                    self._loops[output] = (block, Loop(axis, name, level, constant))

    def _reorder(self, inputs: list[Any]) -> None:
        known = [self._loops[loop] for loop in inputs if loop in self._loops]
        if not known or len(known) < len(inputs) or len({block for block, _ in known}) > 1:
            return
        block = known[0][0]
        axes, accesses = self._operators[block]
        self._nests[block] = LoopNest(axes, accesses, tuple(loop for _, loop in known))
        self._places.update({loop: (block, place) for place, loop in enumerate(inputs)})

    def outline(self) -> SketchOutline:
        nests = sorted(self._nests.values(), key=lambda nest: -nest.iterations)
        nested = {loop.decision for nest in nests for loop in nest.loops}
        located = tuple(each for each in self._located if each[1] in self._chain)
        return SketchOutline(
            tuple(nests),
            BlockChain.of(self._chain, located, self._nests, frozenset(self._attached)),
            tuple((name, self._apart.get(name, -1)) for name in self._tilings if name not in nested),
            tuple(self._locations),
            tuple(self._numbers),
            self._parallel,
            tuple(sorted(self._steps.items())),
        )
