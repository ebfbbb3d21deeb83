"""What an audit has the study's own code do again, in another process: plan, choose, prepare, make artefacts."""
