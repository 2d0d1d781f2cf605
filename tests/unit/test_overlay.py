"""compat/*.toml: a monorepo corrects the catalogue, and no other project sees it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagematrix.compat import catalogue, rules

COMPAT = Path(catalogue.__file__).parent


@pytest.fixture(autouse=True)
def _packaged() -> Iterator[None]:
    """No test leaves its corrections to the next one."""
    yield
    catalogue.use({})


def test_accessors_follow_the_corrections() -> None:
    """What was cached before a correction is forgotten, and comes back after it."""
    before = catalogue.torch(), catalogue.torch_wheels(), catalogue.tensorflow_wheels("tensorflow")
    document = catalogue.packaged("torch")
    catalogue.use({"torch": {**document, "releases": document["releases"][:1]}})
    assert [*catalogue.torch()] == [*catalogue.torch_wheels().pythons] == ["1.4.0"]
    assert catalogue.tensorflow_wheels("tensorflow") == before[2]
    catalogue.use({})
    assert (catalogue.torch(), catalogue.torch_wheels()) == before[:2]


def test_verdicts_follow_the_corrections() -> None:
    """A verdict that was cached is of the catalogue that it was made by."""
    arguments = ("2.15.0", "3.15")
    rule = rules.RULES[[each.__name__ for each in rules.RULES].index("torch_on_python")]
    assert rules._judged(rule, arguments) == ()
    document = catalogue.packaged("torch")
    catalogue.use({"torch": {**document, "releases": [{**each, "python": ["3.12"]} for each in document["releases"]]}})
    assert [finding.severity for finding in rules._judged(rule, arguments)] == ["impossible"]


def test_the_same_corrections_keep_what_is_cached() -> None:
    """A project that is opened twice is not judged twice."""
    catalogue.use({"torch": dict(catalogue.packaged("torch"))})
    before = catalogue.torch()
    catalogue.use({"torch": dict(catalogue.packaged("torch"))})
    assert catalogue.torch() is before


def test_no_cache_outlives_the_catalogue() -> None:
    """Rules use the catalogue's cache; functools' own is for what no fact changes."""
    users = {path.name for path in COMPAT.glob("*.py") if "functools" in path.read_text(encoding="utf-8")}
    assert users == {"catalogue.py", "rules.py"}
    kept = re.findall(r"^@cache\b.*\ndef (\w+)", (COMPAT / "rules.py").read_text(encoding="utf-8"), re.MULTILINE)
    assert kept == ["_applicable", "_reads"]
