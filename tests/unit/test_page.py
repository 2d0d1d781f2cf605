"""What is written for people and CI systems: the page, its plots, Markdown, and the webhook's message."""

import base64
import gzip
import json
import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from tests import nights
from tests.chat import Chat

from imagematrix import __version__
from imagematrix.errors import FlagError
from imagematrix.model import Status
from imagematrix.planning.nightly import NightlyHealth
from imagematrix.report import document, heartbeat, html, junit, markdown, overview, plots, runs, webhook

GRID = nights.grid(30)
PYTORCH = next(step.node.key for step in GRID.steps if step.node.layer == "pytorch")
PADDLES = frozenset(name for name in GRID.final_nodes if name.startswith("paddle:"))


@pytest.fixture(scope="module")
def made() -> overview.Overview:
    """Make the overview of a third night: a node broken since the second, a check of all Paddle images since then."""
    texts = nights.nights(GRID, 3, broken=frozenset({PYTORCH}), since=1)
    *past, run = (runs.read(nights.with_checks(text, failing=PADDLES)) for text in texts)
    return overview.make(run, past)


@pytest.fixture(scope="module")
def page(made: overview.Overview) -> str:
    return html.page(made, {"notebook 1.png": b"\x89PNG", "b&b.png": b"\x89PNG"})


def test_the_page_holds_what_a_morning_needs(page: str) -> None:
    """What broke, since when, what it blocks, its last lines and the command that repeats it."""
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page.partition("<body>")[2].partition("<script")[0]))

    blocked = next(step.leaves for step in GRID.steps if step.node.key == PYTORCH)
    assert f"imagematrix {__version__} ·" in text
    assert "broken since 2026-11-02, 2 runs in a row" in text
    assert f"invoke build --only &#39;{blocked[0]}&#39;" in text
    assert "did not complete: exit code: 1" in text
    assert "paddle: trains" in text
    assert "numpy 1.26.0 1.26.1 30" in text
    assert all(name in text for name in GRID.final_nodes)


def test_the_head_says_what_the_run_is_of_and_one_image_is_not_many(made: overview.Overview) -> None:
    where = document.Checkout(project="team/images", branch="main", commit="0123456789abcdef")
    good = overview.make(
        replace(made.run, leaves=(replace(made.run.leaves[0], checks=()),), nodes=(), checkout=where), ()
    )
    assert good.good
    head = html.page(good, {}).partition("<nav>")[0]
    assert "team/images · main · 0123456789ab<" in head
    assert "<h1>1 image is well</h1>" in head


def test_flakes_are_shown_by_source(made: overview.Overview) -> None:
    """A bad hour of one mirror is one line."""
    causes = made.flaky_causes
    assert sum(cause.tries for cause in causes) == len(made.flakes) > len(causes)
    assert [cause.tries for cause in causes] == sorted((cause.tries for cause in causes), reverse=True)
    assert len({(cause.source, cause.kind) for cause in causes}) == len(causes)


def test_commands_are_written_as_people_type_them(made: overview.Overview) -> None:
    here = replace(made, typed="scripts/inv ")
    for text in (html.page(here, {}), markdown.summary(here)):
        assert "scripts/inv build --only" in text
        assert "scripts/inv verify --only" in text
        assert "invoke build" not in text


def test_packages_that_drifted_are_named(made: overview.Overview) -> None:
    """By the page and by the summary, each node with what it has instead."""
    drift = "openssl=3.0.16 instead of openssl=3.0.15"
    nodes = [replace(made.run.nodes[0], outcome=Status.BUILT, drifted=(drift,)), *made.run.nodes[1:]]
    drifted = replace(made, run=replace(made.run, nodes=tuple(nodes)))
    for text in (html.page(drifted, {}), markdown.summary(drifted)):
        assert drift in text
        assert "invoke lock --bases --upgrade" in text
    for text in (html.page(made, {}), markdown.summary(made)):
        assert "lock --bases" not in text


