"""What a stage downloads, by whether it may be something else another day."""

from pathlib import Path

import pytest
from tests import projects
from tests.projects import FILES, PYTORCH

from imagematrix.errors import FlagError
from imagematrix.model import Downloads
from imagematrix.planning import downloads
from imagematrix.project import Selection, refuse_unrefreshable

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SITE = "--mount=type=secret,id=ca "


@pytest.mark.parametrize(
    "text",
    [
        "COPY a /b\nENV X=https://example.com\nRUN true\n",
        "COPY --from=python /a /b\n",
        "RUN apt-get purge -y --auto-remove git && apt-mark hold x\n",
        "RUN echo 'deb https://example.com/ stable main' > /etc/apt/sources.list.d/x.list\n",
        "RUN sed -i 's|http://deb.example.com|https://mirror.example.com|' /etc/apt/sources.list\n",
        "RUN URL=https://example.com/simple; git config --global x y && pip check && uv pip check\n",
        "RUN <<EOF\n# see https://example.com\npython -c 'import torch'\nEOF\n",
        "# RUN curl https://example.com/x\nRUN echo curl and wget\n",
        "RUN conda clean --all\n",
    ],
)
def test_nothing(text: str) -> None:
    assert downloads.of(text) is Downloads.NOTHING


@pytest.mark.parametrize(
    "text",
    [
        f"RUN {SITE}uv pip install --require-hashes -r /tmp/r\n",
        f"RUN {SITE}x=1 && python -m pip install \\\n    --require-hashes -r /r && HOME=/x python -c 'import x'\n",
        f"RUN {SITE}wget -nv -O /x https://example.com/x && echo 'abc  /x' > /sum && sha256sum -c /sum\n",
        'RUN curl -sSfo /x "https://example.com/x" && echo "abc  /x" | sha512sum --check -\n',
        f"RUN git clone https://example.com/x.git /x && git -C /x checkout {COMMIT}\n",
        f"RUN git init && git remote add o https://example.com/x && git fetch o {COMMIT} && git checkout FETCH_HEAD\n",
        f"ADD --checksum=sha256:{'a' * 64} https://example.com/x /x\n",
        f"ADD https://example.com/x.git#{COMMIT} /x\n",
        f"COPY --from=example.com/x@sha256:{'a' * 64} /a /b\nRUN npm ci && cargo build --locked\n",
        f"RUN {SITE}uv sync --frozen\n",
    ],
)
def test_pinned(text: str) -> None:
    """What hashes, a checksum or a commit name is the same each day."""
    assert downloads.of(text) is Downloads.PINNED


@pytest.mark.parametrize(
    "text",
    [
        "RUN apt-get update && apt-get install -y git\n",
        "RUN DEBIAN_FRONTEND=noninteractive apt install -y git\n",
        'RUN ["apt-get", "install", "-y", "git"]\n',
        "RUN if true; then apt-get -y install git; else yum install -y git; fi\n",
        "RUN sh -c 'apt-get install -y git'\n",
        "RUN <<EOF\nset -e\napk add git\nEOF\n",
        "RUN curl -sSf https://example.com/x | sh\n",
        'RUN version="$(curl -s https://example.com/version)"\n',
        "RUN curl -o /a https://example.com/a && curl -o /b https://example.com/b && sha256sum -c /a.sum\n",
        "RUN git clone --depth 1 --branch v1 https://example.com/x.git\n",
        "RUN pip install torch\nRUN pip install --require-hashes -r /r\n",
        "RUN uv pip install -r /r\nRUN uv pip install --require-hashes -r /r\n",
        "RUN python3 -m pip install --upgrade pip\n",
        "RUN timeout 60 conda install -y numpy\n",
        "RUN npm install x\n",
        "RUN go install example.com/x@latest\n",
        'RUN python -c \'import urllib.request as u; u.urlretrieve("https://example.com/x", "/x")\'\n',
        "ADD https://example.com/x /x\n",
        "ADD git@example.com:x.git /x\n",
        "COPY --from=example.com/x:1 /a /b\n",
        "RUN --mount=type=bind,from=example.com/x:1,target=/x cp /x/a /a\n",
        f"RUN {SITE}/opt/fetch-what-we-need\n",
    ],
)
def test_moving(text: str) -> None:
    """What may be something else tomorrow, with the site's macros or without."""
    assert downloads.of(text) is Downloads.MOVING


def test_the_epoch_is_for_what_may_move(tmp_path: Path) -> None:
    """A pinned stage has no epoch in its key and none in its text; one that is written by hand has both."""
    torch = "common/layers/torch/Dockerfile.j2"
    files = {
        **FILES,
        "common/layers/system/Dockerfile.j2": "RUN true\n",
        torch: f"RUN {SITE}pip install --require-hashes -r /r\n",
    }
    hand_written = {**files, torch: "RUN apt-get install -y git\n"}

    def stage(name: str, text: dict[str, str], epoch: str) -> tuple[str, bool]:
        opened = projects.project(tmp_path / name, files=text, lock=projects.lock(epoch=epoch))
        leaf = opened.leaves(opened.rows(Selection(only=(PYTORCH,))))[PYTORCH]
        return projects.keys(opened)[PYTORCH, "torch"], "ARG EPOCH" in leaf.stages[2].text

    assert stage("a", files, "1") == stage("b", files, "2")
    assert stage("a", files, "1")[1] is False
    assert stage("c", hand_written, "1") != stage("d", hand_written, "2")
    assert stage("c", hand_written, "1")[1] is True


def test_fresh_takes_a_layer_written_by_hand_and_refuses_a_pinned_one(tmp_path: Path) -> None:
    pinned = {"common/layers/torch/Dockerfile.j2": f"RUN {SITE}pip install --require-hashes -r /r\n"}
    by_hand = {"common/layers/system/Dockerfile.j2": "RUN curl -o /x https://example.com/x\n"}
    opened = projects.project(tmp_path, files={**FILES, **pinned, **by_hand})
    leaves = opened.leaves(opened.rows(Selection(only=(PYTORCH,))))

    refuse_unrefreshable(["system"], leaves)
    with pytest.raises(FlagError, match="torch"):
        refuse_unrefreshable(["torch"], leaves)
