"""What each kind of job evaluates."""
