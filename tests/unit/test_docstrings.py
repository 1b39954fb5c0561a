"""The docstring rule: every public name has one, which opens with a noun phrase or a verb, not with a riddle."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("autotune", "benchmarks", "cost_models", "search_spaces", "tuning_logs")
MODULES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))

#: Openings that do not name the thing: a relative clause, a pronoun, or a comparison without its subject.
RIDDLE = re.compile(
    r"(What|Whoever|Whatever|Whom|Whose|Who|Which|Nobody|Nothing|Everything|Everybody|Something|Somebody|How|Where|When|"
    r"Here|There|All that|Those|One who|The same|As many|So|Else|It|They)\b"
)
#: Predicates may say what they answer.
PREDICATE = re.compile(r"Whether\b")

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef

#: To be rewritten; an entry goes when its last riddle has gone.
PENDING = frozenset(
    {
        "benchmarks/sides/onnx_case.py",
        "autotune/runners/references.py",
        "autotune/boards/session.py",
        "autotune/builders/artifact.py",
        "autotune/builders/cpu_build.py",
        "autotune/builders/cuda_compiler.py",
        "autotune/deployment/compilation.py",
        "autotune/deployment/isolated_build.py",
        "autotune/devices/__init__.py",
        "autotune/devices/device.py",
        "autotune/devices/gpu_facts.py",
        "autotune/devices/host.py",
        "autotune/devices/machine_state.py",
        "autotune/devices/processor.py",
        "autotune/devices/roofline.py",
        "autotune/devices/roofline_measurement.py",
        "autotune/devices/toml_file.py",
        "autotune/measurement/board_reference.py",
        "autotune/measurement/board_trial.py",
        "autotune/measurement/cpu_kernel.py",
        "autotune/measurement/device_kernel.py",
        "autotune/measurement/guarded_array.py",
        "autotune/measurement/inputs.py",
        "autotune/measurement/kernel_trial.py",
        "autotune/measurement/local_reference.py",
        "autotune/measurement/output_check.py",
        "autotune/measurement/reference_kernel.py",
        "autotune/measurement/stopwatch.py",
        "autotune/models/input_shapes.py",
        "autotune/models/isolation.py",
        "autotune/models/onnx_import.py",
        "autotune/models/onnx_passes/limits.py",
        "autotune/runners/factory.py",
        "autotune/runners/local_runner.py",
        "autotune/runners/rpc_runner.py",
        "autotune/runners/thread_scaling.py",
        "autotune/testing/builder_laws.py",
        "autotune/testing/proposer_laws.py",
        "autotune/testing/record_store_laws.py",
        "autotune/testing/records.py",
        "autotune/testing/runner_laws.py",
        "autotune/testing/toy_job.py",
        "autotune/tuning/finals.py",
        "autotune/tuning/retries.py",
        "autotune/tuning/trial_recorder.py",
        "autotune/workers/child.py",
        "autotune/workers/closeable.py",
        "autotune/workers/fork_server.py",
        "autotune/workers/process.py",
        "autotune/workers/remote_end.py",
        "autotune/workers/threads.py",
        "search_spaces/tensor_ir/operand_packing.py",
        "search_spaces/tensor_ir/uneven_rows.py",
    }
)


def public(tree: ast.Module | ast.ClassDef) -> Iterator[Definition]:
    """The public classes and functions of a module, methods included."""
    for node in tree.body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node)


def problems(path: Path) -> list[str]:
    """A line for every docstring of a module that is missing or is a riddle."""
    tree = ast.parse(path.read_text("utf-8"))
    found = []
    for node in (tree, *public(tree)):
        if ast.get_docstring(node) is None:
            found.append(f"{getattr(node, 'name', 'the module')} has no docstring")
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | Definition):
            text = ast.get_docstring(node) or ""
            line = getattr(node, "lineno", 1)
            returns = getattr(node, "returns", None)
            is_predicate = returns is not None and ast.unparse(returns) == "bool"
            if RIDDLE.match(text) or (PREDICATE.match(text) and not is_predicate):
                found.append(f"line {line}: {text.splitlines()[0]}")
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_public_name_is_said_in_the_fields_terms(path: Path) -> None:
    if str(path.relative_to(ROOT)) not in PENDING:
        assert problems(path) == []
