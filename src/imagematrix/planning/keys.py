"""Leaves in, nodes with keys out, and the difference between two sets of inputs: the only home of hashlib.

A key is the hash of everything a node is made from (docs/design.md) and of nothing else: no axis names,
times, commits, absolute paths or mtimes. All keys are known offline.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from typing import Final

from imagematrix.model import APT_LOCK, BASE_LAYER, Downloads, File, Key, Leaf, Lock, Node, Stage

SCHEMA: Final = 1
"""Raised whenever the meaning of an input changes: every node is then rebuilt."""

_INLINE_LIMIT: Final = 2048
"""Bytes up to which a text file stands in the inputs itself, so that a changed version can be named."""

_PACKAGES_LIMIT: Final = 65536
"""The same for an apt lock, whose packages a reason names: one has some kilobytes."""

_CHANGES_SHOWN: Final = 3

_NAME_DIGITS: Final = 12
"""Hexadecimal digits of a hash in the name of a node in matrix.lock: enough for all nodes of a project."""

PARENT_CHANGED: Final = "its parent changed"
PACKAGES_CHANGED: Final = "its package layer changed"


class Assigner:
    """Gives each stage of each leaf its node; equal stages on equal parents get the same one."""

    def __init__(self, lock: Lock) -> None:
        self._lock = lock
        self._nodes: dict[tuple[Stage, str, str], Node] = {}
        self._by_key: dict[Key, Node] = {}
        self._file_inputs: dict[Stage, Mapping[str, str]] = {}
        self._hashed: dict[File, str] = {}

    def chain(self, leaf: Leaf) -> tuple[Node, ...]:
        """Return the nodes of a leaf, first to last.

        Each is the parent of the next, but for the files of package layers: they are before the node that links them.
        """
        parent: Node | None = None
        chain: list[Node] = []
        for stage in (leaf.bootstrap, *leaf.stages):
            if stage is not None:
                linked = self._node(stage.packages, leaf) if stage.packages else None
                parent = self._node(stage, leaf, parent, linked)
                chain += (linked, parent) if linked else (parent,)
        return tuple(chain)

    def _node(self, stage: Stage, leaf: Leaf, parent: Node | None = None, linked: Node | None = None) -> Node:
        below = parent.key if parent else "" if stage.tool else self._base(leaf)
        known = stage, below, leaf.row.platform
        node = self._nodes.get(known)
        if node is None:
            inputs = self._inputs(stage, leaf, parent, linked)
            moving = f"{stage.layer}-{key_of(inputs)[:_NAME_DIGITS]}" if stage.downloads is Downloads.MOVING else ""
            if epoch := self._lock.epoch_of(stage.layer, stage.downloads, moving):
                inputs = {**inputs, "epoch": epoch}
            made = Node(
                key=key_of(inputs),
                layer=stage.layer,
                parent=parent.key if parent else None,
                packages=linked.key if linked else None,
                stage=stage,
                leaf=leaf,
                inputs=inputs,
                moving=moving,
            )
            # Stages of files that differ in their tool alone are one node.
            node = self._nodes[known] = self._by_key.setdefault(made.key, made)
        return node

    def _inputs(self, stage: Stage, leaf: Leaf, parent: Node | None, linked: Node | None) -> Mapping[str, str]:
        """Return what a key is made from but for the epoch."""
        inputs = {"schema": str(SCHEMA), "platform": leaf.row.platform, "text": stage.recipe, **self._files(stage)}
        if stage.tool:
            return {**inputs, "python": stage.tool.python}
        if linked:
            inputs["packages"] = linked.key
        if parent:
            inputs["parent"] = parent.key
        elif stage.layer != BASE_LAYER:
            inputs["base"] = self._base(leaf)
        return inputs

    def _base(self, leaf: Leaf) -> str:
        """Return what identifies an external base: its locked digest, else the name it is pulled by."""
        image = leaf.row.base.image
        return self._lock.bases.get(image, image)

    def _files(self, stage: Stage) -> Mapping[str, str]:
        known = self._file_inputs.get(stage)
        if known is None:
            known = self._file_inputs[stage] = {f"file {file.path}": self._file(file) for file in stage.inputs}
        return known

    def _file(self, file: File) -> str:
        """Return what stands for a file in a key: a big one is hashed once, however many stages read it."""
        known = self._hashed.get(file)
        if known is None:
            known = self._hashed[file] = _file_input(file)
        return known


def key_of(inputs: Mapping[str, str]) -> Key:
    """Return the hash of canonical JSON of the inputs."""
    canonical = json.dumps(inputs, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return Key(hashlib.sha256(canonical.encode()).hexdigest())


def hash_of(value: object) -> str:
    """Return the hash of what canonical JSON can hold: for what is compared, and identifies no node."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def digest_of(content: bytes) -> str:
    """Return the digest by which registries and engines know content."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def sha256_of_file(file: File) -> str:
    """Return the SHA-256 of a file's content, in hex digits; that of a big one was computed when it was found."""
    return file.stored.sha256 if file.stored else hashlib.sha256(file.content).hexdigest()


