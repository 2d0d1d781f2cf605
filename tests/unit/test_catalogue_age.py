"""How old the facts of the catalogue are, and where that is reported."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from tests import nights

from imagematrix.commands.doctor import run as doctor
from imagematrix.compat import catalogue, others
from imagematrix.compat.catalogue import Corrections
from imagematrix.diagnostics import Severity
from imagematrix.report import html, markdown, overview, runs
from imagematrix.report.document import write
from imagematrix.report.outputs import PrerequisiteState

TODAY = nights.FIRST.date()


def aged(**days: int) -> dict[str, date]:
    """Return the days of data files that were looked at so many days before the first night."""
    return {name: TODAY - timedelta(days=number) for name, number in days.items()}


@pytest.fixture
def _collected(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let data files be of other days."""
    documents = {
        name: {**catalogue.packaged(name), "_meta": {**catalogue.packaged(name)["_meta"], "collected": day}}
        for name, day in request.param.items()
    }
    catalogue.use(Corrections(documents=documents))
    yield
    catalogue.use(Corrections())


def test_each_file_has_its_day() -> None:
    """It is a day, and what "now" means to rules is the last of them."""
    days = catalogue.days()
    assert days.keys() == set(catalogue.names())
    assert catalogue.now() == max(days.values()).isoformat()
    assert days.keys() >= catalogue.REFRESHED


@pytest.mark.parametrize("_collected", [{"torch": "2031-01-01"}], indirect=True)
@pytest.mark.usefixtures("_collected")
def test_a_python_ends_by_the_newest_file() -> None:
    """The clock is not asked, and the file that has the ends need not be the newest."""
    assert catalogue.collected("python") < "2031"
    assert [finding.severity for finding in others.python_end("3.14")] == [Severity.NOTE]


def test_outdated() -> None:
    """More than 30 days are too old; the oldest comes first."""
    days = aged(fresh=0, old=31, just=30, oldest=100)
    assert [*catalogue.outdated(days, TODAY).items()] == [("oldest", 100), ("old", 31)]


@pytest.mark.parametrize(
    ("value", "is_newer"), [("99.0", True), ("2.16.0", True), ("2.14.9", False), ("0.1", False), ("nightly", False)]
)
def test_a_version_newer_than_the_catalogue(value: str, is_newer: bool) -> None:
    """It says how old the facts are and what to run; of others that are not known it says which are."""
    (finding,) = catalogue.torch_wheels().on_python("torch", value, "3.12")
    assert finding.severity is Severity.UNKNOWN
    assert (finding.hint == catalogue.outlook("torch")) is is_newer
    assert catalogue.collected("torch") in catalogue.outlook("torch")
    assert "scripts/update-compat" in catalogue.outlook("torch")


def test_what_no_index_tells_is_not_refreshed_by_a_script() -> None:
    """There, people look."""
    assert "scripts/update-compat" not in catalogue.outlook("cuda")
    assert "compat/cuda.toml" in catalogue.outlook("cuda")


def test_an_installer_newer_than_the_catalogue() -> None:
    """Of Miniconda too, whose releases are numbered otherwise."""
    for name, is_newer in (("py313_99.1.0-1", True), ("py313_26.9.4-99", True), ("py310_22.11.1-9", False)):
        findings = others.miniconda_of_python(f"Miniconda3-{name}-Linux-x86_64.sh", "amd64")
        remedies = [finding.hint for finding in findings if finding.severity is Severity.UNKNOWN]
        assert (remedies == [catalogue.outlook("miniconda")]) is is_newer, name


def test_a_python_newer_than_the_catalogue() -> None:
    """As for a release."""
    (finding,) = catalogue.torch_wheels().on_python("torch", "2.15.0", "3.99")
    assert finding.severity is Severity.UNKNOWN
    assert finding.hint == catalogue.outlook("torch")


@pytest.mark.parametrize(
    ("_collected", "state"),
    [
        (dict.fromkeys(catalogue.names(), datetime.now(UTC).date().isoformat()), PrerequisiteState.GOOD),
        ({"cuda": "2020-01-01"}, PrerequisiteState.WEAK),
    ],
    indirect=["_collected"],
)
@pytest.mark.usefixtures("_collected")
def test_doctor(state: PrerequisiteState) -> None:
    """Builds go on with old facts."""
    found = doctor._catalogue()
    assert found.state is state
    assert ("cuda" in found.said) is (state is PrerequisiteState.WEAK)


def _page(facts: dict[str, date]) -> tuple[dict[str, object], str, str]:
    """Return report.json, summary.md and index.html of a run with such facts."""
    made = replace(nights.night(nights.grid(3), 0), facts=facts)
    text = write(made)
    seen = overview.make(runs.read(text), ())
    return json.loads(text), markdown.summary(seen), html.page(seen, {})


def test_a_report_with_old_facts() -> None:
    """Each form says it: the data for programs, words with the ages for people."""
    data, summary, page = _page(aged(cuda=40, torch=3))
    assert data["facts"] == {"cuda": aged(cuda=40)["cuda"].isoformat(), "torch": aged(torch=3)["torch"].isoformat()}
    for text in (summary, page):
        assert "cuda (40 days)" in text
        assert "torch (" not in text


def test_a_report_with_fresh_facts() -> None:
    """No line names them, nor do reports without facts."""
    for facts in (aged(torch=30), {}):
        _, summary, page = _page(facts)
        assert "Old facts" not in summary + page
