"""The HTTP server of a package as a child process, in one setup."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial

from autotune.throughput.inference_protocol import ServerAddress
from autotune.throughput.package_file import ServedPackage
from autotune.throughput.serving_setup import ServingSetup
from autotune.workers.child import die_with_parent
from autotune.workers.closeable import Closeable
from search_spaces.errors import AutotuneError

_LIMIT_SECS = 60.0
_LOOK_SECS = 0.02
_ADDRESS = re.compile(r"running on http://([\d.]+):(\d+)")
# Nobody waits longer than this for answers: such a load is lost.
_QUEUE = 4096


def server_arguments(setup: ServingSetup) -> list[str]:
    """The options of a package's server that make it serve in this setup."""
    return [f"--instances={setup.instances}", f"--threads={setup.threads}", f"--batch={setup.batch}"]


class PackageServer(Closeable):
    """A running server, on a free port of this machine. Raises AutotuneError where it does not start."""

    def __init__(self, package: ServedPackage, setup: ServingSetup) -> None:
        self._setup = setup
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the server
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SERVER_")}
        path = os.pathsep.join(filter(None, [str(package.folder), kept.get("PYTHONPATH")]))
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", f"{package.module}.server", "--port=0", f"--queue={_QUEUE}"),
                *server_arguments(setup),
            ],
            env={**kept, "PYTHONPATH": path},
            stdout=subprocess.DEVNULL,
            stderr=self._log,
            preexec_fn=partial(die_with_parent, signal.SIGKILL),
        )
        try:
            self.address = self._listening(package.module)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends it, with the requests that wait."""
        self._process.kill()
        self._process.wait()
        self._log.close()

    def _listening(self, module: str) -> ServerAddress:
        until = time.monotonic() + _LIMIT_SECS
        while self._process.poll() is None and time.monotonic() < until:
            found = _ADDRESS.search(self._text())
            if found is not None:
                return ServerAddress(found[1], int(found[2]), f"/v2/models/{module}")
            time.sleep(_LOOK_SECS)
        lines = self._text().strip().splitlines() or [f"nothing in {_LIMIT_SECS:.0f} s"]
        raise AutotuneError(
            f"expected the server of the package {module} to start with {' '.join(server_arguments(self._setup))}; "
            f"found: {lines[-1]}",
            code="AT734",
        )

    def _text(self) -> str:
        self._log.seek(0)
        return self._log.read()
