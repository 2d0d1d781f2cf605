"""What a TOML document declares, section by section; every wrong value is noted where it stands."""

import datetime as dt
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeVar

from imagematrix.matrix import fact_tables, family, folders, gpus, head, pattern, review
from imagematrix.matrix.facts import Fact, Facts, Pair
from imagematrix.matrix.grid import Declared
from imagematrix.model import Base, Destination, DockerfileLayer, NamingRule, RuleDeclaration, Signing, Site
from imagematrix.text import moments, names, platforms, providers, versions
from imagematrix.text.distributions import of_image
from imagematrix.text.locate import KeyPath
from imagematrix.text.shape import Mistakes, Table, check_variables

SCHEMA: Final = 1

KEYS: Final = (
    *("schema", "requires", "prefix", "language", "timezone"),
    *("registry", "nodes", "compression", "signing", head.PLATFORMS, "site", "sites"),
    *("sources", "dockerfiles", "bases", "destinations", "families", "facts"),
)
SIGNING_KEYS: Final = ("public", "key", "command")
SITE_KEYS: Final = (
    *("ca_bundle", "index_url", "extra_index_urls", "trusted_hosts", "wheelhouse"),
    *("exclude_newer", "exclude_newer_package", "mirrors", "network", "workers", "emulates"),
)
BASE_KEYS: Final = ("image", "bootstrap")
DESTINATION_KEYS: Final = ("registry", "max_size", "rules", *review.BESIDE, gpus.KEY)
"""What each table may say; all else in a base or a destination is a fact."""

SUITE: Final = re.compile(r"[a-z]+")
NETWORKS: Final = ("", "host", "none")
_ANY_MOMENT: Final = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
"""Ages are counted from it where only their spelling is judged."""
_PLAIN_URL: Final = re.compile(r"http://(?:[^/@]*@)?(?P<host>(?P<name>\[[^/\]]*\]|[^:/]+)(?::[0-9]+)?)")
_LOCAL: Final = ("localhost", "127.0.0.1", "[::1]")
"""Hosts that pip trusts by itself (SECURE_ORIGINS of its network session)."""


_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """A whole document; families that cannot have rows are left out."""

    prefix: str
    registries: tuple[str, ...]
    nodes: str
    compression: str
    signing: Signing | None
    platforms: tuple[str, ...]
    """Those of families that name none."""
    site: Site
    sites: Mapping[str, Site]
    sources: Mapping[str, str]
    dockerfiles: Mapping[str, DockerfileLayer]
    bases: Mapping[str, Base]
    destinations: Mapping[str, Destination]
    facts: Mapping[Pair, tuple[Fact, ...]]
    facts_of_platforms: Mapping[str, Mapping[Pair, tuple[Fact, ...]]]
    """By Docker platform: in place of the others there."""
    families: tuple[Declared, ...]
    whole: bool
    """Nothing that rows are made from is left out."""


def has_schema(document: Table, *, schema: int = SCHEMA) -> bool:
    """Whether the document is written for this version; if not, that is noted and the rest says nothing."""
    found = document.raw("schema")
    if found is None:
        document.require("schema", f"begin the file with: schema = {schema}")
        return True
    if type(found) is int and found == schema:
        return True
    document.wrong("schema", f"{found!r} is not supported", f"this version reads schema = {schema}")
    return False


def is_for(document: Table, version: str) -> bool:
    """Whether this version of imagematrix may read the document; if not, that is noted and the rest says nothing."""
    required = document.text("requires")
    if not required:
        return True
    if versions.comparison(required) is None:
        document.wrong("requires", f"{required!r} is not a valid range of versions", 'expected, say, ">=1.0,<2"')
        return True
    if versions.meets(version, required):
        return True
    hint = f"pip install 'imagematrix{required}'"
    document.wrong("requires", f"this matrix requires imagematrix {required}, and this is {version}", hint)
    return False


