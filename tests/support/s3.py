"""A real S3-compatible server on loopback (moto, in an environment of its own): users with keys, and refusals."""

import http.client
import os
import re
import socket
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from obstore.store import S3Store

from tests.support.running import wait_until

BUCKET = "data"
_ANY = '{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}'
_READ = '{"Effect": "Allow", "Action": ["s3:Get*", "s3:List*"], "Resource": "*"}'
_SETTING_UP = 7  # requests: a bucket, and three for each of two users
_OPERATOR = "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=0"


@dataclass(frozen=True)
class User:
    """A user's keys."""

    key: str
    secret: str


@dataclass(frozen=True)
class S3Server:
    """A server that runs: with one bucket, a writer, and a reader who may not write."""

    endpoint: str
    writer: User
    reader: User
    store: S3Store = field(repr=False)

    def environment(self, user: User | None = None, *, endpoint: str = "") -> dict[str, str]:
        """What a command needs to enter as that user."""
        user = user or self.writer
        return {
            "AWS_ENDPOINT_URL": endpoint or self.endpoint,
            "AWS_ACCESS_KEY_ID": user.key,
            "AWS_SECRET_ACCESS_KEY": user.secret,
            "AWS_REGION": "us-east-1",
        }

    def options(self, user: User | None = None) -> Mapping[str, Mapping[str, Any]]:
        """The same for `Access`."""
        return {"s3": self.environment(user)}

    def put(self, key: str, data: bytes) -> str:
        """Write an object; returns its URI."""
        self.store.put(key, data)
        return f"s3://{BUCKET}/{key}"

    def below(self, prefix: str) -> dict[str, bytes]:
        """All objects below a prefix."""
        listed = [one["path"] for some in self.store.list(prefix) for one in some]
        return {path.removeprefix(f"{prefix}/"): bytes(self.store.get(path).bytes()) for path in listed}


def server_program() -> Path:
    """Where the Makefile installs it. Skips the test when it is not there; in CI that is an error."""
    program = Path(sys.prefix) / "s3-server" / "bin" / "moto_server"
    if not program.exists():
        if os.environ.get("CI"):
            raise AssertionError(f"{program} is missing: make process installs it")
        pytest.skip("no S3 server: make .venv/s3-server/.installed")
    return program


@contextmanager
def s3_server(log: Path) -> Iterator[S3Server]:
    """A server of its own for the time of the block."""
    program = server_program()
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": str(_SETTING_UP)}
    with log.open("wb") as file:
        process = subprocess.Popen(
            [program, "-H", "127.0.0.1", "-p", str(port)], stdout=file, stderr=file, env=environment
        )
    try:
        wait_until(lambda: _answers(port) or process.poll() is not None, 60, "the S3 server")
        yield _set_up(port)
    finally:
        process.terminate()
        process.wait(30)


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _set_up(port: int) -> S3Server:
    endpoint = f"http://127.0.0.1:{port}"
    _ask(port, "PUT", f"/{BUCKET}")
    writer, reader = _user(port, "writer", _ANY), _user(port, "reader", _READ)
    store = S3Store(
        BUCKET,
        endpoint=endpoint,
        access_key_id=writer.key,
        secret_access_key=writer.secret,
        client_options={"allow_http": True},
    )
    return S3Server(endpoint, writer, reader, store)


def _user(port: int, name: str, statement: str) -> User:
    policy = f'{{"Version": "2012-10-17", "Statement": [{statement}]}}'
    _identity(port, Action="CreateUser", UserName=name)
    made = _identity(port, Action="CreateAccessKey", UserName=name)
    _identity(port, Action="PutUserPolicy", UserName=name, PolicyName="p", PolicyDocument=policy)
    key, secret = (re.search(f"<{tag}>(.*?)<", made) for tag in ("AccessKeyId", "SecretAccessKey"))
    assert key is not None
    assert secret is not None
    return User(key[1], secret[1])


def _identity(port: int, **action: str) -> str:
    headers = {"Authorization": _OPERATOR, "Content-Type": "application/x-www-form-urlencoded"}
    return _ask(port, "POST", "/", urllib.parse.urlencode({"Version": "2010-05-08", **action}), headers)


def _ask(port: int, method: str, path: str, body: str = "", headers: Mapping[str, str] | None = None) -> str:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        said = answer.read().decode()
        assert answer.status == 200, said
        return said


class Gate:
    """A door before the server that lets so many PUTs through, and then holds all bytes that go there."""

    def __init__(self, endpoint: str, allowed: int) -> None:
        parts = urllib.parse.urlsplit(endpoint)
        self._target = (parts.hostname or "", parts.port or 0)
        self._allowed = allowed
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.held = threading.Event()
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._ended = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Let nobody through any more."""
        self._ended.set()
        # Only this wakes a thread that waits for a visitor.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self._listener.accept()
                there = socket.create_connection(self._target)
                for source, sink, counted in ((here, there, True), (there, here, False)):
                    threading.Thread(target=self._pass_on, args=(source, sink, counted), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        with suppress(OSError), sink:
            while data := source.recv(65536):
                if counted and data.startswith(b"PUT /"):
                    self._allowed -= 1
                if counted and self._allowed < 0:
                    self.held.set()
                    self._ended.wait()
                    return
                sink.sendall(data)
