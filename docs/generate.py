"""Writes the reference pages of the site from the code: `conf.py` calls this before each build."""

import ast
import inspect
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from importlib import import_module, resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import jinja2

import imagematrix
from imagematrix import codes, errors
from imagematrix.commands.command import Command, Option
from imagematrix.compat import catalogue
from imagematrix.errors import ExitCode
from imagematrix.matrix import schema
from imagematrix.model import Verdict
from imagematrix.project import open_project
from imagematrix.report import document, graph, outputs
from imagematrix.repository import STOCK, Repository
from imagematrix.tasks import GROUPS
from imagematrix.text import documents

PACKAGE: Final = Path(imagematrix.__file__).parent
_MACRO: Final = re.compile(
    r"\{#-(?P<about>(?:(?!#\}).)*)-#\}\s*"
    r"\{% (?:macro (?P<macro>[a-z]\w*)\((?P<arguments>[^)]*)\)|set (?P<set>[a-z]\w*)\b)",
    re.DOTALL,
)
_CODES_OF_EXITS: Final[Mapping[ExitCode, str]] = {
    ExitCode.GOOD: "success",
    ExitCode.FAILED: "a build, a check, a push or a stage of a nightly run failed, or a report is incomplete",
    ExitCode.BAD_INPUT: "the command line or a file is wrong; nothing was written",
    ExitCode.NO_ENGINE: "no engine, cluster or package index answers",
    ExitCode.STALE: "committed files differ from what the matrix renders to (`--check`)",
    ExitCode.INTERRUPTED: "the command was interrupted; the same command continues",
}


_PICTURED: Final = {
    "matrix.toml": """\
schema = 1
[bases.debian12]
image  = "debian:12"
python = "3.11"
[families.python]
layers = ["python", "notebook"]
tag    = "{python}"
axes.base = ["debian12"]
[families.torch]
layers = ["python", "torch", "notebook"]
tag    = "{torch}"
axes   = { base = ["debian12"], torch = ["2.4.1", "2.5.1"] }
""",
    **{f"common/layers/{name}/Dockerfile.j2": "ENV LAYER=1\n" for name in ("python", "notebook")},
    "common/layers/torch/Dockerfile.j2": "ENV TORCH={{ torch }}\n",
}
"""The monorepo of the README's picture."""


def write(folder: Path) -> None:
    """Write all pages into a folder, and the pictures beside it; what has not changed keeps its time."""
    folder.mkdir(exist_ok=True)
    texts = {folder / f"{name}.md": text for name, text in pages().items()}
    drawn = {folder.parent / f"pictures/{name}.svg": text for name, text in pictures().items()}
    for path, text in {**texts, **drawn}.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def pictures() -> Mapping[str, str]:
    """Return the pictures that are committed, by name: that of the README, and those of concepts.md."""
    flow = import_module("pictures")
    return {"graph": _graph(), **{name: flow.svg(chains) for name, chains in flow.PICTURES.items()}}


def _graph() -> str:
    """Return three images as `graph` draws them, as on an engine that has the first one."""
    with TemporaryDirectory() as folder:
        for name, text in _PICTURED.items():
            (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / name).write_text(text, encoding="utf-8")
        project = open_project(f"{folder}/matrix.toml")
        made = project.plan(project.dag(project.leaves(project.matrix.rows)), ())
    steps = (
        replace(step, verdict=Verdict.REUSE if "python:3.11" in step.leaves else step.verdict) for step in made.steps
    )
    drawn = graph.svg(replace(made, steps=tuple(steps)))
    return re.sub(r"\s*<title>.*?</title>", "", drawn, flags=re.DOTALL)  # they name keys, which change with the package


def pages() -> Mapping[str, str]:
    """Return the text of each page, by name."""
    made = {
        "matrix": _matrix(),
        "commands": _commands(),
        "macros": _macros(),
        "settings": _settings(),
        "fixtures": _fixtures(),
        "catalogue": _catalogue(),
        "codes": _codes(),
        "schemas": _schemas(),
    }
    return {name: "\n".join(lines) + "\n" for name, lines in made.items()}


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    for row in (head, ["---"] * len([*head]), *rows):
        yield "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in row) + " |"
    yield ""