def read(
    document: Table,
    *,
    layers: Mapping[str, bool],
    mistakes: Mistakes,
    rules: Mapping[str, RuleDeclaration],
    naming: Mapping[str, NamingRule],
) -> Declaration:
    """Read every section of matrix.toml; `rules` are those that destinations may name, `naming` those of plugins."""
    document.allow(*KEYS, *_renamed(document))
    of_facts = document.table("facts")
    of_platforms, of_all = fact_tables.told_apart(of_facts)
    bases = _named(document.table("bases"), "a base", _base)
    destinations = _named(document.table("destinations"), "a destination", partial(_destination, known=rules))
    dockerfiles = folders.dockerfiles(document.table("dockerfiles"), layers=layers)
    layers = {**layers, **dict.fromkeys(dockerfiles, True)}
    declared = document.table("families")
    if not tuple(declared):
        mistakes.add(declared.at, "no family is declared", "declare one: [families.NAME]")
    if not bases and "bases" not in document:
        mistakes.add(("bases",), "no base is declared", "declare one: [bases.NAME]")
    everyones = head.docker_platforms(document) or {platforms.DEFAULT: ()}
    found = [
        family.read(
            declared.table(name),
            layers=layers,
            bases=bases,
            destinations=destinations,
            platforms=everyones,
            mistakes=mistakes,
        )
        for name in sorted(declared)
    ]
    site, sites = _site(document.table("site"), ""), _named(document.table("sites"), "a site", _site)
    says_os = _says_os(document)
    everywhere = {key: each for key in head.PLACE if (each := head.place(document, key))}
    mirrors = {mirror: registry for each in (site, *sites.values()) for registry, mirror in each.mirrors.items()}
    return Declaration(
        prefix=head.prefix(document),
        registries=_registries(document),
        nodes=_nodes(document, naming),
        compression=head.compression(document),
        signing=_signing(document),
        platforms=tuple(everyones),
        site=site,
        sites=sites,
        sources=folders.sources(document.table("sources")),
        dockerfiles=dockerfiles,
        bases={
            name: _completed(
                replace(base, mirrors=mirrors, facts={**everywhere, **base.facts} if everywhere else base.facts),
                says_os=says_os,
            )
            for name, base in bases.items()
        },
        destinations=destinations,
        facts=fact_tables.read(of_facts, of_all),
        facts_of_platforms={name: fact_tables.read(of_facts.table(name)) for name in of_platforms},
        families=tuple(each for each in found if each is not None),
        whole=all(each is not None and each.whole for each in found),
    )


def facts(declared: Declaration, mistakes: Mistakes) -> Facts:
    """Return all facts of a document; contradictions will be noted as they are met."""
    return Facts(
        declared.facts,
        of_platforms=declared.facts_of_platforms,
        bases=declared.bases,
        destinations=declared.destinations,
        mistakes=mistakes,
    )


def _renamed(document: Table) -> Iterator[str]:
    """Yield `platforms` where it is a table, what [destinations] was called once; that is noted with its remedy."""
    if isinstance(document.raw("platforms"), dict):
        hint = "rename the tables to [destinations.NAME], and the key platform of families to destination"
        document.wrong("platforms", "[platforms] is now [destinations]", hint, code="unknown_key")
        yield "platforms"


def _named(tables: Table, what: str, read: Callable[[Table, str], _T]) -> dict[str, _T]:
    """Read the tables that stand there under names of their own."""
    found = {}
    for name in sorted(tables):
        if not names.is_component(name):
            tables.wrong(name, f"{name!r} is not a valid name for {what}", f"expected {names.COMPONENT_RULE}")
        found[name] = read(tables.table(name), name)
    return found


def _registries(table: Table) -> tuple[str, ...]:
    """Return what `registry` names: one, or a list of them."""
    if not isinstance(table.raw("registry"), list):
        registry = table.text("registry")
        found: dict[str, KeyPath] = {registry: ("registry",)} if registry else {}
    else:
        found = {registry: at[len(table.at) :] for registry, at in table.texts("registry").items()}
    for registry, at in found.items():
        if pattern.has_names(registry):
            _check_form(table, at, registry)
        elif not names.is_repository(registry):
            scheme = "leave out the scheme: " if "://" in registry else ""
            table.wrong(at, f"no registry accepts the name {registry!r}", scheme + names.REPOSITORY_RULE)
    return tuple(found)


