"""A framework that is compiled for its image: the Horovod row, really built, and what its layers' checks say."""

from tests.integration.test_quickstart import imagematrix

IMAGE = "horovod:0.28.1-tensorflow2.12.0-python3.11-debian12"


def test_it_is_compiled_and_two_processes_reduce_a_tensor() -> None:
    for command in ("build", "verify"):
        done = imagematrix(command, "--only", IMAGE)
        assert done.code == 0, done.out[-5000:] + done.err
