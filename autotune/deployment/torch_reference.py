"""Reference outputs of an exported PyTorch program: PyTorch itself, on inputs and weights rounded anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from autotune.deployment.other_precision import MOST_WEIGHT_BYTES
from autotune.deployment.referee import Expected, epsilon_of, expected
from autotune.deployment.rounding import RUNS, is_grid, rounded
from autotune.deployment.torch_engine import Array, array_of, callable_of, tensor_of
from autotune.measurement.output_check import is_float
from autotune.models.extras import needing
from search_spaces.errors import AutotuneError, last_line


@dataclass(frozen=True, slots=True)
class TorchReference:
    """A program of `torch.export` in a file as the reference for numbers."""

    path: Path
    threads: int

    def expected(self, inputs: Sequence[Array], seed: int) -> tuple[Expected, ...]:
        """The outputs for inputs in the order of the file, with bounds; see `referee.expected`.

        seed: of the roundings. Raises AutotuneError where PyTorch does not run the program.
        """
        torch: Any = needing("torch", "torch", "to run a PyTorch program")
        torch.set_num_threads(self.threads)
        program = needing("torch", "autotune.models.torch_file", "to read a PyTorch program").read(self.path)
        epsilon = epsilon_of(_coarsest_float(torch, program))
        rng = np.random.default_rng(seed)
        try:
            module = program.module()
            run = callable_of(torch, program, module)
            values, others = run(*inputs), []
            weights = {name: value.clone() for name, value in module.state_dict().items()}
            for _ in range(RUNS):
                off = {name: _rounded(torch, value, epsilon, rng) for name, value in weights.items()}
                module.load_state_dict(off)
                others.append(run(*[rounded(one, epsilon, rng).astype(one.dtype) for one in inputs]))
            module.load_state_dict(weights)
        except Exception as error:
            raise AutotuneError(
                f"expected PyTorch to run {self.path.name}; found {last_line(error)}", code="AT704"
            ) from error
        exact = _in_float64(torch, module, run, inputs) or (None,) * len(values)
        runs = zip(values, zip(*others, strict=True), exact, strict=True)
        return tuple(expected(value, off, epsilon, other) for value, off, other in runs)


def _in_float64(
    torch: Any, module: Any, run: Callable[..., tuple[Array, ...]], inputs: Sequence[Array]
) -> Sequence[Array] | None:
    """The outputs of the module, which is changed, with all its floating-point numbers in float64.

    None where its weights are too many, and where PyTorch has no such kernel, which is no fault of the program.
    """
    if sum(one.numel() * one.element_size() for one in module.state_dict().values()) > MOST_WEIGHT_BYTES:
        return None
    wide = {torch.float16: torch.float64, torch.bfloat16: torch.float64, torch.float32: torch.float64}
    try:
        for part in [one for one in module.modules() if isinstance(one, torch.fx.GraphModule)]:
            for node in part.graph.nodes:
                node.args, node.kwargs = torch.fx.node.map_aggregate(
                    (node.args, node.kwargs),
                    lambda one: wide.get(one, one) if isinstance(one, torch.dtype) else one,
                )
            part.recompile()
        module.double()
        return run(*[one.astype(np.float64) if is_float(str(one.dtype)) else one for one in inputs])
    except Exception:  # noqa: BLE001  PyTorch's exceptions have no common base class of their own
        return None


def _rounded(torch: Any, weight: Any, epsilon: float, rng: np.random.Generator) -> Any:
    values = array_of(torch, weight)
    if not weight.is_floating_point() or is_grid(values):
        return weight
    return tensor_of(torch, rounded(values, epsilon, rng).astype(values.dtype))


def _coarsest_float(torch: Any, program: Any) -> str:
    """The coarsest floating-point type that the program computes in, in NumPy's words."""
    values = [node.meta.get("val") for node in program.graph.nodes]
    found = {str(each.dtype).removeprefix("torch.") for each in values if isinstance(each, torch.Tensor)}
    return next((each for each in ("bfloat16", "float16", "float32", "float64") if each in found), "float32")
