"""The schema command: what editors know of matrix.toml."""

from imagematrix.commands.command import command


@command
def schema() -> None:
    """Print the JSON Schema of matrix.toml, which editors use to complete and check it."""
    from imagematrix.matrix import schema as schemas

    print(schemas.text())
