"""PyTorch: the row's version and build, and that it learns."""

from collections.abc import Mapping

import pytest
from testinfra.host import Host

BUILD = """\
import torch
print(torch.version.cuda or "none", torch.__version__)
"""

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
print("learned")
"""


def test_its_version_is_the_rows(host: Host, row: Mapping[str, str]) -> None:
    assert _build(host)[1].partition("+")[0] == row["torch"]


def test_its_build_fits_the_rows_cuda(host: Host, row: Mapping[str, str]) -> None:
    """A CPU build in a row with CUDA is as wrong as the other way round."""
    found = _build(host)[0]
    expected = row.get("cuda", "none")
    assert found.split(".")[:2] == expected.split(".")[:2]


@pytest.mark.slow
def test_it_trains(host: Host) -> None:
    found = host.run(f"python - <<'END'\n{TRAINING}END")
    assert found.succeeded, found.stderr[-3000:]


def _build(host: Host) -> list[str]:
    return str(host.check_output(f"python - <<'END'\n{BUILD}END")).split()
