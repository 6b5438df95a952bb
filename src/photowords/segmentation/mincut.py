"""The minimum cut of a graph between object and background."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def minimum_cut(gain: Array, first: Array, second: Array, bond: Array) -> Array:
    """Which of n nodes are the object's, (n,) booleans: the labelling of least energy (Boykov and Jolly 2001).

    ``gain`` (n,) is what is won by a node's being the object's (negative: the background's); ``bond`` (m,) >= 0 is
    what it costs to part nodes ``first`` and ``second``.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import breadth_first_order, maximum_flow

    n = len(gain)
    source, sink, nodes = np.full(n, n), np.full(n, n + 1), np.arange(n)
    rows = np.concatenate([source, nodes, first, second])
    columns = np.concatenate([nodes, sink, second, first])
    weights = np.concatenate([np.maximum(gain, 0), np.maximum(-gain, 0), bond, bond])
    # scipy's flow is in whole numbers of 32 bits; the whole flow must stay below 2**31 too.
    scale = min(2**20 / max(weights.max(), 1e-9), 2**30 / max(np.abs(gain).sum(), 1e-9))
    capacity = coo_matrix(((weights * scale).astype(np.int32), (rows, columns)), shape=(n + 2, n + 2)).tocsr()
    left = capacity - maximum_flow(capacity, n, n + 1).flow
    left.data = (left.data > 0).astype(np.int32)
    left.eliminate_zeros()
    side = np.zeros(n + 2, bool)
    side[breadth_first_order(left, n, return_predecessors=False)] = True
    return side[:n]
