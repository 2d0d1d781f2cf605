"""What a rule says of a row: diagnostics without a place, which is looked up by what they are about.

`rules` gives them the name of the rule as their code.
"""

from imagematrix.diagnostics import Diagnostic, Severity


def impossible(about: str, message: str, hint: str = "") -> Diagnostic:
    """Return a finding that no reason can overrule."""
    return _finding(Severity.IMPOSSIBLE, about, message, hint)


def broken(about: str, message: str, hint: str = "") -> Diagnostic:
    """Return a finding that a row may overrule by a reason."""
    return _finding(Severity.BROKEN, about, message, hint)


def unknown(about: str, message: str, hint: str = "") -> Diagnostic:
    """Return a warning."""
    return _finding(Severity.UNKNOWN, about, message, hint)


def note(about: str, message: str, hint: str = "") -> Diagnostic:
    """Return a note."""
    return _finding(Severity.NOTE, about, message, hint)


def _finding(severity: Severity, about: str, message: str, hint: str) -> Diagnostic:
    return Diagnostic(code="", severity=severity, about=about, message=message, hint=hint)
