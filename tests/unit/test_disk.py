"""The disk guard: what it refuses, and in which words."""

from collections.abc import Collection
from typing import Final

from tests.fakes import plan_of

from imagematrix.engine.disk import RESERVE_BYTES, Guard
from imagematrix.errors import NoEngineError
from imagematrix.model import Key

GB: Final = 10**9
PLAN: Final = plan_of(dict.fromkeys("abc"))
A: Final = PLAN.steps[0]


def guard(*, free: int, reclaimable: int = 0, most: int = 0) -> Guard:
    needs = {Key("a"): 2 * GB, Key("b"): 5 * GB, Key("c"): 7 * GB}
    return Guard(
        needs=needs,
        free=lambda: free,
        reclaimable=lambda nights: most if nights == 0 else reclaimable,
        pause=lambda _: None,
    )


def refusal(free: int, running: Collection[str] = ()) -> str:
    return guard(free=free).refusal(A, [Key(key) for key in running])


def test_what_fits_is_started() -> None:
    """With what the others may still take, and a reserve: to the byte."""
    assert refusal(2 * GB + RESERVE_BYTES) == ""
    assert refusal(2 * GB + RESERVE_BYTES - 1) != ""
    assert refusal(14 * GB + RESERVE_BYTES, "bc") == ""
    assert refusal(14 * GB + RESERVE_BYTES - 1, "bc") != ""


def test_a_refusal_says_what_is_missing_and_what_frees_it() -> None:
    """In numbers, and with the command."""
    said = "disk guard: 1.0 GB free, 2.5 GB needed; `invoke gc` "
    assert guard(free=GB, reclaimable=40 * GB, most=40 * GB).refusal(A, []) == f"{said}could free 40 GB"
    others = guard(free=GB).refusal(A, [])
    assert "`docker system df`" in others
    assert "`invoke gc --all`" in others  # what fills the disk is not this checkout's
    keeping = guard(free=GB, reclaimable=GB, most=40 * GB).refusal(A, [])
    assert keeping == f"{said}could free 1.0 GB, `invoke gc --keep 0` 40 GB"


def test_an_engine_that_is_gone_is_not_this_ones_news() -> None:
    """The disk is too full all the same."""

    def gone(_: int | None) -> int:
        raise NoEngineError("the engine stopped answering")

    refused = Guard(needs={Key("a"): GB}, free=lambda: 0, reclaimable=gone, pause=lambda _: None).refusal(A, [])
    assert refused == "disk guard: 0 B free, 1.5 GB needed"


def test_what_a_failed_build_took_comes_back_after_a_moment() -> None:
    """It is waited for only when nothing runs: else the next that ends asks again."""

    def refusal_of_a_disk(*free: int, running: Collection[Key] = ()) -> str:
        answers = iter(free)
        needs = {Key("a"): 2 * GB, Key("b"): 0}
        disk = Guard(needs=needs, free=lambda: next(answers), reclaimable=lambda _: 0, pause=lambda _: None)
        return disk.refusal(A, running)

    assert refusal_of_a_disk(0, 0, 3 * GB) == ""
    assert refusal_of_a_disk(0, 0, running=[Key("b")]).startswith("disk guard: 0 B free")
