"""Paddle: the row's version and build, and that it learns."""

from collections.abc import Mapping

import pytest
from testinfra.host import Host

from imagematrix import compat
from imagematrix.compat import BroughtBy
from imagematrix.verify import cuda
from imagematrix.verify.plugin import Image

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
if paddle.is_compiled_with_cuda():
    print(paddle.__version__, paddle.version.cuda(), paddle.version.cudnn())
else:
    print(paddle.__version__)
"""


KERNEL = """\
import paddle
paddle.set_device("gpu")
x = paddle.ones([256, 256])
assert float(paddle.matmul(x, x).sum()) == 256.0**3
"""


@pytest.fixture(scope="module")
def build(host: Host) -> list[str]:
    """Train, which takes what one import takes; return Paddle's version, and the CUDA and cuDNN of a build for GPUs."""
    found = host.run(f"python - <<'END'\n{TRAINING}END")
    assert found.succeeded, found.stderr[-3000:]
    return str(found.stdout).splitlines()[-1].split()


@pytest.mark.slow
def test_it_trains_at_the_rows_exact_version(build: list[str], row: Mapping[str, str]) -> None:
    assert build[0] == row["paddle"]


@pytest.mark.slow
def test_its_build_fits_the_rows_cuda(build: list[str], row: Mapping[str, str]) -> None:
    """A build for CPUs in a row with CUDA is as wrong as the other way round."""
    use = compat.cuda_used_by("paddle", row)
    made_for = build[1] if build[1:] else ""
    assert cuda.promised(use, made_for), f"it is built for CUDA {made_for or 'none'}"
    if use and use.brought_by is BroughtBy.BASE:
        assert row.get("cudnn", build[2]).split(".")[0] == build[2].split(".")[0]


def test_the_image_asks_for_the_driver_of_the_cuda_that_it_brings(image: Image, row: Mapping[str, str]) -> None:
    """By the CUDA of the check above; a base that has CUDA asks for itself."""
    assert cuda.driver_settings(row).items() <= image.environment.items()


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
