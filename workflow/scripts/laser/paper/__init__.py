"""The paper's published numbers, and those of independent reproductions."""
