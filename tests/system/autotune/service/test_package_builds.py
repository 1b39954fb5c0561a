"""Builds of packages by processes: those that end well, fail, crash, or are cut off with their server."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from shelved_model import shelve

from autotune.service.documents import JobOrder, ModelOrder
from autotune.service.job_queue import Submission
from autotune.service.package_builds import PackageBuilds
from autotune.service.packages import PackageOrder
from autotune.service.result_documents import PackageState
from autotune.service.service import Service, open_service
from autotune.service.service_folder import ServiceFolder

GOOD = """
import sys
from pathlib import Path
Path(sys.argv[5], "m.whl").write_text("w")
print("noise")
print("m.whl")
"""
OUTSIDE = "print('../../jobs.toml')"
REFUSED = """
import sys
from pathlib import Path
Path(sys.argv[5], "error.json").write_text('{"code": "AT730", "message": "no wheel"}')
sys.exit(2)
"""
CRASH = "import os; os.kill(os.getpid(), 11)"
SLOW = "import time; time.sleep(60)"


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return open_service(ServiceFolder(tmp_path / "service"))


def ordered(service: Service) -> tuple[str, str]:
    """A job, and a package of it that is queued."""
    job = service.queue.submit(Submission("m", JobOrder((ModelOrder(shelve(service)),), trials=1), None))
    service.folder.job(job).mkdir()
    (service.folder.job(job) / "jobs.toml").write_text("secret")
    return job, service.packages.order(PackageOrder(job, "m", "local", "wheel"), 0.0).id


def built(service: Service, job: str, package: str, program: str) -> PackageBuilds:
    builds = PackageBuilds(service.packages, service.folder, (sys.executable, "-c", program))
    until = time.monotonic() + 20
    while service.packages.get(job, package).state.is_pending and time.monotonic() < until:
        builds.step()
        time.sleep(0.01)
    return builds


@pytest.mark.parametrize(
    ("program", "reason"),
    [(REFUSED, "no wheel (AT730)"), (CRASH, "signal 11"), (OUTSIDE, "exit code 0"), ("", "exit code 0")],
    ids=["refused", "crash", "outside", "nothing"],
)
def test_a_build_that_fails_says_why(service: Service, program: str, reason: str) -> None:
    job, package = ordered(service)
    built(service, job, package, program)
    found = service.packages.get(job, package)
    assert found.state is PackageState.FAILED
    assert found.reason is not None and reason in found.reason


def test_a_build_that_was_cut_off_begins_anew(service: Service) -> None:
    job, package = ordered(service)
    builds = PackageBuilds(service.packages, service.folder, (sys.executable, "-c", SLOW))
    builds.step()
    assert service.packages.get(job, package).state is PackageState.BUILDING
    builds.close()
    built(service, job, package, GOOD)
    assert service.packages.path(job, package).read_text() == "w"
    again = service.packages.order(PackageOrder(job, "m", "local", "wheel"), 0.0)
    assert again.id == package
    later = service.packages.order(PackageOrder(job, "m", "local", "wheel"), time.time())
    assert later.id != package
