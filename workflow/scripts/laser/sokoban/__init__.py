"""Sokoban: rooms, the rules on batches of rooms, a solver, and rooms made by reverse play. Needs no torch."""
