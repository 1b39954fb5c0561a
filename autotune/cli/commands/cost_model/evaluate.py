"""`autotune cost-model evaluate`: the quality of a model on logs, beside baselines trained on the same logs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from autotune.cli.arguments import JsonOption
from autotune.cli.console import note, print_json, tell, warn
from autotune.cli.cost_model_arguments import LogsArgument, ModelArgument, read_table
from autotune.cli.output_place import require_file_place, require_folder_place
from autotune.cli.tables import print_table
from autotune.jobs.table import Column, Table
from cost_models.boosters.xgboost_cost_model import Loss, XGBoostCostModel
from cost_models.evaluation.baselines import baselines, boosted
from cost_models.evaluation.calibration import calibration
from cost_models.evaluation.held_out import HeldOut, Quality, held_out_scores, quality, task_scores
from cost_models.evaluation.learning_curve import doublings, learning_curve
from cost_models.evaluation.page import evaluation_page
from cost_models.evaluation.plots import learning_curve as learning_picture
from cost_models.evaluation.plots import predicted_against_measured, reliability_curve, top_k_curve
from cost_models.program_model import load_program_model
from cost_models.record_table import RecordTable
from search_spaces import Misuse

Floats = NDArray[np.float64]
# Of the columns in a narrow terminal.
_IMPORTANCE = {"pairwise": 8, "weighted_top1": 7, "top1": 6, "top5": 5, "tasks": 4, "spearman": 3}


def evaluate(
    model: ModelArgument,
    logs: LogsArgument,
    held_out: Annotated[
        list[HeldOut] | None,
        typer.Option(
            "--held-out", help="Train others on the logs too, holding out tasks, networks or devices."
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE.html", help="A page with tables and pictures.")
    ] = None,
    plots: Annotated[
        Path | None, typer.Option("--plots", metavar="FOLDER", help="The pictures as PNG.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Judge a model by the tasks in logs that it did not learn from, beside others trained on the same logs."""
    if report is not None:
        require_file_place(report, "--report")
    if plots is not None:
        require_folder_place(plots, "--plots")
    loaded = load_program_model(model)
    known = read_table(logs)
    judged = _unseen(loaded, known)
    said = {
        model.stem: loaded.predict(judged.features),
        "chance": np.random.default_rng(0).random(len(judged)),
    }
    scores = task_scores(judged, said[model.stem])
    qualities = {name: quality(task_scores(judged, predicted)) for name, predicted in said.items()}
    validity = None
    if loaded.validity is not None:
        validity = calibration(loaded.validity.predict(judged.features), judged.valid)
    folds = {kind: _folds(known, kind) for kind in dict.fromkeys(held_out or [])}
    if json:
        print_json(
            {
                "model": str(model),
                "qualities": {name: asdict(each) for name, each in qualities.items()},
                "validity": None if validity is None else asdict(validity),
                "held_out": {
                    kind.value: {name: asdict(each) for name, each in found.items()}
                    for kind, found in folds.items()
                },
                "tasks": [
                    {
                        "task": score.facts.task.name,
                        "key": score.facts.task.key,
                        "networks": list(score.facts.networks),
                    }
                    | {name: value for name, value in asdict(score).items() if name != "facts"}
                    for score in scores
                ],
            }
        )
    else:
        _print("Tasks in these logs", qualities)
        if validity is not None:
            tell(
                f"validity: Brier {validity.brier:.4f}, always the mean {validity.chance_brier:.4f}",
            )
        for kind, found in folds.items():
            _print(f"Trained on these logs, {kind.value} held out", found)
    if report is None and plots is None:
        return
    pictures = {
        "predicted against measured": predicted_against_measured(judged, said[model.stem]),
        "top-k curve": top_k_curve(judged, said),
    }
    if validity is not None and len(validity.reliability) > 1:
        pictures["reliability of the validity classifier"] = reliability_curve(validity.reliability)
    if HeldOut.TASKS in folds:
        counts = doublings(max(64, int(len(known) * 0.8)))
        learned = learning_curve(known, boosted(Loss.REGRESSION), counts)
        pictures["learning curve"] = learning_picture(
            counts,
            {"top-1": [each.top1 for each in learned], "pairwise": [each.pairwise for each in learned]},
            "on held-out tasks",
        )
    lines = {**qualities} | {
        f"{name} ({kind.value} held out)": q for kind, f in folds.items() for name, q in f.items()
    }
    _write(
        report,
        plots,
        pictures,
        evaluation_page(f"Cost model {model.stem}", _facts(loaded), lines, scores, pictures),
    )


def _unseen(model: XGBoostCostModel, known: RecordTable) -> RecordTable:
    """The rows of tasks that the model did not learn from; all, with a warning, where it has seen them all."""
    seen = set(model.card.get("task_keys", []))
    fresh = np.array([known.facts[group].task.key not in seen for group in known.groups])
    if fresh.any():
        return known.rows(fresh)
    warn("the model learned from every task in these logs: it is better here than elsewhere")
    return known


def _folds(known: RecordTable, kind: HeldOut) -> dict[str, Quality]:
    return {name: quality(held_out_scores(known, kind, learner)) for name, learner in baselines().items()}


def _print(title: str, qualities: Mapping[str, Quality]) -> None:
    names = list(asdict(next(iter(qualities.values()))))
    columns = [Column(name.replace("_", " "), _IMPORTANCE.get(name, 0)) for name in names]
    rows = tuple(
        (
            name,
            *(f"{value:.3f}" if isinstance(value, float) else str(value) for value in asdict(each).values()),
        )
        for name, each in qualities.items()
    )
    print_table(Table(title, (Column("model", 9, 20), *columns), rows))


def _facts(model: XGBoostCostModel) -> dict[str, str]:
    card = model.card
    return {
        "measured on": "; ".join(card["measured_on"]),
        "records": f"{card['records']:,}",
        "tasks": str(card["tasks"]),
        "networks": ", ".join(card["networks"]),
        "trained": card["date"],
        "feature version": str(card["feature_version"]),
    }


def _write(
    report: Path | None,
    plots: Path | None,
    pictures: Mapping[str, bytes],
    page: str,
) -> None:
    try:
        if report is not None:
            report.parent.mkdir(parents=True, exist_ok=True)
            report.write_text(page, encoding="utf-8")
            note(f"→ {report}")
        if plots is not None:
            plots.mkdir(parents=True, exist_ok=True)
            for caption, png in pictures.items():
                (plots / f"{caption.replace(' ', '-')}.png").write_bytes(png)
            note(f"→ {plots}")
    except OSError as error:
        raise Misuse(
            f"expected a place for the report and its pictures, found: {error.strerror}", code="AT803"
        ) from error
