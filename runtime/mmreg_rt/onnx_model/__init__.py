"""Validation of ONNX files before any library loads them.

``validation`` reads a file and checks it, ``schema`` says what the standard allows for each operator,
``rules_*`` compute output shapes, and ``footprint`` walks a graph at one size and adds up memory and work.
"""
