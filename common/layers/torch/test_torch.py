"""PyTorch: the row's version and build, and that it learns."""

from collections.abc import Mapping

import pytest
from testinfra.host import Host

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
print(torch.__version__, torch.version.cuda or "")
"""


@pytest.fixture(scope="module")
def build(host: Host) -> list[str]:
    """Train, which takes what one import takes; return PyTorch's version, and the CUDA of a build for GPUs."""
    found = host.run(f"python - <<'END'\n{TRAINING}END")
    assert found.succeeded, found.stderr[-3000:]
    return str(found.stdout).splitlines()[-1].split()


@pytest.mark.slow
def test_it_trains_at_the_rows_exact_version(build: list[str], row: Mapping[str, str]) -> None:
    assert build[0].partition("+")[0] == row["torch"]


@pytest.mark.slow
def test_its_build_fits_the_rows_cuda(build: list[str], row: Mapping[str, str]) -> None:
    """A CPU build in a row with CUDA is as wrong as the other way round."""
    expected = [row["cuda"].split(".")[:2]] if "cuda" in row else []
    assert [cuda.split(".")[:2] for cuda in build[1:]] == expected
