"""One of TVM's sketches as the questions that it asks (imports TVM)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import tvm
from tvm import s_tir

from search_spaces.config import Config
from search_spaces.decision import Answer, Decision
from search_spaces.errors import IllegalSchedule
from search_spaces.factorization import factorizations
from search_spaces.tensor_ir.fresh_schedule import fresh_schedule
from search_spaces.tensor_ir.implicit_product import product_form, product_schedule
from search_spaces.tensor_ir.mma_intrinsics import register_mma_intrinsics
from search_spaces.tensor_ir.trace_text import TENSORIZE, is_tiling, pack, unpack

_TILES = ("SamplePerfectTile", "SamplePartitionedTile")
_USES = ("unroll", "stages")
_SAMPLING = (*_TILES, "SampleCategorical", "SampleComputeLocation")


@dataclass(frozen=True)
class Sketch:
    """A trace and its decisions: one per sampling instruction, in order; those with a single choice are not asked.

    operator: its module; module: that the trace schedules: the same, or for tensor cores its form as a product.
    """

    operator: Any
    module: Any
    name: str
    trace: Any
    decisions: tuple[Decision, ...]

    @property
    def asked(self) -> tuple[Decision, ...]:
        """The decisions that leave something to decide."""
        return tuple(decision for decision in self.decisions if len(decision.choices) > 1)

    @property
    def size(self) -> int:
        """The number of the sketch's configs, illegal ones included."""
        return prod(len(decision.choices) for decision in self.decisions)

    @cached_property
    def rows(self) -> dict[str, int]:
        """By decision, into how large pieces a loop was cut before the decision tiles the pieces' loop, remainder
        included; nothing where it tiles the loop itself."""
        cuts = [(each, piece_rows(each)) for each in self.trace.insts]
        pieces = {each.outputs[0]: rows for each, rows in cuts if rows > 1}
        sampled = [each for each in self.trace.insts if each.kind.name in _SAMPLING]
        return {
            decision.name: pieces[each.inputs[0]]
            for decision, each in zip(self.decisions, sampled, strict=True)
            if each.kind.name in _TILES and each.inputs[0] in pieces
        }

    @cached_property
    def is_tensorized(self) -> bool:
        """Whether it computes with tensor cores."""
        return any(each.kind.name == TENSORIZE for each in self.trace.insts)

    @cached_property
    def text(self) -> str:
        """The trace as text: `stored_sketch` rebuilds the sketch from it, whatever sketches TVM generates by then."""
        return pack(plain(self.trace.as_json(remove_postproc=True)))

    def replay(self, answers: Mapping[str, Answer]) -> tuple[Any, dict[str, Answer]]:
        """A schedule of the module by the trace with these answers, by decision name.

        And the answers that TVM really took: it moves an illegal compute location to the next legal one
        outside it. Raises what TVM raises where an instruction cannot be applied.
        """
        # The trace of what comes out has to begin with the operator: builds of models apply it there.
        schedule = product_schedule(self.operator) if self.is_tensorized else fresh_schedule(self.module)
        assert schedule is not None, "it was made for a product"
        pending = iter(self.decisions)
        stopped: list[KeyboardInterrupt] = []

        def provide(instruction: Any, _inputs: Any, _attrs: Any, given: Any) -> Any:
            try:
                return _decide(instruction, pending, answers) if instruction.kind.name in _SAMPLING else given
            except KeyboardInterrupt as stop:
                stopped.append(stop)
                raise

        try:
            self.trace.apply_to_schedule(schedule, remove_postproc=True, decision_provider=provide)
        except RuntimeError:
            # TVM turns whatever a callback raises into a RuntimeError, Ctrl-C included.
            if stopped:
                raise stopped[0] from None
            raise
        trace = schedule.trace
        taken = [
            _answer(instruction, trace.decisions[instruction])
            for instruction in trace.insts
            if instruction.kind.name in _SAMPLING
        ]
        return schedule, {
            decision.name: answer for decision, answer in zip(self.decisions, taken, strict=True)
        }

    def read(self, trace: Any) -> dict[str, Answer] | None:
        """The answers in a trace that samples what this sketch does, by decision name; None for any other trace.

        Only the sampling is compared: TVM leaves instructions without effect out of the traces that it stores.
        """
        sampled = [instruction for instruction in trace.insts if instruction.kind.name in _SAMPLING]
        own = [instruction for instruction in self.trace.insts if instruction.kind.name in _SAMPLING]
        decided = trace.decisions
        if list(map(_asked, sampled)) != list(map(_asked, own)) or any(one not in decided for one in sampled):
            return None
        answers = [_answer(instruction, decided[instruction]) for instruction in sampled]
        return {decision.name: answer for decision, answer in zip(self.decisions, answers, strict=True)}


