"""A run held against those before it, read from what they wrote."""

import json

import pytest
from tests import nights

from imagematrix.report import overview, runs

NOW = nights.FIRST.timestamp() + 365 * 86400
GRID = nights.grid(30)
PYTORCH = next(step.node.key for step in GRID.steps if step.node.layer == "pytorch")
NODES = {step.node.key: step for step in GRID.steps}


def read(count: int, *, broken: str = PYTORCH, since: int = 0) -> list[runs.PastRun]:
    return [runs.read(text) for text in nights.nights(GRID, count, broken=frozenset({broken}), since=since)]


def test_a_report_is_read_as_it_was_written() -> None:
    """Nothing of what a page needs is lost on the way through the file."""
    run = read(1)[0]

    failed = next(node for node in run.nodes if node.key == PYTORCH)
    assert (failed.outcome, failed.layer, failed.tail[0].strip()[0]) == ("failed", "pytorch", "x")
    assert run.started == nights.FIRST
    built = next(leaf for leaf in run.leaves if leaf.outcome == "built")
    assert built.bytes
    assert built.versions["numpy"] == "1.26.0"
    assert built.base.startswith("sha256:")
    blamed = [leaf.name for leaf in run.leaves if leaf.caused_by == PYTORCH]
    assert blamed == list(NODES[PYTORCH].leaves)


def test_a_report_from_before_there_were_nights_is_read() -> None:
    """What it does not say is not known, rather than an error."""
    document = json.loads(next(nights.nights(GRID, 1)))
    del document["locks"]
    for node in document["nodes"]:
        for name in ("tail", "bytes", "retries", "lane", "started"):
            del node[name]
    for leaf in document["leaves"]:
        for name in ("base", "locks", "why"):
            del leaf[name]

    made = overview.make(runs.read(json.dumps(document)), ())

    assert made.good
    assert not made.changes
    assert not made.flakes


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"nodes": [1], "leaves": [], "started": "x"}', "\0"])
def test_what_is_no_report_is_passed_over_with_a_word(text: str) -> None:
    """A run that was killed while it wrote, or a foreign file, does not prevent the page."""
    good = next(nights.nights(GRID, 1))

    found, words = runs.read_all({"a.json": text, "b.json": good}, now=NOW)

    assert len(found) == 1
    assert len(words) == 1
    assert words[0].startswith("a.json is not a report of imagematrix")


def test_a_run_of_the_future_does_not_count() -> None:
    """Some clock was wrong: it would be the last run for ever."""
    text = next(nights.nights(GRID, 1))
    started = runs.read(text).started.timestamp()

    assert len(runs.read_all({"a.json": text}, now=started)[0]) == 1
    found, words = runs.read_all({"a.json": text}, now=started - 2 * 86400)
    assert (found, len(words)) == ({}, 1)


def test_a_node_is_broken_since_the_first_night_of_its_failures_in_a_row() -> None:
    """Its key may be another each night: its layer and rows are what it is known by."""
    *past, run = read(6, since=2)

    made = overview.make(run, past)

    (broken,) = made.broken
    assert broken.node.key == PYTORCH
    assert broken.since == past[2].started
    assert broken.runs == 4
    assert broken.blocks == NODES[PYTORCH].leaves
    assert broken.repeat == f"build --only '{broken.blocks[0]}'"


def test_a_night_in_which_it_was_not_tried_says_nothing() -> None:
    """Its parent had failed, or other rows were built: the series continues."""
    parent = NODES[PYTORCH].node.parent
    assert parent
    first = read(1)[0]
    second = runs.read(list(nights.nights(GRID, 2, broken=frozenset({parent})))[1])
    third = read(3)[2]

    assert overview.make(third, [first, second]).broken[0].runs == 2


def test_a_night_in_which_it_was_built_ends_the_series() -> None:
    """Broken twice with a good night between is broken since today."""
    bad, good, again = read(1)[0], read(2, since=5)[1], read(3)[2]

    broken = overview.make(again, [bad, good]).broken[0]

    assert (broken.runs, broken.since) == (1, again.started)


def test_the_same_failed_check_of_many_images_is_told_once() -> None:
    """With the command that repeats it for one of them."""
    rows = frozenset(name for name in GRID.final_nodes if name.startswith("paddle:"))
    past, run = (
        runs.read(nights.with_checks(text, failing=rows)) for text in nights.nights(GRID, 2, broken=frozenset())
    )

    (broken,) = overview.make(run, [past]).broken_checks

    assert (broken.check.owner, broken.check.name) == ("paddle", "trains")
    assert set(broken.leaves) == rows
    assert broken.runs == 2
    assert broken.repeat.startswith("verify --only 'paddle:")


def test_names_that_stayed_as_they_were_are_told_by_reason() -> None:
    """They are no good night: who pulls them gets yesterday's image."""
    run = runs.read(nights.with_published(next(nights.nights(GRID, 1)), refused=frozenset(list(GRID.final_nodes)[:2])))

    made = overview.make(run, ())

    (unpublished,) = made.unpublished
    assert unpublished.why == "refused: another Python"
    assert len(unpublished.names) == 2
    assert unpublished.repeat == f"push --only '{next(iter(GRID.final_nodes))}'"
    assert not made.good


