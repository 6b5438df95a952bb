"""A study's statistics on data with known answers."""

import math

import numpy as np
import pytest

from photowords.report import statistics
from photowords.report.blocks.reach import times_sooner


def test_the_mean_is_over_concepts_of_means_over_seeds() -> None:
    e = statistics.estimate({("a", 0): 1.0, ("a", 1): 3.0, ("b", 0): 10.0})
    assert (e.mean, e.concepts, e.values) == (6.0, 2, 3)  # (2 + 10) / 2, not 14 / 3
    assert statistics.weights([("a", 0), ("b", 0), ("a", 1)]).tolist() == [0.25, 0.5, 0.25]


def test_the_interval_is_students_t_over_concepts_means() -> None:
    # Three concepts of means 1, 2 and 3: mean 2, standard error 1 / sqrt(3), and t of 2 degrees of freedom is 4.3027.
    e = statistics.estimate({("a", 0): 1.0, ("b", 0): 1.5, ("b", 1): 2.5, ("c", 0): 3.0})
    assert (e.low, e.high) == pytest.approx((2 - 4.302653 / math.sqrt(3), 2 + 4.302653 / math.sqrt(3)), abs=1e-5)


def test_the_interval_covers_what_it_says() -> None:
    """Five concepts, one seed each, noise of their own: 95 % of 2,000 intervals hold the truth, within three errors."""
    rng = np.random.default_rng(0)
    held = 0
    for values in rng.standard_normal((2000, 5)) + 1.7 * rng.standard_normal((2000, 5)):
        e = statistics.estimate({(str(concept), 0): float(value) for concept, value in enumerate(values)})
        held += e.low <= 0 <= e.high
    assert held / 2000 == pytest.approx(0.95, abs=3 * math.sqrt(0.95 * 0.05 / 2000))


def test_resamples_are_of_concepts_and_weigh_whole_means() -> None:
    drawn = statistics.resampled((("a", 0), ("b", 0), ("a", 1), ("a", 2)))
    assert drawn.shape == (statistics.RESAMPLES, 4)
    assert np.allclose(drawn.sum(axis=1), 1)
    assert drawn.mean(axis=0) == pytest.approx([1 / 6, 1 / 2, 1 / 6, 1 / 6], abs=0.01)
    assert set(np.unique(drawn[:, 1])) == {0.0, 0.5, 1.0} and np.array_equal(drawn[:, 0], drawn[:, 3])


def test_one_concept_has_no_interval() -> None:
    e = statistics.estimate({("a", 0): 2.0, ("a", 1): 3.0})
    assert e.mean == 2.5 and math.isnan(e.low) and math.isnan(e.high)
    assert math.isnan(statistics.median([3.0]).low)


def test_differences_are_paired_and_wins_counted() -> None:
    reference = {("a", 0): 5.0, ("a", 1): 6.0, ("b", 0): 1.0, ("c", 0): 2.0}
    values = {("a", 0): 4.0, ("a", 1): 6.5, ("b", 0): 1.0, ("d", 0): -9.0}  # c and d have no partner
    lower, higher = (statistics.compare(values, reference, better) for better in ("lower", "higher"))
    assert lower and higher
    assert lower.difference.mean == pytest.approx((-0.25 + 0) / 2)
    assert (lower.difference.concepts, lower.difference.values) == (2, 3)
    assert (lower.concepts_won, lower.pairs_won) == (1, 1)  # the tie in b is not won
    assert (higher.concepts_won, higher.pairs_won) == (0, 1)
    assert statistics.compare(values, {}, "lower") is None


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (1.0, 0),  # at the start
        (0.9, 5),  # linear where the segment begins at 0
        (0.8, 10),  # at a checkpoint
        (0.7, math.sqrt(10 * 1000)),  # half-way in loss is half-way in log(cost)
        (0.6, 1000),
        (0.5, math.inf),
    ],
)
def test_reach_interpolates_between_checkpoints(target: float, expected: float) -> None:
    assert statistics.reach([0, 10, 1000, 2000], [1.0, 0.8, 0.6, 0.7], target) == pytest.approx(expected)


def test_reach_is_the_first_time_of_a_curve_that_comes_back() -> None:
    assert statistics.reach([0, 10, 20, 30], [3.0, 1.0, 3.0, 1.0], 2.0) == 5


def test_medians_take_what_is_not_reached_as_latest() -> None:
    assert statistics.median([1.0, 2.0, math.inf]).mean == 2
    e = statistics.median([1.0, math.inf, math.inf])
    assert e.mean == math.inf and e.low == 1 and e.high == math.inf
    assert statistics.median([7.0] * 5)[:3] == (7, 7, 7)


@pytest.mark.parametrize(("count", "place"), [(2, 1), (5, 1), (6, 1), (8, 1), (9, 2), (12, 3), (20, 6), (25, 8)])
def test_a_medians_interval_is_the_nearest_pair_of_order_statistics_that_covers(count: int, place: int) -> None:
    # Places of Conover's table: the largest k with P(binomial(n, 1/2) < k) <= 0.025, and at least the first.
    e = statistics.median([float(value) for value in range(count, 0, -1)])
    assert (e.low, e.high) == (place, count + 1 - place)


def test_half_the_concepts_never_reached_is_no_speed() -> None:
    assert times_sooner([0, 0, 6.0, 8.0]).mean == 0  # not the 3 that a mean of 0 and 6 gives
    e = times_sooner([0, 2.0, 4.0])
    assert (e.mean, e.low, e.high) == (2, 0, 4)
    assert times_sooner([math.inf] * 3)[:3] == (math.inf,) * 3


def test_the_best_balance_is_of_both_metrics_and_knows_their_direction() -> None:
    points = [[0.0, 10.0], [0.5, 6.0], [1.0, 0.0]]
    assert statistics.balance(points, ["higher", "higher"]).tolist() == pytest.approx([0, 2 * 0.5 * 0.6 / 1.1, 0])
    assert statistics.balance(points, ["higher", "lower"]).tolist() == pytest.approx([0, 2 * 0.5 * 0.4 / 0.9, 1])
    assert statistics.balance([[1.0, 2.0], [1.0, 3.0]], ["higher", "higher"]).tolist() == [0, 0]


def test_spread_is_over_one_part_all_else_equal() -> None:
    values = {("a", c, s): 10.0 * (c == "y") + int(s) for c in "xy" for s in "02"}
    assert statistics.spread(values, 2) == pytest.approx(math.sqrt(2))  # 0 and 2, twice
    assert statistics.spread(values, 1) == pytest.approx(math.sqrt(50))
    assert math.isnan(statistics.spread(values, 0))
