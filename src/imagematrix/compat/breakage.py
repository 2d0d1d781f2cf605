"""The rule of combinations that are known to be broken: a table with an issue as the source of each."""

from collections.abc import Iterator, Mapping
from typing import Final

from imagematrix.compat import catalogue
from imagematrix.compat.catalogue import Breakage
from imagematrix.compat.finding import broken
from imagematrix.diagnostics import Diagnostic
from imagematrix.text.versions import comparison, requirement

_TITLES: Final = {"cuda": "CUDA ", "python": "Python ", "os": "", "tensorflow_package": "", "gpus": ""}


def known_breakage(*values: str) -> Iterator[Diagnostic]:
    """Judge a row by the table: the values are those that it reads, `catalogue.breakage_names`."""
    given = dict(zip(catalogue.breakage_names(), values, strict=True))
    base = catalogue.distributions().get(given.get("os", ""))
    if base:
        given["os"] = base.name
    for each in catalogue.breakages():
        if _is_meant(each, given):
            yield _finding(each, given)


def is_known(values: Mapping[str, str]) -> bool:
    """Whether the table has a combination."""
    given = {**dict.fromkeys(catalogue.breakage_names(), ""), **values}
    return any(_is_meant(each, given) for each in catalogue.breakages())


def _is_meant(breakage: Breakage, values: Mapping[str, str]) -> bool:
    excused = any(_names(values[name], word) or _meets(values[name], word) for name, word in breakage.unless.items())
    wanted = {breakage.package: (breakage.versions,), **breakage.with_}
    return not excused and all(any(_meets(values[name], one) for one in any_of) for name, any_of in wanted.items())


def _names(value: str, package: str) -> bool:
    """Whether a word of a value is a requirement of a package, as in a row's pins."""
    found = filter(None, map(requirement, value.split()))
    return any(name == package for name, _ in found)


def _meets(value: str, wanted: str) -> bool:
    """Whether a value is what is wanted, or a word of it: a comparison of versions, else the word itself."""
    test = comparison(wanted)
    return any(bool(test(word)) if test else word == wanted for word in value.split())


def _finding(breakage: Breakage, values: Mapping[str, str]) -> Diagnostic:
    others = " and ".join(f"{_TITLES.get(name, f'{name} ')}{values[name]}" for name in breakage.with_)
    what = f"{breakage.package} {values[breakage.package]} with {others} {breakage.what}: {breakage.source}"
    ways = ", or ".join(f"{name}={value}" for name, value in breakage.instead.items())
    return broken(breakage.package, what, f"take {ways}")