def _check_form(table: Table, key: str | KeyPath, text: str) -> None:
    """Report wrong braces, even of a pattern that no row ever fills; the result is checked for each row."""
    wrong = pattern.fault(text)
    if wrong:
        table.wrong(key, *wrong)


def _nodes(document: Table, naming: Mapping[str, NamingRule]) -> str:
    """Return the repository of nodes: one for all rows, so no pattern."""
    repository = document.text("nodes")
    if repository and not names.is_repository(repository):
        hint = "leave out the scheme: " if "://" in repository else ""
        document.wrong("nodes", f"no registry accepts the name {repository!r}", hint + names.REPOSITORY_RULE)
    elif repository and (refused := providers.refusal(repository, naming)):
        document.wrong("nodes", *refused)
    return repository


def _signing(document: Table) -> Signing | None:
    """Return how nodes are signed; None: they are not."""
    if "signing" not in document:
        return None
    table = document.table("signing")
    table.allow(*SIGNING_KEYS)
    found = Signing(public=table.text("public"), key=table.text("key"), command=_command(table))
    if not found.public:
        table.require("public", 'the file of the public key, relative to this one: public = "nodes.pub"')
    elif found.public.startswith("/") or ".." in found.public.split("/"):
        table.wrong("public", f"{found.public!r} leads out of the project", "keep the public key beside the matrix")
    if found.key and found.command:
        table.wrong("command", "'key' is given too", "keep one of them: a file signs, or a program")
    if not document.text("nodes"):
        document.wrong("signing", "there is nothing to sign", 'say where nodes are kept: nodes = "host/path"')
    return found


def _command(table: Table) -> tuple[str, ...]:
    """Return a program and its arguments, of which several may be equal."""
    words = table.raw("command")
    if words is None:
        return ()
    if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
        table.wrong("command", "must be a list of strings", 'a program and its arguments: ["sign", "--key", "nodes"]')
        return ()
    return tuple(words)


def _site(site: Table, name: str) -> Site:
    site.allow(*SITE_KEYS)
    network = site.text("network")
    if network not in NETWORKS:
        site.wrong("network", f"{network!r} is not a valid network of build steps", 'expected "host" or "none"')
    return Site(
        name=name,
        ca_bundle=site.text("ca_bundle"),
        index_url=site.text("index_url"),
        extra_index_urls=tuple(site.texts("extra_index_urls")),
        trusted_hosts=_trusted_hosts(site),
        wheelhouse=site.text("wheelhouse"),
        exclude_newer=_cutoff(site, "exclude_newer"),
        exclude_newer_package=_exceptions(site),
        mirrors=_mirrors(site.table("mirrors")),
        network=network,
        workers=site.text("workers"),
        emulates=tuple(head.docker_platforms(site, "emulates")),
    )


def _cutoff(table: Table, key: str) -> str:
    """Return an age or a moment; what is neither is noted."""
    found = table.text(key)
    if key in table and moments.cutoff(found, now=_ANY_MOMENT) is None:
        table.wrong(key, f"{found!r} is not an age or a moment", moments.RULE)
        return ""
    return found


def _exceptions(site: Table) -> dict[str, str]:
    """Return which packages have a cutoff of their own: package -> age or moment, empty for `false`: none."""
    own = site.table("exclude_newer_package")
    if [*own] and "exclude_newer" not in site:
        site.wrong("exclude_newer_package", "there is no exclude_newer", 'say it first: exclude_newer = "7 days"')
    for package in own:
        if versions.requirement(package) != (package, ""):
            hint = 'expected lower case with hyphens, like "typing-extensions"'
            own.wrong(package, f"{package!r} is not a valid name of a package", hint)
    return {package: "" if own.raw(package) is False else _cutoff(own, package) for package in own}


