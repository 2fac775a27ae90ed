"""The two-layer network of MAML's regression benchmark (Finn et al. 2017, section 5.1)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from metalab.backbones.base import Backbone, Film, Normalisation, Params


class MLP(Backbone):
    """Two hidden layers of ``width`` ReLU units over ``channels`` inputs; no normalisation (ignored)."""

    def __init__(
        self, channels: int = 1, size: int = 1, width: int = 40, normalisation: Normalisation = "running"
    ) -> None:
        super().__init__(channels, size, width, normalisation)
        for layer in range(2):
            linear = nn.Linear(channels if layer == 0 else width, width)
            self.register_parameter(f"weight{layer}", linear.weight)
            self.register_parameter(f"bias{layer}", linear.bias)
        self.film_channels = (width,) * 2
        self.feature_dim = width

    @property
    def transductive(self) -> bool:
        """Never: there is no normalisation."""
        return False

    def extract(self, params: Params, x: Tensor, film: Film | None = None) -> Tensor:
        """Return features (n, width) of ``x`` (n, channels)."""
        for layer in range(2):
            x = F.linear(x, params[f"weight{layer}"], params[f"bias{layer}"])
            if film is not None:
                gamma, beta = film[layer]
                x = x * (1 + gamma) + beta
            x = F.relu(x)
        return x
