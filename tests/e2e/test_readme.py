"""README.md's section on Kubernetes: what stands there is what is run, from a clone to a lease."""

import json

import yaml

from tests.e2e.figures import Figures
from tests.e2e.kind_rig import Kind, Object
from tests.e2e.readme import Journey, commands, objects
from tests.e2e.rooms import Room
from tests.support.running import REPOSITORY

FILES = ("pool.yaml", "lease.yaml")


def test_a_newcomer_gets_from_a_clone_to_a_bound_lease_and_a_run_on_it(
    cluster: Kind, journey: Journey, figures: Figures
) -> None:
    assert list(journey.said) == commands()
    assert journey.output("exec --claim") == "hello from a leased worker\n"
    assert journey.output("lglease/mine") == "lease.leasegrid.dev/mine condition met\n"
    bound = journey.ended("lglease/mine") - journey.began("kind create cluster")
    figures.seconds("from kind create cluster to a bound lease, image built", bound)
    figures.seconds("from helm install to a ready pool", journey.ended("lgpool/cpu") - journey.began("helm install"))


def test_the_job_at_the_top_of_the_readme_runs_on_the_cluster_and_leaves_nothing(
    cluster: Kind, journey: Journey, figures: Figures
) -> None:
    submitted = "leasegrid submit"
    assert "hello: complete in" in journey.output(submitted)
    assert "chunks: 3 of 3 succeeded" in journey.output(submitted)
    assert journey.output("leasegrid timeline hello")
    texts = sorted(path.read_text("utf-8") for path in (REPOSITORY / "build" / "hello-on-kind").glob("*/stdout"))
    assert texts == [f"hello {name} - from a leased worker\n" for name in ("ada", "grace", "linus")]
    figures.seconds("from leasegrid submit to its outputs", journey.ended(submitted) - journey.began(submitted))
    default = Room(cluster, "default")
    default.until_gone("persistentvolumeclaims")
    default.cluster.wait(lambda: bound(default), lambda names: names <= {"mine"}, "only what nobody gave back is bound")


def bound(room: Room) -> set[str]:
    """The names of leases that have members now."""
    said = {one["metadata"]["name"]: one.get("status", {}).get("conditions", ()) for one in room.all("lglease")}
    return {
        name for name, all_of in said.items() for one in all_of if (one["type"], one["status"]) == ("Bound", "True")
    }


def test_the_objects_in_the_readme_are_those_of_the_example() -> None:
    files = [yaml.safe_load((REPOSITORY / "examples" / "cluster" / name).read_text("utf-8")) for name in FILES]
    assert objects() == files


def test_the_image_is_made_of_the_base_the_interpreter_and_what_it_needs(cluster: Kind, figures: Figures) -> None:
    layers = image_layers(cluster)
    assert layers[0][0] > 0
    figures.say("the image", f"{sum(size for size, _ in layers) / 1e6:.1f} MB")
    for size, made_by in layers:
        figures.say(f"  {made_by}", f"{size / 1e6:.1f} MB")


def image_layers(cluster: Kind) -> list[tuple[int, str]]:
    """Bytes of each layer that has any, and what made it, the newest first."""
    names = cluster.run("docker", "history", "--human=false", "--no-trunc", "--format", "{{json .}}", "leasegrid:dev")
    layers: list[Object] = [json.loads(line) for line in names.splitlines()]
    return [(int(one["Size"]), words(one["CreatedBy"])) for one in layers if int(one["Size"])]


def words(made_by: str) -> str:
    """Where a layer's files stand, or the beginning of what made it."""
    return made_by.rpartition(" in ")[2].strip()[:60] or "base"
