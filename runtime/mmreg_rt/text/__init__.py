"""Text and values made safe to show and to store."""
