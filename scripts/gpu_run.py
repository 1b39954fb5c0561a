"""Runs GPU tests and benchmarks on a machine that is had for minutes: offline, most important first, each once.

Where there is a registry: fetch wheels for the machine's Python, and cut them into parts that travel one by one.

    python scripts/gpu_run.py fetch out/wheels --python 3.12 --without numpy scipy pandas matplotlib onnxruntime
    python scripts/gpu_run.py cut out/wheels out/parts --mib 40

On the machine with the GPU: gather the parts, one a call, then run; a call that ends early is called again.

    python scripts/gpu_run.py gather out/parts/0 /tmp/wheels
    python scripts/gpu_run.py run /tmp/wheels $OUT/results --secs 540
    python scripts/gpu_run.py run /tmp/wheels $OUT/results --secs 540 --earlier out/results.tar.gz    # a new machine

Each step has a file in the results with its exit status, seconds and log; one that was done is not done again, one that
failed is tried again after those that were not tried yet, and one that does not fit into the rest of the time waits for
the next call. After each step results are packed into one file beside their folder (results.tar.gz), without models:
that file is what has to come back, and what another machine goes on from. Standard library alone.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from gpu_wheels import PART_MIB, ROOT, cut, fetch, gather, install

#: Of the ten minutes of a call, what is left after the transfers back.
CALL_SECS = 540.0
_LOG_BYTES = 1 << 20
# Models are made anew from their seeds.
_KEPT = (".json", ".jsonl", ".log")


@dataclass(frozen=True)
class Step:
    """A command, the seconds that it may take, and the variables that it adds to the environment."""

    name: str
    command: tuple[str, ...]
    limit_secs: float
    needs_gpu: bool = True


@dataclass(frozen=True)
class Result:
    """What came of a step; status: done, failed, too long, or no GPU."""

    name: str
    status: str
    returncode: int | None
    secs: float


def steps(tag: str, results: Path) -> list[Step]:
    """All steps, the most important first; tag: TVM's for the GPU."""
    python = sys.executable
    test = (python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rs")
    folder = str(results / "benchmarks")
    gpu = (python, "benchmarks/gpu.py", "--target", tag, "--folder", folder)
    models = (python, "benchmarks/gpu_models.py", "--target", tag, "--folder", folder)
    return [
        Step("versions", (python, "-c", _VERSIONS), 60, needs_gpu=False),
        Step("facts", ("nvidia-smi", "-q", "-d", "CLOCK,MEMORY,COMPUTE"), 30),
        Step("cuda-tests", (*test, "tests/system/autotune/builders/test_cuda.py"), 400),
        Step("cuda-models", (*test, "tests/system/autotune/builders/test_cuda_models.py"), 300),
        Step("gpu-faults", (*test, "-m", "", "tests/system/autotune/runners/test_gpu_faults.py"), 120),
        Step("matmul-fp16", (*gpu, "--only", "matmul_fp16", "--trials", "200"), 400),
        Step("resnet50-b1", (*models, "--only", "resnet50-b1", "--time", "180s"), 420),
        Step("minilm-b1", (*models, "--only", "minilm-b1", "--time", "120s"), 300),
        Step("small-kernels", (*gpu, "--only", "softmax", "layer_norm", "gelu", "--trials", "32"), 240),
        Step("matmul-fp32", (*gpu, "--only", "matmul_fp32", "--trials", "100"), 300),
        Step("resnet50-b16", (*models, "--only", "resnet50-b16", "--time", "180s"), 420),
        Step("depthwise", (*gpu, "--only", "depthwise", "--trials", "64"), 240),
        Step("matmul-int8", (*gpu, "--only", "matmul_int8", "--trials", "100"), 300),
        Step("matmul-split", (*gpu, "--only", "matmul_split", "--trials", "100"), 200),
        Step("search", (*gpu, "--only", "search", "--trials", "1000"), 500),
        Step(
            "mma",
            (*test, "-m", "", "tests/tvm/search_spaces/tensor_ir/test_mma_schedule.py"),
            200,
            needs_gpu=False,
        ),
        Step("kinds", (*test, "tests/system/autotune/builders/test_gpu_kinds.py"), 200, needs_gpu=False),
    ]


_VERSIONS = (
    "import json, sys, tvm, optuna, xgboost, autotune; "
    "print(json.dumps({'python': sys.version, 'tvm': tvm.__version__, 'optuna': optuna.__version__, "
    "'xgboost': xgboost.__version__, 'gpu': bool(tvm.cuda(0).exist)}))"
)


def environment(site: Path) -> dict[str, str]:
    """The variables of steps: this tree and the folder of packages, and CUDA's runtime library, which TVM loads."""
    nvidia = importlib.util.find_spec("nvidia")
    places = list(nvidia.submodule_search_locations or ()) if nvidia else []
    libraries = [f"{place}/cu13/lib" for place in places] + ["/usr/local/cuda/lib64"]
    known = os.environ.get("LD_LIBRARY_PATH")
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(site)]),
        "PYTHONUNBUFFERED": "1",
        "LD_LIBRARY_PATH": os.pathsep.join([*libraries, *([known] if known else [])]),
    }


