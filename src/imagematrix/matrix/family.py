"""What one `[families.NAME]` declares; what is wrong with its axes or rows is noted and left out of them."""

from collections.abc import Iterable, Mapping
from typing import Final

from imagematrix.errors import did_you_mean
from imagematrix.matrix import gpus, head
from imagematrix.matrix.exclusion import Exclude
from imagematrix.matrix.grid import PLATFORM, Declared, HandRow
from imagematrix.model import BASE_LAYER, SOURCES, WHEELHOUSE, Base, Destination, Family
from imagematrix.text import names
from imagematrix.text.locate import KeyPath
from imagematrix.text.shape import Mistakes, Table, check_variables

TAKEN: Final = (BASE_LAYER, WHEELHOUSE, SOURCES, "init")
"""Stages and folders of every leaf."""

KEYS: Final = (
    *("layers", "tag", "groups", "destination", gpus.KEY),
    *("promises", "platforms", "base", "axes", "exclude", "allow", "row"),
)
"""What a family may say."""

RENAMED: Final = "platform"
"""What `destination` was called before `platforms` named Docker's: a matrix of that time gets a remedy."""

"""What conditions and facts call the Docker platform of a row."""

REASON: Final = "reason"
"""The key by which a rule gives its reason."""

REASONS: Final[Mapping[str, tuple[str, str]]] = {
    "allow": (
        "say why the row is built although it is broken",
        "this key is reserved for the reason why a broken row is built",
    ),
    "impossible": ("say why the row is impossible", "this key is reserved for the reason why a row is impossible"),
}
"""The keys by which a row says why it is treated otherwise than others; hints for one that is empty, or an axis."""

ROW_KEYS: Final = (*REASONS, gpus.KEY, head.PLATFORMS)
"""What a row may say beside its axes."""

ROW_FACTS: Final = frozenset(
    {
        *("torch_build", "torch_index", "torchvision", "torchaudio", "tensorflow_package", "paddle_package", "pins"),
        *("numpy", "protobuf", "gast", "h5py", "keras", "pandas", "pillow", "setuptools"),
        *("jupyterlab", "tensorboard", "tensorrt_deb", "horovod_options"),
        *("miniconda", "miniconda_sha256"),
    }
)
"""Facts that one row may say for itself, beside the values of its axes: which build and which partners it installs.

They are no axes, unless [axes] or the tag of the family names them.
"""

NO_AXES: Final[Mapping[str, str]] = {
    REASON: "this key is reserved for the reason of an exclude",
    **{key: taken for key, (_, taken) in REASONS.items()},
    gpus.KEY: "this key is reserved for the GPUs of rows, families and destinations",
    **dict.fromkeys((PLATFORM, head.PLATFORMS), 'Docker platforms are no axis: platforms = ["linux/amd64"]'),
}

LAYER_RULE: Final = (
    "a Dockerfile names a stage with a-z 0-9 _ . -, a letter first;"
    " base, context, init, scratch, sources, wheelhouse are taken"
)


def read(
    table: Table,
    *,
    layers: Mapping[str, bool],
    bases: Mapping[str, Base],
    destinations: Mapping[str, Destination],
    platforms: Mapping[str, KeyPath],
    mistakes: Mistakes,
) -> Declared | None:
    """Return a family, or nothing where it cannot have rows. `platforms` are those of a family that names none."""
    return _Reader(table, bases, mistakes).read(layers, destinations, platforms)


def _near(word: str, axes: Iterable[str]) -> str:
    """Return which axis or fact of a row was meant; nothing if none is similar."""
    hint = did_you_mean(word, {*axes, *ROW_FACTS})
    return hint if hint.startswith("did you mean") else ""


