"""The broker's door as an OpenAPI 3.1 document, from its route table and the types of its messages."""

import re
from typing import Any

import msgspec

from tasklet_runner.wire.broker import CAPABILITY_HEADER, PROOF_HEADER, ROUTES, TOKEN_HEADER, Door, Refusal, Route

_REFERENCE = "#/components/schemas/{name}"
_JSON = "application/json"
_REFUSALS = {
    "400": "The body, a name or a query cannot be read; the cause names the field.",
    "401": "The token, the capability or the proof is not believed.",
    "403": "The token's owner lacks the verb, or the capability is another lease's.",
    "409": "No member can be had now (PoolEmpty, CapacityExceeded), or a conflict.",
    "410": "The lease has ended (LeaseExpired).",
    "413": "The body is too large.",
    "422": "No pool could ever satisfy the request (Unsupported).",
    "429": "Too many requests at once, or a caller too quick; see Retry-After.",
    "503": "Another replica leads (NotLeader: ask `leader`), or the API server does not answer (Disconnected).",
}
_STATUSES = {
    Door.OPEN: ("400", "413", "429", "503"),
    Door.TOKEN: ("400", "401", "403", "409", "413", "422", "429", "503"),
    Door.HOLDER: ("400", "401", "403", "410", "413", "429", "503"),
}
_PARAMETERS = {
    "namespace": "Namespace of the lease.",
    "uid": "The lease's uid, as acquire gave it.",
}
_SECURITY_SCHEMES = {
    "token": {
        "type": "apiKey", "in": "header", "name": TOKEN_HEADER,
        "description": "A ServiceAccount's token of audience leasegrid.",
    },
    "capability": {
        "type": "apiKey", "in": "header", "name": CAPABILITY_HEADER,
        "description": "One of the lease's own capabilities, with the proof.",
    },
    "proof": {
        "type": "apiKey", "in": "header", "name": PROOF_HEADER,
        "description": "A RequestProof as compact JWS, signed with the holder's key (EdDSA).",
    },
}  # fmt: skip
_SECURITY: dict[Door, list[dict[str, list[str]]]] = {
    Door.OPEN: [],
    Door.TOKEN: [{"token": []}],
    Door.HOLDER: [{"token": []}, {"capability": [], "proof": []}],
}


def openapi_document() -> dict[str, Any]:
    """The whole document, as JSON has it."""
    kinds = dict.fromkeys([kind for route in ROUTES for kind in (route.body, route.reply) if kind], None)
    _, schemas = msgspec.json.schema_components([*kinds, Refusal], ref_template=_REFERENCE)
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "LeaseGrid broker",
            "version": "v1",
            "description": "Leases for programs. Every refusal is a Refusal: a stable code, the cause, the remedy.",
        },
        "paths": paths,
        "components": {
            "schemas": {name: _tidied(schema) for name, schema in sorted(schemas.items())},
            "securitySchemes": _SECURITY_SCHEMES,
        },
    }


def openapi_json() -> bytes:
    """The document's bytes, the same at every run."""
    return msgspec.json.format(msgspec.json.encode(openapi_document()), indent=2) + b"\n"


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "security": _SECURITY[route.door],
        "parameters": [*_path_parameters(route), *_query_parameters(route)],
        "responses": {"200": _answer(route), **{status: _refusal(status) for status in _STATUSES[route.door]}},
    }
    if route.verb:
        operation["description"] = f"A token's owner needs the verb {route.verb} on leases.leasegrid.dev."
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": _content(route.body)}
    return operation


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "description": _PARAMETERS[name], "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", route.path)
    ]


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "description": words, "schema": {"type": "string"}} for name, words in route.query
    ]


def _answer(route: Route) -> dict[str, Any]:
    content = _content(route.reply) if route.reply is not None else {_JSON: {"schema": {"type": "object"}}}
    return {"description": "Done.", "content": content}


def _refusal(status: str) -> dict[str, Any]:
    return {"description": _REFUSALS[status], "content": _content(Refusal)}


def _content(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {_JSON: {"schema": {"$ref": _REFERENCE.format(name=kind.__name__)}}}


def _tidied(schema: dict[str, Any]) -> dict[str, Any]:
    """Without titles, which repeat the names, and with descriptions on one line."""
    kept = {name: value for name, value in schema.items() if name != "title"}
    if "description" in kept:
        kept["description"] = " ".join(kept["description"].split())
    return kept
