"""Where samples come from: cases on disk, splits between people, and synthesis."""
