"""A run held against those before it: what broke and since when, what flaked, grew and moved."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from imagematrix.compat import catalogue
from imagematrix.model import Key, Status
from imagematrix.planning.checks import UNCHECKED, CheckOutcome, CheckResult, ImageOutcome
from imagematrix.planning.nightly import NightlyHealth
from imagematrix.report.document import INTERRUPTED, NodeEntry
from imagematrix.report.flakes import FlakyCause, FlakyTry, LedgerLine, causes, ledger
from imagematrix.report.runs import PULLABLE, WAITING, PastLeaf, PastRun

LEDGER_RUNS: Final = 30
"""Over how many runs flakes are counted."""

_GOOD: Final = frozenset({Status.BUILT, Status.REUSED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A node that failed on its own."""

    node: NodeEntry
    since: datetime
    """When the first of the runs began in which it has failed without a success since."""
    runs: int
    """How many runs in a row that is, with this one."""
    blocks: tuple[str, ...]
    """The rows that have no image because of it."""

    @property
    def repeat(self) -> str:
        """The command that repeats just that, without the program: `build --only …`."""
        return _command("build", (*self.blocks, *self.node.leaves))


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenCheck:
    """A check that failed; of several images, where it is the same check with the same words."""

    check: CheckResult
    leaves: tuple[str, ...]
    since: datetime
    runs: int

    @property
    def repeat(self) -> str:
        """The command that repeats just that, without the program: `build --only …`."""
        return _command("verify", self.leaves)


