"""Logins of registries, from documents of the form of ~/.docker/config.json."""

import base64
import binascii
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasklet_runner.data.access import Access


@dataclass(frozen=True)
class Login:
    """Who enters a registry."""

    user: str
    password: str

    @property
    def basic(self) -> str:
        """The value of an Authorization header."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


def login_of(registry: str, secret: str, access: Access) -> Login | None:
    """The login for a registry, None when there is none: it is entered as anybody.

    Raises ValueError for a document that cannot be read, or whose login is kept by another program.
    """
    document = access.docker_configs.get(secret)
    if document is None and access.user_logins:
        document = _users_document()
    return find_login(document, registry) if document else None


def _users_document() -> bytes | None:
    directory = os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker"
    try:
        return (Path(directory) / "config.json").read_bytes()
    except FileNotFoundError:
        return None


def find_login(document: bytes, registry: str) -> Login | None:
    """The login that a document has for a registry. Raises ValueError."""
    try:
        config = json.loads(document)
        entries: dict[str, dict[str, Any]] = dict(config.get("auths", {}))
        names = (registry, f"https://{registry}")
        entry = next((entries[name] for name in names if name in entries), None)
        if entry is None:
            return None
        login = _login(entry)
    except (ValueError, AttributeError, TypeError, binascii.Error) as error:
        raise ValueError(f"the logins of registries (docker's config.json) cannot be read: {error}") from error
    helper = config.get("credHelpers", {}).get(registry) or config.get("credsStore")
    if login is None and helper:
        raise ValueError(
            f"the login of {registry} is kept by docker-credential-{helper}, which is not asked: "
            "write it into a config.json of its own and set DOCKER_CONFIG to its directory"
        )
    return login


def _login(entry: dict[str, Any]) -> Login | None:
    if entry.get("username") is not None and entry.get("password") is not None:
        return Login(str(entry["username"]), str(entry["password"]))
    if not entry.get("auth"):
        return None
    user, _, password = base64.b64decode(entry["auth"], validate=True).decode().partition(":")
    return Login(user, password)