def run(step: Step, results: Path, variables: dict[str, str]) -> Result:
    """Runs a step in a process group of its own, which is ended at its limit; its output goes into a log."""
    log, started = results / f"{step.name}.log", time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            step.command, cwd=ROOT, stdout=output, stderr=output, env=variables, start_new_session=True
        )
        try:
            status = "done" if process.wait(step.limit_secs) == 0 else "failed"
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            status = "too long"
    if log.stat().st_size > _LOG_BYTES:
        log.write_bytes(log.read_bytes()[-_LOG_BYTES:])
    return Result(step.name, status, process.returncode, round(time.monotonic() - started, 1))


def run_all(wheels: Path, results: Path, secs: float, tag: str) -> list[Result]:
    """Runs what is left to do within the time, and writes a summary; what failed is tried again in the next call."""
    started = time.monotonic()
    results.mkdir(parents=True, exist_ok=True)
    site = wheels.parent / f"{wheels.name}-site"
    install(wheels, site)
    variables = environment(site)
    has_gpu = shutil.which("nvidia-smi") is not None
    found: list[Result] = []
    planned = steps(tag, results)
    # A step that fails for good shall not keep the others from their turn.
    for step in sorted(planned, key=lambda one: (results / f"{one.name}.json").exists()):
        file = results / f"{step.name}.json"
        if file.exists() and json.loads(file.read_text())["status"] == "done":
            found.append(Result(**json.loads(file.read_text())))
            continue
        if time.monotonic() - started + step.limit_secs > secs:
            found.append(Result(step.name, "waits for the next call", None, 0.0))
            continue
        missing = step.needs_gpu and not has_gpu
        result = Result(step.name, "no GPU", None, 0.0) if missing else run(step, results, variables)
        file.write_text(json.dumps(asdict(result)))
        found.append(result)
        pack(results)
    (results / "summary.json").write_text(json.dumps([asdict(one) for one in found], indent=2))
    pack(results)
    return found


def pack(results: Path) -> Path:
    """Writes the results' figures, logs and tuning logs, which a later call goes on with, into one file beside them."""
    packed = results.with_name(f"{results.name}.tar.gz")
    with tarfile.open(packed, "w:gz") as archive:
        for file in sorted(results.rglob("*")):
            if file.suffix in _KEPT:
                archive.add(file, file.relative_to(results))
    return packed


def unpack(packed: Path, results: Path) -> None:
    """Restores the results of calls on another machine."""
    with tarfile.open(packed) as archive:
        archive.extractall(results, filter="data")


def main() -> int:
    """0 where every step that ran was done."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("fetch")
    one.add_argument("wheels", type=Path)
    one.add_argument("--python", default="3.12")
    one.add_argument("--without", nargs="*", default=[], help="packages that the machine has")
    one = commands.add_parser("cut")
    one.add_argument("wheels", type=Path)
    one.add_argument("parts", type=Path)
    one.add_argument("--mib", type=int, default=PART_MIB)
    one = commands.add_parser("gather")
    one.add_argument("part", type=Path)
    one.add_argument("wheels", type=Path)
    one = commands.add_parser("run")
    one.add_argument("wheels", type=Path)
    one.add_argument("results", type=Path)
    one.add_argument("--secs", type=float, default=CALL_SECS)
    one.add_argument("--target", default="nvidia/nvidia-h100")
    one.add_argument("--earlier", type=Path, help="the results.tar.gz of another machine, to go on from")
    given = parser.parse_args()
    if given.command == "fetch":
        fetch(given.wheels, given.python, given.without)
    elif given.command == "cut":
        sys.stdout.write(f"{cut(given.wheels, given.parts, given.mib)} parts\n")
    elif given.command == "gather":
        gather(given.part, given.wheels)
    else:
        if given.earlier is not None:
            unpack(given.earlier, given.results)
        found = run_all(given.wheels.resolve(), given.results.resolve(), given.secs, given.target)
        sys.stdout.write("".join(f"{each.status:24} {each.secs:7.1f} s  {each.name}\n" for each in found))
        return int(any(each.status in ("failed", "too long") for each in found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
