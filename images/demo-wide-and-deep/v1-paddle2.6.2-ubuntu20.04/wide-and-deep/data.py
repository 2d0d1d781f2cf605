"""Click data of Criteo's shape, made up: 13 numbers and 26 categories a row, and whether it was clicked.

Categories follow a power law, as words and users do. A row's label comes from a hidden rule that has a wide part
(numbers and categories each count) and a deep one (pairs of categories count together), so a model of both parts has
something to learn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

NUMBERS = 13
CATEGORIES = 26
VOCABULARY = 1000
"""How many values each category has."""

_RULE_SEED = 20201111


@dataclass(frozen=True)
class Batch:
    """Some rows: `numbers` float32 [n, NUMBERS], `categories` int64 [n, CATEGORIES], `clicked` float32 [n, 1].

    The values of category `k` are k * VOCABULARY up to (k + 1) * VOCABULARY - 1: one table holds all categories.
    """

    numbers: np.ndarray
    categories: np.ndarray
    clicked: np.ndarray


def batches(*, steps: int, size: int, seed: int) -> Iterator[Batch]:
    """Yield `steps` batches of `size` rows; the same seed gives the same rows."""
    random = np.random.default_rng(seed)
    rule = _Rule()
    for _ in range(steps):
        numbers = random.standard_normal((size, NUMBERS), dtype=np.float32)
        ranks = random.zipf(1.3, (size, CATEGORIES)) % VOCABULARY
        categories = ranks + np.arange(CATEGORIES) * VOCABULARY
        chance = 1 / (1 + np.exp(-rule.score(numbers, categories)))
        clicked = (random.random((size, 1)) < chance).astype(np.float32)
        yield Batch(numbers, categories.astype(np.int64), clicked)


class _Rule:
    """What decides the labels; the same for all workers, whatever rows they see."""

    def __init__(self) -> None:
        random = np.random.default_rng(_RULE_SEED)
        self._numbers = random.normal(0, 0.6, NUMBERS)
        self._categories = random.normal(0, 0.4, CATEGORIES * VOCABULARY)
        self._hidden = random.normal(0, 0.8, CATEGORIES * VOCABULARY)

    def score(self, numbers: np.ndarray, categories: np.ndarray) -> np.ndarray:
        """Return the log odds of a click, [n, 1]."""
        hidden = self._hidden[categories]
        pairs = (hidden[:, ::2] * hidden[:, 1::2]).sum(axis=1)
        return (numbers @ self._numbers + self._categories[categories].sum(axis=1) + pairs)[:, None]
