"""What is wrong with a Kubernetes manifest, as the API itself would say: its own schema, without a cluster."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import kubernetes_validate
import yaml

OLDEST: Final = "1.25"
NEWEST: Final = kubernetes_validate.latest_version()
"""The releases whose schemas are asked; examples must do for both."""

_PADDLE_JOB: Final = "PaddleJob"
_OF_PADDLE_JOB: Final = {"intranet", "cleanPodPolicy", "withGloo", "ps", "worker"}
_OF_PART: Final = {"replicas", "template"}
"""What we say of the fields of Paddle's operator (api/v1/paddlejob_types.go of PaddleFlow/paddle-operator)."""

_LABEL: Final = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
"""RFC 1035, which services need: a dot is none of it."""


def documents(text: str) -> Mapping[str, Any]:
    """Return the documents of a manifest by kind."""
    return {document["kind"]: document for document in yaml.safe_load_all(text)}


def problems(text: str) -> list[str]:
    """Return what the API would refuse: unknown fields, wrong types, names that are none, selectors that miss."""
    return [problem for document in documents(text).values() for problem in _problems(document)]


def pods(document: Mapping[str, Any]) -> list[Any]:
    """Return the pods that a document has made, as their templates."""
    spec = document["spec"]
    holders = [spec, spec.get("ps", {}), spec.get("worker", {})]
    return [holder["template"] for holder in holders if "template" in holder]


def _problems(document: Mapping[str, Any]) -> Iterator[str]:
    if document["kind"] == _PADDLE_JOB:
        yield from _problems_of_paddle_job(document)
        known = [{"apiVersion": "v1", "kind": "Pod", "metadata": {}, **pod} for pod in pods(document)]
    else:
        known = [dict(document)]
    for each in known:
        for release in (OLDEST, NEWEST):
            try:
                kubernetes_validate.validate(each, release, strict=True)
            except kubernetes_validate.ValidationError as error:
                yield f"{document['kind']} {release}: {error.message}"
    for name in _names(document):
        if not _LABEL.fullmatch(name):
            yield f"{document['kind']}: {name!r} is no DNS label"


def _problems_of_paddle_job(document: Mapping[str, Any]) -> Iterator[str]:
    """Tell what the operator would not know: Kubernetes' schemas do not know the operator."""
    spec = document["spec"]
    parts = {name: spec[name] for name in ("ps", "worker") if name in spec}
    unknown = (spec.keys() - _OF_PADDLE_JOB).union(*(part.keys() - _OF_PART for part in parts.values()))
    yield from (f"PaddleJob: {name!r} is not a field" for name in sorted(unknown))
    if document["apiVersion"] != "batch.paddlepaddle.org/v1":
        yield f"PaddleJob: {document['apiVersion']!r} is not its API"
    if spec["intranet"] not in {"PodIP", "Service", "Host"} or spec.get("withGloo", 0) not in {0, 1, 2}:
        yield f"PaddleJob: intranet {spec['intranet']!r}, withGloo {spec.get('withGloo')!r}"
    yield from (f"PaddleJob: {name} has no replicas" for name, part in parts.items() if "replicas" not in part)


def _names(document: Mapping[str, Any]) -> Iterator[str]:
    metadata = document["metadata"]
    yield metadata.get("name") or metadata["generateName"].removesuffix("-")
    for pod in pods(document):
        yield from (container["name"] for container in pod["spec"]["containers"])
        yield from (volume["name"] for volume in pod["spec"].get("volumes", ()))
