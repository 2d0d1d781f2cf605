"""Names a registry, the engine and a Dockerfile accept."""

import ipaddress
import re
from typing import Final

# The grammar of github.com/distribution/reference (reference.go, regexp.go), which the engine and
# registries share: path components are lower case, a name has at most 255 characters.
COMPONENT: Final = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*")
"""What is one component of an image's name."""
_HOST: Final = re.compile(
    r"(?:\[[0-9a-fA-F:]+\]|[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*)(?::\d+)?",
)
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
# BuildKit: validStageName and reservedStageNames of frontend/dockerfile/instructions/parse.go.
STAGE: Final = re.compile(r"[a-z][a-z0-9_.-]*")
"""What a Dockerfile accepts as the name of a stage."""
_RESERVED_STAGES: Final = ("context", "scratch")
# Jinja and tag patterns take these as names; `a-b` would be a subtraction.
VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""What templates and tag patterns can use as a variable."""

COMPONENT_RULE: Final = "lower case letters and digits, parted by one '.', one or two '_' or any number of '-'"
TAG_RULE: Final = "a tag has 1 to 128 of A-Z a-z 0-9 _ . - and begins with none of . -"
IMAGE_RULE: Final = 'expected "[host/]name[:tag][@sha256:digest]"'
REPOSITORY_RULE: Final = f'expected "host[:port]/path", the path {COMPONENT_RULE}'
VARIABLE_RULE: Final = "letters, digits and '_', not beginning with a digit: templates use it as a variable"

_LONGEST_NAME: Final = 255
SCRATCH: Final = "scratch"
"""What a FROM line names where an image begins with nothing: no registry has it."""
HUB: Final = "docker.io"
"""The registry of names that say none."""


def is_component(name: str) -> bool:
    """Whether a registry accepts this as one component of an image's name."""
    return COMPONENT.fullmatch(name) is not None


def is_repository(name: str) -> bool:
    """Whether this names a place for images: `[host[:port]/]component[/component…]`."""
    host, *components = name.split("/")
    if not _is_host(host):
        components = [host, *components]
    elif not _HOST.fullmatch(host):
        return False
    return len(name) <= _LONGEST_NAME and all(map(is_component, components))


def _is_host(first: str) -> bool:
    # reference.splitDockerDomain: without one of these, the first component is a Docker Hub user.
    return "." in first or ":" in first or first == "localhost"


def host(image: str) -> str:
    """Return the registry that an image's name leads to."""
    first, slash, _ = image.partition("/")
    return first if slash and _is_host(first) else HUB


def path(image: str) -> str:
    """Return an image's name within its registry; Docker Hub keeps its own images in a place of their own."""
    within = image.removeprefix(f"{host(image)}/")
    return within if "/" in within or host(image) != HUB else f"library/{within}"


def split(image: str) -> tuple[str, str]:
    """Return the repository and the tag of an image's name without a digest; `latest` where it names no tag."""
    colon = image.find(":", image.rfind("/") + 1)
    return (image, "latest") if colon < 0 else (image[:colon], image[colon + 1 :])


def is_host(name: str) -> bool:
    """Whether this names a host: `host[:port]`."""
    return _HOST.fullmatch(name) is not None


def is_loopback(host: str) -> bool:
    """Whether a host, without a port, is this machine and no other can reach it: also 127.0.0.2 and [::1]."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_tag(tag: str) -> bool:
    """Whether docker accepts this as a tag."""
    return _TAG.fullmatch(tag) is not None


def is_digest(digest: str) -> bool:
    """Whether this is a sha256 digest."""
    return _DIGEST.fullmatch(digest) is not None


def is_image(reference: str) -> bool:
    """Whether an engine can pull this: `repository[:tag][@digest]`."""
    name, at, digest = reference.partition("@")
    repository, tag = split(name)
    return is_repository(repository) and is_tag(tag) and (not at or is_digest(digest))


def is_stage(name: str) -> bool:
    """Whether a Dockerfile accepts this as the name of a stage."""
    return STAGE.fullmatch(name) is not None and name not in _RESERVED_STAGES


def is_variable(name: str) -> bool:
    """Whether templates and tag patterns can use this as a variable."""
    return VARIABLE.fullmatch(name) is not None
