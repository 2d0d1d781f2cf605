"""What earlier runs left behind may be damaged in any way: history is lost, and there is never a traceback."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests import nights, projects

from imagematrix.commands import reporting
from imagematrix.errors import FlagError
from imagematrix.model import Key
from imagematrix.planning import garbage, nightly
from imagematrix.planning.checks import CheckOutcome, CheckResult, Settled
from imagematrix.project import Project, open_project

RUN: Final = "runs/2026-11-22T030400Z.json"
VALUES: Final[tuple[object, ...]] = (
    None,
    True,
    -1,
    10**9,
    10**30,
    1e308,
    "",
    "x",
    "9999-12-31T23:59:59Z",
    "\x1b[2J",
    [],
    {},
    [[]],
    [1],
    {"a": 1},
)
"""What may stand where something else should."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that remembers a build, its checks, a night and a run."""
    folder = tmp_path_factory.mktemp("project")
    opened = projects.project(folder)
    projects.build(opened)
    passed = CheckResult(owner="system", name="test_a", outcome=CheckOutcome.PASSED, seconds=1.0)
    opened.state.remember_settled(
        Settled(
            key=Key("a" * 64),
            image=f"sha256:{'c' * 64}",
            owner="system",
            fingerprint=Key("b" * 64),
            checks=(passed,),
            whole=True,
        )
    )
    ended = nightly.StageResult(code=0, seconds=1.0)
    begun = nightly.NightlyRun(epoch="1", began=time.time() - 60.0, ended={nightly.NightlyStage.BASES: ended})
    opened.state.write_night(nightly.dump(begun))
    grid = nights.grid(3)
    text = nights.with_checks(next(nights.nights(grid, 1)), failing=frozenset())
    opened.state.keep_run("2026-11-22T030400Z", nights.with_published(text, refused=frozenset()))
    return folder


def texts(root: Path) -> dict[str, str]:
    names = ("built.jsonl", "verified.jsonl", "night.json", RUN)
    return {name: (root / ".imagematrix" / name).read_text() for name in names}


def use(root: Path, report: Path) -> list[str]:
    """Do with a project's state all that commands do with it; return what was reported."""
    said: list[str] = []
    opened = open_project(str(root / "matrix.toml"), warn=said.append)
    projects.plan(opened)
    opened.state.settled()
    nightly.begun(opened.state.night_text(), now=time.time())
    runs = opened.state.runs()
    for name in garbage.nights(runs, 7, now=time.time()):
        garbage.keys([runs[name]])
    garbage.repositories(runs.values())
    garbage.node_repositories(runs.values())
    page(opened, report, said)
    return said


def page(opened: Project, report: Path, said: list[str]) -> None:
    try:
        reporting.again(opened, report, say=said.append)
    except FlagError as error:
        said.append(str(error))


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to everything in a document, no more than three of each list."""
    yield at
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*at, key))
    elif isinstance(value, list):
        for index in range(min(len(value), 3)):
            yield from places(value[index], (*at, index))


def replaced(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    if not at:
        return new
    copy = value.copy()
    copy[at[0]] = replaced(value[at[0]], at[1:], new)
    return copy


@settings(
    max_examples=100,
    deadline=20_000,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_a_value_of_another_kind(root: Path, tmp_path: Path, data: st.DataObject) -> None:
    """Anywhere in any of the files: what cannot be read is skipped and reported, the others count."""
    whole = texts(root)
    name = data.draw(st.sampled_from(sorted(whole)))
    lines = [line for line in whole[name].splitlines() if line] if name.endswith(".jsonl") else [whole[name]]
    document = json.loads(lines[0])
    at = data.draw(st.sampled_from(list(places(document))))
    lines[0] = json.dumps(replaced(document, at, data.draw(st.sampled_from(VALUES))))

    path = root / ".imagematrix" / name
    try:
        path.write_text("\n".join(lines))
        use(root, tmp_path / "report")
    finally:
        path.write_text(whole[name])


@settings(max_examples=50, deadline=20_000, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    name=st.sampled_from(("built.jsonl", "verified.jsonl", "night.json", RUN)),
    content=st.one_of(
        st.binary(max_size=200),
        st.just(b"[" * 100_000),
        st.just(b'{"key":' * 50_000),
        st.just(b"\0" * 100_000),
        st.just(b"9" * 10_000),
        st.text(max_size=100).map(lambda text: json.dumps(text).encode()),
        st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=20).map(
            lambda v: json.dumps(v).encode()
        ),
    ),
)
def test_any_bytes(root: Path, tmp_path: Path, name: str, content: bytes) -> None:
    """Instead of a file, and cut into one."""
    path = root / ".imagematrix" / name
    whole = path.read_bytes()
    try:
        for damaged in (content, whole[: len(whole) // 2] + content, content + b"\n" + whole):
            path.write_bytes(damaged)
            use(root, tmp_path / "report")
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize("name", ["built.jsonl", "verified.jsonl"])
def test_a_damaged_line_costs_no_other(root: Path, tmp_path: Path, name: str) -> None:
    """It is reported with file and line, once."""
    path = root / ".imagematrix" / name
    whole = path.read_text()
    opened = open_project(str(root / "matrix.toml"))
    before = opened.state.history(), opened.state.settled()
    try:
        path.write_text(f'{{"key": 3}}\n{whole}')
        said = use(root, tmp_path / "report")
        again = open_project(str(root / "matrix.toml"))
        assert (again.state.history(), again.state.settled()) == before
    finally:
        path.write_text(whole)

    assert [word for word in said if word.startswith(f".imagematrix/{name}:1:")] != []
    assert len(said) == 1


def test_what_is_remembered_is_whole(root: Path, tmp_path: Path) -> None:
    """Nothing is reported of a sound state, and all of it counts: else the tests above could not fail."""
    opened = open_project(str(root / "matrix.toml"))
    assert use(root, tmp_path / "report") == []
    assert opened.state.history()
    assert opened.state.settled()
    assert nightly.begun(opened.state.night_text(), now=time.time())
    assert garbage.nights(opened.state.runs(), 7, now=time.time())
    assert (tmp_path / "report/index.html").exists()


@pytest.mark.parametrize("hours", [1, 30])
def test_a_night_that_began_in_the_future(hours: int) -> None:
    """Of a clock that was wrong: it is not resumed for ever."""
    began = nightly.NightlyRun(epoch="1", began=time.time() + hours * 3600)
    assert nightly.begun(nightly.dump(began), now=time.time()) is None


def test_forgetting_drops_what_is_damaged(tmp_path: Path) -> None:
    opened = projects.project(tmp_path)
    projects.build(opened)
    path = tmp_path / ".imagematrix/built.jsonl"
    kept = opened.state.history()
    path.write_text(f"[[[\n{path.read_text()}\n\x00\n")

    with opened.state.sole_builder(waiting=lambda: None):
        opened.state.forget(lambda _: True)

    assert "[[[" not in path.read_text()
    assert opened.state.history() == kept
