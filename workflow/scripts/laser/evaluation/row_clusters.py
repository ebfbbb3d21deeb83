"""Reduction of a matrix by clusters of its rows (after arXiv 2510.20800, which clusters rows too).

Each of the m rows of a matrix (m, n) holds the weights of one output. k-means groups similar rows; the rows of every
cluster are then replaced by their best approximation of rank ⌊ρ·min(rows, n)⌋. One cluster is LASER's truncated SVD.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from laser.reduction.interventions import Replacement, kept_rank
from laser.reduction.svd import Factors, exact_svd

ITERATIONS = 100
"""Largest number of iterations of k-means, which ends earlier once no row changes its cluster."""


@dataclass(frozen=True)
class Cluster:
    """A cluster's rows, as indices into the matrix, with their decomposition."""

    rows: torch.Tensor
    factors: Factors

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and columns."""
        return len(self.rows), self.factors.vt.shape[1]


def decomposed(weight: torch.Tensor, count: int, seed: int) -> list[Cluster]:
    """Cluster a matrix's rows and decompose every cluster; there are fewer than `count` clusters if rows coincide."""
    matrix = weight.detach().to(torch.float32)
    labels = k_means(matrix, count, seed)
    members = [torch.nonzero(labels == label)[:, 0] for label in range(count)]
    return [Cluster(rows, exact_svd(matrix[rows.to(matrix.device)])) for rows in members if len(rows)]


def reduced(clusters: list[Cluster], rho: float) -> torch.Tensor:
    """Return the matrix (m, n), fp32, with every cluster reduced to its own rank ⌊ρ·min(rows, n)⌋."""
    factors = clusters[0].factors
    matrix = factors.vt.new_zeros(sum(len(cluster.rows) for cluster in clusters), factors.vt.shape[1])
    for cluster in clusters:
        u, s, vt = cluster.factors.u, cluster.factors.s, cluster.factors.vt
        kept = kept_rank(rho, cluster.shape)
        matrix[cluster.rows.to(matrix.device)] = (u[:, :kept] * s[:kept]) @ vt[:kept]
    return matrix


def replacements(clusters: list[Cluster], matrix: str, layer: int, rhos: Iterable[float]) -> dict[float, Replacement]:
    """Return, by ρ, the edit that replaces a matrix with its reduced clusters."""
    return {rho: Replacement(matrix, layer, rho, weight=reduced(clusters, rho)) for rho in rhos}


def kept_parameters(clusters: list[Cluster], rho: float) -> int:
    """Return the number of parameters of all clusters' factors: Σ k·(rows + n)."""
    return sum(kept_rank(rho, cluster.shape) * sum(cluster.shape) for cluster in clusters)


def k_means(points: torch.Tensor, count: int, seed: int) -> torch.Tensor:
    """Return the cluster (0 to count − 1) of every row of (m, n): Lloyd's algorithm from k-means++, in fp64 on the CPU.

    Equal arguments give equal clusters; ties go to the first centre. A cluster that loses its rows stays empty.
    """
    data = points.detach().to("cpu", torch.float64)
    centres = _first_centres(data, count, torch.Generator().manual_seed(seed))
    labels = torch.full((len(data),), -1)
    for _ in range(ITERATIONS):
        nearest = _squared_distances(data, centres).argmin(dim=1)
        if torch.equal(nearest, labels):
            break
        labels = nearest
        sums = torch.zeros_like(centres).index_add_(0, labels, data)
        sizes = torch.bincount(labels, minlength=len(centres))[:, None]
        centres = torch.where(sizes > 0, sums / sizes.clamp(min=1), centres)
    return labels


def _first_centres(data: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    """Return k-means++ centres: each is a row drawn in proportion to its squared distance from the nearest so far."""
    chosen = [int(torch.randint(len(data), (1,), generator=generator))]
    distances = _squared_distances(data, data[chosen])[:, 0]
    while len(chosen) < min(count, len(data)) and float(distances.max()) > 0:
        chosen.append(int(torch.multinomial(distances, 1, generator=generator)))
        distances = torch.minimum(distances, _squared_distances(data, data[chosen[-1:]])[:, 0])
    return data[chosen]


def _squared_distances(data: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
    """Return (rows, centres) squared Euclidean distances, 0 for rows that coincide with a centre."""
    products = data @ centres.T
    squares = (data**2).sum(dim=1)[:, None] + (centres**2).sum(dim=1)[None] - 2 * products
    scale = (data**2).sum(dim=1)[:, None] * 1e-12
    return torch.where(squares <= scale, 0.0, squares)
