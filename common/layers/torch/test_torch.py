"""PyTorch: the row's version and build, and that it learns."""

from collections.abc import Mapping

import pytest
from testinfra.host import Host

from imagematrix import compat
from imagematrix.compat.architectures import runs
from imagematrix.verify import cuda
from imagematrix.verify.plugin import Image

TRAINING = """\
import torch
torch.manual_seed(0)
x = torch.randn(256, 4)
y = x @ torch.tensor([[1.0], [-2.0], [3.0], [0.5]])
model = torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
losses = []
for _ in range(30):
    loss = ((model(x) - y) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(float(loss))
assert losses[-1] < losses[0] / 100, losses
found = [torch.__version__, *filter(None, [torch.version.cuda, torch.backends.cudnn.version()])]
# What torch.cuda.get_arch_list() returns, which is empty on a machine without a GPU.
found += (torch._C._cuda_getArchFlags() or "").split() if torch.version.cuda else []
print(*found)
"""


KERNEL = """\
import torch
x = torch.ones(256, 256, device="cuda")
assert float((x @ x).sum()) == 256.0**3
"""


@pytest.fixture(scope="module")
def build(host: Host) -> list[str]:
    """Train, which takes what one import takes; return PyTorch's version, and CUDA, cuDNN, GPUs of a build for them."""
    found = host.run(f"python - <<'END'\n{TRAINING}END")
    assert found.succeeded, found.stderr[-3000:]
    return str(found.stdout).splitlines()[-1].split()


@pytest.mark.slow
def test_it_trains_at_the_rows_exact_version(build: list[str], row: Mapping[str, str]) -> None:
    assert build[0].partition("+")[0] == row["torch"]


@pytest.mark.slow
def test_its_build_fits_the_rows_cuda(build: list[str], row: Mapping[str, str]) -> None:
    """It brings CUDA along: what the base has does not matter, and is a note of `check`."""
    made_for = build[1] if build[1:] else ""
    assert cuda.promised(compat.cuda_used_by("torch", row), made_for), f"it is built for CUDA {made_for or 'none'}"


def test_the_image_asks_for_the_driver_of_the_cuda_that_it_brings(image: Image, row: Mapping[str, str]) -> None:
    """By the CUDA of the check above; a base that has CUDA asks for itself."""
    assert cuda.driver_settings(row).items() <= image.environment.items()


@pytest.mark.slow
def test_what_it_loads_on_a_gpu_is_found(host: Host, build: list[str]) -> None:
    """What its libraries are linked with, also those that it loads when it needs them; and the parts of its cuDNN."""
    assert cuda.unlinked(host, "torch") == ""
    if build[2:]:  # 8902 is 8.9.2, 90100 is 9.1.0
        major = build[2][:-4] if len(build[2]) > 4 else build[2][:-3]
        assert cuda.missing(host, cuda.cudnn_libraries(major)) == ""


@pytest.mark.slow
def test_it_has_code_for_the_rows_gpus(build: list[str], row: Mapping[str, str]) -> None:
    """Asked of PyTorch itself, what `check` knows from the catalogue."""
    if "gpus" not in row or not build[1:]:
        pytest.skip("the row names no GPUs" if build[1:] else "a build for CPUs")
    code = [each for each in build if each.startswith(("sm_", "compute_"))]
    assert [gpu for gpu in row["gpus"].split() if not runs(code, gpu)] == [], f"it has {' '.join(code)}"


@pytest.mark.slow
def test_a_kernel_runs_on_a_gpu(gpu: Host, build: list[str]) -> None:
    if not build[1:]:
        pytest.skip("a build for CPUs")
    ran = gpu.run(f"python - <<'END'\n{KERNEL}END")
    assert ran.succeeded, ran.stderr[-3000:]
