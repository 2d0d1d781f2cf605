"""What a clean-up would remove, and what it leaves alone."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from imagematrix.model import CacheRecord, CheckContainer, ImageLayers, Key, node_ref
from imagematrix.planning import garbage
from imagematrix.planning.garbage import CleanupPlan, EngineNode, Needs, StoredNode

OLD, NEW, NIGHTLY, FOREIGN, OTHER = (Key(digit * 64) for digit in "abcde")
NEEDS = Needs(
    keys=frozenset({NEW, NIGHTLY}),
    images={"registry.example/app:1"},
    repositories={"app", "registry.example/team/app"},
    node_repositories={"registry.example/nodes"},
    nights=7,
)
NOW = datetime(2026, 3, 9, 12, tzinfo=UTC).timestamp()
SIZES: Mapping[str, ImageLayers] = {
    OLD: ImageLayers(ids=("base", "old"), bytes=150),
    NEW: ImageLayers(ids=("base", "new"), bytes=130),
}


def node(key: Key, *names: str, rows: Collection[str] = ()) -> EngineNode:
    return EngineNode(id=key, key=key, names=(node_ref(key), *names), rows=rows, ref=node_ref(key))


def images(*found: EngineNode, users: Mapping[str, str] | None = None) -> CleanupPlan:
    return garbage.images(found, needs=NEEDS, mine=lambda key: key != FOREIGN, users=users or {}, layers=lambda: SIZES)


def run(started: str, *keys: str) -> str:
    return json.dumps({"started": started, "nodes": [{"key": key} for key in keys], "leaves": []})


def record(description: str, *, shared: bool = False, in_use: bool = False, last_used: float = 1.0) -> CacheRecord:
    return CacheRecord(
        id=description,
        description=description,
        bytes=10,
        shared=shared,
        in_use=in_use,
        created=0.0,
        last_used=last_used,
    )


def removed(found: CleanupPlan) -> list[str]:
    return [ref for thing in found.garbage for ref in thing.refs]


def test_what_matrix_and_nights_do_without_goes() -> None:
    """With its reason; what another project built is not even mentioned."""
    found = images(node(OLD), node(NEW), node(NIGHTLY), node(FOREIGN))
    assert removed(found) == [node_ref(OLD)]
    assert found.garbage[0].reason == "not needed by the matrix or the last 7 nights"
    assert found.kept == ()


def test_a_leafs_names_go_with_it() -> None:
    """Also those that it was published under: they are recognised by the row, the date and the key."""
    published = ["registry.example/team/app:1", f"app:1-20260101-{OLD[:12]}", "app:1-latest"]
    names = ["app:1", *published, f"registry.example/nodes:{OLD}"]
    found = images(node(OLD, *names, rows={"app:1"}))
    assert removed(found) == [node_ref(OLD), *names]
    assert found.garbage[0].name == f"app:1 ({OLD[:12]})"
    assert images(node(OLD)).garbage[0].name == node_ref(OLD)


@pytest.mark.parametrize(
    "name",
    [
        *("mine:1", "myapp:1", "app:10", "app:1-20260101-bbbbbbbbbbbb", "app:1-old"),
        # another registry, another team: their names end like ours
        *("mycorp.example/backup/app:1", "registry.example/other/app:1-latest", "localhost:5000/app:1"),
        *(f"mycorp.example/backup:{OLD}", f"registry.example/team/app:{OLD}", f"app:{OLD}"),
    ],
)
def test_a_name_that_somebody_else_gave_stays(name: str) -> None:
    """And with it the image: nothing is freed."""
    found = images(node(OLD, name, rows={"app:1"}))
    assert removed(found) == [node_ref(OLD)]
    assert found.garbage[0].bytes == 0
    assert f"it stays as {name}" in found.garbage[0].reason


def test_reports_tell_where_earlier_runs_gave_names() -> None:
    """Of families and registries that the matrix no longer has; what is damaged says nothing."""
    told = {
        "started": "2026-01-01T02:00:00Z",
        "nodes": [],
        "leaves": [{"image": "localhost:5000/old/app:1"}, {"image": "app:2"}, {}],
        "pushes": [{"name": f"localhost:5000/nodes:{OLD}"}],
    }
    runs = [json.dumps(told), "{", '{"started": 1}']
    assert garbage.repositories(runs) == {"localhost:5000/old/app", "app"}
    assert garbage.node_repositories(runs) == {"localhost:5000/nodes"}


def test_the_last_good_image_of_a_row_stays() -> None:
    """Its row is in the matrix, but what the matrix wants could not be built: there is nothing better."""
    found = images(node(OLD, "registry.example/app:1", rows={"app:1"}))
    assert found.garbage == ()
    assert "last good image" in found.kept[0].reason


def test_what_a_container_uses_stays() -> None:
    found = images(node(OLD), users={OLD: "trial"})
    assert found.garbage == ()
    assert found.kept[0].reason == "container trial uses it"


def test_shared_layers_are_counted_once() -> None:
    """Neither those that an image to be kept has, nor twice those that two have that go."""
    shared = {
        "stays": ImageLayers(ids=("base",), bytes=100),
        OLD: ImageLayers(ids=("base", "x"), bytes=150),
        NIGHTLY: ImageLayers(ids=("base", "x", "y"), bytes=157),
    }
    found = garbage.images(
        [node(NIGHTLY), node(OLD)],
        needs=Needs(keys=frozenset(), nights=0),
        mine=lambda _: True,
        users={},
        layers=lambda: shared,
    )
    assert [thing.bytes for thing in found.garbage] == [50, 7]
    assert garbage.total(found.garbage) == 57
    assert found.garbage[0].reason == "not needed by the matrix"


def test_a_night_is_a_day_with_a_run() -> None:
    """Also when there were days without one; a file that is not a report is ignored."""
    runs = {
        "1": run("2026-01-01T02:00:00Z", OLD),
        "2": run("2026-03-01T02:00:00Z", NEW),
        "3": run("2026-03-01T09:00:00Z", NIGHTLY),
        "4": run("2026-03-09T02:00:00Z", FOREIGN),
        "5": '{"started": "2026-',
        "6": "[1]",
        "7": '{"started": 5, "nodes": []}',
    }
    assert garbage.nights(runs, 2, now=NOW) == ("4", "3", "2")
    assert garbage.nights(runs, 0, now=NOW) == ()
    assert garbage.nights(runs, 1, now=NOW - 3 * 86400) == ("3", "2"), "a run of the future is of no night"
    assert garbage.keys(runs.values()) == {OLD, NEW, NIGHTLY, FOREIGN}


STAGE = """\
FROM tools AS app
COPY --link app/version.txt /app.txt
RUN --mount=type=cache,id=imagematrix-uv,target=/root/.cache/uv \\
    uv pip install \\
      -r /tmp/requirements.lock && true
