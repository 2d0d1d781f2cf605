"""What a build prints, in characters that are seen."""

import pytest

from imagematrix.planning import failure
from imagematrix.text.visible import visible


@pytest.mark.parametrize("code", [*range(0x20), 0x7F, *range(0x80, 0xA0), 0xAD, 0x200B, 0x2028, 0x202E, 0x2066, 0xFEFF])
def test_what_is_not_seen(code: int) -> None:
    """Each such character but the tab becomes others, that are."""
    shown = visible(f"a{chr(code)}b")
    assert shown == "a\tb" if chr(code) == "\t" else shown.isprintable() and shown != f"a{chr(code)}b"


def test_an_index_without_a_package_is_no_riddle() -> None:
    """However uv wraps what it says."""
    said = "No solution found:\n  Because nosuch was not found in the package\n      registry and you require nosuch"
    assert failure.is_not_in_index(said)
    assert not failure.is_not_in_index("Because there is no version of nosuch==1")
