"""The first answer about a model: from the start of a service on an empty folder, and from the end of the upload.

python benchmarks/first_answer.py MODEL.onnx [--devices devices.toml] [--turns 3]

Each turn starts `autotune serve` on a folder of its own, uploads the model at once, and takes the times until the
server listens, until the upload is complete, until operators are known, and until every device has its forecast.
Exits with 1 where the last answer came later than 10 s after the upload.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from model_job import COMMAND

from autotune.service.client import Client
from autotune.service.documents import ModelState

_MOST_SECS = 10.0
_PAUSE_SECS = 0.05


def turn(model: Path, devices: Path | None) -> dict[str, float]:
    """Seconds since the start of the server, by event."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "service"
        if devices is not None:
            folder.mkdir()
            shutil.copy(devices, folder / "devices.toml")
        command = [*COMMAND, "serve", "--folder", str(folder), "--port", "0"]
        began = time.monotonic()
        server = subprocess.Popen([*command, "--allow-anonymous"], stderr=subprocess.PIPE, text=True)
        try:
            return {event: at - began for event, at in _events(server, model)}
        finally:
            server.send_signal(signal.SIGINT)
            server.wait()


def _events(server: subprocess.Popen[str], model: Path) -> list[tuple[str, float]]:
    assert server.stderr is not None
    url = next(line.split()[-1] for line in server.stderr if "listening on" in line)
    events = [("listens", time.monotonic())]
    with Client(url) as client:
        uploaded = client.upload(model)
        events.append(("uploaded", time.monotonic()))
        while True:
            found = client.model(uploaded.id)
            if found.examination.operators and events[-1][0] == "uploaded":
                events.append(("operators", time.monotonic()))
            if found.state is not ModelState.EXAMINING:
                events.append(("complete", time.monotonic()))
                for one in found.examination.forecasts:
                    print(f"  {one.device}: {one.refusal.message if one.refusal else one.secs}")
                return events
            time.sleep(_PAUSE_SECS)


def main() -> int:
    """Takes the times of some turns, and prints their medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--devices", type=Path)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    turns = [turn(options.model, options.devices) for _ in range(options.turns)]
    for event in turns[0]:
        secs = [one[event] for one in turns]
        print(
            f"{event:10} {statistics.median(secs):6.2f} s after the start ({min(secs):.2f} to {max(secs):.2f})"
        )
    waits = [one["complete"] - one["uploaded"] for one in turns]
    print(f"answer {statistics.median(waits):.2f} s after the upload ({min(waits):.2f} to {max(waits):.2f})")
    return int(max(waits) > _MOST_SECS)


if __name__ == "__main__":
    sys.exit(main())
