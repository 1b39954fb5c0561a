"""The description of a farm: machines that compile, machines with devices, and the job that runs on them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from autotune.devices.toml_file import Section, read_section

_NAME_CHARS = set("abcdefghijklmnopqrstuvwxyz0123456789-")


@dataclass(frozen=True, slots=True)
class MachineGroup:
    """Machines of one kind.

    device: the name of the device that each has, None of those that only compile; count: of machines; cpus, memory_gb,
    gpus: of each; compilers: candidates that each compiles at once, None for the default of `Node`'s layout;
    hosts: their addresses, for a cluster of machines that are reached by SSH; node_labels: of Kubernetes' nodes.
    """

    name: str
    device: str | None
    count: int
    cpus: int
    memory_gb: int
    gpus: int = 0
    compilers: int | None = None
    hosts: tuple[str, ...] = ()
    node_labels: tuple[tuple[str, str], ...] = ()

    @property
    def resources(self) -> dict[str, int]:
        """The resources that say what its machines do."""
        found = {} if self.device is None else {f"device:{self.device}": 1}
        return found if self.compilers is None else {**found, "autotune:compile": self.compilers}


@dataclass(frozen=True, slots=True)
class Farm:
    """A farm.

    image: of containers, with autotune[cluster] in it; job: the path of a job file in the volume; volume: the claim of
    a volume that holds jobs and logs; token_secret: of Kubernetes, with the token of the cluster; head: the address of
    the coordinator's machine, where all are reached by SSH, as ssh_user with ssh_key; setup: commands that install
    autotune there.
    """

    name: str
    image: str
    job: str
    groups: tuple[MachineGroup, ...]
    namespace: str = "default"
    volume: str = "autotune"
    token_secret: str = "ray-token"
    head: str = ""
    ssh_user: str = ""
    ssh_key: str = ""
    setup: tuple[str, ...] = ()


def read_farm(path: Path) -> Farm:
    """Reads the description of a farm. Raises Misuse with the line of each mistake."""
    top = read_section(path)
    ssh = top.section("ssh")
    farm = Farm(
        name=_name(top, "name", path.stem),
        image=_needed(top, "image", "a farm needs the image of its containers, with autotune[cluster] in it"),
        job=_needed(top, "job", "a farm needs the path of the job file in its volume"),
        groups=tuple(_group(section) for section in top.sections("machines")),
        namespace=_name(top, "namespace", "default"),
        volume=_name(top, "volume", "autotune"),
        token_secret=_name(top, "token_secret", "ray-token"),
        head=ssh.get("head", str, ""),
        ssh_user=ssh.get("user", str, ""),
        ssh_key=ssh.get("private_key", str, ""),
        setup=ssh.texts("setup", ()),
    )
    if not farm.groups:
        top.error("machines", "a farm has at least one [[machines]]; found none")
    names = [group.name for group in farm.groups]
    for number, name in enumerate(names):
        if name in names[:number]:
            top.complaints.add(("machines", number, "name"), f"two groups of machines are called {name!r}")
    ssh.reject_unknown_keys()
    top.reject_unknown_keys()
    top.complaints.raise_if_any()
    return farm


def _group(section: Section) -> MachineGroup:
    labels = section.section("node_labels")
    device = section.get("device", str, "")
    compilers = section.whole("compilers", -1, range(-1, 4097))
    group = MachineGroup(
        name=_name(section, "name", "machines"),
        device=device or None,
        count=section.whole("count", 1, range(1, 10_001)),
        cpus=section.whole("cpus", 1, range(1, 4097)),
        memory_gb=section.whole("memory_gb", 4, range(1, 65_537)),
        gpus=section.whole("gpus", 0, range(65)),
        compilers=None if compilers < 0 else compilers,
        hosts=section.texts("hosts", ()),
        node_labels=tuple((name, labels.get(name, str, "")) for name in labels.values),
    )
    if group.hosts and len(group.hosts) != group.count:
        section.error(
            "hosts", f"as many hosts as machines are needed, {group.count}; found {len(group.hosts)}"
        )
    section.reject_unknown_keys()
    return group


def _name(section: Section, key: str, default: str) -> str:
    name = section.get(key, str, default)
    if not name or set(name) - _NAME_CHARS or not (name[0] + name[-1]).isalnum() or len(name) > 50:
        section.error(
            key, f"{key} is made of up to 50 of a-z, 0-9 and -, as Kubernetes wants it; found {name!r}"
        )
        return default
    return name


def _needed(section: Section, key: str, message: str) -> str:
    text = section.get(key, str, "")
    if not text:
        section.error(key if key in section.values else None, f"{message}; found none")
    return text
