"""The JSON Schema of matrix.toml, for editors: completion, help on each key, mistakes marked as one types.

It says less than `parse`, which knows layers, bases and rows, but never refuses what that accepts. Draft 7 without
references: taplo, which most TOML editors run, validates that and shows the descriptions.
"""

import json
from collections.abc import Mapping
from typing import Final

from imagematrix import audit
from imagematrix.matrix import declaration, family, folders, gpus, head, review
from imagematrix.model import RuleDeclaration, RuleParameter
from imagematrix.text import moments, names, platforms

Schema = Mapping[str, object]

_DIALECT: Final = "http://json-schema.org/draft-07/schema#"
_CUTOFF: Final = f"{moments.AGE.pattern}|{moments.MOMENT.pattern}"
_VARIABLE: Final = f"^{names.VARIABLE.pattern}$"


def text() -> str:
    """Return the schema as JSON."""
    return json.dumps(document(), indent=2, ensure_ascii=False)


def document() -> Schema:
    """Return the schema of a whole document."""
    described = {
        "schema": {"description": "The version of this grammar.", "enum": [declaration.SCHEMA]},
        "requires": _text('The versions of imagematrix that may read this file: ">=1.0,<2".'),
        "registry": _registry(),
        "nodes": _text("The repository where nodes are kept for all machines, by their keys: host[:port]/path."),
        "prefix": _text(
            "What the names of images begin with that no registry names: my-team gives my-team/python:3.11."
        ),
        "language": _text(
            "The language of all images, unless a base says another. Default: zh_CN.UTF-8.",
            pattern=head.PLACE["language"][0].pattern,
        ),
        "timezone": _text(
            "The time zone of all images, unless a base says another. Default: Asia/Shanghai.",
            pattern=head.PLACE["timezone"][0].pattern,
        ),
        "compression": {
            "description": "How filesystem layers are compressed. zstd needs Docker 23 or containerd 1.5 to pull.",
            "enum": list(head.COMPRESSIONS),
        },
        "signing": {
            "description": "How nodes are signed: only nodes signed with one of the public keys are pulled.",
            **_table(
                declaration.SIGNING_KEYS,
                {
                    "public": _text(
                        "The file of the public keys (PEM, Ed25519 or ECDSA P-256), relative to this file."
                    ),
                    "key": _text("The file of the private key (PEM). IMAGEMATRIX_SIGNING_KEY names another one."),
                    "command": {
                        "description": "Instead, a program that reads a text and prints its signature in base64.",
                        "type": "array",
                        "items": _text("The program, or one of its arguments."),
                        "minItems": 1,
                    },
                },
            ),
            "required": ["public"],
        },
        head.PLATFORMS: _platforms("The Docker platforms that images are built for. Default: linux/amd64."),
        "site": _site("Where this machine fetches from, unless a site is named by --site or IMAGEMATRIX_SITE."),
        "sites": _named(
            "Where images are built: a table replaces [site] when its name is given.",
            _site("A place to build at, selected by --site or IMAGEMATRIX_SITE. It is part of no key and no image."),
        ),
        "sources": _keyed(
            "Folders of the monorepo that stages may copy from: `COPY sources/NAME/…`.",
            _whole(names.COMPONENT.pattern),
            _text("The folder, relative to this file. Its .dockerignore counts."),
        ),
        "dockerfiles": _dockerfiles(),
        "bases": {**_named("What images start from.", _base()), "minProperties": 1},
        "destinations": _named("Where images are used: their registries, their limits, their facts.", _destination()),
        "families": {**_named("Image lines.", _family()), "minProperties": 1},
        "facts": _facts(),
    }
    return {
        "$schema": _DIALECT,
        "title": "matrix.toml",
        "description": "The images of a monorepo, declared for imagematrix: what they start from, their layers, rows.",
        **_table(declaration.KEYS, described),
        "required": ["schema", "bases", "families"],
    }


def _dockerfiles() -> Schema:
    described = {
        "file": _text("The Dockerfile, relative to this file.", least=1),
        "context": _text("The folder that it copies from, relative to this file. Default: that of the Dockerfile."),
        "target": _text("The stage that is built. Default: the last one."),
    }
    layer = {
        "description": "A whole Dockerfile. Its last stage is built on the row's base, or on the layer below.",
        **_table(folders.DOCKERFILE_KEYS, described),
        "required": ["file"],
    }
    return _keyed("Layers that are whole Dockerfiles, by their names.", _whole(names.STAGE.pattern), layer)


def _base() -> Schema:
    described = {
        "image": _text(
            "What to pull, as [host/]name[:tag][@sha256:digest]. {name} stands for an axis or fact of the row."
        ),
        "bootstrap": _text(
            "The suite to make it from, out of its distribution's packages: needs no registry.",
            pattern=declaration.SUITE.pattern,
        ),
    }
    return {
        "description": "A base: an image to pull, or one made from packages; and facts of it, like os, python, cuda.",
        **_table(declaration.BASE_KEYS, described, others=_fact("Any other key is a fact, which templates see.")),
        "oneOf": [{"required": ["image"]}, {"required": ["bootstrap"]}],
    }


