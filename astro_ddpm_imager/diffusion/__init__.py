"""From an observation to samples of the sky."""
