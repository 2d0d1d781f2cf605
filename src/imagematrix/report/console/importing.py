"""What `import` did, or would do, for a reader."""

from collections.abc import Iterator
from typing import Final

from imagematrix.model import MATRIX
from imagematrix.planning.importing import ImportDraft, ImportResult
from imagematrix.text.formatting import count

_ALWAYS: Final = "each leaf also has the labels of its row, and its steps see LC_ALL=C.UTF-8, LANGUAGE=C and EPOCH"


def imported_text(done: ImportResult) -> str:
    """Write which images were imported, what was written for them, each difference, and what to do next."""
    draft = done.draft
    if not draft.rows:
        return "nothing is imported"
    return "\n".join([*_rows(done), *_files(done), *_differences(done), *_next(done)])


def _rows(done: ImportResult) -> Iterator[str]:
    rows = done.draft.rows
    yield f"{count(len(rows), 'image')} {'would be ' if done.dry else ''}imported:"
    width = max(len(row.name) for row in rows)
    yield from (f"    {row.name:<{width}}  from {row.image.own.place}" for row in rows)


def _files(done: ImportResult) -> Iterator[str]:
    if done.why_beside:
        yield f"{MATRIX} is left as it is, because the draft cannot be added to it: {done.why_beside}"
    if done.dry:
        yield f"--- {done.matrix}{' (exists; added at its end)' if done.is_added else ''}\n{done.text}"
        yield from _templates(done.draft)
        return
    yield f"{done.matrix}: {'tables added at its end' if done.is_added else 'written'}"
    for layer in done.draft.layers:
        if not layer.whole:
            yield f"common/layers/{layer.name}: {count(len(layer.written), 'file')} written"


def _templates(draft: ImportDraft) -> Iterator[str]:
    for layer in draft.layers:
        if not layer.whole:
            copies = "".join(f"    and files/{file.path}\n" for file in layer.files)
            yield f"--- common/layers/{layer.name}/Dockerfile.j2\n{layer.template}{copies}"


def _differences(done: ImportResult) -> Iterator[str]:
    yield f"{count(len(done.differences), 'difference')} to what was:"
    for each in done.differences:
        hint = f": {each.hint}" if each.hint else ""
        yield f"    {each.place}: {each.message}{hint}"
    yield f"    {_ALWAYS}"


def _next(done: ImportResult) -> Iterator[str]:
    if done.dry:
        yield "nothing was written (--dry-run)"
        return
    flag = "" if done.matrix == MATRIX else f" --file {done.matrix}"
    yield f"next: invoke check{flag}; then invoke render{flag}, and invoke build --matrix{flag}"
    yield "    render writes images/FAMILY/TAG, and refuses to replace other files there: move those away first"
