"""A Holoscan operator that registers a stream of frames to the first one."""

from __future__ import annotations

import logging

import numpy as np
from holoscan.core import Operator

from mmreg_rt import MmregError, Registrar

log = logging.getLogger(__name__)


class RegistrationOperator(Operator):
    """Register each frame to the first one, starting from the transform of the frame before.

    Input ``frame``: a dictionary with the tensor ``"frame"``, (H, W) or (D, H, W) in host memory.

    Output ``registered``: a dictionary of tensors: ``"matrix"``, (4, 4) float64, the linear part, which maps
    points of the fixed frame to points of the moving one in RAS mm, and ``"warped"``, float32, of the shape
    of the fixed frame. The first frame gives no output, and neither does one that cannot be registered.

    Metadata pass through; ``tracked`` and ``degraded`` are added.

    Args:
        affine: (4, 4), index (d, h, w) to RAS mm; of all frames.
        registrar: Default: ``Registrar()``.
        deadline_ms: Time limit for each frame, ms.
    """

    def __init__(self, fragment, *args, affine, registrar=None, deadline_ms=None, **kwargs):
        self.affine = np.asarray(affine, float)
        self.registrar = registrar or Registrar()
        self.deadline_ms = deadline_ms
        self.session, self.shape = None, None
        self.refused = 0
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec):
        """Declare the ports."""
        spec.input("frame")
        spec.output("registered")

    def compute(self, op_input, op_output, context):
        """Register a frame."""
        frame = np.asarray(op_input.receive("frame")["frame"])
        scan = (frame.reshape(1, *frame.shape) if frame.ndim == 2 else frame, self.affine)
        try:
            if self.session is None:
                self.session, self.shape = self.registrar.session(scan), frame.shape
                return
            result = self.session.register(scan, deadline_ms=self.deadline_ms)
        except MmregError as error:
            self.refused += 1
            log.warning("A frame was passed over: %s", error)
            return
        if self.is_metadata_enabled:
            self.metadata["tracked"], self.metadata["degraded"] = result.tracked, result.degraded
        # copies, since tensors of Holoscan must be writable
        matrix, warped = np.array(result.affine.matrix), np.array(result.warped.data).reshape(self.shape)
        op_output.emit({"matrix": matrix, "warped": warped}, "registered")

    def stop(self):
        """Release the memory of the session."""
        self.session = None
