"""What the nodes of an ONNX file ask for, known before any library loads it.

``schema`` says what the standard allows of each operator, ``tensors`` what constants hold, ``rules_*`` which
shapes come out, and ``footprint`` walks a graph at one size and adds up memory and work.
"""
