"""TensorFlow: the row's version and build, and that it learns."""

from collections.abc import Mapping

import pytest
from testinfra.host import Host

BUILD = """\
import tensorflow as tf
info = tf.sysconfig.get_build_info()
print(info.get("is_cuda_build", False), info.get("cuda_version", ""), info.get("cudnn_version", ""))
"""

TRAINING = """\
import tensorflow as tf
tf.random.set_seed(0)
x = tf.random.normal([256, 4])
y = tf.linalg.matmul(x, tf.constant([[1.0], [-2.0], [3.0], [0.5]]))
w, b = tf.Variable(tf.zeros([4, 1])), tf.Variable(0.0)
losses = []
for _ in range(30):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((tf.linalg.matmul(x, w) + b - y) ** 2)
    for variable, gradient in zip([w, b], tape.gradient(loss, [w, b])):
        variable.assign_sub(0.1 * gradient)
    losses.append(float(loss))
assert losses[-1] < losses[0] / 100, losses
print(tf.__version__)
"""


@pytest.mark.slow
def test_it_trains_at_the_rows_exact_version(host: Host, row: Mapping[str, str]) -> None:
    found = host.run(f"python - <<'END'\n{TRAINING}END")
    assert found.succeeded, found.stderr[-3000:]
    assert found.stdout.split()[-1] == row["tensorflow"]


@pytest.mark.slow
def test_its_build_fits_the_rows_cuda(host: Host, row: Mapping[str, str]) -> None:
    """A CPU build in a row with CUDA is as wrong as the other way round; which minor versions run is for `check`."""
    has_cuda, *versions = host.check_output(f"python - 2> /dev/null <<'END'\n{BUILD}END").split()
    assert has_cuda == str("cuda" in row)
    if "cuda" in row:
        cuda, cudnn = versions
        assert row["cuda"].split(".")[0] == cuda.split(".")[0]
        assert row.get("cudnn", cudnn).split(".")[0] == cudnn.split(".")[0]
