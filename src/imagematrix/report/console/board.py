"""A board: what runs, each with its time and a remark, over a tally, under the lines of what is done."""

from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Generic, Self, TextIO, TypeVar

from imagematrix.text.formatting import duration

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.table import Table

Clock = Callable[[], float]
_Key = TypeVar("_Key", bound=Hashable)


def console(stream: TextIO) -> "Console | None":
    """Return a console that can draw a board; None if the stream is not such a terminal."""
    if not stream.isatty():
        return None
    from rich.console import Console

    made = Console(file=stream, highlight=False)
    return None if made.is_dumb_terminal else made


class RunningBoard(Generic[_Key]):
    """Redrawn in place, by a thread of its own, which reads remarks and the tally."""

    def __init__(
        self, console: "Console", *, remark: Callable[[_Key], str], tally: Callable[[], str], clock: Clock
    ) -> None:
        self._console = console
        self._remark = remark
        self._tally = tally
        self._clock = clock
        self.running: Mapping[_Key, tuple[str, float]] = {}
        """What runs: its name, and since when. Replaced, never changed in place: two threads read it."""
        self._live: Live | None = None

    def __enter__(self) -> Self:
        from rich.live import Live

        self._live = Live(console=self._console, get_renderable=self.draw, refresh_per_second=4, transient=True)
        self._live.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._live:
            self._live.stop()

    def start(self, key: _Key, name: str) -> None:
        """Give what begins to run its line."""
        self.running = {**self.running, key: (name, self._clock())}

    def end(self, key: _Key) -> None:
        """Take a line away, at once: else the board would be drawn as it was under the line that follows."""
        self.running = {other: shown for other, shown in self.running.items() if other != key}
        if self._live:
            self._live.refresh()

    def say(self, line: str, style: str = "") -> None:
        """Print a line above the board."""
        from rich.text import Text

        self._console.print(Text(line, style), soft_wrap=True)

    def draw(self) -> "RenderableType":
        """Draw the board as it is now: what runs takes at most half a screen."""
        from rich.console import Group
        from rich.text import Text

        rows = max(1, self._console.height // 2)
        more = len(self.running) - rows
        note = [Text(f"  and {more} more", "dim")] if more > 0 else []
        return Group(self._table(rows), *note, Text(self._tally(), "bold", no_wrap=True, overflow="ellipsis"))

    def _table(self, rows: int) -> "Table":
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2), expand=True)
        table.add_column(no_wrap=True, overflow="ellipsis", max_width=60)
        table.add_column(justify="right", no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis", style="dim", ratio=1)
        for key, (name, begun) in tuple(self.running.items())[:rows]:
            table.add_row(Text(name), duration(self._clock() - begun), Text(self._remark(key)))
        return table
