"""The manifest of a farm for Kubernetes: KubeRay's RayCluster, and the RayJob that runs on it."""

from __future__ import annotations

import json
from typing import Any, Final

from autotune.cluster.farm_file import Farm, MachineGroup

_VERSION: Final = "ray.io/v1"
_CLIENT_PORT: Final = 10001
_FOLDER: Final = "/work"


def manifest(farm: Farm, ray_version: str) -> list[dict[str, Any]]:
    """The documents of a farm: its cluster, and its job.

    The head compiles nothing, so that it can coordinate; every pod has as much as it asks for and no more. Clients and
    nodes need the cluster's token.
    """
    cluster = {
        "apiVersion": _VERSION,
        "kind": "RayCluster",
        "metadata": {"name": farm.name, "namespace": farm.namespace},
        "spec": {
            "rayVersion": ray_version,
            "authOptions": {"mode": "token", "secretName": farm.token_secret},
            "headGroupSpec": {
                "rayStartParams": {"num-cpus": "0", "dashboard-host": "0.0.0.0"},
                "template": _pod(farm, "head", {"cpu": "2", "memory": "8Gi"}),
            },
            "workerGroupSpecs": [_workers(farm, group) for group in farm.groups],
        },
    }
    job = {
        "apiVersion": _VERSION,
        "kind": "RayJob",
        "metadata": {"name": f"{farm.name}-job", "namespace": farm.namespace},
        "spec": {
            # It runs on the head, beside the cluster's port for clients.
            "entrypoint": f"autotune run {_FOLDER}/{farm.job} --workers ray://127.0.0.1:{_CLIENT_PORT}",
            "clusterSelector": {"ray.io/cluster": farm.name},
            # The same command goes on from the log.
            "backoffLimit": 10,
        },
    }
    return [cluster, job]


def _workers(farm: Farm, group: MachineGroup) -> dict[str, Any]:
    limits = {"cpu": str(group.cpus), "memory": f"{group.memory_gb}Gi"}
    if group.gpus:
        limits["nvidia.com/gpu"] = str(group.gpus)
    # KubeRay pastes it into a command line, where it is one word in quotes.
    resources = {"resources": json.dumps(json.dumps(group.resources))} if group.resources else {}
    template = _pod(farm, "worker", limits)
    if group.node_labels:
        template["spec"]["nodeSelector"] = dict(group.node_labels)
    return {
        "groupName": group.name,
        "replicas": group.count,
        "minReplicas": group.count,
        "maxReplicas": group.count,
        "rayStartParams": {"num-cpus": str(group.cpus), **resources},
        "template": template,
    }


def _pod(farm: Farm, role: str, limits: dict[str, str]) -> dict[str, Any]:
    container = {
        "name": f"ray-{role}",
        "image": farm.image,
        "resources": {"requests": dict(limits), "limits": dict(limits)},
        "env": [
            {"name": "RAY_USAGE_STATS_ENABLED", "value": "0"},
            # By default workers give way to Ray's own processes, also while they measure.
            {"name": "RAY_worker_niceness", "value": "0"},
            # Ray's server for clients forks while its threads are in gRPC, which gRPC's own handlers make worse.
            {"name": "GRPC_ENABLE_FORK_SUPPORT", "value": "0"},
        ],
        "volumeMounts": [{"name": "work", "mountPath": _FOLDER}],
    }
    volume = {"name": "work", "persistentVolumeClaim": {"claimName": farm.volume}}
    return {"spec": {"containers": [container], "volumes": [volume]}}