def test_nodes_that_were_not_pushed_are_told_by_reason() -> None:
    """What the registry said stands once, without the name of each node."""
    document = json.loads(next(nights.nights(GRID, 1)))
    keys = [node["key"] for node in document["nodes"]][:3]
    document["pushes"] = [
        {"node": key, "name": f"r/n:{key}", "outcome": outcome, "seconds": 1, "attempts": 3, "why": why}
        for key, outcome, why in zip(
            keys, ("pushed", "failed", "failed"), ("", f"r/n:{keys[1]}: 503", "503"), strict=True
        )
    ]

    (unpublished,) = overview.make(runs.read(json.dumps(document)), ()).unpublished

    assert (unpublished.why, unpublished.names) == ("503", (f"r/n:{keys[1]}", f"r/n:{keys[2]}"))
    assert unpublished.repeat.startswith("build --push --only '")


def test_what_a_push_or_a_tag_flaked_counts_as_that_of_a_build() -> None:
    """A registry is a source like any other."""
    document = json.loads(next(nights.nights(GRID, 1)))
    for node in document["nodes"]:
        node["retries"] = []
    retry = {"number": 1, "why": "503", "kind": "server", "source": "registry.example.com", "waited": 4.0}
    node, leaf = document["nodes"][0], document["leaves"][0]
    document["pushes"] = [{"node": node["key"], "name": "r/n:1", "outcome": "pushed", "why": "", "retries": [retry]}]
    leaf["published"] = [{"name": "r/app:1", "digest": "", "outcome": "pushed", "why": "", "retries": [retry]}]

    made = overview.make(runs.read(json.dumps(document)), ())

    assert [flake.what for flake in made.flakes] == [f"push of {node['label']}", "r/app:1"]
    assert [(line.source, line.tries, line.waited) for line in made.ledger] == [("registry.example.com", 2, 8.0)]


def test_the_ledger_counts_what_each_source_cost_in_thirty_runs() -> None:
    """Runs before those are forgotten."""
    *past, run = read(40)

    made = overview.make(run, past)

    counted = [retry for each in (*past, run)[-30:] for node in each.nodes for retry in node.retries]
    assert sum(line.tries for line in made.ledger) == len(counted)
    assert made.ledger_runs == 30
    assert [line.tries for line in made.ledger] == sorted((line.tries for line in made.ledger), reverse=True)
    assert {line.source for line in made.ledger} <= {"pypi.example.com", "deb.example.com", "registry.example.com"}


def test_versions_that_moved_are_told_with_their_images() -> None:
    """What moved in most images comes first; the base's digest is one of them."""
    *past, run = read(7, since=99)

    changes = {change.what: change for change in overview.make(run, past).changes}

    assert set(changes) == {"numpy", "base image"}
    assert (changes["numpy"].old, changes["numpy"].new) == ("1.26.2", "1.26.3")
    assert len(changes["numpy"].leaves) == len(GRID.final_nodes)


def test_growth_is_against_the_last_run_that_had_the_image() -> None:
    """A night in which it failed does not count as one in which it was empty."""
    first, broken, last = read(1, since=9)[0], read(2)[1], read(3, since=9)[2]

    made = overview.make(last, [first, broken])

    name = NODES[PYTORCH].leaves[0]
    assert made.growth[name] == 5 * 2 * 1_500_000  # five nodes, two nights
    other = next(row for row in GRID.final_nodes if row not in NODES[PYTORCH].leaves)
    assert made.growth[other] == 5 * 1_500_000


def test_sizes_by_layer_say_what_sharing_saves() -> None:
    """Each node is counted once, however many rows are built on it."""
    run = read(1, since=9)[0]

    layers = {each.layer: each for each in overview.make(run, ()).layers}

    systems = [node for node in run.nodes if node.layer == "system"]
    assert layers["system"].nodes == len(systems) == 5
    assert layers["system"].leaves == 30
    assert layers["system"].saved == sum((node.bytes or 0) * (len(node.leaves) - 1) for node in systems)
    assert layers["boot"].saved == 0
    assert [each.bytes for each in layers.values()] == sorted((each.bytes for each in layers.values()), reverse=True)


def test_the_critical_path_is_a_chain_that_took_longest() -> None:
    """From a base to the end of a row."""
    run = read(1, since=9)[0]

    critical = overview.make(run, ()).critical

    chain = [node for node in run.nodes if node.key in critical]
    assert [node.parent for node in chain[1:]] == [node.key for node in chain[:-1]]
    length = sum(node.seconds for node in chain)
    for tip in GRID.final_nodes.values():
        seconds, key = 0.0, run.by_key[tip].parent
        while key:
            seconds, key = seconds + run.by_key[key].seconds, run.by_key[key].parent
        assert seconds + run.by_key[tip].seconds <= length
