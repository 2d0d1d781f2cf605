"""What a rule is, and how its module is read.

A rule is a Python module of two functions. Its docstring says what an image must be, its file is named as the rule:

    def kept(entry, seen, *, PARAMETERS):   what it needs of a file of a layer, None: nothing; may be left out
    def offences(evidence, *, PARAMETERS):  the violations, one line each; none: the image obeys

`seen` may be left out; it is what was kept of the layer so far, by path. The parameters of `offences` are the rule's
keys in matrix.toml: `limit: Annotated[Size, "what it means"]`, and those without a default must be given. They are read
without running the module, so that `check` of an unreviewed checkout runs none of its code.
"""

import ast
import inspect
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib import resources
from types import ModuleType
from typing import Final

from imagematrix.audit.layers import Entry, FilesystemLayer, Keep, Seen
from imagematrix.diagnostics import Diagnostic
from imagematrix.errors import InputError
from imagematrix.model import RuleDeclaration, RuleParameter, RuleParameters

Size = int
"""Bytes; in matrix.toml a text such as "9.5 GB" or "9 GiB"."""
Globs = tuple[str, ...]

_KINDS: Final = ("Globs", "Size")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """An image as a rule sees it."""

    base_name: str
    base: Sequence[Seen]
    own: Sequence[Seen]
    """The layers on top of the base's."""
    command: Sequence[str] = ()
    """What a container runs: entrypoint and command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule with its parameters, ready to judge."""

    kept: Keep
    offences: Callable[[Evidence], tuple[str, ...]]


def declared(text: str, *, file: str) -> RuleDeclaration:
    """Read what a rule's module declares, without running it. Raises InputError where it declares no rule."""
    try:
        tree = ast.parse(text, filename=file)
    except (SyntaxError, ValueError) as error:
        raise InputError(
            [
                Diagnostic(
                    code="rule",
                    file=file,
                    line=getattr(error, "lineno", 0) or 0,
                    message=f"is not valid Python: {error}",
                )
            ]
        ) from None
    function = next((node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "offences"), None)
    if function is None:
        hint = "a rule is a module with a function offences(evidence)"
        raise InputError(
            [Diagnostic(code="rule", file=file, line=1, message="the function 'offences' is missing", hint=hint)]
        )
    arguments = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    parameters = {argument.arg: _parameter(argument, default, file) for argument, default in arguments}
    return RuleDeclaration(meaning=ast.get_docstring(tree) or "", parameters=parameters, file=file, text=text)


def _parameter(argument: ast.arg, default: ast.expr | None, file: str) -> RuleParameter:
    match argument.annotation:
        case ast.Subscript(
            value=ast.Name(id="Annotated"),
            slice=ast.Tuple(elts=[ast.Name(id=kind), ast.Constant(value=str(meaning))]),
        ) if kind in _KINDS:
            return RuleParameter(kind=kind, meaning=meaning, is_required=default is None)
    what = f"the parameter {argument.arg!r} has no type that matrix.toml can have"
    hint = f'expected {argument.arg}: Annotated[Size, "what it means"], or Globs'
    raise InputError([Diagnostic(code="rule", file=file, line=argument.lineno, message=what, hint=hint)])


@cache
def stock() -> Mapping[str, RuleDeclaration]:
    """Return the rules that come with imagematrix, by name."""
    folder = resources.files("imagematrix.audit.rules")
    modules = sorted((file.name, file) for file in folder.iterdir() if file.name.endswith(".py"))
    return {
        name.removesuffix(".py").replace("_", "-"): declared(
            file.read_text("utf-8"), file=f"imagematrix/audit/rules/{name}"
        )
        for name, file in modules
        if not name.startswith("_")
    }


def load(declaration: RuleDeclaration, parameters: RuleParameters) -> Rule:
    """Run a rule's module, and give its functions the parameters that they name.

    What a monorepo's own rule raises offends it: the other rules judge all the same.
    """
    faults: list[str] = []

    def fault(error: Exception) -> str:
        lines = [
            frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == declaration.file
        ]
        return (
            f"the rule itself failed: {type(error).__name__}: {error} ({declaration.file}:{lines[-1] if lines else 1})"
        )

    def keep(entry: Entry, seen: Mapping[str, object]) -> object:
        try:
            return kept(entry, seen)
        except Exception as error:  # noqa: BLE001  # foreign code may raise anything
            faults.append(fault(error))
            return None

    def judged(evidence: Evidence) -> tuple[str, ...]:
        if not faults:
            try:
                return tuple(offences(evidence))
            except Exception as error:  # noqa: BLE001
                faults.append(fault(error))
        return tuple(faults[:1])

    module = ModuleType(declaration.file)
    try:
        exec(compile(declaration.text, declaration.file, "exec"), module.__dict__)  # noqa: S102  # it is code, as checks are
        kept = _keeping(getattr(module, "kept", _nothing), parameters)
        offences = partial(module.offences, **parameters)
    except Exception as error:  # noqa: BLE001
        faults.append(fault(error))
    return Rule(kept=keep if not faults else _nothing, offences=judged)


def _nothing(_entry: Entry, _seen: Mapping[str, object]) -> None:
    """Keep nothing: the rule judges something else than files."""


def _keeping(kept: Callable[..., object], parameters: RuleParameters) -> Keep:
    names = inspect.signature(kept).parameters
    given = partial(kept, **{name: value for name, value in parameters.items() if name in names})
    return given if len(names) - len(given.keywords) > 1 else lambda entry, _seen: given(entry)


def judge(
    rules: Mapping[str, Rule], layers: Sequence[FilesystemLayer], *, base: str, below: int, command: Sequence[str] = ()
) -> Mapping[str, tuple[str, ...]]:
    """Return what offends each rule; nothing where the image obeys.

    The lowest `below` of the layers are those of the image's base, which is named `base`; `command` is what it runs.
    """

    def evidence(name: str) -> Evidence:
        seen = [layer.seen_by(name) for layer in layers]
        return Evidence(base_name=base, base=seen[:below], own=seen[below:], command=command)

    return {name: rule.offences(evidence(name)) for name, rule in rules.items()}
