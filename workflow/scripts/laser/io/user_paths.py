"""Paths in the user's settings."""

from __future__ import annotations

import os
import re

from laser.errors import UserError


def expanded(path: str, where: str) -> str:
    """Return a path with `~`, `~user`, `$NAME` and `${NAME}` expanded.

    Args:
        path: as it was written.
        where: the setting's name, for the message.

    Raises:
        UserError: a variable is not set, or a user is not known: a folder named `$SCRATCH` or `~` is never intended.
    """
    text = os.path.expanduser(os.path.expandvars(path))
    if unset := re.search(r"\$(\w+|\{[^}]*\})", text):
        raise UserError(f"{where} is '{path}', but the variable {unset[0]} is not set. Set it, or write the path out.")
    if text.startswith("~"):
        raise UserError(f"{where} is '{path}', but '{text.split('/')[0]}' is not a user's home. Write the path out.")
    return text
