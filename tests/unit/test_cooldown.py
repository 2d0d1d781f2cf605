"""A site's cooldown: which files count, how uv is asked, what a lock says of it, and what to do where uv refuses."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from tests import projects
from tests.projects import PYTORCH
from tests.unit.test_requirements import LOCKED, FakeResolver, leaves, lock, locks

from imagematrix.model import Site
from imagematrix.planning import requirements
from imagematrix.planning.requirements import Cooldown, ResolveRequest
from imagematrix.resolver import ResolveResult
from imagematrix.text import moments

NOW = datetime(2026, 11, 29, 12, 30, tzinfo=UTC)
WEEK = Site(exclude_newer="7 days")
UV = ("uv", "python3")


def cooldown(site: Site = WEEK, *, days: int = 0) -> Cooldown:
    found = requirements.cooldown_of(site, now=NOW + timedelta(days=days))
    assert found
    return found


class CoolResolver(FakeResolver):
    """An index asked some days later, whose files move or do not."""

    days = 0

    def resolve(self, question: ResolveRequest) -> ResolveResult:
        text = super().resolve(question).text.partition("# Made by imagematrix ")[2].partition("\n")[2]
        return ResolveResult(text=requirements.lock_text(question, text, anew=False, cooldown=cooldown(days=self.days)))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("7 days", "2026-11-22T12:30:00Z"),
        ("1 day", "2026-11-28T12:30:00Z"),
        ("36 hours", "2026-11-28T00:30:00Z"),
        ("2 weeks", "2026-11-15T12:30:00Z"),
        ("2026-11-01T08:00:00+08:00", "2026-11-01T00:00:00Z"),
    ],
)
def test_a_moment(text: str, moment: str) -> None:
    """An age is counted from now; a moment is what it is, in UTC."""
    assert cooldown(Site(exclude_newer=text)).before == moment


@pytest.mark.parametrize("text", ["", "7", "0 days", "7days", "3 months", "P7D", "2026-11-01", "2026-13-01T00:00:00Z"])
def test_no_moment(text: str) -> None:
    """All else is neither."""
    assert moments.cutoff(text, now=NOW) is None
    assert requirements.cooldown_of(Site(exclude_newer=text), now=NOW) is None


def asked(tmp_path: Path) -> tuple[ResolveRequest, ResolveRequest]:
    """Return the requests for the locks of two layers, one upon the other."""
    projects.project(tmp_path, files=LOCKED)
    resolver = FakeResolver()
    lock(tmp_path, resolver, PYTORCH)
    tools, torch = resolver.asked
    return tools, torch


def newer(words: Collection[str]) -> list[str]:
    return [after for word, after in pairwise(words) if word.startswith("--exclude-newer")]


def test_how_uv_is_asked(tmp_path: Path) -> None:
    """What is locked below stays as it is, however new: uv would pass over such pins, and take other versions."""
    tools, torch = asked(tmp_path)
    site = Site(exclude_newer="7 days", exclude_newer_package={"numpy": "", "pip": "1 day"})
    found = cooldown(site)
    own = ["numpy=false", "pip=2026-11-28T12:30:00Z"]
    before = "2026-11-22T12:30:00Z"

    assert newer(requirements.argv(tools, uv=UV, folder="/f", anew=False)) == []
    assert newer(requirements.argv(tools, uv=UV, folder="/f", anew=False, cooldown=found)) == [before, *own]
    upon = requirements.argv(torch, uv=UV, folder="/f", anew=False, cooldown=found)
    assert newer(upon) == [before, "numpy=false", "pip=false"]
    assert newer(requirements.argv(torch, uv=UV, folder="/f", anew=True, cooldown=found)) == [before, *own]
    built = requirements.building_argv(torch, "docopt==0.6.2", uv=UV, folder="/f", cooldown=cooldown())
    assert newer(built) == [before, "docopt=false"]
    assert newer(requirements.sizes_argv(torch, uv=UV, folder="/f")) == []


def test_what_a_lock_says(tmp_path: Path) -> None:
    """The moment, and what the site says; it is in no name of a lock, and in no leaf."""
    projects.project(tmp_path, files=LOCKED)
    lock(tmp_path, FakeResolver())
    plain, leaf = locks(tmp_path), leaves(tmp_path)
    for path in plain:
        (tmp_path / path).unlink()

    lock(tmp_path, CoolResolver())
    cool = locks(tmp_path)
    assert cool.keys() == plain.keys()
    assert all(
        '\n# Files uploaded before 2026-11-22T12:30:00Z (exclude_newer = "7 days")\n' in text for text in cool.values()
    )
    assert {path: requirements.installed(text) for path, text in cool.items()} == {
        path: requirements.installed(text) for path, text in plain.items()
    }
    assert leaves(tmp_path) == leaf


def test_a_lock_that_does_not_move_keeps_its_moment(tmp_path: Path) -> None:
    """Else each night's `--upgrade` would touch every lock; what moves has the new one."""
    projects.project(tmp_path, files=LOCKED)
    lock(tmp_path, CoolResolver())
    before = locks(tmp_path)

    later = CoolResolver()
    later.days = 3
    lock(tmp_path, later, upgrade=True)
    assert locks(tmp_path) == before

    later.state = "tuesday"
    lock(tmp_path, later, upgrade=True)
    assert all("2026-11-25T12:30:00Z" in text for text in locks(tmp_path).values())


