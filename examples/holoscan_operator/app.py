"""A Holoscan application: a simulated cine, the registration of its frames, and a use of the answers.

python examples/holoscan_operator/app.py [--frames 20] [-o answers.npz]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from holoscan.conditions import CountCondition
from holoscan.core import Application, Operator
from registration_operator import RegistrationOperator

sys.path.append(str(Path(__file__).parents[1] / "cine"))
import simulated


class Camera(Operator):
    """Emit frames of the simulated cine, with their times in the metadata."""

    def __init__(self, fragment, *args, frames, times_s, **kwargs):
        self.coming = iter(zip(frames, times_s, strict=True))
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec):
        """Declare the port."""
        spec.output("frame")

    def compute(self, op_input, op_output, context):
        """Emit the next frame."""
        frame, time_s = next(self.coming)
        self.metadata["time_s"] = float(time_s)
        op_output.emit({"frame": frame}, "frame")


class Display(Operator):
    """Keep the answers, and print how the linear part moves a point of the first frame."""

    def __init__(self, fragment, *args, point_mm, **kwargs):
        self.point_mm = np.append(point_mm, 1)
        self.times_s, self.matrices, self.warped = [], [], []
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec):
        """Declare the port."""
        spec.input("registered")

    def compute(self, op_input, op_output, context):
        """Take an answer."""
        answer = op_input.receive("registered")
        self.times_s.append(self.metadata["time_s"])
        self.matrices.append(np.array(answer["matrix"]))
        self.warped.append(np.array(answer["warped"]))
        x, y, z = (self.matrices[-1] @ self.point_mm - self.point_mm)[:3]
        tracked = self.metadata["tracked"]
        print(f"t = {self.times_s[-1]:.1f} s: {x:+.2f}, {y:+.2f}, {z:+.2f} mm, tracked {tracked}")


class Tracking(Application):
    """Camera, registration and display."""

    def __init__(self, frames, affine, times_s):
        self.series = frames, affine, times_s
        super().__init__()

    def compose(self):
        """Connect the operators."""
        frames, affine, times_s = self.series
        camera = Camera(
            self, CountCondition(self, len(frames)), name="camera", frames=frames[:, 0], times_s=times_s
        )
        self.registration = RegistrationOperator(self, name="registration", affine=affine)
        lesion_mm = (affine @ (0, *simulated.LESION, 1))[:3]
        self.display = Display(self, name="display", point_mm=lesion_mm)
        self.add_flow(camera, self.registration)
        self.add_flow(self.registration, self.display)


def main():
    """Run the application."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("-o", "--output", type=Path, help="NumPy file of the answers")
    words = parser.parse_args()
    frames, affine, times_s = simulated.cine()
    application = Tracking(frames[: words.frames], affine, times_s[: words.frames])
    application.run()
    display = application.display
    print(f"{len(display.matrices)} answers, {application.registration.refused} frames passed over")
    if words.output:
        np.savez(words.output, times_s=display.times_s, matrices=display.matrices, warped=display.warped)


if __name__ == "__main__":
    main()
