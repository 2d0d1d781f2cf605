"""What registries require of names beyond docker's own grammar: data, each rule with its source.

Read in November 2026. What a provider does not document is not required.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from imagematrix.text.names import COMPONENT_RULE

LONGEST_TAG: Final = 106
"""How long the tag of a row may be where it is published: its immutable tag adds `-YYYYMMDD-` and 12 digits of the key,
and no registry takes more than 128 (docker's grammar, see `names`)."""
TAG_RULE: Final = (
    f"where rows are published a tag has at most {LONGEST_TAG} characters: the immutable one adds a date and a key"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """The rule for a part of a repository's name."""

    word: str
    """What the provider calls it."""
    grammar: re.Pattern[str]
    least: int = 1
    most: int = 255
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Provider:
    """A registry service: its hosts, and the names it takes, `HOST/NAMESPACE/REPOSITORY`."""

    name: str
    hosts: re.Pattern[str]
    namespace: _Part
    repository: _Part
    source: str


_ONE_SEPARATOR: Final = r"[a-z0-9]+(?:[._-][a-z0-9]+)*"
_ONE_SEPARATOR_RULE: Final = "lower case letters and digits, parted by single . _ -"
_SWR_WORD: Final = r"[a-z0-9]+(?:(?:[.-]|__?)[a-z0-9]+)*"
_SWR_RULE: Final = "lower case letters and digits, parted by single . - or one or two _"

_PROVIDERS: Final = (
    _Provider(
        name="Tencent's CCR",
        hosts=re.compile(r"(?:.*\.)?ccr\.ccs\.tencentyun\.com|.*\.tencentcloudcr\.com"),
        # Namespaces: the API's CreateNamespace; repositories: its CreateRepository.
        namespace=_Part(
            word="namespace", grammar=re.compile(_ONE_SEPARATOR), least=2, most=30, rule=_ONE_SEPARATOR_RULE
        ),
        repository=_Part(
            word="repository",
            grammar=re.compile(r"[a-z0-9._-]+"),
            most=244,
            rule="lower case letters, digits and . _ -, no /",
        ),
        source="https://cloud.tencent.com/document/api/1141/42725, https://www.tencentcloud.com/document/api/1051/50698",
    ),
    _Provider(
        name="Huawei's SWR",
        hosts=re.compile(r"swr\.[a-z0-9-]+\.myhuaweicloud\.com"),
        namespace=_Part(
            word="organization",
            grammar=re.compile(rf"(?=[a-z]){_SWR_WORD}"),
            most=64,
            rule=f"a letter first, {_SWR_RULE}",
        ),
        repository=_Part(
            word="repository",
            grammar=re.compile(rf"{_SWR_WORD}(?:/{_SWR_WORD})*"),
            most=128,
            rule=_SWR_RULE,
        ),
        source="https://support.huaweicloud.com/api-swr/swr_02_0125.html",
    ),
    _Provider(
        name="Baidu's CCR",
        hosts=re.compile(r"registry\.baidubce\.com"),
        namespace=_Part(
            word="namespace",
            grammar=re.compile(r"(?![0-9]+$)[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?"),
            rule="lower case letters, digits and . _ - between them, not digits alone",
        ),
        repository=_Part(word="repository", grammar=re.compile(r"[a-z0-9._/-]+"), rule=COMPONENT_RULE),
        source="https://cloud.baidu.com/doc/CCR/s/fmq6f5jpu",
    ),
)


def refusal(repository: str, more: Mapping[str, Callable[[str], str]]) -> tuple[str, str] | None:
    """Return what a registry has against a repository `host/namespace/name` that docker accepts, and what it asks.

    `more` are the rules of plugins, host -> rule; such a host is judged by its rule alone.
    """
    host, _, path = repository.partition("/")
    if host in more:
        return _refused_by_plugin(host, path, more[host])
    provider = next((each for each in _PROVIDERS if each.hosts.fullmatch(host)), None)
    if provider is None:
        return None
    namespace, slash, name = path.partition("/")
    if not slash:
        what = f"{provider.name} does not accept {repository!r}: it has no {provider.namespace.word}"
        return what, f'expected "{host}/{provider.namespace.word.upper()}"; {provider.source}'
    for part, said in ((provider.namespace, namespace), (provider.repository, name)):
        wrong = _wrong(part, said)
        if wrong:
            what = f"{provider.name} accepts no {part.word} {said!r}: {wrong}"
            return what, f"expected {part.least} to {part.most} characters, {part.rule}; {provider.source}"
    return None


def _refused_by_plugin(host: str, path: str, rule: Callable[[str], str]) -> tuple[str, str] | None:
    try:
        wrong = rule(path)
    except Exception as error:  # noqa: BLE001  # foreign code may raise anything
        what = f"the naming rule of a plugin for {host} failed: {type(error).__name__}: {error}"
        return what, "correct it, or uninstall its wheel"
    return (f"{host} does not accept {path!r}: {wrong}", "a plugin has this rule") if wrong else None


def _wrong(part: _Part, said: str) -> str:
    if not part.least <= len(said) <= part.most:
        return f"it has {len(said)} characters"
    return "" if part.grammar.fullmatch(said) else "it has other characters, or a separator where none may be"
