"""What registries hold, by tag and by digest: many look-ups at once, tags set and removed, images copied."""

import functools
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, TypeVar

from imagematrix.errors import MissingError, RegistryError, SilentRegistryError
from imagematrix.execution import parallel
from imagematrix.execution.backoff import Backoff, Passing
from imagematrix.model import Flake, FlakeKind, Site
from imagematrix.planning.keys import digest_of
from imagematrix.registry import answers, signatures
from imagematrix.registry.access import Access
from imagematrix.registry.answers import ImageConfig, Manifest
from imagematrix.registry.signatures import Attached, Signature
from imagematrix.text import names
from imagematrix.text.names import host
from imagematrix.text.visible import printable
from imagematrix.web import Reply, Stream

JOBS: Final = 16
"""How many requests run at once."""
TRIES: Final = 3
"""How often a request is sent before the registry counts as silent."""
LONGEST_WAIT: Final = 60.0
"""A registry with a longer Retry-After, in seconds, is not asked again."""

_T = TypeVar("_T")

_TYPES: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_ACCEPT: Final[Mapping[str, str]] = {"Accept": ", ".join(_TYPES)}
_MISSING: Final = 404
_CREATED: Final = 201
_PAGE: Final = 1000
_MOST_ATTACHED: Final = 4 * 2**20
"""How many bytes a text beside an image may have."""


