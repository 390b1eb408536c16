"""What a reference of an OCI artifact means."""

import pytest

from tasklet_runner.data.references import Reference, parse_reference

DIGEST = "sha256:" + "0a" * 32


@pytest.mark.parametrize(
    ("text", "expected", "base"),
    [
        pytest.param(
            "ghcr.io/a/tool:v1", Reference("ghcr.io", "a/tool", "v1"), "https://ghcr.io/v2/a/tool", id="a tag"
        ),
        pytest.param(
            f"ghcr.io/a/tool@{DIGEST}", Reference("ghcr.io", "a/tool", "latest", DIGEST), "https://ghcr.io/v2/a/tool",
            id="a digest",
        ),
        pytest.param(
            f"h.example:8443/a/b/tool:v1@{DIGEST}", Reference("h.example:8443", "a/b/tool", "v1", DIGEST),
            "https://h.example:8443/v2/a/b/tool", id="a port, a tag and a digest",
        ),
        pytest.param(
            "localhost:5000/tool", Reference("localhost:5000", "tool"), "http://localhost:5000/v2/tool",
            id="plain HTTP on this machine",
        ),
        pytest.param(
            "127.0.0.1:5000/tool", Reference("127.0.0.1:5000", "tool"), "http://127.0.0.1:5000/v2/tool",
            id="plain HTTP on a loopback address",
        ),
    ],
)  # fmt: skip
def test_a_reference_names_a_manifest_in_a_repository(text: str, expected: Reference, base: str) -> None:
    assert parse_reference(text) == expected
    assert expected.base == base
    assert expected.manifest == (expected.digest or expected.tag)


@pytest.mark.parametrize(
    "text", ["", "tool:v1", "a/tool", "ghcr.io/", "ghcr.io/A/tool", "ghcr.io/a/tool@sha256:12", "ghcr.io/a/tool:v 1"]
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no reference of the form"):
        parse_reference(text)
