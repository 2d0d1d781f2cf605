"""Groups the nodes of a DAG into the jobs of a pipeline, no more than a CI system allows.

Nodes along a chain make one job: no other job waits between them. If these are still too many, the smallest jobs are
joined with such that wait for the same others, or with the one that they wait for, or at the ends of the DAG with those
that wait for nearly the same.
"""

import heapq
import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from imagematrix.model import Key
from imagematrix.planning.graph import Dag

_MOST_NEEDS: Final = 50
"""How many other jobs one may wait for in GitLab (https://docs.gitlab.com/ci/yaml/#needs)."""
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineJob:
    """Nodes that one job of a pipeline builds."""

    id: str
    """Unique, of letters, digits, `-` and `_`, beginning with a letter: what GitHub and make accept."""
    name: str
    """For people: its last node, and how many more it has."""
    nodes: tuple[str, ...]
    """What `build --only-nodes` takes: `family:tag/layer`, parents first, without those that it builds for another."""
    rows: tuple[str, ...]
    """The rows that end in one of its nodes: their images are verified."""
    published: tuple[str, ...]
    """Those of the rows that have registries."""
    needs: tuple[str, ...]
    """The ids of the jobs that it waits for."""
    platform: str
    """The Docker platform of its nodes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """The jobs that build some rows, those that others wait for first."""

    jobs: tuple[PipelineJob, ...]


def make(dag: Dag, *, limit: int) -> Pipeline:
    """Return a pipeline of at most `limit` jobs.

    It follows from the DAG alone, so every machine makes the same one.
    """
    groups = _Groups(dag)
    groups.join_chains()
    groups.join_lightest(limit)
    return Pipeline(jobs=tuple(_named(groups, dag)))


def missing(pipeline: Pipeline, nodes: Collection[str]) -> Pipeline:
    """Return the pipeline of the jobs that have one of these nodes; jobs left out are waited for no more."""
    jobs = [job for job in pipeline.jobs if not set(nodes).isdisjoint(job.nodes)]
    left = {job.id for job in jobs}
    return Pipeline(jobs=tuple(replace(job, needs=tuple(need for need in job.needs if need in left)) for job in jobs))


def references(dag: Dag) -> Mapping[str, Key]:
    """Return the nodes of rows as `build --only-nodes` names them: `family:tag/layer` -> key."""
    return {name: key for key, names in _references(dag).items() for name in names}


def _references(dag: Dag) -> Mapping[Key, tuple[str, ...]]:
    """Name each node by its first row; a last node by every row that ends in it, because each has an image name."""
    ends: dict[Key, list[str]] = {}
    for row, key in dag.final_nodes.items():
        ends.setdefault(key, []).append(row)
    return {
        key: tuple(f"{row}/{dag.nodes[key].layer}" for row in ends.get(key, rows[:1]))
        for key, rows in dag.rows_by_node().items()
    }


class _Groups:
    """The nodes of a DAG in groups, each known by its first node."""

    def __init__(self, dag: Dag) -> None:
        self._final = frozenset(dag.final_nodes.values())
        self._platforms = {node.key: node.platform for node in dag.order()}
        self.members = {node.key: [node.key] for node in dag.order()}
        self.needs = {key: set(dag.parents(key)) for key in self.members}
        self._children: dict[Key, set[Key]] = {key: set() for key in self.members}
        for key, parents in self.needs.items():
            for parent in parents:
                self._children[parent].add(key)
        self.dependents = {key: set(children) for key, children in self._children.items()}
        self._age = {key: number for number, key in enumerate(self.members)}

    def join_chains(self) -> None:
        """Join each group with the only one that needs it."""
        for key in reversed(self._age):
            above = self.dependents.get(key, set())
            if len(above) == 1:
                self._join(key, next(iter(above)))

    def join_lightest(self, limit: int) -> None:
        """Join groups until there are no more than `limit`, those of the fewest nodes first."""
        heap = [self._weight(key) for key in self.members]
        heapq.heapify(heap)
        while heap and len(self.members) > limit:
            lightest = heapq.heappop(heap)
            key = lightest[-1]
            if key not in self.members or self._weight(key) != lightest:
                continue  # it was joined meanwhile
            other = self._partner(key)
            if other is not None:
                first, second = sorted((key, other), key=self._age.__getitem__)
                self._join(first, second)
                heapq.heappush(heap, self._weight(first))

    def ends(self, first: Key) -> Iterator[Key]:
        """Yield the nodes of a group that rows end in or other groups need: the rest is built for these."""
        members = set(self.members[first])
        return (key for key in self.members[first] if key in self._final or not members.issuperset(self._children[key]))

    def order(self) -> Iterator[Key]:
        """Yield the groups, those that others need first."""
        left = {key: len(needs) for key, needs in self.needs.items()}
        ready = [(self._age[key], key) for key, number in left.items() if not number]
        while ready:
            _, key = heapq.heappop(ready)
            yield key
            for other in self.dependents[key]:
                left[other] -= 1
                if not left[other]:
                    heapq.heappush(ready, (self._age[other], other))

    def _partner(self, key: Key) -> Key | None:
        """Return the group to join with: no path leads from one of the two to the other through a third one."""
        needs = sorted(self.needs[key], key=lambda need: (len(self.dependents[need]), self._age[need]))
        near: Iterable[Key] = self.dependents[needs[0]] if needs else self.members
        near = [other for other in near if self._platforms[other] == self._platforms[key]]
        alike = [other for other in near if other != key and self.needs[other] == self.needs[key]]
        if alike:
            return min(alike, key=self._weight)
        if needs and (len(needs) == 1 or len(self.dependents[needs[0]]) == 1):
            return needs[0]
        return next(filter(None, (self._end_beside(key, need) for need in needs)), None)

    def _end_beside(self, key: Key, need: Key) -> Key | None:
        """Return a group that nothing needs, as nothing needs this one: that which adds the fewest needs."""
        if self.dependents[key]:
            return None
        ends = (other for other in self.dependents[need] if other != key and not self.dependents[other])
        sizes = ((len(self.needs[key] | self.needs[other]), self._weight(other)) for other in ends)
        best = min(sizes, default=None)
        return best[1][-1] if best and best[0] <= _MOST_NEEDS else None

    def _weight(self, key: Key) -> tuple[int, int, Key]:
        return len(self.members[key]), self._age[key], key

    def _join(self, first: Key, second: Key) -> None:
        """Put the second group into the first."""
        self.members[first] += self.members.pop(second)
        for need in self.needs.pop(second):
            self.dependents[need].discard(second)
            if need != first:
                self.dependents[need].add(first)
                self.needs[first].add(need)
        for other in self.dependents.pop(second):
            self.needs[other].discard(second)
            self.needs[other].add(first)
            self.dependents[first].add(other)


def _named(groups: _Groups, dag: Dag) -> Iterator[PipelineJob]:
    names, final = _references(dag), {*dag.final_nodes.values()}
    nodes = {key: tuple(name for member in groups.ends(key) for name in names[member]) for key in groups.order()}
    ids = identify({key: named[-1] for key, named in nodes.items()})
    for key, named in nodes.items():
        others = len(groups.members[key]) - 1
        more = f" and {others} more" if others else ""
        ended = (name for member in groups.members[key] if member in final for name in names[member])
        rows = tuple(name.rpartition("/")[0] for name in ended)
        yield PipelineJob(
            id=ids[key],
            name=named[-1] + more,
            nodes=named,
            rows=rows,
            published=tuple(row for row in rows if dag.rows[row].repositories),
            needs=tuple(sorted(ids[need] for need in groups.needs[key])),
            platform=dag.nodes[key].platform,
        )


def identify(names: Mapping[Key, str]) -> Mapping[Key, str]:
    """Return a unique id for each name `family:tag/layer`."""
    ids: dict[str, Key] = {}
    for key, name in names.items():
        row, _, layer = name.rpartition("/")
        plain = _UNSAFE.sub("-", f"job-{layer}-{row}")
        numbered = (f"{plain}-{number}" for number in itertools.count(2))
        ids[next(found for found in itertools.chain([plain], numbered) if found not in ids)] = key
    return {key: name for name, key in ids.items()}
