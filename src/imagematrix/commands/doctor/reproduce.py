"""Installs the files of a package layer twice, each time anew, and compares them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from imagematrix import scratch, site
from imagematrix.commands.build.decision import TIME_LIMIT_SECONDS
from imagematrix.engine import Engine, builder, exported
from imagematrix.engine.builder import Builder
from imagematrix.errors import FlagError, UserError
from imagematrix.model import BuildJob, Key, Step, Verdict
from imagematrix.planning import jobs, reproducible
from imagematrix.planning.reproducible import Comparison, Fingerprint
from imagematrix.planning.trust import nodes
from imagematrix.project import Project, Selection
from imagematrix.shell import Shell
from imagematrix.text.formatting import label


def run(
    project: Project, selection: Selection, name: str, *, engine: Engine, said: Callable[[str], None]
) -> Comparison:
    """Compare two installations of the package layer whose key begins so; `said` hears what is being done.

    Raises FlagError where no such node, or nothing that can install it, is there; UserError where it is not installed.
    """
    job, step = _job(project, selection, name, engine)
    with (
        scratch.folder("reproducible") as folder,
        builder.ready(
            engine=engine,
            shell=Shell(),
            where=site.discover(project.matrix.site, root=project.repository.root),
            compression=project.matrix.compression,
            logs=project.state.log,
            said=lambda _key, _line: None,
            waiting=lambda _key, _blockers: None,
        ) as made,
    ):
        installed = []
        for time in ("first", "second"):
            said(f"{label(step)}: {time} installation")
            installed.append(_installed(made, job, folder / f"{time}.tar"))
    return Comparison(node=label(step), paths=len(installed[0]), difference=reproducible.difference(*installed))


def _installed(made: Builder, job: BuildJob, path: Path) -> Mapping[str, Fingerprint]:
    attempt = replace(made, export=path).build(job)
    if not attempt.ok:
        raise UserError(f"{job.layer} was not installed: {attempt.why}\n    log: {attempt.log}")
    found = dict(exported.fingerprints(path))
    path.unlink()
    return found


def _job(project: Project, selection: Selection, name: str, engine: Engine) -> tuple[BuildJob, Step]:
    rows = project.possible(project.rows(selection))
    dag, images = project.dag(project.leaves(rows)), engine.images()
    plan = project.plan(dag, images)
    files = [step for step in plan.steps if step.node.stage.tool and step.node.key.startswith(name)]
    if len(files) != 1:
        what = "several package layers have" if files else "no package layer has"
        raise FlagError(f"--reproducible {name}: {what} a key that begins so\n    `invoke plan --json` lists them")
    step, present = files[0], nodes(images, project.state.bonds())
    tool = next((key for key in dag.tools[step.node.key] if key in present), None)
    if tool is None:
        raise FlagError(
            f"--reproducible {name}: no node that can install {step.node.layer} is on the engine\n"
            f"    run `invoke build --only '{step.leaves[0]}'` first"
        )
    factory = jobs.factory(
        plan,
        lock=project.lock,
        repository="",
        pushed=(),
        kept=(),
        revision="",
        seconds=TIME_LIMIT_SECONDS,
    )
    ids: Mapping[Key, str] = {key: image.id for key, image in present.items()}
    return factory.job(replace(step, verdict=Verdict.BUILD, tool=tool), ids), step
