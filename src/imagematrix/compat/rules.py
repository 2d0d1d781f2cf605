"""The table of all rules, and the row that they judge.

A rule is a function. Its parameters name the values of a row it reads (`base_image` is what its base pulls, `bootstrap`
the suite it is made from, `layers` those of its family, first to last, parted by spaces, `architecture` the processor);
a rule is skipped if a value without a default is missing. To add a rule, write the function and name it here.
Combinations that issues report are data, judged by one more function: `breakage`. Plugins add rules (`catalogue`).
"""

import inspect
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import replace
from functools import cache, wraps
from types import MappingProxyType
from typing import Final

from imagematrix.compat import (
    architectures,
    arm64,
    bases,
    bounds,
    breakage,
    catalogue,
    gpu,
    horovod,
    nvidia,
    others,
    paddle,
    tensorflow,
    torch,
)
from imagematrix.compat.catalogue import Allowance
from imagematrix.compat.finding import note, unknown
from imagematrix.diagnostics import Diagnostic, Severity
from imagematrix.model import Row
from imagematrix.text.distributions import of_image, of_suite

Rule = Callable[..., Iterable[Diagnostic]]
Told = Callable[[Row], Mapping[str, str]]
"""What is known of a row beside itself: what its locks hold, what its layers take from its base."""
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})

RULES: Final[tuple[Rule, ...]] = (
    others.architecture_is_known,
    others.python_end,
    others.miniconda_of_python,
    bases.base_os,
    bases.suite_is_known,
    bases.package_manager,
    bases.mirror,
    bases.base_python,
    bases.musl,
    nvidia.base_tag,
    nvidia.base_facts,
    gpu.cuda_used,
    torch.torch_on_python,
    torch.torch_build,
    torch.torch_index,
    torch.torch_on_os,
    torch.torchvision,
    torch.torchaudio,
    tensorflow.tensorflow_on_python,
    tensorflow.tensorflow_on_os,
    tensorflow.tensorflow_on_cuda,
    tensorflow.tensorflow_on_cudnn,
    paddle.paddle_package,
    paddle.paddle_on_python,
    paddle.paddle_on_pypi,
    paddle.paddle_gpu_on_pypi,
    paddle.paddle_without_cuda,
    paddle.paddle_on_cuda,
    architectures.torch_on_gpus,
    architectures.tensorflow_on_gpus,
    architectures.paddle_on_gpus,
    others.numpy_on_python,
    others.numpy_of_pins,
    others.pins_are_requirements,
    others.run_as_is_an_id,
    others.tensorrt_on_python,
    others.tensorrt_on_cuda,
    others.tensorrt_of_tensorflow,
    horovod.horovod_on_python,
    horovod.horovod_on_cuda,
    horovod.horovod_with_tensorflow,
    horovod.horovod_with_torch,
    horovod.horovod_is_compiled,
    horovod.horovod_after_framework,
    arm64.torch_on_arm64,
    arm64.tensorflow_on_arm64,
    arm64.paddle_on_arm64,
)

ONLY: Final[Mapping[Rule, str]] = {
    **dict.fromkeys(
        (
            torch.torch_on_python,
            torch.torch_build,
            torch.torch_index,
            torch.torch_on_os,
            gpu.cuda_used,
            architectures.torch_on_gpus,
            architectures.tensorflow_on_gpus,
            architectures.paddle_on_gpus,
            tensorflow.tensorflow_on_python,
            tensorflow.tensorflow_on_os,
            tensorflow.tensorflow_on_cuda,
            tensorflow.tensorflow_on_cudnn,
            paddle.paddle_on_python,
            paddle.paddle_on_pypi,
            paddle.paddle_gpu_on_pypi,
            paddle.paddle_without_cuda,
            paddle.paddle_on_cuda,
            others.numpy_on_python,
            others.numpy_of_pins,
            others.tensorrt_on_python,
            others.tensorrt_on_cuda,
        ),
        "amd64",
    ),
    **dict.fromkeys((arm64.torch_on_arm64, arm64.tensorflow_on_arm64, arm64.paddle_on_arm64), "arm64"),
}
"""Rules whose facts are those of wheels and images for one processor: they judge no row for another one."""


def findings(
    row: Row, locked: Mapping[str, str] = _NOTHING, *, demands: Mapping[str, str] = _NOTHING
) -> tuple[Diagnostic, ...]:
    """Return what is known of a row, of what its locks hold, and of what its layers take from its base.

    `locked` is package -> version, `demands` such as `apt_layers` -> names of layers. What the row allows to be broken
    is a note that shows its reason. Of an `impossible` row, return only its reason.
    """
    if row.impossible:
        return (replace(note("impossible", f"this row is impossible: {row.impossible}"), code="impossible"),)
    found, reason = _found(_values(row, demands), locked), reasons(row)
    allowed = tuple(_allowed(finding, reason) for finding in found) if reason else found
    if row.allow and allowed == found:
        idle = note("allow", f"this row allows what is not known to be broken: {row.allow}")
        return (*found, replace(idle, code="allow"))
    return allowed


