"""Job files: models, devices, a budget and a folder, read and checked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from autotune.cluster.address import HERE, LOCAL, WorkersAddress, parse_workers
from autotune.devices.connection import Clustered, parse_connection
from autotune.devices.device import Device
from autotune.devices.device_file import DeviceDescription, read_devices
from autotune.devices.device_url import parse_device
from autotune.devices.toml_file import Section, read_section
from autotune.jobs.durations import parse_secs
from autotune.models.shape_plan import ShapePlan
from autotune.models.size_range import MOST_SIZE, Size, SizeRange, largest, parse_size
from autotune.runners.workers import Workers
from autotune.search.pretrained_model import NO_MODEL, SHIPPED
from autotune.search.samplers import SamplerKind
from autotune.tuning.budget import Budget
from autotune.tuning.limits import MOST_BATCH, MOST_ROUNDS_AT_ONCE, MOST_SEED
from search_spaces import AutotuneError, Misuse
from tuning_logs.address import anchored

_HOUR_SECS = 3600.0


@dataclass(frozen=True)
class ModelRequest:
    """A model to tune.

    name:     unique within the job; the file's, by default.
    priority: how much its latency counts against that of the others, relative to each.
    devices:  the devices to tune it for; URLs, or names of `devices.toml`;
    shapes, dims: of its inputs and of free dimensions by name, see `load_model`; ranges where sizes differ from call
              to call, see `load_dynamic_model`;
    max_mb:   the largest size of a library for such ranges; plan: the sizes that are built, once that is planned;
    samples: files of inputs that outputs are compared on, beside random ones;
    needed_secs: the latency that is asked for: the cheapest device that has it is chosen; None where any will do.
    """

    path: Path
    name: str
    devices: tuple[str, ...]
    priority: float = 1.0
    shapes: Mapping[str, tuple[Size, ...]] = field(default_factory=dict)
    needed_secs: float | None = None
    dims: Mapping[str, Size] = field(default_factory=dict)
    max_mb: float | None = None
    plan: ShapePlan | None = None
    samples: tuple[Path, ...] = ()

    @property
    def largest_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes, with ranges at their ends."""
        return {name: tuple(map(largest, shape)) for name, shape in self.shapes.items()}


@dataclass(frozen=True)
class JobRequest:
    """The request for a job, before anything is loaded.

    output:    the folder for status, builds and, unless named elsewhere, the log; None where nothing but the log is
               wanted;
    webhook:   a URL that is told the result; dashboard: the URL of an Optuna storage that mirrors the studies;
    described: the devices of the `devices.toml` beside the job file, by name;
    cost_model: the trained model that guides the search from the first trial on, see `load_pretrained`; None for none;
    workers:    where candidates are compiled and measured.
    rounds_at_once: of one task, see `TuningJob`.
    """

    name: str
    models: tuple[ModelRequest, ...]
    budget: Budget
    log: str
    output: Path | None = None
    seed: int = 0
    batch: int = 16
    sampler: SamplerKind = SamplerKind.COST_MODEL
    webhook: str | None = None
    dashboard: str | None = None
    described: Mapping[str, DeviceDescription] = field(default_factory=dict)
    cost_model: Path | None = SHIPPED
    workers: WorkersAddress = HERE
    rounds_at_once: int = 1

    def reach(self, device: str, workers: Workers | None = None) -> Device:
        """The device of a name or a URL; workers: reach those of a cluster. Raises AutotuneError where it cannot be
        reached."""
        find = workers.reach if workers else parse_device
        return self.described[device].reach(find) if device in self.described else find(device)

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices of all models, in the order of the file."""
        return tuple(dict.fromkeys(device for model in self.models for device in model.devices))


def read_job_file(path: Path) -> JobRequest:
    """Reads a job file, `jobs.toml` say; the paths in it are relative to its folder.

    Raises Misuse that names the file and the line of everything that is wrong with it.
    """
    top = read_section(path)
    folder = path.parent
    name = top.get("name", str, path.stem)
    output = _path(top, "output", folder, path.stem)
    if os.path.exists(output) and not os.path.isdir(output):
        top.error("output", f"output is a folder; {output} is a file")
    log = _text(top, "log", "")
    log = anchored(log, folder) if log else str(output / "log.jsonl")
    described = _described(folder / "devices.toml")
    devices = _devices(top, ("local",), described)
    models = tuple(_model(section, folder, devices, described) for section in top.sections("models"))
    if not models:
        top.error("models", "a job needs at least one model: [[models]] with a path; found none")
    for number, model in enumerate(models):
        if model.name in [other.name for other in models[:number]]:
            message = f"two models are called {model.name!r}; give this one another name"
            top.complaints.add(("models", number), message)
    seed, batch = top.whole("seed", 0, range(MOST_SEED + 1)), top.whole("batch", 16, range(1, MOST_BATCH + 1))
    rounds_at_once = top.whole("rounds_at_once", 1, range(1, MOST_ROUNDS_AT_ONCE + 1))
    sampler = _sampler(top)
    webhook = _url(top, "webhook", ("http", "https"))
    dashboard = anchored(_text(top, "dashboard", ""), folder) if top.values.get("dashboard") else None
    budget = _budget(top.section("budget"))
    cost_model = _cost_model(top, folder)
    workers = _workers(top)
    top.reject_unknown_keys()
    top.complaints.raise_if_any()
    assert budget is not None
    return JobRequest(
        name,
        models,
        budget,
        log,
        output,
        seed,
        batch,
        sampler,
        webhook,
        dashboard,
        described,
        cost_model,
        workers,
        rounds_at_once,
    )


def _described(path: Path) -> dict[str, DeviceDescription]:
    return {one.name: one for one in read_devices(path)} if os.path.exists(path) else {}


def _text(section: Section, key: str, default: str) -> str:
    """A text that names a file."""
    text = section.get(key, str, default)
    if "\0" in text:
        section.error(key, f"the name of a file holds no NUL; found {text!r}")
        return default
    return text


def _path(section: Section, key: str, folder: Path, default: str) -> Path:
    """A path that leads from the file's folder, or from the home with `~/`."""
    text = _text(section, key, default)
    return folder / (os.path.expanduser(text) if text.startswith("~/") else text)


