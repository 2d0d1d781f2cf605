"""What a run leaves behind: its report.json among those of the runs before, and the folder that `--report` names.

In the folder lie index.html for people, report.json for programs, junit.xml for CI systems, summary.md for a chat. A
file that the disk refuses is reported; the other files and the webhook follow anyway.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from imagematrix.commands import checkout, spelling
from imagematrix.errors import DiskError, FlagError
from imagematrix.model import Extensions
from imagematrix.planning import nightly
from imagematrix.planning.publication import Publication
from imagematrix.project import Project
from imagematrix.report import document, merging, runs
from imagematrix.report.document import Checkout, Document
from imagematrix.report.runs import PastRun
from imagematrix.text.formatting import abbreviate

if TYPE_CHECKING:
    from imagematrix.commands.push.run import PublishResult
    from imagematrix.commands.verify.run import VerifyResult
    from imagematrix.report.outputs import MessageDocument
    from imagematrix.report.overview import Overview

_JSON: Final = "report.json"
_PAGE: Final = "index.html"
_SCREENSHOTS: Final = "screenshots"
"""The folder beside the page whose pictures it shows."""

_COMMANDS: Final = ("build", "push", "report", "verify")
"""Those that leave reports."""

_LOGS: Final = "logs"
"""The folder beside the page with the logs of what failed."""

Say = Callable[[str], None]


def built(project: Project, made: Document, tags: Sequence[Publication], folder: Path | None, *, say: Say) -> bool:
    """Keep the report of a build and of what it published; write it into the folder, if any; tell the webhook.

    Return whether the folder has all of it.
    """
    return _leave(project, document.with_names(made, tags), folder, say=say)


def verified(project: Project, result: "VerifyResult", folder: Path | None, *, say: Say) -> bool:
    """Add what was checked to the run it belongs to: the folder's, else the last one; then as for a build.

    Raises FlagError when the folder's report was not written by imagematrix.
    """
    before = _before(project, folder)
    made = document.with_checks(before or document.begun(result.started, result.seconds), result.images)
    return _leave(project, made, folder, say=say)


def published(project: Project, result: "PublishResult", folder: Path | None, *, say: Say) -> bool:
    """Add what was published to the run it belongs to, as `verified` does with what was checked."""
    before = _before(project, folder)
    made = document.with_names(before or document.begun(result.started, result.seconds), result.images)
    return _leave(project, made, folder, say=say)


def again(project: Project, folder: Path, *, say: Say) -> Path:
    """Write the last run into a folder again, and notify the webhook; return the path of the page.

    Raises FlagError when there was none, DiskError when the folder does not have all of it.
    """
    from imagematrix.report import overview
    from imagematrix.report.console.nightly import health_text

    text, past = _last(project, say)
    if not past:
        raise FlagError("there is no run to report yet: run `invoke build` or `invoke verify` first")
    nights = nightly.health(project.state.night_text(), now=time.time())
    if nights and nights.is_overdue:
        say(f"warning: nightly runs are overdue: {health_text(nights)}")
    if not _hand_out(project, folder, text, overview.make(past[-1], past, nights=nights, typed=_typed()), say=say):
        raise DiskError(f"the report in {folder} is not complete")
    return folder / _PAGE


def merged(project: Project, parts: Path, folder: Path, *, say: Say) -> Path:
    """Join the reports in the subdirectories of `parts`, write them into a folder; return the path of the page.

    Raises FlagError when there is none, or one that imagematrix did not write; DiskError as `again` does.
    """
    texts = {part: _report_in(part) for part in sorted(parts.glob("*/")) if part.absolute() != folder}
    found = {part: document.read(text) for part, text in texts.items() if text}
    if not found:
        raise FlagError(f"--merge {parts}: no directory in it has a report.json")
    logs = {node.log: log for part, read in found.items() for node in read.nodes if (log := _log_in(part, node.log))}
    if not _leave(project, merging.merge(found.values()), folder, logs=logs, say=say):
        raise DiskError(f"the report in {folder} is not complete")
    return folder / _PAGE


def catalogue(project: Project, folder: Path, *, say: Say) -> Path:
    """Write the page for the users of the images; return its path. Raises FlagError when none is published."""
    from imagematrix.report import catalogue as entry_list
    from imagematrix.report import html

    path = folder / "catalogue.html"
    entries = entry_list.make(
        project.obtainable, _past(project, say), project.repository.common.checks(), project.services
    )
    if not entries:
        raise FlagError("no run in .imagematrix/runs has published an image: run `invoke push` first")
    project.state.write(path, html.catalogue(entries, datetime.now(UTC)))
    return path


def _before(project: Project, folder: Path | None) -> Document | None:
    text = _report_in(folder) if folder else _last(project, lambda _: None)[0]  # the page reports it
    return document.read(text) if text else None


def _log_in(part: Path, log: str) -> str:
    """Return the log of a node that lies in the folder of a report, empty when it does not."""
    path = part / _LOGS / Path(log).name
    if not log or not path.is_file() or path.is_symlink():
        return ""
    return path.read_text(encoding="utf-8", errors="replace")


def _leave(
    project: Project, made: Document, folder: Path | None, *, logs: Mapping[str, str] = MappingProxyType({}), say: Say
) -> bool:
    if made.checkout == Checkout():
        made = replace(made, checkout=checkout.of(project.repository))
    text = document.write(made)
    project.state.keep_run(_name(made), text)
    if not folder:
        return True
    from imagematrix.report import overview  # slow to import, as all that makes pages

    nights = nightly.health(project.state.night_text(), now=time.time())
    seen = overview.make(runs.view(made), _past(project, say), nights=nights, typed=_typed())
    return _hand_out(project, folder, text, seen, logs=logs, say=say)


def _hand_out(
    project: Project,
    folder: Path,
    text: str,
    made: "Overview",
    *,
    logs: Mapping[str, str] = MappingProxyType({}),
    say: Say,
) -> bool:
    """Write a run's report into a folder, in all formats, and notify the webhook; return whether all was written.

    `logs` are those that this checkout does not have: path in the report -> text.
    """
    from imagematrix.report import html, junit, markdown

    failed = {
        path: project.state.log_text(path) or logs.get(path, "") for path in (each.node.log for each in made.broken)
    }
    copied = {path: Path(path).name for path, log in failed.items() if log}
    forms = {
        _JSON: text,
        "junit.xml": junit.text(made.run),
        "summary.md": markdown.summary(made),
        **{f"{_LOGS}/{name}": failed[path] for path, name in copied.items()},
        _PAGE: html.page(made, _screenshots(folder), copied),
    }
    further = _further(project.extensions, document.read(text), say)
    written = [project.state.try_write(folder / name, form) for name, form in {**forms, **further}.items()]
    project.state.keep_logs(folder / _LOGS, copied.values())
    _tell(made, project.extensions, say)
    return all(written) and len(further) == len(project.extensions.report_formats)


def _typed() -> str:
    """Return what people type before commands; the page says it too."""
    return spelling.prefix(sys.argv, os.environ, *_COMMANDS)


def _further(plugins: Extensions, run: Document, say: Say) -> Mapping[str, str]:
    """Return the files that plugins add to a report; what one raises costs its file alone."""
    found = {}
    for name, write in plugins.report_formats.items():
        try:
            found[name] = str(write(run))
        except Exception as error:  # noqa: BLE001  # foreign code may raise anything
            say(f"warning: a plugin cannot write {name}: {type(error).__name__}: {error}")
    return found


def _tell(made: "Overview", plugins: Extensions, say: Say) -> None:
    from imagematrix.report import webhook

    address = os.environ.get(webhook.VARIABLE, "")
    if address and (went_wrong := webhook.tell(address, _message(made), plugins.notifiers)):
        say(went_wrong)


def _message(made: "Overview") -> "MessageDocument":
    from imagematrix.report import markdown
    from imagematrix.report.outputs import MessageDocument

    where = made.run.checkout
    return MessageDocument(
        text=f"imagematrix: {markdown.headline(made)}",
        good=made.good,
        started=_name(made.run),
        images=made.outcomes,
        checks=made.check_outcomes,
        broken=(
            *(broken.node.label for broken in made.broken),
            *(
                f"{broken.check.owner}: {broken.check.name} ({abbreviate(broken.leaves, 2)})"
                for broken in made.broken_checks
            ),
        ),
        project=where.project,
        branch=where.branch,
        commit=where.commit,
        link=where.link,
    )


def _name(run: Document | PastRun) -> str:
    return f"{run.started.astimezone(UTC):%Y-%m-%dT%H%M%SZ}"


def _past(project: Project, say: Say) -> tuple[PastRun, ...]:
    return tuple(_read_all(project.state.runs(), say).values())


def _last(project: Project, say: Say) -> tuple[str, tuple[PastRun, ...]]:
    """Return the text of the last run that can be read, empty when there is none, and all of them."""
    texts = project.state.runs()
    found = _read_all(texts, say)
    return (texts[list(found)[-1]] if found else ""), tuple(found.values())


def _read_all(texts: Mapping[str, str], say: Say) -> Mapping[str, PastRun]:
    found, words = runs.read_all(texts, now=time.time())
    for word in words:
        say(f".imagematrix/runs/{word}")
    return found


def _report_in(folder: Path) -> str:
    path = folder / _JSON
    if not path.exists():
        return ""
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        runs.read(text)
    except ValueError as error:
        raise FlagError(
            f"{folder}: its report.json was not written by imagematrix ({error}): choose another directory"
        ) from None
    return text


def _screenshots(folder: Path) -> Mapping[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / _SCREENSHOTS).glob("*.png"))}
