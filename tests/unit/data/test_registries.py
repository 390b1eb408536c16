"""Modules out of OCI registries."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tasklet_runner.data.access import Access
from tasklet_runner.data.failures import reading
from tasklet_runner.data.registries import manifest_digest, open_module
from tasklet_runner.wire.errors import InputError
from tests.support import registry as rig
from tests.support.registry import Registry, described, digest_of, manifest_of, serve

MODULE = b"\0asm" + bytes(range(256)) * 2000
LAYERED = manifest_of((rig.WASM, MODULE))
ANYBODY = Access(user_logins=False)


def pulled(uri: str, access: Access = ANYBODY, secret: str = "") -> bytes:
    with reading(f"the module {uri}"), open_module(uri, secret, access) as file:
        return file.read()


@pytest.mark.parametrize("media_type", [rig.WASM, "application/wasm"])
def test_a_module_is_the_layer_of_webassembly_by_tag_and_by_digest(media_type: str) -> None:
    manifest = manifest_of(("text/plain", b"notes"), (media_type, MODULE))
    with serve(Registry()) as registry:
        digest = registry.push("v1", manifest, MODULE)
        assert pulled(f"oci://{registry.host}/a/tool:v1") == MODULE
        assert pulled(f"oci://{registry.host}/a/tool@{digest}") == MODULE
        assert manifest_digest(f"oci://{registry.host}/a/tool:v1", "", ANYBODY) == digest


def test_of_an_index_the_manifest_for_webassembly_is_taken() -> None:
    other = manifest_of(("text/plain", b"x"))
    entries = [
        {**described(rig.MANIFEST, LAYERED), "platform": {"os": "wasip1", "architecture": "wasm"}},
        {**described(rig.MANIFEST, other), "platform": {"os": "linux", "architecture": "amd64"}},
    ]
    with serve(Registry()) as registry:
        registry.push("x", LAYERED, MODULE)
        index = json.dumps({"schemaVersion": 2, "mediaType": rig.INDEX, "manifests": entries}).encode()
        registry.push("v1", index, media_type=rig.INDEX)
        assert pulled(f"oci://{registry.host}/a/tool:v1") == MODULE


@pytest.mark.parametrize("login", ["Bearer", "Basic"])
def test_a_registry_is_entered_with_the_login_of_the_secret_that_is_named(login: str) -> None:
    with serve(Registry(login=login)) as registry:
        registry.push("v1", LAYERED, MODULE)
        access = Access(docker_configs={"pull": rig.docker_config(registry.host)}, user_logins=False)
        assert pulled(f"oci://{registry.host}/a/tool:v1", access, "pull") == MODULE
        with pytest.raises(InputError, match=r"may not be read: .*docker login on one machine"):
            pulled(f"oci://{registry.host}/a/tool:v1", access)


def test_on_one_machine_the_login_of_docker_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(Registry(login="Bearer")) as registry:
        registry.push("v1", LAYERED, MODULE)
        (tmp_path / "config.json").write_bytes(rig.docker_config(registry.host))
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        assert pulled(f"oci://{registry.host}/a/tool:v1", Access()) == MODULE


def test_an_authorization_is_not_shown_to_where_a_registry_redirects() -> None:
    with serve(Registry()) as storage, serve(Registry(login="Basic")) as registry:
        storage.blobs[digest_of(MODULE)] = MODULE
        registry.elsewhere = f"http://{storage.host}/v2/a/tool/blobs"
        registry.push("v1", LAYERED)
        access = Access(docker_configs={"": rig.docker_config(registry.host)})
        assert pulled(f"oci://{registry.host}/a/tool:v1", access) == MODULE
        assert {authorization for _, authorization in storage.seen} == {""}


def broken_layer(registry: Registry) -> None:
    registry.push("v1", LAYERED)
    registry.blobs[digest_of(MODULE)] = MODULE[:-1] + b"?"


def broken_size(registry: Registry) -> None:
    registry.push("v1", LAYERED)
    registry.blobs[digest_of(MODULE)] = MODULE + b"?"


def two_layers(registry: Registry) -> None:
    registry.push("v1", manifest_of((rig.WASM, b"a"), (rig.WASM, b"b")))


def no_layer(registry: Registry) -> None:
    registry.push("v1", manifest_of(("application/vnd.oci.image.layer.v1.tar+gzip", b"a")))


def no_json(registry: Registry) -> None:
    registry.push("v1", b"<html>")


def wrong_manifest(registry: Registry) -> None:
    registry.push("v1", LAYERED, MODULE)
    registry.manifests[f"sha256:{'0' * 64}"] = registry.manifests["v1"]


def many_manifests(registry: Registry) -> None:
    entries = [described(rig.MANIFEST, manifest_of((rig.WASM, bytes([number])))) for number in range(2)]
    registry.push("v1", json.dumps({"mediaType": rig.INDEX, "manifests": entries}).encode(), media_type=rig.INDEX)


@pytest.mark.unhappy("an OCI artifact that is missing, forged, or no module")
@pytest.mark.parametrize(
    ("prepare", "reference", "says"),
    [
        pytest.param(broken_layer, "a/tool:v1", "the layer has the digest sha256:", id="another digest"),
        pytest.param(broken_size, "a/tool:v1", "another size than its manifest says", id="another size"),
        pytest.param(two_layers, "a/tool:v1", "it has 2 layers of WebAssembly", id="two modules"),
        pytest.param(no_layer, "a/tool:v1", "it has 0 layers of WebAssembly .* but .*tar\\+gzip", id="an image"),
        pytest.param(no_json, "a/tool:v1", "its manifest is not JSON", id="no manifest"),
        pytest.param(many_manifests, "a/tool:v1", "its index has 2 manifests, 0 of them", id="an index without ours"),
        pytest.param(
            wrong_manifest, f"a/tool@sha256:{'0' * 64}", "its manifest has the digest", id="a forged manifest"
        ),
        pytest.param(no_layer, "a/tool:v2", "cannot be found", id="no such tag"),
        pytest.param(no_layer, "A:b:c", "is no reference of the form", id="no reference"),
    ],
)
def test_what_is_no_module_is_refused_in_words(prepare: Callable[[Registry], None], reference: str, says: str) -> None:
    with serve(Registry()) as registry:
        prepare(registry)
        with pytest.raises(InputError, match=says):
            pulled(f"oci://{registry.host}/{reference}")


@pytest.mark.unhappy("a registry that does not answer")
def test_a_registry_that_does_not_answer_is_named() -> None:
    with pytest.raises(InputError, match=r"oci://127.0.0.1:9/a/tool:v1 cannot be read: .*refused"):
        pulled("oci://127.0.0.1:9/a/tool:v1")
