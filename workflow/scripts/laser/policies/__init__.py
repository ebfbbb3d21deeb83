"""The model side of Sokoban: decision transformers, their training data, and how they play."""
