"""The DAG: its order, its dependencies, what must be built."""

import random
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from tests import projects
from tests.chains import chain

from imagematrix.model import Key
from imagematrix.planning import graph

ROWS = {
    "a:1": chain("a:1", "base", "python", "torch1"),
    "a:2": chain("a:2", "base", "python", "torch2"),
    "b:1": chain("b:1", "base", "notebook"),
    "c:1": chain("c:1", "other"),
}


def test_parents_come_first() -> None:
    """Each node once, none before its parent."""
    order = [node.key for node in graph.build(ROWS).order()]

    assert sorted(order) == ["base", "notebook", "other", "python", "torch1", "torch2"]
    assert order.index(Key("base")) < order.index(Key("python")) < order.index(Key("torch2"))


@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(chance: random.Random) -> None:
    """The same DAG in the same order, however the rows come."""
    mixed = graph.build({name: ROWS[name] for name in chance.sample(sorted(ROWS), len(ROWS))})
    dag = graph.build(ROWS)

    assert [node.key for node in mixed.order()] == [node.key for node in dag.order()]
    assert list(mixed.final_nodes.items()) == list(dag.final_nodes.items())
    assert mixed.rows_by_node() == dag.rows_by_node()


def test_what_stands_on_a_node() -> None:
    """The rows that need it, sorted."""
    standing = graph.build(ROWS).rows_by_node()

    assert standing[Key("base")] == ("a:1", "a:2", "b:1")
    assert standing[Key("python")] == ("a:1", "a:2")
    assert standing[Key("other")] == ("c:1",)


@given(st.sets(st.sampled_from(["base", "python", "torch1", "torch2", "notebook", "other"])))
def test_what_must_be_built(present: set[str]) -> None:
    """A missing node, if the way from it up to some row's end holds nothing but missing ones."""
    needed = graph.build(ROWS).needed({Key(key) for key in present}).keys

    ways = [[node.key for node in nodes[at:]] for nodes in ROWS.values() for at in range(len(nodes))]
    assert needed == {way[0] for way in ways if not present & set(way)}


def test_no_rows(tmp_path: Path) -> None:
    """An empty DAG is a DAG."""
    dag = projects.project(tmp_path).dag({})

    assert (list(dag.order()), dag.needed(set()).keys, dag.final_nodes) == ([], set(), {})


def test_a_part_of_the_dag_knows_all_rows() -> None:
    """What some nodes need, and which rows need that; only rows that end in one of them are built."""
    part = graph.build(ROWS).restricted({Key("python"), Key("notebook")})

    assert {node.key for node in part.order()} == {"base", "python", "notebook"}
    assert part.final_nodes == {"b:1": "notebook"}
    assert part.rows_by_node()[Key("python")] == ("a:1", "a:2")
    assert part.needed({Key("base")}).keys == {"python", "notebook"}
    assert part.needed({Key("python"), Key("notebook")}).keys == set()
