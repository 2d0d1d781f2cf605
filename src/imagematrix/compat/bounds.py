"""Bounds on other packages that a package needs: rows are resolved with them, and judged by them.

Most are in `data/bounds.json`: no metadata declares them, so they are passed to the resolver. The few that TensorFlow
does declare are only judged.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final

from imagematrix.compat import catalogue
from imagematrix.compat.catalogue import Bound
from imagematrix.compat.finding import impossible
from imagematrix.diagnostics import Diagnostic, Severity
from imagematrix.text.versions import contradict, exact, meets, requirement

PRODUCTS: Final[Mapping[str, str]] = {
    "tensorflow-cpu": "tensorflow",
    "tensorflow-gpu": "tensorflow",
    "paddlepaddle": "paddle",
    "paddlepaddle-gpu": "paddle",
}
"""Package -> what rows call it, where the two differ."""

_READ_BY_RULES: Final = frozenset(
    {"horovod", "numpy", "paddle", "tensorflow", "tensorrt", "torch", "torchaudio", "torchvision"}
)
"""Packages whose versions other rules read too."""
_INSTALLED: Final = frozenset({"paddle", "tensorflow", "torch", "torchaudio", "torchvision"})
"""Those of them that a row installs by pip in just the version that it names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """Which versions of a package a row requires, or has."""

    package: str
    """As rows call it."""
    condition: str
    """`==2.2.6`, `<2`."""
    about: str
    """The axis or fact that says so; empty: the lock does."""

    def __str__(self) -> str:
        said = f"{self.package}{self.condition}"
        if not self.about:
            return f"{self.package} {exact(self.condition)} is locked"
        return f"the pins ask for {said}" if self.about == "pins" else f"the row says {said}"


def stated(values: Mapping[str, str]) -> tuple[Statement, ...]:
    """Return what the values of a row say of packages: its `pins`, and facts named after a package."""
    named = _bounded() | _INSTALLED
    facts = ((name, value) for name, value in values.items() if name in named and exact(f"=={value}"))
    said = tuple(Statement(package=name, condition=f"=={value}", about=name) for name, value in facts)
    return (*said, *_listed(tuple(values.get("pins", "").split()), about="pins"))


def locked(packages: Mapping[str, str]) -> tuple[Statement, ...]:
    """Return what a lock says of the packages that any rule or bound is about: package -> version."""
    named = ((PRODUCTS.get(name, name), version) for name, version in packages.items() if version)
    read = _bounded() | _read_by_rules() | subjects()
    return tuple(Statement(package=name, condition=f"=={version}", about="") for name, version in named if name in read)


def required(text: str) -> tuple[Statement, ...]:
    """Return what the lines of a requirements file say."""
    return _listed(tuple(text.splitlines()), about="pins")


@catalogue.cache
def _listed(lines: tuple[str, ...], *, about: str) -> tuple[Statement, ...]:
    """Return the requirements of lines; one with a marker is left out, because it may be for another Python."""
    found = filter(None, (requirement(line) for line in lines if ";" not in line.partition(" #")[0]))
    return tuple(
        Statement(package=PRODUCTS.get(name, name), condition=condition, about=about) for name, condition in found
    )


def judged(statements: Iterable[Statement]) -> Mapping[str, tuple[str, str]]:
    """Return the exact versions that other rules read: package -> version, and what to blame. The first counts."""
    return exactly(statements, _read_by_rules())


def exactly(statements: Iterable[Statement], packages: Collection[str]) -> Mapping[str, tuple[str, str]]:
    """Return the exact versions of some packages, as `judged`."""
    found: dict[str, tuple[str, str]] = {}
    for statement in statements:
        if statement.package in packages and (version := exact(statement.condition)):
            found.setdefault(statement.package, (version, statement.about))
    return found


def constraining(values: Mapping[str, str], statements: Iterable[Statement], *, allowed: bool) -> tuple[Bound, ...]:
    """Return the bounds that a row is resolved with; `allowed`: the row's own requirements win."""
    found = tuple(bound for bound in _undeclared(values) if bound.severity is Severity.BROKEN)
    if not allowed:
        return found
    said = tuple(statements)
    return tuple(bound for bound in found if not any(_contradicts(statement, bound) for statement in said))


