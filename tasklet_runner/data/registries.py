"""Modules as OCI artifacts: manifest, one layer of WebAssembly, everything checked by its digest.

Formats: OCI image specification 1.1 (manifest, index), distribution specification 1.1 (pulling), the bearer tokens of
the registry's token authentication, and the media types in use for WebAssembly.
"""

import hashlib
import io
import re
import urllib.error
import urllib.parse
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from tasklet_runner.data import web
from tasklet_runner.data.access import Access
from tasklet_runner.data.logins import Login, login_of
from tasklet_runner.data.references import Reference, is_loopback, parse_reference
from tasklet_runner.data.storages import OCI

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
WASM_LAYERS = (
    "application/vnd.wasm.content.layer.v1+wasm",
    "application/wasm",
    "application/vnd.module.wasm.content.layer.v1+wasm",
)
_DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_ACCEPTED = {"Accept": ", ".join((MANIFEST, INDEX, _DOCKER_MANIFEST))}
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


@contextmanager
def open_module(uri: str, secret: str, access: Access) -> Iterator[BinaryIO]:
    """The bytes of the module at `oci://<reference>`; what is read to its end has the digest of its manifest.

    Raises ValueError for what is no module or has another digest, PermissionError, FileNotFoundError, other OSErrors.
    """
    repository = _Repository.of(uri, secret, access)
    _, manifest = repository.manifest()
    layer = wasm_layer(manifest)
    with closing(repository.get(f"blobs/{layer['digest']}", {})) as answer:
        yield cast("BinaryIO", io.BufferedReader(_Checked(answer, layer["digest"], layer["size"])))


def manifest_digest(uri: str, secret: str, access: Access) -> str:
    """The digest that `oci://<reference>` stands for now. Raises as `open_module`."""
    digest, _ = _Repository.of(uri, secret, access).manifest()
    return digest


def wasm_layer(manifest: dict[str, Any]) -> dict[str, Any]:
    """The one layer that is a module. Raises ValueError when there is none, or several, or its digest is no SHA-256."""
    layers = manifest.get("layers")
    found = [one for one in layers if one.get("mediaType") in WASM_LAYERS] if isinstance(layers, list) else []
    if len(found) != 1:
        types = ", ".join(str(one.get("mediaType")) for one in layers) if isinstance(layers, list) else "nothing"
        raise ValueError(f"it has {len(found)} layers of WebAssembly ({' or '.join(WASM_LAYERS[:2])}), but {types}")
    layer: dict[str, Any] = found[0]
    if not _is_digest(layer.get("digest")) or not isinstance(layer.get("size"), int):
        raise ValueError("its layer has no SHA-256 and size")
    return layer


def _is_digest(given: object) -> bool:
    return isinstance(given, str) and re.fullmatch(r"sha256:[0-9a-f]{64}", given) is not None


