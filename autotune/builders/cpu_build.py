"""Compilation of a scheduled TIR function to a shared library, as in a deployed model (imports TVM).

Runs in a worker process. A schedule that rewrites the layout of constant weights is split into the function
that rewrites them, once, and the kernel that reads the result: only the latter counts as the latency.
"""

from __future__ import annotations

from pathlib import Path

import tvm
from tvm import relax

from autotune.builders.artifact import Compiled, PrepackedWeight
from autotune.builders.linker import link
from search_spaces.target import Target
from search_spaces.tensor_ir.cpu_pipeline import CPU_PIPELINE, with_llvm_options
from search_spaces.tensor_ir.kernel_passes import kernel_passes
from search_spaces.tensor_ir.modules import load, tvm_target

_Split = tuple[dict[str, tvm.tirx.PrimFunc], tuple[PrepackedWeight, ...]]


def compile_kernel(module: str, outputs: int, target: Target, library: Path, linker: str) -> Compiled:
    """Compiles a module's text into the library.

    outputs: the number of trailing parameters that are written; linker: a C compiler driver that knows -shared.
    Raises TVM's own exceptions for a candidate that does not compile.
    """
    functions, prepacked = _split(load(module)["main"], outputs)
    kernels = kernel_passes(tvm.IRModule(functions))
    with with_llvm_options(tvm_target(target)) as compiled_for:
        built = tvm.tirx.build(kernels, target=compiled_for, pipeline=CPU_PIPELINE)
    code = library.with_suffix(".o")
    built.write_to_file(str(code))
    try:
        link(linker, code, library)
    finally:
        code.unlink(missing_ok=True)
    return Compiled(prepacked)


def _split(func: tvm.tirx.PrimFunc, outputs: int) -> _Split:
    whole = {"main": func.with_attr("global_symbol", "main")}
    # TVM's split fails at programs without loops around a single block, which have none.
    if not func.attrs.get("layout_free_buffers"):
        return whole, ()
    builder = relax.BlockBuilder()
    kernel = builder.add_func(func.without_attr("global_symbol"), "main")
    types = [relax.TensorType([int(n) for n in buffer.shape], str(buffer.dtype)) for buffer in func.params]
    inputs = [relax.Var(f"p{index}", kind) for index, kind in enumerate(types[:-outputs])]
    with builder.function("forward", inputs):
        with builder.dataflow():
            result = builder.emit_output(relax.call_tir(kernel, inputs, out_ty=types[-outputs:]))
        builder.emit_func_output(result)
    split = relax.transform.SplitLayoutRewritePreproc()(builder.get())
    if "main_prepacked" not in [var.name_hint for var in split.get_global_vars()]:
        return whole, ()
    rewritten = _prepack_arguments(split["forward"], inputs)
    prepack, kernel = split["main_weight_prepack"], split["main_prepacked"]
    layouts = prepack.params[len(rewritten) :]
    prepacked = tuple(
        PrepackedWeight(parameter, tuple(int(extent) for extent in layout.shape), str(layout.dtype))
        for parameter, layout in zip(rewritten, layouts, strict=True)
    )
    functions = {"main_weight_prepack": prepack, "main_prepacked": kernel}
    return {name: part.with_attr("global_symbol", name) for name, part in functions.items()}, prepacked


def _prepack_arguments(forward: relax.Function, inputs: list[relax.Var]) -> list[int]:
    """Positions in the kernel's signature of the parameters that the prepacking call takes."""
    positions = {var.name: index for index, var in enumerate(inputs)}
    for block in forward.body.blocks:
        for binding in block.bindings:
            callee, arguments = binding.value.args[:2]
            if callee.name_hint == "main_weight_prepack":
                return [positions[argument.name] for argument in arguments.fields]
    raise ValueError("the weight layout rewrite could not be split off the kernel")
