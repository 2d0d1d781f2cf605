"""How long the page of a night takes to open in Chromium; run as `python -m benchmarks.page [ROWS]`.

Of a grid that never ran: 1,650 rows are 4,975 nodes. `open` is until all is laid out, `tables` until they filter and
sort, both from the start of the navigation; a plot is drawn when it is seen, the first with plotly.js unpacked.
In brackets: the seconds of processor that the main thread has used so far, which a busy machine changes least.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import CDPSession, sync_playwright
from tests import nights

from imagematrix.report import html, overview, runs

RUNS = 5
BROWSER = Path(__file__).parents[1] / "scripts/browser"


def written(rows: int, folder: Path) -> Path:
    """Write the page of a third night, in which a node in forty is broken."""
    grid = nights.grid(rows)
    broken = frozenset(step.node.key for step in grid.steps[::40] if step.node.layer not in {"system", "python"})
    texts = [nights.with_checks(text) for text in nights.nights(grid, 3, broken=broken, since=1)]
    begun = time.perf_counter()
    *past, run = map(runs.read, texts)
    text = html.page(overview.make(run, past), {})
    spent = time.perf_counter() - begun
    print(f"{len(grid.steps)} nodes, {rows} rows: written in {spent:.2f} s, {len(text) / 1e6:.2f} MB")
    path = folder / "index.html"
    path.write_text(text, encoding="utf-8")
    return path


def used(devtools: CDPSession) -> str:
    """Return the processor time of the page's main thread."""
    metrics = devtools.send("Performance.getMetrics")["metrics"]
    return f"({next(each['value'] for each in metrics if each['name'] == 'TaskDuration'):.2f})"


def opened(path: Path) -> None:
    """Open it some times, each in a browser of its own."""
    program = subprocess.run([BROWSER], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    with sync_playwright() as playwright:
        for _ in range(RUNS):
            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--no-proxy-server"])
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            devtools = page.context.new_cdp_session(page)
            devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
            begun = time.perf_counter()
            page.goto(path.as_uri())
            told = [f"open {time.perf_counter() - begun:.2f} s {used(devtools)}"]
            page.wait_for_selector("html[data-tables=ready]", state="attached")
            told.append(f"tables {time.perf_counter() - begun:.2f} s {used(devtools)}")
            for figure in ("timeline", "dag", "sizes"):
                began = time.perf_counter()
                page.evaluate("name => draw(document.querySelector(`[data-figure=${name}]`))", figure)
                told.append(f"{figure} {time.perf_counter() - began:.2f} s {used(devtools)}")
            print(", ".join(told))
            browser.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        opened(written(int(sys.argv[1]) if len(sys.argv) > 1 else 1650, Path(made)))
