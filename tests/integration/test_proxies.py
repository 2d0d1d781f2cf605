"""JupyterLab and TensorBoard of one image, in Chromium behind a real nginx, as platforms put one in front.

Chromium takes every name that ends with .localhost for this machine, so each test has the hosts that it wants.
"""

import re
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, WebSocket, expect
from tests.integration.monorepo import REPOSITORY, imagematrix
from tests.integration.test_browser import EVENTS, SHOTS, SLOW_MS, TOKEN, runs
from tests.integration.test_quickstart import address, fetch, inside, wait_for

from imagematrix.engine import Engine

IMAGE = "python:3.11-debian12"

REWRITES_HOST = ""
"""By itself nginx sends the address of the container as Host."""

KEEPS_HOST = "proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Proto $scheme;"

HTTP = """\
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {servers}
}}
"""

SERVER = """\
    map $http_upgrade $connection_upgrade { default upgrade; "" close; }
    proxy_http_version 1.1;
    server {
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
        HEADERS
        location / { proxy_pass http://CONTAINER:8888; }
        location /monitor { proxy_pass http://CONTAINER:6006; }
        location /platform/board/ { proxy_pass http://CONTAINER:6006/monitor/; }
        location /another-site { default_type text/html; return 200 "a page"; }
    }
"""


def documented() -> str:
    """Return the nginx configuration in the image's README."""
    family, _, tag = IMAGE.partition(":")
    readme = (REPOSITORY / "images" / family / tag / "README.md").read_text()
    block = re.search(r"(?m)^    map \$http_upgrade.*?^    }\n", readme, re.DOTALL)
    assert block
    return block[0]


OUT = ("-keyout", "key.pem", "-out", "cert.pem")

Start = Callable[..., Any]
"""Starts a container with an environment, and waits until it serves its pages."""


@pytest.fixture(scope="module")
def start(engine: Engine) -> Iterator[Start]:
    done = imagematrix("build", "--only", IMAGE)
    assert done.code == 0, done.out[-5000:] + done.err
    with ExitStack() as until:

        def starter(environment: Mapping[str, str]) -> Any:
            made = engine._client.containers.run(IMAGE, detach=True, environment=dict(environment))
            until.callback(made.remove, force=True)
            wait_for(lambda: all(fetch(f"http://{address(made)}:{port}") for port in (8888, 6006)))
            return made

        yield starter


@contextmanager
def nginx(folder: Path, container: str, servers: str, *, tls: bool = False) -> Iterator[int]:
    """Serve a proxy before a container; give its port."""
    program = subprocess.run([REPOSITORY / "scripts/nginx"], check=True, stdout=subprocess.PIPE, text=True)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    words = f" ssl; ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem" if tls else ""
    if tls:
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=lab.localhost", *OUT],
            cwd=folder,
            check=True,
            capture_output=True,
        )
    config = folder / "nginx.conf"
    listening = servers.replace("server {", f"server {{ listen 127.0.0.1:{port}{words};").replace(
        "CONTAINER", container
    )
    config.write_text(HTTP.format(folder=folder, servers=listening))
    with subprocess.Popen([program.stdout.strip(), "-p", folder, "-c", config]) as process:
        try:
            wait_for(lambda: _accepts(port), seconds=10)
            yield port
        finally:
            process.terminate()


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class Sockets:
    """The WebSockets that a page opened."""

    opened: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """Those that got another answer. JupyterLab closes some itself before they are open."""

    def heard(self, made: WebSocket) -> None:
        """Remember one."""
        self.opened.append(made.url)
        made.on(
            "socketerror", lambda why: self.refused.extend([f"{made.url}: {why}"] if "response code" in why else ())
        )


