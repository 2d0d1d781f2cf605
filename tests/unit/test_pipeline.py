"""The jobs of a pipeline: every node in one of them, in an order that can be run, no more than are allowed."""

import itertools
from collections.abc import Mapping

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chains import chain, linking

from imagematrix.planning import graph, pipeline
from imagematrix.planning.graph import Dag
from imagematrix.planning.pipeline import Pipeline

ROWS = {
    "a:1": chain("a:1", "system", "python", "torch1", "boot1"),
    "a:2": chain("a:2", "system", "python", "torch2", "boot2"),
    "b:1": chain("b:1", "system", "python"),
    "c:1": chain("c:1", "other", "end"),
}


def jobs(made: Pipeline) -> Mapping[str, tuple[str, ...]]:
    """Return the nodes of each job by its id."""
    return {job.id: job.nodes for job in made.jobs}


def needs(made: Pipeline) -> Mapping[str, tuple[str, ...]]:
    """Return what each job waits for, by its id."""
    return {job.id: job.needs for job in made.jobs}


def test_a_chain_is_one_job() -> None:
    """Jobs begin where the DAG branches; a last node is named by the row that ends in it."""
    made = pipeline.make(graph.build(ROWS), limit=250)

    assert list(jobs(made).values()) == [
        ("b:1/python",),
        ("c:1/end",),
        ("a:1/boot1",),
        ("a:2/boot2",),
    ]
    assert needs(made) == {
        "job-python-b-1": (),
        "job-end-c-1": (),
        "job-boot1-a-1": ("job-python-b-1",),
        "job-boot2-a-2": ("job-python-b-1",),
    }


def test_rows_that_end_in_one_node_are_both_named() -> None:
    """Each of them has an image name."""
    same = {"a:1": ROWS["a:1"], "z:9": ROWS["a:1"]}

    assert list(jobs(pipeline.make(graph.build(same), limit=250)).values()) == [("a:1/boot1", "z:9/boot1")]


def test_jobs_that_need_the_same_are_joined_first() -> None:
    """Two leaves of one parent make one job; the parent stays a job of its own."""
    made = pipeline.make(graph.build(ROWS), limit=3)

    assert list(jobs(made).values()) == [
        ("b:1/python", "c:1/end"),
        ("a:1/boot1",),
        ("a:2/boot2",),
    ]


def test_jobs_with_nothing_to_do_are_left_out() -> None:
    """Nothing waits for them any more."""
    made = pipeline.missing(pipeline.make(graph.build(ROWS), limit=250), {"a:2/boot2", "c:1/end"})

    assert needs(made) == {"job-boot2-a-2": (), "job-end-c-1": ()}


def test_ids_are_unique() -> None:
    """Tags that differ in a character that ids cannot have."""
    rows = {"a:1.0": chain("a:1.0", "x"), "a:1-0": chain("a:1-0", "y", "x2"), "a:1_0": chain("a:1_0", "z")}
    made = pipeline.make(graph.build({**rows, "a:1+0": chain("a:1+0", "w")}), limit=250)

    assert len(set(jobs(made))) == len(rows) + 1


@st.composite
def grids(draw: st.DrawFn) -> Dag:
    """Draw rows of up to four layers that share beginnings."""
    rows = draw(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=4), min_size=1, max_size=25))
    layers = ["".join(map(str, row)) for row in rows]
    chains = {f"a:{name}": chain(f"a:{name}", *itertools.accumulate(name)) for name in layers}
    return graph.build(chains)


@given(grids(), st.integers(1, 8))
def test_every_grid_fits(dag: Dag, limit: int) -> None:
    """Every node is built once, by jobs in their order that wait for at most one other, and they fit the limit."""
    made = pipeline.make(dag, limit=limit)
    known = pipeline.references(dag)
    built: dict[str, set[str]] = {}
    for job in made.jobs:
        assert len(job.needs) <= 1
        done = set().union(*(built[need] for need in job.needs))
        ends = {known[name] for name in job.nodes}
        built[job.id] = done | ends.union(*(nx.ancestors(dag.shape, key) for key in ends))
        own = built[job.id] - done
        assert all(own.isdisjoint(others - done) for id_, others in built.items() if id_ != job.id)

    assert len(made.jobs) <= limit
    assert set().union(*built.values()) == set(dag.nodes)
    assert {name for job in made.jobs for name in job.nodes} >= {
        f"{row}/{dag.nodes[key].layer}" for row, key in dag.final_nodes.items()
    }


@pytest.mark.parametrize("limit", [254, 50])
def test_a_big_grid(limit: int) -> None:
    """10,000 nodes: the jobs have about as many each."""
    rows = {f"a:{n}": chain(f"a:{n}", f"s{n % 10}", f"p{n % 100}", f"t{n}", f"b{n}") for n in range(5000)}

    made = pipeline.make(graph.build(rows), limit=limit)

    assert len(made.jobs) == limit
    assert max(len(job.nodes) for job in made.jobs) < 4 * 5_000 / limit


def test_a_big_grid_of_package_layers() -> None:
    """Each row waits for files that rows on other bases wait for too; GitLab allows 50 needs."""
    grid = itertools.product(range(10), range(4), range(50))
    rows = {
        f"a:{b}-{p}-{t}": linking(f"a:{b}-{p}-{t}", f"s{b}", f"p{b}.{p}", f"t{b}.{p}.{t}", files=f"f{p}.{t}")
        for b, p, t in grid
    }

    made = pipeline.make(graph.build(rows), limit=254)

    assert len(made.jobs) == 254
    assert max(len(job.needs) for job in made.jobs) <= 50
    begun: set[str] = set()
    for job in made.jobs:
        assert begun.issuperset(job.needs)
        begun.add(job.id)
