"""The Docker Engine: which one answers, its images, containers and build cache. The only home of the docker SDK.

The SDK cannot build with BuildKit; builds are `buildx`'s. Both must talk to one engine, so `Engine.environment`
says what a docker client has to be given to reach the same one.
"""

from imagematrix.engine.containers import Container, ContainerSpec
from imagematrix.engine.discovery import Engine, EngineFacts, buildx_command, connect, docker_command

__all__ = [
    "Container",
    "ContainerSpec",
    "Engine",
    "EngineFacts",
    "buildx_command",
    "connect",
    "docker_command",
]
