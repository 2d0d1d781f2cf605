"""The packages that ModelArts' scripts import, in the versions that the row names."""

from collections.abc import Mapping

from testinfra.host import Host

MODULES = {"boto3": "boto3", "netifaces": "netifaces", "pyzmq": "zmq"}
"""Package -> what is imported of it."""


def test_its_packages_are_imported(host: Host, row: Mapping[str, str]) -> None:
    asked = [MODULES[pin.partition("==")[0]] for pin in row["tool_packages"].split()]
    assert host.run(f"python -c 'import {', '.join(asked)}'").succeeded