def _mirrors(mirrors: Table) -> dict[str, str]:
    """Return where bases are pulled from: registry -> mirror."""
    found = {registry: mirrors.text(registry) for registry in mirrors}
    for registry, mirror in found.items():
        if not names.is_host(registry):
            mirrors.wrong(
                registry, f"{registry!r} is not a valid registry", 'expected "host" or "host:port", like "docker.io"'
            )
        if not names.is_repository(mirror):
            mirrors.wrong(registry, f"no registry accepts the name {mirror!r}", names.REPOSITORY_RULE)
    return found


def _trusted_hosts(site: Table) -> tuple[str, ...]:
    """Return the hosts to trust; report invalid ones, and indexes without TLS on other hosts, which pip ignores."""
    hosts = site.texts("trusted_hosts")
    for host, at in hosts.items():
        if not names.is_host(host):
            site.wrong(
                at[len(site.at) :], f"{host!r} is not a valid host", 'expected "host" or "host:port", without a scheme'
            )
    further = {url: at[len(site.at) :] for url, at in site.texts("extra_index_urls").items()}
    for url, at in {site.text("index_url"): ("index_url",), **further}.items():
        plain = _PLAIN_URL.match(url)
        if plain and not {plain["host"], plain["name"]} & {*hosts, *_LOCAL}:
            hint = f'trust it: trusted_hosts = ["{plain["host"]}"]'
            site.wrong(at, f"{plain['host']} is used without TLS, which pip refuses", hint)
    return tuple(hosts)


def _base(base: Table, name: str) -> Base:
    image, bootstrap = base.text("image"), base.text("bootstrap")
    if bool(image) == bool(bootstrap):
        what = "both image and bootstrap are given" if image else "neither image nor bootstrap is given"
        base.wrong((), what, "give one: image = what to pull, bootstrap = the suite to make it from")
    if pattern.has_names(image):
        _check_form(base, "image", image)
    elif image and not names.is_image(image):
        base.wrong("image", f"no registry accepts the name {image!r}", names.IMAGE_RULE)
    if bootstrap and not SUITE.fullmatch(bootstrap):
        base.wrong("bootstrap", f"{bootstrap!r} is not a valid suite", 'expected a name in lower case, like "bookworm"')
    return Base(name=name, image=image, bootstrap=bootstrap, facts=_own_facts(base, BASE_KEYS))


def _says_os(document: Table) -> bool:
    """Whether anything but bases says what `os` is: then theirs is not derived, it might contradict that."""
    families = [document.table("families").table(name) for name in document.table("families")]
    tables = [table for family in families for table in (family.table("axes"), *family.tables("row"))]
    tables += [document.table("destinations").table(name) for name in document.table("destinations")]
    facts = document.table("facts")
    tables += [facts.table(axis).table(value) for axis in facts for value in facts.table(axis)]
    return "os" in facts or any("os" in table for table in tables)


def _completed(base: Base, *, says_os: bool) -> Base:
    """Return a base with the distribution that its image is known to be, where nothing says it."""
    system = of_image(base.upstream)
    if not system or says_os or "os" in base.facts:
        return base
    return replace(base, facts=dict(sorted({**base.facts, "os": system}.items())))


def _destination(destination: Table, name: str, *, known: Mapping[str, RuleDeclaration]) -> Destination:
    asked = review.read(destination, known)
    return Destination(
        name=name,
        registries=_registries(destination),
        max_bytes=review.most_bytes(destination, asked),
        rules=asked,
        gpus=gpus.read(destination),
        facts=_own_facts(destination, DESTINATION_KEYS),
    )


def _own_facts(table: Table, known: Collection[str]) -> dict[str, str]:
    """Return what a table says beside the keys that are known, sorted by name."""
    facts = {name: table.text(name) for name in sorted(table) if name not in (*known, gpus.KEY)}
    check_variables(table, facts)
    if gpus.KEY not in known:
        gpus.refuse(table)
    return facts
