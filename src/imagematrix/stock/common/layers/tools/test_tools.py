"""What people who write code in a container ask for is there, and apt can install more."""

from testinfra.host import Host

TOOLS = "curl git ps vim wget"


def test_the_tools_are_there(host: Host) -> None:
    assert host.check_output(f"for tool in {TOOLS}; do command -v $tool > /dev/null || echo $tool; done") == ""


def test_git_and_curl_know_whom_to_trust(host: Host) -> None:
    assert host.file("/etc/ssl/certs/ca-certificates.crt").size > 0


def test_no_repository_is_left_that_apt_refuses(host: Host) -> None:
    """NVIDIA's own are signed by a key that was withdrawn; none of them is in an image for CPUs either."""
    assert host.run("ls -d /etc/apt/sources.list.d/cuda*.list /etc/apt/sources.list.d/nvidia-ml*.list").stdout == ""
