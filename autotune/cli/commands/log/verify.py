"""`autotune log verify`: measures the best configs of a log again."""

from __future__ import annotations

from typing import Annotated

import typer

from autotune.cli.arguments import MOST_CONFIGS, DeviceOption, DevicesOption, JsonOption
from autotune.cli.console import warn
from autotune.cli.inputs import reach_device
from autotune.cli.log_arguments import LogArgument, read
from autotune.cli.rows import CsvOption, chosen_format, print_rows
from autotune.tuning.verification import Verification, verified
from search_spaces import AutotuneError
from tuning_logs import Failure
from tuning_logs.address import without_password

# The columns from the most to the least important.
_ORDER = ("task", "verdict", "drift", "measured_secs", "recorded_secs", "key", "config")


def verify(
    log: LogArgument,
    top: Annotated[
        int,
        typer.Option("--top", min=1, max=MOST_CONFIGS, help="How many of the best configs of each task."),
    ] = 1,
    device: DeviceOption = "local",
    devices: DevicesOption = None,
    json: JsonOption = False,
    csv: CsvOption = False,
) -> None:
    """Measure the best configs of this device again and report how far the times have drifted.

    Exits with 1 where one does not build, does not run, or gives a wrong result.
    """
    format = chosen_format(json=json, csv=csv)
    found = list(verified(read(log), reach_device(device, devices), top, warn))
    print_rows(format, f"{without_password(log)} on {device}", [_row(each) for each in found], _ORDER)
    failed = [each for each in found if isinstance(each.measured, Failure)]
    if failed:
        names = ", ".join(each.record.task.name for each in failed)
        raise AutotuneError(
            f"expected all {len(found)} records to run as recorded; {len(failed)} failed: {names}",
            code="AT213",
        )


def _row(found: Verification) -> dict[str, object]:
    failure = found.measured if isinstance(found.measured, Failure) else None
    return {
        "task": found.record.task.name,
        "key": found.record.task.key,
        "config": found.record.config.key,
        "recorded_secs": found.record.secs,
        "measured_secs": None if failure else found.secs,
        "drift": found.drift,
        "verdict": f"{failure.kind.value}: {failure.message[:200]}" if failure else found.verdict.value,
    }
