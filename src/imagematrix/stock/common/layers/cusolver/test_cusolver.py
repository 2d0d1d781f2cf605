"""libcusolver under the name that TensorFlow 2.4 loads."""

from collections.abc import Mapping

from testinfra.host import Host


def test_the_old_name_leads_to_the_library(host: Host, row: Mapping[str, str]) -> None:
    """Whether the loader finds it is a check of TensorFlow's."""
    folder = f"/usr/local/cuda-{'.'.join(row['cuda'].split('.')[:2])}/targets/x86_64-linux/lib"
    found = host.check_output(f"readlink -e {folder}/libcusolver.so.10")
    assert found == host.check_output(f"readlink -e {folder}/libcusolver.so.11")
