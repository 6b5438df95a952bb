"""What the pocket's report says of the pictures that its judge read."""

from __future__ import annotations

from recipes.pocket import report
from recipes.pocket.judge import Reading, Seen
from recipes.pocket.world import Picture, Thing


def read(*things: Thing, scene: str = "white") -> Reading:
    """What a judge that is always right says of a picture of these."""
    return Reading(tuple(Seen(t.object, 1.0, t.colour, t.look, t.second, None) for t in things), scene, "photo")


def test_only_what_was_asked_for_is_judged() -> None:
    red, black = Thing("mug", 0.0), Thing("bell", "black", "star", 52.0)
    specs = [Picture((red,), scene="beach"), Picture((red,), scene="snow")]
    found = report.shares_of_one(specs, [read(red, scene="beach"), read(red.moved(colour=90.0), scene="night")])
    assert found == {"object": 1.0, "nothing else": 1.0, "hue": 0.5, "look": 1.0, "scene": 0.5}
    assert report.missed(found, report.BARS) == ["hue", "scene"]  # not black or white, nor two objects
    toned = report.shares_of_one([Picture((black,))], [read(black.moved(object="cup", look="heart"))])
    assert toned == {
        "object": 0.0, "nothing else": 1.0, "black or white": 1.0, "look": 0.0, "second colour": 1.0, "scene": 1.0
    }  # fmt: skip
    assert report.missed(toned, report.BARS) == ["object", "look"]


def test_two_objects_are_right_where_both_are_and_each_has_its_own_colour() -> None:
    red, blue = Thing("mug", 0.0), Thing("bell", 220.0)
    swapped = (red.moved(colour=220.0), blue.moved(colour=0.0))
    readings = [read(blue, red), read(*swapped), read(red)]
    found = report.shares_of_two([Picture((red, blue))] * 3, readings)
    assert found == {"both objects": 0.667, "both objects, each with its own colour": 0.333, "scene of two": 1.0}
    assert report.shares_of_two([], []) == {}
