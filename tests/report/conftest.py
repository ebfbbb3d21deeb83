"""One report for the tests of its text and for those in a browser."""

import json

import pytest

from tests.made_once import made_once
from tests.report import study


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """The index.html of a report, in which a model has predicted markup; not to be changed."""

    def change(frame):
        shares = json.dumps({study.SCRIPT: 0.75, "<b>bold</b>": 0.25})
        return frame.assign(prediction_shares=[shares if one == "accuracy" else "" for one in frame["metric"]])

    return made_once(tmp_path_factory, "report", lambda folder: study.report(folder, change=change))