def sha256_of(chunks: Iterable[bytes]) -> str:
    """Return the hash of chunks of content, in hexadecimal digits."""
    hashing = Sha256()
    for chunk in chunks:
        hashing.add(chunk)
    return hashing.text()


class Sha256:
    """The hash of a content of which one chunk after the other is known."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, chunk: bytes) -> None:
        """Take the next chunk."""
        self._hash.update(chunk)

    def text(self) -> str:
        """Return the hash of all chunks so far, in hexadecimal digits."""
        return self._hash.hexdigest()


def differences(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[str, ...]:
    """Say in words which inputs two recipes differ in, in the order a person looks for them."""
    changed = [name for name in {**new, **old} if old.get(name) != new.get(name)]
    return tuple(_difference(name, old.get(name), new.get(name)) for name in sorted(changed, key=_rank))


def is_rendered_otherwise(old: Mapping[str, str], new: Mapping[str, str]) -> bool:
    """Whether the text of a stage differs, a file that it reads, or the meaning of all inputs."""
    changed = {name.partition(" ")[0] for name in {**new, **old} if old.get(name) != new.get(name)}
    return not changed.isdisjoint(("file", "schema", "text"))


def _rank(name: str) -> tuple[int, str]:
    order = ("text", "file", "base", "epoch", "python", "platform", "schema", "packages", "parent")
    kind = name.partition(" ")[0]
    # A record may be of another version, with inputs that this one does not know.
    return (order.index(kind) if kind in order else len(order), name)


def _difference(name: str, old: str | None, new: str | None) -> str:
    kind, _, path = name.partition(" ")
    match kind:
        case "file" if path.endswith(f"/{APT_LOCK}"):
            return _packages(path, old or "", new or "")
        case "file" if old is None or new is None:
            return f"{path} is {'new' if old is None else 'gone'}"
        case "file":
            return f"{path} changed{_lines(old or '', new or '')}"
        case "text" if _same_but_for_labels(old or "", new or ""):
            return "the labels that name its row changed"
        case "text":
            return f"its Dockerfile stage changed{_lines(old or '', new or '')}"
        case "parent":
            return PARENT_CHANGED
        case "packages":
            return PACKAGES_CHANGED if old and new else f"it {'links' if new else 'no longer links'} a package layer"
        case "base":
            return f"the base changed: {_short(old)} -> {_short(new)}"
        case "epoch":
            return f"the refresh epoch moved: {old or 'none'} -> {new or 'none'}"
        case _:
            return f"the {kind} changed: {old or 'none'} -> {new or 'none'}"


def _lines(old: str, new: str) -> str:
    """Show the lines that changed, when they are few; nothing for contents known by hash only."""
    pairs = [(before, after) for before, after in _paired(old, new) if before != after]
    if not pairs:
        return ": line ends only"
    if len(pairs) > _CHANGES_SHOWN or any(" sha256 " in line for pair in pairs for line in pair):
        return ""
    return ": " + "; ".join(
        f"{before.strip() or '(nothing)'} -> {after.strip() or '(nothing)'}" for before, after in pairs
    )


def _packages(path: str, old: str, new: str) -> str:
    """Say which packages moved in an apt lock."""
    layer = path.partition("/")[0]
    before, after = (_versions(each) for each in (old, new))
    if not before or not after:
        return f"the apt packages of {layer} are {'locked' if after else 'no longer locked'}"
    moved = [
        f"{name} {before.get(name, '(nothing)')} -> {after.get(name, '(nothing)')}"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]
    more = f" and {len(moved) - _CHANGES_SHOWN} more" if len(moved) > _CHANGES_SHOWN else ""
    return ", ".join(moved[:_CHANGES_SHOWN]) + more


def _versions(content: str) -> Mapping[str, str]:
    """Return the lines of an apt lock: package -> version."""
    return dict(line.split("=", 1) for line in content.splitlines() if "=" in line)


def _same_but_for_labels(old: str, new: str) -> bool:
    return all(before == after or (_is_label(before) and _is_label(after)) for before, after in _paired(old, new))


def _is_label(line: str) -> bool:
    return line.strip().removeprefix("LABEL ").startswith(("imagematrix.row=", "org.opencontainers.image."))


def _paired(old: str, new: str) -> Iterator[tuple[str, str]]:
    return zip_longest(old.splitlines(), new.splitlines(), fillvalue="")


def _short(reference: str | None) -> str:
    name = reference or "none"
    return name.removeprefix("sha256:")[:12] if name.startswith("sha256:") else name


def _file_input(file: File) -> str:
    mode = "0755" if file.executable else "0644"
    limit = _PACKAGES_LIMIT if file.path.endswith(f"/{APT_LOCK}") else _INLINE_LIMIT
    text = None if file.stored else _inline_text(file.content, limit)
    # One line for a hash, so that no text can be taken for one.
    return f"{mode}\n{text}" if text is not None else f"{mode} sha256 {sha256_of_file(file)}"


def _inline_text(content: bytes, limit: int) -> str | None:
    if len(content) > limit:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None
