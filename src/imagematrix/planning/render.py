"""Rows and templates in, leaves in memory out: the only home of jinja2.

A template sees the values of its row (axes and facts, all strings) and nothing else. What it renders to
depends only on the values it names, so each distinct rendering is made once and shared by all its rows:
the DAG falls out of that.
"""

import re
import traceback
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import PurePath
from typing import Final, TypeAlias

import jinja2
import jinja2.sandbox
from jinja2 import meta, nodes
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream

from imagematrix import compat
from imagematrix.compat import Bound, Finding, bounds
from imagematrix.errors import Collector, InputError, Problem, did_you_mean
from imagematrix.model import BASE_LAYER, EPOCH, WHEELHOUSE, File, LayerSource, Leaf, Row, Sources, Stage
from imagematrix.planning import demands, dockerfile, requirements
from imagematrix.planning.requirements import Chain, Locked, Question, Requirements
from imagematrix.text.versions import exact

_LEAF_TEMPLATES: Final = "leaf/"
_TEMPLATE_SUFFIX: Final = ".j2"
_SECTION: Final = "README.md"
"""What a layer has to say in the README of each leaf that has it: a file of this name, or a template of it."""
_SECTION_TEMPLATE: Final = f"/files/{_SECTION}{_TEMPLATE_SUFFIX}"
_PRINTED: Final = frozenset({"image", "tag"})
"""What our own templates of a leaf print as it is, whatever it is."""
_LANGUAGE: Final = "LC_ALL=C.UTF-8 LANGUAGE=C"
"""English, whatever language the image is for: reasons and flakes are recognized by what tools say. An ARG is in the
environment of each step after it, even over an ENV of the base, and never in that of the image."""
_ENTRYPOINT: Final = re.compile(r"^[ \t]*ENTRYPOINT\s", re.MULTILINE | re.IGNORECASE)
"""What stands after an image's name is given to this program, and takes no command's place."""
_MARK: Final = re.compile("\x00([^\x01]*)\x01(\\d+)\x02")
_MARKS: Final = re.compile(f"(?:{_MARK.pattern})+")
_Reference: TypeAlias = nodes.Import | nodes.FromImport | nodes.Include | nodes.Extends
_REFERENCES: Final[tuple[type[_Reference], ...]] = (nodes.Import, nodes.FromImport, nodes.Include, nodes.Extends)
_COMPILED: Final = re.compile(r"""\bsite\.compile\(\s*\w+\s*,\s*["']([\w.-]+)|--no-binary[ =]([\w.-]+)""")
_RENDER_ERRORS: Final = (
    *(jinja2.TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError),
    *(RecursionError, MemoryError),
)
"""Its own errors, and those of the Python that an expression comes down to."""
_LONGEST: Final = 1 << 20
"""What an operator may make: templates are small, and a checkout that nobody has read yet must not fill the memory."""


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


