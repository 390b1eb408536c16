"""OCI registries on loopback: one by the distribution specification (pulling, with logins), and docker-registry."""

import base64
import hashlib
import http.client
import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.running import wait_until

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
WASM = "application/vnd.wasm.content.layer.v1+wasm"
USER, PASSWORD, TOKEN = "user", "word", "letmein"


def digest_of(data: bytes) -> str:
    """As OCI writes it."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def described(media_type: str, data: bytes) -> dict[str, object]:
    """A descriptor."""
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}


def manifest_of(*layers: tuple[str, bytes]) -> bytes:
    """A manifest of these layers (media type, bytes) with an empty configuration."""
    config = described("application/vnd.oci.empty.v1+json", b"{}")
    found = [described(media_type, data) for media_type, data in layers]
    return json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": found}).encode()


@dataclass
class Registry:
    """What a registry has: manifests (media type, bytes) by tag or digest, blobs by digest. `login`: Bearer or Basic,
    empty for one that lets anybody in. `elsewhere`: blobs are redirected to that URL. `seen`: paths and authorizations.
    """

    login: str = ""
    elsewhere: str = ""
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    seen: list[tuple[str, str]] = field(default_factory=list)
    host: str = ""

    def push(self, tag: str, manifest: bytes, *blobs: bytes, media_type: str = MANIFEST) -> str:
        """Add an artifact; returns the manifest's digest."""
        digest = digest_of(manifest)
        self.manifests[tag] = self.manifests[digest] = (media_type, manifest)
        self.blobs.update({digest_of(blob): blob for blob in blobs})
        return digest

    def answer(self, path: str, authorization: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of a GET."""
        self.seen.append((path, authorization))
        parts = urlsplit(path)
        if parts.path == "/token":
            return self._token(parse_qs(parts.query), authorization)
        if self.login and authorization != self._wanted():
            return 401, {"WWW-Authenticate": self._challenge()}, b"{}"
        _, kind, name = parts.path.rsplit("/", 2)
        if kind == "manifests" and name in self.manifests:
            media_type, data = self.manifests[name]
            return 200, {"Content-Type": media_type, "Docker-Content-Digest": digest_of(data)}, data
        if kind == "blobs" and self.elsewhere:
            return 307, {"Location": f"{self.elsewhere}/{name}"}, b""
        if kind == "blobs" and name in self.blobs:
            return 200, {"Content-Type": "application/octet-stream"}, self.blobs[name]
        return 404, {}, b'{"errors": [{"code": "NAME_UNKNOWN"}]}'

    def _token(self, query: Mapping[str, list[str]], authorization: str) -> tuple[int, dict[str, str], bytes]:
        asked = (query["service"], query["scope"])
        if asked != (["test"], ["repository:a/tool:pull"]) or authorization != basic(USER, PASSWORD):
            return 401, {}, b"{}"
        return 200, {}, json.dumps({"token": TOKEN}).encode()

    def _wanted(self) -> str:
        return f"Bearer {TOKEN}" if self.login == "Bearer" else basic(USER, PASSWORD)

    def _challenge(self) -> str:
        if self.login == "Basic":
            return 'Basic realm="test"'
        return f'Bearer realm="http://{self.host}/token",service="test",scope="repository:a/tool:pull"'


def basic(user: str, password: str) -> str:
    """The header of a login."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def docker_config(host: str, user: str = USER, password: str = PASSWORD) -> bytes:
    """What `docker login` writes."""
    auth = basic(user, password).removeprefix("Basic ")
    return json.dumps({"auths": {host: {"auth": auth}}}).encode()


@contextmanager
def serve(registry: Registry) -> Iterator[Registry]:
    """Answer for a registry on loopback; its `host` is set."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = registry.answer(self.path, self.headers.get("Authorization", ""))
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            # A reader who has seen enough hangs up.
            with suppress(ConnectionError):
                self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # the base class's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    registry.host = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def docker_registry(directory: Path) -> Iterator[str]:
    """`host:port` of a registry that Docker's people wrote. Skips the test where it is not installed."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("no docker-registry: apt-get install docker-registry")
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    config = {"version": 0.1, "storage": {"filesystem": {"rootdirectory": str(directory)}}, "http": {"addr": host}}
    (directory / "config.yml").write_text(json.dumps(config))
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen([program, "serve", str(directory / "config.yml")], stdout=log, stderr=log)
    try:
        wait_until(lambda: _answers(host) or process.poll() is not None, 30, "docker-registry")
        yield host
    finally:
        process.terminate()
        process.wait(30)


def push_to(host: str, repository: str, tag: str, manifest: bytes, *blobs: bytes) -> None:
    """Push an artifact as any client does."""
    with closing(http.client.HTTPConnection(host, timeout=30)) as connection:
        for blob in (b"{}", *blobs):
            begun = _ask(connection, "POST", f"/v2/{repository}/blobs/uploads/", b"", {})
            place = begun.partition(host)[2] or begun
            joined = f"{place}{'&' if '?' in place else '?'}digest={digest_of(blob)}"
            _ask(connection, "PUT", joined, blob, {"Content-Type": "application/octet-stream"})
        _ask(connection, "PUT", f"/v2/{repository}/manifests/{tag}", manifest, {"Content-Type": MANIFEST})


def _ask(connection: http.client.HTTPConnection, method: str, path: str, body: bytes, headers: dict[str, str]) -> str:
    connection.request(method, path, body, {**headers, "Content-Length": str(len(body))})
    answer = connection.getresponse()
    said = answer.read()
    assert answer.status in {201, 202}, said
    return answer.headers.get("Location", "")


def _answers(host: str) -> bool:
    with suppress(OSError), closing(http.client.HTTPConnection(host, timeout=1)) as connection:
        connection.request("GET", "/v2/")
        return connection.getresponse().status == 200
    return False
