"""What ModelArts expects of a base for training: its users, their cache, and what fetches code and data."""

from collections.abc import Mapping

import pytest
from testinfra.host import Host


@pytest.mark.parametrize(("fact", "number"), [("user", 1100), ("work_user", 1101)])
def test_its_users_have_their_numbers_and_homes(host: Host, row: Mapping[str, str], fact: str, number: int) -> None:
    user = host.user(row[fact])
    assert (user.uid, user.gid, user.shell, user.home) == (number, number, "/bin/bash", f"/home/{row[fact]}")
    assert host.file(user.home).user == row[fact]


def test_the_cache_and_the_scripts_are_the_work_users(host: Host, row: Mapping[str, str]) -> None:
    cache = host.file("/cache")
    assert (cache.user, cache.group, cache.mode) == (row["work_user"], row["work_user"], 0o755)
    owners = host.check_output(f"find /home/{row['work_user']} -mindepth 1 -printf '%u\n'").split()
    assert set(owners) == {row["work_user"]}


def test_the_tools_that_fetch_code_and_data_are_there(host: Host) -> None:
    assert (
        host.check_output(
            "for tool in bzip2 curl curl-config wget; do command -v $tool > /dev/null || echo $tool; done"
        )
        == ""
    )


def test_nothing_that_is_added_later_runs_as_root(host: Host) -> None:
    """Under /usr/local/lib, where pip would install."""
    assert host.check_output("find /usr/local/lib -perm /6000") == ""
