"""A training loop with functions that a flame graph can be read by: `python bench/gpu/training.py SECONDS`.

It says on stdout, in JSON, how many steps it made and how long the GPU took for each function by CUDA's own events:
what a profile of it can be held against.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

torch.manual_seed(1)
DEVICE = torch.device("cuda:0")


class Measured:
    """Time on the GPU between two moments of one stream, by events, summed by name."""

    def __init__(self) -> None:
        self._open: list[tuple[str, torch.cuda.Event, torch.cuda.Event]] = []
        self.total_ms: dict[str, float] = {}

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """What is launched meanwhile."""
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        self._open.append((name, start, end))
        start.record()
        yield
        end.record()

    def read(self) -> None:
        """Sum up; the GPU must be done."""
        for name, start, end in self._open:
            self.total_ms[name] = self.total_ms.get(name, 0.0) + start.elapsed_time(end)
        self._open.clear()


def load_batch(host: torch.Tensor) -> torch.Tensor:
    """Copy from the host."""
    return host.to(DEVICE, non_blocking=True)


def forward(model: torch.nn.Module, batch: torch.Tensor) -> torch.Tensor:
    """The model's loss."""
    return model(batch).float().square().mean()


def backward(loss: torch.Tensor) -> None:
    """Gradients; torch's own thread launches their kernels."""
    torch.autograd.backward(loss)


def update(optimizer: torch.optim.Optimizer) -> None:
    """A step of the optimizer."""
    optimizer.step()
    optimizer.zero_grad()


def attention_like(q: torch.Tensor) -> torch.Tensor:
    """Products that no layer makes: of known number and size."""
    for _ in range(8):
        q = torch.mm(q, q).tanh()
    return q


def train(seconds: float) -> tuple[int, Measured]:
    """Steps until the time is over."""
    layer = torch.nn.TransformerEncoderLayer(512, 8, 2048, dropout=0.0, batch_first=True)
    model = torch.nn.TransformerEncoder(layer, 4, enable_nested_tensor=False).to(DEVICE)
    optimizer = torch.optim.AdamW(model.parameters(), foreach=False)
    host = torch.randn(32, 256, 512).pin_memory()
    square = torch.randn(2048, 2048, device=DEVICE)
    measured, steps = Measured(), 0
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        batch = load_batch(host)
        with measured.of("forward"):
            loss = forward(model, batch)
        with measured.of("attention_like"):
            attention_like(square)
        with measured.of("backward"):
            backward(loss)
        with measured.of("update"):
            update(optimizer)
        torch.cuda.synchronize()
        measured.read()
        steps += 1
    return steps, measured


if __name__ == "__main__":
    done, by_events = train(float(sys.argv[1]))
    print(json.dumps({"steps": done, "ms": by_events.total_ms}))
