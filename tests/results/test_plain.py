"""Markdown tables as plain aligned text."""

from laser.results.plain import aligned, from_markdown

TABLE = r"""### Table 1. Base and LASER

| model | value | intervention |
|---|---:|:---|
| my\_model\*2 | 3.0 [1.5, 4.6] | \[u\_in, 3, 0.01\] |
| a | **12.0** | a \| b<br>c &lt; d |

Bold: the *better* arm.
"""


def test_columns_stand_below_each_other_without_escapes():
    assert from_markdown(TABLE).splitlines() == [
        "Table 1. Base and LASER",
        "",
        "model                value  intervention",
        "my_model*2  3.0 [1.5, 4.6]  [u_in, 3, 0.01]",
        "a                     12.0  a | b c < d",
        "",
        "Bold: the better arm.",
    ]


def test_empty_cells_and_empty_tables():
    assert aligned(["rule", "jobs"], []) == []
    assert aligned(["rule", "done", "failed"], [["a", "10", ""], ["b", "", "2"]]) == [
        "rule  done  failed",
        "a       10",
        "b                2",
    ]
