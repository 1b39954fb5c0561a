"""One of TVM's sketches as the questions that it asks (imports TVM)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import tvm
from tvm import s_tir

from search_spaces.decision import Answer, Decision
from search_spaces.factorization import factorizations

_TILES = ("SamplePerfectTile", "SamplePartitionedTile")
_SAMPLING = (*_TILES, "SampleCategorical", "SampleComputeLocation")


@dataclass(frozen=True)
class Sketch:
    """A trace and its decisions: one per sampling instruction, in order; those with a single choice are not asked."""

    name: str
    trace: Any
    decisions: tuple[Decision, ...]

    @property
    def asked(self) -> tuple[Decision, ...]:
        """The decisions that leave something to decide."""
        return tuple(decision for decision in self.decisions if len(decision.choices) > 1)

    @property
    def size(self) -> int:
        """How many configs the sketch has, illegal ones included."""
        return prod(len(decision.choices) for decision in self.decisions)

    def replay(self, schedule: Any, answers: Mapping[str, Answer]) -> dict[str, Answer]:
        """Applies the trace to a fresh schedule with these answers, by decision name.

        Returns the answers that TVM really took: it moves an illegal compute location to the next legal one
        outside it. Raises what TVM raises where an instruction cannot be applied.
        """
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
        return {decision.name: answer for decision, answer in zip(self.decisions, taken, strict=True)}

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


def _asked(instruction: Any) -> tuple[str, str]:
    return str(instruction.kind.name), str(instruction.attrs)


def _decide(instruction: Any, pending: Iterator[Decision], answers: Mapping[str, Answer]) -> Any:
    """The answer to the next decision, in the form that TVM takes it."""
    decision = next(pending)
    answer = answers.get(decision.name, decision.choices[0])
    if instruction.kind.name == "SampleCategorical":
        return _candidates(instruction).index(answer)
    return list(answer) if isinstance(answer, tuple) else answer


def read_sketches(module: tvm.IRModule, traces: tuple[Any, ...]) -> tuple[Sketch, ...]:
    """The sketches of one operator. Decisions that ask the same in several sketches carry the same name there."""
    known: dict[str, tuple[Answer, ...]] = {}
    sketches = []
    for number, trace in enumerate(traces):
        name = f"sketch-{number}"
        decisions = []
        for question, choices in _questions(module, trace):
            shared = known.setdefault(question, choices) == choices
            decisions.append(Decision(question if shared else f"{name}/{question}", choices))
        sketches.append(Sketch(name, trace, tuple(decisions)))
    return tuple(sketches)


def _questions(module: tvm.IRModule, trace: Any) -> list[tuple[str, tuple[Answer, ...]]]:
    """Name and choices of every sampling instruction; extents are read off the sketch's own sampled decisions."""
    loops = _consumer_loops(module, trace)
    counts: dict[str, int] = {}
    questions: list[tuple[str, tuple[Answer, ...]]] = []
    instructions = list(trace.insts)
    for position, instruction in enumerate(instructions):
        kind = instruction.kind.name
        if kind not in _SAMPLING:
            continue
        choices: tuple[Answer, ...]
        if kind in _TILES:
            topic = "tile"
            choices = _tilings(instruction, trace.decisions[instruction])
        elif kind == "SampleCategorical":
            topic = _use(instructions[position + 1 :], instruction)
            choices = tuple(_candidates(instruction))
        else:
            topic = "location"
            # -2 inlines, -1 computes at the root, the rest counts the consumer's loops from outside.
            choices = tuple(range(-2, loops[len(questions)]))
        number = counts.get(topic, 0)
        counts[topic] = number + 1
        questions.append((f"{topic}-{number}", choices))
    return questions


def _consumer_loops(module: tvm.IRModule, trace: Any) -> dict[int, int]:
    """For each SampleComputeLocation, by its place among the sampling instructions: its first consumer's loops."""
    schedule = s_tir.Schedule(module, seed=1, debug_mask="none", error_render_level="none")
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
    """What a sampled number is for: "unroll" where it annotates an unrolling, else "categorical"."""
    drawn = sample.outputs[0]
    for instruction in later:
        if instruction.kind.name == "Annotate" and any(drawn.same_as(value) for value in instruction.inputs):
            return "unroll" if "unroll" in str(instruction.attrs[0]) else "categorical"
    return "categorical"


def _answer(instruction: Any, decision: Any) -> Answer:
    if instruction.kind.name in _TILES:
        return tuple(int(factor) for factor in decision)
    if instruction.kind.name == "SampleCategorical":
        return _candidates(instruction)[int(decision)]
    return int(decision)
