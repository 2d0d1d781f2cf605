"""Templates: compiled once, and rendered once for all rows that agree on the values that a template names.

A template sees the values of its row (axes and facts, all strings) and nothing else. What it renders to depends only
on the values that it names, so rows share renderings, and with them stages.
"""

import re
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath
from typing import Final, TypeAlias

import jinja2
import jinja2.sandbox
from jinja2 import meta, nodes
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream

from imagematrix import compat
from imagematrix.diagnostics import Diagnostic
from imagematrix.errors import Collector, InputError, did_you_mean
from imagematrix.model import File, LayerSource, Row, Service, Sources
from imagematrix.planning.render.sources import (
    TEMPLATE_SUFFIX,
    companion_templates,
    decoded,
    is_template,
    name_of,
    template_names,
    templates_of,
)

_MARK: Final = re.compile("\x00([^\x01]*)\x01(\\d+)\x02")
_MARKS: Final = re.compile(f"(?:{_MARK.pattern})+")
_Reference: TypeAlias = nodes.Import | nodes.FromImport | nodes.Include | nodes.Extends
_REFERENCES: Final[tuple[type[_Reference], ...]] = (nodes.Import, nodes.FromImport, nodes.Include, nodes.Extends)
_RENDER_ERRORS: Final = (
    *(jinja2.TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError),
    *(RecursionError, MemoryError),
)
"""Its own errors, and those of the Python that evaluates an expression."""
_LONGEST: Final = 1 << 20
"""What an operator may make: templates are small, and an unreviewed checkout must not fill the memory."""


class _Sandbox(jinja2.sandbox.ImmutableSandboxedEnvironment):
    """Templates make text and reach nothing of the Python that renders them: they may be of an unread pull request."""

    intercepted_binops = frozenset({"*", "**"})

    def call_binop(self, context: jinja2.runtime.Context, operator: str, left: object, right: object) -> object:
        """Refuse what would take all memory or time."""
        if operator == "**" or _repeated(left, right) > _LONGEST or _repeated(right, left) > _LONGEST:
            raise jinja2.exceptions.SecurityError(f"the result of {operator!r} would be too big")
        return super().call_binop(context, operator, left, right)


def _repeated(sequence: object, times: object) -> int:
    return len(sequence) * times if isinstance(sequence, str | list | tuple) and isinstance(times, int) else 0


