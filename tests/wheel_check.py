"""Run with the interpreter of an environment that holds nothing but the built wheel: is everything in it?"""

import importlib.util
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

PACKAGES = ("autotune", "cost_models", "search_spaces", "tuning_logs")


def main() -> None:
    """Exits with an error that names what is missing."""
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        assert spec is not None and spec.origin is not None, f"{package} is not in the wheel"
        folder = Path(spec.origin).parent
        assert "site-packages" in str(folder), f"{package} was imported from the source tree: {folder}"
        assert (folder / "py.typed").exists(), f"{package} ships no py.typed"
    assert (Path(importlib.util.find_spec("tuning_logs").origin).parent / "tuning_log.schema.json").exists()
    shipped = Path(importlib.util.find_spec("cost_models").origin).parent / "pretrained"
    models = list(shipped.glob("*.costmodel"))
    assert models, "no cost model ships"
    for model in models:
        assert list((shipped / model.stem).glob("*.jsonl.gz")), f"{model.name} ships without its logs"
        assert list((shipped / model.stem).glob("*.latency")), f"{model.name} ships without an estimator"
    size = sum(path.stat().st_size for path in shipped.rglob("*") if path.is_file())
    assert size < 20_000_000, f"what was trained beforehand takes {size} bytes of the wheel"
    for package in ("autotune.reports", "cost_models.evaluation"):
        folder = Path(importlib.util.find_spec(package).origin).parent / "templates"
        assert list(folder.glob("*.html.j2")), f"{package} ships no templates"
    import autotune

    missing = [name for name in autotune.__all__ if not hasattr(autotune, name)]
    assert not missing, missing
    with tempfile.TemporaryDirectory() as folder, autotune.open_log(f"sqlite:///{folder}/store.db") as store:
        assert len(store) == 0, "the migrations of the team's store are not in the wheel"
    command = Path(sys.executable).with_name("autotune")
    shown = subprocess.run([command, "--help"], capture_output=True, text=True, check=True).stdout
    assert "tune" in shown and "build" in shown, shown
    explained = subprocess.run([command, "explain", "AT101"], capture_output=True, text=True, check=True)
    assert "AT101" in explained.stdout, explained.stdout
    listed = subprocess.run(
        [command, "tasks", "--op", "matmul:16,16,16"], capture_output=True, text=True, check=True
    ).stdout
    assert "matmul" in listed, listed
    sys.stdout.write(f"wheel of autotune {metadata.version('autotune')}: 1 passed, 0 failed\n")


if __name__ == "__main__":
    main()