def test_exceptions_are_said() -> None:
    """With the moment that counts for them, if there is one."""
    site = Site(exclude_newer="7 days", exclude_newer_package={"torch": "1 day", "numpy": ""})
    made = requirements.lock_text(
        ResolveRequest(python="3.11", platform="x", layers=(), constraints=(), path=""),
        "six==1.17.0\n",
        anew=False,
        cooldown=cooldown(site),
    )
    assert '(exclude_newer = "7 days"), of numpy any, of torch before 2026-11-28T12:30:00Z\nsix==1.17.0\n' in made


REQUESTED = (
    "error: No solution found when resolving dependencies\n\n"
    "hint: `requests` was filtered by `exclude-newer` to only include packages uploaded before 2026-11-22T12:30:00Z."
    " The requested version, v2.32.0, was published at 2026-11-25T16:08:19.53Z. Consider using `exclude-newer-package`"
    " to override the cutoff for this package."
)
LATEST = (
    "hint: `requests` was filtered by `exclude-newer` to only include packages uploaded before 2026-11-22T12:30:00Z."
    " The latest version satisfying the requirement is v2.34.2, published at 2026-11-28T19:25:26.443Z. Consider using"
)
UNDATED = (
    "hint: `foo` was filtered by `exclude-newer` to only include packages uploaded before 2025-01-01T00:00:00Z. The"
    " latest version satisfying the requirement is v2.0. Consider using `exclude-newer-package` to override the cutoff"
)


@pytest.mark.parametrize(
    ("said", "parts"),
    [
        (REQUESTED, ["requests 2.32.0", "2026-11-25T16:08:19Z", "2026-12-02T16:08:19Z", "requests = false"]),
        (LATEST, ["requests 2.34.2", "2026-11-28T19:25:26Z", "2026-12-05T19:25:26Z", "requests = false"]),
        (UNDATED, ["foo: ", "does not say when", "foo = false"]),
        (f"{UNDATED}\n{LATEST}", ["foo: ", "requests 2.34.2", "{ foo = false, requests = false }"]),
    ],
)
def test_what_to_do(said: str, parts: Collection[str]) -> None:
    """When the package may be locked, and how to have it now; in uv's real words."""
    found = requirements.remedy(cooldown(Site(name="lab", exclude_newer="7 days")), said)
    assert found.startswith('[sites.lab] exclude_newer = "7 days": ')
    assert [part for part in parts if part not in found] == []


def test_no_remedy_for_other_reasons() -> None:
    """Where the cooldown left nothing out, it is not spoken of."""
    assert requirements.remedy(cooldown(), "error: No solution found") == ""
    assert requirements.remedy(None, REQUESTED) == ""
