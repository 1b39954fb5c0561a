"""Programs that use the product as people do: threads, forks, notebooks, interrupts, samples, a way out."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from edge_inputs.attempt import Attempt, Ended, run_apart
from edge_inputs.forked import autotune_forked

_SAID = "as expected"
# Of the model and its library; it goes with the process.
_FOLDER = tempfile.TemporaryDirectory(prefix="edges-python-")

_MADE = """
import sys
import numpy as np, onnx
from onnx import TensorProto, helper, numpy_helper
rng = np.random.default_rng(0)
nodes, weights = [], []
for layer in range(2):
    weights.append(numpy_helper.from_array(rng.standard_normal((64, 64)).astype("float32") / 8, f"w{layer}"))
    nodes.append(helper.make_node("MatMul", [f"x{layer}", f"w{layer}"], [f"y{layer}"]))
    nodes.append(helper.make_node("Relu", [f"y{layer}"], [f"x{layer + 1}"]))
ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (8, 64)) for name in ("x0", "x2")]
graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:], weights)
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), sys.argv[1])
import autotune
device = autotune.parse_device("local?threads=2")
autotune.compile(autotune.load_model(sys.argv[1]), device.target, autotune.TuningLog.in_memory()).save(sys.argv[2])
"""

_PROLOGUE = """
import asyncio, contextlib, io, locale, logging, multiprocessing, os, random, signal, sys, threading, time, warnings
import numpy as np
import autotune
MODEL, LIBRARY = sys.argv[1:3]
x = np.random.default_rng(0).standard_normal((8, 64)).astype("float32")
def loaded(threads=2):
    return autotune.load(LIBRARY, threads=threads)
def same(model, expected, times=3):
    for _ in range(times):
        assert np.array_equal(model(x), expected)
def run_all(work, count):
    found = []
    def kept():
        try:
            work(); found.append(None)
        except BaseException as error:
            found.append(error)
    threads = [threading.Thread(target=kept) for _ in range(count)]
    [one.start() for one in threads]; [one.join() for one in threads]
    assert found == [None] * count, found
def forked(work):
    pid = os.fork()
    if pid == 0:
        work(); sys.exit(7)
    ends = time.monotonic() + 120
    while time.monotonic() < ends:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            assert os.waitstatus_to_exitcode(status) == 7, status
            return
        time.sleep(0.01)
    os.kill(pid, 9); raise AssertionError("the child did not end")
def target():
    return autotune.parse_device("local?threads=2").target
def compiled():
    return autotune.compile(autotune.load_model(MODEL), target(), autotune.TuningLog.in_memory())
def tuned(log, trials=4):
    device = autotune.parse_device("local?threads=1")
    task = autotune.operator_task("matmul:32,32,32", device.target)
    for _ in autotune.Tuner(autotune.TuningJob((task,), device, autotune.Budget(trials=trials)), log).rounds():
        pass
def state():
    return {
        "warnings": list(warnings.filters), "level": logging.getLogger().level, "env": dict(os.environ),
        "handlers": list(logging.getLogger().handlers), "locale": locale.setlocale(locale.LC_ALL),
        "signals": [signal.getsignal(number) for number in (2, 15, 1, 13, 14, 17)], "numpy": np.geterr(),
        "random": random.getstate(), "numpy random": str(np.random.get_state()), "cwd": os.getcwd(),
        "affinity": os.sched_getaffinity(0), "excepthook": sys.excepthook, "stdout": sys.stdout,
        "stderr": sys.stderr, "method": multiprocessing.get_start_method(allow_none=True),
        "path": list(sys.path), "descriptors": [os.fstat(one).st_ino for one in (0, 1, 2)],
    }
def unchanged(work):
    # When they are imported first, Rich draws a random number, and SciPy adds filters of its own warnings.
    import rich.style, scipy.sparse, scipy.special
    before = state(); work(); after = state()
    changed = [name for name in before if before[name] != after[name]]
    assert not changed, changed
def children():
    import psutil
    return [one.pid for one in psutil.Process().children(recursive=True) if one.status() != "zombie"]
