"""From a file to a checked observation on the model's pixels."""
