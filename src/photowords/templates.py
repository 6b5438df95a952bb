"""The sentences that a concept is put into while it is learned, as the published scripts list them.

Textual inversion's own code (Gal et al. 2022, ``ldm/data/personalized.py``) has 81 for objects, 57 of them distinct:
the 27 of ``OBJECT`` three times, "a photo of" read as "an illustration of" and "a depiction of" the second and third
time. Diffusers' script has the 27. Both have the 19 of ``STYLE`` for styles, two of them twice.
"""

from __future__ import annotations

PROPERTIES = ("object", "style")
"""What of a photo is learned: ``learnable_property`` in diffusers' script."""

EXAMPLES = {"object": "a photo of {}", "style": "a painting in the style of {}"}
"""What is learned -> a prompt to begin with, {} for the concept."""

OBJECT = (
    "a photo of a {}",
    "a rendering of a {}",
    "a cropped photo of the {}",
    "the photo of a {}",
    "a photo of a clean {}",
    "a photo of a dirty {}",
    "a dark photo of the {}",
    "a photo of my {}",
    "a photo of the cool {}",
    "a close-up photo of a {}",
    "a bright photo of the {}",
    "a cropped photo of a {}",
    "a photo of the {}",
    "a good photo of the {}",
    "a photo of one {}",
    "a close-up photo of the {}",
    "a rendition of the {}",
    "a photo of the clean {}",
    "a rendition of a {}",
    "a photo of a nice {}",
    "a good photo of a {}",
    "a photo of the nice {}",
    "a photo of the small {}",
    "a photo of the weird {}",
    "a photo of the large {}",
    "a photo of a cool {}",
    "a photo of a small {}",
)

STYLE = (
    "a painting in the style of {}",
    "a rendering in the style of {}",
    "a cropped painting in the style of {}",
    "the painting in the style of {}",
    "a clean painting in the style of {}",
    "a dirty painting in the style of {}",
    "a dark painting in the style of {}",
    "a picture in the style of {}",
    "a cool painting in the style of {}",
    "a close-up painting in the style of {}",
    "a bright painting in the style of {}",
    "a cropped painting in the style of {}",
    "a good painting in the style of {}",
    "a close-up painting in the style of {}",
    "a rendition in the style of {}",
    "a nice painting in the style of {}",
    "a small painting in the style of {}",
    "a weird painting in the style of {}",
    "a large painting in the style of {}",
)

TEMPLATES = {
    "distinct": {"object": OBJECT, "style": tuple(dict.fromkeys(STYLE))},
    "diffusers": {"object": OBJECT, "style": STYLE},
    "textual-inversion": {
        "object": tuple(
            template.replace("a photo of", f"{medium} of") if template.startswith("a photo of") else template
            for medium in ("a photo", "an illustration", "a depiction")
            for template in OBJECT
        ),
        "style": STYLE,
    },
}
"""Set -> what is learned -> its templates; what is listed twice is drawn twice as often. "distinct" is diffusers', each
once."""


def templates(learnable_property: str, source: str = "distinct") -> tuple[str, ...]:
    """The templates for an "object" or a "style", each with ``{}`` where the concept stands."""
    return TEMPLATES[source][learnable_property]