def test_the_page_says_what_the_night_costs_who_pulls(made: overview.Overview) -> None:
    """Of images that were published in the run."""
    published = [runs.read(nights.with_published(text)) for text in nights.nights(GRID, 2)]

    assert html.page(overview.make(published[-1], published[:-1]), {}).count(">400 MB</td>") == len(GRID.final_nodes)
    assert ">400 MB</td>" not in html.page(made, {})


def test_the_page_fetches_nothing_and_takes_logs_for_text(page: str) -> None:
    """Its policy forbids requests; what a log says is never markup."""
    assert "default-src 'none'" in page
    assert not re.search(r"<(?:script|img|link|iframe)[^>]*(?:src|href)=\"(?!data:)[^\"]", page)
    assert "<b>somepackage</b>" not in page
    assert "&lt;/script&gt;&lt;script&gt;" in page


def test_screenshots_are_shown_while_the_page_stays_light(made: overview.Overview) -> None:
    """Small ones within the page, the others by a link."""
    text = html.page(made, {"small.png": b"\x89PNG", "big one.png": bytes(9_000_000)})

    assert 'src="data:image/png;base64,' + base64.b64encode(b"\x89PNG").decode() in text
    assert text.count("<img") == 1
    assert 'href="screenshots/big%20one.png"' in text


def test_the_figures_travel_packed(page: str, made: overview.Overview) -> None:
    """What the page unpacks is what was drawn."""
    found = re.search(r'id="figures">([^<]+)<', page)
    assert found
    assert json.loads(gzip.decompress(base64.b64decode(found[1]))) == json.loads(json.dumps(plots.figures(made)))


def test_the_timeline_has_a_bar_for_each_build(made: overview.Overview) -> None:
    """In its lane, in the colour of its outcome, the critical path with an edge."""
    traces = plots.timeline(made)["data"]

    ran = [node for node in made.run.nodes if node.ran]
    assert sum(len(trace["x"]) for trace in traces) == len(ran)
    assert {trace["name"]: trace["marker"]["color"] for trace in traces}["failed"] == "var(--failed)"
    critical = [trace for trace in traces if trace["name"].endswith("critical path")]
    assert sum(len(trace["x"]) for trace in critical) == len(made.critical)


@pytest.mark.parametrize("rows", [30, 900])
def test_the_picture_of_the_dag_adds_up_and_stays_small(rows: int) -> None:
    """A parent is as high as its children; of what cannot be seen, one stands for many in the worst's colour."""
    grid = nights.grid(rows)
    boot = next(step.node.key for step in reversed(grid.steps))
    run = runs.read(next(nights.nights(grid, 1, broken=frozenset({boot}))))

    (tree,) = plots.dag(run)["data"]

    values = dict(zip(tree["ids"], tree["values"], strict=True))
    above = dict.fromkeys(values, 0)
    for key, parent in zip(tree["ids"], tree["parents"], strict=True):
        if parent:
            above[parent] += values[key]
    assert all(above[key] in {0, values[key]} for key in values)
    assert values["all"] == rows
    assert len(values) < 1000
    assert tree["marker"]["colors"].count("var(--failed)") == 1


def test_what_plotly_would_take_for_markup_is_text(made: overview.Overview) -> None:
    """It has links and line breaks of its own."""
    assert plots._plain("<a href='x'>") == "&lt;a href='x'&gt;"
    assert all(
        "somepackage" in text for trace in plots.timeline(made)["data"] for text in trace["hovertext"] if "no v" in text
    )


def test_markdown_says_what_broke_first(made: overview.Overview) -> None:
    """And nothing in it can end a table or a block of code."""
    text = markdown.summary(made)

    assert text.startswith("## ❌ imagematrix, 2026-11-03 01:00 UTC\n\n30 images: 29 built, 1 failed; 87 checks: ")
    assert text.index("### Broken") < text.index("### Flakes") < text.index("### Versions that changed")
    assert "| `no version of somepackage==9.9` | 2026-11-02, 2 runs | 1: `pytorch:" in text
    assert f"# repeat: invoke build --only '{made.broken[0].blocks[0]}'" in text
    assert markdown._code("a|b `c`") == "`` a\\|b `c` ``"
    assert markdown._block(["~~~~"]).splitlines()[0] == "~" * 8


