# ROOT, the folder of the repository, from which code, catalogues and captions are read.
import io
import os
import tarfile
import tempfile
from pathlib import Path


def checkout(source):
    """The files of the repository at the commit that `github(...)` names, written out once below .snakemake/."""
    repository = source.hosted_repo.repo
    commit = repository.commit(source.ref).hexsha
    folder = Path(".snakemake/checkouts").absolute() / commit
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as part:
            packed = repository.git.execute(
                ["git", "archive", commit], stdout_as_string=False
            )
            with tarfile.open(fileobj=io.BytesIO(packed)) as files:
                files.extractall(f"{part}/files", filter="data")
            try:
                os.rename(f"{part}/files", folder)
            except OSError:  # another process was first
                if not folder.is_dir():
                    raise
    return folder


HERE = workflow.current_basedir
ROOT = checkout(HERE) if hasattr(HERE, "hosted_repo") else Path(os.fspath(HERE)).parent
