"""What is left on disk: images, catalogues, regions, a picture."""