def subject(row: Row) -> Hashable:
    """Return everything that is judged of a row: rows that are equal in it have the same findings and reasons."""
    names = _read_of_rows()
    if allowances := catalogue.allowances():
        names = names.union(*(each.conditions for each in allowances))
    values = tuple([item for item in row.values.items() if item[0] in names])
    return (
        values,
        row.base.upstream,
        row.base.bootstrap,
        row.family.layers,
        row.architecture,
        row.allow,
        row.impossible,
    )


def reasons(row: Row) -> str:
    """Return why a row may be built though upstream broke it: what it says itself, and what its project allows."""
    values = _values(row)
    allowances = (each.reason for each in catalogue.allowances() if each.covers(values))
    return "; ".join(filter(None, [row.allow, *allowances]))


def nothing(_: Row) -> Mapping[str, str]:
    """Return that nothing is known of a row."""
    return _NOTHING


def unneeded(rows: Iterable[Row], locked: Told, demands: Told) -> tuple[Allowance, ...]:
    """Return what the project allows to be broken although no row that it covers is broken."""
    if not catalogue.allowances():
        return ()
    judged = ((values, _found(values, locked(row))) for row in rows for values in [_values(row, demands(row))])
    broken = [values for values, found in judged if any(each.severity is Severity.BROKEN for each in found)]
    return tuple(each for each in catalogue.allowances() if not any(map(each.covers, broken)))


def _values(row: Row, demands: Mapping[str, str] = _NOTHING) -> dict[str, str]:
    """Return what rules read of a row itself."""
    values = {name: value for name, value in row.values.items() if value}
    if row.base.image:
        values["base_image"] = row.base.upstream
    if row.base.bootstrap:
        values["bootstrap"] = row.base.bootstrap
    if system := values.get("os") or of_image(row.base.upstream) or of_suite(row.base.bootstrap):
        values["os"] = system
    return {**values, "layers": " ".join(row.family.layers), "architecture": row.architecture, **demands}


def _found(values: Mapping[str, str], locked: Mapping[str, str]) -> tuple[Diagnostic, ...]:
    """Judge the values of a row, and the versions of packages that its pins and its locks tell."""
    statements = (*bounds.stated(values), *bounds.locked(locked))
    more = {name: told for name, told in bounds.judged(statements).items() if name not in values}
    values = {**values, **{name: version for name, (version, _) in more.items()}}
    found: tuple[Diagnostic, ...] = ()
    for rule, names in _applicable(tuple(values), values["architecture"]):
        found += _judged(rule, tuple([values.get(name, "") for name in names]))
    found += _judged(breakage.known_breakage, tuple([values.get(name, "") for name in catalogue.breakage_names()]))
    found = tuple(replace(each, about=more[each.about][1]) if each.about in more else each for each in found)
    return (*found, *bounds.contradictions(statements), *bounds.findings(values, statements))


def of_plugin(name: str, rule: Rule) -> Rule:
    """Return a plugin's rule under its name; what it raises becomes a warning, and the other rules still judge."""

    @wraps(rule)
    def judged(*arguments: str) -> tuple[Diagnostic, ...]:
        try:
            return tuple(replace(finding, code=name) for finding in rule(*arguments))
        except Exception as error:  # noqa: BLE001  # foreign code may raise anything
            what = f"the version rule {name} of a plugin failed: {type(error).__name__}: {error}"
            return (unknown("", what, "correct it, or uninstall its wheel"),)

    judged.__name__ = name
    return judged


def read() -> frozenset[str]:
    """Return the names of all values that any rule reads."""
    of_rules = {name for rule in _rules() for names in _reads(rule) for name in names}
    return bounds.read() | of_rules | {*catalogue.breakage_names()}


@catalogue.cache
def _read_of_rows() -> frozenset[str]:
    return read() | {"os"}


def _allowed(finding: Diagnostic, reason: str) -> Diagnostic:
    if finding.severity is not Severity.BROKEN:
        return finding
    return replace(finding, severity=Severity.NOTE, hint=f"allowed: {reason}")


@catalogue.cache  # the rows of a family have the same names
def _applicable(names: tuple[str, ...], architecture: str) -> tuple[tuple[Rule, tuple[str, ...]], ...]:
    """Return the rules for a processor that have all the values they need, each with the values that it reads."""
    reads = ((rule, *_reads(rule)) for rule in _rules() if ONLY.get(rule, architecture) == architecture)
    return tuple((rule, (*needed, *optional)) for rule, needed, optional in reads if set(needed) <= set(names))


def _rules() -> tuple[Rule, ...]:
    return (*RULES, *catalogue.version_rules())


@cache
def _reads(rule: Rule) -> tuple[tuple[str, ...], tuple[str, ...]]:
    parameters = inspect.signature(rule).parameters.values()
    needed = tuple(each.name for each in parameters if each.default is each.empty)
    return needed, tuple(each.name for each in parameters if each.default is not each.empty)


@catalogue.cache  # thousands of rows share the few values that a rule reads
def _judged(rule: Rule, arguments: tuple[str, ...]) -> tuple[Diagnostic, ...]:
    return tuple(replace(finding, code=finding.code or rule.__name__) for finding in rule(*arguments))
