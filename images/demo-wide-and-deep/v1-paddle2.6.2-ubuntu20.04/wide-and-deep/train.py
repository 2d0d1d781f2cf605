"""Trains a wide-and-deep model with a parameter server, on CPUs and on data that it makes up.

    python -m paddle.distributed.launch --server_num=1 --worker_num=2 train.py

starts a server, which holds the parameters, and two workers, which train on rows of their own. What they print is in
log/; the launcher ends with 0 even when a worker failed. On Kubernetes the operator starts one process in each pod and
says in its environment what it is. Started by itself, it trains alone.

    STEPS, BATCH_SIZE    how long each worker trains, and on how many rows at a time
"""

from __future__ import annotations

import os

import data
import paddle
from paddle import nn
from paddle.distributed import fleet
from paddle.static import Variable

STEPS = int(os.environ.get("STEPS", "100"))
BATCH_SIZE = int(os.environ.get("BATCH_SIZE", "256"))
LEARNING_RATE = 0.1
EMBEDDING_SIZE = 8
HIDDEN_SIZES = (64, 32)
SEND_EVERY = 5
"""Workers train by themselves for so many steps, then give the server their changes and take those of the others."""
REPORT_EVERY = 10

is_distributed = "TRAINING_ROLE" in os.environ


def main() -> None:
    """Be what the environment says: a server, which the launcher ends after the last worker, or a worker."""
    paddle.enable_static()  # parameter servers know static graphs only
    if "PADDLE_GLOO_HTTP_ENDPOINT" in os.environ:
        # Workers wait for each other: the first one gives the server its parameters, then the others take them.
        os.environ["PADDLE_WITH_GLOO"] = "1"
    fleet.init(is_collective=False)
    loss = build()
    if is_distributed and fleet.is_server():
        fleet.init_server()
        fleet.run_server()
    else:
        work(loss)


def build() -> Variable:
    """Build the graph of one step of training. Returns its loss: the mean over a batch."""
    numbers = paddle.static.data("numbers", [None, data.NUMBERS], "float32")
    categories = paddle.static.data("categories", [None, data.CATEGORIES], "int64")
    clicked = paddle.static.data("clicked", [None, 1], "float32")
    logit = wide(numbers, categories) + deep(numbers, categories)
    loss = nn.functional.binary_cross_entropy_with_logits(logit, clicked)
    optimizer = paddle.optimizer.SGD(LEARNING_RATE)
    if is_distributed:
        # Otherwise only workers that read a paddle data set take the dense parameters back from the server.
        strategy = fleet.DistributedStrategy()
        strategy.a_sync = True
        strategy.a_sync_configs = {"k_steps": SEND_EVERY}
        optimizer = fleet.distributed_optimizer(optimizer, strategy)
    optimizer.minimize(loss)
    return loss


def wide(numbers: Variable, categories: Variable) -> Variable:
    """Score rows by what each number and each category counts by itself: [n, 1]."""
    weights = embedding("wide", categories, size=1)
    return paddle.static.nn.fc(numbers, 1) + weights.sum(axis=1)


def deep(numbers: Variable, categories: Variable) -> Variable:
    """Score rows by what numbers and categories mean together: [n, 1]."""
    meanings = embedding("deep", categories, size=EMBEDDING_SIZE)
    hidden = paddle.concat([numbers, meanings.flatten(start_axis=1)], axis=1)
    for size in HIDDEN_SIZES:
        hidden = paddle.static.nn.fc(hidden, size, activation="relu")
    return paddle.static.nn.fc(hidden, 1)


def embedding(name: str, categories: Variable, *, size: int) -> Variable:
    """Look up a vector for each category, [n, CATEGORIES, size]. Workers send only the vectors that they changed."""
    table = [data.CATEGORIES * data.VOCABULARY, size]
    parameters = paddle.ParamAttr(name=name, initializer=nn.initializer.Uniform(-0.05, 0.05))
    return paddle.static.nn.embedding(categories, table, is_sparse=True, param_attr=parameters)


def work(loss: Variable) -> None:
    """Train on this worker's rows. Prints the loss, as the mean since it was last printed."""
    executor = paddle.static.Executor(paddle.CPUPlace())
    executor.run(paddle.static.default_startup_program())
    if is_distributed:
        fleet.init_worker()
    worker, losses = fleet.worker_index(), []
    for step, batch in enumerate(data.batches(steps=STEPS, size=BATCH_SIZE, seed=worker), start=1):
        losses += executor.run(feed=vars(batch), fetch_list=[loss])
        if step % REPORT_EVERY == 0:
            print(f"worker {worker} step {step} loss {float(sum(losses)) / len(losses):.4f}", flush=True)
            losses = []
    if is_distributed:
        fleet.stop_worker()
    print(f"worker {worker} done", flush=True)


if __name__ == "__main__":
    main()
