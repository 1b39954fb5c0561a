"""The server: answers requests, hands out jobs, and has models examined, until it is stopped or killed."""

from __future__ import annotations

import ipaddress
import os
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec
import uvicorn

from autotune.cluster.address import HERE, WorkersAddress
from autotune.service.application import make_application
from autotune.service.bookings import bookings_of
from autotune.service.examinations import Examinations
from autotune.service.hand_out import HandOut, Workplace
from autotune.service.job_process import WORKER, LocalStarter, worker_environment
from autotune.service.known_devices import KnownDevice, read_known, write_known
from autotune.service.limits import ServiceLimits
from autotune.service.listening import listen
from autotune.service.package_builds import PackageBuilds
from autotune.service.service import Access, Service, open_service
from autotune.service.service_folder import ServiceFolder
from autotune.service.token_documents import Scope
from search_spaces.errors import Misuse, StorageError

_STEP_SECS: Final = 0.1
_FLUSH_SECS: Final = 1.0
_TIDY_SECS: Final = 600.0
_PATIENCE_SECS: Final = 10.0
# Until the devices of a new folder are known; boards that do not answer take their time.
_PROBE_SECS: Final = 120.0
# For which the processors of a server that was started again are left to the jobs that go on.
_YIELD_SECS: Final = 5.0


@dataclass(frozen=True)
class ServerSettings:
    """Settings of a server. database: a URL, None for SQLite in the folder; names: further host names of requests;
    worker: the program of jobs; workers: compile and measure their candidates."""

    folder: ServiceFolder
    host: str = "127.0.0.1"
    port: int = 8000
    database: str | None = None
    names: tuple[str, ...] = ()
    allows_anonymous: bool = False
    limits: ServiceLimits = field(default_factory=ServiceLimits)
    worker: Sequence[str] = WORKER
    workers: WorkersAddress = HERE

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches the server."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


class Devices:
    """The devices of a service: those that an earlier server found, until a process has looked again.

    Of a new folder, who asks for devices waits for it.
    """

    def __init__(self, folder: ServiceFolder) -> None:
        self._folder = folder
        self._known = read_known(folder.known_devices)
        self._found = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None

    def look(self, after_secs: float) -> None:
        """Starts the process, some seconds from now."""
        timer = threading.Timer(after_secs, self._probe)
        timer.daemon = True
        timer.start()

    def __call__(self) -> tuple[KnownDevice, ...]:
        """The devices that are known now."""
        if not self._known:
            self._found.wait(_PROBE_SECS)
        return self._known

    def close(self) -> None:
        """Ends the process, which may still wait for boards."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()

    def _probe(self) -> None:
        command = [sys.executable, "-m", "autotune.service.examiner", "--probe"]
        self._process = subprocess.Popen(
            [*command, str(self._folder.devices_file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=worker_environment(os.environ),
        )
        assert self._process.stdout is not None
        try:
            found = msgspec.json.decode(self._process.stdout.readline(), type=tuple[KnownDevice, ...])
            write_known(self._folder.known_devices, found)
            self._known = found
        except (msgspec.MsgspecError, OSError):
            pass  # those from before stay
        self._found.set()
        self._process.wait()


def serve(settings: ServerSettings, say: Callable[[str], None], told_token: Callable[[str], None]) -> None:
    """Serves until SIGINT or SIGTERM. say: logs a line; told_token: is told the first token, made where there is none.

    Raises Misuse for settings that would let others in, AutotuneError where the folder or the port is taken.
    """
    check_access(settings)
    settings.folder.make()
    with settings.folder.held(), listen(settings.host, settings.port) as listener:
        devices = Devices(settings.folder)
        hosts = ("127.0.0.1", "localhost", "[::1]", settings.host, *settings.names)
        access = Access(tuple(dict.fromkeys(hosts)), settings.allows_anonymous)
        service = open_service(settings.folder, settings.database, settings.limits, access, devices)
        service = replace(service, bookings=bookings_of(settings.workers))
        check_tokens(settings, service, told_token)
        service.uploads.recover()
        recovered = service.queue.recover(settings.folder.owner())
        if recovered:
            say(f"{recovered} jobs of the last server go on")
        yielded_secs = _YIELD_SECS if service.queue.waiting() else 0.0
        devices.look(yielded_secs)
        stop = threading.Event()
        examine_from = time.monotonic() + yielded_secs
        work = threading.Thread(target=_work, args=(service, settings, stop, say, examine_from))
        config = uvicorn.Config(
            make_application(service),
            log_level="warning",
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=5,
        )
        host, port = listener.getsockname()[:2]
        say(f"listening on http://{f'[{host}]' if ':' in host else host}:{port}")
        work.start()
        try:
            uvicorn.Server(config).run(sockets=[listener])
        finally:
            stop.set()
            work.join()
            devices.close()
            service.usage.flush()


def check_access(settings: ServerSettings) -> None:
    """Raises Misuse for anonymous access from beyond loopback."""
    if settings.allows_anonymous and not settings.is_loopback:
        raise Misuse(
            f"expected --allow-anonymous with an address of loopback, found {settings.host}: everybody who reaches it "
            "could run jobs; leave it out, and make tokens with autotune token create",
            code="AT909",
        )


def check_tokens(settings: ServerSettings, service: Service, told_token: Callable[[str], None]) -> None:
    """Makes a first token on loopback. Raises Misuse where others reach the server and there is no valid one."""
    if settings.allows_anonymous or any(token.is_valid for token in service.tokens.all()):
        return
    if not settings.is_loopback:
        raise Misuse(
            f"expected a token before others can reach {settings.host}, found none; make one with "
            f"autotune token create --folder {settings.folder.path}",
            code="AT909",
        )
    told_token(service.tokens.create("the first token", tuple(Scope)).secret)


def _work(
    service: Service,
    settings: ServerSettings,
    stop: threading.Event,
    say: Callable[[str], None],
    examine_from: float,
) -> None:
    """Hands out jobs and examinations until it is told to stop; a store that does not answer is asked again.

    examine_from: monotonic seconds of the first examination.
    """
    place = Workplace(service.queue, service.shelf, service.folder, service.usage, settings.workers)
    hand_out = HandOut(place, LocalStarter(settings.worker), settings.limits.slots)
    examinations = Examinations(service.shelf, service.folder, settings.limits.examination, service.devices)
    builds = PackageBuilds(service.packages, service.folder)
    flushed = tidied = 0.0
    trouble = ""
    while not stop.wait(_STEP_SECS):
        try:
            hand_out.step()
            now = time.monotonic()
            if now >= examine_from:
                examinations.step()
            builds.step()
            if now - flushed > _FLUSH_SECS:
                flushed = now
                service.usage.flush()
                service.queue.recover("")
            if now - tidied > _TIDY_SECS:
                tidied = now
                service.uploads.tidy()
                service.sessions.tidy()
            trouble = ""
        except (StorageError, OSError) as error:
            if str(error) != trouble:
                trouble = str(error)
                say(f"waiting: {error}")
            stop.wait(_FLUSH_SECS)
        except Exception:  # noqa: BLE001 - a defect must not end the hand-out while requests are answered
            say(traceback.format_exc())
            stop.wait(_FLUSH_SECS)
    examinations.close()
    builds.close()
    hand_out.close(_PATIENCE_SECS)