def piece_rows(instruction: Any) -> int:
    """The size of the constant-size pieces into which an instruction splits a loop; 1 for any other instruction."""
    inputs = list(instruction.inputs)
    is_cut = instruction.kind.name == "Split" and len(inputs) == 3 and inputs[1] is None
    return int(inputs[2]) if is_cut and isinstance(inputs[2], int | tvm.tirx.IntImm) else 1


def stored_sketch(module: tvm.IRModule, text: str, config: Config) -> Sketch:
    """The sketch that a text stands for; each of its decisions has one choice: the config's answer.

    module: the operator's. Raises IllegalSchedule where the text is damaged, and where the
    sketch asks other questions than those that the config answers; what TVM raises where it cannot apply the text.
    """
    value, operator = unpack(text), module
    if any(each[0] == TENSORIZE for each in value[0]):
        register_mma_intrinsics()
        found = product_form(module)
        if found is None:
            raise IllegalSchedule("its stored trace is for tensor cores, and the operator is no product")
        module, _ = found
    schedule = fresh_schedule(module)
    s_tir.schedule.Trace.apply_json_to_schedule(value, schedule)
    answers = dict(config.answers)
    sketch = str(answers.pop("sketch", ""))
    decisions = []
    for question, instruction in _named(list(schedule.trace.insts)):
        name = question if question in answers else f"{sketch}/{question}"
        # What was not asked had a single choice: what the sketch was stored with.
        answer = answers.pop(name, None)
        if answer is None:
            answer = _answer(instruction, schedule.trace.decisions[instruction])
        if isinstance(answer, tuple) is not (instruction.kind.name in _TILES) or (
            isinstance(answer, tuple) and not is_tiling(answer)
        ):
            raise IllegalSchedule(f"{answer!r} is no answer to {name!r}")
        decisions.append(Decision(name, (answer,)))
    if answers:
        raise IllegalSchedule(f"its stored trace does not ask for {', '.join(answers)}")
    return Sketch(operator, module, sketch, schedule.trace, tuple(decisions))


def plain(value: Any) -> Any:
    """A trace as JSON value of TVM's, with Python's numbers in place of TVM's."""
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value.value if isinstance(value, tvm.tirx.IntImm | tvm.tirx.FloatImm) else value


def _asked(instruction: Any) -> tuple[str, str]:
    return str(instruction.kind.name), str(instruction.attrs)


def _decide(instruction: Any, pending: Iterator[Decision], answers: Mapping[str, Answer]) -> Any:
    """The answer to the next decision, in the form that TVM takes it."""
    decision = next(pending)
    answer = answers.get(decision.name, decision.choices[0])
    if instruction.kind.name == "SampleCategorical":
        return _candidates(instruction).index(answer)
    return list(answer) if isinstance(answer, tuple) else answer


def read_sketches(
    operator: tvm.IRModule, traces: Iterable[tuple[tvm.IRModule, str, Any]]
) -> tuple[Sketch, ...]:
    """The sketches of one operator, of the modules that they schedule, names and traces.

    Decisions that ask the same in several sketches carry the same name there.
    """
    known: dict[str, tuple[Answer, ...]] = {}
    sketches = []
    for module, name, trace in traces:
        decisions = []
        for question, choices in _questions(module, trace):
            shared = known.setdefault(question, choices) == choices
            decisions.append(Decision(question if shared else f"{name}/{question}", choices))
        sketches.append(Sketch(operator, module, name, trace, tuple(decisions)))
    return tuple(sketches)


