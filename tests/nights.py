"""Nights of a big grid that never ran: reports as builds would have written them, for tests, benchmarks and the eye."""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from tests.fakes import plan_of

from imagematrix import report
from imagematrix.model import Flake, FlakeKind, Key, Outcome, Plan, Retry, Status, Step
from imagematrix.planning.requirements import Locked
from imagematrix.report import Document, ImageFact, Origins
from imagematrix.report.document import write

FIRST = datetime(2026, 11, 1, 1, 0, tzinfo=UTC)
SLOTS = 8
_SECONDS = {"system": 60, "python": 20, "tensorflow": 120, "pytorch": 180, "paddle": 90, "notebook": 45, "boot": 15}
_BYTES = {"system": 320, "python": 90, "tensorflow": 1900, "pytorch": 5200, "paddle": 2400, "notebook": 310, "boot": 12}
_FLAKES = (
    Flake(kind=FlakeKind.LIMIT, source="pypi.example.com"),
    Flake(kind=FlakeKind.SERVER, source="deb.example.com"),
    Flake(kind=FlakeKind.NETWORK, source="registry.example.com"),
)
_TAIL = (
    "  x No solution found when resolving dependencies:",
    "  ╰─▶ Because there is no version of <b>somepackage</b>==9.9 and you require it, …",
    "</script><script>document.title = 'owned'</script>",
    'ERROR: failed to solve: process "/bin/sh -c uv pip install" did not complete: exit code: 1',
)


def grid(rows: int) -> Plan:
    """About three nodes for each row: systems, Pythons and frameworks are shared, notebook and boot are each row's."""
    parents: dict[str, str | None] = {}
    layers: dict[str, str] = {}
    final_nodes: dict[str, str] = {}

    def node(name: str, layer: str, parent: str | None) -> str:
        parents.setdefault(name, parent)
        layers[name] = layer
        return name

    for number in range(rows):
        family = ("tensorflow", "pytorch", "paddle")[number % 3]
        system, python, version = number // 3 % 5, number // 15 % 4, number // 60
        ubuntu = node(f"system-{system}", "system", None)
        interpreter = node(f"python-{system}-{python}", "python", ubuntu)
        framework = node(f"{family}-{version}-{system}-{python}", family, interpreter)
        notebook = node(f"notebook-{number}", "notebook", framework)
        final_nodes[f"{family}:2.{version}-python3.{9 + python}-ubuntu{16 + system * 2}"] = node(
            f"boot-{number}", "boot", notebook
        )
    return plan_of(parents, rows=final_nodes, layers=layers)


def night(plan: Plan, number: int, *, broken: frozenset[str] = frozenset()) -> Document:
    """Make the report of one night: `broken` nodes fail, one in twenty flakes, versions and sizes move a little."""
    chance = random.Random(number)
    free = [0.0] * SLOTS
    ended: dict[Key, tuple[Status, float]] = {}
    outcomes = [_outcome(step, chance, free, ended, broken) for step in plan.steps]
    bytes_of: dict[Key, int] = {}
    for step in plan.steps:
        key, parent = step.node.key, step.node.parent
        if ended[key][0] is Status.BUILT:
            own = _BYTES[step.node.layer] * 1_000_000 + number * 1_500_000 + len(key) * 1000
            bytes_of[key] = own + (bytes_of[parent] if parent else 0)
    images = {
        name: ImageFact(image=f"registry.example.com/team/{name}", digest=f"sha256:{tip}", bytes=bytes_of[tip])
        for name, tip in plan.final_nodes.items()
        if tip in bytes_of
    }
    locks = {name: [_lock(name, number)] for name in plan.final_nodes}
    return report.make(
        plan,
        outcomes,
        images,
        started=FIRST + timedelta(days=number),
        seconds=max(free),
        bytes_of=bytes_of,
        origins=Origins(bases={"": f"sha256:{number // 3:064x}"}, locks=locks),
    )


