"""A check: what every image with the layer `motd` must pass. `invoke verify` runs it in a container."""

from collections.abc import Mapping

from testinfra.host import Host


def test_users_are_welcomed(host: Host, row: Mapping[str, str]) -> None:
    assert f"Python {row['python']}" in host.file("/etc/motd").content_string
