"""Programs of one operator, and the multiply-add peak, as sides that take turns, each in a process of its own."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import tvm
from onnx import TensorProto, helper, numpy_helper

from autotune.builders.cpu_build import compile_kernel
from autotune.devices.device import local_device
from autotune.devices.fma_kernel import multiply_adds, operations
from autotune.measurement.timing import timed_runs
from autotune.models.operators import operator_task
from search_spaces import Config
from search_spaces.tensor_ir.modules import dump, load, signature, tvm_target
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from search_spaces.tensor_ir.vector_unit import vector_unit

Run = Callable[[], np.ndarray]


@dataclass(frozen=True)
class Peak:
    """Multiply-adds in registers; mcpu: as of `local_device`."""

    threads: int
    mcpu: str | None = None

    def open(self) -> Run:
        """One run of the kernel."""
        target = tvm_target(local_device(self.threads, self.mcpu).target)
        module = multiply_adds(vector_unit(target))
        return _run(tvm.compile(module, target=target)["main"], module)

    @property
    def flops(self) -> float:
        """Floating-point operations of one run."""
        return operations(vector_unit(tvm_target(local_device(self.threads, self.mcpu).target)))


@dataclass(frozen=True)
class Ours:
    """A config of the operator; mcpu: as of `local_device`."""

    operator: str
    config: Config
    mcpu: str | None = None
    seed: int = 0

    def open(self) -> Run:
        """One run of the kernel on seeded inputs."""
        target = local_device(mcpu=self.mcpu).target
        space = TensorIRSpace(operator_task(self.operator, target))
        module = space.apply(self.config).schedule.mod
        with tempfile.TemporaryDirectory() as folder:
            library = Path(folder, "kernel.so")
            compile_kernel(dump(module), 1, target, library, "cc")
            kernel = tvm.runtime.load_module(str(library))["main"]
        return _run(kernel, module, _inputs(self.operator, self.seed))


@dataclass(frozen=True)
class NumPy:
    """A product by NumPy's BLAS."""

    operator: str
    seed: int = 0

    def open(self) -> Run:
        """One product."""
        left, right = _inputs(self.operator, self.seed)
        product = np.empty((len(left), right.shape[1]), np.float32)
        return lambda: np.matmul(left, right, out=product)


@dataclass(frozen=True)
class OnnxRuntime:
    """A one-node model: a product of two inputs, or a convolution of channels-first data by constant weights."""

    operator: str
    threads: int
    seed: int = 0

    def open(self) -> Run:
        """One run with bound inputs and outputs."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.log_severity_level = 3
        arrays = _inputs(self.operator, self.seed)
        model = _product(arrays) if is_product(self.operator) else _convolution(self.operator, arrays)
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        feeds = {"x": arrays[0], "w": arrays[1]}
        if not is_product(self.operator):
            feeds = {"x": np.ascontiguousarray(arrays[0].transpose(0, 3, 1, 2))}
        binding = session.io_binding()
        for name, array in feeds.items():
            binding.bind_cpu_input(name, array)
        [output] = session.get_outputs()
        result = np.empty(output.shape, np.float32)
        binding.bind_output("y", "cpu", 0, np.float32, result.shape, result.ctypes.data)

        def run() -> np.ndarray:
            session.run_with_iobinding(binding)
            return result if result.ndim == 2 else result.transpose(0, 2, 3, 1)

        return run


def median_secs(side: Peak | Ours | NumPy | OnnxRuntime, round_secs: float) -> float:
    """The median latency of one round, in seconds; see `autotune.measurement.timing.timed_runs`."""
    return statistics.median(timed_runs(_opened(side), round_secs))


def result(side: Ours | NumPy | OnnxRuntime) -> np.ndarray:
    """The output of a side."""
    return np.array(_opened(side)())


@cache
def _opened(side: Peak | Ours | NumPy | OnnxRuntime) -> Run:
    return side.open()


def _run(kernel: tvm.runtime.PackedFunc, module: tvm.IRModule, inputs: tuple[np.ndarray, ...] = ()) -> Run:
    """A kernel on these inputs, or on ones, with its output last."""
    shapes = [spec.shape for spec in signature(module)]
    arrays = [*(inputs or [np.ones(shape, np.float32) for shape in shapes[:-1]])]
    tensors = [tvm.runtime.tensor(array) for array in [*arrays, np.zeros(shapes[-1], np.float32)]]
    output = np.from_dlpack(tensors[-1])

    def run() -> np.ndarray:
        kernel(*tensors)
        return output

    return run


def _inputs(operator: str, seed: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    module = load(operator_task(operator, local_device().target).workload.module)
    return tuple(
        rng.standard_normal(spec.shape).astype(np.float32) for spec in signature(module) if not spec.is_output
    )


def is_product(operator: str) -> bool:
    """Whether it is a product of two matrices; otherwise it is a convolution."""
    return operator.startswith("matmul:")


def _product(arrays: tuple[np.ndarray, ...]) -> onnx.ModelProto:
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape)
        for name, array in zip("xw", arrays, strict=True)
    ]
    shape = (arrays[0].shape[0], arrays[1].shape[1])
    return _model(helper.make_node("MatMul", ["x", "w"], ["y"]), inputs, shape, [])


def _convolution(operator: str, arrays: tuple[np.ndarray, ...]) -> onnx.ModelProto:
    n, height, width, channels, filters, _, stride, padding = map(int, operator.partition(":")[2].split(","))
    weights = numpy_helper.from_array(np.ascontiguousarray(arrays[1].transpose(3, 2, 0, 1)), "w")
    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[padding] * 4, strides=[stride] * 2)
    data = helper.make_tensor_value_info("x", TensorProto.FLOAT, (n, channels, height, width))
    return _model(node, [data], (n, filters, height // stride, width // stride), [weights])


def _model(
    node: onnx.NodeProto,
    inputs: list[onnx.ValueInfoProto],
    shape: tuple[int, ...],
    weights: list[onnx.TensorProto],
) -> onnx.ModelProto:
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)
    graph = helper.make_graph([node], "operator", inputs, [output], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
