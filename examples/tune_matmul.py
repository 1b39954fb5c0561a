"""Tune one matrix product on this machine and print its best schedule's latency.

python examples/tune_matmul.py --size 256 --trials 64
"""

import argparse

import autotune


def main() -> None:
    """Tunes the operator of the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=128, help="rows, columns and depth of the product")
    parser.add_argument("--trials", type=int, default=16, help="candidates to measure")
    parser.add_argument("--device", default="local", help="for example local?threads=1")
    options = parser.parse_args()

    device = autotune.parse_device(options.device)
    sizes = ",".join([str(options.size)] * 3)
    task = autotune.operator_task(f"matmul:{sizes}", device.target)
    log = autotune.TuningLog.in_memory()  # TuningLog.open("matmul.jsonl") keeps the records
    job = autotune.TuningJob((task,), device, autotune.Budget(trials=options.trials))
    for records in autotune.Tuner(job, log).rounds():
        print(
            f"{len(log):4} records, best of the round {min(record.secs for record in records) * 1e6:.1f} µs"
        )

    best = log.best(task, device.fingerprint)
    assert best is not None
    gflops = task.workload.flops / best.secs / 1e9
    print(f"{task.name}: {best.secs * 1e6:.1f} µs, {gflops:.1f} GFLOP/s, {best.config.key}")


if __name__ == "__main__":
    main()