@dataclass(frozen=True, slots=True, kw_only=True)
class Untried:
    """Rows that were not built or not checked though nothing of theirs failed, and why."""

    why: str
    leaves: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpublished:
    """Names that should stand for the images or nodes of this run, and do not, for one reason."""

    why: str
    names: tuple[str, ...]
    leaves: tuple[str, ...]
    verb: str
    """The command that publishes them."""

    @property
    def repeat(self) -> str:
        """The command that tries just that again, without the program."""
        return _command(self.verb, self.leaves)


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionChange:
    """What is another version than in the last run that had it; an empty version: it was not there, or is gone."""

    what: str
    old: str
    new: str
    leaves: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSize:
    """What all nodes of a layer take."""

    layer: str
    nodes: int
    bytes: int
    leaves: int
    """How many rows are built on them."""
    saved: int
    """Bytes that would exist once more if no row shared its nodes."""
    growth: int | None
    """Against the same nodes in the run before; None: it had none of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """All that is worth knowing of a run."""

    run: PastRun
    broken: tuple[Broken, ...]
    broken_checks: tuple[BrokenCheck, ...]
    untried: tuple[Untried, ...]
    unpublished: tuple[Unpublished, ...]
    flakes: tuple[FlakyTry, ...]
    flaky_causes: tuple[FlakyCause, ...]
    """The flakes by source and kind."""
    ledger: tuple[LedgerLine, ...]
    ledger_runs: int
    changes: tuple[VersionChange, ...]
    layers: tuple[LayerSize, ...]
    growth: Mapping[str, int]
    """Row -> bytes that its image grew by since the last run that had one."""
    critical: frozenset[Key]
    """The chain of nodes that took longest: no number of worker slots would have made the run shorter."""
    outcomes: Mapping[str, int]
    """How many rows ended how."""
    check_outcomes: Mapping[str, int]
    overdue: NightlyHealth | None
    """How nightly runs do, where none has succeeded for too long."""
    typed: str
    """What people type before a command: `invoke `, `imagematrix `, `invoke images.`."""

    @property
    def drifted(self) -> tuple[NodeEntry, ...]:
        """The nodes that were built with other packages than their apt locks name."""
        return tuple(node for node in self.run.nodes if node.drifted and node.outcome is Status.BUILT)

    @property
    def outdated(self) -> Mapping[str, int]:
        """Data files of the catalogue that were too old when the run began -> days, the oldest first."""
        return catalogue.outdated(self.run.facts, self.run.started.date())

    @property
    def good(self) -> bool:
        """Nothing is wrong."""
        return not (self.broken or self.broken_checks or self.untried or self.unpublished)


def make(
    run: PastRun, past: Sequence[PastRun], *, nights: NightlyHealth | None = None, typed: str = "invoke "
) -> Overview:
    """Hold a run against the others, oldest first; those that began with it or after it do not count."""
    before = [each for each in past if each.started < run.started]
    checks = [check for leaf in run.leaves for check in leaf.checks]
    flakes = tuple(FlakyTry(what=what, retry=retry) for what, retry in run.retries)
    return Overview(
        run=run,
        broken=tuple(_broken(run, before)),
        broken_checks=tuple(_broken_checks(run, before)),
        untried=tuple(_untried(run)),
        unpublished=tuple(_unpublished(run)),
        flakes=flakes,
        flaky_causes=causes(flakes),
        ledger=ledger([*before, run][-LEDGER_RUNS:]),
        ledger_runs=min(len(before) + 1, LEDGER_RUNS),
        changes=_changes(run, before),
        layers=tuple(_layers(run, before)),
        growth=dict(_growth(run, before)),
        critical=_critical(run),
        outcomes=_counted(leaf.outcome for leaf in run.leaves if leaf.outcome),
        check_outcomes=_counted(check.outcome for check in checks),
        overdue=nights if nights and nights.is_overdue else None,
        typed=typed,
    )


def _command(verb: str, leaves: Sequence[str]) -> str:
    return f"{verb} --only '{leaves[0]}'" if leaves else ""


def _counted(outcomes: Iterable[Status | CheckOutcome]) -> Mapping[str, int]:
    return Counter(outcome.value for outcome in outcomes)


def _broken(run: PastRun, past: Sequence[PastRun]) -> Iterator[Broken]:
    blocked: dict[Key, list[str]] = {}
    for leaf in run.leaves:
        if leaf.caused_by:
            blocked.setdefault(leaf.caused_by, []).append(leaf.name)
    for node in run.nodes:
        if node.outcome is Status.FAILED and node.why != INTERRUPTED:
            first, runs = _streak(run, past, _failing(node))
            yield Broken(node=node, since=first, runs=runs, blocks=tuple(blocked.get(node.key, ())))


def _failing(node: NodeEntry) -> Callable[[PastRun], bool | None]:
    """Make the question whether an earlier run failed at this node: keys move, its layer and its rows stay."""

    def failed(run: PastRun) -> bool | None:
        leaves = [leaf for name in node.leaves if (leaf := run.by_name.get(name)) and leaf.outcome]
        culprits = {
            run.by_key[leaf.caused_by].layer for leaf in leaves if leaf.caused_by and leaf.caused_by in run.by_key
        }
        if node.layer in culprits:
            return True
        return False if any(leaf.outcome in _GOOD for leaf in leaves) else None  # else it was never reached

    return failed


def _streak(run: PastRun, past: Sequence[PastRun], failed: Callable[[PastRun], bool | None]) -> tuple[datetime, int]:
    """Return when the unbroken series of failures that ends in a run began, and how many runs it has."""
    first, runs = run.started, 1
    for earlier in reversed(past):
        match failed(earlier):
            case True:
                first, runs = earlier.started, runs + 1
            case False:
                break
            case None:  # it says nothing of it
                continue
    return first, runs


def _broken_checks(run: PastRun, past: Sequence[PastRun]) -> Iterator[BrokenCheck]:
    same: dict[tuple[str, str, str], list[tuple[str, CheckResult]]] = {}
    for leaf in run.leaves:
        for check in leaf.failed_checks:
            same.setdefault((check.owner, check.name, check.why), []).append((leaf.name, check))
    for found in same.values():
        name, check = found[0]
        first, runs = _streak(run, past, _failing_check(name, check))
        yield BrokenCheck(check=check, leaves=tuple(name for name, _ in found), since=first, runs=runs)


def _failing_check(name: str, check: CheckResult) -> Callable[[PastRun], bool | None]:
    def failed(run: PastRun) -> bool | None:
        leaf = run.by_name.get(name)
        then = [each for each in leaf.checks if (each.owner, each.name) == (check.owner, check.name)] if leaf else ()
        return any(each.outcome is CheckOutcome.FAILED for each in then) if then else None

    return failed


def _untried(run: PastRun) -> Iterator[Untried]:
    reasons: dict[str, list[str]] = {}
    for leaf in run.leaves:
        if leaf.outcome is Status.SKIPPED:
            reasons.setdefault(leaf.why, []).append(leaf.name)
        elif leaf.outcome is None and not leaf.is_built:
            reasons.setdefault("not built, so not checked", []).append(leaf.name)
        if leaf.verification is ImageOutcome.UNCHECKED:
            reasons.setdefault(f"unchecked: images {UNCHECKED}", []).append(leaf.name)
        elif leaf.verification is ImageOutcome.NOT_CHECKED:
            reasons.setdefault(f"not checked: {leaf.interruption}", []).append(leaf.name)
    for why, names in reasons.items():
        yield Untried(why=why, leaves=tuple(names))


def _unpublished(run: PastRun) -> Iterator[Unpublished]:
    reasons: dict[tuple[str, str], list[tuple[str, tuple[str, ...]]]] = {}
    for leaf in run.leaves:
        for name in leaf.published:
            if name.outcome not in {*PULLABLE, WAITING}:
                reasons.setdefault(("push", f"{name.outcome}: {name.why}"), []).append((name.name, (leaf.name,)))
    for push in run.pushes:
        if push.outcome not in PULLABLE:
            why = push.why.removeprefix(f"{push.name}: ")
            reasons.setdefault(("build --push", why), []).append((push.name, run.by_key[push.node].leaves))
    for (verb, why), found in reasons.items():
        leaves = tuple(dict.fromkeys(leaf for _, leaves in found for leaf in leaves))
        yield Unpublished(why=why, names=tuple(name for name, _ in found), leaves=leaves, verb=verb)


def _latest(
    run: PastRun, past: Sequence[PastRun], has: Callable[[PastLeaf], object]
) -> Iterator[tuple[PastLeaf, PastLeaf]]:
    """Yield each row that has something with the same row in the last run before that had it too."""
    for leaf in filter(has, run.leaves):
        earlier = (each.by_name.get(leaf.name) for each in reversed(past))
        if then := next((each for each in earlier if each and has(each)), None):
            yield then, leaf


def _growth(run: PastRun, past: Sequence[PastRun]) -> Iterator[tuple[str, int]]:
    for then, now in _latest(run, past, lambda leaf: leaf.bytes is not None):
        yield now.name, (now.bytes or 0) - (then.bytes or 0)


def _changes(run: PastRun, past: Sequence[PastRun]) -> tuple[VersionChange, ...]:
    """Return what moved, what moved in most images first."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for then, now in _latest(run, past, lambda leaf: leaf.versions or leaf.base):
        for change in moved(then, now):
            found.setdefault((change.what, change.old, change.new), []).append(now.name)
    changes = [
        VersionChange(what=what, old=old, new=new, leaves=tuple(names)) for (what, old, new), names in found.items()
    ]
    return tuple(sorted(changes, key=lambda change: (-len(change.leaves), change.what, change.old, change.new)))