def nights(plan: Plan, count: int, *, broken: frozenset[str] = frozenset(), since: int = 0) -> Iterator[str]:
    """Yield the report.json of nights in a row; nodes are broken from night `since` on."""
    for number in range(count):
        yield write(night(plan, number, broken=broken if number >= since else frozenset()))


def with_checks(text: str, *, failing: frozenset[str] = frozenset()) -> str:
    """Return a report.json as `verify` leaves it: each image with some checks, those of `failing` rows not all good."""
    document = json.loads(text)
    for leaf in document["leaves"]:
        if leaf["outcome"] == "built":
            names = [("python", "pip check"), (leaf["family"], "trains"), ("notebook", "JupyterLab answers")]
            leaf["checks"] = [
                _check(owner, name, bad=leaf["name"] in failing and name == "trains") for owner, name in names
            ]
    return json.dumps(document)


def _check(owner: str, name: str, *, bad: bool) -> dict[str, object]:
    return {
        "owner": owner,
        "name": name,
        "outcome": "failed" if bad else "passed",
        "seconds": 1.5,
        "why": "assert loss < <b>0.1</b>" if bad else "",
        "tail": ["E  assert 0.7 < 0.1"] if bad else [],
        "known": False,
    }


def _outcome(
    step: Step,
    chance: random.Random,
    free: list[float],
    ended: dict[Key, tuple[Status, float]],
    broken: frozenset[str],
) -> Outcome:
    """Build a node on the slot that is free first, not before its parent is there."""
    key, parent, layer = step.node.key, step.node.parent, step.node.layer
    if parent and ended[parent][0] is not Status.BUILT:
        ended[key] = (Status.SKIPPED, 0.0)
        return Outcome(key=key, status=Status.SKIPPED, why="its parent failed", caused_by=parent)
    slot = min(range(SLOTS), key=free.__getitem__)
    started = max(free[slot], ended[parent][1] if parent else 0.0)
    seconds = _SECONDS[layer] * chance.uniform(0.7, 1.6)
    free[slot] = started + seconds
    failed = key in broken
    ended[key] = (Status.FAILED if failed else Status.BUILT, free[slot])
    flake = chance.choice(_FLAKES)
    retries = (Retry(number=1, why=f"503 from {flake.source}", flake=flake, wait_seconds=4.0),)
    return Outcome(
        key=key,
        status=ended[key][0],
        seconds=seconds,
        attempts=1,
        retries=retries if chance.random() < 0.05 else (),
        started=started,
        slot=slot,
        why="no version of somepackage==9.9" if failed else "",
        tail=_TAIL if failed else (),
        log=f".imagematrix/logs/{key}.log",
    )


def _lock(name: str, number: int) -> Locked:
    family = name.partition(":")[0]
    text = f"numpy==1.26.{number // 2}\n{family}==2.{number // 5}.0\nrequests==2.32.0\n"
    return Locked(layer=family, path=f"locks/{family}/{name.partition('-')[0].rpartition('.')[2]}.txt", text=text)


def with_published(text: str, *, refused: frozenset[str] = frozenset()) -> str:
    """Return a report.json as `push` leaves it: each image under an immutable tag and its own, some of them refused."""
    document = json.loads(text)
    for leaf in document["leaves"]:
        if leaf["outcome"] == "built":
            repository, digest = f"registry.example.com/team/{leaf['family']}", f"sha256:{document['started']}"
            own = ("", "refused") if leaf["name"] in refused else (digest, "moved")
            leaf["published"] = [
                _published(f"{repository}:{leaf['tag']}-20261101-0123456789ab", digest, "pushed"),
                _published(f"{repository}:{leaf['tag']}", *own, update_bytes=0 if own[1] == "refused" else 400_000_000),
            ]
    return json.dumps(document)


def _published(name: str, digest: str, outcome: str, *, update_bytes: int = 0) -> dict[str, object]:
    why = "another Python" if outcome == "refused" else ""
    return {"name": name, "digest": digest, "outcome": outcome, "update_bytes": update_bytes, "why": why}
