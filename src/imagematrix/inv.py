"""`python -m imagematrix.inv`: the commands of a repository's tasks.py, with the help and the hints of imagematrix."""

from imagematrix.cli import with_tasks

with_tasks.run()
