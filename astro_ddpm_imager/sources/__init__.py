"""From samples of the sky to a catalogue."""
