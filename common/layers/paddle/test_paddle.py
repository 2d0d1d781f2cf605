"""Paddle: the row's version and build, and that it learns."""

from collections.abc import Mapping

import pytest
from testinfra.host import Host

BUILD = """\
import paddle
print(paddle.is_compiled_with_cuda(), paddle.version.cuda(), paddle.version.cudnn())
"""

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
print(paddle.__version__)
"""


@pytest.mark.slow
def test_it_trains_at_the_rows_exact_version(host: Host, row: Mapping[str, str]) -> None:
    found = host.run(f"python - <<'END'\n{TRAINING}END")
    assert found.succeeded, found.stderr[-3000:]
    assert found.stdout.split()[-1] == row["paddle"]


@pytest.mark.slow
def test_its_build_fits_the_rows_cuda(host: Host, row: Mapping[str, str]) -> None:
    """A CPU build in a row with CUDA is as wrong as the other way round."""
    has_cuda, cuda, cudnn = host.check_output(f"python - 2> /dev/null <<'END'\n{BUILD}END").split()[-3:]
    assert has_cuda == str("cuda" in row)
    if "cuda" in row:
        assert row["cuda"].startswith(cuda)
        assert row.get("cudnn", cudnn).split(".")[0] == cudnn.split(".")[0]
