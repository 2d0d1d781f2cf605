"""What the texts in an image's filesystem layers give away: credentials, and services whose logs nobody would see."""

import re
import shlex
from collections.abc import Iterator, Sequence
from configparser import Error as ConfigParserError
from configparser import RawConfigParser, SectionProxy
from typing import Final

TEXT_BYTES: Final = 1 << 17
"""What is longer is neither a configuration nor a credential."""

_PEOPLES: Final = r"(?:etc|home|init|mnt|opt/init|root|srv|tmp|var)/.*"
"""Where a private key would be a real one: packages carry test data that look like keys."""

_ASKING: Final = (
    r"(?:.*/)?(?:pip\.conf|uv\.toml|\.condarc|\.gitconfig|\.git-credentials|\.npmrc|\.bashrc|\.profile)"
    r"|etc/(?:apt/.*|environment|profile(?:\.d/.*)?)"
)
"""Files that configure package indexes and source hosts."""

_SECRETS: Final = tuple(
    (what, re.compile(path), re.compile(content, re.MULTILINE))
    for what, path, content in (
        ("a private key", _PEOPLES, rb"^-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s+\S+"),
        ("a password, or an empty one", r"etc/shadow-?", rb"^[^:\n]+:(?![*!])[^:\n]*"),
        ("a password", r"(?:.*/)?\.(?:netrc|pypirc)|etc/apt/auth\.conf(?:\.d/.*)?", rb"\bpassword\s*[=:]?\s*\S+"),
        ("a login in an address", _ASKING, rb"://[^/\s:@]+:[^/\s@]+@"),
        (
            "a registry's login",
            r"(?:.*/)?(?:\.docker/config\.json|\.dockercfg)",
            rb'"(?:auth|identitytoken)"\s*:\s*"[^"]+"',
        ),
        ("a cloud's key", r"(?:.*/)?\.aws/credentials", rb"aws_secret_access_key\s*=\s*\S+"),
        ("a secret of the build or of a destination", r"etc/sync_passwd|run/secrets/.+", rb"\S+"),
    )
)
"""What a credential looks like: where it lies, what is in it."""

_PRIVATE: Final = re.compile(rb"^-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s+\S+", re.MULTILINE)
_PRIVATE_NAMES: Final = re.compile(
    r"(?:.*/)?(?:id_(?:rsa|dsa|ecdsa|ed25519)|\.env(?!\.(?:dist|example|sample|template)$)(?:\..+)?)"
)
"""What people keep secrets in; an example of such a file has none."""

_SUPERVISOR: Final = re.compile(
    r"(?!.*/(?:dist|site)-packages/)(?:.*/)?(?:supervisord\.conf|supervisord?(?:\.conf)?(?:\.d)?/(?:.*/)?[^/]+\.(?:conf|ini))"
)
"""Its package has dozens of others, for its own tests."""

_HOLDING: Final = re.compile("|".join(path.pattern for _, path, _ in _SECRETS))
"""The files that credentials are looked for in."""

_STREAMS: Final = re.compile(r"/dev/(?:stdout|stderr|fd/[12])|/proc/(?:self|1)/fd/[12]")
_SHELLS: Final = frozenset({"ash", "bash", "dash", "sh"})
_INTO_A_FILE: Final = re.compile(r"(?:^|[^<>=-])>{1,2}\s*([^\s;&|<>()]+)")


def may_hold_secrets(path: str) -> bool:
    """Whether a file of this name would be a credential, or be where one is written down."""
    return bool(_HOLDING.fullmatch(path))


def is_supervisors(path: str) -> bool:
    """Whether it is a configuration file of supervisor."""
    return bool(_SUPERVISOR.fullmatch(path))


def secrets(path: str, text: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the credentials in a file: what each is, and itself."""
    for what, paths, content in _SECRETS:
        if paths.fullmatch(path):
            yield from ((what, found) for found in content.findall(text))


def looks_secret(path: str, text: bytes) -> str:
    """Return what credential a file of a repository looks like; empty: none."""
    if _PRIVATE_NAMES.fullmatch(path) and text.strip():
        return "a file of secrets"
    if len(text) <= TEXT_BYTES and _PRIVATE.search(text):
        return "a private key"
    return next((what for what, _ in secrets(path, text[:TEXT_BYTES])), "")


def kept_by_command(command: Sequence[str]) -> Iterator[str]:
    """Yield the files that an image's command, run by a shell, sends its output to."""
    if _SHELLS & {word.rpartition("/")[2] for word in command}:
        for target in _INTO_A_FILE.findall(" ".join(command)):
            if not _STREAMS.fullmatch(target) and target != "/dev/null":
                yield f"the command writes to {target}: {shlex.join(command)}"


def kept_by_supervisor(text: str) -> Iterator[str]:
    """Yield what of its programs supervisor does not pass on."""
    parser = RawConfigParser(strict=False, inline_comment_prefixes=(";",))
    try:
        parser.read_string(text)
    except ConfigParserError as error:
        yield f"not a configuration of supervisor: {error.message.splitlines()[0]}"
    for name in parser.sections():
        if name.startswith(("program:", "fcgi-program:")):
            yield from (f"[{name}] {said}" for said in _kept(parser[name]))


def _kept(program: SectionProxy) -> Iterator[str]:
    """Report which of a program's streams does not go to the container's log; by default, supervisor writes a file."""
    is_one = program.get("redirect_stderr", "").lower() in {"true", "yes", "on", "1"}
    for stream in ("stdout",) if is_one else ("stdout", "stderr"):
        target = program.get(f"{stream}_logfile", "AUTO")
        if not _STREAMS.fullmatch(target):
            yield f"{stream}_logfile is {target}, expected /dev/fd/1"
