"""Which releases of a package have wheels for which Python."""

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from imagematrix.compat.finding import impossible, unknown
from imagematrix.diagnostics import Diagnostic
from imagematrix.text.versions import minor, normal, span, version


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheels:
    """A package's releases, oldest first, with their Pythons."""

    package: str
    pythons: Mapping[str, tuple[str, ...]]
    horizon: str
    """The newest Python that the catalogue can speak of."""
    outlook: str
    """What to do about a version that is too new for the catalogue."""
    names: Mapping[Hashable, str] = field(repr=False)
    """In any spelling (`2.3` for `2.3.0`) -> as the catalogue writes it."""

    @classmethod
    def of(cls, package: str, pythons: Mapping[str, Iterable[str]], *, horizon: str, outlook: str) -> "Wheels":
        """Take releases, oldest first."""
        return cls(
            horizon=horizon,
            outlook=outlook,
            package=package,
            pythons={name: tuple(on) for name, on in pythons.items()},
            names={normal(name): name for name in pythons},
        )

    def release(self, text: str) -> str:
        """Return the release as the catalogue writes it (`2.3.0` for `2.3` or `2.3.0+cu121`), or nothing."""
        return self.names.get(normal(text), "")

    @property
    def extent(self) -> str:
        """The oldest and the newest release."""
        names = tuple(self.pythons)
        return f"{names[0]}-{names[-1]}"

    def unseen(self, about: str, value: str) -> Diagnostic:
        """Return the warning for a release that is not in the catalogue."""
        if is_newer(value, tuple(self.pythons)[-1]):
            return unknown(about, f"{self.package} {value} is newer than the catalogue ({self.extent})", self.outlook)
        what = f"{self.package} {value} is not in the catalogue ({self.extent})"
        near = [name for name in self.pythons if minor(name) == minor(value)]
        return unknown(
            about, what, f"known of {minor(value)}: {', '.join(near)}" if near else "nothing is known about it"
        )

    def on_python(self, about: str, value: str, python: str) -> Iterator[Diagnostic]:
        """Yield what is wrong with a release on a Python."""
        release = self.release(value)
        if not release:
            yield self.unseen(about, value)
        elif not minor(python) or minor(python) in self.pythons[release]:
            return
        elif is_newer(python, self.horizon):
            what = f"whether {self.package} {value} has a wheel for Python {minor(python)} is not known"
            yield unknown(about, what, self.outlook)
        else:
            yield no_wheel(self.package, about, value, python, self.pythons[release], self.nearest(release, python))

    def nearest(self, release: str, python: str) -> str:
        """Return in words the release nearest to one that has wheels for a Python."""
        names = list(self.pythons)
        having = [name for name in names if minor(python) in self.pythons[name]]
        later = [name for name in having if names.index(name) > names.index(release)]
        if later:
            return f"the first {self.package} with {minor(python)} is {later[0]}"
        if having:
            return f"the last {self.package} with {minor(python)} is {having[-1]}"
        return f"no {self.package} has wheels for {minor(python)}"


def is_newer(one: str, other: str) -> bool:
    """Whether a version is above another; a text that is not a version never is."""
    left, right = version(one), version(other)
    return bool(left and right and left > right)


def no_wheel(package: str, about: str, value: str, python: str, pythons: Iterable[str], nearest: str) -> Diagnostic:
    """Return the finding that a release has wheels, but not for this Python."""
    what = f"{package} {value} has no wheel for Python {minor(python)}"
    return impossible(about, what, f"wheels exist for {span(pythons)}; {nearest}")
