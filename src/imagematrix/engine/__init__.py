"""The Docker Engine: which one answers, its images, containers and build cache. The only home of the docker SDK.

The SDK cannot build with BuildKit; builds are `buildx`'s. Both must talk to one engine, so `Engine.environment`
says what a docker client has to be given to reach the same one.
"""

from imagematrix.engine.containers import Container, ContainerSpec
from imagematrix.engine.discovery import Engine, EngineFacts, buildx_command, connect, docker_command
from imagematrix.engine.images import KEY_LABEL, ROW_LABEL, EngineImage, doubts, named, node_ref, nodes

__all__ = [
    "KEY_LABEL",
    "ROW_LABEL",
    "Container",
    "ContainerSpec",
    "Engine",
    "EngineFacts",
    "EngineImage",
    "buildx_command",
    "connect",
    "docker_command",
    "doubts",
    "named",
    "node_ref",
    "nodes",
]
