"""Rows as chains of nodes, made without templates."""

from dataclasses import replace

from imagematrix.model import Base, Downloads, Family, Key, Leaf, Node, Row, Stage, Tool


def chain(row: str, *keys: str) -> tuple[Node, ...]:
    """Make the nodes of a row, first to last; a node's key is its layer."""
    family, tag = row.split(":")
    base = Base(name="base", image="base")
    named = Row(family=Family(name=family, layers=keys, tag=""), base=base, tag=tag, axes={}, values={}, image=row)
    leaf = Leaf(row=named, base_image="base", bootstrap=None, stages=())
    stages = [Stage(layer=key, text=key, inputs=(), downloads=Downloads.NOTHING) for key in keys]
    return tuple(
        Node(key=Key(key), layer=key, parent=Key(below) if below else None, stage=stage, leaf=leaf, inputs={})
        for key, below, stage in zip(keys, ("", *keys), stages, strict=False)
    )


def linking(row: str, *keys: str, files: str) -> tuple[Node, ...]:
    """Make the nodes of a row whose last one links the files of a package layer, which the one below can install."""
    *below, last = chain(row, *keys)
    tool = Tool(stage=below[-1].layer, environment=below[0].layer, python="3.12", platform="", moment=0)
    stage = Stage(layer=files, text=files, inputs=(), downloads=Downloads.NOTHING, tool=tool)
    installed = replace(last, key=Key(files), layer=files, parent=None, stage=stage)
    return (*below, installed, replace(last, packages=Key(files), stage=replace(last.stage, packages=stage)))
