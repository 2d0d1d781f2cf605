"""A chat that webhooks tell."""

from http.server import BaseHTTPRequestHandler


class Chat(BaseHTTPRequestHandler):
    """Takes messages, after it has refused some."""

    refusals: list[int]
    heard: list[bytes]

    def do_POST(self) -> None:  # its name is the library's
        """Answer with the next refusal, else take it."""
        self.heard.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(self.refusals.pop(0) if self.refusals else 200)
        self.end_headers()

    def do_GET(self) -> None:  # its name is the library's
        """Take a call as if it were a message: what is remembered of it is its path."""
        self.heard.append(self.path.encode())
        self.send_response(self.refusals.pop(0) if self.refusals else 200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""
