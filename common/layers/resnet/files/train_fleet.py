"""Trains a ResNet on all the GPUs that it is given, on pictures that it draws.

    python -m paddle.distributed.launch train_fleet.py

starts one process for each GPU; all take part in every step, with pictures of their own. To try it on CPUs:

    python -m paddle.distributed.launch --nproc_per_node=2 --backend=gloo train_fleet.py

    STEPS, BATCH_SIZE    how long to train, and on how many pictures at a time each process does
"""

from __future__ import annotations

import os

import cv2
import numpy as np
import paddle
from paddle.distributed import fleet
from paddle.vision.models import resnet18
from scipy import ndimage

STEPS = int(os.environ.get("STEPS", "50"))
BATCH_SIZE = int(os.environ.get("BATCH_SIZE", "32"))
LEARNING_RATE = 0.01
REPORT_EVERY = 10
SIZE = 64
SHAPES = ("circle", "square", "triangle")


def main() -> None:
    """Train on this process's pictures and print the loss, averaged since it was last printed."""
    fleet.init(is_collective=True)
    paddle.seed(1)  # all processes begin with the same model
    worker = fleet.worker_index()
    random = np.random.default_rng(worker)
    network = resnet18(num_classes=len(SHAPES))
    optimizer = paddle.optimizer.Momentum(LEARNING_RATE, parameters=network.parameters())
    model, optimizer = fleet.distributed_model(network), fleet.distributed_optimizer(optimizer)
    model.train()
    losses = []
    for step in range(1, STEPS + 1):
        pictures, shapes = draw(BATCH_SIZE, random)
        loss = paddle.nn.functional.cross_entropy(model(paddle.to_tensor(pictures)), paddle.to_tensor(shapes))
        loss.backward()
        optimizer.step()
        optimizer.clear_grad()
        losses.append(float(loss))
        if step % REPORT_EVERY == 0:
            print(f"worker {worker} step {step} loss {sum(losses) / len(losses):.4f}", flush=True)
            losses = []


def draw(number: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return pictures, float32 [number, 3, SIZE, SIZE], and the index of the shape on each, int64 [number, 1]."""
    shapes = random.integers(len(SHAPES), size=(number, 1))
    pictures = [picture(SHAPES[shape], random) for (shape,) in shapes]
    return np.stack(pictures).astype(np.float32), shapes


def picture(shape: str, random: np.random.Generator) -> np.ndarray:
    """Draw a shape of some colour and size, turn it, and lay noise over it: [3, SIZE, SIZE]."""
    canvas = np.zeros((SIZE, SIZE, 3), np.float32)
    colour = random.uniform(0.4, 1, 3).tolist()
    middle, reach = SIZE // 2, int(random.integers(SIZE // 6, SIZE // 3))
    low, high = middle - reach, middle + reach
    if shape == "circle":
        cv2.circle(canvas, (middle, middle), reach, colour, thickness=-1)
    elif shape == "square":
        cv2.rectangle(canvas, (low, low), (high, high), colour, thickness=-1)
    else:
        cv2.fillConvexPoly(canvas, np.array([[middle, low], [low, high], [high, high]], np.int32), colour)
    turned = ndimage.rotate(canvas, random.uniform(0, 360), reshape=False, order=1)
    return (turned + random.normal(0, 0.1, turned.shape)).transpose(2, 0, 1)


if __name__ == "__main__":
    main()
