"""The JSON Schema of matrix.toml: that editors get the same grammar as the parser."""

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator
from tests.unit.test_matrix import GOOD, LAYERS, changed

from imagematrix import matrix
from imagematrix.cli import program
from imagematrix.errors import InputError
from imagematrix.matrix import declaration, family, folders, schema

ROOT: Final = Path(__file__).parents[2]
DOCUMENT: Final[Mapping[str, Any]] = json.loads(schema.text())
VALIDATOR: Final = Draft7Validator(DOCUMENT)

ALL: Final = """\
schema = 1
registry = "r.example.com/{python}"
nodes = "r.example.com/nodes"
compression = "zstd"
prefix = "team"
language = "de_DE.UTF-8"
timezone = "Europe/Berlin"
requires = ">=0"
platforms = ["linux/arm64", "linux/amd64"]

[signing]
public = "nodes.pub"
command = ["sign", "--key", "nodes"]

[site]
ca_bundle = "ca.pem"
index_url = "https://i.example.com/simple"
extra_index_urls = ["https://j.example.com/simple"]
trusted_hosts = ["i.example.com"]
wheelhouse = "wheels"
exclude_newer = "7 days"
exclude_newer_package = {torch = "1 day", numpy = false}
mirrors = {"docker.io" = "mirror.example.com/hub"}
network = "host"
workers = "tls://coordinator.example.com:8786"
emulates = ["linux/arm64"]

[sites.lab]
network = "none"

[sources]
app = "services/app"

[dockerfiles.app]
file = "services/app/Dockerfile"
context = "services"
target = "runtime"

[bases.cuda]
image = "nvidia/cuda:{cuda}"
cuda = "12.1.0"

[bases.deb]
bootstrap = "bookworm"

[destinations.art]
registry = ["swr.{region}.example.com/team", "mirror.example.com"]
max_size = "9.5 GB"
rules = ["max-size", "official-base"]
official_bases = ["swr.*"]
protected = ["/etc/ld.so.conf"]
required = ["/root/.bashrc"]
gpus = ["sm_80"]
region = "ap-1"

[families.pytorch]
layers = ["system"]
tag = "{torch}-{base}"
groups = ["gpu"]
destination = "art"
gpus = ["sm_80", "sm_90"]
promises = ["torch"]
platforms = ["linux/amd64", "linux/arm64"]
axes.base = ["cuda", "deb"]
axes.torch = ["2.3.0", "2.4.1"]
exclude = [{torch = "<2.4", base = "deb", reason = "x"}]
allow = [{torch = "2.4.1", reason = "y"}]
row = [
    {base = "cuda", torch = "2.0.0", allow = "z", gpus = ["sm_120"], platforms = ["linux/amd64"]},
    {base = "cuda", torch = "1.0.0", impossible = "gone"},
]

[families.plain]
layers = ["system"]
tag = "{python}"
base = "deb"
row = [{python = "3.11"}]

[facts.torch."2.4.1"]
torchvision = "0.19.1"

[facts.base.cuda]
python = "3.10"

[facts.base.deb]
python = "3.11"

[facts."linux/arm64".torch."2.4.1"]
torchvision = "0.19.0"
"""
"""Every key there is."""


def complaints(text: str) -> list[str]:
    """Return what an editor would say, each with its place."""
    errors = sorted(VALIDATOR.iter_errors(tomllib.loads(text)), key=lambda error: list(map(str, error.absolute_path)))
    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in errors]


def test_the_committed_copy_is_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """`invoke schema > matrix.schema.json` rewrites it."""
    program.run(["imagematrix", "schema"], exit=False)
    assert capsys.readouterr().out == (ROOT / "matrix.schema.json").read_text(encoding="utf-8")


def test_the_committed_matrix() -> None:
    """Names its schema, and obeys it."""
    text = (ROOT / "matrix.toml").read_text(encoding="utf-8")
    assert text.startswith("#:schema ./matrix.schema.json\n")
    assert complaints(text) == []


def test_every_key() -> None:
    """Is accepted by both, and is a valid schema's."""
    Draft7Validator.check_schema(dict(DOCUMENT))
    assert complaints(ALL) == []
    assert len(matrix.parse(ALL, layers=LAYERS).rows) == 11


def test_the_keys_are_those_of_the_parser() -> None:
    """No more, no fewer; ALL has every one of them, so that the test above speaks of all."""
    written = tomllib.loads(ALL)
    of_family = {key for table in written["families"].values() for key in table}
    for keys, table, used in (
        (declaration.KEYS, DOCUMENT, written),
        (declaration.SITE_KEYS, _of("site"), written["site"]),
        (declaration.SITE_KEYS, _named("sites"), written["site"]),
        (declaration.SIGNING_KEYS, _of("signing"), {"key", *written["signing"]}),  # a key, or a command
        (folders.DOCKERFILE_KEYS, _named("dockerfiles"), written["dockerfiles"]["app"]),
        (declaration.BASE_KEYS, _named("bases"), {**written["bases"]["cuda"], **written["bases"]["deb"]}),
        (declaration.DESTINATION_KEYS, _named("destinations"), written["destinations"]["art"]),
        (family.KEYS, _named("families"), of_family),
        (
            family.ROW_KEYS,
            _named("families")["properties"]["row"]["items"],
            {"allow", "impossible", "gpus", "platforms"},
        ),
        ((family.REASON,), _named("families")["properties"]["allow"]["items"], {"reason"}),
        ((family.REASON,), _named("families")["properties"]["exclude"]["items"], {"reason"}),
    ):
        assert table["properties"].keys() == set(keys)
        assert set(keys) <= set(used)


