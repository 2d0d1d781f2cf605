"""Package layers: which layers of a row are installed on no base, by what, and the text of their stages."""

import re
import zlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final

from imagematrix.model import FILES, Row, Sources, Tool
from imagematrix.planning import requirements
from imagematrix.planning.render.locks import RowLocks
from imagematrix.planning.requirements import Locked

_BLOCK: Final = re.compile(
    r"^# packages: begin\n(?P<install>.*?)^# packages: check\n(?P<check>.*?)"
    r"^# packages: link\n(?P<link>.*?)^# packages: end\n",
    re.MULTILINE | re.DOTALL,
)
"""What `site.packages` writes between these lines belongs to stages of their own."""
_FIRST_MOMENT: Final = 315532801
"""1980, the oldest year that a wheel can hold; a second later than what zip files have that hold no time."""
_MOMENTS: Final = 2**24
_MACRO: Final = re.compile(r"\bsite\.packages\(")
_ENVIRONMENT: Final = re.compile(r"\bsite\.environment\(")
_COMPILES: Final = re.compile(r"""\bsite\.compile\(\s*\w+\s*,\s*["']([\w.-]+)""")
_WITHOUT_UV: Final = frozenset({"3.6", "3.7"})
_REPLACED_SHOWN: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """How the lock of a layer is installed."""

    tool: Tool | None = None
    """What installs it as a package layer; None: it is installed on the layers below."""
    why: str = ""
    """Why it is not a package layer; empty also for what nobody would expect to be one."""
    lock: str | None = None
    """What the leaf's lock holds; None: it has none."""


class Installations:
    """How the locks of rows are installed."""

    def __init__(self, sources: Sources, locks: RowLocks) -> None:
        self._locks = locks
        templates = {name: source.template for name, source in sources.layers.items()}
        self._asking = {name for name, template in templates.items() if _MACRO.search(template)}
        self._tools = {name for name, template in templates.items() if _ENVIRONMENT.search(template)}
        self._compiled = {name: match[1] for name, text in templates.items() if (match := _COMPILES.search(text))}
        self._known: dict[Hashable, Installation] = {}

    def is_locked(self, layer: str) -> bool:
        """Whether a layer is installed from a lock of `invoke lock`."""
        return self._locks.is_locked(layer)

    def of(self, layer: str, row: Row) -> Installation:
        """Return how a layer's lock is installed. Raises InputError for a row that cannot be locked."""
        if not self._locks.is_locked(layer):
            return Installation()
        locked = self._locks.locked(row)
        asked = (layer, row.family.layers, locked, row.values.get("python"), row.values.get("os"))
        known = self._known.get(asked)
        if known is None:
            known = self._known[asked] = self._installation(layer, row, locked)
        return known

    def _installation(self, layer: str, row: Row, locked: Sequence[Locked]) -> Installation:
        at = next((at for at, each in enumerate(locked) if each.layer == layer), None)
        if at is None:
            return Installation()
        own, below = locked[at], locked[:at]
        tool = self._tool(layer, row)
        why = self._why_chained(layer, row, own, below, tool=tool)
        if why or layer not in self._asking or not tool:
            return Installation(why=why, lock=own.installed)
        stands = Tool(
            stage=row.family.layers[row.family.layers.index(layer) - 1],
            environment=tool,
            python=row.values["python"],
            platform=self._locks.uv_platform(row),
            moment=_FIRST_MOMENT + zlib.crc32(layer.encode()) % _MOMENTS,
        )
        return Installation(tool=stands, lock=requirements.lacking(own, below))

    def _tool(self, layer: str, row: Row) -> str:
        """Return the lowest layer that makes a Python environment; empty: there is none below."""
        layers = row.family.layers
        return next((name for name in layers[: layers.index(layer)] if name in self._tools), "")

    def _why_chained(self, layer: str, row: Row, own: Locked, below: Sequence[Locked], *, tool: str) -> str:
        if layer in self._compiled:
            return f"it compiles {self._compiled[layer]} against the layers below"
        if layer not in self._asking:
            return ""
        if not tool:
            return "no layer below it makes the Python environment (site.environment)"
        if (python := row.values["python"]) in _WITHOUT_UV:
            return f"uv does not support Python {python}"
        if replaced := requirements.replaced(own, below):
            more = len(replaced) - _REPLACED_SHOWN
            names = ", ".join(replaced[:_REPLACED_SHOWN]) + (f" and {more} more" if more > 0 else "")
            return f"it replaces packages of the layers below: {names}"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The rendering of a layer, by the stages that its lines belong to."""

    own: str
    install: str = ""
    check: str = ""
    link: str = ""


def split(body: str) -> Parts:
    """Part the rendering of a layer."""
    found = _BLOCK.search(body)
    if not found:
        return Parts(own=body)
    own = body[: found.start()] + body[found.end() :]
    return Parts(own=own, **{name: text.strip() for name, text in found.groupdict().items()})


def files_text(layer: str, tool: Tool, install: str) -> str:
    """Return the stage that makes the files of a package layer: the first line names the tool."""
    return f"FROM {tool.stage} AS {layer}{FILES}\n{install}\n"
