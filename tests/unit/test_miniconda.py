"""Which Miniconda installers there are, for which Python, processor and glibc: what was not seen is unknown."""

import pytest
from tests.unit.test_compat import row

from imagematrix import compat
from imagematrix.diagnostics import Severity


def installer(python: str, release: str, machine: str = "x86_64") -> str:
    return f"Miniconda3-py{python.replace('.', '')}_{release}-Linux-{machine}.sh"


def told(miniconda: str, architecture: str = "amd64", **values: str) -> set[Severity]:
    """Return the severities of what is found about an installer."""
    wanted = row(miniconda=miniconda, **values)
    object.__setattr__(wanted, "platform", f"linux/{architecture}")
    return {finding.severity for finding in compat.findings(wanted) if finding.about == "miniconda"}


@pytest.mark.parametrize(
    ("python", "release"),
    [("3.9", "24.1.2-0"), ("3.12", "26.5.3-2"), ("3.10", "26.7.1-1"), ("3.8", "23.11.0-2")],
)
def test_installers_that_are_there(python: str, release: str) -> None:
    """Nothing is reported about them."""
    assert told(installer(python, release), python=python) == set()


@pytest.mark.parametrize(
    ("python", "release"),
    [
        ("3.12", "26.9.4-1"),
        ("3.10", "26.5.3-2"),
        ("3.12", "27.1.1-1"),
        ("3.11", "24.2.0-0"),
        ("3.15", "27.1.1-1"),
    ],
)
def test_what_is_not_listed_is_unknown(python: str, release: str) -> None:
    """A release between those that are known or newer, and a Python that others of its time have."""
    assert told(installer(python, release), python=python) == {Severity.UNKNOWN}


@pytest.mark.parametrize(
    ("python", "release"),
    [("3.8", "26.5.3-1"), ("3.6", "4.8.3"), ("3.13", "24.7.1-0"), ("3.12", "23.11.0-2"), ("3.11", "23.3.1-0")],
)
def test_a_python_that_no_release_of_the_time_has(python: str, release: str) -> None:
    """That is more than a gap in a list, but no proof: a row may say that it knows better."""
    assert told(installer(python, release), python=python) == {Severity.BROKEN}


@pytest.mark.parametrize(
    ("release", "python"), [("4.7.12", "3.7"), ("4.7.12.1", "3.7"), ("4.6.14", "3.7"), ("4.5.4", "3.6")]
)
def test_installers_without_a_python_in_their_name(release: str, python: str) -> None:
    """Before 4.8.2 each release brought one."""
    assert told(f"Miniconda3-{release}-Linux-x86_64.sh", python=python) == set()
    assert told(f"Miniconda3-{release}-Linux-x86_64.sh", python="3.8") == {Severity.IMPOSSIBLE}


@pytest.mark.parametrize("system", ["MacOSX-x86_64.sh", "MacOSX-arm64.sh", "Windows-x86_64.exe"])
def test_installers_of_other_systems(system: str) -> None:
    assert told(f"Miniconda3-py310_23.11.0-2-{system}", python="3.10") == {Severity.IMPOSSIBLE}


def test_another_python_than_the_row_has() -> None:
    """The name says it, whether the installer is listed or not."""
    assert told(installer("3.9", "99.1.1-1"), python="3.10") == {Severity.IMPOSSIBLE}
    assert told("Miniconda3-4.5.4-Linux-x86_64.sh", python="3.7") == {Severity.IMPOSSIBLE}


@pytest.mark.parametrize("os", ["ubuntu18.04", "centos7", "debian9", "tlinux2", "amazonlinux2"])
def test_installers_of_2025_need_a_newer_glibc(os: str) -> None:
    """Those of 2024 do not; the remedy names the newest that starts there."""
    new, old = installer("3.10", "25.1.1-2"), installer("3.10", "24.11.1-0")
    assert told(new, python="3.10", os=os) == {Severity.IMPOSSIBLE}
    assert told(old, python="3.10", os=os) == set()
    (finding,) = [each for each in compat.findings(row(miniconda=new, os=os)) if each.about == "miniconda"]
    assert old in finding.hint


@pytest.mark.parametrize("os", ["ubuntu20.04", "debian10", "rocky8", "ubi9", "an-unknown-one"])
def test_a_glibc_that_is_new_enough(os: str) -> None:
    """Or not known."""
    assert told(installer("3.12", "26.5.3-1"), python="3.12", os=os) == set()


def test_processors() -> None:
    """An installer is for one."""
    assert told(installer("3.12", "26.5.3-1", "aarch64"), "arm64", python="3.12") == set()
    assert told(installer("3.12", "26.5.3-1"), "arm64", python="3.12") == {Severity.IMPOSSIBLE}
    assert told(installer("3.12", "26.5.3-1", "aarch64"), python="3.12") == {Severity.IMPOSSIBLE}
    assert told(installer("3.9", "4.12.0", "aarch64"), "arm64", python="3.9", os="centos7") == {Severity.IMPOSSIBLE}
