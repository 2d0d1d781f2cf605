"""What the checks of all layers share: how the machine that they are given is started."""

from collections.abc import Mapping

import pytest
from testinfra.host import Host

from imagematrix.testing import Image


@pytest.fixture(scope="session")
def machine_settings(host: Host, image: Image) -> Mapping[str, str]:
    """Give the secrets of the image's services: a password and a key, a token.

    `host` has the key, at /dev/shm/key: it is the other machine, from which one logs in. TensorBoard does not run,
    which takes seconds of a processor to start: `restricted` has it.
    """
    services = [name for name in image.services if name != "tensorboard"]
    host.check_output("ssh-keygen -q -t ed25519 -N '' -f /dev/shm/key")
    key = host.check_output("cat /dev/shm/key.pub")
    logins = {"ROOT_PASSWORD": "correct horse", "SSH_AUTHORIZED_KEYS": key}  # of a container that lives for a minute
    return {
        **(logins if "ssh" in image.services else {}),
        **({"JUPYTER_TOKEN": "sesame"} if "jupyter" in image.services else {}),
        "SERVICES": ",".join(services) or "auto",
    }
