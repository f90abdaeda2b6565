"""The front door, the orchestration and the command line: everything that starts something."""
