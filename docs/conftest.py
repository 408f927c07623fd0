"""The pages are tested, their scripts are not modules: some run programs as soon as they are imported."""

collect_ignore_glob = ["*.py"]