class Renderer:
    """Renders rows against one set of sources; remembers every distinct rendering."""

    def __init__(self, sources: Sources, *, locks: Mapping[str, str], platform: str) -> None:
        self._sources = sources
        self._locks = locks
        self._platform = platform
        self._locking = {name: file for name, source in sources.layers.items() if (file := _locked_file(source))}
        self._demanding = {name for name, source in sources.layers.items() if demands.may_demand(source.template)}
        self._chains: dict[Chain, tuple[tuple[Locked, ...], Question | None]] = {}
        self._followed: dict[Hashable, tuple[tuple[Locked, ...], Question | None]] = {}
        self._taken: dict[Hashable, Mapping[str, str]] = {}
        self._faults: dict[Hashable, tuple[Problem, ...]] = {}
        self._reading: dict[Hashable, tuple[str, ...]] = {}
        package = jinja2.PackageLoader("imagematrix", "templates")
        self._loader = _loader(sources, package)
        self._environment = _environment(self._loader)
        self._leaf_templates = [name for name in package.list_templates() if name.startswith(_LEAF_TEMPLATES)]
        self._templates: dict[str, _Template] = {}
        self._texts: dict[tuple[str, tuple[str | None, ...]], str] = {}
        self._stages: dict[tuple[object, ...], Stage] = {}
        self._layer_files: dict[tuple[str, tuple[str, ...], tuple[str, ...]], tuple[File, ...]] = {}
        self._sound: set[tuple[str, str, str, tuple[File, ...]]] = set()
        """Layers whose instructions are good: name, parent, rendering, files."""
        self._given: dict[str, tuple[bool, str]] = {}
        self._named: dict[str, set[str]] = {}
        self._memo: dict[tuple[object, ...], Stage] = {}
        self._demands_of: dict[str, tuple[str, ...]] = {}

    def leaf(self, row: Row) -> Leaf:
        """Render the stages of a row. Raises InputError naming template, line and row."""
        layers, found = row.family.layers, Collector()
        found.attempt(lambda: self._refuse_unlocked(row))
        stages = tuple(
            found.attempt(partial(self._stage, row, layer=layer, parent=parent, last=layer == layers[-1]))
            for layer, parent in zip(layers, ("${BASE_IMAGE}", *layers), strict=False)
        )
        bootstrap = found.attempt(lambda: self._bootstrap(row))
        if found.problems:
            raise InputError(found.problems)
        return Leaf(row=row, base_image=_base_image(row), bootstrap=bootstrap, stages=tuple(filter(None, stages)))

    def faults(self, row: Row) -> tuple[Problem, ...]:
        """Return what keeps the files of a row from being rendered, as `leaf` and `files` raise it.

        Neither is made for each row: a part of it is tried once for all rows that agree on the values that it reads.
        """
        layers, values = row.family.layers, self._values(row)
        found, locks = [*_raised(lambda: self._refuse_unlocked(row))], self._locks_of(row)
        for layer, parent in zip(layers, ("${BASE_IMAGE}", *layers), strict=False):
            part = (layer, parent, locks.get(layer), *self._seen((layer,), values))
            found += self._tried(part, partial(self._stage, row, layer=layer, parent=parent, last=layer == layers[-1]))
        found += _raised(lambda: self._bootstrap(row))
        if not found:
            found += self._tried(self._beside(row, values), lambda: self.files(self.leaf(row)))
        return tuple(dict.fromkeys(replace(each, rows=(row.name,)) if each.rows else each for each in found))

    def _beside(self, row: Row, values: Mapping[str, object]) -> Hashable:
        """Return all that may keep what stands beside a row's Dockerfile from being rendered."""
        layers = row.family.layers
        seen = self._seen_beside(layers, values)
        return (_LEAF_TEMPLATES, layers, _base_image(row), row.base.bootstrap, compat.cuda_of(row.values), *seen)

    def _tried(self, part: Hashable, attempt: Callable[[], object]) -> tuple[Problem, ...]:
        known = self._faults.get(part)
        if known is None:
            known = self._faults[part] = _raised(attempt)
        return known

    def _locks_of(self, row: Row) -> Mapping[str, Hashable]:
        """Return what tells the locks of a row's layers apart; where there can be none, the reasons."""
        try:
            return {locked.layer: locked.path for locked in self._follow(row)[0]}
        except InputError as error:
            return dict.fromkeys(row.family.layers, tuple(replace(problem, rows=()) for problem in error.problems))

    def _seen(self, layers: tuple[str, ...], values: Mapping[str, object]) -> tuple[object, ...]:
        """Return the values that the templates of some layers read."""
        return tuple(map(values.get, self._read_by(layers)))

    def _seen_beside(self, layers: tuple[str, ...], values: Mapping[str, object]) -> tuple[object, ...]:
        """Return the values that may keep what stands beside a Dockerfile from being rendered."""
        known = self._reading.get((_LEAF_TEMPLATES, layers))
        if known is None:
            own = self._names_of(self._leaf_templates) - _PRINTED
            sections = [
                file for layer in layers for file in self._templates_in(layer) if file.endswith(_SECTION_TEMPLATE)
            ]
            known = self._reading[_LEAF_TEMPLATES, layers] = tuple(sorted(own | self._names_of(sections)))
        return tuple(map(values.get, known))

    def _read_by(self, layers: tuple[str, ...]) -> tuple[str, ...]:
        """Return the names of the values that the templates of some layers read; those that are none read nothing."""
        known = self._reading.get(layers)
        if known is None:
            files = (file for layer in layers for file in self._templates_in(layer))
            known = self._reading[layers] = tuple(sorted(self._names_of(files)))
        return known

    def _templates_in(self, layer: str) -> Iterable[str]:
        return (name for name, _ in _templates_of(self._sources.layers[layer]))

    def _names_of(self, templates: Iterable[str]) -> frozenset[str]:
        """Return the names that templates read, as far as they can be compiled: whoever renders the others tells."""
        found = Collector()
        compiled = [found.attempt(partial(self._template, name)) for name in templates]
        return frozenset(name for each in compiled if each for name in each.names)

    def files(self, leaf: Leaf) -> tuple[File, ...]:
        """Return every file of a leaf's directory, sorted by path."""
        row = leaf.row
        files = [File(path="Dockerfile", content=leaf.dockerfile.encode())]
        if any(file in self._sources.init for stage in leaf.stages for file in stage.inputs):
            files += self._sources.init
        for layer in row.family.layers:
            files += self._files_of(layer, row)
        if leaf.bootstrap:
            files += leaf.bootstrap.inputs
        files += self._companions(leaf)
        return tuple(sorted(files, key=lambda file: file.path))

    def chain(self, row: Row) -> Chain:
        """Render what a row requires of the package index, of the layers that are installed from a lock."""
        layers = tuple(self._requirements(layer, row) for layer in row.family.layers if layer in self._locking)
        if not layers:
            return Chain(python="", platform="", layers=())
        file = layers[0].file
        return Chain(
            python=_locked_for("python", row, file=file),
            platform=self._uv_platform(row, file=file),
            layers=layers,
            bounds=_bounds(row, layers),
        )

    def locked(self, row: Row) -> tuple[Locked, ...]:
        """Return the locks that a row's layers are installed from, as far as they are there."""
        return self._follow(row)[0]

    def reads(self, layers: Iterable[str]) -> frozenset[str]:
        """Return the names of all values that the templates of some layers, and of each leaf, may ask for."""
        sources = [self._sources.layers[layer] for layer in layers]
        templates = [name for source in sources for name, _ in _templates_of(source)]
        return frozenset(each for name in (*templates, *self._leaf_templates) for each in self._template(name).names)

    def findings(self, row: Row) -> tuple[Finding, ...]:
        """Return what is known of a row, and of what its layers take from its base."""
        return compat.findings(row, demands=self.demands(row))

    def demands(self, row: Row) -> Mapping[str, str]:
        """Return what the stages of a row take from its base, by what rules call it: the names of the layers."""
        layers = tuple(layer for layer in row.family.layers if layer in self._demanding)
        asked = (row.family.layers, *self._seen(layers, self._values(row)))
        known = self._taken.get(asked)
        if known is None:
            known = self._taken[asked] = self._takers(row)
        return known

    def _takers(self, row: Row) -> Mapping[str, str]:
        layers = row.family.layers
        takers: dict[str, list[str]] = {}
        has_python = False
        for layer, parent in zip(layers, ("${BASE_IMAGE}", *layers), strict=False):
            source = self._sources.layers[layer]
            if layer not in self._demanding:
                continue
            try:
                text = self._render(self._template(source.template_path), row, layer=layer, parent=parent)
            except InputError:  # whoever renders it tells
                continue
            for demand in self._demanded(text):
                if demand != demands.BASE_PYTHON or not has_python:
                    takers.setdefault(demand, []).append(layer)
            has_python = has_python or demands.sets_path(text)
        return {demand: " ".join(names) for demand, names in takers.items()}

    def _demanded(self, text: str) -> tuple[str, ...]:
        known = self._demands_of.get(text)
        if known is None:
            known = self._demands_of[text] = tuple(demands.taken(text))
        return known

    def suits(self, row: Row) -> bool:
        """Whether a row has all that the templates of its layers want, and can be locked and built."""
        if any(finding.severity.is_error for finding in self.findings(row)):
            return False
        try:
            self.chain(row)
            for layer in row.family.layers:
                for name, _ in _templates_of(self._sources.layers[layer]):
                    # What a leaf's README may ask for too: a section of it is a template of its layer.
                    self._render(self._template(name), row, layer=layer, parent="", layers=row.family.layers)
        except InputError:
            return False
        return True

    def _requirements(self, layer: str, row: Row) -> Requirements:
        source, file = self._sources.layers[layer], self._locking[layer]
        name = _file_template(source.template_path, file)
        text = self._text(source, file, row)
        return Requirements(layer=layer, text=text, file=name, compiled=_compiled(source.template))

    def _text(self, source: LayerSource, file: File, row: Row, **extra: object) -> str:
        """Return a layer's file as text, rendered if it is a template."""
        name = _file_template(source.template_path, file)
        if name.endswith(_TEMPLATE_SUFFIX):
            return self._render(self._template(name), row, layer=source.name, **extra)
        return _decoded(name, file.content)

    def _uv_platform(self, row: Row, *, file: str) -> str:
        system = _locked_for("os", row, file=file)
        found = requirements.platform(self._platform, system)
        if not found:
            what = f"requirements cannot be locked for os {system!r} on {self._platform}"
            hint = did_you_mean(system, requirements.systems())
            raise InputError([Problem(file=file, line=0, what=what, hint=hint, code="unlockable", rows=(row.name,))])
        return found

    def _follow(self, row: Row) -> tuple[tuple[Locked, ...], Question | None]:
        if self._locking.keys().isdisjoint(row.family.layers):
            return (), None
        layers = tuple(layer for layer in row.family.layers if layer in self._locking)
        asked = (
            compat.subject(row),
            row.values.get("python"),
            row.values.get("os"),
            *self._seen(layers, self._values(row)),
        )
        known = self._followed.get(asked)
        if known is None:
            chain = self.chain(row)
            known = self._followed[asked] = self._chains.get(chain) or requirements.follow(chain, self._locks)
            self._chains[chain] = known
        return known

    def _refuse_unlocked(self, row: Row) -> None:
        _, question = self._follow(row)
        if question:
            layer = question.asker.layer
            what = f"requirements of layer {layer} are not locked for Python {question.python}"
            hint, file = "run `invoke lock`", question.asker.file
            raise InputError([Problem(file=file, line=0, what=what, hint=hint, code="unlocked", rows=(row.name,))])

    def _stage(self, row: Row, *, layer: str, parent: str, last: bool) -> Stage:
        template = self._template(self._sources.layers[layer].template_path)
        body = self._render(template, row, layer=layer, parent=parent)
        is_fetched, arguments = self._arguments(body)
        text = f"FROM {parent} AS {layer}\n{arguments}{body.strip()}\n" + (_labels(row) if last else "")
        files = self._files_of(layer, row)
        known = self._memo.get((layer, text, files))
        if known:
            return known
        if (layer, parent, body, files) not in self._sound:
            self._refuse_faults(template, body, row, layer=layer, parent=parent)
            self._sound.add((layer, parent, body, files))
        return self._intern(layer=layer, text=text, files=files, network=is_fetched)

    def _arguments(self, body: str) -> tuple[bool, str]:
        """Return whether a stage fetches anything, and what its steps find in their environment, not its image."""
        known = self._given.get(body)
        if known is None:
            is_fetched = dockerfile.downloads(body)
            language = f"ARG {_LANGUAGE}\n" if dockerfile.runs(body) else ""
            known = self._given[body] = (is_fetched, language + (f"ARG {EPOCH}\n" if is_fetched else ""))
        return known

    def _refuse_faults(self, template: _Template, body: str, row: Row, *, layer: str, parent: str) -> None:
        """Raise InputError for instructions that a layer must not have, or that copy what is not there."""
        faults = [*dockerfile.faults(body, stages=(parent, WHEELHOUSE)), *self._unfound(body, layer, row)]
        if faults:
            places = self._trace(template, body, self._values(row, layer=layer, parent=parent))
            raise InputError(
                Problem(file=file, line=line, what=each.what, hint=each.hint, code=each.code, rows=(row.name,))
                for each in faults
                for file, line in [places[each.line - 1]]
            )

    def _unfound(self, body: str, layer: str, row: Row) -> Iterable[dockerfile.Fault]:
        """Yield the sources that are not in the leaf; of a lock that is not there yet, whoever asks for it says so."""
        tree = (*self._files_of(layer, row), *self._sources.init)
        expected = f"{layer}/{requirements.LOCK}" if layer in self._locking else ""
        for line, path in dockerfile.sources(body):
            if path != expected and not any(_within(file.path, path) for file in tree):
                what = f"stage copies {path!r}, which is not in the leaf"
                hint = did_you_mean(path, [file.path for file in tree])
                yield dockerfile.Fault(line=line, code="missing_source", what=what, hint=hint)

    def _trace(self, template: _Template, body: str, values: Mapping[str, object]) -> list[tuple[str, int]]:
        """Return where each line of a rendering comes from: a template of a layer, and the line there."""
        marking = _environment(self._loader, extensions=[_Marking])
        marked = marking.get_template(template.name).render(values).split("\n")
        own = {name for name, _ in _template_texts(self._sources)}
        if "\n".join(_MARK.sub("", line) for line in marked) != body:  # a filter that minds the marks
            return [(template.name, 0)] * len(marked)
        places, place = [], (template.name, 1)
        for line in marked:
            start = _MARKS.match(line)
            ahead = [(match[1], int(match[2])) for match in _MARK.finditer(start[0] if start else "")]
            place = next((each for each in reversed(ahead) if each[0] in own), place)
            places.append(place)
            behind = [(match[1], int(match[2])) for match in _MARK.finditer(line)]
            place = next((each for each in reversed(behind) if each[0] in own), place)
        return places

    def _intern(self, *, layer: str, text: str, files: tuple[File, ...], network: bool) -> Stage:
        inputs = self._inputs(text, files)
        made = Stage(layer=layer, text=text, inputs=inputs, network=network)
        # Files that the stage does not read must not keep two equal stages apart.
        stage = self._stages.setdefault((layer, text, inputs), made)
        self._memo[layer, text, files] = stage
        return stage

    def _inputs(self, text: str, files: tuple[File, ...]) -> tuple[File, ...]:
        paths, tree = dockerfile.context_paths(text), (*files, *self._sources.init)
        chosen = {file for file in tree for path in paths if _within(file.path, path)}
        return tuple(sorted(chosen, key=lambda file: file.path))

    def _files_of(self, layer: str, row: Row) -> tuple[File, ...]:
        source = self._sources.layers[layer]
        rendered = tuple(
            self._render(self._template(_file_template(source.template_path, file)), row, layer=layer)
            for file in source.files
            if file.path.endswith(_TEMPLATE_SUFFIX) and not _is_section(file)
        )
        locks = tuple(locked.installed for locked in self._follow(row)[0] if locked.layer == layer)
        known = self._layer_files.get((layer, rendered, locks))
        if known is None:
            texts = iter(rendered)
            known = tuple(_placed(layer, file, texts.__next__) for file in source.files if not _is_section(file))
            _refuse_twins(source, known)
            known += tuple(File(path=f"{layer}/{requirements.LOCK}", content=text.encode()) for text in locks)
            self._layer_files[layer, rendered, locks] = known
        return known

    def _bootstrap(self, row: Row) -> Stage | None:
        suite = row.base.bootstrap
        if not suite:
            return None
        script = self._sources.bootstrap
        if script is None:
            problem = f"base {row.base.name!r} is bootstrapped, but there is no common/bootstrap/debian.sh"
            raise InputError([Problem(file="common/bootstrap", line=0, what=problem)])
        made = Stage(layer=BASE_LAYER, text=suite, inputs=(script,), network=True)
        return self._stages.setdefault((BASE_LAYER, suite), made)

    def _companions(self, leaf: Leaf) -> Iterable[File]:
        """Yield what stands beside the Dockerfile: how to build the leaf alone, how to run it, what it is."""
        extra = {
            "image": leaf.row.image,
            "base_image": leaf.base_image,
            "bootstrap": leaf.row.base.bootstrap,
            "layers": leaf.row.family.layers,
            "cuda_use": compat.cuda_of(leaf.row.values),
            "entrypoint": any(_ENTRYPOINT.search(stage.text) for stage in leaf.stages),
            "sections": tuple(self._sections(leaf.row)),
        }
        for name in self._leaf_templates:
            text = self._render(self._template(name), leaf.row, **extra)
            if not text:  # an example for images of another kind
                continue
            path = name.removeprefix(_LEAF_TEMPLATES).removesuffix(_TEMPLATE_SUFFIX)
            yield File(path=path, content=text.encode(), executable=text.startswith("#!"))

    def _sections(self, row: Row) -> Iterable[str]:
        for layer in row.family.layers:
            source = self._sources.layers[layer]
            for file in filter(_is_section, source.files):
                yield self._text(source, file, row, layers=row.family.layers).strip()

    def _template(self, name: str) -> _Template:
        known = self._templates.get(name)
        if known is None:
            known = self._templates[name] = self._compile(name)
        return known

    def _compile(self, name: str) -> _Template:
        try:
            return _Template(name, self._environment.get_template(name), tuple(sorted(self._names(name))))
        except jinja2.TemplateSyntaxError as error:
            problem = Problem(file=error.filename or name, line=error.lineno, what=error.message or "syntax error")
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
            # Renderings are told apart by the values that they use: those of an unknown template are unknown.
            what, hint = "the name of this template is computed", "write it out"
        except jinja2.TemplateNotFound:
            what, hint = f"there is no template {other!r}", ""
        raise InputError([Problem(file=name, line=reference.lineno, what=what, hint=hint)])

    def _values(self, row: Row, **extra: object) -> dict[str, object]:
        return {
            **row.values,
            "family": row.family.name,
            "tag": row.tag,
            "driver_requirement": compat.driver_requirement(row.values),
            "torch_local": compat.local_version(row.values),
            **extra,
        }

    def _render(self, template: _Template, row: Row, **extra: object) -> str:
        """Render with a row's values; renderings are shared by all rows that agree on the names used."""
        values = self._values(row, **extra)
        seen = tuple(values.get(name) for name in template.names)
        text = self._texts.get((template.name, seen))  # type: ignore[arg-type]
        if text is None:
            text = self._texts[template.name, seen] = _rendered(template, values, row)  # type: ignore[index]
        return text


