"""Paths of a YAML made absolute."""

import pytest

from leasegrid.rules.locations import glob_root, located, located_glob, stem

BASE = "/home/a/job"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("tile.wasm", "/home/a/job/tile.wasm", id="a path is relative to the YAML"),
        pytest.param("../shared/./x", "/home/a/shared/x", id="dots are resolved"),
        pytest.param("/abs/x", "/abs/x", id="an absolute path stays"),
        pytest.param("s3://bucket/x", "s3://bucket/x", id="a URI stays"),
    ],
)
def test_a_location(text: str, expected: str) -> None:
    assert located(BASE, text) == expected


@pytest.mark.parametrize(
    ("base", "glob", "expected"),
    [
        pytest.param(BASE, "src/**/*.c", "/home/a/job/src/**/*.c", id="a glob is relative to the YAML"),
        pytest.param("/a[1]*", "x?", "/a[[]1][*]/x?", id="wildcards in the YAML's own directory are literal"),
        pytest.param(BASE, "/abs/*.c", "/abs/*.c", id="an absolute glob stays"),
        pytest.param(BASE, "http://h/*.c", "http://h/*.c", id="a URI stays"),
    ],
)
def test_a_glob(base: str, glob: str, expected: str) -> None:
    assert located_glob(base, glob) == expected


@pytest.mark.parametrize(
    ("globs", "expected"),
    [
        pytest.param(("src/**/*.c",), "/home/a/job/src", id="it is what stands before the first wildcard"),
        pytest.param(("*.c",), "/home/a/job", id="it is the YAML's directory when nothing does"),
        pytest.param(("src/main.c",), "/home/a/job/src", id="it is the directory of a file without wildcard"),
        pytest.param(("src/a*/x.c",), "/home/a/job/src", id="a wildcard in a directory ends it"),
        pytest.param(("src/a/*.c", "src/b/*.c"), "/home/a/job/src", id="of several globs it is what they share"),
        pytest.param(("/data/*.c",), "/data", id="it may be absolute"),
        pytest.param(("/*.c",), "/", id="it may be the root"),
        pytest.param(("/data/*.c", "src/*.c"), "/", id="globs that share nothing have the root"),
        pytest.param(("s3://bucket/a/*.c",), "s3://bucket/a", id="it may be a URI"),
        pytest.param(
            ("s3://bucket/a/x.c", "s3://bucket/ab/*.c"), "s3://bucket", id="whole names are shared, not letters"
        ),
    ],
)
def test_the_root_of_globs(globs: tuple[str, ...], expected: str) -> None:
    assert glob_root(BASE, globs) == expected


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        pytest.param("/a/tile.wasm", "tile", id="of a path"),
        pytest.param("https://h/x/tool.v2.wasm?download=1", "tool.v2", id="of a URI without its query"),
        pytest.param("/a/tool", "tool", id="of a name without extension"),
        pytest.param("https://h/", "tasklet", id="of a URI without name"),
        pytest.param("oci://h:5000/a/tool.x:v1", "tool.x", id="of an artifact without its tag"),
        pytest.param(f"oci://h/a/tool@sha256:{'0' * 64}", "tool", id="of an artifact without its digest"),
    ],
)
def test_the_stem(location: str, expected: str) -> None:
    assert stem(location) == expected