def _destination() -> Schema:
    described = {
        "registry": _registry(),
        "max_size": _text(
            "How big its images may be, uncompressed, like 9.5 GB or 9 GiB; more is a warning.",
            pattern=review.SIZE.pattern,
        ),
        "rules": _review(),
        **{key: _texts(f"Where rules are a list: {rule}", of="A glob.") for key, rule in review.BESIDE.items()},
        gpus.KEY: _gpus("The GPUs it has, for the images of its families."),
    }
    return {
        "description": "A destination: its registry and limits; and facts of it.",
        **_table(
            declaration.DESTINATION_KEYS,
            described,
            others=_fact("Any other key is a fact, which templates of its families see."),
        ),
    }


def _registry() -> Schema:
    return {
        "description": "Where images go, one registry or a list: host[:port]/path. {name} stands for an axis or fact.",
        "type": ["string", "array"],
        "items": _text("host[:port]/path, without a scheme."),
        "uniqueItems": True,
    }


def _site(description: str) -> Schema:
    described = {
        "ca_bundle": _text("The PEM file of trusted certificates, relative to this file. Default: the system's."),
        "index_url": _text("The Python package index. Default: what pip is configured for."),
        "extra_index_urls": _texts("More package indexes, used before the first.", of="The address of an index."),
        "trusted_hosts": _texts(
            "Hosts that are used without TLS, or with an untrusted certificate.", of="host or host:port"
        ),
        "wheelhouse": _text("A directory of wheels, relative to this file, mounted while building."),
        "exclude_newer": _text(
            'Cooldown: `lock` leaves out files that are newer than this age, like "7 days", or this moment.',
            pattern=_CUTOFF,
        ),
        "exclude_newer_package": {
            "description": 'Packages with a cooldown of their own: {torch = "1 day"}; false: all files count.',
            "type": "object",
            "additionalProperties": {
                "description": "An age, a moment, or false.",
                "oneOf": [{"type": "string", "pattern": _whole(_CUTOFF)}, {"enum": [False]}],
            },
        },
        "mirrors": {
            "description": 'Where bases are pulled from, by their registry: {"docker.io" = "mirror.example.com/hub"}.',
            "type": "object",
            "additionalProperties": _text("The mirror: host[:port]/path, without a scheme."),
        },
        "network": {
            "description": "The network of build steps. Default: the engine's own.",
            "enum": list(declaration.NETWORKS),
        },
        "workers": _text("The scheduler of the cluster that builds: tls://HOST:PORT. Default: this machine builds."),
        "emulates": _platforms("Docker platforms that this machine's engine runs by emulation."),
    }
    return {"description": description, **_table(declaration.SITE_KEYS, described)}


def _family() -> Schema:
    described = {
        "layers": {
            **_texts("Folders of common/layers, the first one at the bottom.", of="A folder of common/layers."),
            "minItems": 1,
        },
        "tag": _text(
            "The tag of each row: text with {name} of an axis or fact, like {torch}-python{python}. "
            "Without axes and rows, the default is {base}.",
            least=1,
        ),
        "groups": _texts("Names by which --group selects its rows.", of="A group."),
        "destination": _text("Where its images are used: one of [destinations]."),
        gpus.KEY: _gpus("The GPUs its images must run on, in place of its destination's."),
        head.PLATFORMS: _platforms("The Docker platforms of its rows, in place of the matrix's."),
        "promises": _texts(
            "The names whose minor version its moving tags never change. Default: its axes that"
            " are versions, cuda, python and"
            " the frameworks.",
            of="An axis or fact.",
        ),
        "base": _text("The base of all its rows: one of [bases]. Else base is an axis."),
        "axes": _axes(),
        "exclude": _rules("Rows of the axes that are not wanted.", "why such rows are not wanted"),
        "allow": _rules("Rows that are built although upstream broke them.", "why they are built anyway"),
        "row": _rows(),
    }
    return {
        "description": "An image line: layers and a grid of rows. Its name is that of the images.",
        **_table(family.KEYS, described),
        "required": ["layers"],
        "dependencies": {"axes": ["tag"]},  # without axes and rows the tag is the base
    }


def _axes() -> Schema:
    values = {**_texts("The values of this axis.", of="A value, a version mostly."), "minItems": 1}
    axes = _variables("Named lists of values: a row for each combination.", values)
    return {**axes, "propertyNames": {"not": {"enum": list(family.NO_AXES)}}}


def _rows() -> Schema:
    described = {
        "allow": _text("Why the row is built although upstream broke it.", least=1),
        "impossible": _text("Why the row is impossible: it is listed, and not built.", least=1),
        gpus.KEY: _gpus("The GPUs it must run on, in place of its family's."),
        head.PLATFORMS: _platforms("The Docker platforms that it is for, in place of its family's."),
    }
    row = {
        "description": "A row in addition to those of the axes: a value for each axis, and facts of its own.",
        **_table(
            family.ROW_KEYS,
            described,
            others=_fact("Any other key is an axis, with the value that this row has, or a fact of this row alone."),
        ),
        "not": {"required": list(family.REASONS)},
    }
    return {"description": "Rows in addition to axes, or instead of them.", "type": "array", "items": row}