def _questions(module: tvm.IRModule, trace: Any) -> list[tuple[str, tuple[Answer, ...]]]:
    """Name and choices of every sampling instruction; extents are read off the sketch's own sampled decisions."""
    loops = _consumer_loops(module, trace)
    questions: list[tuple[str, tuple[Answer, ...]]] = []
    for name, instruction in _named(list(trace.insts)):
        choices: tuple[Answer, ...]
        if instruction.kind.name in _TILES:
            choices = _tilings(instruction, trace.decisions[instruction])
        elif instruction.kind.name == "SampleCategorical":
            choices = tuple(_candidates(instruction))
        else:
            # -2 inlines, -1 computes at the root, the rest counts the consumer's loops from outside.
            choices = tuple(range(-2, loops[len(questions)]))
        questions.append((name, choices))
    return questions


def _named(instructions: list[Any]) -> list[tuple[str, Any]]:
    """The sampling instructions in order, each with the name of its question: what it is about, and a number."""
    counts: dict[str, int] = {}
    named = []
    for position, instruction in enumerate(instructions):
        kind = instruction.kind.name
        if kind not in _SAMPLING:
            continue
        if kind == "SampleCategorical":
            topic = _use(instructions[position + 1 :], instruction)
        else:
            topic = "tile" if kind in _TILES else "location"
        number = counts.get(topic, 0)
        counts[topic] = number + 1
        named.append((f"{topic}-{number}", instruction))
    return named


def _consumer_loops(module: tvm.IRModule, trace: Any) -> dict[int, int]:
    """For each SampleComputeLocation, by its place among the sampling instructions: its first consumer's loops."""
    if all(instruction.kind.name != "SampleComputeLocation" for instruction in trace.insts):
        return {}  # applying a trace takes up to 25 ms
    schedule = fresh_schedule(module)
    loops: dict[int, int] = {}
    seen = 0

    def look(instruction: Any, inputs: Any, _attrs: Any, given: Any) -> Any:
        nonlocal seen
        if instruction.kind.name == "SampleComputeLocation":
            # A copy, because looking appends to a schedule's trace.
            copy = schedule.copy()
            consumers = copy.get_consumers(inputs[0])
            loops[seen] = len(copy.get_loops(consumers[0])) if len(consumers) else 0
        if instruction.kind.name in _SAMPLING:
            seen += 1
        return given

    trace.apply_to_schedule(schedule, remove_postproc=True, decision_provider=look)
    return loops


def _tilings(instruction: Any, decision: Any) -> tuple[tuple[int, ...], ...]:
    factors = tuple(int(factor) for factor in decision)
    if -1 in factors:
        return (factors,)
    parts = int(instruction.attrs[0])
    if instruction.kind.name == "SamplePerfectTile":
        return factorizations(prod(factors), parts, int(instruction.attrs[1]))
    position, inner = int(instruction.attrs[1]), int(instruction.attrs[2])
    tilings = factorizations(prod(factors), parts, -1)
    return tuple(tiling for tiling in tilings if prod(tiling[position:]) % inner == 0) or (factors,)


def _candidates(instruction: Any) -> list[Answer]:
    return [int(candidate) for candidate in instruction.attrs[0]]


def _use(later: list[Any], sample: Any) -> str:
    """The use of a sampled number: "unroll" or "stages" where it annotates an unrolling or a pipeline, else
    "categorical"."""
    drawn = sample.outputs[0]
    for instruction in later:
        if instruction.kind.name == "Annotate" and any(drawn.same_as(value) for value in instruction.inputs):
            return next((use for use in _USES if use in str(instruction.attrs[0])), "categorical")
    return "categorical"


def _answer(instruction: Any, decision: Any) -> Answer:
    if instruction.kind.name in _TILES:
        return tuple(int(factor) for factor in decision)
    if instruction.kind.name == "SampleCategorical":
        return _candidates(instruction)[int(decision)]
    return int(decision)