class _Repository:
    """One repository, entered when it asks for that."""

    def __init__(self, reference: Reference, login: Login | None) -> None:
        self._reference = reference
        self._login = login
        self._authorization = ""

    @classmethod
    def of(cls, uri: str, secret: str, access: Access) -> "_Repository":
        reference = parse_reference(uri.removeprefix(f"{OCI}://"))
        return cls(reference, login_of(reference.registry, secret, access))

    def manifest(self) -> tuple[str, dict[str, Any]]:
        """Digest and content of the manifest; of an index the one for WebAssembly."""
        digest, manifest = self._manifest(self._reference.manifest)
        if manifest.get("mediaType") == INDEX or "manifests" in manifest:
            return self._manifest(_chosen(manifest))
        return digest, manifest

    def _manifest(self, name: str) -> tuple[str, dict[str, Any]]:
        with closing(self.get(f"manifests/{name}", _ACCEPTED)) as answer:
            data = web.document(answer)
            told = answer.headers.get("Docker-Content-Digest", "")
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        for wanted in (name if ":" in name else "", told):
            if wanted.startswith("sha256:") and wanted != digest:
                raise ValueError(f"its manifest has the digest {digest}, and not {wanted}")
        return digest, web.parsed(data, "its manifest")

    def get(self, path: str, headers: dict[str, str]) -> HTTPResponse:
        url = f"{self._reference.base}/{path}"
        try:
            return web.get(url, headers, self._authorization)
        except urllib.error.HTTPError as refused:
            with refused:
                if refused.code != 401 or self._authorization:
                    raise _as_os_error(refused, url, self._login) from refused
                self._authorization = self._enter(refused.headers.get("WWW-Authenticate", ""))
        try:
            return web.get(url, headers, self._authorization)
        except urllib.error.HTTPError as refused:
            with refused:
                raise _as_os_error(refused, url, self._login) from refused

    def _enter(self, challenge: str) -> str:
        """The authorization that a challenge asks for (RFC 9110, 11.6.1)."""
        scheme, _, rest = challenge.partition(" ")
        if scheme.lower() == "basic" and self._login is not None:
            return self._login.basic
        if scheme.lower() != "bearer":
            raise PermissionError(f"{self._reference.registry} wants a login: {_HOW}")
        given = dict(_PARAMETER.findall(rest))
        scope = given.get("scope") or f"repository:{self._reference.repository}:pull"
        return "Bearer " + self._token(given.get("realm", ""), given.get("service", ""), scope)

    def _token(self, realm: str, service: str, scope: str) -> str:
        parts = urllib.parse.urlsplit(realm)
        if parts.scheme != "https" and not is_loopback(parts.netloc):
            raise PermissionError(f"{self._reference.registry} wants tokens from {realm}, which is not encrypted")
        query = urllib.parse.urlencode({"service": service, "scope": scope})
        url = f"{realm}{'&' if parts.query else '?'}{query}"
        try:
            with closing(web.get(url, {}, self._login.basic if self._login else "")) as answer:
                found = web.parsed(web.document(answer), "its token")
        except urllib.error.HTTPError as refused:
            with refused:
                raise _as_os_error(refused, url, self._login) from refused
        token = found.get("token") or found.get("access_token")
        if not isinstance(token, str):
            raise PermissionError(f"{realm} gives no token")
        return token


_HOW = "docker login on one machine, module.oci.pullSecretRef in a cluster"


def _as_os_error(refused: urllib.error.HTTPError, url: str, login: Login | None) -> OSError:
    if refused.code in {401, 403}:
        who = f"the login of {login.user!r}" if login else "a visitor without login"
        return PermissionError(f"{refused.code} for {who} at {urllib.parse.urlsplit(url).netloc}: {_HOW}")
    if refused.code == 404:
        return FileNotFoundError(url)
    return OSError(f"{url} answers {refused.code} {refused.reason}")


def _chosen(index: dict[str, Any]) -> str:
    """The manifest for WebAssembly in an index, or its only one."""
    given = index.get("manifests")
    listed = [one for one in given if _is_digest(one.get("digest"))] if isinstance(given, list) else []
    wasm = [one for one in listed if one.get("platform", {}).get("architecture") == "wasm"]
    candidates = wasm or listed
    if len(candidates) != 1:
        raise ValueError(
            f"its index has {len(listed)} manifests, {len(wasm)} of them for WebAssembly: name one by digest"
        )
    return cast("str", candidates[0]["digest"])


class _Checked(io.RawIOBase):
    """An answer that fails at its end when it was not what its digest says."""

    def __init__(self, answer: HTTPResponse, digest: str, size: int) -> None:
        self._answer = answer
        self._wanted = digest
        self._left = size
        self._digest = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, target: "WriteableBuffer") -> int:
        room = memoryview(target)
        data = self._answer.read(len(room))
        self._left -= len(data)
        self._digest.update(data)
        if self._left < 0 or (not data and self._left):
            raise ValueError(f"the layer {self._wanted} has another size than its manifest says")
        if not data and f"sha256:{self._digest.hexdigest()}" != self._wanted:
            raise ValueError(f"the layer has the digest sha256:{self._digest.hexdigest()}, and not {self._wanted}")
        room[: len(data)] = data
        return len(data)