def findings(values: Mapping[str, str], statements: Iterable[Statement]) -> Iterator[Diagnostic]:
    """Yield what contradicts a bound that holds for the values of a row; of one package, what the row says or has."""
    said = tuple(statements)
    having = {**{name: version for name, (version, _) in exactly(said, subjects()).items()}, **values}
    for bound in (*_undeclared(having), *_declared(values.get("tensorflow", ""))):
        contradicting = (statement for statement in said if _contradicts(statement, bound))
        if first := next(contradicting, None):
            yield _finding(bound, having[bound.package], first)


def contradictions(statements: Iterable[Statement]) -> Iterator[Diagnostic]:
    """Yield contradictory requirements of a row: no version meets both."""
    by_row = (statement for statement in statements if statement.about)
    for one, other in combinations(dict.fromkeys(by_row), 2):
        if one.package == other.package and contradict(one.condition, other.condition):
            what = f"{one}, and {other}: no version is both"
            yield replace(impossible(other.about, what, "leave one of them out"), code="contradiction")


@catalogue.cache
def subjects() -> frozenset[str]:
    """Return the packages that need bounds."""
    return frozenset(bound.package for bound in catalogue.bounds())


def read() -> frozenset[str]:
    """Return the names of the values of a row that this module reads."""
    return subjects() | _bounded() | {"pins", "python"}


def split(bound: Bound) -> tuple[str, str]:
    """Return the package that a bound is on, and the condition."""
    return requirement(bound.requirement) or ("", "")


@catalogue.cache
def _read_by_rules() -> frozenset[str]:
    """Return the packages whose versions rules read, the table of known breakage too."""
    return _READ_BY_RULES.union(catalogue.breakage_names())


@catalogue.cache
def _bounded() -> frozenset[str]:
    return frozenset(split(bound)[0] for bound in catalogue.bounds())


def _undeclared(values: Mapping[str, str]) -> tuple[Bound, ...]:
    return _holding(
        tuple((name, values[name]) for name in sorted(subjects()) if values.get(name)), values.get("python", "")
    )


@catalogue.cache  # thousands of rows share the few values that it reads
def _holding(having: tuple[tuple[str, str], ...], python: str) -> tuple[Bound, ...]:
    rows = dict(having)
    return tuple(
        bound
        for bound in catalogue.bounds()
        if meets(rows.get(bound.package, ""), bound.versions)
        and (not bound.python or not python or meets(python, bound.python))
    )


def _declared(tensorflow: str) -> tuple[Bound, ...]:
    """Return what a release of TensorFlow declares of NumPy: a resolver knows, so it is judged and no more."""
    release = catalogue.tensorflow_wheels("tensorflow").release(tensorflow)
    condition = catalogue.tensorflow()[release].numpy if release else ""
    bound = Bound(
        package="tensorflow",
        versions=f"=={release}",
        requirement=f"numpy{condition}",
        why="says so in its metadata",
        source="PyPI",
        severity=Severity.IMPOSSIBLE,
    )
    return (bound,) if condition else ()


def _contradicts(statement: Statement, bound: Bound) -> bool:
    package, condition = split(bound)
    return statement.package == package and contradict(statement.condition, condition)


def _finding(bound: Bound, version: str, statement: Statement) -> Diagnostic:
    needs = "can only be installed with" if bound.severity is Severity.IMPOSSIBLE else "needs"
    mend = (
        "leave it out, and `invoke lock` takes one that fits"
        if statement.about
        else f"run `invoke lock --upgrade`, or require {bound.requirement} in the layer that installs it"
    )
    return Diagnostic(
        severity=bound.severity,
        about=statement.about or bound.package,
        message=f"{statement}, and {bound.package} {version} {needs} {bound.requirement}",
        hint=f"it {bound.why} ({bound.source}); {mend}",
        code="bound",
    )
