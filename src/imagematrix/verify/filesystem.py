"""An image's filesystem layers, read from the engine in one pass: for `audit` to judge."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from imagematrix import audit
from imagematrix.audit import FilesystemLayer, Rule
from imagematrix.engine import Engine, saved
from imagematrix.engine.saved import Blob
from imagematrix.planning.checks import CheckOutcome, CheckResult

_LINES_SHOWN: Final = 100


def audited(
    engine: Engine, image: str, base: str, rules: Mapping[str, Rule], *, owner: str, stop: Callable[[], bool]
) -> list[CheckResult]:
    """Check an image, by its id, which is built on `base`, by rules: a check for each.

    Raises InterruptedError soon after `stop` says so.
    """
    if not engine.image_id(base):
        why = f"the base {base} is not on the engine, so its filesystem layers cannot be recognised: docker pull {base}"
        return [_check(owner, rule, (why,)) for rule in rules]
    below, all_layers = engine.diff_ids(base), engine.diff_ids(image)
    if all_layers[: len(below)] != below:
        why = f"the image is not built on the {base} that is on the engine now: rebuild it"
        return [_check(owner, rule, (why,)) for rule in rules]
    layers = read(_until(stop, engine.saved(image)), rules)
    command = _command(engine.config(image))
    found = audit.judge(rules, layers, base=base, below=len(below), command=command)
    return [_check(owner, rule, offences) for rule, offences in found.items()]


def _command(config: Mapping[str, Any]) -> tuple[str, ...]:
    return (*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ()))


def _until(stop: Callable[[], bool], chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        if stop():
            raise InterruptedError("the run was stopped")
        yield chunk


def _check(owner: str, rule: str, offences: Sequence[str]) -> CheckResult:
    if not offences:
        return CheckResult(owner=owner, name=rule, outcome=CheckOutcome.PASSED)
    more = len(offences) - _LINES_SHOWN
    tail = (*offences[1:_LINES_SHOWN], *([f"and {more} more"] if more > 0 else []))
    return CheckResult(owner=owner, name=rule, outcome=CheckOutcome.FAILED, why=offences[0], tail=tail)


def read(chunks: Iterator[bytes], rules: Mapping[str, Rule]) -> list[FilesystemLayer]:
    """Keep what rules need of an image, of which `docker save` writes these chunks; return its layers, lowest first."""
    keep = {name: rule.kept for name, rule in rules.items()}

    def kept(blob: Blob) -> FilesystemLayer:
        layer = audit.read(blob.entries(), keep)
        layer.packed = blob.packed()
        return layer

    return saved.layers(chunks, kept, weigh=True)
