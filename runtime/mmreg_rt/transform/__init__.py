"""Maps from points of the fixed scan to points of the moving scan, in RAS+ mm."""

from .checks import is_rotation
from .folding import Folding
from .transform import Affine, Composite, DisplacementField, Rigid, Transform

__all__ = ["Affine", "Composite", "DisplacementField", "Folding", "Rigid", "Transform", "is_rotation"]
