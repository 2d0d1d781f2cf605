"""What moving tags promise: the axes of the family decide, unless it says otherwise."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from tests.fakes import row
from tests.unit.test_matrix import LAYERS

from imagematrix import matrix
from imagematrix.errors import InputError
from imagematrix.model import Row
from imagematrix.planning import publication
from imagematrix.planning.publication import Held, PublishOutcome, Target

TARGET = Target(repository="a.io/x/jax", tag="stable")

MATRIX = """\
schema = 1

[bases.debian12]
bootstrap = "bookworm"
python = "3.11"

[families.jax]
layers = ["system"]
tag = "stable"
{promises}

[[families.jax.row]]
base = "debian12"
jax = "{jax}"
flavour = "full"
"""


def jax(version: str = "0.4.35", promises: str = "") -> Row:
    """Return the one row of a family whose tag does not name its version."""
    return matrix.parse(MATRIX.format(jax=version, promises=promises), layers=LAYERS).rows[0]


def moved(old: Row, new: Row) -> PublishOutcome:
    """Return what becomes of the tag when the image of a row replaces that of another."""
    return replaced(publication.label(old), new)


def replaced(label: str, new: Row) -> PublishOutcome:
    """Return what becomes of the tag when the image of a row replaces one with this label."""

    def held(digest: str, label: str) -> Held:
        return Held(digest=digest, config=digest, versions=publication.labelled({"imagematrix.versions": label}))

    made = publication.decide_moving(
        TARGET,
        held("sha256:old", label),
        held("sha256:new", publication.label(new)),
        verified=True,
        promises=new.family.promises,
    )
    return made.outcome


def test_an_axis_that_is_a_version_is_promised() -> None:
    """Whatever it is called; facts that follow from Python too; a patch release does not count as another version."""
    assert publication.label(jax()) == "jax=0.4 python=3.11"
    assert moved(jax("0.4.35"), jax("0.4.38")) is PublishOutcome.MOVED
    assert moved(jax("0.4.35"), jax("0.9.1")) is PublishOutcome.REFUSED


@pytest.mark.parametrize(
    ("values", "label"),
    [
        ({"base": "1.0", "horovod": "0.28.1", "tensorflow": "2.12.0"}, "horovod=0.28 tensorflow=2.12"),
        ({"base": "debian12", "reduce": "gloo", "release": "1.0.8"}, "release=1.0"),
        ({"toolset": "2026"}, "toolset=2026"),
    ],
)
def test_what_axes_promise(values: Mapping[str, str], label: str) -> None:
    """Names promise nothing, nor does the base: what it is made of does."""
    assert publication.label(replace(row("f:t"), axes=values, values=values)) == label


def test_a_family_that_says_what_it_promises() -> None:
    """Then that and nothing else; a value that is not a version is promised as it is."""
    free = jax("0.9.1", 'promises = ["python"]')
    assert publication.label(free) == "python=3.11"
    assert moved(jax("0.4.35", 'promises = ["python"]'), free) is PublishOutcome.MOVED
    assert moved(jax("0.4.35"), free) is PublishOutcome.MOVED
    assert replaced("jax=0.4 python=3.10", free) is PublishOutcome.REFUSED
    assert publication.label(jax(promises='promises = ["flavour", "jax"]')) == "flavour=full jax=0.4"
    assert publication.label(jax(promises="promises = []")) == ""


def test_images_published_before_are_not_stuck() -> None:
    """Their labels named CUDA, Python and three frameworks: what those do not name was no promise."""
    assert replaced("python=3.11", jax("0.9.1")) is PublishOutcome.MOVED
    assert replaced("python=3.10", jax("0.9.1")) is PublishOutcome.REFUSED
    assert replaced("python=3.11 torch=2.4", jax()) is PublishOutcome.REFUSED
    assert replaced("python=3.11", row_with_torch()) is PublishOutcome.REFUSED


def row_with_torch() -> Row:
    """Return a row with a framework that every label names."""
    values = {"python": "3.11", "torch": "2.4.1"}
    return replace(row("f:t"), axes=values, values=values)


def test_a_promise_of_nothing() -> None:
    """A name that no row has is reported at its place."""
    with pytest.raises(
        InputError, match=r"matrix.toml:10: error: families.jax.promises: no row has an axis or fact .pyton."
    ):
        jax(promises='promises = ["pyton"]')