class _Marking(Extension):
    """Marks the beginning of each line of a template's text with the template's name and the line's number."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        """Mark the text between the tags."""
        for token in stream:
            if token.type == "data":
                lines = enumerate(str(token.value).split("\n"), start=token.lineno)
                marked = "\n".join(f"\x00{stream.name}\x01{number}\x02{line}" for number, line in lines)
                yield Token(token.lineno, "data", marked)
            else:
                yield token


@dataclass(frozen=True, slots=True)
class _Template:
    """A compiled template with the names of all values it, or what it includes, refers to."""

    name: str
    compiled: jinja2.Template
    names: tuple[str, ...]


class Templates:
    """The templates of a project's layers, and ours."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._package = jinja2.PackageLoader("imagematrix", "templates")
        self._loader = _loader(sources, self._package)
        self._environment = _environment(self._loader)
        self._templates: dict[str, _Template] = {}
        self._named: dict[str, set[str]] = {}
        self._texts: dict[tuple[str, tuple[object, ...]], str] = {}
        self._reading: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._services: dict[tuple[tuple[str, ...], bool], tuple[Service, ...]] = {}
        self._last: tuple[Row | None, Mapping[str, object]] = None, {}

    def ours(self, prefix: str) -> list[str]:
        """Return the names of our own templates that begin so."""
        return [name for name in self._package.list_templates() if name.startswith(prefix)]

    def own(self, name: str) -> str:
        """Return the text of a plain file of ours."""
        return self._package.get_source(self._environment, name)[0]

    def render(self, name: str, row: Row, **extra: object) -> str:
        """Render a template with a row's values. Raises InputError naming template, line and row."""
        template, values = self._template(name), self.values(row, **extra)
        key = name, tuple(map(values.get, template.names))
        text = self._texts.get(key)
        if text is None:
            text = self._texts[key] = _rendered(template, values, row)
        return text

    def text(self, layer: LayerSource, file: File, row: Row, **extra: object) -> str:
        """Return a layer's file as text, rendered if it is a template. Raises InputError."""
        name = name_of(layer, file)
        if file.stored:
            raise InputError([Diagnostic(code="template", file=name, message="is too big to be read as text")])
        return self.render(name, row, layer=layer.name, **extra) if is_template(file) else decoded(name, file.content)

    def values(self, row: Row, **extra: object) -> dict[str, object]:
        """Return everything that a template may name for a row."""
        if self._last[0] is not row:  # all layers of a row are rendered one after another
            self._last = row, self._values(row)
        return {**self._last[1], **extra}

    def _values(self, row: Row) -> Mapping[str, object]:
        return {
            **row.values,
            "family": row.family.name,
            "tag": row.tag,
            "driver_requirement": compat.driver_requirement(row.values),
            "torch_local": compat.local_version(row.values),
            "services": self._services_of(row.family.layers, as_root="run_as" not in row.values),
            "tool": None,
        }

    def _services_of(self, layers: tuple[str, ...], *, as_root: bool) -> tuple[Service, ...]:
        known = self._services.get((layers, as_root))
        if known is None:
            known = self._services[layers, as_root] = self._sources.services_of(layers, as_root=as_root)
        return known

    def names(self, templates: Iterable[str]) -> frozenset[str]:
        """Return the names of the values that templates read. Raises InputError where one cannot be compiled."""
        return frozenset(name for template in templates for name in self._template(template).names)

    def known_names(self, templates: Iterable[str]) -> frozenset[str]:
        """Return the names that templates read, as far as they can be compiled: who renders the others reports it."""
        found = Collector()
        compiled = [found.attempt(partial(self._template, name)) for name in templates]
        return frozenset(name for each in compiled if each for name in each.names)

    def seen(self, layers: tuple[str, ...], values: Mapping[str, object]) -> tuple[object, ...]:
        """Return those of some values that the templates of some layers read."""
        names = self._reading.get(layers)
        if names is None:
            files = (name for layer in layers for name in template_names(self._sources.layers[layer]))
            names = self._reading[layers] = tuple(sorted(self.known_names(files)))
        return tuple(map(values.get, names))

    def trace(self, name: str, body: str, values: Mapping[str, object]) -> list[tuple[str, int]]:
        """Return where each line of a rendering comes from: a template of a layer, and the line there."""
        marking = _environment(self._loader, extensions=[_Marking])
        marked = marking.get_template(name).render(values).split("\n")
        own = {template for template, _ in _template_texts(self._sources)}
        if "\n".join(_MARK.sub("", line) for line in marked) != body:  # a filter that minds the marks
            return [(name, 0)] * len(marked)
        places, place = [], (name, 1)
        for line in marked:
            start = _MARKS.match(line)
            ahead = [(match[1], int(match[2])) for match in _MARK.finditer(start[0] if start else "")]
            place = next((each for each in reversed(ahead) if each[0] in own), place)
            places.append(place)
            behind = [(match[1], int(match[2])) for match in _MARK.finditer(line)]
            place = next((each for each in reversed(behind) if each[0] in own), place)
        return places

    def _template(self, name: str) -> _Template:
        known = self._templates.get(name)
        if known is None:
            known = self._templates[name] = self._compile(name)
        return known

    def _compile(self, name: str) -> _Template:
        try:
            return _Template(name, self._environment.get_template(name), tuple(sorted(self._names(name))))
        except jinja2.TemplateSyntaxError as error:
            problem = Diagnostic(
                code="template", file=error.filename or name, line=error.lineno, message=error.message or "syntax error"
            )
        raise InputError([problem])

    def _names(self, name: str) -> set[str]:
        known = self._named.get(name)
        if known is None:
            self._named[name] = set()  # what includes itself adds nothing to its own
            known = self._named[name] = self._undeclared(name)
        return known

    def _undeclared(self, name: str) -> set[str]:
        tree = self._environment.parse(self._loader.get_source(self._environment, name)[0], filename=name)
        names = meta.find_undeclared_variables(tree)
        for reference in tree.find_all(_REFERENCES):
            names |= self._names_within(reference, name)
        return names

    def _names_within(self, reference: _Reference, name: str) -> set[str]:
        other = reference.template.value if isinstance(reference.template, nodes.Const) else ""
        try:
            if other:
                return self._names(other)
            # Renderings are distinguished by the values that they use: those of an unknown template are unknown.
            what, hint = "the name of this template is computed", "write it out"
        except jinja2.TemplateNotFound:
            what, hint = f"there is no template {other!r}", ""
        raise InputError([Diagnostic(code="template", file=name, line=reference.lineno, message=what, hint=hint)])


def _loader(sources: Sources, package: jinja2.BaseLoader) -> jinja2.BaseLoader:
    texts = dict(_template_texts(sources))

    def load(name: str) -> tuple[str, str, Callable[[], bool]] | None:
        return (texts[name], name, lambda: True) if name in texts else None

    # Last: a layer of the package may include what one of the monorepo's stands before.
    return jinja2.ChoiceLoader([jinja2.FunctionLoader(load), package, jinja2.PackageLoader("imagematrix", "stock")])


def _template_texts(sources: Sources) -> Iterable[tuple[str, str]]:
    for layer in sources.layers.values():
        yield from templates_of(layer)
    yield from companion_templates(sources)


def _environment(loader: jinja2.BaseLoader, extensions: Sequence[type[Extension]] = ()) -> jinja2.Environment:
    return _Sandbox(
        loader=loader,
        extensions=extensions,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=-1,
        autoescape=False,  # Dockerfiles and shell, never HTML
    )


def _rendered(template: _Template, values: Mapping[str, object], row: Row) -> str:
    try:
        return template.compiled.render(values)
    except _RENDER_ERRORS as error:
        file, line = _place(error, template.name)
        message = str(error) or type(error).__name__
        if isinstance(error, RecursionError):
            message = "templates include or call one another endlessly"
        unknown = re.fullmatch(r"'(\w+)' is undefined", message)
        hint = did_you_mean(unknown[1], values) if unknown else ""
        code = "undefined" if isinstance(error, jinja2.UndefinedError) else "template"
        problem = Diagnostic(file=file, line=line, message=message, hint=hint, code=code, rows=(row.name,))
        raise InputError([problem]) from None


def _place(error: Exception, name: str) -> tuple[str, int]:
    """Return template and line of a render error: jinja2 puts them in the traceback, not in the text.

    For the package's macros, return the place that called them, because that is what can be corrected.
    """
    places = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith(TEMPLATE_SUFFIX)]
    frames = [frame for frame in places if not PurePath(frame.filename).is_absolute()] or places
    return (frames[-1].filename, frames[-1].lineno or 0) if frames else (name, 0)
