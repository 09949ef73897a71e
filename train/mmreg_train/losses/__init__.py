"""Losses of images, descriptors and rigid motions."""
