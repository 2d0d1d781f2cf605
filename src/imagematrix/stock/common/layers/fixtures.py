"""What the checks of all layers share: how the machine that they are given is started."""

from collections.abc import Mapping

import pytest
from testinfra.host import Host

from imagematrix.testing import Image


@pytest.fixture(scope="session")
def machine_settings(host: Host, image: Image, row: Mapping[str, str]) -> Mapping[str, str]:
    """Give a password, a key and a token.

    `host` has the key, at /dev/shm/key: it is the other machine, from which one logs in. TensorBoard does not run,
    which takes seconds of a processor to start: `restricted` has it.
    """
    services = ["ssh"] * ("run_as" not in row) + ["jupyter"] * ("notebook" in image.layers)
    host.check_output("ssh-keygen -q -t ed25519 -N '' -f /dev/shm/key")
    return {
        "ROOT_PASSWORD": "correct horse",  # of a container that lives for a minute
        "SSH_AUTHORIZED_KEYS": host.check_output("cat /dev/shm/key.pub"),
        "JUPYTER_TOKEN": "sesame",
        "SERVICES": ",".join(services) or "auto",
    }
