"""The program that serves a device to a tracker; on a board it is run by path, with NumPy and TVM's runtime alone.

python autotune/boards/program.py --tracker 192.168.1.5:9190 --key pi4 --listen 192.168.1.7:9090 --identity board-pi4
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import signal
import sys
import time
import types
from pathlib import Path
from typing import Any

INSECURE = "--insecure-let-anyone-run-programs"
WARNING = "without --identity, whoever reaches this port runs programs here: there is no authentication, no encryption"


def _open_packages() -> None:
    # A board has NumPy alone: the packages' own imports would fail there.
    for name in ("autotune", "search_spaces"):
        package = types.ModuleType(name)
        package.__path__ = [str(Path(__file__).parents[2] / name)]
        sys.modules[name] = package


def _say(line: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {_visible(line)}\n")
    sys.stderr.flush()


def _visible(text: str) -> str:
    """The text with escapes in place of control characters, which keys and devices may bring to the terminal."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def _leave(_signal: int, _frame: object) -> None:
    # A session under way ends with its parent.
    os._exit(0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Serve this device to an RPC tracker.", epilog=WARNING)
    parser.add_argument("--tracker", required=True, metavar="HOST:PORT")
    parser.add_argument("--key", required=True, help="what boards like this one are called")
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="HOST:PORT", help="default: loopback")
    parser.add_argument(
        "--identity", type=Path, metavar="FOLDER", help="of this board, as autotune keys board makes it: TLS"
    )
    parser.add_argument(INSECURE, action="store_true", help="listen beyond loopback without an identity")
    parser.add_argument(
        "--threads", type=int, default=None, help="default: as many as this process may run at once"
    )
    parser.add_argument(
        "--gpu", type=int, default=None, help="serve this NVIDIA GPU, as the driver counts them"
    )
    parser.add_argument(
        "--opencl", type=int, default=None, help="serve this OpenCL device, as clinfo counts them"
    )
    parser.add_argument("--memory-mib", type=int, default=None, help="of a session; default: half of all")
    return parser


def _cpu_facts(processor: types.ModuleType, allowance: Any, threads: int) -> dict[str, Any]:
    caches = processor.cache_bytes()
    return {
        "cpu_model": processor.cpu_model(),
        "isa": platform.machine(),
        "cores": os.cpu_count(),
        "threads": threads,
        "l1d_bytes": caches.get((1, "Data")),
        "l2_bytes": caches.get((2, "Unified")),
        "l3_bytes": caches.get((3, "Unified")),
        "memory_bytes": processor.memory_bytes(),
        **allowance.limiting_facts(threads),
        **({"emulated": True} if processor.is_emulated() else {}),
    }


def _entrance(entrances: types.ModuleType, listen: Any, options: argparse.Namespace) -> tuple[Any, Any]:
    """The entrance and the route to the tracker that the options name."""
    routes = importlib.import_module("autotune.transport.route")
    identities = importlib.import_module("autotune.transport.identity")
    insists = options.insecure_let_anyone_run_programs
    identity = None if options.identity is None else identities.read_identity(options.identity)
    entrances.require_protection(listen, identity, None if insists else INSECURE)
    if identity is None:
        _say(WARNING)
        return entrances.PlainEntrance(listen), routes.DIRECT
    return entrances.GuardedEntrance(listen, identity, _say), routes.Route(options.identity)


def main(arguments: list[str]) -> None:
    """Serves until it is killed. Exits with 1 where it cannot."""
    options = _parser().parse_args(arguments)
    _open_packages()
    allowance = importlib.import_module("autotune.machine.allowance").read_allowance()
    threads = options.threads or allowance.threads
    os.environ |= importlib.import_module("autotune.workers.threads").kernel_threads(threads)
    if options.gpu is not None:
        os.environ |= {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": str(options.gpu)}
    processor = importlib.import_module("autotune.devices.processor")
    session = importlib.import_module("autotune.boards.session")
    server = importlib.import_module("autotune.boards.server")
    entrances = importlib.import_module("autotune.boards.entrance")
    connection = importlib.import_module("autotune.devices.connection")
    tracker = importlib.import_module("autotune.devices.rpc_tracker")
    limit_bytes = (options.memory_mib << 20) if options.memory_mib else allowance.memory_bytes // 2
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    try:
        listen = tracker.parse_address(options.listen)
        # The gate is forked before there are threads.
        entrance, route = _entrance(entrances, listen, options)
        libraries = session.load_runtime()
        # Timings on a GPU are the GPU's, whichever machine it is in.
        if options.opencl is not None:
            facts = session.ask_for_opencl(options.opencl)
        elif options.gpu is not None:
            facts = session.ask_for_gpu()
        else:
            facts = _cpu_facts(processor, allowance, threads)
        served = server.BoardServer(
            connection.Rpc(tracker.parse_address(options.tracker), options.key, route),
            entrance,
            facts,
            limit_bytes,
            _say,
        )
    except Exception as error:  # noqa: BLE001 - the end of the program, whatever it is
        sys.exit(f"autotune: {_visible(str(error))}")
    what = facts.get("gpu_name") or f"{facts['cpu_model']}, {threads} thread{'' if threads == 1 else 's'}"
    _say(f"{what}, {len(libraries)} runtime libraries")
    try:
        served.serve_for_ever()
    except server.EntranceClosed as error:
        sys.exit(f"autotune: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
