"""The service with many jobs: how long lists and pages take, and how large they are.

python benchmarks/service.py [--jobs 10000] [--requests 200]

A store is filled with jobs of 100 trials each, of which a tenth waits in the queue, and asked through the whole
application in this process. Exits with 1 where the 95th percentile is above 200 ms, or a page above 300 kB.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import msgspec
from starlette.testclient import TestClient

from autotune.service.application import PREFIX, make_application
from autotune.service.documents import JobOrder, ModelOrder, QueueState
from autotune.service.service import Service, open_service
from autotune.service.service_folder import ServiceFolder
from autotune.service.site.visitor import COOKIE
from autotune.service.tables import JOB_MODELS, JOBS
from autotune.service.token_documents import Scope
from autotune.service.uploads import UploadRequest

_TRIALS = 100
_MOST_SECS = 0.2
_MOST_BYTES = 300_000


def shelve(service: Service) -> str:
    """Adds a model; returns its id."""
    upload = service.uploads.begin(UploadRequest("squeezenet.onnx", 1))
    file = service.uploads.open(upload.id, 0)
    file.write(b"m")
    file.close()
    service.uploads.complete(upload.id)
    return upload.id


def fill(service: Service, jobs: int) -> tuple[str, str]:
    """Adds jobs with two models; returns the ids of the one that most have, and of the one that the first has alone."""
    model, rare = shelve(service), shelve(service)
    order = msgspec.json.encode(JobOrder((ModelOrder(model),), time="30m")).decode()
    rows = [
        {
            "id": f"{number:012x}",
            "name": "squeezenet.onnx",
            "state": QueueState.QUEUED if number % 10 == 0 else QueueState.FINISHED,
            "order_json": order,
            "created": 1.7e9 + number,
            "queued": 1.7e9 + number,
            "expected_secs": 1800.0,
            "fence": 0,
            "deaths": 0,
            "is_cancelled": False,
            "run_secs": 0.0,
            "trials": _TRIALS,
            "activity": "finished",
        }
        for number in range(jobs)
    ]
    links = [{"job": row["id"], "model": model if number else rare} for number, row in enumerate(rows)]
    service.store.write(lambda connection: connection.execute(JOBS.insert(), rows))
    service.store.write(lambda connection: connection.execute(JOB_MODELS.insert(), links))
    return model, rare


def main() -> int:
    """Fills a store, asks for pages, and prints the 95th percentiles and the largest sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--requests", type=int, default=200)
    options = parser.parse_args()
    is_bad = False
    with tempfile.TemporaryDirectory() as folder:
        service = open_service(ServiceFolder(Path(folder) / "service"))
        model, rare = fill(service, options.jobs)
        token = service.tokens.create("benchmark", [Scope.READ])
        client = TestClient(
            make_application(service),
            "http://127.0.0.1:8000",
            headers={"Authorization": f"Bearer {token.secret}"},
            cookies={COOKIE: service.sessions.open(token.token.id)},
        )
        middle = f"{options.jobs // 2:012x}"
        for path in (
            f"{PREFIX}/jobs",
            f"{PREFIX}/jobs?before={options.jobs // 2}",
            f"{PREFIX}/jobs?state=queued",
            f"{PREFIX}/jobs?model={model}",
            f"{PREFIX}/jobs?model={rare}",
            f"{PREFIX}/jobs/{middle}/results",
            "/jobs",
            "/models",
            f"/models/{model}",
            f"/jobs/{middle}",
        ):
            secs, size = [], 0
            for _ in range(options.requests):
                began = time.perf_counter()
                response = client.get(path)
                secs.append(time.perf_counter() - began)
                assert response.status_code == 200, response.text
                size = max(size, len(response.content))
            slow = sorted(secs)[int(0.95 * len(secs))]
            is_bad |= slow > _MOST_SECS or size > _MOST_BYTES
            median = sorted(secs)[len(secs) // 2]
            print(f"{path:40} p95 {1e3 * slow:6.1f} ms, median {1e3 * median:6.1f} ms, {size / 1e3:.1f} kB")
    return int(is_bad)


if __name__ == "__main__":
    sys.exit(main())
