"""The command line: its options, settings files, what it prints, and the commands that are not about images."""
