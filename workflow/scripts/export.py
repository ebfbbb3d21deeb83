"""Write the checkpoint of a cell's chosen intervention, dense or factored, with a model card."""

from laser.config.specs import ExportSpec
from laser.export.card import export_model
from laser.provenance.job import run_job

if __name__ == "__main__":
    run_job(export_model, __doc__, ExportSpec)
