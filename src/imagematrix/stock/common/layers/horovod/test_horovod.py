"""Horovod: the row's version, that its processes reduce, and that what compiled it is gone."""

from collections.abc import Mapping

import pytest
from testinfra.host import Host

ADD = """\
import horovod, horovod.tensorflow as hvd, tensorflow as tf
hvd.init()
total = hvd.allreduce(tf.constant([hvd.rank() + 1.0]), op=hvd.Sum)
print(f"{horovod.__version__} rank {hvd.rank()} of {hvd.size()}: {float(total[0])}")
"""


@pytest.mark.slow
def test_two_processes_reduce_a_tensor(host: Host, row: Mapping[str, str]) -> None:
    """With Gloo where the row names it, else with the base's MPI."""
    run = "horovodrun -np 2" + (" --gloo" if row["reduce"] == "gloo" else "")
    found = host.run(f"cat > /dev/shm/add.py <<'END'\n{ADD}END\n{run} python /dev/shm/add.py")
    assert found.succeeded, found.stderr[-3000:]
    said = sorted(line.rpartition(">:")[2] for line in found.stdout.splitlines() if " rank " in line)
    assert said == [f"{row['horovod']} rank {rank} of 2: 3.0" for rank in (0, 1)]


def test_what_compiled_it_is_gone(host: Host, row: Mapping[str, str]) -> None:
    """Where the layer brought it; a base's own compilers stay."""
    if row.get("compilers", "any"):
        assert host.run("command -v g++ make cmake").stdout == ""
