"""Frames of artefacts as the rules of claims read them."""

import pandas as pd

CELL = {"model": "m", "dataset": "d", "protocol": "corrected", "matrix": "u_in", "layer": 5, "rho": 0.1}


def gain(difference, p_value, **changes):
    low, high = difference - 1, difference + 1
    row = CELL | {"n": 50, "base": 20.0, "laser": 20.0 + difference, "difference": difference, "p_holm": p_value}
    return row | {"difference_low": low, "difference_high": high} | changes


def table1(difference, p_value, metric="accuracy", **changes):
    base = {**CELL, "metric": metric, "arm": "base", "value": 20.0, "matrix": "", "n": 50, "constant": 15.0}
    laser = gain(difference, p_value) | {"metric": metric, "arm": "laser", "value": 20.0 + difference}
    laser["constant"] = 15.0
    return pd.DataFrame([base | changes, laser | changes])


def landscape_rows(losses, matrix="u_in", kind="svd", model="m"):
    names = CELL | {"model": model, "kind": kind, "matrix": matrix, "n": 30}
    return [names | {"layer": layer, "difference": value} for layer, value in enumerate(losses)]


def landscape(losses, matrix="u_in", kind="svd"):
    return pd.DataFrame(landscape_rows(losses, matrix, kind))


SPREAD = dict.fromkeys(("gain_spread", "gain_spread_low", "gain_spread_high"), 1.0)