def _raised(attempt: Callable[[], object]) -> tuple[Problem, ...]:
    """Return the problems that an attempt raises."""
    try:
        attempt()
    except InputError as error:
        return tuple(error.problems)
    return ()


def _loader(sources: Sources, package: jinja2.BaseLoader) -> jinja2.BaseLoader:
    texts = dict(_template_texts(sources))

    def load(name: str) -> tuple[str, str, Callable[[], bool]] | None:
        return (texts[name], name, lambda: True) if name in texts else None

    return jinja2.ChoiceLoader([jinja2.FunctionLoader(load), package])


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


def _template_texts(sources: Sources) -> Iterable[tuple[str, str]]:
    for layer in sources.layers.values():
        yield from _templates_of(layer)


def _templates_of(layer: LayerSource) -> Iterable[tuple[str, str]]:
    yield layer.template_path, layer.template
    for file in layer.files:
        if file.path.endswith(_TEMPLATE_SUFFIX):
            name = _file_template(layer.template_path, file)
            yield name, _decoded(name, file.content)


def _is_section(file: File) -> bool:
    return file.path.removesuffix(_TEMPLATE_SUFFIX) == _SECTION


def _decoded(name: str, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise InputError([Problem(file=name, line=0, what=f"is not UTF-8: {error}")]) from None


def _file_template(template_path: str, file: File) -> str:
    return f"{template_path.rpartition('/')[0]}/files/{file.path}"


def _placed(layer: str, file: File, next_text: Callable[[], str]) -> File:
    """Return a layer's file as it lies in the leaf: under the layer's name, rendered if it is a template."""
    path = f"{layer}/{file.path}"
    if not path.endswith(_TEMPLATE_SUFFIX):
        return File(path=path, content=file.content, executable=file.executable)
    return File(path=path.removesuffix(_TEMPLATE_SUFFIX), content=next_text().encode(), executable=file.executable)


def _locked_file(source: LayerSource) -> File | None:
    """Return the requirements of a layer that is installed from a lock of ours: one that names it."""
    own = {file.path: file for file in source.files}
    if requirements.LOCK in own or not _names_lock(source):
        return None
    return next((own[name] for name in requirements.FILES if name in own), None)


def _names_lock(source: LayerSource) -> bool:
    """Whether a template names its layer's lock, or has a macro of `site.j2` name it."""
    by_macro = rf"""\bsite\.\w+\(\s*["']{re.escape(source.name)}["']"""
    named = f"{source.name}/{requirements.LOCK}"
    return named in source.template or re.search(by_macro, source.template) is not None


@lru_cache(maxsize=256)
def _compiled(template: str) -> frozenset[str]:
    """Return the packages that a layer's template compiles, by the macro of `site.j2` or by itself."""
    return frozenset(name for names in _COMPILED.findall(template) for name in names if name)


def _bounds(row: Row, layers: Iterable[Requirements]) -> tuple[Bound, ...]:
    """Return the bounds that a row is resolved with."""
    asked = tuple(statement for layer in layers for statement in bounds.required(layer.text))
    exactly = {each.package: version for each in asked if (version := exact(each.condition))}
    statements = (*bounds.stated(row.values), *asked)
    return bounds.constraining({**exactly, **row.values}, statements, allowed=bool(compat.reasons(row)))


def _locked_for(name: str, row: Row, *, file: str) -> str:
    if name not in row.values:
        what = f"requirements are locked for the {name!r} of a row, and this one has none"
        raise InputError([Problem(file=file, line=0, what=what, code="unlockable", rows=(row.name,))])
    return row.values[name]


def _refuse_twins(source: LayerSource, placed: Iterable[File]) -> None:
    """Raise InputError for files that come to lie at one path: `x` beside `x.j2`."""
    folder = source.template_path.rpartition("/")[0]
    paths = [file.path.partition("/")[2] for file in placed]
    twins = {path for path in paths if paths.count(path) > 1}
    if twins:
        what = f"stands beside its own template {_TEMPLATE_SUFFIX}"
        raise InputError(
            Problem(file=f"{folder}/files/{path}", line=0, what=what, hint="delete one of the two") for path in twins
        )


def _within(path: str, folder: str) -> bool:
    return folder in (".", path) or path.startswith(f"{folder}/")


def _base_image(row: Row) -> str:
    return row.base.image or f"imagematrix/base:{row.base.bootstrap}"


def _labels(row: Row) -> str:
    labels = {
        "imagematrix.row": row.name,
        "org.opencontainers.image.base.name": _base_image(row),
        "org.opencontainers.image.title": row.family.name,
        "org.opencontainers.image.version": row.tag,
    }
    return "LABEL " + " \\\n      ".join(f'{name}="{value}"' for name, value in labels.items()) + "\n"


def _rendered(template: _Template, values: Mapping[str, object], row: Row) -> str:
    try:
        return template.compiled.render(values)
    except _RENDER_ERRORS as error:
        file, line = _place(error, template.name)
        message = str(error) or type(error).__name__
        if isinstance(error, RecursionError):
            message = "templates include or call one another without end"
        unknown = re.fullmatch(r"'(\w+)' is undefined", message)
        hint = did_you_mean(unknown[1], values) if unknown else ""
        code = "undefined" if isinstance(error, jinja2.UndefinedError) else "template"
        problem = Problem(file=file, line=line, what=message, hint=hint, code=code, rows=(row.name,))
        raise InputError([problem]) from None


def _place(error: Exception, name: str) -> tuple[str, int]:
    """Return template and line of a render error: jinja2 puts them in the traceback, not in the text.

    Of the macros that come with us, the place that called them: it is there that something can be mended.
    """
    places = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith(_TEMPLATE_SUFFIX)]
    frames = [frame for frame in places if not PurePath(frame.filename).is_absolute()] or places
    return (frames[-1].filename, frames[-1].lineno or 0) if frames else (name, 0)
