"""The service as a process: a real model from upload to library, and kills at any moment."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import httpx
import msgspec
import psutil
import pytest
from command_line import run_apart
from repository import SUPPORT
from service_process import ServerProcess, running_server

from autotune.service.client import Client
from autotune.service.documents import JobOrder, ModelOrder, ModelState, Needs, QueueState
from search_spaces import AutotuneError
from tuning_logs import TuningLog

TOY_WORKER = f"{sys.executable} {SUPPORT / 'toy_worker.py'}"
QUICK_WORKER = f"{sys.executable} {SUPPORT / 'quick_worker.py'}"
TRIALS = 200


@pytest.mark.alone
@pytest.mark.long
def test_a_model_from_upload_to_library_by_client_and_commands(tmp_path: Path, small_network: Path) -> None:
    with (
        running_server(tmp_path / "service", QUICK_WORKER) as server,
        Client(server.url, server.token) as client,
    ):
        model = client.examined(client.upload(small_network).id)
        assert model.state is ModelState.READY, model
        assert {one.name for one in model.examination.operators} >= {"Conv", "Relu", "Gemm"}
        [forecast] = model.examination.forecasts
        assert forecast.refusal or forecast.low_secs <= forecast.secs <= forecast.high_secs  # type: ignore[operator]
        needs = Needs(latency_ms=1e-6, dollars_per_million=1e6)
        job = client.submit(JobOrder((ModelOrder(model.id, needs=needs),), trials=16))
        found = client.wait(job.id)
        assert found.job.state is QueueState.FINISHED, found
        [verdict] = found.verdicts
        assert verdict.secs and verdict.outputs_equal is not False
        [miss] = verdict.misses
        assert miss.need == "latency_ms" and miss.found and miss.found > miss.limit
        env = {"AUTOTUNE_URL": server.url, "AUTOTUNE_TOKEN": server.token}
        shown = run_apart("remote", "results", job.id, "--json", env=env)
        assert msgspec.json.decode(shown.stdout) == msgspec.json.decode(
            msgspec.json.encode(client.results(job.id))
        )
        raw = httpx.get(
            f"{server.url}/api/v1/jobs/{job.id}/results", headers={"Authorization": f"Bearer {server.token}"}
        )
        assert raw.json() == msgspec.json.decode(shown.stdout)
        library = next(name for name in found.downloads if name.endswith(".so"))
        assert client.download(job.id, library, tmp_path / library).stat().st_size > 1000
        assert client.download(job.id, "report.html", tmp_path / "r.html").read_bytes().startswith(b"<!")
        [entry] = client.history(model.id)
        assert (entry.job, entry.is_regression) == (job.id, False)
        assert client.again(job.id, trials=4).state is QueueState.QUEUED
        assert client.wait(job.id).job.trials >= 20


def test_a_broken_model_is_refused_before_it_is_queued(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"\x00" * 100)
    with running_server(tmp_path / "service") as server, Client(server.url, server.token) as client:
        model = client.examined(client.upload(tmp_path / "broken.onnx").id)
        assert model.state is ModelState.REFUSED
        assert model.examination.refusal is not None
        with pytest.raises(AutotuneError) as caught:
            client.submit(JobOrder((ModelOrder(model.id),), trials=1))
        assert caught.value.code == model.examination.refusal.code


@pytest.mark.long
@pytest.mark.parametrize("kills", [6, 100])
def test_killed_at_any_moment_nothing_is_lost_and_nothing_done_twice(
    tmp_path: Path, small_network: Path, kills: int
) -> None:
    rng = random.Random(0)
    server = ServerProcess(tmp_path / "service", worker=TOY_WORKER)
    token, port = server.token, server.port
    with Client(server.url, token) as client:
        model = client.examined(client.upload(small_network).id)
        jobs = []
        for _ in range(kills):
            jobs.append(client.submit(JobOrder((ModelOrder(model.id),), trials=TRIALS)).id)
            time.sleep(rng.uniform(0.0, 1.5))
            workers = psutil.Process(server.process.pid).children()
            victim = rng.choice([server.process.pid, *(one.pid for one in workers)])
            if victim != server.process.pid:
                with suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGKILL)
                continue
            server.kill()
            killed = time.monotonic()
            server = ServerProcess(tmp_path / "service", port, TOY_WORKER)
            while not client.jobs(QueueState.RUNNING).jobs:
                assert client.jobs(QueueState.QUEUED).jobs or client.jobs(QueueState.RUNNING).jobs
            assert time.monotonic() - killed < 5
        for job in jobs:
            assert client.wait(job).job.state is QueueState.FINISHED
        assert {one.id for one in client.jobs(limit=200).jobs} == set(jobs)
        assert client.model(model.id).state is ModelState.READY
    server.stop()
    for job in jobs:
        log = TuningLog.read(tmp_path / "service" / "jobs" / job / "out" / "log.jsonl")
        configs = Counter((record.task.key, record.config) for record in log.iterate())
        assert sum(configs.values()) == TRIALS + 3
        assert max(configs.values()) == 1