"""


@pytest.mark.parametrize(
    "description",
    [
        "[app 1/2] COPY --link app/version.txt /app.txt",
        "[app 1/2] LINK COPY --link app/version.txt /app.txt",
        "[app  1/12] COPY --link app/version.txt /app.txt",
        "mount / from exec /bin/sh -c uv pip install       -r /tmp/requirements.lock && true",
        'cached mount /root/.cache/uv from exec /bin/sh -c somebody with id "/imagematrix-uv"',
        "local source for wheelhouse",
    ],
)
def test_build_cache_is_known_by_the_step_that_made_it(description: str) -> None:
    def found(**facts: object) -> CleanupPlan:
        made = record(description, **facts)  # type: ignore[arg-type]
        return garbage.cache([made], texts=[], missing=[STAGE], before=2.0, nights=7, installed=0)

    assert removed(found()) == [description]
    assert found().garbage[0].reason == "no build has used it for 7 days"
    assert garbage.total(found().garbage) == 10
    assert garbage.total(found(shared=True).garbage) == 0
    assert found(in_use=True) == found(last_used=2.0) == CleanupPlan()


def test_build_cache_that_no_image_shares_goes_at_once() -> None:
    """Not what a failed build resumes from, what is in use, small results, nor downloads; the youngest goes first."""
    copy = "[app 1/2] COPY --link app/version.txt /app.txt"
    mount = 'cached mount /root/.cache/uv from exec /bin/sh -c uv with id "/imagematrix-uv"'
    big = replace(record(copy, last_used=9.0), bytes=1_000_000)
    found = [
        replace(big, id="below", created=1.0),
        replace(big, id="above", created=2.0),
        replace(big, id="shared", shared=True),
        replace(big, id="in use", in_use=True),
        replace(big, id="small", bytes=999_999, created=0.5),
        replace(big, id="small above", bytes=10, created=3.0),
        replace(big, id="smaller above", bytes=10, created=4.0),
        replace(big, id="downloads", description=mount),
    ]

    def gone(*, texts: Sequence[str], missing: Sequence[str]) -> list[str]:
        return removed(garbage.cache(found, texts=texts, missing=missing, before=2.0, nights=7, installed=0))

    assert gone(texts=[STAGE], missing=[]) == ["smaller above", "small above", "above", "below"]
    assert gone(texts=[STAGE], missing=[STAGE]) == gone(texts=[], missing=[STAGE]) == gone(texts=[], missing=[]) == []


def test_old_downloads_go_when_they_are_far_more_than_the_locks_install() -> None:
    """What is used every night has no age; steps' own results are no downloads, however big."""
    mount, step = (
        'cached mount /root/.cache/uv from exec /bin/sh -c uv with id "/imagematrix-uv"',
        "[app 1/2] COPY --link app/version.txt /app.txt",
    )

    def found(description: str, gigabytes: int, **facts: bool) -> list[str]:
        made = replace(record(description, **facts), bytes=gigabytes * 10**9)
        return removed(garbage.cache([made], texts=[], missing=[STAGE], before=0.5, nights=7, installed=10**10))

    assert found(mount, 26) == [mount]
    assert found(mount, 24) == found(step, 26) == found(mount, 26, in_use=True) == []


