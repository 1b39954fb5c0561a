"""Coverage of the ONNX backend suite: each case imported, built untuned, run and compared with its expected outputs.

    python benchmarks/onnx_coverage.py --json out/onnx_coverage.json
    python benchmarks/onnx_coverage.py --only resize nms --details

The suite is that of the installed `onnx` package (node, simple, pytorch-converted, pytorch-operator, real). Every case
runs in a worker process with a time limit, so that a crash is one case's result. A case whose output shapes depend on
the values of integer inputs is run with these inputs as constants, as exporters write them.

passed        the outputs are the suite's, with dtypes and shapes: within its tolerances, a unit in the last place of
              the largest value, and for half floats two units in the last place
unsupported   refused with an error that names an operator, a dtype or a dynamic shape
wrong         runs, and the outputs differ
disputed      runs, and the outputs are ONNX Runtime's (without optimizations), which are not the suite's
failed        any other end: an error that names nothing, a crash, a hang
out of scope  strings, sequences, optionals, maps, training operators, dtypes below a byte, shapes that depend on values
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from sides.onnx_case import Result, examine

from autotune.workers.fork_server import WorkerNeeds
from autotune.workers.pool import WorkerPool
from autotune.workers.process import Call
from autotune.workers.threads import kernel_threads

_KINDS = ("node", "simple", "pytorch-converted", "pytorch-operator", "real")
_TIMEOUT_SECS = 120.0
_GIB = 1 << 30


@dataclass(frozen=True)
class Case:
    """A case on disk: the model, its inputs and expected outputs in one `.npz`, and the tolerances."""

    name: str
    kind: str
    operator: str
    model: Path
    data: Path
    rtol: float
    atol: float


def main() -> None:
    """Runs the suite, prints a row an operator and the totals."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=[], help="cases whose names contain one of these")
    parser.add_argument("--kinds", nargs="*", choices=_KINDS, default=_KINDS)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--details", action="store_true", help="a line for each case that did not pass")
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="onnx-coverage-") as folder:
        cases = list(written(Path(folder), options.kinds, options.only))
        results = run(cases, options.workers)
    show(cases, results, options.details)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        rows = [
            {"name": case.name, "kind": case.kind, "operator": case.operator, **asdict(result)}
            for case, result in zip(cases, results, strict=True)
        ]
        options.json.write_text(json.dumps({"onnx": onnx.__version__, "cases": rows}, indent=1) + "\n")


def written(folder: Path, kinds: Iterable[str], only: Iterable[str]) -> Iterable[Case]:
    """The suite's cases, written below a folder."""
    from onnx.backend.test.loader import load_model_tests

    for kind in kinds:
        with np.errstate(all="ignore"):
            found = load_model_tests(kind=kind)
        for each in found:
            if only and not any(part in each.name for part in only):
                continue
            place = folder / kind / each.name
            place.mkdir(parents=True)
            model, sets = _loaded(each)
            path = place / "model.onnx"
            path.write_bytes(model.SerializeToString())
            (place / "data.pkl").write_bytes(_pickled(sets))
            operators = {node.op_type for node in model.graph.node}
            operator = next(iter(operators)) if len(operators) == 1 else f"({kind} network)"
            yield Case(each.name, kind, operator, path, place / "data.pkl", each.rtol, each.atol)


def _loaded(case: Any) -> tuple[onnx.ModelProto, list[tuple[list[Any], list[Any]]]]:
    """The model of a case, and its data sets; arrays, or None for what is no tensor."""
    if case.model is not None:
        return case.model, [(list(inputs), list(outputs)) for inputs, outputs in case.data_sets]
    if case.url is not None:
        path = Path(onnx.__file__).parents[1] / case.url
        model = onnx.load(path)
        output = path.with_name(path.stem + "_output_0.pb")
        return model, [(_light_inputs(model), [_tensor(output)])]
    folder = Path(case.model_dir)
    sets = []
    for place in sorted(folder.glob("test_data_set_*")):
        sets.append(
            tuple(
                [_tensor(place / f"{side}_{n}.pb") for n in range(len(list(place.glob(f"{side}_*.pb"))))]
                for side in ("input", "output")
            )
        )
    return onnx.load(folder / "model.onnx"), sets


def _light_inputs(model: onnx.ModelProto) -> list[np.ndarray]:
    """The inputs of the light models: the suite draws them as a ramp of the input's size."""
    weights = {tensor.name for tensor in model.graph.initializer}
    found = []
    for value in model.graph.input:
        if value.name not in weights:
            shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
            size = int(np.prod(shape))
            found.append((np.arange(size, dtype=np.float32).reshape(shape)) / size)
    return found


def _tensor(path: Path) -> Any:
    data = path.read_bytes()
    tensor = onnx.TensorProto()
    try:
        tensor.ParseFromString(data)
        return numpy_helper.to_array(tensor)
    except Exception:  # noqa: BLE001 - a sequence or an optional, which is out of scope
        return None


def _pickled(sets: list[Any]) -> bytes:
    import pickle

    return pickle.dumps(sets)


def run(cases: list[Case], workers: int) -> list[Result]:
    """The result of each case, in their order."""
    environment = kernel_threads(1)
    # Workers import the module of a case by its name.
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [sys.path[0], os.environ.get("PYTHONPATH", "")]))
    results: list[Result] = []
    with WorkerPool(workers, WorkerNeeds(examine.__module__, environment), 6 * _GIB, 2 * _GIB) as pool:
        for start in range(0, len(cases), 100):
            calls = [
                (Call(examine, (one.model, one.data, one.rtol, one.atol)), _TIMEOUT_SECS)
                for one in cases[start : start + 100]
            ]
            for reply in pool.map(calls):
                value = getattr(reply, "value", None)
                results.append(value or Result("failed", reply.message[-300:]))
            print(f"{len(results)} of {len(cases)}", file=sys.stderr, flush=True)
    return results


def show(cases: list[Case], results: list[Result], has_details: bool) -> None:
    """A row an operator, the totals, and the bars."""
    by_operator: dict[str, Counter[str]] = defaultdict(Counter)
    for case, result in zip(cases, results, strict=True):
        by_operator[case.operator][result.status] += 1
    statuses = ("passed", "unsupported", "disputed", "wrong", "failed", "out of scope")
    print(f"{'operator':28}" + "".join(f"{status:>14}" for status in statuses))
    for operator, counts in sorted(by_operator.items()):
        print(f"{operator[:28]:28}" + "".join(f"{counts[status] or '':>14}" for status in statuses))
    total = Counter(result.status for result in results)
    print(f"{'all':28}" + "".join(f"{total[status]:>14}" for status in statuses))
    in_scope = len(results) - total["out of scope"]
    print(
        f"passed {total['passed']} of {in_scope} in scope: {total['passed'] / max(in_scope, 1):.1%} (bar: 90 %)"
    )
    print(f"wrong {total['wrong']} (bar: 0), failed without a name {total['failed']} (bar: 0)")
    if has_details:
        for case, result in zip(cases, results, strict=True):
            if result.status != "passed":
                print(f"{result.status:12} {case.name}: {result.reason}")


if __name__ == "__main__":
    main()
