"""What an audit asks the study's own code, in another process: to plan, to choose and to prepare a study again."""