@pytest.mark.parametrize(
    "description",
    [
        "[app 1/2] COPY . /app.txt",
        "mount / from exec /bin/sh -c uv pip install",
        "mount / from exec /bin/sh -c uv pip install -r /tmp/requirements.lock && true && mine",
        'cached mount /root/.cache/uv from exec /bin/sh -c somebody with id "/uv"',
        "local source for context",
        "pulled from docker.io/library/debian:12",
        "",
    ],
)
def test_build_cache_that_may_be_anybodys_stays(description: str) -> None:
    found = replace(record(description), bytes=10**9)
    for texts, missing in (([STAGE], []), ([], [STAGE])):
        made = garbage.cache([found], texts=texts, missing=missing, before=2.0, nights=7, installed=10**10)
        assert made == CleanupPlan()


def test_containers_of_checks_go_when_no_check_can_need_them() -> None:
    def one(name: str, since: float, *, runs: bool) -> CheckContainer:
        return CheckContainer(id=name, name=name, since=since, runs=runs)

    found = [
        one("stopped long ago", 9.0, runs=False),
        one("stopped just now", 11.0, runs=False),
        one("forgotten", 2.0, runs=True),
        one("at work", 4.0, runs=True),
    ]
    assert removed(garbage.containers(found, stopped=10.0, begun=3.0)) == ["stopped long ago", "forgotten"]


def test_logs_of_nodes_alone_go() -> None:
    sizes = {f"app-{OLD[:12]}.log": 5, f"app-{NEW[:12]}.log": 6, "mine.log": 7}
    found = garbage.logs(sizes, {NEW})
    assert removed(found) == [f"app-{OLD[:12]}.log"]
    assert garbage.total(found.garbage) == 5


def test_a_digest_that_a_needed_tag_has_too_is_not_deleted() -> None:
    """A registry deletes a digest with all of its tags; what several have is counted once."""
    found = {
        OLD: StoredNode(digest="sha256:1", blobs={"base": 100}),
        NEW: StoredNode(digest="sha256:1", blobs={"base": 100}),
        FOREIGN: StoredNode(digest="sha256:2", blobs={"base": 100, "x": 3}),
        OTHER: StoredNode(digest="sha256:3", blobs={"base": 100, "x": 3, "y": 2}),
    }
    made = garbage.tags(found, name=lambda key: f"r/nodes:{key}", needs=NEEDS, mine=lambda _: True)
    assert removed(made) == [FOREIGN, "sha256:2", OTHER, "sha256:3"]
    assert [thing.bytes for thing in made.garbage] == [3, 2]
    signed = {FOREIGN: replace(found[FOREIGN], attached=("sha256-2.sig",))}
    made_of_signed = garbage.tags(signed, name=str, needs=NEEDS, mine=lambda _: True)
    assert removed(made_of_signed) == [FOREIGN, "sha256:2", "sha256-2.sig"]
    assert [thing.name for thing in made.kept] == [f"r/nodes:{OLD}"]
    assert garbage.tags(found, name=str, needs=NEEDS, mine=lambda _: False) == CleanupPlan()


def test_tags_that_are_no_keys_are_somebody_elses() -> None:
    assert garbage.stored_keys([OLD, "latest", OLD[:12], f"{OLD}-1"]) == (OLD,)
