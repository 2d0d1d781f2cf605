"""The images of leaves after a build: their names, and what is recorded of them."""

from collections.abc import Mapping, Sequence

from imagematrix.commands.build.decision import BuildDecision
from imagematrix.engine import Engine
from imagematrix.errors import NoEngineError
from imagematrix.model import EngineImage, Key, Outcome, Plan
from imagematrix.planning.trust import Bond, Bonds, nodes
from imagematrix.project import Project
from imagematrix.registry import Manifest
from imagematrix.registry.store import Store
from imagematrix.report import ImageFact


def name_leaves(
    engine: Engine, decided: BuildDecision, outcomes: Sequence[Outcome], store: Store | None, bonds: Bonds
) -> tuple[Mapping[str, ImageFact], Mapping[Key, int], NoEngineError | None]:
    """See that each leaf that exists has its own name; return what became of them, by row name, and the nodes' sizes.

    An engine that is gone by now must not cost the report: the error is returned beside it.
    """
    plan, present = decided.plan, decided.images
    try:
        if any(outcome.attempts for outcome in outcomes):
            present = nodes(engine.images(), bonds)
        final_nodes = {*plan.final_nodes.values()}.difference(present)
        remote = {key: digest for key, digest in decided.in_registry.items() if key in final_nodes}
        manifests = store.manifests(remote) if store and remote else {}
        found = _remote(plan, manifests, has_blobs=bool(manifests) and engine.facts().has_blobs)
        sizes = {key: image.bytes for key, image in present.items()}
        return {**found, **_named(engine, plan, present)}, sizes, None
    except NoEngineError as error:
        return {}, {}, error


def pin(project: Project, decided: BuildDecision) -> Bonds:
    """Record what this run took the registry's word for, so that later ones take nothing else; return all records."""
    bonds, place = project.state.bonds(), project.matrix.nodes
    news = [
        Bond(key=key, digest=digest, place=place)
        for key, digest in decided.in_registry.items()
        if not bonds.hold(key, digest, place)
    ]
    if news:
        project.state.bind(*news)
    return bonds


def _remote(plan: Plan, manifests: Mapping[Key, Manifest], *, has_blobs: bool) -> Mapping[str, ImageFact]:
    """Return the registry's facts about leaves that this run did not need.

    Their digests are those by which the engine would know them: `has_blobs` says how it keeps images.
    """
    found = {name: manifests[tip] for name, tip in plan.final_nodes.items() if tip in manifests}
    return {
        name: ImageFact(image=plan.rows[name].image, digest=one.digest if has_blobs else one.config, bytes=one.bytes)
        for name, one in found.items()
    }


def _named(engine: Engine, plan: Plan, images: Mapping[Key, EngineImage]) -> Mapping[str, ImageFact]:
    facts: dict[str, ImageFact] = {}
    for name, tip in plan.final_nodes.items():
        image = images.get(tip)
        if image:
            wanted = plan.rows[name].image
            if wanted not in image.names:
                engine.tag(image.id, wanted)
            facts[name] = ImageFact(image=wanted, digest=image.id, bytes=image.bytes)
    return facts
