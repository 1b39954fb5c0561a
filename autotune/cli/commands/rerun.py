"""`autotune rerun`: measures one record of a log again."""

from __future__ import annotations

from typing import Annotated

import typer

from autotune.cli.arguments import DeviceOption, DevicesOption, JsonOption
from autotune.cli.console import print_json, tell, warn
from autotune.cli.inputs import reach_device
from autotune.cli.log_arguments import LogArgument, read
from autotune.jobs.durations import show_interval
from autotune.tuning.verification import Verification, measured_again
from search_spaces import AutotuneError
from tuning_logs import Failure, Measurement, Timing
from tuning_logs.selection.record_lookup import find_record
from tuning_logs.selection.significance import median_interval


def rerun(
    log: LogArgument,
    record: Annotated[
        str,
        typer.Argument(
            metavar="TASK[/CONFIG]",
            help="The task, by its name or the beginning of its key, for its best config; with the beginning of a "
            "config's key for that one. A config alone will do, too.",
        ),
    ],
    device: DeviceOption = "local",
    devices: DevicesOption = None,
    json: JsonOption = False,
) -> None:
    """Measure one record of a log again, check its outputs, and compare the latency with the recorded one.

    The log is not changed. Exits with 1 where the config does not build, does not run, or gives a wrong result.
    """
    store, place = read(log), reach_device(device, devices)
    chosen = find_record(store, record, place.fingerprint, [str(place.target)])
    [found] = measured_again({chosen.task: [chosen]}, place, warn)
    if json:
        print_json(_document(found))
    else:
        tell(f"{chosen.task.name}, config {chosen.config.key}")
        tell(f"recorded {_latency(chosen.measurement)}")
        tell(f"now      {_latency(found.measured)}")
        if found.drift is not None:
            tell(f"{found.verdict.value}: {found.drift:.3f} times the recorded latency")
    if isinstance(found.measured, Failure):
        raise AutotuneError(
            f"expected config {chosen.config.key} of {chosen.task.name} to run as recorded, found "
            f"{found.measured.kind.value}: {found.measured.message[:300]}",
            code="AT213",
        )


def _latency(measured: Measurement) -> str:
    if not isinstance(measured, Timing):
        return measured.kind.value
    low, high = median_interval(measured.usual_secs)
    return f"{show_interval(measured.secs, low, high)}, {len(measured.usual_secs)} repeats"


def _document(found: Verification) -> dict[str, object]:
    failure = found.measured if isinstance(found.measured, Failure) else None
    return {
        "task": found.record.task.name,
        "key": found.record.task.key,
        "config": found.record.config.key,
        "answers": dict(found.record.config.answers),
        "recorded_secs": found.record.secs,
        "measured_secs": None if failure else found.secs,
        "drift": found.drift,
        "verdict": found.verdict.value,
        "failure": f"{failure.kind.value}: {failure.message}" if failure else None,
    }
