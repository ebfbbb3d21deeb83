"""Interventions on one weight matrix, and the exact singular value decomposition behind them."""
