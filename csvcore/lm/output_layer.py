"""Output layers over hidden states, without materialising [tokens, vocabulary] logits.

The vocabulary is processed in chunks with an online log-sum-exp in float32, so that a tile of
logits stays in cache. Of the ways measured this is the most exact (docs/collecting.md).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

CHUNK = 2048  # vocabulary entries at a time: the fastest of 1,024 to 8,192 on a CPU
# Configuration values that some architecture applies to its logits. One architecture multiplies
# where another divides (Granite and HyperCLOVA X both say `logits_scaling`), so a value is only a
# candidate and the self-test decides.
SCALE_NAMES = ("logit_scale", "logits_scaling", "lm_head_multiplier", "output_multiplier")
CAP_NAMES = (
    "final_logit_softcapping",
    "logits_soft_cap",
    "output_logit_soft_cap",
    "logit_softcap",
    "softcap",
)


@dataclass(frozen=True, slots=True)
class Head:
    """An output layer: logits = cap * tanh(scale * (h W' + bias) / cap).

    weight: (n_vocab, width). bias: (n_vocab,) or None. cap: soft-cap of the logits, or None.
    """

    weight: Tensor
    bias: Tensor | None = None
    scale: float = 1.0
    cap: float | None = None

    def logits(self, hidden: Tensor, start: int = 0, stop: int | None = None) -> Tensor:
        """Return float32 logits (n_tokens, stop - start) of a part of the vocabulary."""
        out = _product(hidden, self.weight[start:stop])
        if self.bias is not None:
            out += self.bias[start:stop]
        if self.scale != 1.0:
            out *= self.scale
        if self.cap is not None:
            out.div_(self.cap).tanh_().mul_(self.cap)
        return out

    def nll(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return the negative log-likelihood of each target, (n_tokens,) float32 nats.

        Args:
            hidden: (n_tokens, width) input of the output layer.
            targets: (n_tokens,) token ids.
        """
        hidden = hidden.to(self.weight.device)
        targets = targets.to(self.weight.device)
        n_tokens = targets.numel()
        highest = hidden.new_full((n_tokens,), -torch.inf, dtype=torch.float32)
        total = torch.zeros_like(highest)
        chosen = torch.full_like(highest, torch.nan)  # stays so for targets beyond the vocabulary
        for start in range(0, self.weight.shape[0], CHUNK):
            tile = self.logits(hidden, start, start + CHUNK)  # (n_tokens, at most CHUNK)
            here = (targets >= start) & (targets < start + tile.shape[1])
            chosen[here] = tile[here, targets[here] - start]
            top = torch.maximum(highest, tile.amax(1))
            total *= (highest - top).exp_()
            total += tile.sub_(top[:, None]).exp_().sum(1)
            highest = top
        return total.log_() + highest - chosen


def _product(hidden: Tensor, weight: Tensor) -> Tensor:
    """Return hidden states times W' in float32, for weights of any dtype."""
    if weight.dtype == torch.float32:
        return hidden.float() @ weight.T
    if weight.is_cuda:
        return torch.mm(hidden.to(weight.dtype), weight.T, out_dtype=torch.float32)
    return hidden.float() @ weight.float().T


def candidates(model: Any) -> Iterator[Head]:
    """Yield candidate output layers of a model, simplest first; none if its layer is unusual."""
    layer = model.get_output_embeddings()
    weight = getattr(layer, "weight", None)
    if not isinstance(layer, torch.nn.Linear) or weight is None or weight.is_meta:
        return
    plain = Head(weight.detach(), None if layer.bias is None else layer.bias.detach())
    settings = model.config.get_text_config(decoder=True)
    scales = _values(settings, SCALE_NAMES)
    for cap in (None, *_values(settings, CAP_NAMES)):
        yield replace(plain, cap=cap)
        for scale in scales:
            yield replace(plain, cap=cap, scale=scale)
            yield replace(plain, cap=cap, scale=1.0 / scale)


def _values(settings: Any, names: tuple[str, ...]) -> list[float]:
    """Return the values of these settings that could scale or cap a logit."""
    values = [getattr(settings, name, None) for name in names]
    return [
        float(value) for value in values if isinstance(value, int | float) and value not in (0, 1)
    ]