class _Reader:
    def __init__(
        self,
        table: Table,
        bases: Mapping[str, Base],
        mistakes: Mistakes,
    ) -> None:
        self._table = table
        self._name = str(table.at[-1])
        self._bases = bases
        self._mistakes = mistakes
        self._doubted: set[str] = set()
        self._whole = True

    def read(
        self, layers: Mapping[str, bool], destinations: Mapping[str, Destination], platforms: Mapping[str, KeyPath]
    ) -> Declared | None:
        table = self._table
        if not names.is_component(self._name):
            what = f"no registry accepts the name {self._name!r}"
            table.wrong((), what, f"a family is named with {names.COMPONENT_RULE}")
        family = Family(
            name=self._name,
            layers=self._layers(layers),
            tag=self._tag(),
            groups=tuple(sorted(table.texts("groups"))),
            destination=self._destination(destinations),
            promises=tuple(table.texts("promises")) if "promises" in table else None,
        )
        gpus_of_family, own_platforms = gpus.read(table), head.docker_platforms(table)
        before = len(self._mistakes)
        table.allow(*KEYS, RENAMED)
        axes = self._axes()
        rows = self._rows(axes)
        excludes = self._rules("exclude", why="say why such rows are not wanted")
        allows = self._rules("allow", why="say why such rows are built although they are broken")
        self._whole = self._whole and len(self._mistakes) == before
        if not self._can_expand(axes, rows):
            return None
        return Declared(
            family=family,
            at=table.at,
            axes=axes,
            rows=rows,
            excludes=excludes,
            allows=allows,
            doubted=frozenset(self._doubted),
            whole=self._whole,
            gpus=gpus_of_family,
            platforms=own_platforms or platforms,
        )

    def _layers(self, layers: Mapping[str, bool]) -> tuple[str, ...]:
        self._table.require("layers", 'name folders of common/layers in order: layers = ["system", "python"]')
        if self._table.raw("layers") == []:
            self._table.wrong("layers", "the list is empty", "name at least one folder of common/layers")
        found = self._table.texts("layers")
        for layer, at in found.items():
            if layer in TAKEN or not names.is_stage(layer):
                self._mistakes.add(at, f"{layer!r} is not a valid name for a layer", LAYER_RULE)
            elif layer not in layers:
                self._mistakes.add(at, f"unknown layer {layer!r}", did_you_mean(layer, layers))
            elif not layers[layer]:
                what = f"layer {layer!r} has no template"
                self._mistakes.add(at, what, f"write common/layers/{layer}/Dockerfile.j2")
        return tuple(found)

    def _tag(self) -> str:
        if self._is_one_image() and "tag" not in self._table:
            return "{base}"
        hint = 'make one of its axes: tag = "{torch}-python{python}"'
        self._table.require("tag", hint)
        if self._table.raw("tag") == "":
            self._table.wrong("tag", "the tag is empty", hint)
        return self._table.text("tag")

    def _is_one_image(self) -> bool:
        """Whether the family is a base and layers alone, and so one row."""
        return "base" in self._table and "axes" not in self._table and "row" not in self._table

    def _destination(self, destinations: Mapping[str, Destination]) -> Destination | None:
        if RENAMED in self._table:
            self._whole = False
            hint = "rename the key, and [platforms.NAME] to [destinations.NAME]"
            self._table.wrong(RENAMED, "platform is now destination", hint, code="unknown_key")
        name = self._table.text("destination")
        if "destination" in self._table and name not in destinations:
            self._whole = False
            if isinstance(self._table.raw("destination"), str):
                self._table.wrong("destination", f"unknown destination {name!r}", did_you_mean(name, destinations))
        return destinations.get(name)

    def _axes(self) -> dict[str, dict[str, KeyPath]]:
        """Return the values of each axis; those that only rows name have none."""
        table = self._table.table("axes")
        axes = {axis: self._axis(table, axis) for axis in table}
        if "axes" not in self._table:
            axes = {
                axis: {}
                for row in self._table.tables("row")
                for axis in row
                if axis not in ROW_KEYS and (axis not in ROW_FACTS or f"{{{axis}}}" in self._table.text("tag"))
            }
        for named in (table, *self._table.tables("row")):
            check_variables(named, axes)
            for key, hint in NO_AXES.items():
                if key in named and (named is table or key not in ROW_KEYS):
                    named.wrong(key, f"an axis cannot be named {key!r}", hint)
        axes = {axis: values for axis, values in axes.items() if axis not in NO_AXES}
        self._add_base(axes)
        if "base" in axes:
            axes["base"] = {name: at for name, at in axes["base"].items() if self._is_base(name, at)}
        return dict(sorted(axes.items()))

    def _axis(self, axes: Table, axis: str) -> dict[str, KeyPath]:
        raw, values = axes.raw(axis), axes.texts(axis)
        if raw == []:
            axes.wrong(axis, "the axis has no values", "give it at least one, or remove it")
        if not isinstance(raw, list) or not raw or len(raw) != len(values):
            self._doubted.add(axis)
        return values

    def _add_base(self, axes: dict[str, dict[str, KeyPath]]) -> None:
        if "base" not in self._table:
            return
        if "base" in axes:
            self._table.wrong("base", "base is also an axis", "keep one of them")
            self._doubted.add("base")
        else:
            axes["base"] = {self._table.text("base"): (*self._table.at, "base")}

    def _is_base(self, name: str, at: KeyPath) -> bool:
        if name in self._bases:
            return True
        if self._bases:
            self._mistakes.add(at, f"unknown base {name!r}", did_you_mean(name, self._bases))
        self._doubted.add("base")
        self._whole = False
        return False

    def _rows(self, axes: Mapping[str, Mapping[str, KeyPath]]) -> tuple[HandRow, ...]:
        rows = []
        for table in self._table.tables("row"):
            before = len(self._mistakes)
            facts = {name: table.text(name) for name in table if name in ROW_FACTS and name not in axes}
            values = {axis: table.text(axis) for axis in table if axis not in ROW_KEYS and axis not in facts}
            reasons = self._reasons(table)
            named, own_platforms = gpus.read(table), head.docker_platforms(table)
            if "base" in self._table and "base" not in table:
                values["base"] = self._table.text("base")
            for axis in table:
                if axis not in axes and axis not in NO_AXES and axis not in facts:
                    table.wrong(axis, "unknown axis", _near(axis, axes) or did_you_mean(axis, axes))
            missing = sorted(axes.keys() - values.keys())
            if missing:
                table.wrong((), f"the row has no value for {', '.join(missing)}", "a row names a value for each axis")
            if "base" in table:
                self._is_base(values["base"], (*table.at, "base"))
            if len(self._mistakes) == before and values.get("base", "") in ("", *self._bases):
                rows.append(
                    HandRow(at=table.at, values=values, facts=facts, gpus=named, platforms=own_platforms, **reasons)
                )
        return tuple(rows)

    def _reasons(self, row: Table) -> dict[str, str]:
        for key, (hint, _) in REASONS.items():
            if key in row and row.raw(key) == "":
                row.wrong(key, "the reason is empty", f'{hint}: {key} = "…"')
        if all(key in row for key in REASONS):
            row.wrong("allow", "an impossible row is not built", f"keep one of {' and '.join(REASONS)}")
        return {key: row.text(key) for key in REASONS}

    def _can_expand(self, axes: Mapping[str, object], rows: tuple[HandRow, ...]) -> bool:
        """Whether rows can be made; if not, and if it is not yet reported, it is reported."""
        given = "axes" in self._table or "row" in self._table or self._is_one_image()
        if not given and self._whole:
            self._table.wrong(
                (), "the family has no rows", "give it a base, [families.NAME.axes] or [[families.NAME.row]]"
            )
        elif "base" not in axes and self._whole:
            hint = "add an axis base, or base = NAME to the family"
            self._table.wrong((), "the rows have no base", f"{hint}; {did_you_mean('', self._bases)}")
        return given and "base" in axes and (any(axes.values()) or bool(rows))

    def _rules(self, kind: str, *, why: str) -> tuple[Exclude, ...]:
        found = []
        for table in self._table.tables(kind):
            before = len(self._mistakes)
            conditions = {name: table.text(name) for name in table if name != REASON}
            if not conditions:
                table.wrong((), f"this {kind} has no condition", 'name an axis or fact: torch = "<2.5"')
            elif len(self._mistakes) == before:
                found.append(Exclude(kind=kind, at=table.at, conditions=conditions, reason=table.text(REASON)))
            if not table.raw(REASON):
                table.wrong((), "'reason' is missing", f'{why}: reason = "…"')
        return tuple(found)