def moved(then: PastLeaf, now: PastLeaf) -> Iterator[VersionChange]:
    """Yield what is another version in a row than it was."""
    before, after = {"base image": then.base, **then.versions}, {"base image": now.base, **now.versions}
    for what in sorted(before.keys() | after.keys()):
        old, new = before.get(what, ""), after.get(what, "")
        if old != new:
            yield VersionChange(what=what, old=old, new=new, leaves=(now.name,))


def _layers(run: PastRun, past: Sequence[PastRun]) -> Iterator[LayerSize]:
    """Yield what each layer takes, the biggest first."""
    by_layer: dict[str, list[NodeEntry]] = {}
    for node in run.nodes:
        if node.bytes is not None:
            by_layer.setdefault(node.layer, []).append(node)
    before = {(node.layer, node.leaves): node.bytes for each in past[-1:] for node in each.nodes}
    for layer, nodes in sorted(by_layer.items(), key=lambda item: -sum(node.bytes or 0 for node in item[1])):
        grown = [(node.bytes or 0) - then for node in nodes if (then := before.get((layer, node.leaves))) is not None]
        yield LayerSize(
            layer=layer,
            nodes=len(nodes),
            bytes=sum(node.bytes or 0 for node in nodes),
            leaves=len({name for node in nodes for name in node.leaves}),
            saved=sum((node.bytes or 0) * (len(node.leaves) - 1) for node in nodes),
            growth=sum(grown) if grown else None,
        )


def _critical(run: PastRun) -> frozenset[Key]:
    """Return the longest chain of nodes that took time."""
    until: dict[Key, float] = {}
    for node in run.nodes:  # parents first
        below = max((until.get(key, 0.0) for key in (node.parent, node.packages) if key), default=0.0)
        until[node.key] = below + (node.seconds if node.ran else 0.0)
    key = max((node.key for node in run.nodes if node.ran), key=lambda each: until[each], default=None)
    chain = set()
    while key is not None and key in run.by_key:
        if run.by_key[key].ran:
            chain.add(key)
        node = run.by_key[key]
        key = max((each for each in (node.parent, node.packages) if each), key=until.__getitem__, default=None)
    return frozenset(chain)
