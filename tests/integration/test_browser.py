"""JupyterLab and TensorBoard as a person meets them: in a real browser, once per Debian with its Python.

What it showed lies in .imagematrix/report/screenshots.
"""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from tests.integration.monorepo import REPOSITORY, imagematrix
from tests.integration.test_quickstart import address, fetch, inside, wait_for

from imagematrix.engine import Engine

IMAGES = ("python:3.9-debian11", "python:3.11-debian12", "python:3.13-debian13")
"""JupyterLab and TensorBoard differ with the Python; what other families put below them does not show in a browser."""

TOKEN = "sesame"  # noqa: S105  # of a container that lives for a minute
SHOTS = REPOSITORY / ".imagematrix/report/screenshots"
SLOW_MS = 120_000
"""A new JupyterLab on a busy machine."""

RUN_MS = 15_000

EVENTS = """\
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.event_file_writer import EventFileWriter
writer = EventFileWriter("/root/tensorboard-logs/check")
for step in range(20):
    value = summary_pb2.Summary.Value(tag="loss", simple_value=1 / (step + 1))
    writer.add_event(event_pb2.Event(step=step, wall_time=step, summary=summary_pb2.Summary(value=[value])))
writer.close()
"""


@pytest.fixture(scope="module", params=IMAGES)
def image(request: pytest.FixtureRequest) -> str:
    name = str(request.param)
    done = imagematrix("build", "--only", name)
    assert done.code == 0, done.out[-5000:] + done.err
    return name


@pytest.fixture(scope="module")
def machine(image: str, engine: Engine) -> Iterator[Any]:
    container = engine._client.containers.run(image, detach=True, environment={"JUPYTER_TOKEN": TOKEN})
    yield container
    container.remove(force=True)


@pytest.fixture
def page(chromium: Browser, image: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    """Give a page; what it showed last is kept, above all when a test failed."""
    # Of a browser that asks for English: Chinese is the image's own choice.
    made = chromium.new_page(locale="en-US", viewport={"width": 1280, "height": 800})
    made.set_default_timeout(SLOW_MS)
    yield made
    SHOTS.mkdir(parents=True, exist_ok=True)
    made.screenshot(path=SHOTS / f"{image.replace(':', '-')}-{request.node.originalname.removeprefix('test_')}.png")
    made.close()


def test_a_notebook_is_made_in_chinese_and_its_cell_runs(page: Page, machine: Any) -> None:
    site = f"http://{address(machine)}:8888/jupyter"
    wait_for(lambda: fetch(f"{site}/api/status?token={TOKEN}") == 200)
    page.goto(f"{site}/lab?token={TOKEN}")
    menu = page.locator("#jp-MainMenu")
    expect(menu).to_contain_text("文件", timeout=SLOW_MS)
    expect(menu).to_contain_text("帮助", timeout=SLOW_MS)
    page.locator(".jp-LauncherCard[data-category=笔记本]").click()
    expect(page.locator(".jp-Notebook-ExecutionIndicator")).to_have_attribute("data-status", "idle", timeout=SLOW_MS)
    wait_for(lambda: runs(page.locator(".jp-Notebook .jp-CodeCell").first, "print('训练', 6 * 7)", "训练 42"))


def runs(cell: Locator, code: str, expected: str) -> bool:
    """Enter code and run it; False where a page that was still being drawn has lost it."""
    cell.locator(".cm-content").fill(code)
    cell.locator(".cm-content").press("Shift+Enter")
    try:
        expect(cell.locator(".jp-OutputArea-output").first).to_have_text(re.compile(expected), timeout=RUN_MS)
    except AssertionError:
        return False
    return True


def test_without_its_token_jupyter_asks_for_it(page: Page, machine: Any) -> None:
    site = f"http://{address(machine)}:8888/jupyter"
    wait_for(lambda: fetch(f"{site}/api/status?token={TOKEN}") == 200)
    page.goto(f"{site}/lab")
    expect(page.locator("#password_input")).to_be_visible(timeout=SLOW_MS)


def test_tensorboard_draws_what_was_logged(page: Page, machine: Any) -> None:
    said = inside(machine, "python", "-c", EVENTS)
    assert not said, said
    site = f"http://{address(machine)}:6006/monitor/"
    wait_for(lambda: fetch(f"{site}?token={TOKEN}") == 200)
    # It reads its folder every 5 s; an open page asks for what is new every 30.
    wait_for(lambda: "check" in page.request.get(f"{site}data/runs?token={TOKEN}").text())
    page.goto(f"{site}?token={TOKEN}&darkMode=false#timeseries")
    expect(page.get_by_text("loss", exact=True).first).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_text("check", exact=True).first).to_be_visible(timeout=SLOW_MS)
    expect(page.locator("line-chart .series-view path").first).to_be_visible(timeout=SLOW_MS)
