"""The geometry of scans: the one statement of this package's conventions.

- **Arrays** are ``(D, H, W)``, C-order: axis 2 runs fastest. A 2-D image is ``(1, H, W)``; there is no
  separate code for it.
- **An affine** maps array indices ``(i0, i1, i2)``, along axes 0, 1, 2, to millimetres in RAS+: x grows to
  the patient's right, y to the front, z to the head. Index ``(0, 0, 0)`` is the *centre* of the first voxel.
- **A transform** maps points of the fixed scan to points of the moving scan, both in RAS+ mm, so warping is a
  pull-back: ``warped(p) = moving(p + u(p))``. Public displacements ``u`` are ``(3, D, H, W)`` float32, in mm,
  components x, y, z along RAS+. Inside the native operations they are in voxels of the sampled grid,
  components ordered like the axes.
- **Outside** the moving scan, images have its lowest value or one that the caller sets, and label maps 0;
  displacements, velocities and features keep their border value.

LPS, axis order of files, flips and vector intents exist in ``mmreg_rt.io`` and nowhere else.
"""

from .grid import MAX_SHEAR_VOX, MAX_VOXELS, Grid, as_points, nearest_orthogonal
from .volume import Volume, checked_outside, outside_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .grid import Array, Float32, Float64, Int32

__all__ = [
    "MAX_SHEAR_VOX",
    "MAX_VOXELS",
    "Array",
    "Float32",
    "Float64",
    "Grid",
    "Int32",
    "Volume",
    "as_points",
    "checked_outside",
    "nearest_orthogonal",
    "outside_value",
]