def test_every_key_is_described() -> None:
    """Editors show it."""
    assert [place for place, each in _schemas(DOCUMENT, "") if not each.get("description")] == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("registry =", "registy ="), ": Additional properties are not allowed ('registy' was unexpected)"),
        (("groups =", "group ="), "families.pytorch: Additional properties are not allowed ('group' was unexpected)"),
        (('python = "3.10"', "python = 3.10"), "bases.cuda121.python: 3.1 is not of type 'string'"),
        (('"2.4.1", "2.5.1"]', '"2.4.1", 2]'), "families.pytorch.axes.torch.1: 2 is not of type 'string'"),
        (('torch = "2.3.0"', "torch = 2"), "families.pytorch.row.0.torch: 2 is not of type 'string'"),
        (('torch = "<2.5"', "torch = 2.5"), "families.pytorch.exclude.0.torch: 2.5 is not of type 'string'"),
        (('"4.4.1"', "4"), "facts.python.3.13.jupyterlab: 4 is not of type 'string'"),
        (
            ('[facts.python."3.13"]', "[facts.python.3.13]"),
            "facts.python.3: '13' does not match any of the regexes: '^[A-Za-z_][A-Za-z0-9_]*$'",
        ),
        (('layers = ["system", "python", "torch", "boot"]', ""), "families.pytorch: 'layers' is a required property"),
        (('tag = "{torch}-python{python}-{base}"', ""), "families.pytorch: 'tag' is a dependency of 'axes'"),
        (('["system", "python", "torch", "boot"]', "[]"), "families.pytorch.layers: [] should be non-empty"),
        (
            ('"boot"]', '"torch"]'),
            "families.pytorch.layers: ['system', 'python', 'torch', 'torch'] has non-unique elements",
        ),
        (('reason = "no cp313 wheel before 2.5.0"', ""), "families.pytorch.exclude.0: 'reason' is a required property"),
        (
            ('torch = "2.3.0"', 'torch = "2.3.0"\nimpossible = ""'),
            "families.pytorch.row.0.impossible: '' should be non-empty",
        ),
        (
            ("[bases.debian13]", "[bases.Debian13]"),
            "bases: 'Debian13' does not match any of the regexes: '^(?:[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)$'",
        ),
        (("schema = 1", "schema = 2"), "schema: 2 is not one of [1]"),
        (
            ("schema = 1\n", 'schema = 1\nplatforms = ["amd64"]\n'),
            "platforms.0: 'amd64' does not match '^(?:[a-z0-9]+/[a-z0-9_]+(?:/[a-z0-9.]+)?)$'",
        ),
        (
            ("schema = 1\n", 'schema = 1\nsite.network = "bridge"\n'),
            "site.network: 'bridge' is not one of ['', 'host', 'none']",
        ),
        (
            ("schema = 1\n", 'schema = 1\ndestinations.a.max_size = "big"\n'),
            (
                "destinations.a.max_size: 'big' does not match"
                " '^(?:([0-9]+(?:\\\\.[0-9]+)?) *(?:([KMGTkmgt])([Ii]?))?[Bb])$'"
            ),
        ),
    ],
)
def test_a_mistake_is_marked(change: tuple[str, str], complaint: str) -> None:
    """In the place where it is, once."""
    assert complaints(changed(change)) == [complaint]


@pytest.mark.parametrize(
    "change",
    [
        ('bootstrap = "trixie"', ""),
        ('bootstrap = "trixie"', 'bootstrap = "trixie"\nimage = "debian"'),
        ('torch = "2.3.0"', 'torch = "2.3.0"\nimpossible = "x"\nallow = "y"'),
        ('"2.5.1"]\n\n[[f', '"2.5.1"]\nimpossible = ["x"]\n\n[[f'),
        ('python = "3.13"\ntorch = "<2.5"\nreason', "reason"),
        ('"{torch}-python{python}-{base}"', '""'),
        ('cuda = "12.1"', 'cuda-version = "12.1"'),
    ],
)
def test_what_has_no_good_words(change: tuple[str, str]) -> None:
    """Is marked all the same."""
    assert complaints(changed(change)) != []


@given(st.integers(0, len(ALL)), st.integers(0, 12), st.sampled_from(["", "1", '"x"', "[", "]", "\n", "{}", "= ", "x"]))
def test_what_the_parser_accepts_the_schema_does(start: int, length: int, inserted: str) -> None:
    """An editor marks nothing that is right."""
    text = ALL[:start] + inserted + ALL[start + length :]
    try:
        matrix.parse(text, layers=LAYERS)
    except InputError:
        return
    assert complaints(text) == []


def test_the_good_matrix_of_the_parsers_tests() -> None:
    assert complaints(GOOD) == []


def _of(key: str) -> Mapping[str, Any]:
    table: Mapping[str, Any] = DOCUMENT["properties"][key]
    return table


def _named(key: str) -> Mapping[str, Any]:
    """Return the schema of the tables that stand under names of their own."""
    (table,) = _of(key)["patternProperties"].values()
    return table  # type: ignore[no-any-return]


def _schemas(table: Mapping[str, Any], place: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield place, table
    children = {**table.get("properties", {}), **table.get("patternProperties", {})}
    for extra in ("items", "additionalProperties"):
        if table.get(extra):
            children[extra] = table[extra]
    for key, child in children.items():
        yield from _schemas(child, f"{place}/{key}")
