"""Steps of a plan in, jobs for an executor out."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from imagematrix import __version__
from imagematrix.model import (
    APT_LOCK,
    BASE_LAYER,
    EPOCH,
    KEY_LABEL,
    LAYER_LABEL,
    TOOL_LABEL,
    BaseBootstrap,
    BaseImage,
    BuildJob,
    DockerfileBuild,
    Key,
    Lock,
    Node,
    NodePull,
    ParentImage,
    Plan,
    Step,
    Verdict,
)
from imagematrix.planning import publication
from imagematrix.planning.publication import VERSIONS_LABEL

_VERSION_LABEL = "imagematrix.version"
"""The version that built an image; it is in no key."""
_REVISION_LABEL = "org.opencontainers.image.revision"
_BASE_LABEL = "org.opencontainers.image.base.digest"
"""https://github.com/opencontainers/image-spec/blob/v1.1.0/annotations.md"""
_CONSTANT_TIME: Final = "315532800"
"""1980-01-01, as `site.packages` sets it in the files; BuildKit takes it for that of the image
(https://reproducible-builds.org/docs/source-date-epoch/)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFactory:
    """Makes the jobs of one plan."""

    nodes: Mapping[Key, Node]
    """All of the plan."""
    names: Mapping[Key, Sequence[str]]
    """The image names of the rows that end in a node."""
    lock: Lock
    repository: str
    """The node cache; empty if there is none."""
    pushed: Collection[Key]
    """The nodes that will be pushed there."""
    kept: Collection[Key]
    """The nodes that it has."""
    revision: str
    """The commit of the project; empty if it is not known."""
    seconds: float
    """The time limit of an attempt."""

    def job(self, step: Step, images: Mapping[Key, str]) -> BuildJob:
        """Return the job of a step. `images` are the ids of the images that exist: node -> id."""
        node = step.node
        return BuildJob(
            key=node.key,
            layer=node.layer,
            work=self._work(step, images),
            platform=node.platform,
            names=(*self.names.get(node.key, ()), *_base_names(node)),
            push_to=self.repository if node.key in self.pushed else "",
            seconds=self.seconds,
        )

    def _work(self, step: Step, images: Mapping[Key, str]) -> DockerfileBuild | BaseBootstrap | NodePull:
        node = step.node
        if step.verdict is Verdict.PULL:
            return NodePull(repository=self.repository, digest=step.digest)
        own = {KEY_LABEL: node.key, LAYER_LABEL: node.layer}
        if node.layer == BASE_LAYER:
            files = {file.path: file.content for file in node.stage.inputs}
            packages, script = files.pop(f"{BASE_LAYER}/{APT_LOCK}", b""), next(iter(files.values()))
            return BaseBootstrap(script=script, suite=node.stage.text, packages=packages, labels=own)
        if step.tool and node.stage.tool:
            # The tool may be of another row: what counts is the stage that the Dockerfile of this one names.
            tool = replace(self._image(step.tool, images), stage=node.stage.tool.stage)
            return _package_files(node, tool, own)
        epoch = node.inputs.get("epoch", "")
        return DockerfileBuild(
            dockerfile=node.leaf.dockerfile,
            target=node.layer,
            files=node.stage.inputs,
            source=self._source(node, images),
            packages=self._image(node.packages, images) if node.packages else None,
            linking=node.leaf.linking(node.stage),
            arguments={EPOCH: epoch} if epoch else {},
            labels={**own, **self._labels(node, images)},
        )

    def _source(self, node: Node, images: Mapping[Key, str]) -> ParentImage | BaseImage:
        if node.parent is None:
            base = node.inputs.get("base", "")  # what the key was made from: a tag may point elsewhere by now
            return BaseImage(name=node.leaf.base_image, digest=base if base.startswith("sha256:") else "")
        return self._image(node.parent, images)

    def _image(self, key: Key, images: Mapping[Key, str]) -> ParentImage:
        layer = self.nodes[key].layer
        return ParentImage(
            key=key,
            image=images.get(key, ""),
            stage="" if layer == BASE_LAYER else layer,
            repository=self.repository if key in self.pushed or key in self.kept else "",
        )

    def _labels(self, node: Node, images: Mapping[Key, str]) -> Mapping[str, str]:
        labels = {
            _VERSION_LABEL: __version__,
            _REVISION_LABEL: self.revision,
            _BASE_LABEL: self._base_digest(node, images),
        }
        known = {name: value for name, value in labels.items() if value}
        # Of an image of rows, not of a node below: it says what their tags promise, which may be nothing.
        return {**known, VERSIONS_LABEL: publication.label(node.leaf.row)} if node.key in self.names else known

    def _base_digest(self, node: Node, images: Mapping[Key, str]) -> str:
        base = node.leaf.row.base
        if not base.bootstrap:
            return self.lock.bases.get(base.image, "")
        while node.parent is not None:
            node = self.nodes[node.parent]
        return images.get(node.key, "")


def factory(
    plan: Plan,
    *,
    lock: Lock,
    repository: str,
    pushed: Collection[Key],
    kept: Collection[Key],
    revision: str,
    seconds: float,
) -> JobFactory:
    """Return what makes the jobs of a plan; `seconds` is the time limit of an attempt."""
    names: dict[Key, list[str]] = {}
    for row, node in plan.final_nodes.items():
        names.setdefault(node, []).append(plan.rows[row].image)
    return JobFactory(
        nodes={step.node.key: step.node for step in plan.steps},
        names=names,
        lock=lock,
        repository=repository,
        pushed=frozenset(pushed),
        kept=kept,
        revision=revision,
        seconds=seconds,
    )


def _package_files(node: Node, tool: ParentImage, labels: Mapping[str, str]) -> DockerfileBuild:
    """Install a package layer. Its image names the one that it is built on."""
    return DockerfileBuild(
        dockerfile=node.leaf.dockerfile,
        target=node.layer,
        files=node.stage.inputs,
        source=tool,
        arguments={"SOURCE_DATE_EPOCH": _CONSTANT_TIME},
        labels={**labels, TOOL_LABEL: tool.image},
    )


def linked(work: DockerfileBuild, tool: str) -> DockerfileBuild:
    """Return how to build a stage that links a package layer, of whose files `tool` is what their image is built on.

    Where that is the very parent, the image of the files is what the build makes, but for its own lines.
    """
    if work.packages is None:
        return work
    if tool and isinstance(work.source, ParentImage) and work.source.image == tool:
        return replace(work, source=work.packages, packages=None)
    return replace(work, dockerfile=work.linking)


def _base_names(node: Node) -> tuple[str, ...]:
    """Return the name by which a leaf that is built alone finds the base that the matrix made."""
    return (node.leaf.base_image,) if node.layer == BASE_LAYER else ()
