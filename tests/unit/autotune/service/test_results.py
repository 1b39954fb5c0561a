"""Results of jobs on devices that have one name."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from literal_texts import literal_status
from msgspec.structs import replace

from autotune.jobs.device_choice import compare_devices
from autotune.service.documents import JobOrder, ModelOrder
from autotune.service.job_files import results_of
from autotune.service.verdicts import verdicts


def test_devices_of_this_machine_are_told_apart_by_their_urls() -> None:
    status = literal_status()
    [device], [model] = status.devices, status.models
    urls = ("local", "local?threads=1")
    status = replace(
        status,
        devices=tuple(replace(device, name="local", connection=url) for url in urls),
        models=tuple(replace(model, name="model", device=url) for url in urls),
    )
    row = SimpleNamespace(id="m1", name="model.onnx", sha256="0")
    shelf: Any = SimpleNamespace(path=lambda _: Path("model.onnx"), row=lambda _: row)
    found = results_of(status, JobOrder((ModelOrder("m1"),), urls), shelf)
    assert [one.device for one in found] == list(urls)
    status = replace(status, offers=tuple(compare_devices(status.models, status.devices)))
    assert {one.device for one in verdicts(status, {})} == set(urls)
