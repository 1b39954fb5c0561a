"""The program that builds a package of a job's model, with the job's log and on its device.

    python -m autotune.service.packager FOLDER/jobs/ID MODEL DEVICE FORM OUTPUT

The name of the file is printed on stdout. An error that a user can act on is left in `error.json` in the output folder.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

from autotune.deployment.shape_planning import open_model
from autotune.jobs.job_file import read_job_file
from autotune.jobs.plan import reach
from autotune.packaging.assembly import PackageRequest, assembled, check_forms, write_packages
from autotune.packaging.forms import FORMS
from autotune.service.job_files import JOB_FILE
from autotune.service.worker import leave_error, leave_with_server
from search_spaces.errors import AutotuneError
from tuning_logs.address import read_log


def main(folder: Path, model: str, device: str, form: str, output: Path) -> int:
    """Builds a package; returns the exit code: 0 done, 2 for an error."""
    leave_with_server()
    output.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        print(build(folder, model, device, form, output).name)  # noqa: T201 - its answer
        return 0
    except AutotuneError as error:
        leave_error(output, error)
    except Exception as error:  # noqa: BLE001 - a defect fails the package, not the service
        traceback.print_exc()
        leave_error(output, AutotuneError(f"{type(error).__name__}: {error}", code="AT002"))
    return 2


def build(folder: Path, model: str, device: str, form: str, output: Path) -> Path:
    """Builds a package into a folder, and returns its path. Raises as `autotune.package` does."""
    request = read_job_file(folder / JOB_FILE)
    [wanted] = [one for one in request.models if one.name == model]
    where = reach(request, device)
    opened = open_model(wanted.path, wanted.shapes, wanted.dims, wanted.max_mb)
    check_forms(opened, [FORMS[form]])
    with assembled(PackageRequest(opened, where, read_log(request.log), "log.jsonl")) as found:
        [path] = write_packages(found.contents, [FORMS[form]], output)
    return path


if __name__ == "__main__":
    job, wanted_model, wanted_device, wanted_form, target = sys.argv[1:]
    sys.exit(main(Path(job), wanted_model, wanted_device, wanted_form, Path(target)))
