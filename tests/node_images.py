"""One image of a registry under the keys of many nodes, each labelled as the node that it stands for."""

import json
from collections.abc import Iterable
from dataclasses import replace

from imagematrix.model import KEY_LABEL
from imagematrix.planning.keys import digest_of
from imagematrix.registry import Client
from imagematrix.registry.answers import Manifest


def put(client: Client, manifest: Manifest, keys: Iterable[str]) -> frozenset[str]:
    """Put the image in once for each key; return the digests of the configurations."""
    config = json.loads(client._blob(manifest.repository, manifest.config))
    return frozenset(_put(client, manifest, config, key) for key in keys)


def _put(client: Client, manifest: Manifest, config: dict[str, object], key: str) -> str:
    blob = json.dumps({**config, "config": {"Labels": {KEY_LABEL: key}}}).encode()
    digest, document = digest_of(blob), json.loads(manifest.text)
    client._upload(manifest.repository, blob, digest=digest)
    document["config"] |= {"digest": digest, "size": len(blob)}
    client.tag(replace(manifest, text=json.dumps(document).encode()), key)
    return digest
