"""A decision transformer's input and output: (return to go, observation, action) of the last steps, and an action.

This module defines the layout of a policy's settings in its config.json (key `policy`) and assembles its inputs, in the
same way for training and for play.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from laser.errors import UserError
from laser.sokoban.observations import encode, feature_count
from laser.sokoban.rules import ACTIONS

KEY = "policy"
RETURN_SCALE = 10.0
"""The model receives returns to go in units of this many points."""


@dataclass(frozen=True)
class Sight:
    """What a policy sees, from the key `policy` of its config.json.

    Attributes:
        encoding: encoding of observations, `grid` or `pixels` (`laser.sokoban.observations.encode`).
        height, width: size of the rooms.
        context: number of steps that it sees: the present one and those before it.
        timesteps: number of embeddings of the step's number; all later steps share the last.
    """

    encoding: str
    height: int
    width: int
    context: int
    timesteps: int

    @property
    def features(self) -> int:
        """The number of values in an observation."""
        return feature_count(self.encoding, self.height, self.width)


def sight_of(config: Mapping[str, Any]) -> Sight:
    """Return what the policy of a config.json sees. Raises UserError if the key is missing or malformed."""
    try:
        return Sight(**config[KEY])
    except (KeyError, TypeError) as error:
        raise UserError(
            f"config.json of a decision transformer needs the key '{KEY}' with {', '.join(Sight.__annotations__)}. "
            "Only policies that the pipeline trains have it."
        ) from error


def as_config(sight: Sight) -> dict[str, Any]:
    """Return the sight as a part of config.json."""
    return {KEY: asdict(sight)}


def action_logits(
    model: Any, sight: Sight, cells: np.ndarray, actions: np.ndarray, to_go: np.ndarray, first: np.ndarray
) -> torch.Tensor:
    """Run the model over windows of steps; each step's logits depend on this step and the steps before it.

    Padding may follow a window's last step, where no earlier step sees it.

    Args:
        model: transformers' DecisionTransformerModel.
        sight: what the model sees.
        cells: (windows, steps, height * width) uint8, the rooms before each step.
        actions: (windows, steps) int64, the action at each step; the last one has no effect.
        to_go: (windows, steps) float, the return to go before each step, in points.
        first: (windows,) int64, the number of the first step in its episode, from 0.

    Returns:
        The logits, (windows, steps, 4) fp32.
    """
    device, dtype = model.device, model.dtype
    states = torch.from_numpy(encode(cells, sight.encoding, sight.height, sight.width))
    done = torch.eye(len(ACTIONS))[torch.from_numpy(actions)]
    returns = torch.from_numpy(np.asarray(to_go, dtype=np.float32) / RETURN_SCALE)[..., None]
    steps = np.minimum(first[:, None] + np.arange(cells.shape[1]), sight.timesteps - 1)
    output = model(
        states=states.to(device, dtype),
        actions=done.to(device, dtype),
        returns_to_go=returns.to(device, dtype),
        timesteps=torch.from_numpy(steps).to(device),
        attention_mask=torch.ones(cells.shape[:2], dtype=torch.long, device=device),
    )
    logits: torch.Tensor = output.action_preds.float()
    return logits
