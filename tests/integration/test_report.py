"""The page of a night as a person meets it: in a real browser, offline. What it showed lies in .imagematrix/report."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests import nights
from tests.integration.monorepo import REPOSITORY, Monorepo

from imagematrix.report import html, overview, runs

SHOTS = REPOSITORY / ".imagematrix/report/screenshots"
SLOW_MS = 120_000
ROWS = 500
GRID = nights.grid(ROWS)
BROKEN = next(step for step in GRID.steps if step.node.layer == "pytorch")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Write the page of a third night, in which one of 500 images is broken and one fails its checks."""
    texts = nights.nights(GRID, 3, broken=frozenset({BROKEN.node.key}), since=1)
    failing = frozenset({next(name for name in GRID.final_nodes if name.startswith("paddle:"))})
    *past, run = (runs.read(nights.with_checks(text, failing=failing)) for text in texts)
    path = tmp_path_factory.mktemp("report") / "index.html"
    path.write_text(html.page(overview.make(run, past), {}), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(params=["light", "dark", "phone"])
def page(chromium: Browser, address: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    """Open the page; any request that leaves it is a failure, as is any error in it."""
    narrow = request.param == "phone"
    made = chromium.new_page(
        viewport={"width": 390, "height": 844} if narrow else {"width": 1280, "height": 900},
        color_scheme="dark" if request.param == "dark" else "light",
        is_mobile=narrow,
    )
    made.set_default_timeout(SLOW_MS)
    wrong: list[str] = []
    made.on("pageerror", lambda error: wrong.append(str(error)))
    made.on("console", lambda said: wrong.append(said.text) if said.type in {"error", "warning"} else None)
    own = ("data:", "blob:", address)
    made.on("request", lambda sent: None if sent.url.startswith(own) else wrong.append(sent.url))
    made.context.set_offline(offline=True)
    made.goto(address)
    expect(made.locator("html[data-tables=ready]")).to_be_attached(timeout=SLOW_MS)
    yield made
    SHOTS.mkdir(parents=True, exist_ok=True)
    made.evaluate("scrollTo(0, 0)")
    made.screenshot(path=SHOTS / f"report-{request.param}.png")
    made.close()
    assert wrong == []


def test_a_morning(page: Page) -> None:
    """What broke stands first; 500 rows are filtered and sorted; plots are drawn when they come into sight."""
    expect(page.locator("h1")).to_have_text(f"2 of {ROWS} images are not well")
    first = page.locator("#broken .case").first
    expect(first).to_contain_text(f"invoke build --only '{BROKEN.leaves[0]}'")
    assert page.title().startswith("imagematrix")  # no log has renamed it

    grid = page.locator("#images")
    names = grid.locator("tbody tr td.name")
    assert names.count() == 25
    grid.get_by_placeholder("filter").fill("tensorflow:2.3-python3.10-ubuntu24")
    expect(names).to_have_text(["tensorflow:2.3-python3.10-ubuntu24"])
    grid.get_by_placeholder("filter").fill("")
    grid.get_by_role("button", name="failed").click()
    expect(names).to_have_text([BROKEN.leaves[0]])
    grid.get_by_role("button", name="all", exact=True).click()
    size = grid.get_by_role("columnheader", name="size")
    size.click()
    size.click()
    expect(names.first).to_contain_text("pytorch:")  # the biggest by far

    for figure in ("timeline", "dag", "sizes"):
        plot = page.locator(f"[data-figure={figure}]")
        plot.scroll_into_view_if_needed()
        expect(plot.locator("svg.main-svg").first).to_be_visible(timeout=SLOW_MS)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_build_leaves_its_page_and_is_remembered(monorepo: Monorepo) -> None:
    """Broken since the first of two runs; `invoke report` makes the page again elsewhere."""
    monorepo.edit("common/layers/app/Dockerfile.j2", "RUN ", "RUN exit 7; ")
    folder = monorepo.root / "report"

    first, _ = monorepo.build()
    second, report = monorepo.build()
    assert (first.code, second.code) == (1, 1), second.err
    again = monorepo.run("report", "--report", str(monorepo.root / "again"))

    assert {path.name for path in folder.iterdir()} == {"index.html", "junit.xml", "logs", "report.json", "summary.md"}
    failed = {Path(node["log"]).name for node in report["nodes"] if node["outcome"] == "failed"}
    assert {path.name for path in (folder / "logs").iterdir()} == failed
    assert all(node["bytes"] for node in report["nodes"] if node["outcome"] == "reused")
    assert again.out.strip() == str(monorepo.root / "again/index.html")
    for path in (folder / "summary.md", monorepo.root / "again/summary.md"):
        assert ", 2 runs |" in path.read_text()
    assert "2 runs in a row" in (folder / "index.html").read_text()
    assert len([*Path(monorepo.root, ".imagematrix/runs").iterdir()]) == 2
