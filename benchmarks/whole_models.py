"""Whole models beside the engines that people would run instead: ratio to the fastest of them, zero-trial and tuned.

    python benchmarks/whole_models.py                         all models, 10 minutes of tuning each: hours
    python benchmarks/whole_models.py squeezenet vit-s --time 150s
    python benchmarks/whole_models.py --time 0                zero-trial builds only: minutes
    python benchmarks/whole_models.py --time 0 --avx2         the same without AVX-512
    python benchmarks/whole_models.py --time 0 MODEL.onnx     ONNX files of fixed shapes, see exported_networks.py

One row a model: milliseconds of the zero-trial build, of the tuned build and of each rival, all in turns, each in a
process of its own that waits until the others' threads rest; then the ratios to the fastest rival and whether the
outputs are ONNX Runtime's. A rival that does not run a model gets a dash, and its reason below the table. Logs and
libraries stay in the folder: what is there is not tuned again. Needs the extra `bench`. With --avx2 our builds are for
Haswell and OpenVINO's kernels are limited to AVX2 (oneDNN's switch); ONNX Runtime and ncnn have none and keep AVX-512.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import onnx
from sides import built_networks

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))

import seeded_weights
from trained_models import TRAINED_MODELS

from autotune.deployment.compilation import compile
from autotune.deployment.engine import Engine
from autotune.deployment.engines import find_engine
from autotune.deployment.executable import SavedModel
from autotune.deployment.model_runner import SEED
from autotune.deployment.reference import find_referee
from autotune.deployment.side_by_side import TimingSettings, measure, side_by_side
from autotune.devices.device import Device, local_device
from autotune.devices.processor import cpu_model
from autotune.models.model import Model, load_model
from autotune.models.onnx_file import Shape
from search_spaces import AutotuneError
from tuning_logs import RecordStore, TuningLog
from tuning_logs.address import read_log

RIVALS = ("onnxruntime", "openvino", "ncnn")
#: Bars: the geometric mean of ratios, tuned and with zero trials, and the worst tuned one.
TUNED_BAR, ZERO_TRIAL_BAR, WORST_BAR = 0.90, 1.4, 1.05
_TRIAL_RUN = 1, 0.01


@dataclass(frozen=True)
class Case:
    """A model of the table: writes or finds its file in a folder; shapes: of its free inputs."""

    name: str
    path: Callable[[Path], Path]
    shapes: dict[str, Shape] = field(default_factory=dict)


def _seeded(name: str, folder: Path) -> Path:
    path = folder / f"{name}.onnx"
    if not path.exists():
        onnx.save(seeded_weights.with_seeded_weights(onnx.load(seeded_weights.light_model(name))), path)
    return path


def _built(name: str, make: Callable[[], onnx.ModelProto], folder: Path) -> Path:
    path = folder / f"{name}.onnx"
    return path if path.exists() else built_networks.write(make(), path)


def _trained(name: str, folder: Path) -> Path:
    return next(model.path for model in TRAINED_MODELS if model.name == name)


def _file(path: Path, _folder: Path) -> Path:
    return path


def _minilm(tokens: int) -> dict[str, Shape]:
    return {"input_ids": (1, tokens), "attention_mask": (1, tokens)}


def cases() -> tuple[Case, ...]:
    """Convolution networks, detectors, an OCR detector, transformers, and classifiers of other data."""
    seeded = ("squeezenet", "shufflenet", "resnet50", "inception_v2", "densenet121", "vgg19")
    shapes = {model.name: dict(model.shapes) for model in TRAINED_MODELS}
    trained = ("nudenet", "basic-pitch", "magika", "ppocr-det")
    bert = partial(built_networks.encoder, 128, 768, 12, 4)
    return (
        *(Case(name, partial(_seeded, name)) for name in seeded),
        *(Case(name, partial(_trained, name), shapes[name]) for name in trained),
        *(Case(f"minilm-{tokens}", partial(_trained, "minilm"), _minilm(tokens)) for tokens in (64, 256)),
        Case("bert-4x128", partial(_built, "bert-4x128", bert)),
        Case("vit-s", partial(_built, "vit-s", partial(built_networks.vision_transformer, 384, 6, 12))),
        Case("mobilenet-v3", partial(_built, "mobilenet-v3", built_networks.mobilenet_v3)),
    )


@dataclass(frozen=True)
class Row:
    """Median seconds by engine ("zero trials" and "tuned" are ours), and what did not run with the reason."""

    model: str
    secs: dict[str, float]
    missing: dict[str, str]
    mistake: str | None

    def ratio(self, name: str) -> float | None:
        """The time of one of our builds over the fastest rival's; None where either is missing."""
        rivals = [self.secs[rival] for rival in RIVALS if rival in self.secs]
        return self.secs[name] / min(rivals) if name in self.secs and rivals else None


