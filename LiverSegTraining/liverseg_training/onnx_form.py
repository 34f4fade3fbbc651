"""A stage as ONNX, for whoever runs models elsewhere: written, run, and compared before it is kept."""

from __future__ import annotations

from pathlib import Path

import torch
from liverseg_core.errors import InputError, ModelError
from liverseg_core.model_card import Stage
from torch import nn

_MOST = 1e-3  # by which logits may differ


def save_onnx(network: nn.Module, stage: Stage, path: Path) -> float:
    """Write the finest logits of one window; the largest difference from torch. InputError where onnx is not installed,
    ModelError where the written network answers differently."""
    try:
        import onnxruntime
    except ImportError:
        raise InputError(
            "onnx, onnxscript and onnxruntime are not installed; pip install them, or leave out --onnx"
        ) from None
    x = torch.randn(1, len(stage.channels), *stage.window, generator=torch.Generator().manual_seed(0))
    finest = _Finest(network).eval()
    torch.onnx.export(finest, (x,), str(path), input_names=["image"], output_names=["logits"], dynamo=True)
    answer = onnxruntime.InferenceSession(str(path)).run(None, {"image": x.numpy()})[0]
    with torch.no_grad():
        difference = float((finest(x) - torch.from_numpy(answer)).abs().max())
    if difference > _MOST:
        path.unlink()
        raise ModelError(f"the network as ONNX differs by {difference:.2g} from torch, more than {_MOST:g}; not kept")
    return difference


class _Finest(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.network(x)[0]
        return answer
