"""What `verify` prints: a board on a terminal, lines for each image in a log; then the summary."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol, Self, TextIO

from imagematrix.planning.checks import UNCHECKED, CheckOutcome, ImageOutcome, Running, Verified
from imagematrix.report.console.board import Clock, RunningBoard, console
from imagematrix.text.formatting import abbreviate, count, duration

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_NAMES_SHOWN: Final = 12
_SILENT_SECONDS: Final = 25.0
"""After how long without a line a log says what runs: a CI system must see one every 30 s."""

_STYLES: Final[Mapping[ImageOutcome, str]] = {
    ImageOutcome.PASSED: "green",
    ImageOutcome.FAILED: "bold red",
    ImageOutcome.UNCHECKED: "yellow",
    ImageOutcome.NOT_CHECKED: "yellow",
    ImageOutcome.MISSING: "yellow",
}


class CheckListener(Protocol):
    """Receives the progress of a run of checks; to be used in a `with`."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_error: object) -> None: ...

    def running(self, images: Sequence[Running]) -> None:
        """Hear, again and again, what runs."""

    def finished(self, image: Verified) -> None:
        """Hear what came of an image."""


def listener(stream: TextIO, images: int, *, clock: Clock = time.monotonic) -> CheckListener:
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
        self._print(event(image, seconds=self._tally.seconds))

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
        self._board.say(event(image, seconds=self._tally.seconds), _STYLES[image.outcome])

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


def event(image: Verified, *, seconds: float) -> str:
    """Say how an image did the moment it is known, `seconds` after the run began."""
    return f"[{seconds:6.1f}s] {image.outcome:<7} {image.row.name}  ({_tally(image)}, {duration(image.seconds)})"


def text(images: Sequence[Verified], *, seconds: float) -> str:
    """Write a line for each image, each failure with its output, and what to do about missing images."""
    if images and all(image.good and _is_known(image) for image in images):
        verb = "is" if len(images) == 1 else "are"
        return f"{count(len(images), 'image')} {verb} verified: nothing has changed since the checks passed\n"
    return (
        "\n".join(
            [
                *_lines(images),
                "",
                *_failures(images),
                *_unchecked(images),
                *_interrupted(images),
                *_missing(images),
                _last(images, seconds),
            ]
        )
        + "\n"
    )


def _is_known(image: Verified) -> bool:
    return all(check.known for check in image.checks)


def _tally(image: Verified) -> str:
    counts = Counter(check.outcome for check in image.checks)
    known = sum(check.known for check in image.checks)
    parts = [f"{counts[outcome]} {outcome}" for outcome in CheckOutcome if counts[outcome]]
    return ", ".join([*(parts or ["no checks"]), *([f"{known} of them before"] if known else [])])


def _lines(images: Sequence[Verified]) -> Iterator[str]:
    width = max((len(image.row.image) for image in images), default=0)
    wide = max((len(image.outcome) for image in images), default=0)
    for image in images:
        told = _tally(image) if image.built else "not built"
        yield f"{image.row.image:<{width}}   {image.outcome:<{wide}}   {told}"


def _failures(images: Sequence[Verified]) -> Iterator[str]:
    for image in images:
        for check in image.failed:
            yield f"failed: {image.row.name}  {check.owner}: {check.name}"
            yield from (f"  {line}" for line in check.why.splitlines())
            yield from (f"  | {line}" for line in check.tail)
            yield f"  repeat:  invoke verify --only '{image.row.name}'"
            yield ""


def _unchecked(images: Sequence[Verified]) -> Iterator[str]:
    names = [image.row.name for image in images if image.outcome is ImageOutcome.UNCHECKED]
    if names:
        layer = next(image.row.family.layers[-1] for image in images if image.row.name == names[0])
        yield f"unchecked: {count(len(names), 'image')} {UNCHECKED}: {abbreviate(names, _NAMES_SHOWN)}"
        yield f"  write:   checks, for instance common/layers/{layer}/test_{layer}.py (docs/checks.md)"
        yield ""


def _interrupted(images: Sequence[Verified]) -> Iterator[str]:
    reasons: dict[str, list[str]] = {}
    for image in images:
        if image.interruption:
            reasons.setdefault(image.interruption, []).append(image.row.name)
    for why, names in reasons.items():
        yield f"not checked: {count(len(names), 'image')}: {why}: {abbreviate(names, _NAMES_SHOWN)}"
        yield f"  repeat:  invoke verify --only '{names[0]}'"
        yield ""


def _missing(images: Sequence[Verified]) -> Iterator[str]:
    names = [image.row.name for image in images if not image.built]
    if names:
        yield f"missing: {count(len(names), 'image')} not built: {abbreviate(names, _NAMES_SHOWN)}"
        yield from (f"  {image.row.name}: {image.doubt}" for image in images if image.doubt)
        yield f"  build:   invoke build --only '{names[0]}'"
        yield ""


def _last(images: Sequence[Verified], seconds: float) -> str:
    counts = Counter(image.outcome for image in images)
    told = ", ".join(f"{counts[outcome]} {outcome}" for outcome in ImageOutcome if counts[outcome])
    ran = sum(not check.known for image in images for check in image.checks)
    return f"{count(len(images), 'image')}: {told}; {count(ran, 'check')} ran in {duration(seconds)}"
