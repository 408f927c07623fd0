"""What existing reduction scripts call: the surfaces of other programs, on top of this package."""
