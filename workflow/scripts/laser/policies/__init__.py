"""Sokoban's model side: decision transformers, how they are trained, asked and played."""
