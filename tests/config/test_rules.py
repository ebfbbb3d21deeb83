"""config/claims.yaml: its hash enters what rests on it, and a slip in it is told in one message."""

import pytest
import yaml

from laser.config.rules import PATH, read_rules
from laser.errors import UserError


def test_every_number_of_the_checkout_has_a_comment():
    lines = [line for line in PATH.read_text().splitlines() if line.strip() and not line.startswith("#")]
    assert all("#" in line or line.startswith("margins:") for line in lines)
    assert read_rules().margin("return") == read_rules().margins.reward


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"margins": {"accuracy": 1.0, "loss": 0.05}}, "reward"),
        ({"constnat": 0.5}, "constnat"),
        ({"constant": "0.5"}, "constant"),
        ({"constant": -1.0}, "constant"),
        ({"attention": 1.5}, "attention"),
        ({"margins": 1.0}, "margins"),
    ],
)
def test_a_slip_is_told_with_file_and_key(tmp_path, change, told):
    path = tmp_path / "claims.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(PATH.read_text()) | change))
    with pytest.raises(UserError, match=told) as refused:
        read_rules(path)
    assert str(path) in str(refused.value)
