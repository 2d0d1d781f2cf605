"""PyTorch: the row's version and build, and that it learns."""

from collections.abc import Mapping

import pytest
from testinfra.host import Host

from imagematrix.verify import cuda

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
print(torch.__version__, *filter(None, [torch.version.cuda, torch.backends.cudnn.version()]))
"""


KERNEL = """\
import torch
x = torch.ones(256, 256, device="cuda")
assert float((x @ x).sum()) == 256.0**3
"""


@pytest.fixture(scope="module")
def build(host: Host) -> list[str]:
    """Train, which takes what one import takes; return PyTorch's version, and CUDA and cuDNN of a build for GPUs."""
    found = host.run(f"python - <<'END'\n{TRAINING}END")
    assert found.succeeded, found.stderr[-3000:]
    return str(found.stdout).splitlines()[-1].split()


@pytest.mark.slow
def test_it_trains_at_the_rows_exact_version(build: list[str], row: Mapping[str, str]) -> None:
    assert build[0].partition("+")[0] == row["torch"]


@pytest.mark.slow
def test_its_build_fits_the_rows_cuda(build: list[str], row: Mapping[str, str]) -> None:
    """A CPU build in a row with CUDA is as wrong as the other way round; the minor version is its own choice."""
    found = build[1].split(".") if build[1:] else []
    made_for = f"cu{''.join(found[:2])}" if found else "cpu"
    is_for_gpus = "cuda" in row or row.get("torch_build", "cpu") != "cpu"
    assert (made_for != "cpu") == is_for_gpus, f"the build is {made_for}"
    assert made_for == row.get("torch_build", made_for)
    if found and "torch_build" not in row:
        assert found[0] == row["cuda"].split(".")[0]


@pytest.mark.slow
def test_what_it_loads_on_a_gpu_is_found(host: Host, build: list[str]) -> None:
    """What its libraries are linked with, also those that it loads when it needs them; and the parts of its cuDNN."""
    assert cuda.unlinked(host, "torch") == ""
    if build[2:]:  # 8902 is 8.9.2, 90100 is 9.1.0
        major = build[2][:-4] if len(build[2]) > 4 else build[2][:-3]
        assert cuda.missing(host, cuda.cudnn_libraries(major)) == ""


@pytest.mark.slow
def test_a_kernel_runs_on_a_gpu(gpu: Host, build: list[str]) -> None:
    if not build[1:]:
        pytest.skip("a build for CPUs")
    ran = gpu.run(f"python - <<'END'\n{KERNEL}END")
    assert ran.succeeded, ran.stderr[-3000:]
