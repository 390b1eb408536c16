"""The generator's command: files from the models, and a check that names what differs and what to run."""

from pathlib import Path

import pytest
import yaml

from leasegrid.api.generate import generated, main


def test_what_was_written_passes_the_check_and_is_written_the_same_again(tmp_path: Path) -> None:
    assert main(["--root", str(tmp_path)]) == 0
    first = {path.name: path.read_bytes() for path in tmp_path.rglob("*.*")}

    assert main(["--root", str(tmp_path), "--check"]) == 0
    assert main(["--root", str(tmp_path)]) == 0
    assert {path.name: path.read_bytes() for path in tmp_path.rglob("*.*")} == first


def test_the_check_names_what_differs_and_the_command_that_mends_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--root", str(tmp_path)])
    (tmp_path / "docs/api.md").unlink()
    jobs = tmp_path / "crds/leasegrid.dev_jobs.yaml"
    jobs.write_text(jobs.read_text() + "# by hand\n")
    (tmp_path / "crds/old.yaml").write_text("")

    assert main(["--root", str(tmp_path), "--check"]) == 1

    assert capsys.readouterr().err.splitlines() == [
        "crds/leasegrid.dev_jobs.yaml: is not what the models say (run: make generate)",
        "docs/api.md: is not what the models say (run: make generate)",
        "crds/old.yaml: belongs to no kind (delete it)",
    ]
    assert jobs.read_text().endswith("# by hand\n")


def test_each_file_is_one_definition_without_anchors() -> None:
    for name, text in generated().items():
        if name.startswith("crds/"):
            assert yaml.safe_load(text)["kind"] == "CustomResourceDefinition"
            assert not any(line.lstrip("- ").startswith(("&", "*")) for line in text.splitlines())


def test_the_reference_tells_each_model_once_and_links_to_nothing_that_is_not_there() -> None:
    text = generated()["docs/api.md"]
    heads = [line.lstrip("# ").lower().replace(" ", "-") for line in text.splitlines() if line.startswith("#")]

    assert len(heads) == len(set(heads))
    links = {part.split(")")[0] for part in text.split("](#")[1:]}
    assert links <= set(heads)
    assert "| `memory` | quantity | `256Mi` | Memory of a chunk, at most 4Gi. |" in text
