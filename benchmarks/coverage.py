"""How often does a "95 %" interval of a study hold the truth, at 5, 8 and 12 concepts?

``python -m benchmarks.coverage`` draws studies whose true mean is known and counts. A value is a concept's own part and
the noise of its seed. The noise is the seed's own, the same for all concepts (as studies had it once), or the concept's
and seed's (as they have it now); its standard deviation is 1.7 times the concepts' (9.5e-4 against 5.6e-4 on the pocket
at step 25), or none. Concepts' parts are normal, or skewed (exponential).

Methods: the percentile bootstrap of concepts and, within each, seeds (what reports had once); BCa and the studentised
bootstrap over concepts' means; Student's t over concepts' means (what reports have now, ``report.statistics``).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from photowords.report import statistics

Floats = NDArray[np.float64]
Method = Callable[[Floats, np.random.Generator], tuple[float, float]]

LEVEL = (0.025, 0.975)
RESAMPLES = 1000


def percentile(values: Floats, rng: np.random.Generator) -> tuple[float, float]:
    """Concepts are drawn with replacement, and in each drawn concept its seeds are; ``values`` (concepts, seeds)."""
    concepts, seeds = values.shape
    drawn = rng.integers(concepts, size=(RESAMPLES, concepts, 1))
    means = values[drawn, rng.integers(seeds, size=(RESAMPLES, concepts, seeds))].mean((1, 2))
    low, high = np.quantile(means, LEVEL)
    return float(low), float(high)


def bca(values: Floats, rng: np.random.Generator) -> tuple[float, float]:
    """Bias-corrected and accelerated, over concepts' means (Efron 1987)."""
    found = stats.bootstrap(
        (values.mean(1),), np.mean, n_resamples=RESAMPLES, vectorized=True, method="BCa", rng=rng
    ).confidence_interval
    return float(found.low), float(found.high)


def studentised(values: Floats, rng: np.random.Generator) -> tuple[float, float]:
    """Bootstrap-t over concepts' means: each resample's mean in units of its own standard error (Efron 1981)."""
    means = values.mean(1)
    n = len(means)
    drawn = means[rng.integers(n, size=(RESAMPLES, n))]
    errors = drawn.std(1, ddof=1) / np.sqrt(n)
    known = errors > 0
    t = (drawn.mean(1)[known] - means.mean()) / errors[known]
    error = means.std(ddof=1) / np.sqrt(n)
    low, high = np.quantile(t, LEVEL)
    return float(means.mean() - high * error), float(means.mean() - low * error)


def student(values: Floats, rng: np.random.Generator) -> tuple[float, float]:
    """What reports state: ``report.statistics.estimate``."""
    e = statistics.estimate({(str(c), s): float(v) for (c, s), v in np.ndenumerate(values)})
    return e.low, e.high


METHODS: dict[str, Method] = {"percentile": percentile, "BCa": bca, "studentised": studentised, "Student's t": student}


class World(NamedTuple):
    """How a study's values come about; their true mean is 0, and the standard deviation of concepts' parts 1."""

    name: str
    noise: float
    shared: bool
    skewed: bool

    def study(self, rng: np.random.Generator, concepts: int, seeds: int) -> Floats:
        """One study's values, (concepts, seeds)."""
        own = rng.exponential(size=concepts) - 1 if self.skewed else rng.standard_normal(concepts)
        noise = rng.standard_normal((1 if self.shared else concepts, seeds))
        return own[:, None] + self.noise * np.broadcast_to(noise, (concepts, seeds))


WORLDS = (
    World("one noise for all concepts, normal", 1.7, True, False),
    World("each concept's own noise, normal", 1.7, False, False),
    World("each concept's own noise, skewed", 1.7, False, True),
    World("no noise, normal", 0.0, False, False),
    World("no noise, skewed", 0.0, False, True),
)


def coverage(method: Method, world: World, studies: int, concepts: int, seeds: int) -> tuple[float, float]:
    """The share of intervals that hold 0, and their mean width."""
    rng = np.random.default_rng(0)
    found = [method(world.study(rng, concepts, seeds), rng) for _ in range(studies)]
    return float(np.mean([low <= 0 <= high for low, high in found])), float(
        np.mean([high - low for low, high in found])
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=2000, help="simulated studies for each number (default: 2000)")
    args = parser.parse_args()
    error = (0.95 * 0.05 / args.studies) ** 0.5
    print(f"coverage of 95 % intervals in % (mean width); {args.studies} studies each, +- {100 * error:.1f}")
    for world in WORLDS:
        for seeds in (1, 3) if world.noise else (1,):
            print(f"\n{world.name}, {seeds} seed{'s' * (seeds > 1)}")
            for name, method in METHODS.items():
                cells = [coverage(method, world, args.studies, concepts, seeds) for concepts in (5, 8, 12)]
                print(f"  {name:12}", *(f"{100 * share:5.1f} ({width:.2f})" for share, width in cells), flush=True)


if __name__ == "__main__":
    main()
