"""What a new list shows to be gone."""

from leasegrid_operator.resources import ObjectKey
from leasegrid_operator.sightings import Sightings

A, B, C = ObjectKey("default", "a"), ObjectKey("default", "b"), ObjectKey("default", "c")


def known(*uids: str) -> Sightings:
    sightings = Sightings()
    sightings.listing_began("s")
    for uid in uids:
        sightings.noted("s", uid, ObjectKey("default", uid), listed=True)
    assert sightings.listing_ended("s") == []
    return sightings


def test_what_a_new_list_does_not_show_is_gone_once() -> None:
    sightings = known("a", "b")
    sightings.listing_began("s")
    sightings.noted("s", "a", A, listed=True)

    assert sightings.listing_ended("s") == [("b", B)]
    sightings.listing_began("s")
    sightings.noted("s", "a", A, listed=True)
    assert sightings.listing_ended("s") == []


def test_what_the_watch_shows_after_the_list_is_not_gone() -> None:
    sightings = known()
    sightings.listing_began("s")
    sightings.noted("s", "c", C, listed=False)

    assert sightings.listing_ended("s") == []


def test_a_late_event_of_the_old_watch_does_not_hide_that_the_object_is_gone() -> None:
    sightings = known("a")
    sightings.listing_began("s")
    sightings.noted("s", "a", A, listed=False)

    assert sightings.listing_ended("s") == [("a", A)]


def test_what_was_seen_to_go_is_not_told_again() -> None:
    sightings = known("a")
    sightings.listing_began("s")
    sightings.gone("s", "a")

    assert sightings.listing_ended("s") == []


def test_a_list_that_broke_off_and_starts_again_loses_nothing() -> None:
    sightings = known("a", "b")
    sightings.listing_began("s")
    sightings.noted("s", "a", A, listed=True)
    sightings.listing_began("s")
    sightings.noted("s", "b", B, listed=True)

    assert sightings.listing_ended("s") == [("a", A)]


def test_lists_of_other_scopes_say_nothing_of_this_one() -> None:
    sightings = known("a")
    sightings.listing_began("other")

    assert sightings.listing_ended("other") == []
