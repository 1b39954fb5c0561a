"""Single operators by name and sizes, to be tuned without a model (imports TVM)."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

from tvm import te, topi
from tvm.s_tir.meta_schedule.testing import te_workload

from search_spaces.errors import Misuse, last_line
from search_spaces.fork_lock import graph_lock
from search_spaces.target import Target
from search_spaces.task import TuningTask
from search_spaces.tensor_ir.modules import signature, tvm_target, workload


def _conv2d_winograd_nhwc(  # noqa: PLR0913 - the sizes that a user names
    n: int, h: int, w: int, ci: int, co: int, padding: int = 1
) -> tuple[te.Tensor, te.Tensor, te.Tensor]:
    """3×3, stride 1; the weights are transformed within the operator.

    The suite's own takes transformed weights, which this TVM's library of operators refuses to compute with.
    """
    data = te.placeholder((n, h, w, ci), name="data")
    weight = te.placeholder((3, 3, ci, co), name="weight")
    return data, weight, topi.nn.conv2d_winograd_nhwc(data, weight, 1, padding, 1, "float32")


def _conv2d_bias_relu_nhwc(  # noqa: PLR0913 - the sizes that a user names
    n: int, h: int, w: int, ci: int, co: int, kernel_size: int, stride: int = 1, padding: int = 0
) -> tuple[te.Tensor, te.Tensor, te.Tensor, te.Tensor]:
    data, weight, conv = te_workload.conv2d_nhwc(n, h, w, ci, co, kernel_size, stride, padding)
    bias = te.placeholder((co,), name="bias")
    return data, weight, bias, topi.nn.relu(topi.add(conv, bias))


def _layer_norm(m: int, n: int) -> tuple[te.Tensor, te.Tensor, te.Tensor, te.Tensor]:
    """Over the last of two axes, with a scale and a shift."""
    data = te.placeholder((m, n), name="data")
    scale, shift = te.placeholder((n,), name="scale"), te.placeholder((n,), name="shift")
    return data, scale, shift, topi.nn.layer_norm(data, scale, shift, [1], 1e-5)


#: TVM's operator suite under the operators' usual names; the last letters are the data layout.
OPERATORS: dict[str, Callable[..., Any]] = {
    "batch_matmul": te_workload.batch_matmul_nkkm,
    "conv1d_nlc": te_workload.conv1d_nlc,
    "conv2d_bias_relu_nhwc": _conv2d_bias_relu_nhwc,
    "conv2d_bn_relu_nhwc": te_workload.conv2d_nhwc_bn_relu,
    "conv2d_capsule_nhwijc": te_workload.conv2d_capsule_nhwijc,
    "conv2d_nchw": te_workload.conv2d_nchw,
    "conv2d_nhwc": te_workload.conv2d_nhwc,
    "conv2d_transpose_nhwc": te_workload.conv2d_transpose_nhwc,
    "conv2d_winograd_nhwc": _conv2d_winograd_nhwc,
    "conv3d_ndhwc": te_workload.conv3d_ndhwc,
    "depthwise_conv2d_nhwc": te_workload.depthwise_conv2d_nhwc,
    "dilated_conv2d_nhwc": te_workload.conv2d_nhwc,
    "group_conv2d_nhwc": te_workload.conv2d_nhwc,
    "layer_norm": _layer_norm,
    "matmul": te_workload.matmul,
    "matmul_relu": te_workload.matmul_relu,
    "max_pool2d_nchw": te_workload.max_pool2d_nchw,
    "norm": te_workload.norm_bmn,
    "softmax": te_workload.softmax_mn,
    "transpose_batch_matmul": te_workload.transpose_batch_matmul,
}

# Arguments that may be zero; all others are sizes, counts or steps.
_MAY_BE_ZERO = ("padding",)


@graph_lock
def operator_task(text: str, target: Target) -> TuningTask:
    """The task of one operator in float32, written ``name:size,size,…``.

    >>> operator_task("matmul:512,512,512", Target("llvm")).name
    'matmul:512,512,512'

    Raises Misuse for an unknown name (listing all), and for arguments that do not fit the signature.
    """
    name, _, arguments = text.partition(":")
    operator = OPERATORS.get(name)
    if operator is None:
        raise Misuse(
            f"expected the name of an operator, one of {', '.join(OPERATORS)}; found {name!r}", code="AT109"
        )
    sizes = _sizes(text, arguments, operator)
    try:
        with tvm_target(target):
            func = te.create_prim_func(operator(*sizes))
        found = workload(func, text)
        if any(size < 1 for spec in signature(func) for size in spec.shape):
            raise ValueError("its output would be empty")
        return TuningTask(found, target)
    except (RuntimeError, ValueError, TypeError, AssertionError, ZeroDivisionError) as error:
        raise Misuse(
            f"expected sizes that make a {name} ({_signature(operator)}); found {text!r}: {last_line(error)}",
            code="AT109",
        ) from error


def _sizes(text: str, arguments: str, operator: Callable[..., Any]) -> list[int]:
    parameters = _parameters(operator)
    needed = sum(parameter.default is parameter.empty for parameter in parameters)
    parts = arguments.split(",") if arguments else []
    if not needed <= len(parts) <= len(parameters) or not all(
        re.fullmatch(r"\s*\d{1,9}\s*", part) for part in parts
    ):
        name = text.partition(":")[0]
        raise Misuse(
            f"expected {name}:{_signature(operator)} with whole numbers of at most 9 digits; found {text!r}",
            code="AT109",
        )
    sizes = [int(part) for part in parts]
    for parameter, size in zip(parameters, sizes, strict=False):
        if size == 0 and parameter.name not in _MAY_BE_ZERO:
            raise Misuse(f"expected a positive {parameter.name}; found 0 in {text!r}", code="AT109")
    return sizes


def _parameters(operator: Callable[..., Any]) -> list[inspect.Parameter]:
    return [
        each for each in inspect.signature(operator).parameters.values() if not each.name.endswith("dtype")
    ]


def _signature(operator: Callable[..., Any]) -> str:
    """``n,m,k[,stride=1]``: what has to be given, then what may be."""
    texts = [(each.name, each.default) for each in _parameters(operator)]
    required = ",".join(name for name, default in texts if default is inspect.Parameter.empty)
    optional = "".join(
        f"[,{name}={default}]" for name, default in texts if default is not inspect.Parameter.empty
    )
    return required + optional