@pytest.fixture
def page(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """Give a page of a fresh browser; what it showed last is kept."""
    context = chromium.new_context(ignore_https_errors=True, viewport={"width": 1280, "height": 800})
    made = context.new_page()
    made.set_default_timeout(SLOW_MS)
    yield made
    SHOTS.mkdir(parents=True, exist_ok=True)
    made.screenshot(path=SHOTS / f"proxy-{request.node.originalname.removeprefix('test_')}.png")
    context.close()


# --- a platform that gives a path, and a proxy that rewrites Host ------------------------------


@pytest.fixture(scope="module")
def container(start: Start) -> Any:
    made = start({"JUPYTER_TOKEN": TOKEN, "NB_PREFIX": "/notebook/team/mine", "WEB_HOSTS": "lab.localhost"})
    said = inside(made, "python", "-c", EVENTS)
    assert not said, said
    return made


@pytest.fixture(scope="module")
def port(container: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with nginx(tmp_path_factory.mktemp("nginx"), address(container), SERVER.replace("HEADERS", REWRITES_HOST)) as port:
        yield port


def test_a_cell_runs_and_a_terminal_opens(page: Page, port: int, container: Any) -> None:
    sockets = Sockets()
    page.on("websocket", sockets.heard)
    page.goto(f"http://lab.localhost:{port}/notebook/team/mine/lab?token={TOKEN}")
    run_a_cell(page)
    type_into_a_terminal(page, "touch /root/typed")
    wait_for(lambda: inside(container, "ls", "/root/typed") == "/root/typed\n")
    kinds = ("/api/kernels/", "/api/events/subscribe", "/terminals/websocket/")
    assert [kind for kind in kinds if not any(kind in url for url in sockets.opened)] == []
    assert sockets.refused == []


def test_pages_of_hosts_that_nobody_named_open_no_websocket(page: Page, port: int) -> None:
    """Though the browser is logged in, and the proxy makes the same Host of every name."""
    page.goto(f"http://lab.localhost:{port}/notebook/team/mine/lab?token={TOKEN}")
    target = f"ws://lab.localhost:{port}/notebook/team/mine/api/events/subscribe"
    assert opens(page, target)
    page.goto(f"http://evil.localhost:{port}/another-site")
    assert not opens(page, target)
    assert not opens(page, target.replace("lab", "evil") + f"?token={TOKEN}x")


@pytest.mark.parametrize("path", ["/monitor/", "/platform/board/"], ids=["its-own-path", "a-path-of-the-proxy"])
def test_tensorboard_opens_by_a_link_and_its_address_loses_the_token(page: Page, port: int, path: str) -> None:
    site = f"http://lab.localhost:{port}{path}"
    refused = page.goto(site)
    assert refused
    assert refused.status == 403
    page.locator("input[name=token]").fill(TOKEN)
    page.get_by_role("button").click()
    expect(page.get_by_text("check", exact=True).first).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_text("loss", exact=True).first).to_be_visible(timeout=SLOW_MS)
    assert (page.url.startswith(site), TOKEN in page.url) == (True, False)


# --- a proxy with TLS that keeps Host ----------------------------------------------------------


def test_behind_tls_nothing_is_to_be_set(page: Page, start: Start, tmp_path: Path) -> None:
    """One logs in by the form; all cookies are for TLS only."""
    made = start({"JUPYTER_TOKEN": TOKEN, "JUPYTERHUB_SERVICE_PREFIX": "/user/a%40b.example/"})
    sockets = Sockets()
    page.on("websocket", sockets.heard)
    with nginx(tmp_path, address(made), SERVER.replace("HEADERS", KEEPS_HOST), tls=True) as port:
        page.goto(f"https://lab.localhost:{port}/user/a%40b.example/lab")
        page.locator("#password_input").fill(TOKEN)
        page.locator("#login_submit").click()
        run_a_cell(page)
        assert sockets.refused == []
        page.goto(f"https://lab.localhost:{port}/monitor/?token={TOKEN}")
        expect(page.locator("tb-webapp")).to_be_visible(timeout=SLOW_MS)
        cookies = {cookie["name"].partition("-lab")[0]: cookie["secure"] for cookie in page.context.cookies()}
    assert (cookies["username"], cookies["tensorboard"]) == (True, True)
    assert [url for url in sockets.opened if not url.startswith("wss:")] == []


# --- without a token -----------------------------------------------------------------------------


def test_without_a_token_only_the_hosts_that_were_named_are_answered(page: Page, start: Start, tmp_path: Path) -> None:
    """A page that points its own name to the container gets nothing from it."""
    made = start({"WEB_AUTHENTICATION": "none", "WEB_HOSTS": "lab.localhost,other.example.com"})
    with nginx(tmp_path, address(made), documented()) as port:
        for path in ("/jupyter/api/contents", "/jupyter/lab", "/monitor/", "/monitor/data/runs"):
            answers = [page.goto(f"http://{name}.localhost:{port}{path}") for name in ("lab", "evil")]
            assert [answer and answer.status for answer in answers] == [200, 403], path
        page.goto(f"http://lab.localhost:{port}/jupyter/lab")
        run_a_cell(page)


# --- what people do there ------------------------------------------------------------------------


def run_a_cell(page: Page) -> None:
    page.locator(".jp-LauncherCard[data-category=笔记本]").click()
    expect(page.locator(".jp-Notebook-ExecutionIndicator")).to_have_attribute("data-status", "idle", timeout=SLOW_MS)
    wait_for(lambda: runs(page.locator(".jp-Notebook .jp-CodeCell").first, "print('训练', 6 * 7)", "训练 42"))


def type_into_a_terminal(page: Page, command: str) -> None:
    """What it shows cannot be read: it is drawn on a canvas."""
    page.locator(".lm-TabBar-addButton:visible").first.click()
    with page.expect_websocket(lambda made: "/terminals/websocket/" in made.url) as opened:
        page.locator(".jp-LauncherCard", has_text="终端").click()
    opened.value.wait_for_event("framereceived", lambda frame: "#" in str(frame))
    page.locator(".jp-Terminal .xterm-helper-textarea").press_sequentially(f"{command}\n")


def opens(page: Page, url: str) -> bool:
    """Try to open a WebSocket from a page."""
    script = """url => new Promise(done => {
        const socket = new WebSocket(url);
        socket.onopen = () => done(true);
        socket.onerror = () => done(false);
    })"""
    return bool(page.evaluate(script, url))
