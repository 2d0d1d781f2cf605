"""A base in a real registry: locked to its digest, and built from that."""

import io
from collections.abc import Mapping

from tests.integration.monorepo import Monorepo, outcomes

from imagematrix.planning import lock


def push(monorepo: Monorepo, name: str, content: str) -> str:
    """Push an image under a name, which may have been another's; return its digest. The engine keeps none of it."""
    images = monorepo.client.images
    recipe = f"FROM imagematrix/base:bookworm\nENV CONTENT={content}\n"
    images.build(fileobj=io.BytesIO(recipe.encode()), tag=name, rm=True)
    images.push(name)
    digest = str(images.get_registry_data(name).id)
    images.remove(name)
    return digest


def locked(monorepo: Monorepo) -> Mapping[str, str]:
    return lock.parse((monorepo.root / "matrix.lock").read_text()).bases


def keys(monorepo: Monorepo) -> list[str]:
    return [row["key"] for row in monorepo.run("list", "--json").json()["rows"]]


def contents(monorepo: Monorepo) -> set[str]:
    rows = monorepo.run("list", "--json").json()["rows"]
    return {monorepo.output(row["image"], "printenv", "CONTENT").strip() for row in rows}


def test_a_pulled_base(monorepo: Monorepo, registry: str) -> None:
    """Its digest is in the lock and in the keys; builds pull that, wherever the tag points by then."""
    monorepo.build()  # makes the base that ours are made of
    name = f"{registry}/{monorepo.family}/base:1"
    one = push(monorepo, name, "one")
    monorepo.edit("matrix.toml", 'bootstrap = "bookworm"', f'image = "{name}"')
    by_name = keys(monorepo)

    done = monorepo.run("lock")
    assert done.code == 0, done.out + done.err
    assert f"base {name}: {one}\nmatrix.lock: commit it\n" in done.out
    assert locked(monorepo) == {name: one}
    assert set(keys(monorepo)).isdisjoint(by_name)

    two = push(monorepo, name, "two")
    at_one = keys(monorepo)
    done, report = monorepo.build()
    assert done.code == 0, done.out + done.err
    assert contents(monorepo) == {"one"}
    image = monorepo.client.images.get(report["leaves"][0]["image"])
    assert image.labels["org.opencontainers.image.base.digest"] == one

    again = monorepo.run("lock")
    assert (again.code, again.out) == (0, "0 locks, 0 resolved, 0 files changed\n")
    assert (locked(monorepo), keys(monorepo)) == ({name: one}, at_one)

    assert monorepo.run("lock", "--upgrade").code == 0
    assert locked(monorepo) == {name: two}
    assert set(keys(monorepo)).isdisjoint(at_one)
    done, report = monorepo.build()
    assert done.code == 0, done.out + done.err
    assert outcomes(report)["tools"] == ["built"]
    assert contents(monorepo) == {"two"}


def test_a_base_from_a_mirror(monorepo: Monorepo, registry: str) -> None:
    """Its digest is asked there, and it is pulled from there; locks, keys and images know nothing of it."""
    name = f"{monorepo.family}/base:1"
    digest = push(monorepo, f"{registry}/{name}", "mirrored")
    monorepo.edit("matrix.toml", 'bootstrap = "bookworm"', f'image = "base.example.com/{name}"')
    monorepo.edit(
        "matrix.toml", "schema = 1\n", f'schema = 1\nsites.here.mirrors = {{"base.example.com" = "{registry}"}}\n'
    )
    monorepo.edit("matrix.toml", 'app = ["1.1", "1.2", "1.3"]', 'app = ["1.1"]')

    done = monorepo.run("lock", "--site", "here")
    assert done.code == 0, done.out + done.err
    assert locked(monorepo) == {f"base.example.com/{name}": digest}

    done, report = monorepo.build("--site", "here")
    assert done.code == 0, done.out + done.err
    assert contents(monorepo) == {"mirrored"}
    labels = monorepo.client.images.get(report["leaves"][0]["image"]).labels
    assert labels["org.opencontainers.image.base.name"] == f"base.example.com/{name}"
    assert registry not in "".join(labels.values())


def test_registries_that_cannot_tell(monorepo: Monorepo, registry: str) -> None:
    """One without the image, and one that is not there: told, and no error."""
    nowhere = "localhost:9/team/base:1"
    nothing = f"{registry}/{monorepo.family}/none:1"
    text = (monorepo.root / "matrix.toml").read_text()
    text = text.replace('bootstrap = "bookworm"', f'image = "{nowhere}"').replace(
        '["debian12"]', '["debian12", "other"]'
    )
    text = text.replace('tag = "', 'tag = "{base}-') + f'\n[bases.other]\nimage = "{nothing}"\nos = "debian12"\n'
    (monorepo.root / "matrix.toml").write_text(text)

    done = monorepo.run("lock", "--upgrade")
    assert done.code == 0, done.out + done.err
    lines = done.out.splitlines()
    assert lines[0] == f"base {nothing}: not found"
    assert lines[1] == "registry localhost:9 does not answer (Connection refused): 1 base in it is unchanged"
    assert not (monorepo.root / "matrix.lock").exists()
