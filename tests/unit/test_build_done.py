"""What two acts of one run have done, joined: the later one follows when images were removed under the first one."""

from tests.fakes import row

from imagematrix.commands.build.decision import BuildDone
from imagematrix.model import Key, Outcome, Pushed, PushStatus, Status
from imagematrix.planning.publication import Publication, Published, PublishOutcome, Target

TOOLS, APP, OTHER = (Key(letter * 64) for letter in "abc")


def ended(key: Key, status: Status, *, started: float | None = None, lost: bool = False) -> Outcome:
    attempts = int(started is not None)
    return Outcome(key=key, status=status, started=started, attempts=attempts, lost_source=lost)


def test_what_the_first_one_built_and_the_second_one_found_was_built_by_this_run() -> None:
    first = BuildDone(
        outcomes=(
            ended(TOOLS, Status.REUSED),
            ended(OTHER, Status.BUILT, started=1.0),
            ended(APP, Status.FAILED, started=2.0, lost=True),
        )
    )
    later = BuildDone(
        outcomes=(
            ended(TOOLS, Status.BUILT, started=0.0),
            ended(OTHER, Status.REUSED),
            ended(APP, Status.BUILT, started=3.0),
        )
    )
    joined = first.followed_by(later, after=10.0)

    assert (first.lost_sources, joined.lost_sources) == (1, 0)
    assert [(each.status, each.started) for each in joined.outcomes] == [
        (Status.BUILT, 10.0),
        (Status.BUILT, 1.0),
        (Status.BUILT, 13.0),
    ]


def test_what_someone_else_built_meanwhile_is_there() -> None:
    first = BuildDone(outcomes=(ended(APP, Status.FAILED, started=2.0, lost=True),))
    joined = first.followed_by(BuildDone(outcomes=(ended(APP, Status.REUSED),)), after=10.0)

    assert [each.status for each in joined.outcomes] == [Status.REUSED]


def test_the_last_word_on_a_push_counts() -> None:
    failed = Pushed(key=APP, name="app", status=PushStatus.FAILED)
    pushed = Pushed(key=APP, name="app", status=PushStatus.PUSHED)
    other = Pushed(key=OTHER, name="other", status=PushStatus.PUSHED)
    first = BuildDone(outcomes=(), pushes=(failed, other))

    assert first.followed_by(BuildDone(outcomes=(), pushes=(pushed,)), after=1.0).pushes == (pushed, other)


def test_what_was_published_before_is_no_less_new_when_it_is_offered_again() -> None:
    def published(outcome: PublishOutcome) -> Publication:
        return Publication(
            row=row("app:1"), tags=(Published(target=Target(repository="host/app", tag="1"), outcome=outcome),)
        )

    new, kept, failed = map(published, (PublishOutcome.PUSHED, PublishOutcome.KEPT, PublishOutcome.FAILED))
    for first, later, both in ((new, kept, new), (failed, new, new), (new, failed, failed)):
        joined = BuildDone(outcomes=(), published=(first,)).followed_by(
            BuildDone(outcomes=(), published=(later,)), after=1.0
        )
        assert joined.published == (both,)
