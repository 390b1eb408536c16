"""The Kubernetes API by plain HTTPS: as much as tests need, an answer in some milliseconds."""

import json
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

Body = dict[str, object]


@dataclass(frozen=True)
class Answer:
    """What the server said: its status, and the object or `Status` in the body."""

    status: int
    body: Body
    warnings: tuple[str, ...] = ()

    @property
    def accepted(self) -> bool:
        """True for 2xx."""
        return self.status < 300

    @property
    def message(self) -> str:
        """What a refusal says."""
        return str(self.body.get("message", ""))


@dataclass(frozen=True)
class ApiClient:
    """A server's address, a bearer token, and the file of the certificate that it must show."""

    address: str
    token: str
    certificate: Path

    def is_ready(self) -> bool:
        """True once the server serves all of its API."""
        try:
            return self.certificate.exists() and self._ask("GET", "/readyz", None, "")[0] == 200
        except (urllib.error.URLError, ConnectionError, ssl.SSLError):
            return False

    def ask(self, method: str, path: str, body: object = None, content: str = "application/json") -> Answer:
        """Send a request with a JSON body, if any, and read the JSON answer."""
        status, data, warnings = self._ask(method, path, body, content)
        return Answer(status, _parsed(data), warnings)

    def _ask(self, method: str, path: str, body: object, content: str) -> tuple[int, bytes, tuple[str, ...]]:
        request = urllib.request.Request(  # noqa: S310 - the address is ours
            f"{self.address}{path}",
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": content, "Accept": "application/json"},
        )
        context = ssl.create_default_context(cafile=str(self.certificate))
        try:
            with urllib.request.urlopen(request, context=context, timeout=30) as reply:  # noqa: S310 - as above
                return reply.status, reply.read(), tuple(reply.headers.get_all("Warning", []))
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, refusal.read(), ()


def _parsed(data: bytes) -> Body:
    """The JSON in a body. Of a group that it does not serve yet the server speaks in plain text."""
    try:
        body: Body = json.loads(data)
    except ValueError:
        return {"message": data.decode(errors="replace")}
    return body
