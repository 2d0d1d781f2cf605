"""service.toml: what a service of containers is, for run examples, manifests, READMEs and the layer that starts it."""

from collections.abc import Collection
from typing import Final

from imagematrix.errors import did_you_mean
from imagematrix.model import File, Service, Setting
from imagematrix.text import toml_text
from imagematrix.text.shape import Mistakes, Table, refuse_control_characters

FILE: Final = "service.toml"

_KEYS: Final = ("layers", "program", "port", "host_port", "title", "use", "note", "ready", "root", "settings")
_SETTING_KEYS: Final = ("kind", "default", "meaning", "kubectl")
_PORTS: Final = range(1, 1 << 16)


def parse(text: str, name: str, *, layers: Collection[str], files: tuple[File, ...], file: str) -> Service:
    """Return the service that a folder declares; raise InputError with every problem.

    `layers` are the layers there are; `files` are the folder's other files, `file` is what messages call the text.
    """
    mistakes = Mistakes("service")
    values = toml_text.read(text, file=file)
    refuse_control_characters(values, (), mistakes)
    table = Table(values, (), mistakes)
    table.allow(*_KEYS)
    for key in ("layers", "program", "port", "title"):
        table.require(key, f"expected one of: {', '.join(_KEYS)}")
    port = _port(table, "port", 0)
    service = Service(
        name=name,
        layers=_layers(table, layers),
        program=table.text("program"),
        port=port,
        host_port=_port(table, "host_port", port),
        title=table.text("title"),
        use=table.text("use"),
        note=table.text("note"),
        ready=table.text("ready"),
        root=_flag(table, "root"),
        settings=tuple(_setting(table.table("settings").table(key), key) for key in table.table("settings")),
        files=files,
    )
    mistakes.raise_any(text, file=file)
    return service


def _layers(table: Table, known: Collection[str]) -> tuple[str, ...]:
    found = table.texts("layers")
    for layer, at in found.items():
        if layer not in known:
            table.wrong(at, f"there is no layer {layer!r}", did_you_mean(layer, known))
    return tuple(found)


def _port(table: Table, key: str, default: int) -> int:
    port = table.raw(key)
    if port is None:
        return default
    if type(port) is int and port in _PORTS:
        return port
    table.wrong(key, f"{port!r} is not a port", "expected a number from 1 to 65535")
    return default


def _flag(table: Table, key: str) -> bool:
    value = table.raw(key)
    if value not in {None, True, False} or type(value) is int:
        table.wrong(key, f"{value!r} is neither true nor false")
    return value is True


def _setting(table: Table, name: str) -> Setting:
    table.allow(*_SETTING_KEYS)
    for key in ("kind", "meaning"):
        table.require(key, f"expected one of: {', '.join(_SETTING_KEYS)}")
    return Setting(
        name=name,
        kind=table.text("kind"),
        default=table.text("default"),
        meaning=table.text("meaning"),
        kubectl=table.text("kubectl"),
    )