class Client:
    """Queries registries, with the trust and proxies of a site and docker's logins; from any thread.

    Repositories are named as in images: `host[:port]/path`. Transient failures are retried with back-off, or after the
    wait that the registry asks for. All methods raise RegistryError: SilentRegistryError when there is no answer,
    DeniedError, MissingError.
    """

    def __init__(self, where: Site, *, tries: int = TRIES, sleep: Callable[[float], object] | None = None) -> None:
        self._where = where
        self._tries = tries
        self._sleep = sleep
        self._accesses: dict[str, Access] = {}
        self._lock = threading.Lock()
        self._cancelled = threading.Event()

    def digest(self, repository: str, tag: str) -> str:
        """Return the digest that a tag stands for, empty when there is no such tag."""
        answer = self._send("HEAD", repository, f"manifests/{tag}", headers=_ACCEPT)
        if answer.status == _MISSING:
            return ""
        return answers.digest(_good(answer, repository, tag), host(repository))

    def digests(self, repository: str, tags: Collection[str]) -> Mapping[str, str]:
        """Return the digests of those among some tags that exist: one question each, many at once."""
        return {tag: digest for tag, digest in self._each(functools.partial(self.digest, repository), tags) if digest}

    def manifest(self, repository: str, reference: str) -> Manifest:
        """Return what a tag or digest stands for. Raises MissingError."""
        answer = _good(self._send("GET", repository, f"manifests/{reference}", headers=_ACCEPT), repository, reference)
        return answers.manifest(answer, repository, host(repository), reference=reference)

    def manifests(self, repository: str, tags: Collection[str]) -> Mapping[str, Manifest]:
        """Return what tags stand for, many at once. Raises MissingError when one of them does not exist."""
        return dict(self._each(functools.partial(self.manifest, repository), tags))

    def signatures(self, repository: str, digests: Collection[str]) -> Mapping[str, Sequence[Signature]]:
        """Return the signatures that images have, by their digests, many at once."""
        return dict(self._each(functools.partial(self._signatures, repository), digests))

    def sign(self, repository: str, digest: str, signature: Signature) -> None:
        """Keep a signature of an image beside it, in the place of all earlier ones."""
        self.attach(repository, signatures.tag(digest), signatures.attached(signature.text, signature.signature))

    def attach(self, repository: str, tag: str, attached: Attached) -> None:
        """Keep something beside an image, in the place of what was there."""
        for blob in attached.blobs:
            self._upload(repository, blob, digest=digest_of(blob))
        headers = {"Content-Type": signatures.MANIFEST_TYPE}
        answer = self._send("PUT", repository, f"manifests/{tag}", headers=headers, data=attached.manifest)
        _good(answer, repository, tag)

    def attachments(self, repository: str, tag: str, *, kind: str) -> Sequence[Signature]:
        """Return what of a kind is kept under a tag, with its signature, which may be empty."""
        try:
            manifest = self.manifest(repository, tag)
        except MissingError:
            return ()
        return [
            Signature(text=self._blob(repository, one.text), signature=one.signature)
            for one in signatures.listed(manifest.text, kind=kind, most=_MOST_ATTACHED)
        ]

    def config(self, manifest: Manifest) -> ImageConfig:
        """Return what an image says of itself."""
        answer = _good(
            self._send("GET", manifest.repository, f"blobs/{manifest.config}"), manifest.repository, manifest.config
        )
        return answers.config(answer, host(manifest.repository), digest=manifest.config)

    def configs(self, repository: str, digests: Collection[str]) -> Mapping[str, ImageConfig]:
        """Return what images say of themselves, by their digests, many at once; of a list of images, nothing."""

        def ask(digest: str) -> ImageConfig:
            manifest = self.manifest(repository, digest)
            return self.config(manifest) if manifest.config else ImageConfig()

        return dict(self._each(ask, digests))

    def tag(self, manifest: Manifest, tag: str, *, repository: str = "") -> None:
        """Let a tag stand for an image, wherever it pointed before; in its own repository, or in any other.

        Another repository of its registry takes over the filesystem layers. To another registry they go through this
        machine, which keeps none of them.
        """
        target = repository or manifest.repository
        if target != manifest.repository:
            for digest, size in manifest.blobs.items():
                self._bring(target, digest, size, origin=manifest.repository)
        headers = {"Content-Type": manifest.media_type}
        answer = self._send("PUT", target, f"manifests/{tag}", headers=headers, data=manifest.text)
        _good(answer, target, tag)

    def tags(self, repository: str) -> tuple[str, ...]:
        """Return all tags of a repository, sorted; none of one that does not exist."""
        found: set[str] = set()
        path = f"tags/list?n={_PAGE}"
        while path:
            answer = self._send("GET", repository, path)
            if answer.status == _MISSING:
                return ()
            page = answers.tags(_good(answer, repository, "its tags"), host(repository))
            if page and found.issuperset(page):
                raise answers.invalid(host(repository), "a request for tags", "endless pages")
            found.update(page)
            path = f"tags/list?{answer.next.partition('?')[2]}" if answer.next and page else ""
        return tuple(sorted(found))

    def delete(self, repository: str, digest: str) -> None:
        """Remove an image with all its tags, by its digest; one that is already gone is not an error."""
        answer = self._send("DELETE", repository, f"manifests/{digest}")
        if answer.status != _MISSING:
            _good(answer, repository, digest)

    def cancel(self) -> None:
        """Stop waiting: requests fail at their first try from now on."""
        self._cancelled.set()

    def _signatures(self, repository: str, digest: str) -> Sequence[Signature]:
        found = self.attachments(repository, signatures.tag(digest), kind=signatures.KIND)
        return [one for one in found if one.signature and len(one.text) <= signatures.MOST_BYTES]

    def _blob(self, repository: str, digest: str) -> bytes:
        answer = _good(self._send("GET", repository, f"blobs/{digest}"), repository, digest)
        return answers.blob(answer, host(repository), digest=digest)

    def _upload(self, repository: str, content: bytes | Stream, *, digest: str) -> None:
        """Put content into a repository (distribution spec, end-4a and end-6)."""
        begun = _good(self._send("POST", repository, "blobs/uploads/"), repository, "an upload")
        path = answers.upload(begun, host(repository), repository=names.path(repository))
        query = f"{'&' if '?' in path else '?'}digest={digest}"
        headers = {"Content-Type": "application/octet-stream"}
        answer = self._send("PUT", repository, path + query, headers=headers, data=content)
        _good(answer, repository, "an upload")

    def _bring(self, repository: str, digest: str, size: int, *, origin: str) -> None:
        """See that a repository has a blob that another one has."""
        if self._send("HEAD", repository, f"blobs/{digest}").good:
            return
        if host(repository) == host(origin) and self._mounts(repository, digest, origin=origin):
            return
        _good(self._send("HEAD", origin, f"blobs/{digest}"), origin, digest)  # logs in too
        source, path = self._access(host(origin)), f"{names.path(origin)}/blobs/{digest}"
        self._upload(repository, Stream(open=lambda: source.stream(path), bytes=size), digest=digest)

    def _mounts(self, repository: str, digest: str, *, origin: str) -> bool:
        """Have a repository take over what another one of its registry holds (distribution spec, end-11)."""
        path = f"blobs/uploads/?mount={digest}&from={names.path(origin)}"
        return self._send("POST", repository, path).status == _CREATED

    def _each(self, ask: Callable[[str], _T], tags: Collection[str]) -> Collection[tuple[str, _T]]:
        """Look up some tags. The first is asked alone, so an unreachable registry fails fast."""
        wanted = sorted(tags)
        found = [ask(tag) for tag in wanted[:1]]
        with parallel.pool(JOBS, name="registry", waits=False) as pool:
            found += pool.map(ask, wanted[1:])
        return tuple(zip(wanted, found, strict=True))

    def _send(
        self,
        method: str,
        repository: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        data: bytes | Stream | None = None,
    ) -> Reply:
        access = self._access(host(repository))
        send = functools.partial(access.send, method, f"{names.path(repository)}/{path}", headers=headers, data=data)
        trying = Backoff(tries=self._tries, longest=LONGEST_WAIT, stop=self._cancelled, first=1.0, sleep=self._sleep)
        return trying.call(send, _passing)

    def _access(self, name: str) -> Access:
        with self._lock:
            if name not in self._accesses:
                self._accesses[name] = Access(name, self._where, connections=JOBS)
            return self._accesses[name]


def _passing(error: Exception) -> Passing | None:
    if isinstance(error, SilentRegistryError) and error.retry_after <= LONGEST_WAIT:
        return Passing(why=str(error), flake=Flake(kind=FlakeKind.NETWORK, retry_after=error.retry_after))
    return None


def _good(answer: Reply, repository: str, what: str) -> Reply:
    if answer.status == _MISSING:
        raise MissingError(f"registry {host(repository)} has no {what} in {repository}")
    if not answer.good:
        said = answers.complaint(answer) or printable(answer.reason)
        raise RegistryError(f"registry {host(repository)} answers {answer.status} to {what} in {repository}: {said}")
    return answer
