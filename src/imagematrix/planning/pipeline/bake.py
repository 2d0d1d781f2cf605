"""The DAG as a file of `docker buildx bake`: a target for each node, so BuildKit builds shared ones once.

It needs neither imagematrix nor a node cache. Bases that imagematrix makes must exist: each leaf's `build-scripts.sh`
makes its own.
"""

import json
from collections.abc import Mapping
from typing import Any

from imagematrix.model import BASE_LAYER, Key, Node
from imagematrix.planning.graph import Dag
from imagematrix.planning.pipeline.jobs import identify, references


def text(dag: Dag, *, head: str, folder: str) -> str:
    """Return the file as JSON.

    `head` becomes a comment, `folder` is the project's directory for bake.
    """
    names = {key: name for name, key in references(dag).items() if dag.nodes[key].layer != BASE_LAYER}
    ids = identify(names)
    targets = {ids[node.key]: _target(dag, node, ids, folder) for node in dag.order() if node.key in ids}
    default = {"targets": sorted({ids[key] for key in dag.final_nodes.values()})}
    return json.dumps({"//": head, "group": {"default": default}, "target": targets}, indent=2) + "\n"


def _target(dag: Dag, node: Node, ids: Mapping[Key, str], folder: str) -> Mapping[str, Any]:
    parents = [dag.nodes[key] for key in dag.parents(node.key) if key in ids]
    target = {
        "context": f"{folder}/{node.leaf.row.directory}",
        "target": node.layer,
        "args": {"EPOCH": epoch} if (epoch := node.inputs.get("epoch", "")) else {},
        "contexts": {parent.layer: f"target:{ids[parent.key]}" for parent in parents},
        "platforms": [node.platform],
        "tags": sorted(dag.rows[name].image for name, tip in dag.final_nodes.items() if tip == node.key),
    }
    return {key: value for key, value in target.items() if value}
