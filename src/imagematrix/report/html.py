"""An overview in, one page out that opens anywhere offline: its tables are DataTables', its plots plotly's."""

import base64
import functools
import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

import jinja2

from imagematrix.model import Status
from imagematrix.planning.checks import CheckOutcome
from imagematrix.report import plots
from imagematrix.report.catalogue import CatalogueEntry
from imagematrix.report.console.nightly import health_text
from imagematrix.report.overview import Overview
from imagematrix.report.runs import PastLeaf, PastRun
from imagematrix.text.formatting import abbreviate, ages, count, duration, growth, size

_NAMES_SHOWN: Final = 6
_GROWN_SHOWN: Final = 10
_TAIL_LINES: Final = 15
_DIGEST_DIGITS: Final = 12
_INLINED_BYTES: Final = 8_000_000
"""How many bytes of screenshots a page holds; the others lie beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _CheckLine:
    owner: str
    name: str
    passed: int
    failed: int
    skipped: int
    seconds: float
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shot:
    name: str
    source: str
    """A data URI; empty where the page would grow too big."""


def page(overview: Overview, screenshots: Mapping[str, bytes], logs: Mapping[str, str] = MappingProxyType({})) -> str:
    """Write the page of a run; `screenshots` are PNGs by file name, of the folder `screenshots` beside the page.

    `logs` are those in the folder `logs` beside the page: path in the report -> file name there.
    """
    figures = plots.figures(overview)
    return (
        _environment()
        .get_template("index.html.j2")
        .render(
            overview=overview,
            run=overview.run,
            rows=sorted(overview.run.leaves, key=lambda leaf: not _is_bad(leaf)),
            sharing=_sharing(overview.run),
            grown=_grown(overview),
            outcomes={node.outcome.value for node in overview.run.nodes},
            checks=_check_lines(overview.run),
            shots=_shots(screenshots),
            logs=logs,
            drawn=frozenset(figures),
            figures=_packed(json.dumps(figures, separators=(",", ":"), ensure_ascii=False)),
            plotly=_plotly(),
            datatables=_datatables(),
            datatables_style=_datatables_style(),
        )
    )


def catalogue(entries: Sequence[CatalogueEntry], made: datetime) -> str:
    """Write the page for the users of images, as of a moment."""
    return (
        _environment()
        .get_template("catalogue.html.j2")
        .render(entries=entries, made=made, datatables=_datatables(), datatables_style=_datatables_style())
    )


def _sharing(run: PastRun) -> Mapping[str, tuple[int, int]]:
    """Return of each row how many of its nodes others have too, and how many nodes it has."""
    found: dict[str, tuple[int, int]] = {}
    for node in run.nodes:
        for name in node.leaves:
            shared, all_of_it = found.get(name, (0, 0))
            found[name] = (shared + (len(node.leaves) > 1), all_of_it + 1)
    return found


def _grown(overview: Overview) -> Sequence[tuple[str, int]]:
    """Return the images that grew most, with the bytes."""
    grown = [(name, number) for name, number in overview.growth.items() if number > 0]
    return sorted(grown, key=lambda item: -item[1])[:_GROWN_SHOWN]


def _check_lines(run: PastRun) -> Sequence[_CheckLine]:
    """Return one line for each check, over all images."""
    found: dict[tuple[str, str], list[Any]] = {}
    for leaf in run.leaves:
        for check in leaf.checks:
            found.setdefault((check.owner, check.name), []).append(check)
    return [
        _CheckLine(
            owner=owner,
            name=name,
            passed=sum(check.outcome is CheckOutcome.PASSED for check in checks),
            failed=sum(check.outcome is CheckOutcome.FAILED for check in checks),
            skipped=sum(check.outcome is CheckOutcome.SKIPPED for check in checks),
            seconds=max(check.seconds for check in checks),
            why=next((check.why for check in checks if check.outcome is not CheckOutcome.PASSED), ""),
        )
        for (owner, name), checks in found.items()
    ]


def _shots(screenshots: Mapping[str, bytes]) -> Sequence[_Shot]:
    """Put screenshots into the page while it stays light: the small ones first."""
    inlined = 0
    sources: dict[str, str] = {}
    for name, content in sorted(screenshots.items(), key=lambda item: len(item[1])):
        inlined += len(content)
        small = inlined <= _INLINED_BYTES
        sources[name] = f"data:image/png;base64,{base64.b64encode(content).decode()}" if small else ""
    return [_Shot(name=name, source=sources[name]) for name in sorted(sources)]


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("imagematrix", "templates/report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "ages": ages,
        "night": health_text,
        "size": size,
        "growth": growth,
        "duration": duration,
        "moment": _moment,
        "day": lambda moment: f"{moment.astimezone(UTC):%Y-%m-%d}",
        "counted": count,
        "some": lambda names: abbreviate(names, _NAMES_SHOWN),
        "last_lines": lambda lines: "\n".join(lines[-_TAIL_LINES:]),
        "short": lambda digest: digest.removeprefix("sha256:")[:_DIGEST_DIGITS],
    }
    environment.tests["is_bad_leaf"] = _is_bad
    return environment


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _is_bad(leaf: PastLeaf) -> bool:
    return leaf.outcome in {Status.FAILED, Status.SKIPPED} or bool(leaf.failed_checks)


def _packed(text: str) -> str:
    """Return a text as a page holds it: gzip, a fifth of plotly.js, in base64, which no parser stumbles over."""
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


@functools.cache
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return _packed(get_plotlyjs())


@functools.cache
def _datatables() -> str:
    from itables.utils import read_package_file

    return _packed(read_package_file("html", "dt_bundle.js"))


@functools.cache
def _datatables_style() -> str:
    from itables.utils import read_package_file

    return read_package_file("html", "dt_bundle.css")
