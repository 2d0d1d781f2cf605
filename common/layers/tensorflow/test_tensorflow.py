"""TensorFlow: the row's version and build, and that it learns."""

import json
from collections.abc import Mapping

import pytest
from testinfra.host import Host

from imagematrix.verify import cuda

TRAINING = """\
import json
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
info = tf.sysconfig.get_build_info()
print(json.dumps({"version": tf.__version__, **{name: str(value) for name, value in info.items()}}))
"""


@pytest.fixture(scope="module")
def build(host: Host) -> Mapping[str, str]:
    """Train, which takes what one import takes; return what TensorFlow then says of itself."""
    found = host.run(f"python - <<'END'\n{TRAINING}END")
    assert found.succeeded, found.stderr[-3000:]
    said: Mapping[str, str] = json.loads(found.stdout.splitlines()[-1])
    return said


@pytest.mark.slow
def test_it_trains_at_the_rows_exact_version(build: Mapping[str, str], row: Mapping[str, str]) -> None:
    assert build["version"] == row["tensorflow"]


@pytest.mark.slow
def test_its_build_fits_the_rows_cuda(build: Mapping[str, str], row: Mapping[str, str]) -> None:
    """A CPU build in a row with CUDA is as wrong as the other way round; which minor versions run is for `check`."""
    assert (build.get("is_cuda_build") == "True") == ("cuda" in row)
    if "cuda" in row:
        found, cudnn = build.get("cuda_version", row["cuda"]), build.get("cudnn_version", "")
        assert row["cuda"].split(".")[0] == found.split(".")[0]
        assert row.get("cudnn", cudnn).split(".")[0] == (cudnn or row.get("cudnn", "")).split(".")[0]


@pytest.mark.slow
def test_what_it_loads_on_a_gpu_is_found(host: Host, build: Mapping[str, str]) -> None:
    """By what it was built for, not by what the row says."""
    names = cuda.libraries(build.get("cuda_version", ""), build.get("cudnn_version", ""))
    assert cuda.missing(host, names) == ""
