"""URLs of devices, as in `local?threads=4` or `rpc://host:9190/pi4?target=…`, read into devices."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, parse_qs

from autotune.devices.connection import BOARD_SCHEMES, Cuda, OpenCl, Rpc, parse_connection, split_url
from autotune.devices.device import Device, cuda_device, local_device, opencl_device, remote_device
from search_spaces.errors import AutotuneError, Misuse
from search_spaces.target import Target

_KNOWN = (
    "'local', 'local?threads=N', 'local?mcpu=haswell', 'cuda:0?target=nvidia/nvidia-a100', 'opencl:0', "
    "'rpc://host:port/key?target=llvm -mtriple=…', 'rpcs://…&identity=FOLDER' or 'ssh://user@host/key?target=…'"
)
_LATER = ("rocm", "vulkan", "metal", "webgpu")
_RPC_OPTIONS = ("target", "linker")
_ROUTE_OPTIONS: dict[str, tuple[str, ...]] = {
    "rpc": (),
    "rpcs": ("identity",),
    "ssh": ("identity", "tracker"),
}


def parse_device(url: str) -> Device:
    """The device that a URL names: `local`, `local?threads=N&mcpu=NAME`, or boards behind a tracker, with their target:
    `rpc://host:port/key?target=llvm -mtriple=aarch64-linux-gnu`, with `&linker=COMMAND` if need be. Behind TLS it is
    `rpcs://…&identity=FOLDER`; `ssh://user@host/key?target=…` takes ssh to the machine of a tracker that listens on its
    loopback, at `&tracker=HOST:PORT` if not at 9190.

    Raises Misuse for everything else, and AutotuneError where no board is registered.
    """
    parts = split_url(url)
    scheme = parts.scheme or parts.path.partition(":")[0]
    if scheme in _LATER:
        raise Misuse(
            f"{scheme!r} devices cannot be measured on yet; expected {_KNOWN}, found {url!r}", code="AT401"
        )
    if scheme == "ray":
        raise AutotuneError(
            f"expected workers that reach {str(parse_connection(url))!r}, a device of a cluster; found none: add "
            '--workers ray://host:10001, or workers = "ray://host:10001" to the job file',
            code="AT751",
        )
    if scheme == "cuda":
        return _parse_cuda(url, parts)
    if scheme == "opencl":
        return _parse_opencl(url, parts)
    if scheme in BOARD_SCHEMES:
        return _parse_rpc(url, parts)
    if parts.scheme or parts.netloc or parts.fragment or parts.path != "local":
        raise Misuse(f"expected a device such as {_KNOWN}, found {url!r}", code="AT401")
    return _parse_local(url, parts)


def _parse_local(url: str, parts: SplitResult) -> Device:
    options = parse_qs(parts.query, keep_blank_values=True)
    unknown = sorted(set(options) - {"threads", "mcpu"})
    if unknown or (parts.query and not options):
        found = ", ".join(unknown) or parts.query
        raise Misuse(
            f"a local device has the options threads and mcpu; found {found!r} in {url!r}", code="AT401"
        )
    threads = options["threads"][-1] if "threads" in options else None
    if threads is not None and not re.fullmatch("[0-9]{1,9}", threads):
        raise Misuse(
            f"expected a number of threads, as in 'local?threads=1'; found {threads!r}", code="AT401"
        )
    return local_device(None if threads is None else int(threads), options.get("mcpu", [None])[-1])


def _parse_opencl(url: str, parts: SplitResult) -> Device:
    options = parse_qs(parts.query, keep_blank_values=True)
    if set(options) - {"target"} or (parts.query and not options):
        raise Misuse(
            "an OpenCL device has one option, target, as in 'opencl:0?target=opencl -device=mali "
            f"-max_threads_per_block=256'; found {url!r}",
            code="AT401",
        )
    via = parse_connection(url)
    assert isinstance(via, OpenCl)
    return opencl_device(via.index, Target.parse(options["target"][-1]) if options else None)


def _parse_cuda(url: str, parts: SplitResult) -> Device:
    options = parse_qs(parts.query, keep_blank_values=True)
    mistake = (
        "expected a GPU with its number and TVM's tag for it, as in 'cuda:0?target=nvidia/nvidia-a100'; "
        f"found {url!r}"
    )
    if set(options) != {"target"}:
        raise Misuse(mistake, code="AT401")
    try:
        via = parse_connection(url)
    except Misuse as error:
        raise Misuse(mistake, code="AT401") from error
    assert isinstance(via, Cuda)
    return cuda_device(via.index, Target.parse(options["target"][-1]))


def _parse_rpc(url: str, parts: SplitResult) -> Device:
    options = parse_qs(parts.query, keep_blank_values=True)
    unknown = sorted(set(options) - {*_RPC_OPTIONS, *_ROUTE_OPTIONS[parts.scheme]})
    key = parts.path.removeprefix("/")
    if unknown or not key or "/" in key or parts.fragment:
        found = f"option {unknown[0]!r}" if unknown else repr(url)
        raise Misuse(
            f"expected boards as in 'rpc://127.0.0.1:9190/pi4?target=llvm -mtriple=aarch64-linux-gnu', found {found}",
            code="AT401",
        )
    if "target" not in options:
        raise Misuse(
            f"a board's target must be named, as in '{url}{'&' if parts.query else '?'}target=llvm "
            f"-mtriple=aarch64-linux-gnu -mcpu=cortex-a72'; found none",
            code="AT401",
        )
    linker = options["linker"][-1] if "linker" in options else None
    via = parse_connection(url)
    assert isinstance(via, Rpc)
    return remote_device(via, Target.parse(options["target"][-1]), linker)
