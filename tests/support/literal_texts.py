"""A job whose every name and message looks like markup: HTML's, Rich's, or matplotlib's mathematics."""

from autotune.jobs.device_choice import compare_devices
from autotune.jobs.status import (
    BudgetStatus,
    DeviceStatus,
    JobState,
    JobStatus,
    Latency,
    ModelStatus,
    RunStatus,
    TaskStatus,
)

LITERAL = "<b>x</b> & $y$ [red]"


def literal_status() -> JobStatus:
    """A finished job with one model and one task on one device."""
    before, after = Latency(0.02, 0.019, 0.021, (0.02,)), Latency(0.01, 0.009, 0.011, (0.01,))
    model = ModelStatus(
        name=f"model {LITERAL}",
        device="toy",
        path="model.onnx",
        estimated_start_secs=0.02,
        estimated_secs=0.01,
        before=before,
        after=after,
        outputs_equal=True,
        needed_secs=0.1,
        calls={"key": 2},
    )
    device = DeviceStatus(
        name=f"device {LITERAL}",
        connection="toy",
        target="toy",
        fingerprint="print",
        threads=1,
        facts={"cpu_model": f"fact {LITERAL}"},
        trials=3,
        warning=f"warning {LITERAL}",
        quarantine=f"trouble {LITERAL}",
    )
    task = TaskStatus(
        name=f"task {LITERAL}",
        key="key",
        device="toy",
        calls=2,
        flops=1e6,
        trials=3,
        default_secs=0.01,
        best_secs=0.005,
        state="winner confirmed",
    )
    return JobStatus(
        name=f"job {LITERAL}",
        run_prefix="job-",
        state=JobState.FINISHED,
        activity=f"failed: {LITERAL}",
        log="log.jsonl",
        updated="2026-01-01T00:00:00+00:00",
        secs=60.0,
        eta_secs=0.0,
        budget=BudgetStatus(trials=3, secs=None, gain_per_hour=None),
        trials=3,
        expected_gain_per_hour=None,
        runs=(RunStatus(started="2026-01-01T00:00:00+00:00", secs=60.0, pid=1, state=JobState.FINISHED),),
        models=(model,),
        devices=(device,),
        offers=tuple(compare_devices([model], [device])),
        tasks=(task,),
        failures={"run_error": 1},
        warnings=(f"error {LITERAL}",),
    )
