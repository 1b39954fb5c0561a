"""Makes a cost model that ships out of collected logs: the compressed logs, what learns from them, a card.

    python scripts/pretrained.py x86-64-avx512 logs/pretrained/*.jsonl

`make pretrained` collects the logs before; what it writes is in cost_models/pretrained.
"""

from __future__ import annotations

import argparse
import gzip
import shutil
from pathlib import Path
from typing import Any

from autotune.machine.allowance import read_allowance
from autotune.search.latency_estimate import of_like_devices
from autotune.search.pretrained_model import SHIPPED
from autotune.search.tuned_estimator import ESTIMATOR_SUFFIX
from cost_models.boosters.latency_estimator import LatencyEstimator
from cost_models.record_table import RecordTable
from cost_models.training import card, train

_CARD = """# The cost model {name}

Guides `autotune tune` from its first trial on, on processors like those that it learned on; `--cost-model none` turns
it off. `autotune estimate` tells with it what a network will take once it is tuned.

- **Learned from** {records:,} records of {tasks} tasks of {networks}.
- **Measured on** {measured_on}. It is used on every device of the same architecture with vectors as wide, whatever
  its number of threads: that is a feature, but only one value of it has been seen, and search corrects the model with
  every trial.
- **Not learned from**: SqueezeNet and ResNet-50, which are kept for judging it.
- **Held-out tasks** (each task predicted by a model that did not learn from it): {quality}.
- **Feature version** {feature_version}; made on {date} with {versions}.

Made by `make pretrained`. The logs are beside this page ({logs}); `gunzip` makes them logs like any other.
"""


def main() -> None:
    """Writes the folder of logs, the model and the card."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("logs", type=Path, nargs="+")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder = SHIPPED / options.name
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    packed = [pack(log, folder) for log in sorted(options.logs)]
    table = RecordTable.read(packed, processes=read_allowance().compilers)
    model = train(table, options.seed)
    model.save(SHIPPED / f"{options.name}.costmodel")
    (SHIPPED / f"{options.name}.md").write_text(card_page(options.name, model.card), encoding="utf-8")
    save_estimators(table, folder)
    for cache in folder.glob("*.features"):
        cache.unlink()


def pack(log: Path, folder: Path) -> Path:
    """A log compressed into a folder, the same bytes for the same log."""
    path = folder / f"{log.stem}.jsonl.gz"
    with (
        log.open("rb") as plain,
        path.open("wb") as file,
        gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=9, mtime=0) as packed,
    ):
        shutil.copyfileobj(plain, packed)
    return path


def save_estimators(table: RecordTable, folder: Path) -> None:
    """Fits a latency estimator for each kind of device in the table."""
    devices = {(fact.device.facts["isa"], fact.device.facts["threads"]): fact.device for fact in table.facts}
    for (isa, threads), device in devices.items():
        learned = of_like_devices(table, device)
        path = folder / f"{isa}-{threads}-threads{ESTIMATOR_SUFFIX}"
        LatencyEstimator.fit(learned).save(path, card(learned, {}))


def card_page(name: str, card: dict[str, Any]) -> str:
    """The card for people."""
    metrics = card["metrics"].get("held_out_tasks", {})
    numbers = [f"{key} {value:.3f}" for key, value in metrics.items() if isinstance(value, float)]
    texts = {
        "name": name,
        "networks": ", ".join(card["networks"]),
        "measured_on": "; ".join(card["measured_on"]),
        "quality": ", ".join(numbers) or "too few to tell",
        "versions": ", ".join(f"{package} {version}" for package, version in card["versions"].items()),
        "logs": ", ".join(card["logs"]),
    }
    return _CARD.format(**{**card, **texts})


if __name__ == "__main__":
    main()
