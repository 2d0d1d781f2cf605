"""TensorFlow: the row's version and build, and that it learns."""

import json
from collections.abc import Mapping

import pytest
from testinfra.host import Host

from imagematrix import compat
from imagematrix.compat import BroughtBy
from imagematrix.verify import cuda
from imagematrix.verify.plugin import Image

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

TRAINING_OF_1 = """\
import json
import tensorflow as tf
v1 = getattr(tf.compat, "v1", tf)
graph = tf.Graph()
with graph.as_default(), v1.Session(graph=graph) as session:
    x = v1.random_normal([256, 4], seed=0)
    y = tf.matmul(x, tf.constant([[1.0], [-2.0], [3.0], [0.5]]))
    w = v1.get_variable("w", [4, 1], initializer=v1.zeros_initializer())
    loss = tf.reduce_mean((tf.matmul(x, w) - y) ** 2)
    step = v1.train.GradientDescentOptimizer(0.1).minimize(loss)
    session.run(v1.global_variables_initializer())
    losses = [float(session.run([loss, step])[0]) for _ in range(30)]
assert losses[-1] < losses[0] / 100, losses
print(json.dumps({"version": tf.__version__, "is_cuda_build": str(tf.test.is_built_with_cuda())}))
"""

KERNEL = """\
import tensorflow as tf
v1 = getattr(tf.compat, "v1", tf)
graph = tf.Graph()
with graph.as_default(), v1.Session(graph=graph) as session:
    with tf.device("/device:GPU:0"):
        x = tf.ones([256, 256])
        total = tf.reduce_sum(tf.matmul(x, x))
    assert session.run(total) == 256.0**3
"""


@pytest.fixture(scope="module")
def build(host: Host, row: Mapping[str, str]) -> Mapping[str, str]:
    """Train, which takes what one import takes; return what TensorFlow then says of itself."""
    training = TRAINING_OF_1 if row["tensorflow"].startswith("1.") else TRAINING
    found = host.run(f"python - <<'END'\n{training}END")
    assert found.succeeded, found.stderr[-3000:]
    said: Mapping[str, str] = json.loads(found.stdout.splitlines()[-1])
    return said


@pytest.mark.slow
def test_it_trains_at_the_rows_exact_version(build: Mapping[str, str], row: Mapping[str, str]) -> None:
    assert build["version"] == row["tensorflow"]


@pytest.mark.slow
def test_its_build_fits_the_rows_cuda(build: Mapping[str, str], row: Mapping[str, str]) -> None:
    """Of a base's CUDA, the major version must be the one it was built for; which minor versions run is for `check`.

    Without any CUDA, a build for GPUs is right where the row names it.
    """
    use = compat.cuda_used_by("tensorflow", row)
    is_for_gpus = build.get("is_cuda_build") == "True"
    if use is None:
        assert not is_for_gpus or "tensorflow_package" in row
        return
    assert is_for_gpus
    found = build.get("cuda_version", use.version)
    if use.brought_by is BroughtBy.WHEELS:
        assert cuda.promised(use, found), f"it is built for CUDA {found}"
        return
    cudnn = build.get("cudnn_version", "")
    assert use.version.split(".")[0] == found.split(".")[0]
    assert row.get("cudnn", cudnn).split(".")[0] == (cudnn or row.get("cudnn", "")).split(".")[0]


def test_the_image_asks_for_the_driver_of_the_cuda_that_it_brings(image: Image, row: Mapping[str, str]) -> None:
    """By the CUDA of the check above; a base that has CUDA asks for itself."""
    assert cuda.driver_settings(row).items() <= image.environment.items()


@pytest.mark.slow
def test_what_it_loads_on_a_gpu_is_found(host: Host, build: Mapping[str, str]) -> None:
    """By what it was built for, not by what the row says."""
    names = cuda.libraries(build.get("cuda_version", ""), build.get("cudnn_version", ""))
    assert cuda.missing(host, names) == ""


@pytest.mark.slow
def test_a_kernel_runs_on_a_gpu(gpu: Host, build: Mapping[str, str]) -> None:
    if build.get("is_cuda_build") != "True":
        pytest.skip("a build for CPUs")
    ran = gpu.run(f"python - <<'END'\n{KERNEL}END")
    assert ran.succeeded, ran.stderr[-3000:]