def row(case: Case, folder: Path, options: argparse.Namespace) -> Row:
    """Tunes, builds and times one model. Raises AutotuneError where our own build does not run."""
    model = load_model(case.path(folder), case.shapes)
    device = _device(options)
    missing: dict[str, str] = {}
    log = folder / f"{case.name}.jsonl"
    if options.time != "0" and not log.exists():
        _tune(model, log, options)
    zero = folder / f"{case.name}.zero.so"
    ours = [_saved(model, device, "zero trials", TuningLog.in_memory(), zero)]
    if log.exists() and options.time != "0":
        ours.insert(0, _saved(model, device, "tuned", read_log(str(log)), folder / f"{case.name}.tuned.so"))
    engines: list[Engine] = [*ours]
    settings = TimingSettings(model.inputs, device.threads, options.rounds, seed=SEED)
    for name in RIVALS:
        rival = find_engine(name, model.path, model.shapes, device.threads)
        try:
            measure(rival, TimingSettings(model.inputs, device.threads, *_TRIAL_RUN))
        except AutotuneError as error:
            missing[name] = str(error)
        else:
            engines.append(rival)
    referee = find_referee(model.path, model.shapes, settings)
    found = side_by_side(engines, settings, referee)
    return Row(case.name, {one.name: one.secs for one in found.latencies}, missing, found.mistake)


def _tune(model: Model, log: Path, options: argparse.Namespace) -> None:
    shapes = [
        text
        for name, sizes in model.shapes.items()
        for text in ("--shape", f"{name}:{','.join(map(str, sizes))}")
    ]
    command = [sys.executable, "-m", "autotune.cli.main", "tune", str(model.path), "--log", str(log)]
    where = ["--device", _device(options).connection]
    subprocess.run([*command, *shapes, *where, "--time", options.time], check=True, stdout=subprocess.DEVNULL)


def _device(options: argparse.Namespace) -> Device:
    return local_device(mcpu="haswell" if options.avx2 else None)


def _saved(model: Model, device: Device, name: str, log: RecordStore, path: Path) -> SavedModel:
    return SavedModel(compile(model, device.target, log, device.fingerprint).save(path), name)


def show(rows: list[Row]) -> str:
    """The table, with geometric means and bars below."""
    names = ("zero trials", "tuned", *RIVALS)
    lines = ["model          " + "".join(f"{name:>13}" for name in names) + "   zero trials  tuned  outputs"]
    for one in rows:
        times = "".join(
            f"{1e3 * one.secs[name]:13.2f}" if name in one.secs else f"{'–':>13}" for name in names
        )
        ratios = [one.ratio(name) for name in ("zero trials", "tuned")]
        shown = "".join(f"{'–' if ratio is None else f'{ratio:.2f}':>8}" for ratio in ratios)
        lines.append(f"{one.model:15}{times}{shown}       {'equal' if one.mistake is None else one.mistake}")
    for name, bar in (("zero trials", ZERO_TRIAL_BAR), ("tuned", TUNED_BAR)):
        ratios = [ratio for one in rows if (ratio := one.ratio(name)) is not None]
        if ratios:
            mean, worst = statistics.geometric_mean(ratios), max(ratios)
            worst_bar = f" (bar {WORST_BAR})" if name == "tuned" else ""
            lines.append(
                f"{name}: geometric mean {mean:.2f} (bar {bar}), worst {worst:.2f}{worst_bar}, {len(ratios)} models"
            )
    lines += [f"{one.model}: {name}: {why}" for one in rows for name, why in one.missing.items()]
    return "\n".join(lines)


def main() -> None:
    """Prints the table, writes the JSON after each model."""
    known = {case.name: case for case in cases()}
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "names", nargs="*", metavar="MODEL", help=f"of {', '.join(known)}, or ONNX files; default: the former"
    )
    parser.add_argument("--time", default="10m", help="of tuning for each model; 0 for none")
    parser.add_argument("--avx2", action="store_true", help="ours and OpenVINO without AVX-512")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--folder", type=Path, help="keeps models, logs and libraries")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    files = {name: Path(name) for name in options.names if name.endswith(".onnx")}
    known |= {name: Case(path.stem, partial(_file, path)) for name, path in files.items()}
    if unknown := set(options.names) - set(known):
        parser.error(f"expected models among {', '.join(known)}; found {', '.join(sorted(unknown))}")
    if options.avx2:
        os.environ["ONEDNN_MAX_CPU_ISA"] = "AVX2"
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        print(f"{cpu_model()}, {_device(options).target}", flush=True)
        for name in options.names or [case.name for case in cases()]:
            rows.append(row(known[name], folder, options))
            print(show(rows[-1:]).splitlines()[1], flush=True)
            if options.json:
                options.json.write_text(json.dumps([asdict(one) for one in rows], indent=1))
    print(show(rows))


if __name__ == "__main__":
    main()
