"""The outer shape of KubeRay's custom resources (ray.io/v1), written by hand: names, types, and what must be there."""

from __future__ import annotations

from typing import Any

TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
COUNT: dict[str, Any] = {"type": "integer", "minimum": 0}
TEXTS: dict[str, Any] = {"type": "object", "additionalProperties": {"type": "string"}}
NAME: dict[str, Any] = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"}
QUANTITIES: dict[str, Any] = {
    "type": "object",
    "additionalProperties": {"type": "string", "pattern": "^[0-9]+([KMGTPE]i|m)?$"},
}


def table(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "properties": properties, "additionalProperties": False}


CONTAINER = table(
    ["name", "image"],
    name=NAME,
    image=TEXT,
    resources=table([], requests=QUANTITIES, limits=QUANTITIES),
    env={"type": "array", "items": table(["name"], name=TEXT, value={"type": "string"})},
    volumeMounts={"type": "array", "items": table(["name", "mountPath"], name=NAME, mountPath=TEXT)},
)
POD = table(
    ["spec"],
    metadata={"type": "object"},
    spec=table(
        ["containers"],
        containers={"type": "array", "minItems": 1, "items": CONTAINER},
        volumes={
            "type": "array",
            "items": table(["name"], name=NAME, persistentVolumeClaim=table(["claimName"], claimName=NAME)),
        },
        nodeSelector=TEXTS,
    ),
)
WORKERS = table(
    ["groupName", "maxReplicas", "minReplicas", "template"],
    groupName=NAME,
    replicas=COUNT,
    minReplicas=COUNT,
    maxReplicas=COUNT,
    rayStartParams=TEXTS,
    template=POD,
)
CLUSTER_SPEC = table(
    ["headGroupSpec"],
    rayVersion=TEXT,
    authOptions=table(["mode"], mode={"enum": ["disabled", "token"]}, secretName=NAME),
    headGroupSpec=table(["template"], rayStartParams=TEXTS, template=POD),
    workerGroupSpecs={"type": "array", "items": WORKERS},
)
JOB_SPEC = table(
    ["entrypoint"],
    entrypoint=TEXT,
    clusterSelector=TEXTS,
    rayClusterSpec=CLUSTER_SPEC,
    backoffLimit=COUNT,
)
METADATA = table(["name"], name=NAME, namespace=NAME)


def document(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    return table(
        ["apiVersion", "kind", "metadata", "spec"],
        apiVersion={"const": "ray.io/v1"},
        kind={"const": kind},
        metadata=METADATA,
        spec=spec,
    )


SCHEMA = {"oneOf": [document("RayCluster", CLUSTER_SPEC), document("RayJob", JOB_SPEC)]}