def _model(
    section: Section, folder: Path, devices: tuple[str, ...], described: Mapping[str, DeviceDescription]
) -> ModelRequest:
    path = _path(section, "path", folder, "")
    if not section.get("path", str, ""):
        section.error(None, "a model needs a path, that of an .onnx, .pt2 or .tflite file; found none")
    elif not os.path.isfile(path):
        section.error("path", f"expected a model file, found none at {path}")
    shapes, dims = section.section("shapes"), section.section("dims")
    sizes = {name: _shape(shapes, name) for name in shapes.values}
    named = {name: size for name in dims.values if (size := _size(dims, name, dims.values[name])) is not None}
    name = section.get("name", str, path.stem)
    if not name or "/" in name or name.startswith("."):
        section.error("name", f"a name serves as that of a file, without slashes; found {name!r}")
    priority = section.positive("priority", float) or 1.0
    latency_ms, max_mb = section.positive("latency_ms", float), section.positive("max_mb", float)
    own = _devices(section, devices, described)
    samples = tuple(folder / text for text in section.texts("samples", ()))
    if missing := [str(sample) for sample in samples if not sample.exists()]:
        section.error("samples", f"expected files of inputs; found nothing at {', '.join(missing)}")
    section.reject_unknown_keys()
    needed_secs = None if latency_ms is None else 1e-3 * latency_ms
    return ModelRequest(path, name, own, priority, sizes, needed_secs, named, max_mb, samples=samples)


def _devices(
    section: Section, default: tuple[str, ...], described: Mapping[str, DeviceDescription]
) -> tuple[str, ...]:
    devices = section.texts("devices", default)
    if not devices:
        section.error("devices", "at least one device is needed; found an empty list")
    if "devices" in section.values:
        for device in set(devices) - set(described):
            try:
                if not isinstance(parse_connection(device), Clustered):
                    parse_device(device)
            except AutotuneError as error:
                known = f"; devices.toml describes {', '.join(described)}" if described else ""
                section.error("devices", f"{error}{known}")
    return devices


def _shape(section: Section, name: str) -> tuple[Size, ...]:
    texts = section.get(name, list, [])
    if not texts:
        section.error(name, f"a shape is a list of sizes, as in [1, 3, 224, 224]; found {texts}")
    sizes = [_size(section, name, text) for text in texts]
    return tuple(size for size in sizes if size is not None)


def _size(section: Section, name: str, given: object) -> Size | None:
    """A positive whole number or a range in a text, None with a complaint for anything else."""
    section.known.add(name)
    try:
        size = parse_size(given) if isinstance(given, str) else given
    except Misuse as error:
        section.error(name, str(error))
        return None
    if isinstance(size, SizeRange) or (
        isinstance(size, int) and not isinstance(size, bool) and 0 < size <= MOST_SIZE
    ):
        return size
    section.error(
        name,
        f'the sizes of shapes and dims are whole numbers from 1 to {MOST_SIZE} or ranges, as in 8 or "1..8"; '
        f"found {given!r}",
    )
    return None


def _budget(section: Section) -> Budget | None:
    hours, time = section.positive("hours", float), section.get("time", str, "")
    secs = None if hours is None else hours * _HOUR_SECS
    if time:
        try:
            secs = parse_secs(time)
        except Misuse as error:
            section.error("time", str(error))
        if hours is not None:
            section.error("time", "give either hours or a time; found both")
    trials, gain = section.positive("trials", int), section.positive("gain_per_hour", float)
    section.reject_unknown_keys()
    try:
        return Budget(trials, secs, gain)
    except Misuse as error:
        section.error("gain_per_hour" if gain else None, str(error))
        return None


def _sampler(section: Section) -> SamplerKind:
    text = section.get("sampler", str, SamplerKind.COST_MODEL.value)
    try:
        return SamplerKind(text)
    except ValueError:
        known = ", ".join(kind.value for kind in SamplerKind)
        section.error("sampler", f"expected one of {known}; found {text!r}")
        return SamplerKind.COST_MODEL


def _cost_model(section: Section, folder: Path) -> Path | None:
    text = section.get("cost_model", str, "")
    if text in ("", NO_MODEL):
        return None if text else SHIPPED
    path = _path(section, "cost_model", folder, "")
    if not os.path.exists(path):
        section.error("cost_model", f"expected a cost model, or {NO_MODEL!r}; found nothing at {path}")
    return path


def _workers(section: Section) -> WorkersAddress:
    try:
        return parse_workers(section.get("workers", str, LOCAL))
    except Misuse as error:
        section.error("workers", str(error))
        return HERE


def _url(section: Section, key: str, schemes: tuple[str, ...]) -> str | None:
    text = section.get(key, str, "")
    if text and not any(text.startswith(f"{scheme}://") and _is_url(text) for scheme in schemes):
        section.error(key, f"{key} is a URL that starts with {' or '.join(schemes)}; found {text!r}")
    return text or None


def _is_url(text: str) -> bool:
    try:
        return bool(urlsplit(text).netloc)
    except ValueError:  # brackets that hold no address
        return False
