"""`autotune tasks`: the tuning tasks of a model."""

from __future__ import annotations

from typing import Annotated

import typer

from autotune.cli.arguments import DimOption, JsonOption, OperatorOption, OptionalModelArgument, ShapeOption
from autotune.cli.console import print_json
from autotune.cli.inputs import fixed_sizes, read_tasks
from autotune.cli.tables import print_table
from autotune.devices.device_url import parse_device
from autotune.jobs.table import Column, Table
from search_spaces import Target, TuningTask
from search_spaces.printable_text import counted
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace

TargetOption = Annotated[
    str,
    typer.Option(
        "--target", help="What to compile for: local, or a target such as 'llvm -mcpu=znver4 -num-cores=4'."
    ),
]


def tasks(
    model: OptionalModelArgument = None,
    op: OperatorOption = None,
    target: TargetOption = "local",
    shape: ShapeOption = None,
    dim: DimOption = None,
    json: JsonOption = False,
) -> None:
    """List the distinct operators of a model, how often each is called, and how large its search space is."""
    compile_for = parse_device(target).target if target.startswith("local") else Target.parse(target)
    found = read_tasks(model, op, fixed_sizes(shape, dim), compile_for)
    sizes = {task: TensorIRSpace(task).size for task in found}
    if json:
        print_json({"target": str(compile_for), "tasks": [_row(task, sizes[task]) for task in found]})
        return
    rows = tuple(
        (task.name, str(task.weight), f"{task.workload.flops / 1e6:.2f}", f"{sizes[task]:.1e}", task.key[:12])
        for task in found
    )
    columns = (
        Column("task", 9, 20),
        Column("calls", 7),
        Column("MFLOP", 6),
        Column("configs", 5),
        Column("key", 4),
    )
    print_table(Table(f"{counted(len(found), 'task')} for {compile_for}", columns, rows))


def _row(task: TuningTask, size: int) -> dict[str, object]:
    return {
        "name": task.name,
        "key": task.key,
        "weight": task.weight,
        "flops": task.workload.flops,
        "configs": size,
    }
