"""A device that candidates are measured on: what to compile for, how to reach it, which machine it is."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from autotune.host import cpu_facts, cpu_target, usable_cores
from autotune.processor import cpu_model
from search_spaces.errors import Misuse
from search_spaces.target import Target
from tuning_logs.device_fingerprint import DeviceFingerprint

_KNOWN = "'local' or 'local?threads=N'"
_LATER = ("rpc", "cuda", "rocm", "opencl", "vulkan", "metal")


@dataclass(frozen=True)
class Device:
    """Where artifacts run.

    connection:     the URL it was made from, e.g. "local?threads=1";
    price_per_hour: in whatever money the user counts, None where it costs nothing to speak of.
    """

    name: str
    target: Target
    connection: str
    fingerprint: DeviceFingerprint
    price_per_hour: float | None = None

    @property
    def threads(self) -> int:
        """How many threads a kernel may use: the target's num-cores."""
        return int(str(self.target.attr("num-cores") or 1))


def local_device(threads: int | None = None) -> Device:
    """This machine's CPU; threads: by default as many as it has usable cores.

    Raises Misuse where threads is not positive, or more than there are cores.
    """
    cores = usable_cores()
    if threads is not None and not 1 <= threads <= cores:
        raise Misuse(f"expected 1 to {cores} threads, one for each usable core; found {threads}")
    connection = "local" if threads is None else f"local?threads={threads}"
    threads = threads or cores
    fingerprint = DeviceFingerprint(cpu_model(), cpu_facts(threads))
    return Device("local", cpu_target(threads), connection, fingerprint)


def parse_device(url: str) -> Device:
    """The device that a URL names: `local`, or `local?threads=N`. Raises Misuse for everything else."""
    parts = urlsplit(url)
    scheme = parts.scheme or parts.path.partition(":")[0]
    if scheme in _LATER:
        raise Misuse(f"{scheme!r} devices cannot be measured on yet; expected {_KNOWN}, found {url!r}")
    if parts.scheme or parts.netloc or parts.fragment or parts.path != "local":
        raise Misuse(f"expected a device such as {_KNOWN}, found {url!r}")
    options = parse_qs(parts.query, keep_blank_values=True)
    unknown = sorted(set(options) - {"threads"})
    if unknown or (parts.query and not options):
        found = ", ".join(unknown) or parts.query
        raise Misuse(f"a local device has one option, threads; found {found!r} in {url!r}")
    if not options:
        return local_device()
    count = options["threads"][-1]
    if not count.isascii() or not count.isdigit():
        raise Misuse(f"expected a number of threads, as in 'local?threads=1'; found {count!r}")
    return local_device(int(count))
