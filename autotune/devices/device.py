"""Devices that candidates are measured on: their targets, connections and fingerprints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autotune.devices.connection import (
    Clustered,
    Connection,
    Cuda,
    OpenCl,
    Rpc,
    parse_connection,
)
from autotune.devices.gpu_facts import Facts, gpu_facts, opencl_facts
from autotune.devices.host import check_runnable, cpu_facts, cpu_target
from autotune.devices.opencl.runtime import load_opencl
from autotune.devices.processor import cpu_model
from autotune.devices.rpc_tracker import registered_boards
from autotune.machine.allowance import read_allowance
from search_spaces.errors import AutotuneError, Misuse
from search_spaces.target import Target
from tuning_logs.records.device_fingerprint import DeviceFingerprint


@dataclass(frozen=True)
class Device:
    """A device that artifacts run on.

    connection:     the URL it was made from, e.g. "local?threads=1";
    price_per_hour: in the user's currency, None where it is not known;
    linker:         a C compiler driver that makes shared libraries for the target;
    notice:         a sentence for the user where this process may not use all that the device has, None elsewhere.
    """

    name: str
    target: Target
    connection: str
    fingerprint: DeviceFingerprint
    price_per_hour: float | None = None
    linker: str = "cc"
    notice: str | None = None

    @property
    def threads(self) -> int:
        """The number of threads of a kernel: the target's num-cores."""
        return int(str(self.target.attr("num-cores") or 1))

    @property
    def is_here(self) -> bool:
        """Whether it is a part of this machine, so that what is built for it runs here."""
        return not isinstance(self.via, Rpc | Clustered)

    @property
    def tvm_name(self) -> str:
        """TVM's name of the device in the machine that it is a part of, as in "cpu" or "cuda:0"."""
        return str(self.via) if isinstance(self.via, Cuda | OpenCl) else "cpu"

    @property
    def via(self) -> Connection:
        """The connection to the device."""
        return parse_connection(self.connection)


def local_device(threads: int | None = None, mcpu: str | None = None) -> Device:
    """This machine's CPU.

    threads: by default as many as this process may run at once (affinity, CPU quota); more are obeyed, with a notice.
    mcpu:    LLVM's name of another processor to compile for, as in haswell: what is found runs on older machines, too.

    Raises Misuse where threads is not positive, or more than the machine has processors, and where this processor
    lacks instructions of mcpu.
    """
    allowance = read_allowance()
    most = allowance.machine_processors
    if threads is not None and not 1 <= threads <= most:
        raise Misuse(
            f"expected 1 to {most} threads, one for each processor of this machine; found {threads}",
            code="AT402",
        )
    options = {"threads": threads, "mcpu": mcpu}
    query = "&".join(f"{name}={value}" for name, value in options.items() if value is not None)
    threads = threads or allowance.threads
    target = cpu_target(threads)
    if mcpu is not None:
        target = target.with_attr("mcpu", mcpu)
        check_runnable(target)
    fingerprint = DeviceFingerprint(cpu_model(), cpu_facts(threads, allowance))
    connection = f"local?{query}" if query else "local"
    return Device("local", target, connection, fingerprint, notice=allowance.notice(threads))


def remote_device(via: Rpc, target: Target, linker: str | None = None, name: str | None = None) -> Device:
    """The boards under a key at a tracker, which must be alike; their facts make the fingerprint.

    linker: by default the cross compiler of the target's triple, as in aarch64-linux-gnu-gcc; num-cores of the
    target: by default the threads that the boards were started with. Raises AutotuneError where no board is
    registered, Misuse where they differ or use another number of threads than the target.
    """
    key, facts = via.key, _common_facts(via)
    if target.is_gpu != ("gpu_name" in facts):
        served = facts.get("gpu_name") or facts.get("cpu_model")
        raise Misuse(
            f"expected a target for what the boards under {key!r} serve, {served}, found {target}; "
            "serve-device --gpu 0 serves a GPU",
            code="AT406",
        )
    if "gpu_name" in facts:
        return Device(name or key, target, str(via), DeviceFingerprint(str(facts["gpu_name"]), facts))
    threads = int(facts.get("threads") or 1)
    if target.attr("num-cores") is None:
        target = target.with_attr("num-cores", threads)
    if target.attr("num-cores") != threads:
        raise Misuse(
            f"the target {target} is for {target.attr('num-cores')} cores, and the boards under {key!r} run "
            f"kernels with {threads} threads; leave num-cores out, or restart them with --threads",
            code="AT406",
        )
    triple = target.attr("mtriple")
    fingerprint = DeviceFingerprint(str(facts.get("cpu_model") or key), facts)
    linker = linker or (f"{triple}-gcc" if triple else "cc")
    return Device(name or key, target, str(via), fingerprint, linker=linker)


def _common_facts(via: Rpc) -> Mapping[str, Any]:
    """The facts that all boards at a connection tell of themselves."""
    tracker, key = via.tracker, via.key
    boards = registered_boards(tracker, key, via.route)
    if not boards:
        raise AutotuneError(
            f"expected a board under {key!r} at the tracker {tracker}, found none; on the board, run "
            f"autotune serve-device --tracker {tracker} --key {key}",
            code="AT405",
        )
    facts = boards[0].facts
    unlike = [board for board in boards if board.facts != facts]
    if unlike:
        raise Misuse(
            f"boards under one key are alike, so that any of them may measure; found {facts} at "
            f"{boards[0].address} and {unlike[0].facts} at {unlike[0].address}; give them different keys",
            code="AT406",
        )
    return facts


def cuda_device(index: int, target: Target) -> Device:
    """An NVIDIA GPU of this machine; target: TVM's tag for it, which has the attributes that the search needs.

    Raises AutotuneError where there is no such GPU.
    """
    via, facts = Cuda(index), gpu_facts(index)
    if facts is None:
        raise AutotuneError(
            f"expected an NVIDIA GPU number {index} and its driver, found none; measure on another machine "
            "with autotune serve-device, or see what nvidia-smi says",
            code="AT407",
        )
    return Device(str(via), target, str(via), DeviceFingerprint(str(facts["gpu_name"]), facts))


def opencl_device(index: int, target: Target | None = None) -> Device:
    """An OpenCL device of this machine; target: by default with the limits that the device reports.

    Raises AutotuneError where there is no such device, or TVM's OpenCL runtime cannot be compiled.
    """
    load_opencl()
    via, facts = OpenCl(index), opencl_facts(index)
    if facts is None:
        raise AutotuneError(
            f"expected an OpenCL device number {index}, found none; install the driver of the GPU, or "
            "pocl-opencl-icd for the processor, and see what clinfo says",
            code="AT771",
        )
    fingerprint = DeviceFingerprint(str(facts["gpu_name"]), facts)
    return Device(str(via), target or _opencl_target(facts), str(via), fingerprint)


def _opencl_target(facts: Facts) -> Target:
    threads = int(facts["max_work_group_size"])
    limits = {
        "max_num_threads": threads,
        "max_threads_per_block": threads,
        "max_shared_memory_per_block": int(facts["local_memory_bytes"]),
    }
    return Target("opencl", tuple(limits.items()))
