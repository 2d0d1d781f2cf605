"""A chat that webhooks tell."""

from http.server import BaseHTTPRequestHandler


class Chat(BaseHTTPRequestHandler):
    """Takes messages, after it has refused some."""

    refusals: list[int]
    heard: list[bytes]
    asked: list[str]
    """The paths of requests, with what is behind the question mark."""
    answers: list[str]
    """The bodies of the next answers; without one it is empty."""

    def do_POST(self) -> None:  # its name is the library's
        """Answer with the next refusal, else take it."""
        self.heard.append(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer()

    def do_GET(self) -> None:  # its name is the library's
        """Take a call as if it were a message: what is remembered of it is its path."""
        self.heard.append(self.path.encode())
        self._answer()

    def _answer(self) -> None:
        self.asked.append(self.path)
        self.send_response(self.refusals.pop(0) if self.refusals else 200)
        self.end_headers()
        self.wfile.write(self.answers.pop(0).encode() if self.answers else b"")

    def log_message(self, *_: object) -> None:
        """Say nothing."""
