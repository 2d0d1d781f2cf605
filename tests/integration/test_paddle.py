"""Paddle's parameter-server demo, really built and really trained: by the checks of its layers."""

from tests.integration.test_quickstart import imagematrix

IMAGE = "demo-wide-and-deep:*-debian12"


def test_a_server_and_two_workers_train() -> None:
    for command in ("build", "verify"):
        done = imagematrix(command, "--only", IMAGE)
        assert done.code == 0, done.out[-5000:] + done.err
