"""The user that an image runs as, instead of root."""

import pytest
from tests.unit.test_compat import row

from imagematrix import compat


def codes(run_as: str) -> set[str]:
    return {each.code for each in compat.findings(row(run_as=run_as)) if each.severity.is_error}


@pytest.mark.parametrize("run_as", ["1000", "1", "1000700000", "2147483647"])
def test_an_id(run_as: str) -> None:
    assert "run_as_is_an_id" not in codes(run_as)


@pytest.mark.parametrize("run_as", ["0", "000", "root", "user", "-1", "1000:0", "10 00", "², 1000", "²", "9" * 5000])
def test_what_is_not_the_id_of_a_user_other_than_root(run_as: str) -> None:
    """Kubernetes' `runAsNonRoot` takes numbers alone."""
    assert "run_as_is_an_id" in codes(run_as)
