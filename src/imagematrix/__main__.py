"""`python -m imagematrix`: the command without an installed script."""

from imagematrix.cli import program

program.run()
