"""TensorFlow: the row's version and build, that it learns, and what people do with it."""

from collections.abc import Mapping

import pytest
from testinfra.host import Host

from imagematrix.compat import BroughtBy
from imagematrix.testing import Image, Interpreter, companions, cuda

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
info = tf.sysconfig.get_build_info()
result = dict({name: str(value) for name, value in info.items()}, version=tf.__version__)
"""

TRAINING_OF_1 = """\
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
result = {"version": tf.__version__, "is_cuda_build": str(tf.test.is_built_with_cuda())}
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


ARRAYS = """\
import numpy, tensorflow as tf
array = numpy.arange(6.0).reshape(2, 3)
assert numpy.array_equal(tf.constant(array).numpy(), array)
assert numpy.array_equal(numpy.asarray(tf.ones([2])), [1.0, 1.0])
"""

ARRAYS_OF_1 = """\
import numpy, tensorflow as tf
v1 = getattr(tf.compat, "v1", tf)
array = numpy.arange(6.0).reshape(2, 3)
with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
    x = v1.placeholder(tf.float64, [None, 3])
    assert numpy.array_equal(session.run(x + 1, {x: array}), array + 1)
"""

KERAS = """\
import numpy, os, tempfile, tensorflow as tf
x = numpy.random.RandomState(0).rand(256, 4).astype("float32")
y = x @ numpy.array([[1.0], [-2.0], [3.0], [0.5]], "float32")
model = tf.keras.Sequential([tf.keras.layers.Dense(1, input_shape=(4,))])
model.compile(tf.keras.optimizers.SGD(0.1), "mse")
losses = model.fit(x, y, epochs=5, verbose=0).history["loss"]
assert losses[-1] < losses[0] / 2, losses
formats = ["model.h5", "model.keras" if tf.keras.__version__ >= "3" else "model"]
for name in formats[:1] if tf.__version__.startswith("1.") else formats:
    with tempfile.TemporaryDirectory() as folder:
        model.save(os.path.join(folder, name))
        again = tf.keras.models.load_model(os.path.join(folder, name), compile=False)
        assert all(map(numpy.array_equal, again.get_weights(), model.get_weights())), name
"""
"""With the two formats that people save in: HDF5, and Keras' own; 1.x has the first alone."""

DATA = """\
import numpy, tensorflow as tf
batches = tf.data.Dataset.from_tensor_slices(numpy.arange(64)).map(lambda x: x * 2, num_parallel_calls=2)
batches = batches.shuffle(64).batch(16).prefetch(1)
assert sorted(int(x) for batch in batches for x in batch) == list(range(0, 128, 2))
"""

DATA_OF_1 = """\
import numpy, tensorflow as tf
v1 = getattr(tf.compat, "v1", tf)
with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
    batches = v1.data.Dataset.from_tensor_slices(numpy.arange(64)).map(lambda x: x * 2, num_parallel_calls=2)
    following = batches.shuffle(64).batch(16).prefetch(1).make_one_shot_iterator().get_next()
    assert sorted(int(x) for _ in range(4) for x in session.run(following)) == list(range(0, 128, 2))
"""

COMPANIONS = ("keras", "tensorflow-estimator", "tensorflow-text")


@pytest.fixture(scope="module")
def build(python: Interpreter, row: Mapping[str, str]) -> Mapping[str, str]:
    """Train; return what TensorFlow then says of itself."""
    said: Mapping[str, str] = python.run("training", TRAINING_OF_1 if _is_1(row) else TRAINING)
    return said


def _is_1(row: Mapping[str, str]) -> bool:
    return row["tensorflow"].startswith("1.")


@pytest.mark.slow
def test_it_trains_at_the_rows_exact_version(build: Mapping[str, str], row: Mapping[str, str]) -> None:
    assert build["version"] == row["tensorflow"]


@pytest.mark.slow
def test_tensors_become_arrays_and_arrays_tensors(python: Interpreter, row: Mapping[str, str]) -> None:
    python.run("arrays", ARRAYS_OF_1 if _is_1(row) else ARRAYS)


@pytest.mark.slow
def test_a_keras_model_learns_and_is_saved_and_loaded(python: Interpreter) -> None:
    python.run("keras", KERAS)


@pytest.mark.slow
def test_a_data_set_is_read(python: Interpreter, row: Mapping[str, str]) -> None:
    python.run("data", DATA_OF_1 if _is_1(row) else DATA)


@pytest.mark.slow
def test_companions_are_imported_at_the_rows_versions(
    python: Interpreter, row: Mapping[str, str], image: Image
) -> None:
    wanted = companions.named(row, image.locked, COMPANIONS)
    assert companions.imported(python, wanted) == wanted


@pytest.mark.slow
def test_its_build_fits_the_rows_cuda(build: Mapping[str, str], row: Mapping[str, str], image: Image) -> None:
    """Of a base's CUDA, the major version must be the one it was built for; which minor versions run is for `check`.

    Without any CUDA, a build for GPUs is right where the row names it.
    """
    use = image.cuda["tensorflow"]
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


def test_the_image_asks_for_the_driver_of_the_cuda_that_it_brings(image: Image) -> None:
    """By the CUDA of the check above; a base that has CUDA asks for itself."""
    assert cuda.driver_settings(image.driver_requirement).items() <= image.environment.items()


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
