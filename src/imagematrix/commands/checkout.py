"""Says what a run is of: project, branch, commit and a link, for the report and for chats."""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Final

from imagematrix import git
from imagematrix.report.document import Checkout
from imagematrix.repository import Repository
from imagematrix.shell import Shell

LINK: Final = "IMAGEMATRIX_REPORT_URL"
"""Says where the report is published, if it is."""
_PROJECTS: Final = ("GITHUB_REPOSITORY", "CI_PROJECT_PATH")
_BRANCHES: Final = ("GITHUB_HEAD_REF", "GITHUB_REF_NAME", "CI_COMMIT_REF_NAME", "BRANCH_NAME")
_LINKS: Final = (LINK, "CI_JOB_URL", "BUILD_URL")
"""Variables of GitHub, GitLab and Jenkins, the first of which counts."""
_REMOTE: Final = re.compile(r"(?:[a-z+]+://[^/]*/|[^/:]+:(?!//)|/)(?P<path>.+)")
"""An address of git, and its path, which holds no login: `https://…/team/images.git`, `git@host:team/images.git`."""


def of(repository: Repository) -> Checkout:
    """Return what a run in this repository is of, now."""
    root = repository.root
    return described(
        os.environ,
        branch=git.branch(root),
        commit=git.revision(Shell(), root),
        remotes=git.remotes(root),
        folder=repository.git_root.name,
    )


def described(
    environment: Mapping[str, str], *, branch: str, commit: str, remotes: Sequence[str], folder: str
) -> Checkout:
    """Decide what to call a run: the CI system knows the branch of a detached commit, git what lies here."""
    named = next((name for name in map(_project, remotes) if name), folder)
    return Checkout(
        project=_first(environment, _PROJECTS) or named,
        branch=branch or _first(environment, _BRANCHES),
        commit=commit,
        link=_first(environment, _LINKS) or _github_run(environment),
    )


def _project(remote: str) -> str:
    """Return the last two parts of an address's path."""
    match = _REMOTE.fullmatch(remote)
    parts = [part for part in match["path"].split("/") if part] if match else []
    return "/".join(parts[-2:]).removesuffix(".git")


def _first(environment: Mapping[str, str], names: Sequence[str]) -> str:
    return next((environment[name] for name in names if environment.get(name)), "")


def _github_run(environment: Mapping[str, str]) -> str:
    parts = [environment.get(name, "") for name in ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")]
    return "{}/{}/actions/runs/{}".format(*parts) if all(parts) else ""