def _platforms(description: str) -> Schema:
    item = _text("System and processor: linux/arm64.", pattern=platforms.GRAMMAR.pattern)
    return {"description": description, "type": "array", "items": item, "minItems": 1, "uniqueItems": True}


def _gpus(description: str) -> Schema:
    item = _text("An architecture: sm_90 for compute capability 9.0.", pattern=gpus.ARCHITECTURE.pattern)
    return {"description": description, "type": "array", "items": item, "minItems": 1, "uniqueItems": True}


def _review() -> Schema:
    rules = audit.stock()
    return {
        "description": "What its review requires of an image; `invoke verify` checks it. A table or a list.",
        "type": ["object", "array"],
        "items": {"description": "A rule.", "type": "string", "examples": list(rules)},
        "uniqueItems": True,
        "properties": {name: _rule(rule) for name, rule in rules.items()},
        "additionalProperties": {"description": "A rule of this monorepo, common/rules/NAME.py.", "type": "object"},
    }


def _rule(rule: RuleDeclaration) -> Schema:
    return {
        "description": rule.meaning,
        "type": "object",
        "properties": {name: _parameter(parameter) for name, parameter in rule.parameters.items()},
        "required": [name for name, parameter in rule.parameters.items() if parameter.is_required],
        "additionalProperties": False,
    }


def _parameter(parameter: RuleParameter) -> Schema:
    if parameter.kind == "Size":
        return _text(parameter.meaning, pattern=review.SIZE.pattern)
    return _texts(parameter.meaning, of="A glob.")


def _rules(description: str, why: str) -> Schema:
    condition = _fact('Any other key is an axis or fact, with its value or a comparison: "<2.5", ">=2.3,<2.5".')
    rule = {
        "description": "Conditions, all of which a row must meet, and a reason.",
        **_table((family.REASON,), {family.REASON: _text(f"Say {why}.", least=1)}, others=condition),
        "required": [family.REASON],
        "minProperties": 2,
    }
    return {"description": description, "type": "array", "items": rule}


def _facts() -> Schema:
    of_value = _variables("What follows from this value.", _fact("A fact, which templates see."))
    of_axis = {
        "description": 'Facts by the values of an axis or fact, in quotes: [facts.torch."2.3.0"].',
        "type": "object",
        "additionalProperties": of_value,
    }
    of_all = _variables('What follows from a value: [facts.torch."2.3.0"].', of_axis)
    of_platform = _variables(
        'Facts on one Docker platform, in place of the others: [facts."linux/arm64".torch."2.3.0"].', of_axis
    )
    each = {_VARIABLE: of_axis, _whole(platforms.GRAMMAR.pattern): of_platform}
    return {**of_all, "patternProperties": each}


def _table(keys: tuple[str, ...], described: Mapping[str, Schema], *, others: Schema | None = None) -> Schema:
    """Return a table of these keys, and of others that templates can use as variables where there may be any.

    Texts about other keys must be true of these too: editors show both.
    """
    table: Schema = {"type": "object", "properties": {key: described[key] for key in keys}}
    if others:
        lists = "|".join(key for key in keys if _may_be_list(described[key]))
        pattern = f"^(?!(?:{lists})$){names.VARIABLE.pattern}$" if lists else _VARIABLE
        table = {**table, "patternProperties": {pattern: others}}
    return {**table, "additionalProperties": False}


def _may_be_list(value: Schema) -> bool:
    kinds = value["type"]
    return "array" in (kinds if isinstance(kinds, list) else [kinds])


def _variables(description: str, value: Schema) -> Schema:
    """Return a table whose keys templates can use as variables."""
    return _keyed(description, _VARIABLE, value)


def _named(description: str, table: Schema) -> Schema:
    """Return a table of tables, each under a name of its own."""
    return _keyed(description, _whole(names.COMPONENT.pattern), table)


def _keyed(description: str, keys: str, value: Schema) -> Schema:
    return {
        "description": description,
        "type": "object",
        "patternProperties": {keys: value},
        "additionalProperties": False,
    }


def _text(description: str, *, pattern: str = "", least: int = 0) -> Schema:
    made: Schema = {"description": description, "type": "string"}
    if pattern:
        made = {**made, "pattern": _whole(pattern)}
    return {**made, "minLength": least} if least else made


def _texts(description: str, *, of: str) -> Schema:
    return {"description": description, "type": "array", "items": _text(of), "uniqueItems": True}


def _fact(description: str) -> Schema:
    return _text(f"{description} Versions are strings: in quotes.")


def _whole(pattern: str) -> str:
    """Return a pattern that a whole text must match: those of JSON Schema look for a part."""
    return f"^(?:{pattern})$"
