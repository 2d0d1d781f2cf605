"""A run of checks as it happens: a board on a terminal; in a log a line for each image, and one while nothing ends."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol, Self, TextIO

from imagematrix.planning.checks import ImageOutcome, Running, Verified
from imagematrix.report import verification
from imagematrix.report.board import Clock, RunningBoard, console
from imagematrix.text.words import count, duration

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_SILENT_SECONDS: Final = 25.0
"""After how long without a line a log says what runs: a CI system must see one every 30 s."""

_STYLES: Final[Mapping[ImageOutcome, str]] = {
    ImageOutcome.PASSED: "green",
    ImageOutcome.FAILED: "bold red",
    ImageOutcome.UNCHECKED: "yellow",
    ImageOutcome.MISSING: "yellow",
}


class Listener(Protocol):
    """Hears how a run of checks goes on; to be used in a `with`."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_error: object) -> None: ...

    def running(self, images: Sequence[Running]) -> None:
        """Hear, again and again, what runs."""

    def finished(self, image: Verified) -> None:
        """Hear what came of an image."""


def listener(stream: TextIO, images: int, *, clock: Clock = time.monotonic) -> Listener:
    """Choose how to show a run of so many images: a board where a terminal can draw one, else plain lines."""
    drawing = console(stream)
    return CheckBoard(drawing, images, clock=clock) if drawing else CheckLog(stream, images, clock=clock)


class CheckLog:
    """A line for each image that is done; when that takes long, one for each that runs."""

    def __init__(self, stream: TextIO, images: int, *, clock: Clock = time.monotonic) -> None:
        self._stream = stream
        self._tally = _Tally(images, clock)
        self._clock = clock
        self._said = clock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def running(self, images: Sequence[Running]) -> None:
        """Say what runs when nothing was said for long."""
        self._tally.see(images)
        if self._clock() - self._said >= _SILENT_SECONDS:
            stamp = f"[{self._tally.seconds:6.1f}s]"
            self._print(f"{stamp} {self._tally.words()}")
            for image in images:
                self._print(f"{stamp} running {image.row.name}  {self._tally.remark(image)}")

    def finished(self, image: Verified) -> None:
        """Say it."""
        self._tally.count(image)
        self._print(verification.event(image, seconds=self._tally.seconds))

    def _print(self, line: str) -> None:
        self._said = self._clock()
        self._stream.write(line + "\n")
        self._stream.flush()


class CheckBoard:
    """What runs, with its time and the check that runs now, under the lines of what is done; redrawn in place."""

    def __init__(self, console: "Console", images: int, *, clock: Clock = time.monotonic) -> None:
        self._tally = _Tally(images, clock)
        self._now: Mapping[str, Running] = {}
        self._board = RunningBoard[str](console, remark=self._remark, tally=self._tally.words, clock=clock)

    def __enter__(self) -> Self:
        self._board.__enter__()
        return self

    def __exit__(self, *_error: object) -> None:
        self._board.__exit__(*_error)

    def running(self, images: Sequence[Running]) -> None:
        """Show them."""
        self._tally.see(images)
        self._now = {image.row.name: image for image in images}
        for name in self._now:
            if name not in self._board.running:
                self._board.start(name, name)

    def finished(self, image: Verified) -> None:
        """Say it above the board."""
        self._tally.count(image)
        self._board.end(image.row.name)
        self._board.say(verification.event(image, seconds=self._tally.seconds), _STYLES[image.outcome])

    def draw(self) -> "RenderableType":
        """Draw the board as it is now."""
        return self._board.draw()

    def _remark(self, name: str) -> str:
        return self._tally.remark(self._now[name]) if name in self._now else ""


class _Tally:
    """What both say of a run: how many images are done, and since when which check of each runs."""

    def __init__(self, images: int, clock: Clock) -> None:
        self._images = images
        self._clock = clock
        self._begun = clock()
        self._counts: Counter[ImageOutcome] = Counter()
        self._since: dict[str, tuple[str, float]] = {}

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return self._clock() - self._begun

    def see(self, images: Sequence[Running]) -> None:
        """Remember since when each check runs."""
        for image in images:
            if self._since.get(image.row.name, ("", 0.0))[0] != image.check:
                self._since[image.row.name] = (image.check, self._clock())

    def count(self, image: Verified) -> None:
        """Count an image that is done."""
        self._counts[image.outcome] += 1

    def words(self) -> str:
        """Say how many images are done: `3 of 11 images (2 passed · 1 failed)  1m 02s`."""
        counts = " · ".join(f"{self._counts[outcome]} {outcome}" for outcome in ImageOutcome if self._counts[outcome])
        done = f"{sum(self._counts.values())} of {count(self._images, 'image')}"
        return f"{done}{f' ({counts})' if counts else ''}  {duration(self.seconds)}"

    def remark(self, image: Running) -> str:
        """Say how far an image is: `31 of 52 checks  torch: test_it_trains (3.2s)`."""
        if not image.check:
            return "starting"
        _, since = self._since.get(image.row.name, ("", self._clock()))
        of = f"{image.done} of {count(image.total, 'check')}  " if image.total else ""
        return f"{of}{image.check} ({duration(self._clock() - since)})"
