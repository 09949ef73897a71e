"""Multimodal medical image registration: two scans in, one transform out."""
