"""Requests to a registry: HTTP by the standard library, which streams, reads proxies from the environment, and needs no
event loop.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPMessage, HTTPResponse
from typing import IO, Any, cast

TIMEOUT_SECONDS = 60
"""A server that sends nothing for so long is away."""

_MAX_DOCUMENT_BYTES = 4 * 1024 * 1024


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects (ten at most), but never from an encrypted connection to a plain one."""

    def redirect_request(  # noqa: PLR0913, PLR0917  # the standard library's signature
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        """The next request. Raises ValueError for one in plain text."""
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise ValueError(f"{req.full_url} leads to {newurl}, which is not encrypted")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER = urllib.request.build_opener(_Redirects)


def get(url: str, headers: Mapping[str, str], authorization: str = "") -> HTTPResponse:
    """An answer whose bytes are still to be read; the caller closes it.

    The authorization goes to that server alone, not to where it redirects. Raises urllib.error.HTTPError for any
    status but 2xx, other OSErrors for a server that cannot be reached.
    """
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url} is not HTTP")
    request = urllib.request.Request(url, headers=dict(headers))  # noqa: S310  # checked above
    if authorization:
        request.add_unredirected_header("Authorization", authorization)
    return cast("HTTPResponse", _OPENER.open(request, timeout=TIMEOUT_SECONDS))


def document(answer: HTTPResponse) -> bytes:
    """The whole answer. Raises ValueError for one of more than 4 MiB."""
    data = answer.read(_MAX_DOCUMENT_BYTES + 1)
    if len(data) > _MAX_DOCUMENT_BYTES:
        raise ValueError(f"{answer.url} answers with more than {_MAX_DOCUMENT_BYTES} bytes")
    return data


def parsed(data: bytes, what: str) -> dict[str, Any]:
    """A JSON object. Raises ValueError for anything else."""
    try:
        found = json.loads(data)
    except ValueError as error:
        raise ValueError(f"{what} is not JSON: {error}") from error
    if isinstance(found, dict):
        return found
    raise ValueError(f"{what} is not a JSON object")
