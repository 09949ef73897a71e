"""Text and values made safe to print and to store."""
