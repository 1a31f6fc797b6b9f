"""Passes over the tokens for many heads: weights, scores and their derivatives by the heads."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from csvcore.optimise.features import TokenTable, over_tokens
from csvcore.records import Floats, Ints

Activation = Literal["exp", "softplus"]
LARGEST_LOGIT = 30.0
HEADS_AT_ONCE = 2  # heads whose tokens x features products are formed together


def default_device() -> torch.device:
    """Return the GPU if available, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def activate(logit: torch.Tensor, kind: Activation) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the factor f(logit) of a weight and its derivative; f(0) = 1, both positive."""
    if kind == "exp":
        factor = torch.exp(logit.clamp(max=LARGEST_LOGIT))
        return factor, factor
    moved = logit + float(np.log(np.expm1(1.0)))
    return torch.nn.functional.softplus(moved), torch.sigmoid(moved)


def head_weights(
    table: TokenTable, theta: Floats, pull: Ints, kind: Activation = "exp"
) -> NDArray[np.float32]:
    """Return the weights of these heads before scaling, (n_heads, n_tokens)."""
    coefficients = torch.from_numpy(theta.T).float()

    def work(starts: range) -> list[NDArray[np.float32]]:
        parts = []
        for block in table.blocks(np.arange(0), torch.device("cpu"), starts):
            factor, _ = activate(block.logits(coefficients), kind)
            parts.append((factor.T * block.pulls[pull]).numpy())
        return parts

    shares = over_tokens(table.states.shape[0], work)
    return np.concatenate([part for parts in shares for part in parts], axis=1)


@dataclass(frozen=True, slots=True)
class Passes:
    """Passes over the tokens for many heads: scores, and their derivatives by the heads."""

    table: TokenTable
    kind: Activation
    device: torch.device

    def scores(self, theta: Floats, pull: Ints) -> Floats:
        """Return capability scores of all models, (n_heads, n_models)."""
        table = self.table
        coefficients = torch.from_numpy(theta.T).float().to(self.device)
        every = np.arange(table.nll.shape[0])

        def work(starts: range) -> torch.Tensor:
            total = torch.zeros(every.size, theta.shape[0], dtype=torch.float64)
            total = total.to(self.device)
            for block in table.blocks(every, self.device, starts):
                factor, _ = activate(block.logits(coefficients), self.kind)
                total += (block.nll @ (factor * block.pulls[pull].T)).double()
            return total

        shares = over_tokens(table.states.shape[0], work, self.device)
        return np.asarray((torch.stack(shares).sum(dim=0).T / table.n_chars).cpu().numpy())

    def gradient(self, theta: Floats, pull: Ints, by_score: torch.Tensor) -> torch.Tensor:
        """Return derivatives by theta, (n_heads, n_features), from those by score.

        by_score: (n_heads, n_models).
        """
        table = self.table
        coefficients = torch.from_numpy(theta.T).float().to(self.device)
        by_sum = (by_score / table.n_chars).float().to(self.device)
        every = np.arange(table.nll.shape[0])

        def work(starts: range) -> torch.Tensor:
            total = torch.zeros(theta.shape[0], table.n_features, dtype=torch.float64)
            for block in table.blocks(every, self.device, starts):
                _, slope = activate(block.logits(coefficients), self.kind)
                part = torch.zeros(theta.shape[0], table.n_features, device=self.device)
                by_logit = (by_sum @ block.nll) * slope.T * block.pulls[pull]  # (n_heads, b)
                block.add_gradients(by_logit, part)
                total += part.cpu().double()
            return total

        return torch.stack(over_tokens(table.states.shape[0], work, self.device)).sum(dim=0)

    def jacobian(self, theta: Floats, pull: Ints, rows: Ints) -> torch.Tensor:
        """Return d score of these models / d theta, (n_heads, n_rows, n_features).

        The features are scaled by each head's slopes, not the losses: there are fewer of them, and
        all heads multiply the same losses.
        """
        table, n_heads = self.table, theta.shape[0]
        coefficients = torch.from_numpy(theta.T).float().to(self.device)

        def work(starts: range) -> torch.Tensor:
            total = torch.zeros(rows.size, n_heads, table.n_features, device=self.device)
            for block in table.blocks(rows, self.device, starts):
                _, slope = activate(block.logits(coefficients), self.kind)
                by_head = (slope * block.pulls[pull].T)[..., None]  # (b, n_heads, 1)
                features = torch.cat([block.states, block.own], dim=1)[:, None]
                for at in range(0, n_heads, HEADS_AT_ONCE):
                    heads = slice(at, at + HEADS_AT_ONCE)
                    scaled = by_head[:, heads] * features  # (b, heads, n_features)
                    product = block.nll @ scaled.flatten(1)
                    total[:, heads] += product.view(rows.size, -1, table.n_features)
            return total.cpu().double()

        shares = over_tokens(table.states.shape[0], work, self.device)
        return torch.stack(shares).sum(dim=0).transpose(0, 1).contiguous() / table.n_chars
