"""`[destinations.X.rules]`: which rules count, and their parameters.

    [destinations.art.rules]
    no-new-setuid = {}
    max-size = {limit = "9.5 GB"}

Rules without parameters may be a list, `rules = ["no-new-setuid"]`. The form of earlier versions is read too: a list,
and the parameters of its rules as keys of the destination.
"""

import re
from collections.abc import Mapping
from typing import Final

from imagematrix.errors import did_you_mean
from imagematrix.model import RuleDeclaration, RuleParameter
from imagematrix.text.locate import KeyPath
from imagematrix.text.shape import Table, dotted

SIZE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?) *(?:([KMGTkmgt])([Ii]?))?[Bb]")
MAX_SIZE: Final = ("max-size", "limit")
_BESIDE: Final[Mapping[tuple[str, str], str]] = {
    MAX_SIZE: "max_size",
    ("official-base", "images"): "official_bases",
    ("base-unchanged", "files"): "protected",
    ("required-files", "paths"): "required",
}
BESIDE: Final = {key: f"{parameter} of {rule}" for (rule, parameter), key in _BESIDE.items() if key != "max_size"}
"""The keys of a destination that are parameters of rules in a list, and whose; `max_size` also stands alone."""

_Parameters = dict[str, int | tuple[str, ...]]


def read(destination: Table, known: Mapping[str, RuleDeclaration]) -> Mapping[str, _Parameters]:
    """Return a destination's rules with their parameters; what is wrong is noted where it stands."""
    if isinstance(destination.raw("rules"), dict):
        return _from_table(destination, known)
    return _from_list(destination, known)


def most_bytes(destination: Table, asked: Mapping[str, _Parameters]) -> int:
    """Return how big a destination's images may be, in bytes; 0: no limit. `check` warns without the rule too."""
    rule, parameter = MAX_SIZE
    limit = asked.get(rule, {}).get(parameter) or _size(destination, "max_size")
    return limit if isinstance(limit, int) else 0


def limit_places(destination: str) -> tuple[KeyPath, ...]:
    """Return where a destination may say how big its images may be."""
    at = ("destinations", destination)
    return ((*at, "rules", *MAX_SIZE), (*at, "max_size"))


def _from_table(destination: Table, known: Mapping[str, RuleDeclaration]) -> Mapping[str, _Parameters]:
    table = destination.table("rules")
    for (rule, parameter), key in _BESIDE.items():
        if key in destination:
            destination.wrong(key, f"{key} is a parameter of the rule {rule!r}", _hint(destination, rule, parameter))
    found = {}
    for name in table:
        if name in known:
            found[name] = _parameters(table.table(name), known[name])
        else:
            table.wrong(name, f"unknown rule {name!r}", did_you_mean(name, known))
    return found


def _parameters(table: Table, rule: RuleDeclaration) -> _Parameters:
    table.allow(*rule.parameters)
    for name, parameter in rule.parameters.items():
        if parameter.is_required:
            table.require(name, parameter.meaning)
    return {name: _value(table, name, parameter) for name, parameter in rule.parameters.items() if name in table}


def _from_list(destination: Table, known: Mapping[str, RuleDeclaration]) -> Mapping[str, _Parameters]:
    found = {}
    for name, whole in destination.texts("rules").items():
        at = whole[len(destination.at) :]
        if name not in known:
            destination.wrong(at, f"unknown rule {name!r}", did_you_mean(name, known))
            continue
        beside = {parameter: _BESIDE.get((name, parameter), "") for parameter in known[name].parameters}
        for parameter, key in beside.items():
            if known[name].parameters[parameter].is_required and key not in destination:
                destination.wrong(at, f"the rule {name!r} needs {parameter}", _hint(destination, name, parameter))
        found[name] = {
            parameter: _value(destination, key, known[name].parameters[parameter])
            for parameter, key in beside.items()
            if key in destination
        }
    return found


def _hint(destination: Table, rule: str, parameter: str) -> str:
    return f"write it as [{dotted(destination.at)}.rules.{rule}] {parameter} = ..."


def _value(table: Table, key: str, parameter: RuleParameter) -> int | tuple[str, ...]:
    return _size(table, key) if parameter.kind == "Size" else tuple(table.texts(key))


def _size(table: Table, key: str) -> int:
    """Return a size in bytes; 0 when there is none."""
    text = table.text(key)
    found = SIZE.fullmatch(text)
    number, prefix, binary = found.groups("") if found else ("0", "", "")
    unit: int = (1024 if binary else 1000) ** " KMGT".find(prefix.upper())
    size = round(float(number) * unit)
    if not size and isinstance(table.raw(key), str):
        table.wrong(key, f"{text!r} is not a size", 'expected a number and a unit, like "9.5 GB" or "9 GiB"')
    return size
