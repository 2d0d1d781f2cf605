"""The rules of bases: which distribution they are, its Python, its package manager, its mirrors.

What the stages of a row use of the base comes with the row: `apt_layers`, `dnf_layers` and `apk_layers` install with
that package manager, `base_python_layers` make the image's Python from the base's `python3`.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from imagematrix.compat import catalogue
from imagematrix.compat.catalogue import Distribution
from imagematrix.compat.finding import broken, impossible, note, unknown
from imagematrix.diagnostics import Diagnostic
from imagematrix.errors import did_you_mean
from imagematrix.text.distributions import of_image, of_suite, own_python, suites
from imagematrix.text.versions import minor

_GONE: Final = "gone"
_ARCHIVES: Final = {
    "debian": "archive.debian.org",
    "ubuntu": "old-releases.ubuntu.com",
    "centos": "vault.centos.org",
    "centosstream": "vault.centos.org",
}
"""Where each distribution keeps what has left its mirrors (https://www.debian.org/distrib/archive,
https://help.ubuntu.com/community/EOLUpgrades, https://www.centos.org/download/)."""
_RED_HAT: Final = ("dnf", "yum")


def base_os(os: str, base_image: str = "", bootstrap: str = "") -> Iterator[Diagnostic]:
    """Compare the fact `os` with what a well-known image, or a suite that a base is made from, is."""
    is_so = of_image(base_image) or of_suite(bootstrap)
    said = catalogue.distributions().get(os)
    is_judged = "nvidia/cuda:" in base_image  # by `nvidia.base_facts`
    if is_so and not is_judged and (said.name if said else os) != is_so and not is_so.startswith(os):
        what = f"{base_image or bootstrap} is {is_so}, not {os}"
        yield broken("os", what, f"correct the fact of the base: os={is_so}")


def suite_is_known(bootstrap: str) -> Iterator[Diagnostic]:
    """Tell that no release of Debian or Ubuntu is known by the name of a suite: it is misspelt, or new."""
    if not of_suite(bootstrap):
        what = f"no release of Debian or Ubuntu is known as {bootstrap!r}"
        yield unknown("bootstrap", what, did_you_mean(bootstrap, suites()))


def package_manager(os: str, apt_layers: str = "", dnf_layers: str = "", apk_layers: str = "") -> Iterator[Diagnostic]:
    """Judge the layers that install with a package manager by the one that the base has."""
    base = catalogue.distributions().get(os)
    for manager, layers in (("apt", apt_layers), ("dnf", dnf_layers), ("apk", apk_layers)):
        if base and layers and manager != _kind(base.packages):
            what = f"{_layers(layers)} with {manager}, and {os} has {base.packages}"
            yield impossible("os", what, f"take a base that has {manager}, or layers that install with {base.packages}")


def mirror(
    os: str,
    apt_layers: str = "",
    dnf_layers: str = "",
    apk_layers: str = "",
    base_image: str = "",
    bootstrap: str = "",
    apt_mirror: str = "",
    yum_mirror: str = "",
) -> Iterator[Diagnostic]:
    """Tell that the packages of an old distribution are not on the mirrors that its images name."""
    base = catalogue.distributions().get(os)
    if not base or not base.mirror or apt_mirror or yum_mirror:
        return
    if not (apt_layers or dnf_layers or apk_layers or bootstrap):
        return
    if base.mirror != _GONE:
        yield note("os", _left(os, base), f"newer: {_newer(base)}")
        return
    what = _left(os, base)
    remedy = f"{_instead(base)}, and say so in allow"
    is_sure = bool(bootstrap or of_image(base_image))
    yield broken("os", what, remedy) if is_sure else unknown("os", what, remedy)


def moved(os: str) -> str:
    """Return what a person can do about a mirror that does not have a distribution; nothing where it should have it."""
    base = catalogue.distributions().get(os)
    return f"{_left(os, base)}: {_instead(base)}" if base and base.mirror else ""


def expired(os: str) -> str:
    """Return what a person can do about a mirror whose lists of a distribution have expired."""
    base = catalogue.distributions().get(os)
    if base and base.mirror:
        return f"{_left(os, base)}, whose lists expire: {_instead(base)}, with `Acquire::Check-Valid-Until false`"
    return "the mirror is out of date, or the clock of this machine is wrong"


def base_python(
    python: str,
    base_python_layers: str,
    os: str = "",
    base_image: str = "",
    bootstrap: str = "",
    apt_layers: str = "",
    dnf_layers: str = "",
) -> Iterator[Diagnostic]:
    """Compare the row's Python with the base's own, where a layer takes that.

    A layer below may have put another Python in front, which a row says in `allow`. Of a private image that calls
    itself ubuntu20.04, the Python is only known where the layer installs it.
    """
    named = of_image(base_image) or of_suite(bootstrap)
    base = catalogue.distributions().get(named or os)
    own = own_python(base_image)
    has = own or (base.python if base else "")
    if not has or not minor(python) or minor(python) == has:
        return
    is_sure = bool(own or named)
    installing = {*apt_layers.split(), *dnf_layers.split()}
    if not is_sure and not installing.issuperset(base_python_layers.split()):
        return
    whose = base_image if own or not base else base.name
    what = f"{_layers(base_python_layers, 'take')} the Python of {whose}, which is {has}, not {minor(python)}"
    ways = [f"python={has}", *_having(minor(python)), "a layer that brings a Python, as Miniconda does"]
    remedy = "take " + ", or ".join(ways)
    yield broken("python", what, remedy)


def musl(
    os: str, torch: str = "", tensorflow: str = "", paddle: str = "", tensorrt: str = "", miniconda: str = ""
) -> Iterator[Diagnostic]:
    """No framework has wheels for musl, and Miniconda is not made for it."""
    base = catalogue.distributions().get(os)
    if not base or base.libc != "musl":
        return
    given = {"torch": torch, "tensorflow": tensorflow, "paddle": paddle, "tensorrt": tensorrt, "miniconda": miniconda}
    for name, value in given.items():
        if value:
            what = f"{name} {value} is made for glibc, and {os} has musl"
            yield impossible(name, what, "take a base of Debian, Ubuntu or Red Hat's family")


def _left(os: str, base: Distribution) -> str:
    """Say of a distribution past its end that its packages are elsewhere."""
    gone = "its packages have left the mirrors that its images name"
    leaving = "some of its packages have left the mirrors"
    return f"{os} gets no fixes since {base.eol}, and {gone if base.mirror == _GONE else leaving}"


def _instead(base: Distribution) -> str:
    archive = _ARCHIVES.get(base.kind, "")
    return f"take a newer base ({_newer(base)}), or one that is set up for the archive{archive and f' ({archive})'}"


def _all() -> Iterable[Distribution]:
    return dict.fromkeys(catalogue.distributions().values())


def _kind(packages: str) -> str:
    return "dnf" if packages in _RED_HAT else packages


def _layers(names: str, verb: str = "install") -> str:
    words = names.split()
    return f"layer {names} {verb}s" if len(words) == 1 else f"layers {', '.join(words)} {verb}"


def _newer(old: Distribution) -> str:
    """Return in words the distributions with the same package manager whose packages are on the mirrors."""
    today = catalogue.now()
    living = [
        each
        for each in _all()
        if _kind(each.packages) == _kind(old.packages) and not each.mirror and (each.eol or today) >= today
    ]
    same = [each.name for each in living if each.kind == old.kind]
    return ", ".join(same or [each.name for each in living])


def _having(python: str) -> Iterator[str]:
    names = [each.name for each in _all() if each.python == python and not each.mirror and each.packages == "apt"]
    if names:
        yield f"a base of {' or '.join(names)}, which has {python}"
