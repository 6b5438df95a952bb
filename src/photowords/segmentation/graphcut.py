"""The embedded segmenter, without weights: graph cuts on colours, from several guesses at the object's size.

As in GrabCut (Rother et al. 2004), a cut and the colour models of its two sides are found in turns. What makes
one click enough:

- the cut is on superpixels, so that twenty guesses (five sizes, two backgrounds, colours as they are and
  stretched) are cut to the end;
- the background's colours are known from the picture's border and are local (sky above, grass below), while the
  object's are hardly known: a colour that nobody has seen is taken for the object's;
- of the results, the one is kept whose outline follows edges, that leaves the picture's border alone, and
  that other guesses agree with. So an object may touch the border where nothing else explains the picture better.

The outline is then cut again on pixels, in a narrow band.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from photowords.segmentation.interface import Clicks, Point, Segmenter
from photowords.segmentation.masks import clean, to_image
from photowords.segmentation.mincut import minimum_cut
from photowords.segmentation.outline import AROUND, pixel_outline
from photowords.segmentation.superpixels import SIDE, lab, resized, superpixels

Array = NDArray[Any]

SIZES = (0.05, 0.10, 0.18, 0.30, 0.45)  # guesses at the object's reach from the click, in shares of the longer side
BOX_SIZES = (0.5, 0.75, 1.0)  # guesses at its reach in a box, in shares of the box
ROUNDS = 4  # of cut and colours, for each guess
LIKE = 9.0  # Lab distance at which two colours are still alike (standard deviation of the kernel)
SPREAD = 40.0  # the spread of colours (Lab) to which a dull picture's are stretched
NEAR = 0.30  # distance at which background still tells of background, in shares of the longer side
PATH = 40.0  # edges on the way from the click, summed, after which a patch is hardly the object's
FOLLOW, FOLLOWED = 3.0, 20.0  # what a click adds to the odds around it (logarithm), and the path on which that fades
UNSEEN = 0.1  # density of a colour that was never seen
OBJECT_UNSEEN, BACKGROUND_UNSEEN = 0.25, 0.02  # how much of each side may have such colours
SMOOTHNESS, CONTRAST = 3.0, 10.0  # weight of the outline, and the edge strength (Lab) that lets it through
MOST = 6.0  # the most that a colour can say, as a logarithm of odds
SURE = 50.0  # the cost of going against a click
WEAK = 10.0  # an edge is weak below this strength (Lab),
WEAK_RANK = 0.7  # if it is not among the strongest 30 % of the picture's either
FINE = 512  # the longer side at which the outline is cut on pixels


class GraphCut(Segmenter):
    """Needs no weights; on one core, half a second to open a photo of 512 pixels and less for each click."""

    source = "graph cut"
    revision = None

    def open(self, photo: Image.Image) -> Opened:
        """Superpixels, their likeness and the fine colours: everything that no click changes."""
        return Opened(photo)


class Opened:
    """A photo that answers clicks."""

    def __init__(self, photo: Image.Image) -> None:
        from scipy.sparse import coo_matrix
        from scipy.spatial.distance import cdist

        self.size = photo.size
        self.parts = parts = superpixels(photo)
        self.n = n = len(parts.area)
        apart = cdist(parts.colour, parts.colour, "sqeuclidean")  # (n, n)
        self.distance = cdist(parts.place, parts.place)  # (n, n)
        self.near = np.exp(-(self.distance**2) / (2 * NEAR**2))
        # In a dull or dark picture, colours differ by less: they are compared as they are, and stretched.
        mean = parts.area @ parts.colour
        spread = float(np.sqrt((parts.area @ (parts.colour - mean) ** 2).sum()))
        self.stretch = float(np.clip(SPREAD / max(spread, 1e-9), 1, 3))
        self.views = []
        for stretch in sorted({1.0, self.stretch}):
            alike = np.exp(-apart * stretch**2 / (2 * LIKE**2))
            bond = SMOOTHNESS * parts.length * (np.exp(-parts.edge * stretch / CONTRAST) + 0.02)
            self.views.append((alike, alike * self.near, bond))
        walk = coo_matrix((parts.edge + 0.5, (parts.first, parts.second)), shape=(n, n))
        self.walk = (walk + walk.T).tocsr()
        self.around = np.argsort(self.distance, axis=1, kind="stable")[:, :AROUND]
        self.pixels = lab(resized(photo, min(max(SIDE, max(photo.size)), FINE)))

    def __call__(self, clicks: Clicks) -> Image.Image:
        """The mask of what is clicked. Raises UserError as ``Segmenter.open`` says."""
        clicks.check(self.size)
        pinned = self._pinned(clicks)
        results = [self._settled(*guess, pinned, *view) for guess in self._guesses(clicks) for view in self.views]
        best = results[int(np.argmax(self._scores(np.array(results), clicks)))]
        outline = pixel_outline(best, pinned, self.parts, self.around, self.pixels)
        soft = Image.fromarray(outline.astype(np.float32)).resize(self.size, Image.Resampling.BICUBIC)
        inside = np.asarray(soft) > 0.5
        if clicks.box is not None:
            x0, y0, x1, y1 = clicks.box
            y, x = np.ogrid[: inside.shape[0], : inside.shape[1]]
            inside = inside & (x >= x0 - 0.5) & (x <= x1 - 0.5) & (y >= y0 - 0.5) & (y <= y1 - 0.5)
        return clean(to_image(inside), clicks)

    def _at(self, points: tuple[Point, ...]) -> Array:
        return self.parts.at(points, SIDE / max(self.size))

    def _pinned(self, clicks: Clicks) -> Array:
        """1 for superpixels that are clicked, -1 for those of the background, 0 for those to find, (n,)."""
        pinned = np.zeros(self.n, int)
        if clicks.box is not None:
            pinned[self._in_box(clicks.box) > 1] = -1
        pinned[self._at(clicks.off)] = -1
        pinned[self._at(clicks.on)] = 1
        return pinned

    def _in_box(self, box: tuple[float, float, float, float]) -> Array:
        """How far each superpixel is from the box's middle, (n,): 0 there, 1 on its sides."""
        x0, y0, x1, y1 = np.array(box) / max(self.size)
        across = np.abs(self.parts.place[:, 1] - (x0 + x1) / 2) / ((x1 - x0) / 2)
        down = np.abs(self.parts.place[:, 0] - (y0 + y1) / 2) / ((y1 - y0) / 2)
        return np.asarray(np.maximum(across, down))

    def _paths(self, seeds: Array) -> Array:
        """The edges on the best way from the nearest seed to each superpixel, summed, (n,)."""
        from scipy.sparse.csgraph import dijkstra

        return np.asarray(dijkstra(self.walk, directed=False, indices=seeds, min_only=True))

    def _guesses(self, clicks: Clicks) -> Iterator[tuple[Array, Array, Array]]:
        """Weights of each superpixel in the object's and in the background's colours, and what its place gains."""
        parts, on, off = self.parts, self._at(clicks.on), self._at(clicks.off)
        way = self._paths(on) if len(on) else np.zeros(self.n)
        way_off = self._paths(off) if len(off) else np.full(self.n, np.inf)
        # What no edge parts from a click goes with it.
        follow = FOLLOW * (np.exp(-way / FOLLOWED) * bool(len(on)) - np.exp(-way_off / FOLLOWED))
        for size in SIZES if clicks.box is None else BOX_SIZES:
            if clicks.box is None:
                away = self.distance[on].min(0) / size  # in units of the object's reach
                place, beyond = -0.6 * ((away / 2) ** 2 - 1).clip(0, 4), 2.2 + 0.05 / size
            else:
                away = self._in_box(clicks.box) / size
                place, beyond = np.zeros(self.n), 1 / size
            ours = parts.area * np.exp(-2 * away**2 - way / PATH) * (way <= way_off)
            ours[on] = np.maximum(ours[on], parts.area[on])
            far = parts.area * (away > beyond)
            said = parts.area * np.exp(-way_off / PATH) * (way > way_off)
            for share in (0.0, 1.0):
                theirs = parts.border + share * far / max(far.sum(), 1e-9) + said / max(said.sum(), 1e-9) + 1e-6
                theirs = theirs * np.exp(-ours / max(ours.max(), 1e-9))
                theirs[on] = 0
                yield ours, theirs, place + follow

    def _settled(
        self, ours: Array, theirs: Array, place: Array, pinned: Array, alike: Array, alike_near: Array, bond: Array
    ) -> Array:
        """Cut and colours in turns until nothing changes: which superpixels are the object's, (n,)."""
        parts, inside = self.parts, np.zeros(self.n, bool)
        for _ in range(ROUNDS):
            seen = alike @ (ours / ours.sum())
            # The background's colours are those of the background nearby.
            seen_off = (alike_near @ theirs) / (self.near @ theirs)
            like = (1 - OBJECT_UNSEEN) * seen + OBJECT_UNSEEN * UNSEEN
            like_off = (1 - BACKGROUND_UNSEEN) * seen_off + BACKGROUND_UNSEEN * UNSEEN
            gain = np.clip(np.log(like / like_off), -MOST, MOST) + place
            gain = np.where(pinned, SURE * pinned, gain * parts.area * self.n)
            before, inside = inside, self._clicked(minimum_cut(gain, parts.first, parts.second, bond), pinned)
            if (inside == before).all():
                break
            ours, theirs = parts.area * inside + 1e-9, parts.area * ~inside + 1e-9
        return inside

    def _clicked(self, inside: Array, pinned: Array) -> Array:
        """Only the pieces with a click; all of them where a box alone was given."""
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import connected_components

        on = np.flatnonzero(pinned > 0)
        if not len(on):
            return inside
        first, second = self.parts.first, self.parts.second
        joined = inside[first] & inside[second]
        links = coo_matrix((joined[joined], (first[joined], second[joined])), shape=(self.n, self.n))
        piece = connected_components(links, directed=False)[1]
        return inside & np.isin(piece, piece[on])

    def _scores(self, results: Array, clicks: Clicks) -> Array:
        """How plausible each of (k, n) results is, (k,). The weights were tuned on drawings and photos."""
        parts, areas = self.parts, results * self.parts.area
        common = areas @ results.T
        agreement = (common / np.maximum(areas.sum(1)[:, None] + areas.sum(1) - common, 1e-9)).mean(1)
        order = np.argsort(parts.edge)
        rank_of = np.empty(len(order))  # the share of the picture's lines with a weaker edge
        rank_of[order] = np.cumsum(parts.length[order]) / max(parts.length.sum(), 1e-9)
        scores = []
        for inside, area, agreed in zip(results, areas.sum(1), agreement, strict=True):
            line = parts.length * (inside[parts.first] != inside[parts.second])
            if not line.any():  # all of the picture or nothing
                scores.append(-np.inf)
                continue
            weak, rank = (line * (rank_of < WEAK_RANK) * (parts.edge < WEAK)).sum(), (line * rank_of).sum()
            score = 2 * agreed + (4.5 * rank - 6.5 * weak) / line.sum() - 1.5 * max(0.0, np.log(0.2 / area))
            if clicks.box is None:
                score -= 25 * parts.border[inside].sum()
            else:
                score += 6 * self._in_box(clicks.box)[inside].max().clip(0, 1)
            scores.append(score)
        return np.array(scores)