def interrupted(work, after):
    threading.Timer(after, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    try:
        work()
        time.sleep(after)  # it was faster
    except KeyboardInterrupt:
        pass
    ends = time.monotonic() + 5
    while children() and time.monotonic() < ends:
        time.sleep(0.05)
    assert not children(), "workers outlive the interrupt"
    work()
"""

#: Bodies of programs; each says so at its end.
_PROGRAMS = {
    "a model of 8 threads": "m = loaded(); e = m(x); run_all(lambda: same(m, e, 20), 8)",
    "a clone for each of 8 threads": "m = loaded(1); e = m(x); run_all(lambda: same(m.clone(), e, 20), 8)",
    "a model first called elsewhere": "m = loaded(); run_all(lambda: m(x), 1); same(m, m(x))",
    "a model loaded in each thread": "e = loaded()(x); run_all(lambda: same(loaded(), e), 6)",
    "models of 1 and 2 threads in turns": "a, b = loaded(1), loaded(2); e = a(x)\n"
    "for _ in range(20): assert np.allclose(a(x), b(x), rtol=1e-5)",
    "a thread for each of 50 calls": "m = loaded(); e = m(x); before = threading.active_count()\n"
    "for _ in range(50): run_all(lambda: same(m, e, 1), 1)\n"
    "assert len(os.listdir('/proc/self/task')) < 10, os.listdir('/proc/self/task')",
    "models imported in 4 threads": "unchanged(lambda: run_all(lambda: autotune.load_model(MODEL), 4))",
    "models compiled in 3 threads": "run_all(compiled, 3)",
    "a search in a thread": "run_all(lambda: tuned(autotune.TuningLog.in_memory()), 1)",
    "a check in a thread": "run_all(lambda: autotune.check(autotune.load_model(MODEL)), 1)",
    "fork after the import": "forked(lambda: loaded()(x))",
    "fork after loading": "m = loaded(); forked(lambda: m(x))",
    "fork after a call": "m = loaded(); e = m(x); forked(lambda: same(m, e))",
    "fork of a program at rest": "m = loaded(); e = m(x); time.sleep(1); forked(lambda: same(m, e))",
    "fork while threads call": "m = loaded(); e = m(x)\n"
    "[threading.Thread(target=same, args=(m, e, 10**9), daemon=True).start() for _ in range(3)]\n"
    "time.sleep(0.2)\nfor _ in range(5): forked(lambda: same(m, e))",
    "fork after an import of a model": "autotune.load_model(MODEL); forked(lambda: autotune.load_model(MODEL))",
    "fork after a build": "b = compiled(); e = b(x); forked(lambda: same(b, e))",
    "fork, then a check in the child": "loaded()(x); forked(lambda: autotune.check(autotune.load_model(MODEL)))",
    "children before the first request": "m = loaded()\nfor _ in range(4): forked(lambda: run_all(lambda: m(x), 3))",
    "a pool that forks": "m = loaded(); e = m(x)\ndef work(n): same(m, e); return n\n"
    "with multiprocessing.get_context('fork').Pool(2) as pool: assert pool.map(work, range(6)) == list(range(6))",
    "a loop of events": "m = loaded(); e = m(x)\nasync def main():\n"
    "    found = await asyncio.gather(*(asyncio.to_thread(m, x) for _ in range(8)))\n"
    "    same(m, e); autotune.load_model(MODEL); autotune.check(autotune.load_model(MODEL))\nasyncio.run(main())",
    "stdout beside an import": "lines = []\n"
    "class Counted(io.StringIO):\n    def write(self, text): lines.append(text)\n"
    "real, sys.stdout = sys.stdout, Counted()\nstop = threading.Event(); said = [0]\n"
    "def talk():\n    while not stop.is_set(): sys.stdout.write('here'); said[0] += 1; time.sleep(0.0001)\n"
    "one = threading.Thread(target=talk); one.start()\nfor _ in range(10): autotune.load_model(MODEL)\n"
    "stop.set(); one.join(); sys.stdout = real; assert lines.count('here') == said[0], (len(lines), said)",
    "warnings beside an import": "stop = threading.Event(); missed = []\n"
    "def warn():\n    while not stop.is_set():\n        missed.append(any(f[0] == 'ignore' and f[2] is Warning "
    "and f[1] is None for f in warnings.filters)); time.sleep(0.001)\n"
    "one = threading.Thread(target=warn); one.start()\nfor _ in range(5): autotune.load_model(MODEL)\n"
    "stop.set(); one.join(); assert not any(missed)",
    "state after every import": "unchanged(lambda: [getattr(autotune, one) for one in autotune.__all__])",
    "state after a model": "unchanged(lambda: (autotune.load_model(MODEL), loaded()(x)))",
    "state after a build": "unchanged(lambda: compiled()(x))",
    "state after a search": "unchanged(lambda: tuned(autotune.TuningLog.in_memory()))",
    "state after a check": "unchanged(lambda: autotune.check(autotune.load_model(MODEL)))",
    "a child of one's own, and an error": "autotune.load_model(MODEL)\n"
    "one = multiprocessing.get_context('fork').Process(target=time.sleep, args=(1,)); one.start()\n"
    "with contextlib.redirect_stderr(io.StringIO()): sys.excepthook(KeyError, KeyError(), None)\n"
    "one.join(); assert one.exitcode == 0, one.exitcode",
    "models dropped": "m = loaded()\n"
    "def used(): return [len(os.listdir('/proc/self/' + one)) for one in ('fd', 'task')]\n"
    "for _ in range(3): loaded()(x)\nbefore = used()\nfor _ in range(100): loaded()(x)\nassert used() == before",
    "memory of models dropped": "def pages(): return int(open('/proc/self/statm').read().split()[1])\n"
    "for _ in range(20): loaded()(x)\nbefore = pages()\nfor _ in range(300): loaded()(x)\n"
    "assert pages() - before < 1200, pages() - before",
    "threads that outlive the main one": "m = loaded(); e = m(x)\n"
    "threading.Thread(target=lambda: (time.sleep(0.3), same(m, e, 20))).start()",
    "daemons at work at the end": "m = loaded(); e = m(x)\n"
    "[threading.Thread(target=same, args=(m, e, 10**9), daemon=True).start() for _ in range(4)]; time.sleep(0.2)",
    "an end without a call": "m = loaded()",
    "an end in the middle of a search": "log = autotune.TuningLog.in_memory()\n"
    "threading.Thread(target=tuned, args=(log, 10**6), daemon=True).start(); time.sleep(2)",
    **{
        f"interrupt of {name} after {secs} s": f"interrupted({work}, {secs})"
        for name, work, times in (
            ("an import", "lambda: autotune.load_model(MODEL)", (0.05, 0.3)),
            ("a build", "compiled", (0.2, 0.6)),
            ("a check", "lambda: autotune.check(autotune.load_model(MODEL))", (0.5, 1.2, 2.0)),
            ("a search", "lambda: tuned(autotune.TuningLog.in_memory())", (0.8, 1.5, 2.5)),
            ("calls", "lambda: [m(x) for m in [loaded()] for _ in range(5000)]", (0.1, 0.3)),
        )
        for secs in times
    },
    "interrupt of a search with a log": "def search():\n"
    "    with autotune.TuningLog.open('log.jsonl') as log: tuned(log, 8)\n"
    "interrupted(search, 2.0)\nwith autotune.TuningLog.open('log.jsonl') as log: assert not log.damage",
}
# Programs that multiprocessing imports again in its children.
_GUARDED = {
    f"children by {method}": f"if __name__ == '__main__':\n    m = loaded(); e = m(x)\n"
    f"    with multiprocessing.get_context('{method}').Pool(2) as pool:\n"
    "        assert all(np.array_equal(one, e) for one in pool.map(child, range(2)))"
    for method in ("spawn", "forkserver")
}
_CHILD = "def child(_):\n    return autotune.load(LIBRARY, threads=2)(x)\n"
# What a program without a guard does once, although workers are started.
_UNGUARDED = {
    "no guard, a check": "open('ran', 'a').write('x'); autotune.check(autotune.load_model(MODEL))",
    "no guard, a search": "open('ran', 'a').write('x'); tuned(autotune.TuningLog.in_memory())",
}


@cache
def _files() -> tuple[str, str]:
    """A model and a library built from it, made once."""
    model, library = f"{_FOLDER.name}/chain.onnx", f"{_FOLDER.name}/chain.so"
    subprocess.run([sys.executable, "-c", _MADE, model, library], check=True, capture_output=True)
    return model, library


def _ended(text: str, folder: Path) -> Ended:
    script = folder / "program.py"
    script.write_text(text)
    variables = {name: value for name, value in os.environ.items() if not name.startswith("TVM_")}
    return run_apart([sys.executable, script, *_files()], folder, variables)


def _program(label: str, text: str) -> Attempt:
    def run(folder: Path) -> str | None:
        ended = _ended(text, folder)
        if fault := ended.fault(0):
            return fault
        if _SAID not in ended.output:
            return f"did not come to its end: {ended.output[-200:]}"
        ran = folder / "ran"
        return f"ran {len(ran.read_text())} times" if ran.exists() and len(ran.read_text()) != 1 else None

    return Attempt("python", label, run, _files)


def _small_import(_folder: Path) -> str | None:
    code = "import time; t = time.process_time(); import autotune; print(time.process_time() - t)"
    secs = min(
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout)
        for _ in range(3)
    )
    return None if secs < 0.1 else f"import autotune takes {secs:.2f} s"


# Code that writes a sample, and the exit codes of a check.
_SAMPLES: dict[str, tuple[str, *tuple[int, ...]]] = {
    "by name": ("np.savez(p, x0=x)", 0),
    "by order": ("np.savez(p, x)", 0),
    "compressed": ("np.savez_compressed(p, x0=x)", 0),
    "another name": ("np.savez(p, y=x)", 2),
    "one more array": ("np.savez(p, x0=x, y=x)", 2),
    "another shape": ("np.savez(p, x0=x[:4])", 2),
    "another type": ("np.savez(p, x0=x.astype('float64'))", 2),
    "integers": ("np.savez(p, x0=x.astype('int32'))", 2),
    "a pickle": ("np.savez(p, x0=np.array([{}], object))", 2),
    "not a number": ("np.savez(p, x0=np.full_like(x, np.nan))", 0, 2),
    "infinities": ("np.savez(p, x0=np.full_like(x, np.inf))", 0, 2),
    "zeros": ("np.savez(p, x0=np.zeros_like(x))", 0),
    "huge values": ("np.savez(p, x0=x * np.float32(1e30))", 0),
    "an empty file": ("open(p, 'w')", 2),
    "text": ("open(p, 'w').write('PK nothing')", 2),
    "an empty archive": ("import zipfile; zipfile.ZipFile(p, 'w').close()", 2),
    "cut short": ("np.savez(p, x0=x); b = open(p, 'rb').read(); open(p, 'wb').write(b[:len(b) // 2])", 2),
    "a folder": ("import os; os.mkdir(p); np.save(p + '/1.npy', x); np.save(p + '/2.npy', x + 1)", 0),
    "an empty folder": ("import os; os.mkdir(p)", 2),
    "nothing": ("pass", 2),
}


def _sample(label: str, code: str, *expected: int) -> Attempt:
    def run(folder: Path) -> str | None:
        path = folder / "one [a] é.npz"
        made = "import sys, numpy as np; p = sys.argv[1]; x = np.random.default_rng(0).random((8, 64), 'float32'); "
        subprocess.run([sys.executable, "-c", made + code, path], check=True, capture_output=True)
        return autotune_forked(["check", _files()[0], "--samples", str(path)], folder).fault(*expected)

    return Attempt("samples", label, run, _files)


def inputs() -> Iterator[Attempt]:
    """Programs in processes of their own, and samples for `autotune check`."""
    end = f"\nprint('{_SAID}')\n"
    yield Attempt("python", "a small import", _small_import)
    for label, text in {**_PROGRAMS, **_UNGUARDED}.items():
        yield _program(label, _PROLOGUE + text + end)
    for label, text in _GUARDED.items():
        yield _program(label, _PROLOGUE + _CHILD + text + end)
    for label, (code, *expected) in _SAMPLES.items():
        yield _sample(label, code, *expected)
