"""The file of a farm for `ray up`: machines that are reached by SSH."""

from __future__ import annotations

import json
import shlex
from typing import Any

from autotune.cluster.farm_file import Farm
from search_spaces.errors import Misuse


def ray_up(farm: Farm) -> dict[str, Any]:
    """The cluster file of a farm's machines. Raises Misuse where one is described without its address."""
    missing = [group.name for group in farm.groups if not group.hosts]
    if missing or not farm.head or not farm.ssh_user:
        wanted = [f"hosts of {name}" for name in missing]
        wanted += [f"ssh.{key}" for key, value in (("head", farm.head), ("user", farm.ssh_user)) if not value]
        raise Misuse(
            f"expected the addresses of all machines for ray up, found no {', '.join(wanted)}; add them, or render for "
            "Kubernetes alone with --for kubernetes",
            code="AT755",
        )
    hosts = [host for group in farm.groups for host in group.hosts]
    auth = {"ssh_user": farm.ssh_user} | ({"ssh_private_key": farm.ssh_key} if farm.ssh_key else {})
    return {
        "cluster_name": farm.name,
        "provider": {"type": "local", "head_ip": farm.head, "worker_ips": hosts},
        "auth": auth,
        "max_workers": len(hosts),
        "setup_commands": list(farm.setup),
        "head_start_ray_commands": [
            "ray stop",
            # See the manifest for gRPC's variable and the workers' priority.
            "RAY_AUTH_MODE=token GRPC_ENABLE_FORK_SUPPORT=0 ray start --head --num-cpus=0 --port=6379 "
            "--ray-client-server-port=10001 --autoscaling-config=~/ray_bootstrap_config.yaml --disable-usage-stats",
        ],
        "worker_start_ray_commands": [
            "ray stop",
            f"{_resources(farm)}; RAY_AUTH_MODE=token RAY_worker_niceness=0 ray start "
            '--address="$RAY_HEAD_IP:6379" --resources="$RESOURCES" --disable-usage-stats',
        ],
    }


def _resources(farm: Farm) -> str:
    """A command of the shell that finds the resources of the machine that it runs on, by its address."""
    cases = [
        f'*" {host} "*) RESOURCES={shlex.quote(json.dumps(group.resources))};;'
        for group in farm.groups
        for host in group.hosts
    ]
    return f'case " $(hostname -I) $(hostname) " in {" ".join(cases)} *) RESOURCES={shlex.quote("{}")};; esac'
