"""gym-sokoban's rules and rewards as numbers and names.

A step costs `REWARD_STEP`, whether the player moves or not. A step that puts one more box on a target also earns
`REWARD_ON_TARGET`; a step that leaves one fewer there earns `REWARD_OFF_TARGET` (a push from one target to another
changes nothing); the step that solves the room earns `REWARD_SOLVED` as well. An episode ends when every box stands on
a target or after `STEP_LIMIT` steps. Its return is the plain sum of the rewards, undiscounted: a room of two boxes that
is solved in 20 steps returns 10 + 2 - 2 = 10. More boxes give a larger return, so 10 is not the maximum.

gym-sokoban has nine actions (nothing, four pushes, four moves). Its pushes move the player where there is no box, so
the moves are not needed: the four actions here are its pushes, in its order. gym-sokoban also takes the number of boxes
on targets as 0 when an episode begins, so its first step earns a point if a box stands on a target from the start. Here
it does not, and no generated room has a box on a target at the start.
"""

from __future__ import annotations

REWARD_STEP = -0.1
REWARD_ON_TARGET = 1.0
REWARD_OFF_TARGET = -1.0
REWARD_SOLVED = 10.0
STEP_LIMIT = 120

ACTIONS = ("up", "down", "left", "right")
"""The player's actions, in the order of the action numbers."""

MOVES = "udlr"
"""The letters of the actions in Sokoban's notation (LURD): a move without a push."""

PUSHES = "UDLR"
"""The same with a push."""


def action_numbers(letters: str) -> list[int]:
    """Return the action numbers of a LURD string, upper or lower case.

    Raises:
        ValueError: a letter is not one of `uUdDlLrR`.
    """
    return [MOVES.index(letter) for letter in letters.lower()]


def offsets(width: int) -> tuple[int, int, int, int]:
    """Return the number that each action adds to a cell's number (row * width + column)."""
    return (-width, width, -1, 1)
