"""Rooms for tests, and the rules and the solver once more in the plainest way, to compare with."""

from collections import deque

from laser.sokoban.room import parse_room
from laser.sokoban.rules import MOVES, PUSHES, offsets

ONE_PUSH = parse_room("#####\n#@$.#\n#####")
CORRIDOR = parse_room("#######\n#@ $ .#\n#######")
TWO_BOXES = parse_room("#######\n#  .  #\n#@$   #\n# #$ .#\n#     #\n#######")


def plain_step(room, player, boxes, action):
    """Return (player, boxes) after one action, by the rules as one would tell them to a child."""
    change = offsets(room.width)[action]
    ahead, beyond = player + change, player + 2 * change
    if ahead in room.walls:
        return player, boxes
    if ahead not in boxes:
        return ahead, boxes
    if beyond in room.walls or beyond in boxes:
        return player, boxes
    return ahead, boxes - {ahead} | {beyond}


def fewest_moves(room, most=20_000):
    """Return the length of a shortest solution by breadth-first search over single steps.

    None if there is no solution; it raises if more than `most` positions are seen.
    """
    start = (room.player, room.boxes)
    seen, queue = {start}, deque([(start, 0)])
    while queue:
        (player, boxes), moves = queue.popleft()
        if boxes == room.targets:
            return moves
        for action in range(4):
            after = plain_step(room, player, boxes, action)
            if after not in seen:
                seen.add(after)
                queue.append((after, moves + 1))
        if len(seen) > most:
            raise OverflowError(f"more than {most} positions")
    return None


def letters(room, actions):
    """Return the LURD letters of action numbers, played by `plain_step`."""
    player, boxes, found = room.player, room.boxes, ""
    for action in actions:
        player, after = plain_step(room, player, boxes, action)
        found += (MOVES if after == boxes else PUSHES)[action]
        boxes = after
    return found
