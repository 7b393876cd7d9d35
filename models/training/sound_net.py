"""The sound model: a small convolutional network over one second of log-mel frames.

Source: bands as channels and convolution along time only, with residual blocks, after Choi et al.
(2019), "Temporal convolution for real-time keyword spotting on mobile devices", arXiv:1904.03814.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from olympus.models.audio_features import BANDS, FRAMES
from olympus.models.training.sound_data import LABELS


class Residual(nn.Module):  # type: ignore[misc, unused-ignore]
    """Two convolutions along time and a short way around them; halves the frames."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """Build it for so many channels in and out."""
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv1d(inputs, outputs, 5, 2, 2, bias=False),
            nn.BatchNorm1d(outputs),
            nn.ReLU(),
            nn.Conv1d(outputs, outputs, 5, 1, 2, bias=False),
            nn.BatchNorm1d(outputs),
        )
        self.around = nn.Sequential(
            nn.Conv1d(inputs, outputs, 1, 2, bias=False), nn.BatchNorm1d(outputs)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, inputs, t) to (n, outputs, t / 2)."""
        return torch.relu(self.main(x) + self.around(x))


class SoundNet(nn.Module):  # type: ignore[misc, unused-ignore]
    """Tell which of `LABELS` is heard, whatever the level."""

    def __init__(self, width: int = 40) -> None:
        """Build it.

        Args:
            width: Channels of the first layers; the last have twice as many.
        """
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv1d(BANDS, width, 3, 1, 1, bias=False), nn.BatchNorm1d(width), nn.ReLU()
        )
        self.blocks = nn.Sequential(
            Residual(width, width),
            Residual(width, width * 3 // 2),
            Residual(width * 3 // 2, 2 * width),
        )
        self.head = nn.Sequential(nn.Dropout(0.1), nn.Linear(4 * width, len(LABELS)))

    def forward(self, log_mel: Tensor) -> Tensor:
        """Map (n, 98, 40) log-mel frames to (n, labels) logits."""
        centred = (log_mel - log_mel.mean(dim=(1, 2), keepdim=True)) / 3.0
        seen = self.blocks(self.stem(centred.clamp(-4.0, 4.0).transpose(1, 2)))
        pooled = torch.cat([seen.mean(dim=2), seen.amax(dim=2)], dim=1)
        return self.head(pooled)  # type: ignore[no-any-return, unused-ignore]


class WithSoftmax(nn.Module):  # type: ignore[misc, unused-ignore]
    """What is shipped: probabilities instead of logits."""

    def __init__(self, net: SoundNet) -> None:
        """Wrap a trained network."""
        super().__init__()
        self.net = net

    def forward(self, log_mel: Tensor) -> Tensor:
        """Map (1, 98, 40) log-mel frames to (1, labels) probabilities."""
        return torch.softmax(self.net(log_mel), dim=1)


def train(
    features: NDArray[np.float32], labels: NDArray[np.int64], *, epochs: int, seed: int
) -> SoundNet:
    """Fit a network.

    Args:
        features: (n, 98, 40) log-mel frames.
        labels: (n,) indices in `LABELS`.
        epochs: Passes over the examples.
        seed: Of weights, order and augmentation.

    Returns:
        The network, in evaluation mode.
    """
    torch.manual_seed(seed)
    net, size = SoundNet(), 96
    steps = epochs * (len(features) // size)
    optimizer = torch.optim.AdamW(net.parameters(), lr=5e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=steps)
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.05)
    x, y = torch.from_numpy(features), torch.from_numpy(labels)
    for _ in range(epochs):
        order = torch.randperm(len(x))
        for batch in order[: len(x) // size * size].split(size):
            loss = loss_of(net(_varied(x[batch])), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    net.eval()
    return net


def _varied(batch: Tensor) -> Tensor:
    """Shift in pitch and time, tilt, and blot out a strip: the same sound, differently heard."""
    shifts = (int(torch.randint(-2, 3, ())), int(torch.randint(-3, 4, ())))
    out = torch.roll(batch, shifts, dims=(2, 1))
    tilt = torch.linspace(-1, 1, BANDS) * torch.randn(len(batch), 1, 1)
    out = out + 0.5 * tilt + 0.15 * torch.randn_like(out)
    band, frame = int(torch.randint(0, BANDS - 5, ())), int(torch.randint(0, FRAMES - 8, ()))
    mean = out.mean(dim=(1, 2), keepdim=True)
    if torch.rand(()) < 0.5:
        out[:, :, band : band + 5] = mean
    else:
        out[:, frame : frame + 8, :] = mean
    return out