def test_a_good_night_is_short() -> None:
    """Whoever reads it in a chat has read enough."""
    run = runs.read(next(nights.nights(GRID, 1)))

    assert len(markdown.summary(overview.make(run, ())).splitlines()) < 12
    assert markdown.headline(overview.make(run, ())).startswith("30 images: 30 built; ")


def test_junit_has_the_nodes_too(made: overview.Overview) -> None:
    """A CI system shows which stage broke, with the end of its output."""
    nodes, *images = ET.fromstring(junit.text(made.run))  # noqa: S314  # our own

    assert (nodes.get("name"), nodes.get("failures"), nodes.get("tests")) == ("nodes", "1", str(len(made.run.nodes)))
    failure = nodes.find("testcase/failure")
    assert failure is not None
    assert failure.text
    assert "did not complete" in failure.text
    assert len(images) == 29


@pytest.mark.parametrize(
    ("refusals", "tries", "said"), [((), 1, ""), ((503, 429), 3, ""), ((404,), 1, "404"), ((500,) * 3, 3, "500")]
)
def test_the_webhook_is_told_once_and_its_failure_is_a_word(
    chat: tuple[str, type[Chat]], refusals: tuple[int, ...], tries: int, said: str
) -> None:
    """What may pass is tried again; the address, which is a secret, is in no word."""
    url, handler = chat
    handler.refusals.extend(refusals)

    word = webhook.post(url, {"text": "3 images"}, sleep=lambda _: None)

    assert [json.loads(heard) for heard in handler.heard] == [{"text": "3 images"}] * tries
    assert bool(word) == bool(said)
    assert said in word
    assert "s3cret" not in word


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/s3cret", "file:///s3cret", "s3cret", "http://[s3cret", "https://s3 cret/ x"]
)
def test_an_address_that_nobody_answers_is_a_word(url: str) -> None:
    """Never a failed run, never the address."""
    word = webhook.post(url, {}, sleep=lambda _: None)

    assert word.startswith("warning: the webhook (IMAGEMATRIX_WEBHOOK) did not accept the report: ")
    assert "cret" not in word


@pytest.mark.parametrize(
    ("refusals", "tries", "said"), [((), 1, ""), ((503, 429), 3, ""), ((404,), 1, "404"), ((500,) * 3, 3, "500")]
)
def test_the_monitor_is_called_and_its_failure_is_a_word(
    chat: tuple[str, type[Chat]], refusals: tuple[int, ...], tries: int, said: str
) -> None:
    """As for the webhook; a call is a GET, as monitors take it."""
    url, handler = chat
    handler.refusals.extend(refusals)

    word = heartbeat.call(url, sleep=lambda _: None)

    assert handler.heard == [b"/hook/s3cret"] * tries
    assert bool(word) == bool(said)
    assert said in word
    assert "s3cret" not in word


@pytest.mark.parametrize("url", ["s3cret", "ftp://s3cret/x", "https://", "http://[s3cret"])
def test_a_monitor_without_an_address_is_refused(url: str) -> None:
    """Before the night, in words without it."""
    with pytest.raises(FlagError, match="--heartbeat: expected the address") as refused:
        heartbeat.require_address(url)
    assert "s3cret" not in str(refused.value)
    heartbeat.require_address("https://monitor.example.com/ping/1")


@pytest.mark.parametrize(("hours", "told"), [(36, False), (37, True)])
def test_overdue_nights_are_told(hours: float, told: bool) -> None:
    """On the page and in the summary; not while a good one is expected yet."""
    run = runs.view(nights.night(GRID, 0))
    made = overview.make(run, (), nights=NightlyHealth(last_good=0.0, age=hours * 3600.0))
    for text in (markdown.summary(made), html.page(made, {})):
        assert ("Nightly runs are overdue" in text) is told
        assert ("1970-01-01 00:00 UTC" in text) is told
