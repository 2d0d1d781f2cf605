"""A socket between clients and the engine that can be cut: an engine that dies, without killing the real one."""

import socket
import threading
from pathlib import Path


class Relay:
    """Passes connections on to an engine's socket until it is cut."""

    def __init__(self, path: Path, engine: str) -> None:
        self.host = f"unix://{path}"
        self._engine = engine.removeprefix("unix://")
        self._path = path
        self._open: list[socket.socket] = []
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def cut(self) -> None:
        """Drop every connection and answer no more."""
        self._path.unlink(missing_ok=True)
        for end in (self._server, *self._open):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:  # the other side was faster
                continue
            finally:
                end.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
                engine = socket.socket(socket.AF_UNIX)
                engine.connect(self._engine)
            except OSError:  # it was cut
                return
            self._open += [client, engine]
            for source, target in ((client, engine), (engine, client)):
                threading.Thread(target=_pump, args=(source, target), daemon=True).start()


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while chunk := source.recv(65536):
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)
    except OSError:  # it was cut
        return
