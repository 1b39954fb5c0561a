"""A workload's key tells operators apart, and nothing but operators."""

import base64
import json
import subprocess
import sys
import zlib

import pytest
import tvm
from tvm import te
from tvm.script import ir as I  # noqa: N812 - TVMScript's own names
from tvm.script import tirx as T  # noqa: N812

from search_spaces import AutotuneError, Misuse, Target
from search_spaces.tensor_ir import modules


def matmul(
    n: int, m: int, k: int, dtype: str = "float32", names: str = "ABC", block: str = "C"
) -> tvm.tirx.PrimFunc:
    left = te.placeholder((n, k), dtype, names[0])
    right = te.placeholder((k, m), dtype, names[1])
    axis = te.reduce_axis((0, k), "k")
    out = te.compute((n, m), lambda i, j: te.sum(left[i, axis] * right[axis, j], axis), name=block)
    return te.create_prim_func([left, right, out])


def key(func: tvm.tirx.PrimFunc) -> str:
    return modules.workload(func, "any").key


def test_names_of_variables_buffers_blocks_and_functions_do_not_matter() -> None:
    plain = matmul(16, 8, 4)
    renamed = matmul(16, 8, 4, names="XYZ", block="out").with_attr("global_symbol", "another_name")
    assert key(plain) == key(renamed)


def test_how_a_function_was_made_does_not_matter() -> None:
    assert key(matmul(16, 8, 4)) == key(matmul(16, 8, 4).with_attr("op_pattern", 4))


@pytest.mark.parametrize(
    "other",
    [matmul(16, 8, 5), matmul(8, 16, 4), matmul(16, 8, 4, "float64"), matmul(16, 8, 4, "int32")],
    ids=["reduction", "swapped", "float64", "int32"],
)
def test_shapes_and_dtypes_matter(other: tvm.tirx.PrimFunc) -> None:
    assert key(matmul(16, 8, 4)) != key(other)


def test_a_weight_whose_layout_is_free_matters() -> None:
    assert key(matmul(16, 8, 4)) != key(matmul(16, 8, 4).with_attr("layout_free_buffers", [1]))


def test_arithmetic_matters() -> None:
    def elementwise(operation: str) -> tvm.tirx.PrimFunc:
        data = te.placeholder((16,), "float32", "A")
        body = {
            "add": lambda i: data[i] + data[i],
            "mul": lambda i: data[i] * data[i],
            "exp": lambda i: te.exp(data[i]),
        }
        return te.create_prim_func([data, te.compute((16,), body[operation], name="B")])

    assert len({key(elementwise(operation)) for operation in ("add", "mul", "exp")}) == 3


def test_the_width_of_indices_does_not_matter() -> None:
    @I.ir_module
    class Wide:
        @T.prim_func(s_tir=True)
        def main(a: T.Buffer((T.int64(16),), "float32"), b: T.Buffer((T.int64(16),), "float32")):  # noqa: N805
            for i in range(T.int64(16)):
                with T.sblock("B"):
                    v = T.axis.spatial(T.int64(16), i)
                    b[v] = a[v] * a[v]

    data = te.placeholder((16,), "float32", "A")
    narrow = te.create_prim_func([data, te.compute((16,), lambda i: data[i] * data[i], name="B")])
    assert key(Wide["main"]) == key(narrow)


def test_a_module_survives_its_text_with_the_same_key() -> None:
    workload = modules.workload(matmul(16, 8, 4), "matmul")
    again = modules.load(workload.module)
    tvm.ir.assert_structural_equal(again, modules.normalize(matmul(16, 8, 4)))
    assert modules.workload(again, "matmul") == workload
    assert workload.flops == 2 * 16 * 8 * 4


@pytest.mark.parametrize("indent", [1, 8, 200])
def test_a_module_that_was_read_from_a_script_survives_its_text(indent: int) -> None:
    # Its nodes carry lines and columns, numbers that are no references to other nodes.
    script = modules.normalize(matmul(16, 8, 4))["main"].script().replace("    ", " " * indent)
    workload = modules.workload(tvm.script.from_source("\n" * 300 + script), "matmul")
    assert modules.workload(modules.load(workload.module), "matmul") == workload


def test_the_key_is_the_same_in_another_process() -> None:
    workload = modules.workload(matmul(16, 8, 4), "matmul")
    program = (
        "import sys; from search_spaces.tensor_ir import modules;"
        "print(modules.workload(modules.load(sys.stdin.read()), 'x').key)"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], input=workload.module, capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == workload.key


@pytest.mark.parametrize("text", ["", "zlib64:!!!", "zlib64:AAAA", "import os"])
def test_a_damaged_text_is_an_error_not_a_crash(text: str) -> None:
    with pytest.raises(AutotuneError, match="found damage"):
        modules.load(text)


def test_a_text_cut_short_is_an_error() -> None:
    text = modules.workload(matmul(16, 8, 4), "matmul").module
    with pytest.raises(AutotuneError, match="found damage"):
        modules.load(text[: len(text) // 2 // 4 * 4])


@pytest.mark.parametrize("forgery", ["missing", "circle", "hole", "no nodes"])
def test_a_graph_that_tvm_would_crash_on_is_an_error(forgery: str) -> None:
    text = modules.workload(matmul(16, 8, 4), "matmul").module
    document = json.loads(zlib.decompress(base64.b64decode(text.partition(":")[2])))
    nodes = document["nodes"]
    by_type = {node["type"]: node for node in nodes}
    if forgery == "missing":
        by_type["ir.Range"]["type"] = "None"
    elif forgery == "circle":
        by_type["ffi.Array"]["data"].append(len(nodes) - 1)
    elif forgery == "hole":
        by_type["ffi.Array"]["data"].append(0)
    else:
        document["nodes"] = 3
    forged = base64.b64encode(zlib.compress(json.dumps(document).encode())).decode()
    with pytest.raises(AutotuneError, match="found damage"):
        modules.load(f"zlib64:{forged}")


def test_the_signature_tells_inputs_weights_and_outputs() -> None:
    func = matmul(16, 8, 4).with_attr("layout_free_buffers", [1])
    left, right, out = modules.signature(modules.normalize(func))
    assert (left.shape, left.is_output, left.is_layout_free) == ((16, 4), False, False)
    assert (right.shape, right.is_output, right.is_layout_free) == ((4, 8), False, True)
    assert (out.shape, out.is_output, out.dtype) == ((16, 8), True, "float32")


def test_a_dynamic_shape_is_misuse() -> None:
    size = te.var("n")
    data = te.placeholder((size,), "float32", "A")
    func = te.create_prim_func([data, te.compute((size,), lambda i: data[i] + 1.0, name="B")])
    with pytest.raises(Misuse, match="static shapes"):
        modules.workload(func, "dynamic")


def test_targets_become_tvm_targets_and_unknown_ones_are_misuse() -> None:
    target = modules.tvm_target(Target.parse("llvm -mcpu=haswell -num-cores=3"))
    assert (target.kind.name, int(target.attrs["num-cores"])) == ("llvm", 3)
    assert modules.tvm_target(Target("nvidia/nvidia-a100")).kind.name == "cuda"
    for text in ("llvm -nonsense=1", "abacus -beads=10"):
        with pytest.raises(Misuse, match="a target that TVM knows"):
            modules.tvm_target(Target.parse(text))
