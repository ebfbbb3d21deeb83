"""An archive of a study, unpacked elsewhere, passes the audit; and packing it again gives the same bytes."""

import tarfile

import zstandard

from laser.provenance.archive import write_archive
from laser_audit.run import audit

CITATION = {"title": "T", "authors": [{"family-names": "A", "given-names": "B"}], "license": "MIT", "version": "1"}


def test_round_trip(finished, tmp_path):
    packed, again = tmp_path / "small.tar.zst", tmp_path / "again/small.tar.zst"
    for target in (packed, again):
        target.parent.mkdir(exist_ok=True)
        write_archive(finished, CITATION, target)
    assert packed.read_bytes() == again.read_bytes()
    with (
        packed.open("rb") as raw,
        zstandard.ZstdDecompressor().stream_reader(raw) as stream,
        tarfile.open(fileobj=stream, mode="r|") as tar,
    ):
        tar.extractall(tmp_path / "unpacked", filter="data")
    report = audit(tmp_path / "unpacked" / finished.name)
    assert report.passed, [str(one) for check in report.checks for one in check.findings]
