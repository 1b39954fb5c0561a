"""Single operators beside ONNX Runtime, to find kinds that are slow: the ratio of both, the slowest first.

    python benchmarks/single_operators.py               all: minutes
    python benchmarks/single_operators.py NonMax DFT    those whose node has one of these in it

Each is a model of one node, built without tuning, with random inputs of the size that networks have; both engines run
in processes of their own, in turns. A node alone pays for changes of layout that a network pays once, so a ratio of 1.5
says little, and one of 5 something. Needs the extra `bench`.

A line below has the inputs, then the node. `x:8,4` is an input of floats, `w:8,4` a constant, `i<9:8` a constant of
integers below 9; `k=3,4` are integers, `k==3` is one without a shape, and `f~0.5` a float.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
from onnx import numpy_helper

from autotune.deployment.compilation import compile
from autotune.deployment.engines import find_engine
from autotune.deployment.executable import SavedModel
from autotune.deployment.side_by_side import TimingSettings, side_by_side
from autotune.devices.device import local_device
from autotune.models.model import load_model
from search_spaces import AutotuneError
from tuning_logs import TuningLog

_HEADER = '<ir_version: 10, opset_import: ["" : 20]>'
_ROUNDS, _ROUND_SECS = 5, 0.05
_INPUT = re.compile(r"(?P<name>\w+?)(?:<(?P<below>\d+))?(?P<kind>:|==|=|~)(?P<values>[\d.,-]+)")
CASES = """
x:1,21,256,256 Softmax<axis=1>(x)
x:8,128,512 Softmax<axis=-1>(x)
x:64,10000 LogSoftmax<axis=-1>(x)
x:1,21,256,256 ArgMax<axis=1>(x)
x:1,512,768 w:768 v:768 LayerNormalization(x, w, v)
x:1,64,56,56 w:64 v:64 InstanceNormalization(x, w, v)
x:1,64,56,56 k=-1 ReduceMean(x, k)
x:1,64,56,56 k=1 ReduceMax(x, k)
x:256,64,256 k=1 ReduceSum(x, k)
x:1024,512 k=-1 ReduceLogSumExp(x, k)
x:256,1024 k==1 CumSum(x, k)
x:1024,256 k==0 CumSum(x, k)
x:64,1000 k=10 TopK(x, k)
x:1,8400 k=300 TopK(x, k)
x:16,1000 k=1000 TopK(x, k)
x:1,128,12,64 Transpose<perm=[0,2,1,3]>(x)
x:1,128,56,56 Transpose<perm=[0,2,3,1]>(x)
x:1,64,56,56 z:1,128,56,56 Concat<axis=1>(x, z)
x:1,64,56,56 k=0,0,3,3,0,0,3,3 Pad<mode="reflect">(x, k)
x:3000,384 i<3000:256 Gather(x, i)
x:512,512 i<512:512,512 GatherElements<axis=1>(x, i)
x:1024,64 i<1024:512,1 z:512,64 ScatterND(x, i, z)
x:4096,64 i<4096:8192,64 z:8192,64 ScatterElements<axis=0,reduction="add">(x, i, z)
x:1,64,56,56 f~1,1,2,2 Resize<mode="nearest">(x, , f)
x:1,64,56,56 f~1,1,2,2 Resize<mode="linear">(x, , f)
x:1,64,56,56 f~1,1,2,2 Resize<mode="cubic">(x, , f)
x:1,64,56,56 z:1,56,56,2 GridSample(x, z)
x:1,64,112,112 MaxPool<kernel_shape=[3,3],strides=[2,2],pads=[1,1,1,1]>(x)
x:1,64,56,56 AveragePool<kernel_shape=[3,3],pads=[1,1,1,1]>(x)
x:1,1280,7,7 GlobalAveragePool(x)
x:1,128,1000 w:128,128,3 Conv<pads=[1,1]>(x, w)
x:1,1,16000 w:512,1,10 Conv<strides=[5]>(x, w)
x:1,256,200 w:256,1,31 Conv<pads=[15,15],group=256>(x, w)
x:1,96,56,56 w:96,1,7,7 Conv<pads=[3,3,3,3],group=96>(x, w)
x:1,128,28,28 w:128,32,3,3 Conv<pads=[1,1,1,1],group=4>(x, w)
x:1,64,28,28 w:64,64,5,5 Conv<pads=[2,2,2,2]>(x, w)
x:1,128,28,28 w:128,128,3,3 Conv<pads=[4,4,4,4],dilations=[4,4]>(x, w)
x:1,3,224,224 w:384,3,16,16 Conv<strides=[16,16]>(x, w)
x:1,64,128,128 w:3,64,3,3 Conv<pads=[1,1,1,1]>(x, w)
x:1,32,8,28,28 w:32,32,3,3,3 Conv<pads=[1,1,1,1,1,1]>(x, w)
x:1,64,28,28 w:64,64,4,4 ConvTranspose<pads=[1,1,1,1],strides=[2,2]>(x, w)
x:1,256,100 w:256,128,16 ConvTranspose<pads=[4,4],strides=[8]>(x, w)
x:1,4096 w:4096,4096 MatMul(x, w)
x:256,512 z:512,512 MatMul(x, z)
x:8,1,512 z:8,512,512 MatMul(x, z)
x:5000,256 w:256,1 MatMul(x, w)
x:64,1024 w:1000,1024 v:1000 Gemm<transB=1>(x, w, v)
x:50,1,128 w:1,512,128 v:1,512,128 LSTM<hidden_size=128>(x, w, v)
x:50,8,128 w:1,384,128 v:1,384,128 GRU<hidden_size=128>(x, w, v)
x:2,128,8,64 z:2,128,8,64 Einsum<equation="bqhd,bkhd->bhqk">(x, z)
x:1,16,20,1,64,3 z:1,16,64,3,20 Einsum<equation="bildsk,biokl->bolsd">(x, z)
x:1,256,256,1 k==2 DFT<onesided=1>(x, , k)
x:1,16000 k==160 w:400 STFT(x, k, w)
x:1,8400,4 z:1,80,8400 k=100 f~0.5 g~1.5 NonMaxSuppression<center_point_box=1>(x, z, k, f, g)
x:1,64,56,56 Erf(x)
x:1,64,56,56 Exp(x)
x:1,64,56,56 Sigmoid(x)
x:1,64,56,56 Tanh(x)
x:1,64,56,56 Gelu(x)
x:1,64,56,56 Mish(x)
x:1,64,56,56 Sin(x)
x:1,64,56,56 Atan(x)
x:1,64,56,56 Asin(x)
x:1,64,56,56 IsNaN(x)
x:1,64,56,56 DepthToSpace<blocksize=2>(x)
x:256,512 DynamicQuantizeLinear(x)
""".strip().splitlines()


def model_of(line: str) -> onnx.ModelProto:
    """The model of a line."""
    rng = np.random.default_rng(0)
    *inputs, node = re.split(r" (?=\w+[<:=~])| (?=[A-Z]\w*[<(])", line)
    given, constants = [], []
    for text in inputs:
        found = _INPUT.fullmatch(text)
        assert found, text
        name, values = found["name"], [float(one) for one in found["values"].split(",")]
        sizes = [int(one) for one in values]
        if found["below"]:
            array = rng.integers(0, int(found["below"]), sizes)
        elif found["kind"] in ("=", "=="):
            array = np.array(values, np.int64).reshape(-1 if found["kind"] == "=" else ())
        elif found["kind"] == "~":
            array = np.array(values, np.float32)
        elif name in "wv":
            array = rng.standard_normal(sizes).astype(np.float32) / 16
        else:
            given.append(f"float[{found['values']}] {name}")
            continue
        constants.append(numpy_helper.from_array(array, name))
    outputs = {"TopK": ["y", "places"], "DynamicQuantizeLinear": ["y", "scale", "zero"]}
    names = outputs.get(re.split(r"[<(]", node)[0], ["y"])
    signature = f"({', '.join(given)}) => ({', '.join(f'float {name}' for name in names)})"
    model = onnx.parser.parse_model(f"{_HEADER} net {signature} {{ {', '.join(names)} = {node} }}")
    model.graph.initializer.extend(constants)
    for output in model.graph.output:
        output.type.Clear()
    return onnx.shape_inference.infer_shapes(model, data_prop=True)


def ratio_of(line: str, folder: Path) -> str:
    """The ratio, both times in microseconds, and what differs; or why there is none."""
    device, path = local_device(), folder / "model.onnx"
    onnx.save(model_of(line), path)
    try:
        model = load_model(path)
        built = compile(model, device.target, TuningLog.in_memory(), device.fingerprint)
        ours = SavedModel(built.save(folder / "model.so"), "ours")
        settings = TimingSettings(model.inputs, device.threads, _ROUNDS, _ROUND_SECS)
        found = side_by_side([ours, find_engine("onnxruntime", path, {}, device.threads)], settings)
    except AutotuneError as error:
        return f"  –    {line}: {error}"
    mine, theirs = (1e6 * one.secs for one in found.latencies)
    return f"{mine / theirs:6.2f} {mine:10.1f} {theirs:10.1f}  {line} {found.mistake or ''}"


def main() -> None:
    """Prints a line for each operator, then all of them with the slowest first."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", help="of nodes; default: all")
    parts = parser.parse_args().parts
    rows = []
    for line in CASES:
        if not parts or any(part in line for part in parts):
            with tempfile.TemporaryDirectory() as folder:
                rows.append(ratio_of(line, Path(folder)))
            print(rows[-1], flush=True)
    print("\nratio    ours, µs     ONNX Runtime\n" + "\n".join(sorted(rows, reverse=True)))


if __name__ == "__main__":
    main()
