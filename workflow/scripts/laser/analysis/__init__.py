"""From per-example rows to intervals, tests, verdicts, tables and figures."""
