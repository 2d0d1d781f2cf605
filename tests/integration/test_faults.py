"""A package index that fails: transient failures are retried, others reported, and nothing that was built is lost."""

from collections.abc import Iterator

import pytest
from tests.integration.faulty_index import FaultyIndex, bad_gateway, stall, too_many
from tests.integration.monorepo import Monorepo, outcomes
from tests.integration.test_pythons import pythons

from imagematrix import site
from imagematrix.model import Site


@pytest.fixture
def index(monorepo: Monorepo) -> Iterator[FaultyIndex]:
    where = site.discover(Site(), root=monorepo.root)
    made = FaultyIndex(where.index_url or site._pips_default())
    yield made
    made.close()


@pytest.fixture
def project(monorepo: Monorepo, index: FaultyIndex, monkeypatch: pytest.MonkeyPatch) -> Monorepo:
    """A row whose layer `six` asks the index; the layers below it are built."""
    made = pythons(monorepo, "adopt")
    end = made.root / "common/layers/end"
    end.mkdir()
    (end / "Dockerfile.j2").write_text("RUN true\n")
    monkeypatch.setenv("PIP_FIND_LINKS", "")  # what lies there needs no index
    # uv remembers what an index said by its address, and each test has one of its own.
    where = f'[site]\nindex_url = "{index.url}"\ntrusted_hosts = ["{index.host}"]\nnetwork = "host"\n'
    made.edit("matrix.toml", "schema = 1\n", f"schema = 1\n{where}")
    made.edit("matrix.toml", '"six"]', '"end"]')
    done, _ = made.build()
    assert done.code == 0, done.out + done.err
    made.edit("matrix.toml", '"end"]', '"six", "end"]')
    index.asked.clear()
    return made


def test_an_index_that_fails_for_a_while_costs_a_retry(project: Monorepo, index: FaultyIndex) -> None:
    """The client's own four tries are used up, then ours begins with a request that is never answered."""
    index.faults = [bad_gateway, bad_gateway, too_many, bad_gateway, stall]
    done, report = project.build()
    assert done.code == 0, done.out + done.err
    (six,) = (node for node in report["nodes"] if node["layer"] == "six")
    assert (six["outcome"], six["attempts"]) == ("built", 2)
    (retry,) = six["retries"]
    assert (retry["kind"], retry["source"]) == ("server", index.host.partition(":")[0]), retry
    assert outcomes(report)["adopt"] == ["reused"]
    assert not index.faults
    assert any(line.startswith("200 /file/") for line in index.asked), index.asked


def test_an_index_that_stays_away_costs_its_node_alone(project: Monorepo, index: FaultyIndex) -> None:
    index.faults = [bad_gateway] * 1000
    done, report = project.build("--retries", "0")
    assert done.code == 1
    assert "502 Bad Gateway" in done.out
    assert {layer: outcomes(report)[layer] for layer in ("adopt", "six", "end")} == {
        "adopt": ["reused"],
        "six": ["failed"],
        "end": ["skipped"],
    }

    index.faults.clear()
    done, report = project.build()
    assert done.code == 0, done.out
    assert outcomes(report)["adopt"] == ["reused"]
