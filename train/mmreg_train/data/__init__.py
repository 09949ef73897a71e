"""Sources of training samples: cases on disk, splits between people, and synthesis."""
