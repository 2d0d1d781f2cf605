"""Which waiting job goes to which machine's free worker slot."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from imagematrix.planning.dispatch import Dispatch


def of(slots: Mapping[str, int], *jobs: tuple[str, str, float]) -> Dispatch:
    """Return the state with machines, and jobs that wait: name, machines, priority."""
    made = Dispatch()
    made.take_machines(slots)
    for name, machines, priority in jobs:
        made.add(name, machines, priority=priority, seconds=10.0)
    return made


def nothing(_job: str, _machine: str) -> float:
    """Say that every machine has everything."""
    return 0.0


def test_the_most_urgent_job_goes_first() -> None:
    """Among equals the one that came first; the rest waits."""
    dispatch = of({"a": 2}, ("later", "a", 1.0), ("last", "a", 1.0), ("urgent", "a", 2.0))
    assert dispatch.assign(nothing) == [("urgent", "a"), ("later", "a")]
    assert dispatch.assign(nothing) == []
    dispatch.done("urgent")
    assert dispatch.assign(nothing) == [("last", "a")]
    assert dispatch.waiting() == ()


def test_a_job_that_waits_for_another_machine_is_passed_over() -> None:
    dispatch = of({"a": 1, "b": 1}, ("here", "a", 3.0), ("also here", "a", 2.0), ("there", "ab", 1.0))
    assert dispatch.assign(nothing) == [("here", "a"), ("there", "b")]
    dispatch.move("also here", "b")
    dispatch.done("there")
    assert dispatch.assign(nothing) == [("also here", "b")]


def test_a_job_goes_where_it_can_begin_soonest() -> None:
    """Among equals to the machine with the most free worker slots."""
    pulls = {"a": 5.0, "b": 1.0, "c": 1.0}
    dispatch = of({"a": 9, "b": 1, "c": 2}, *((name, "abc", 0.0) for name in ("1", "2", "3")))
    given = dispatch.assign(lambda _job, machine: pulls[machine])
    assert [machine for _, machine in given] == ["c", "b", "c"]


def test_a_job_waits_for_a_busy_machine_if_others_would_pull_for_longer() -> None:
    """A busy machine has done half of its job of 10 s; each job that waits for it takes 10 s more."""
    for seconds, there in ((4.0, ["b", "b"]), (6.0, ["b"]), (16.0, [])):
        dispatch = of({"a": 1, "b": 2}, ("first", "a", 1.0))
        dispatch.assign(nothing)
        dispatch.add("second", "ab", priority=0.0, seconds=10.0)
        dispatch.add("third", "ab", priority=0.0, seconds=10.0)
        given = dispatch.assign(lambda _job, machine, pull=seconds: 0.0 if machine == "a" else pull)  # type: ignore[misc]
        assert [machine for _, machine in given] == there


def test_machines_that_leave_and_come_back() -> None:
    """One that takes no jobs any more still has those that it had; one that is gone has none."""
    dispatch = of({"a": 1}, ("first", "a", 0.0), ("second", "a", 0.0))
    assert dispatch.assign(nothing) == [("first", "a")]
    dispatch.take_machines({})
    dispatch.take_machines({"a": 1})
    assert dispatch.assign(nothing) == []
    dispatch.forget("a")
    assert dispatch.assign(nothing) == [("second", "a")]


def test_a_job_that_is_withdrawn() -> None:
    """It waits no longer; what a machine has stays there."""
    dispatch = of({"a": 1}, ("first", "a", 0.0), ("second", "a", 0.0))
    dispatch.assign(nothing)
    dispatch.withdraw("second")
    dispatch.withdraw("first")
    assert dispatch.waiting() == ()
    dispatch.add("third", "a", priority=0.0, seconds=10.0)
    assert dispatch.assign(nothing) == []
    dispatch.done("first")
    assert dispatch.assign(nothing) == [("third", "a")]


@given(
    slots=st.dictionaries(st.sampled_from("abc"), st.integers(1, 3)),
    jobs=st.lists(st.tuples(st.sets(st.sampled_from("abc")), st.floats(0, 9)), max_size=12),
)
def test_no_worker_slot_stays_free_for_a_job_that_could_have_it(
    slots: dict[str, int], jobs: list[tuple[set[str], float]]
) -> None:
    """And none has two jobs."""
    dispatch = of(slots, *((str(number), "".join(machines), urgent) for number, (machines, urgent) in enumerate(jobs)))
    given = dispatch.assign(nothing)
    free = {name: most - sum(machine == name for _, machine in given) for name, most in slots.items()}
    assert all(left >= 0 for left in free.values())
    assert all(machine in jobs[int(job)][0] for job, machine in given)
    for job in dispatch.waiting():
        assert not any(free.get(machine) for machine in jobs[int(job)][0])
