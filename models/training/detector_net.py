"""The detector's network: a grid of cells, each with a class and the edges of its thing."""

from __future__ import annotations

import torch
from torch import Tensor, nn

CLASSES = 3
CELL_PX = 8


class Block(nn.Module):  # type: ignore[misc, unused-ignore]
    """A residual block that looks far along its dilation, then mixes the channels."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.look = nn.Sequential(
            nn.Conv2d(
                width, width, 5, padding=2 * dilation, dilation=dilation, groups=width, bias=False
            ),
            nn.BatchNorm2d(width),
            nn.Conv2d(width, 2 * width, 1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
            nn.Conv2d(2 * width, width, 1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape (n, width, rows, columns)."""
        return torch.relu(x + self.look(x))


class DetectorNet(nn.Module):  # type: ignore[misc, unused-ignore]
    """Takes a picture as the camera gives it, and gives every cell a class and a box."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            _down(3, 12),
            _down(12, 24),
            _down(24, width),
            Block(width, 1),
            Block(width, 2),
            Block(width, 1),
            Block(width, 3),
            Block(width, 1),
        )
        self.classes = nn.Conv2d(width, CLASSES, 1)
        self.edges = nn.Conv2d(width, 4, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Look at pictures.

        Args:
            image: (n, 120, 160, 3), 0..255, uint8 or float.

        Returns:
            Logits (n, 15, 20, 3), and edges (n, 15, 20, 4) in px as in `Examples.edges`.
        """
        x = image.to(torch.float32).permute(0, 3, 1, 2) * (1 / 128) - 1
        features = self.trunk(x)
        logits = self.classes(features).permute(0, 2, 3, 1)
        edges = torch.exp(self.edges(features)).permute(0, 2, 3, 1) * CELL_PX
        return logits, edges


def _down(before: int, after: int) -> nn.Sequential:
    """Halve the resolution."""
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
    )
