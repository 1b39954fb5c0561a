"""Files of strangers, and records after another training run: kinds "files" and "records"."""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import json
import os
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
from onnx import helper, numpy_helper

import autotune
from cost_models.boosters.model_file import read_model_file, write_model_file
from cost_models.boosters.ubjson import read_ubjson, write_ubjson
from cost_models.program_model import load_program_model
from edge_inputs.attempt import Attempt, run_apart
from edge_inputs.forked import autotune_forked

_FILES, _RECORDS = "files", "records"
_CPU_SECS = 30
_SHIPPED = next((Path(load_program_model.__code__.co_filename).parent / "pretrained").glob("*.costmodel"))
_TABLE = b"block,status,mean_ms,cost_s\n16,ok,2.0,3.0\n"
_DEEP = b"[" * 200_000

Make = Callable[[Path], None]


def inputs() -> Iterator[Attempt]:
    """All inputs of both kinds."""
    for label, make in _cost_models().items():
        yield _refused(f"cost model, {label}", make, "cost-model", "show", "forged.costmodel")
    for label, content in _texts().items():
        name, *command = _COMMANDS[label.partition(",")[0]]
        yield _refused(label, functools.partial(_write, name, content), *command)
    for label, content in _tables().items():
        yield Attempt(_FILES, f"table, {label}", functools.partial(_read_table, content))
    for label, forge in _databases().items():
        yield Attempt(_FILES, f"MetaSchedule folder, {label}", functools.partial(_import, forge))
    for name in _NETWORKS:
        yield Attempt(_RECORDS, name, functools.partial(_same_keys, name))


# --- files that a command reads -----------------------------------------------------------------------------------

_COMMANDS = {
    "log": ("forged.jsonl", "log", "show", "forged.jsonl"),
    "packed log": ("forged.jsonl.gz", "log", "show", "forged.jsonl.gz"),
    "job file": ("jobs.toml", "run", "jobs.toml", "--dry-run"),
    "status": ("night/status.json", "status", "night"),
    "device card": ("card.json", "estimate", "--op", "matmul:8,8,8", "--device-card", "card.json"),
    "TFLite model": ("forged.tflite", "tasks", "forged.tflite"),
    "PyTorch program": ("forged.pt2", "tasks", "forged.pt2"),
    "library": ("forged.so", "bench", "forged.so"),
}


def _texts() -> dict[str, bytes]:
    found = {}
    for kind in ("log", "job file", "status", "device card"):
        found |= {
            f"{kind}, nested": _DEEP,
            f"{kind}, zeros": bytes(1 << 16),
            f"{kind}, digits": b"9" * 20_000,
            f"{kind}, no UTF-8": b'{"a": "\xff\xfe"}',
        }
    found["job file, nested values"] = b"a = " + _DEEP
    found["job file, dotted"] = b"a." * 20_000 + b"b = 1"
    found["job file, many lines"] = b"a = [\n" + b"1,\n" * 30_000 + b"]\nwrong = 1\n"
    found["packed log, bomb"] = gzip.compress(bytes(1 << 20)) * 200
    found["packed log, torn"] = gzip.compress(bytes(1 << 20))[:-30]
    found["TFLite model, zeros"] = b"\0\0\0\0TFL3" + bytes(1 << 16)
    found["TFLite model, offsets"] = b"\x1c\0\0\0TFL3" + b"\xff\xff\xff\x7f" * 4096
    found["PyTorch program, bomb"] = _packed({"model.json": bytes(1 << 26)})
    found["PyTorch program, no members"] = b"PK\5\6" + bytes(18)
    found["library, text"] = b"#!/bin/sh\n"
    return found


def _refused(label: str, make: Make, *command: str) -> Attempt:
    """An input that ends a command with exit code 1 or 2 and without a traceback."""

    def run(folder: Path) -> str | None:
        make(folder)
        return autotune_forked(command, folder, cpu_secs=_CPU_SECS).fault(1, 2)

    return Attempt(_FILES, label, run)


def _write(name: str, content: bytes, folder: Path) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)


