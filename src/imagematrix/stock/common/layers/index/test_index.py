"""pip and uv look for packages where the image's destination has them, for every user."""

from collections.abc import Mapping

from testinfra.host import Host

UV = "/etc/uv/uv.toml"


def test_pip_asks_the_destinations_index(host: Host, row: Mapping[str, str]) -> None:
    """Without pip in the image, only the file is checked: a later layer may bring pip."""
    if host.exists("pip"):
        assert host.check_output("pip config get global.index-url") == row["pip_index"]
    else:
        assert f"index-url = {row['pip_index']}" in host.file("/etc/pip.conf").content_string.splitlines()


def test_pip_trusts_an_index_without_tls(host: Host, row: Mapping[str, str]) -> None:
    """It refuses one otherwise."""
    said = "".join(host.run("cat /opt/python/pip.conf /etc/pip.conf 2> /dev/null").stdout.split())
    is_plain = row["pip_index"].startswith("http:")
    assert (f"trusted-host={row['pip_index'].split('/')[2]}" in said) == is_plain


def test_uv_asks_the_destinations_index(host: Host, row: Mapping[str, str]) -> None:
    assert f'url = "{row["pip_index"]}"' in host.file(UV).content_string.splitlines()
    if host.exists("uv"):
        assert host.run("uv --offline pip list").succeeded, f"{UV} is not understood"
