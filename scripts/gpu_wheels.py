"""Wheels for a machine without a registry: fetched, cut into parts that travel one by one, joined, installed.

See `gpu_run.py`. Standard library alone.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# What PyTorch's machine lacks; XGBoost's small build has no GPU part, which autotune does not use.
PACKAGES = (
    *(
        "apache-tvm",
        "apache-tvm-ffi",
        "optuna",
        "ml_dtypes",
        "msgspec",
        "onnx",
        "onnxruntime",
        "pandas",
        "psutil",
    ),
    *(
        "rich",
        "typer",
        "sqlalchemy",
        "alembic",
        "cmaes",
        "scipy",
        "scikit-learn",
        "Jinja2",
        "MarkupSafe",
        "httpx",
    ),
    # The tests' boards have keys.
    "cryptography",
    *("matplotlib", "psycopg", "psycopg-binary", "pytest", "hypothesis", "tornado", "hatchling", "editables"),
)
NAMED_OTHERWISE = {"xgboost": "xgboost-cpu"}
PLATFORMS = (
    "manylinux_2_28_x86_64",
    "manylinux_2_27_x86_64",
    "manylinux_2_17_x86_64",
    "manylinux2014_x86_64",
)
_MIB = 1 << 20
#: A call takes 64 MiB, of which the working tree has some 14.
PART_MIB = 40


def fetch(folder: Path, python: str, without: list[str]) -> None:
    """Downloads wheels at the versions of constraints.txt, with what they need; not those that the machine has."""
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split() if "==" in line)
    pins = {_key(name): version for name, version in pins.items()}
    wanted = [f"{name}=={pins[_key(name)]}" for name in PACKAGES if _key(name) in pins]
    options = [
        "--only-binary=:all:",
        "--python-version",
        python,
        "--implementation",
        "cp",
        "-q",
        "-d",
        str(folder),
    ]
    options += [part for platform in PLATFORMS for part in ("--platform", platform)]
    pip = [sys.executable, "-m", "pip", "download"]
    subprocess.run([*pip, *options, "--constraint", str(ROOT / "constraints.txt"), *wanted], check=True)
    for name, small in NAMED_OTHERWISE.items():
        subprocess.run([*pip, *options, "--no-deps", f"{small}=={pins[name]}"], check=True)
    for wheel in folder.glob("*.whl"):
        if _key(wheel.name.split("-")[0]) in map(_key, without):
            wheel.unlink()


def cut(wheels: Path, parts: Path, mib: int) -> int:
    """Copies the wheels into numbered folders of at most so many MiB, those that are larger in pieces."""
    shutil.rmtree(parts, ignore_errors=True)
    number, left = 0, mib * _MIB
    for wheel in sorted(wheels.glob("*.whl")):
        data = wheel.read_bytes()
        for piece, start in enumerate(range(0, len(data), mib * _MIB)):
            chunk = data[start : start + mib * _MIB]
            if len(chunk) > left:
                number, left = number + 1, mib * _MIB
            left -= len(chunk)
            folder = parts / str(number)
            folder.mkdir(parents=True, exist_ok=True)
            count = -(-len(data) // (mib * _MIB))
            name = wheel.name if count == 1 else f"{wheel.name}.{piece:02}of{count:02}"
            (folder / name).write_bytes(chunk)
    return number + 1


def gather(part: Path, wheels: Path) -> None:
    """Adds a part to a folder of wheels, and joins the pieces of each wheel once all of them are there."""
    wheels.mkdir(parents=True, exist_ok=True)
    for file in part.iterdir():
        shutil.copy2(file, wheels)
    for last in _pieces(wheels):
        count = last.suffix.partition("of")[2]
        pieces = sorted(wheels.glob(f"{last.stem}.[0-9][0-9]of{count}"))
        if last.exists() and len(pieces) == int(count):
            last.with_suffix("").write_bytes(b"".join(piece.read_bytes() for piece in pieces))
            for piece in pieces:
                piece.unlink()


def _pieces(wheels: Path) -> list[Path]:
    return sorted(wheels.glob("*.whl.[0-9][0-9]of[0-9][0-9]"))


def install(wheels: Path, site: Path) -> None:
    """Unpacks those wheels into a folder for the import path whose packages this interpreter lacks."""
    if (site / "ready").exists():
        return
    if pieces := _pieces(wheels):
        raise SystemExit(f"gather the other parts first: {pieces[0].name} is one of several pieces")
    present = {_key(found.name) for found in metadata.distributions()}
    missing = [
        str(one) for one in sorted(wheels.glob("*.whl")) if _key(one.name.split("-")[0]) not in present
    ]
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-compile"]
    subprocess.run([*pip, "--upgrade", "--target", str(site), *missing], check=True)
    (site / "ready").touch()


def _key(name: str) -> str:
    return name.lower().replace("_", "-")