def _packed(members: Mapping[str, bytes]) -> bytes:
    path = Path(f"/tmp/edges-{os.getpid()}.zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    content = path.read_bytes()
    path.unlink()
    return content


# --- cost models --------------------------------------------------------------------------------------------------


def _cost_models() -> dict[str, Make]:
    def trees(change: Callable[[Any], None]) -> Make:
        def make(folder: Path) -> None:
            card, boosters = _shipped()
            model = read_ubjson(boosters["speed"])
            change(model["learner"])
            write_model_file(folder / "forged.costmodel", card, {**boosters, "speed": write_ubjson(model)})

        return make

    def nodes(name: str, value: int) -> Make:
        return trees(lambda learner: _trees_of(learner)[3][name].__setitem__(slice(None), value))

    def raw(change: Callable[[bytes], bytes]) -> Make:
        def make(folder: Path) -> None:
            card, boosters = _shipped()
            changed = {**boosters, "speed": change(boosters["speed"])}
            write_model_file(folder / "forged.costmodel", card, changed)

        return make

    def carded(**changes: object) -> Make:
        def make(folder: Path) -> None:
            card, boosters = _shipped()
            write_model_file(folder / "forged.costmodel", {**card, **changes}, boosters)

        return make

    bomb = bytes(1 << 27)
    digests = {"sha256": {"speed": hashlib.sha256(bomb).hexdigest()}}
    archive = _packed({"card.json": json.dumps(digests).encode(), "speed.ubj": bomb})
    return {
        "no trees": raw(lambda data: b""),
        "half of the trees": raw(lambda data: data[: len(data) // 2]),
        "nested trees": raw(lambda data: _DEEP),
        "a length beyond the end": raw(lambda data: data.replace(b"[$l#L\0\0\0\0\0", b"[$l#L\x7f\0\0\0\0")),
        "children beyond the end": nodes("right_children", 1 << 30),
        "children in a circle": nodes("left_children", 0),
        "parents beyond the end": nodes("parents", 1 << 28),
        "features beyond the last": nodes("split_indices", 1 << 20),
        "several outputs": trees(lambda learner: learner["learner_model_param"].update(num_class="7")),
        "another objective": trees(lambda learner: learner["objective"].update(name="survival:cox")),
        "another booster": trees(lambda learner: learner["gradient_booster"].update(name="gblinear")),
        "groups of trees": trees(
            lambda learner: learner["gradient_booster"]["model"].update(tree_info=[9] * 400)
        ),
        "a card without devices": carded(devices=None),
        "a card of texts": carded(records="many", tasks=[]),
        "a card of another width": carded(columns=3),
        "a bomb": functools.partial(_write, "forged.costmodel", archive),
        "nothing": functools.partial(_write, "forged.costmodel", b""),
        "a file of 1 TiB": _sparse,
    }


@functools.cache
def _shipped() -> tuple[dict[str, Any], dict[str, bytes]]:
    return read_model_file(_SHIPPED, "xgboost-cost-model")


def _trees_of(learner: Any) -> Any:
    return learner["gradient_booster"]["model"]["trees"]


def _sparse(folder: Path) -> None:
    with (folder / "forged.costmodel").open("wb") as file:
        file.truncate(1 << 40)


# --- tables and databases, read in a child ------------------------------------------------------------------------


def _tables() -> dict[str, bytes]:
    return {
        "bomb": gzip.compress(bytes(1 << 20)) * 300,
        "damaged": gzip.compress(_TABLE)[:12] + bytes(20),
        "a long field": gzip.compress(_TABLE + b"1" * 300_000 + b",ok,1,1\n"),
        "NUL": gzip.compress(_TABLE + b"\0,ok,1,1\n"),
        "short rows": gzip.compress(_TABLE.replace(b"block", b"a,b,c,block") + b"1\n"),
        "no times": gzip.compress(_TABLE + b"32,ok,nan,inf\n"),
    }


def _read_table(content: bytes, folder: Path) -> str | None:
    (folder / "table.csv.gz").write_bytes(content)
    return _in_child(
        "from search_spaces.tabular_space import TabularSpace; TabularSpace(Path('table.csv.gz'))", folder
    )


def _databases() -> dict[str, Callable[[bytes], bytes]]:
    return {
        "nested": lambda line: _DEEP,
        "no workloads": lambda line: b"",
        "numbers": lambda line: b"[1, 2]",
        "other base64": lambda line: line.replace(b"AAAA", b"////", 1),
        "cut": lambda line: line[: len(line) // 2],
        "a circle": _with_circle,
    }


def _with_circle(line: bytes) -> bytes:
    """A workload's line in whose program a list is a part of itself."""
    digest, text = json.loads(line)
    program = json.loads(base64.b64decode(text)[8:])
    first = next(node for node in program["nodes"] if node["type"] == "ffi.Array")
    first["data"] = [len(program["nodes"]) - 1]
    data = json.dumps(program).encode()
    return json.dumps([digest, base64.b64encode(len(data).to_bytes(8, "little") + data).decode()]).encode()


def _import(forge: Callable[[bytes], bytes], folder: Path) -> str | None:
    golden = Path(__file__).parents[2] / "tests/golden/metaschedule_matmul"
    for name in ("database_workload.json", "database_tuning_record.json"):
        content = (golden / name).read_bytes()
        _write(f"database/{name}", forge(content) if "workload" in name else content, folder)
    command = ("log", "import", "log.jsonl", "database", "--from", "metaschedule")
    return autotune_forked(command, folder, cpu_secs=_CPU_SECS).fault(0, 1, 2)


def _in_child(code: str, folder: Path) -> str | None:
    """The fault of a line of Python: whatever is no AutotuneError."""
    imports = "from pathlib import Path\nfrom search_spaces.errors import AutotuneError"
    program = f"{imports}\ntry:\n    {code}\nexcept AutotuneError: pass"
    return run_apart([sys.executable, "-c", program], folder, dict(os.environ), _CPU_SECS).fault(0)


# --- records ------------------------------------------------------------------------------------------------------

#: Nodes in ONNX's text format after a matrix product, with the scalars that training changes.
_NETWORKS = {
    "layer scale": "y = Mul(h, s)",
    "shift": "y = Add(h, s)",
    "temperature": "i = Div(h, s) y = Softmax(i)",
    "logit scale": "e = Exp(s) y = Mul(h, e)",
    "learned clip": "i = Max(h, s) y = Min(i, t)",
    "threshold": "g = Greater(h, s) y = Where(g, h, t)",
    "swish": "b = Mul(h, s) i = Sigmoid(b) y = Mul(h, i)",
    "slope": "y = PRelu(h, s)",
    "quantization": "q = QuantizeLinear(h, s, z) y = DequantizeLinear(q, s, z)",
    "requantization": "q = QuantizeLinear(h, s, z) y = DequantizeLinear(q, t, z)",
    "gate": "i = Mul(h, s) j = Add(i, h) y = Relu(j)",
    "chain": "i = Mul(h, s) j = Add(i, t) y = Tanh(j)",
}


def _same_keys(name: str, folder: Path) -> str | None:
    """The keys of a network after three training runs."""
    keys = [_keys_after(_NETWORKS[name], training, folder) for training in (0.31, 0.47, 1.9)]
    return None if keys[0] == keys[1] == keys[2] else f"keys differ: {keys}"


def _keys_after(nodes: str, training: float, folder: Path) -> list[str]:
    """The keys of the tasks of a network whose weights and scalars are those of a training run."""
    graph = onnx.parser.parse_graph(f"g (float[4,32] x) => (float[4,32] y) {{ h = MatMul(x, w) {nodes} }}")
    rng = np.random.default_rng(int(100 * training))
    weights = {
        "w": rng.standard_normal((32, 32), np.float32),
        "s": np.float32(training),
        "t": np.float32(training + 1),
        "z": np.uint8(100 * training),
    }
    graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), weight) for weight, value in weights.items()
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "model.onnx")
    target = autotune.parse_device("local").target
    tasks = autotune.extract_tasks(autotune.load_model(folder / "model.onnx"), target)
    return [task.key for task in tasks]
