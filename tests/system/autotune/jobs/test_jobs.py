"""A real job from its file to its report, killed twice on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import optuna
import psutil
import pytest
from command_line import COMMAND, run_here

import autotune
from autotune.jobs import engine
from tuning_logs import TuningLog

pytestmark = pytest.mark.alone

TRIALS = 24
# Of each of two builds at the end of a job: what is made of them is looked at here, not which is faster.
TURNS = 3


def before_of(library: str) -> Path:
    """The build from before the job of which this library is the outcome."""
    return Path(library).parent / "before" / Path(library).name


class Job:
    """A job file in a folder of its own, and how its commands are run."""

    def __init__(self, folder: Path, model: Path, webhook: str) -> None:
        self.folder = folder
        self.output = folder / "out"
        self.file = folder / "jobs.toml"
        self.scratch = folder / "tmp"
        self.scratch.mkdir()
        self.file.write_text(
            f"""
            output = "out"
            sampler = "random"
            batch = 4
            webhook = "{webhook}"
            dashboard = "sqlite:///{folder / "studies.db"}"
            budget = {{ trials = {TRIALS} }}
            models = [
                {{ path = "{model}", priority = 2, devices = ["local"] }},
                {{ path = "{model}", name = "alone", devices = ["local?threads=1"] }},
            ]
            """
        )
        self.environment = {**os.environ, "COLUMNS": "200", "TMPDIR": str(self.scratch)}

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
        )

    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        return run_here(*arguments)

    def status(self) -> dict[str, object]:
        done = self.run("status", self.output, "--json")
        assert done.returncode == 0, done.stderr
        found: dict[str, object] = json.loads(done.stdout)
        return found

    def kill_at(self, records: int, number: signal.Signals) -> None:
        """Starts the job and sends a signal to it alone once so many records are in the log."""
        process = self.start("run", self.file)
        log = self.output / "log.jsonl"
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            if log.exists() and log.read_text().count('"record"') >= records:
                break
            time.sleep(0.05)
        assert process.poll() is None, process.communicate()
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        process.communicate(timeout=60)
        psutil.wait_procs(children, timeout=10)
        assert not [one for one in children if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture(scope="module")
def posts() -> Iterator[tuple[str, list[bytes]]]:
    """A server on this machine, and what was posted to it."""
    found: list[bytes] = []

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/done", found
    server.shutdown()


@pytest.fixture(scope="module")
def job(small_network: Path, tmp_path_factory: pytest.TempPathFactory, posts: tuple[str, list[bytes]]) -> Job:
    """A job that was killed, then terminated, and then ran to its end."""
    made = Job(tmp_path_factory.mktemp("job"), small_network, posts[0])
    made.kill_at(6, signal.SIGKILL)
    made.kill_at(14, signal.SIGTERM)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "_TURNS", TURNS)
        done = made.run("run", made.file, "--json")
    assert done.returncode == 0, done.stderr
    return made


def test_the_plan_is_printed_before_anything_runs(small_network: Path, tmp_path: Path) -> None:
    fresh = Job(tmp_path, small_network, "http://127.0.0.1:9/")
    done = fresh.run("run", fresh.file, "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert sum(task["trials"] for task in plan["tasks"]) == pytest.approx(TRIALS)
    assert {task["device"] for task in plan["tasks"]} == {"local", "local?threads=1"}
    assert all(task["secs"] > 0 for task in plan["tasks"])
    assert not fresh.output.exists()


def test_a_job_file_that_is_wrong_is_misuse_with_its_line(small_network: Path, tmp_path: Path) -> None:
    fresh = Job(tmp_path, small_network, "http://127.0.0.1:9/")
    fresh.file.write_text(fresh.file.read_text().replace("batch = 4", "bacth = 4"))
    done = fresh.run("run", fresh.file)
    assert done.returncode == 2
    assert f"{fresh.file}:4: unknown key 'bacth'; did you mean batch?" in done.stderr


def test_after_kills_every_trial_is_there_once(job: Job) -> None:
    log = TuningLog.read(job.output / "log.jsonl")
    assert log.damage == ()
    status = job.status()
    assert (status["state"], status["trials"]) == ("finished", TRIALS)
    configs = {(record.task.key, str(record.task.target), record.config) for record in log.iterate()}
    tasks = status["tasks"]
    assert isinstance(tasks, list)
    assert len(configs) == TRIALS + len(tasks)
    runs = status["runs"]
    assert isinstance(runs, list)
    assert [run["state"] for run in runs] == ["running", "stopped", "finished"]
    assert list(job.scratch.glob("autotune*")) == [], "scratch files of a killed job are deleted too"


def test_models_are_built_and_run_before_and_after(job: Job) -> None:
    models = job.status()["models"]
    assert isinstance(models, list)
    assert [model["name"] for model in models] == ["small", "alone"]
    for model in models:
        assert model["outputs_equal"]
        assert model["after"]["low_secs"] <= model["after"]["secs"] <= model["after"]["high_secs"]
        assert model["before"]["secs"] > 0
        output = autotune.load(Path(model["library"]))(np.ones((1, 16, 8, 8), "float32"))
        assert np.asarray(output).shape == (1, 32)


def test_a_finished_job_measures_nothing_more(job: Job) -> None:
    before = (job.output / "log.jsonl").read_bytes()
    done = job.run("run", job.file)
    assert done.returncode == 0, done.stderr
    assert (job.output / "log.jsonl").read_bytes() == before


def test_the_report_and_its_numbers_come_out(job: Job) -> None:
    done = job.run("report", job.output, "-o", job.folder / "report.html")
    assert done.returncode == 0, done.stderr
    assert "times as fast" in (job.folder / "report.html").read_text()
    done = job.run("report", job.output, "--json")
    operators = json.loads(done.stdout)["operators"]
    assert all(operator["peak_share"] > 0 for operator in operators)
    assert operators
    # A few trials of small operators do not always beat their default schedules, nor their build the one from before.
    models = job.status()["models"]
    assert isinstance(models, list)
    for model in models:
        kept_before = os.path.samefile(model["library"], before_of(model["library"]))
        schedules = {one["schedule"] for one in operators if one["device"] == model["device"]}
        if kept_before:
            assert schedules == {"default schedule: the build from before the job is faster, and is kept"}
            assert model["after"]["low_secs"] > model["before"]["high_secs"]
        else:
            assert schedules <= {"tuned", "default is best"}


def test_the_dashboards_storage_holds_every_trial(job: Job) -> None:
    log = TuningLog.read(job.output / "log.jsonl")
    url = f"sqlite:///{job.folder / 'studies.db'}"
    studies = [optuna.load_study(study_name=name, storage=url) for name in optuna.get_all_study_names(url)]
    mirrored = [trial for study in studies for trial in study.trials]
    assert len(mirrored) == len(log)
    assert len(studies) == len({(record.task.key, record.device.key) for record in log.iterate()})
    best = min(record.secs for record in log.iterate())
    assert min(trial.value for trial in mirrored if trial.value is not None) == pytest.approx(best)


def test_the_webhook_was_told(job: Job, posts: tuple[str, list[bytes]]) -> None:
    told = [json.loads(body) for body in posts[1]]
    assert [one["state"] for one in told[:2]] == ["stopped", "finished"]


def test_a_webhook_that_nobody_answers_is_only_a_warning(job: Job, posts: tuple[str, list[bytes]]) -> None:
    other = job.folder / "other.toml"
    other.write_text(job.file.read_text().replace(posts[0], "http://127.0.0.1:9/nobody"))
    done = job.run("run", other)
    assert done.returncode == 0, done.stderr
    assert "was not told" in done.stderr
