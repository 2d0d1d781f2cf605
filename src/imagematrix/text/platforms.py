"""Docker's names of platforms: system, processor and perhaps its variant, `linux/arm64` or `linux/arm/v7`.

https://github.com/containerd/platforms#platform-specifiers
"""

import re
from collections.abc import Collection
from typing import Final

from imagematrix.errors import did_you_mean

RULE: Final = 'expected "os/architecture", like "linux/arm64"'
DEFAULT: Final = "linux/amd64"
"""Of a matrix that names none."""
ARCHITECTURES: Final = (
    *("386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle"),
    *("ppc64", "ppc64le", "riscv64", "s390x"),
)
"""Those of Linux, in the words of Go and Docker (`go tool dist list`)."""
_OTHER_WORDS: Final = {"x86_64": "amd64", "x64": "amd64", "i386": "386", "aarch64": "arm64", "armv8": "arm64"}
"""What `uname` and others call them."""
GRAMMAR: Final = re.compile(r"[a-z0-9]+/[a-z0-9_]+(?:/[a-z0-9.]+)?")
_ALSO: Final = {"linux/amd64": frozenset({"linux/386"})}
"""What else a processor runs by itself."""


def is_platform(text: str) -> bool:
    """Whether a text has the form of a platform's name."""
    return GRAMMAR.fullmatch(text) is not None


def is_of_linux(platform: str) -> bool:
    """Whether a platform is Linux on a processor that Docker has a name for."""
    system, architecture, *_ = platform.split("/")
    return system == "linux" and architecture in ARCHITECTURES


def fault(platform: str) -> str:
    """Return what is wrong with the name of a platform, and in the next line what was expected; empty: nothing."""
    if not is_platform(platform):
        return f"{platform!r} is not a valid Docker platform\n    {RULE}"
    if is_of_linux(platform):
        return ""
    architecture = platform.partition("/")[2]
    meant = f"linux/{_OTHER_WORDS.get(architecture, architecture)}"
    hint = did_you_mean(meant, (f"linux/{name}" for name in ARCHITECTURES))
    return f"{platform!r} is not a platform of Linux that Docker knows\n    {hint}"


def without_variant(platform: str) -> str:
    """Return system and processor alone, as engines and lists of images name them: `linux/arm64`."""
    return "/".join(platform.split("/")[:2])


def parts(platform: str) -> dict[str, str]:
    """Return a platform as lists of images have it: by `os`, `architecture` and, if it has one, `variant`."""
    return dict(zip(("os", "architecture", "variant"), platform.split("/"), strict=False))


def suffix(platform: str) -> str:
    """Return what ends the names of things for a platform: `-arm64`, `-arm-v7`."""
    return "-" + platform.partition("/")[2].replace("/", "-")


def run_by(native: str, emulated: Collection[str] = ()) -> frozenset[str]:
    """Return the platforms, without their variants, whose programs an engine of one platform runs."""
    of_engine = without_variant(native)
    return frozenset({of_engine, *map(without_variant, emulated)}) | _ALSO.get(of_engine, frozenset())
