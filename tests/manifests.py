"""What is wrong with a Kubernetes manifest, as the API itself would say: its own schema, without a cluster."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import kubernetes_validate
import yaml

OLDEST: Final = "1.25"
NEWEST: Final = kubernetes_validate.latest_version()
"""The releases whose schemas are asked; examples must do for both."""

_LABEL: Final = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
"""RFC 1035, which services need: a dot is none of it."""


def documents(text: str) -> Mapping[str, Any]:
    """Return the documents of a manifest by kind."""
    return {document["kind"]: document for document in yaml.safe_load_all(text)}


def problems(text: str) -> list[str]:
    """Return what the API would refuse: unknown fields, wrong types, names that are none, selectors that miss."""
    return [problem for document in documents(text).values() for problem in _problems(document)]


def _problems(document: Mapping[str, Any]) -> Iterator[str]:
    for release in (OLDEST, NEWEST):
        try:
            kubernetes_validate.validate(document, release, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"{document['kind']} {release}: {error.message}"
    for name in _names(document):
        if not _LABEL.fullmatch(name):
            yield f"{document['kind']}: {name!r} is no DNS label"


def _names(document: Mapping[str, Any]) -> Iterator[str]:
    metadata = document["metadata"]
    yield metadata.get("name") or metadata["generateName"].removesuffix("-")
    if "template" in document["spec"]:
        pod = document["spec"]["template"]["spec"]
        yield from (container["name"] for container in pod["containers"])
        yield from (volume["name"] for volume in pod.get("volumes", ()))
