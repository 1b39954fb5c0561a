"""`autotune log merge` and `compact`: one log from many, and a small one from a large one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autotune.cli.arguments import MOST_CONFIGS, JsonOption
from autotune.cli.console import print_json, tell, warn
from autotune.cli.log_arguments import OutputOption
from search_spaces.printable_text import counted
from tuning_logs.file.compacting import compact as compact_log
from tuning_logs.file.merging import merge as merge_logs


def merge(
    logs: Annotated[list[Path], typer.Argument(metavar="LOG...", help="Log files, in the order wanted.")],
    output: OutputOption,
    json: JsonOption = False,
) -> None:
    """Put logs together: identical records once, other measurements of the same config as repeats."""
    merged = merge_logs(logs, output)
    for path, damage in merged.damage.items():
        for each in damage:
            warn(f"{path}: {each}; it was skipped")
    if json:
        damaged = {str(path): len(damage) for path, damage in merged.damage.items()}
        print_json(
            {
                "output": str(output),
                "records": merged.records,
                "duplicates": merged.duplicates,
                "damaged_lines": damaged,
            }
        )
        return
    tell(f"{output}: {counted(merged.records, 'record')}; {merged.duplicates} were there more than once")


def compact(
    log: Annotated[Path, typer.Argument(metavar="LOG", help="A log file; it is left as it is.")],
    output: OutputOption,
    top: Annotated[
        int,
        typer.Option(
            "--top", min=1, max=MOST_CONFIGS, help="How many of the best configs of each task stay."
        ),
    ] = 10,
    sample: Annotated[
        int,
        typer.Option(
            "--sample",
            min=0,
            max=MOST_CONFIGS,
            help="How many more of each task stay for training, spread over speeds.",
        ),
    ] = 100,
    json: JsonOption = False,
) -> None:
    """Keep the best configs of every task and device, and a sample of the others to train cost models on."""
    compacted = compact_log(log, output, top, sample)
    if json:
        print_json({"output": str(output), "kept": compacted.kept, "records": compacted.records})
        return
    tell(f"{output}: kept {compacted.kept} of {counted(compacted.records, 'record')}")