def _matrix() -> Iterator[str]:
    yield "# Keys of matrix.toml\n"
    yield "Made from the schema that editors use (`invoke schema`). `NAME` stands for a name of your own.\n"
    yield from _keys(json.loads(schema.text()), "")


def _keys(table: Mapping[str, Any], path: str) -> Iterator[str]:
    """Yield a section for a table of keys, then those of the tables in it."""
    found = {**table.get("properties", {}), **_named(table)}
    if found:
        yield f"## {f'`[{path}]`' if path else 'The top of the file'}\n"
        if path and table.get("description"):
            yield f"{table['description']}\n"
        required = table.get("required", ())
        rows = (
            (f"`{key}`", _kind(each), each.get("description", "") + (" Required." if key in required else ""))
            for key, each in found.items()
        )
        yield from _table(("key", "value", "meaning"), rows)
    for key, each in found.items():
        inner = each.get("items", each) if each.get("type") == "array" else each
        if isinstance(inner, dict) and (inner.get("properties") or _named(inner)):
            yield from _keys(inner, f"{path}.{key}" if path else key)


def _named(table: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what stands in a table under names of one's own."""
    patterns = [*table.get("patternProperties", {}).values()]
    more = table.get("additionalProperties")
    found = next((each for each in (*patterns, more) if isinstance(each, dict)), None)
    return {"NAME": found} if found else {}


def _kind(each: Mapping[str, Any]) -> str:
    if "enum" in each:
        return ", ".join(f"`{json.dumps(value)}`" for value in each["enum"])
    kinds = each.get("type", "")
    return " or ".join(kinds) if isinstance(kinds, list) else str(kinds)


def _commands() -> Iterator[str]:
    yield "# Commands and flags\n"
    yield "`imagematrix COMMAND`, or `invoke COMMAND` where a `tasks.py` has the collection. A flag that names a"
    yield "variable takes its value from there if it is not given. `--only` (a glob over `family:tag`) and `--group`"
    yield "select rows, `--file` names another matrix, `--json` prints [JSON](../json.md). All of them"
    yield "have the same [exit codes](codes.md#exit-codes).\n"
    for purpose, commands in GROUPS.items():
        yield f"## {purpose}\n"
        for command in commands:
            yield from _command(command)


def _command(command: Command) -> Iterator[str]:
    yield f"### {command.name}\n"
    yield f"{inspect.cleandoc(str(command.__doc__))}\n"
    rows = (
        (f"`{_flag(name, option)}`", option.help, option.environment and f"`{option.environment}`")
        for name, option in command.options.items()
    )
    yield from _table(("flag", "meaning", "variable"), rows)


def _flag(name: str, option: Option) -> str:
    if option.varargs:
        return f"{name.upper()} …"
    dashed = f"--{name.replace('_', '-')}"
    if option.kind is bool:
        return f"--[no-]{dashed[2:]}" if option.default else dashed
    value = {int: "N", list: "VALUE …"}.get(option.kind, "VALUE")
    return f"{dashed}[=VALUE]" if option.value_optional else f"{dashed} {value}"


def _macros() -> Iterator[str]:
    yield "# Macros of site.j2\n"
    yield 'A template of a layer begins with `{% import "site.j2" as site %}`.\n'
    text = resources.files("imagematrix").joinpath("templates/site.j2").read_text(encoding="utf-8")
    found = ((match["macro"], match["arguments"], match["set"], match["about"]) for match in _MACRO.finditer(text))
    rows = (
        (f"`site.{macro}({arguments})`" if macro else f"`site.{name}`", about)
        for macro, arguments, name, about in found
    )
    yield from _table(("name", "meaning"), rows)


def _settings() -> Iterator[str]:
    yield "# Settings of containers\n"
    yield "Environment variables of every container with the layer `boot`, then those of the services. An invalid value"
    yield "is reported in the log, and the container exits with status 64. Each image's README lists its own.\n"
    template = (STOCK / "common/layers/boot/files/settings.sh.j2").read_text(encoding="utf-8")
    own: Any = jinja2.Environment().from_string(template).make_module({"services": ()})  # noqa: S701  # no HTML
    head = ("variable", "kind", "default", "meaning")
    yield from _table(
        head,
        ((f"`{each['name']}`", each["kind"], _code(each["default"]), each["meaning"]) for each in own.own_settings),
    )
    for service in sorted(Repository(STOCK / "matrix.toml").common.sources().services, key=lambda each: each.name):
        yield f"## {service.name}\n"
        yield from _table(
            head, ((f"`{each.name}`", each.kind, _code(each.default), each.meaning) for each in service.settings)
        )


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _fixtures() -> Iterator[str]:
    yield "# Fixtures of checks\n"
    yield "What a check of a layer takes as arguments ([how to add a check](../checks.md)).\n"
    files = (PACKAGE / "verify/plugin.py", STOCK / "common/layers/fixtures.py")
    found = [node for path in files for node in ast.parse(path.read_text(encoding="utf-8")).body]
    fixtures = [node for node in found if isinstance(node, ast.FunctionDef) and node.name[0] != "_" and _scope(node)]
    rows = [(f"`{node.name}`", _scope(node), ast.get_docstring(node) or "") for node in fixtures]
    yield from _table(("fixture", "one for each", "meaning"), rows)


def _scope(function: ast.FunctionDef) -> str:
    """Return for what a fixture is made once; empty for other functions."""
    made = next((ast.unparse(each) for each in function.decorator_list if "pytest.fixture" in ast.unparse(each)), "")
    return {"session": "image", "module": "file of checks"}.get(
        made.partition("scope='")[2].partition("'")[0], "check" if made else ""
    )


def _catalogue() -> Iterator[str]:
    yield "# Facts of the catalogue\n"
    yield "What `check` judges versions by. [Which versions go together](../compat.md) says how rules use it, and how a"
    yield "monorepo corrects it.\n"
    for name in catalogue.names():
        data = catalogue.packaged(name)
        about = data["_meta"]
        yield f"## {name}\n"
        yield f"{about.get('subject', '')}. Its sources were last looked at on {about['collected']}.\n"
        parts = {part: facts for part, facts in data.items() if part != "_meta"}
        yield from _table(
            ("part", "entries"),
            (
                (f"`{part}`", str(len(facts)) if isinstance(facts, list | dict) else "1")
                for part, facts in parts.items()
            ),
        )
        notes = {key: value for key, value in about.items() if key not in {"subject", "collected"}}
        yield from _table(("of", "note"), ((f"`{key}`", str(value)) for key, value in notes.items()))


def _codes() -> Iterator[str]:
    yield "# Exit codes and codes of messages\n"
    yield "## Exit codes\n"
    yield from _table(("code", "means"), ((f"`{int(code)}`", means) for code, means in _CODES_OF_EXITS.items()))
    titles = {
        "How a command ends": codes.ENDS,
        "Files of a monorepo": codes.FILES,
        "Versions": codes.VERSIONS,
    }
    yield "## Codes of messages\n"
    yield "A code stands in brackets at the end of a message. `invoke explain CODE` prints the same. Findings"
    yield "of plugins have a name and no number.\n"
    for title, table in titles.items():
        yield f"## {title}\n"
        for name, code in sorted(table.items(), key=lambda each: each[1].number):
            exits = f" Exit code {int(getattr(errors, name).code)}." if table is codes.ENDS else ""
            yield f"### {code.id}\n"
            yield f"`{name}`: {code.meaning} {code.remedy}{exits}\n"


def _schemas() -> Iterator[str]:
    yield "# JSON Schema of the outputs\n"
    yield "For programs that check what they read; [JSON for other programs](../json.md) says what the fields mean.\n"
    kinds = {
        "list --json": outputs.RowsDocument,
        "plan --json": outputs.PlanDocument,
        "check --json": outputs.CheckDocument,
        "doctor --json": outputs.DoctorDocument,
        "export jobs": outputs.JobsDocument,
        "The message for chats": outputs.MessageDocument,
        "report.json": document.Document,
    }
    for title, kind in kinds.items():
        yield f"## {title}\n"
        yield "```json"
        yield json.dumps(documents.schema(kind), indent=1)
        yield "```\n"
