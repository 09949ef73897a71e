"""``python -m mmreg_rt`` is ``mmreg``."""

from mmreg_rt.cli import main

main(prog_name="mmreg")
