"""A worker of the service that runs builds in few turns at the end of a job: `python quick_worker.py FOLDER`."""

import sys
from pathlib import Path

from autotune.jobs import engine
from autotune.service.worker import main

if __name__ == "__main__":
    engine._TURNS = 3
    sys.exit(main(Path(sys.argv[1])))
