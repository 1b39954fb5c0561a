"""Makes an ARM board out of this machine: a folder with arm64 Python and TVM's runtime, to be run by qemu-user-static.

    python scripts/emulated_arm.py ~/.cache/autotune/arm64
    python scripts/emulated_arm.py ~/.cache/autotune/arm64 -- \
        autotune/boards/program.py --tracker 127.0.0.1:9190 --key arm

Packages come from apt and pip as they are set up on this machine, by name; nothing is installed outside the folder.
Needs apt-get, dpkg-deb, pip, and qemu-user-static to run the board.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

QEMU = "qemu-aarch64-static"
DEBIAN = [
    "python3.11-minimal",
    "libpython3.11-minimal",
    "libpython3.11-stdlib",
    "libc6",
    "libstdc++6",
    "libgcc-s1",
    "libgomp1",
    "zlib1g",
    "libssl3",
    "libffi8",
    "libexpat1",
    "libbz2-1.0",
    "liblzma5",
    "libuuid1",
    "libcrypt1",
]
WHEELS = ("numpy==1.26.4", "apache-tvm==0.27.0.post1", "apache-tvm-ffi==0.1.14.post1", "typing_extensions")
PLATFORMS = (
    "manylinux2014_aarch64",
    "manylinux_2_17_aarch64",
    "manylinux_2_24_aarch64",
    "manylinux_2_28_aarch64",
)
# The compiler stays at home; a board needs the runtime.
SUPERFLUOUS = ("tvm/lib/libtvm_compiler.so", "tvm/lib/libtvm_runtime_cuda.so", "tvm/include", "tvm/3rdparty")
STAMP = "complete"


def command(folder: Path) -> list[str]:
    """The command that runs the board's Python. Raises SystemExit where there is no emulator."""
    if shutil.which(QEMU) is None:
        raise SystemExit(f"expected {QEMU} on the PATH, found none; apt-get install qemu-user-static")
    environment = {"PYTHONHOME": folder / "usr", "PYTHONPATH": folder / "site"}
    settings = [word for name, value in environment.items() for word in ("-E", f"{name}={value}")]
    return [QEMU, "-L", str(folder), *settings, str(folder / "usr/bin/python3.11"), "-P"]


def build(folder: Path) -> Path:
    """Fills the folder unless that was done before; a folder half filled is not left behind."""
    if (folder / STAMP).exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        root = Path(scratch, "root")
        _unpack_debian(root, Path(scratch))
        _unpack_wheels(root / "site", Path(scratch, "wheels"))
        (root / STAMP).touch()
        shutil.rmtree(folder, ignore_errors=True)
        root.rename(folder)
    return folder


def _unpack_debian(root: Path, scratch: Path) -> None:
    """apt with lists of its own, of another architecture: the machine's are not touched."""
    for name in ("state/lists/partial", "cache/archives/partial", "debs"):
        (scratch / name).mkdir(parents=True)
    settings = scratch / "apt.conf"
    settings.write_text(
        'APT::Architecture "arm64";\nAPT::Architectures { "arm64"; };\n'
        f'Dir::State "{scratch}/state";\nDir::State::status "/dev/null";\nDir::Cache "{scratch}/cache";\n'
        'APT::Sandbox::User "root";\n'
    )
    environment = {**os.environ, "APT_CONFIG": str(settings)}
    for arguments in (["update", "-qq"], ["download", "-qq", *DEBIAN]):
        subprocess.run(["apt-get", *arguments], cwd=scratch / "debs", env=environment, check=True)
    for package in (scratch / "debs").glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", str(package), str(root)], check=True)


def _unpack_wheels(site: Path, wheels: Path) -> None:
    platforms = [word for name in PLATFORMS for word in ("--platform", name)]
    abis = [word for name in ("cp311", "abi3", "none") for word in ("--abi", name)]
    fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    fetch += [*platforms, *abis, "--python-version", "3.11", "--implementation", "cp"]
    subprocess.run([*fetch, "--dest", str(wheels), *WHEELS], check=True)
    for wheel in wheels.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)
    for name in SUPERFLUOUS:
        path = site / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def main() -> None:
    """Builds the folder, and runs a program on the board if one is named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("program", nargs="*", help="a program for the board's Python, and its arguments")
    options = parser.parse_args()
    folder = build(options.folder.absolute())
    if options.program:
        arguments = [*command(folder), *options.program]
        os.execvp(arguments[0], arguments)
    sys.stdout.write(f"{folder}\n")


if __name__ == "__main__":
    main()
