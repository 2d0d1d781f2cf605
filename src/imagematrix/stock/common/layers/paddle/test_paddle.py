"""Paddle: the row's version and build, that it learns, and what people do with it."""

from collections.abc import Mapping

import pytest
from testinfra.host import Host

from imagematrix.compat import BroughtBy
from imagematrix.testing import Image, Interpreter, companions, cuda

TRAINING = """\
import paddle
paddle.seed(0)
x = paddle.randn([256, 4])
y = x @ paddle.to_tensor([[1.0], [-2.0], [3.0], [0.5]])
model = paddle.nn.Linear(4, 1)
optimizer = paddle.optimizer.SGD(0.1, parameters=model.parameters())
losses = []
for _ in range(30):
    loss = ((model(x) - y) ** 2).mean()
    loss.backward()
    optimizer.step()
    optimizer.clear_grad()
    losses.append(float(loss))
assert losses[-1] < losses[0] / 100, losses
result = [paddle.__version__]
if paddle.is_compiled_with_cuda():
    result += [paddle.version.cuda(), paddle.version.cudnn()]
"""

ARRAYS = """\
import numpy, paddle
array = numpy.arange(6.0).reshape(2, 3)
assert numpy.array_equal(paddle.to_tensor(array).numpy(), array)
"""

SAVED = """\
import os, paddle, tempfile
model, again = paddle.nn.Linear(4, 1), paddle.nn.Linear(4, 1)
with tempfile.TemporaryDirectory() as folder:
    paddle.save(model.state_dict(), os.path.join(folder, "model.pdparams"))
    again.set_state_dict(paddle.load(os.path.join(folder, "model.pdparams")))
assert bool((again.weight == model.weight).all())
"""

VISION = """\
import paddle
from paddle.vision.models import resnet18
from paddle.vision.transforms import Resize
model = resnet18()
model.eval()
image = Resize([64, 64])(paddle.zeros([3, 32, 32]))
assert model(image.unsqueeze(0)).shape == [1, 1000]
"""

COLLECTIVE = """\
import paddle
from paddle.distributed import fleet
fleet.init(is_collective=True)
assert (fleet.worker_index(), fleet.worker_num()) == (0, 1)
model = paddle.nn.Linear(4, 1)
optimizer = fleet.distributed_optimizer(paddle.optimizer.SGD(0.1, parameters=model.parameters()))
x = paddle.ones([2, 4])
loss = model(x).mean()
loss.backward()
optimizer.step()
assert float(model(x).mean()) < float(loss)
"""

SERVER = """\
import os, paddle
from paddle.distributed import fleet
os.environ.update(
    TRAINING_ROLE="PSERVER", PADDLE_PSERVERS_IP_PORT_LIST="127.0.0.1:39011", PADDLE_TRAINERS_NUM="1",
    POD_IP="127.0.0.1", PADDLE_PORT="39011",
)
paddle.enable_static()  # parameter servers know static graphs only
fleet.init(is_collective=False)
assert (fleet.is_server(), fleet.server_endpoints()) == (True, ["127.0.0.1:39011"])
strategy = fleet.DistributedStrategy()
strategy.a_sync = True
assert strategy.a_sync
"""
"""The last: it leaves the process a server with static graphs."""


KERNEL = """\
import paddle
paddle.set_device("gpu")
x = paddle.ones([256, 256])
assert float(paddle.matmul(x, x).sum()) == 256.0**3
"""


@pytest.fixture(scope="module")
def build(python: Interpreter) -> list[str]:
    """Train; return Paddle's version, and the CUDA and cuDNN of a build for GPUs."""
    found: list[str] = python.run("training", TRAINING)
    return found


@pytest.mark.slow
def test_it_trains_at_the_rows_exact_version(build: list[str], row: Mapping[str, str]) -> None:
    assert build[0] == row["paddle"]


@pytest.mark.slow
def test_tensors_become_arrays_and_arrays_tensors(python: Interpreter) -> None:
    python.run("arrays", ARRAYS)


@pytest.mark.slow
def test_a_saved_model_is_loaded(python: Interpreter) -> None:
    python.run("saved", SAVED)


@pytest.mark.slow
def test_a_model_of_paddle_vision_runs(python: Interpreter) -> None:
    python.run("vision", VISION)


@pytest.mark.slow
def test_companions_are_imported_at_the_rows_versions(
    python: Interpreter, row: Mapping[str, str], image: Image
) -> None:
    wanted = companions.named(row, image.locked)
    assert companions.imported(python, wanted) == wanted


@pytest.mark.slow
def test_fleet_trains_collectively(python: Interpreter) -> None:
    python.run("collective", COLLECTIVE)


@pytest.mark.slow
def test_fleet_becomes_a_parameter_server(python: Interpreter) -> None:
    python.run("server", SERVER)


@pytest.mark.slow
def test_its_build_fits_the_rows_cuda(build: list[str], row: Mapping[str, str], image: Image) -> None:
    """A build for CPUs in a row with CUDA is as wrong as the other way round."""
    use = image.cuda["paddle"]
    made_for = build[1] if build[1:] else ""
    assert cuda.promised(use, made_for), f"it is built for CUDA {made_for or 'none'}"
    if use and use.brought_by is BroughtBy.BASE:
        assert row.get("cudnn", build[2]).split(".")[0] == build[2].split(".")[0]


def test_the_image_asks_for_the_driver_of_the_cuda_that_it_brings(image: Image) -> None:
    """By the CUDA of the check above; a base that has CUDA asks for itself."""
    assert cuda.driver_settings(image.driver_requirement).items() <= image.environment.items()


@pytest.mark.slow
def test_what_it_loads_on_a_gpu_is_found(host: Host, build: list[str]) -> None:
    """By what it was built for, not by what the row says."""
    assert cuda.missing(host, cuda.libraries(*build[1:]) if build[1:] else ()) == ""


@pytest.mark.slow
def test_a_kernel_runs_on_a_gpu(gpu: Host, build: list[str]) -> None:
    if not build[1:]:
        pytest.skip("a build for CPUs")
    ran = gpu.run(f"python - <<'END'\n{KERNEL}END")
    assert ran.succeeded, ran.stderr[-3000:]
