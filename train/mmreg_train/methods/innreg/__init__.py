"""INNReg: a registration network trained with an invertible translator between two modalities."""

from mmreg_train.methods.innreg.method import InnReg
from mmreg_train.methods.innreg.translator import Translator

__all__ = ["InnReg", "Translator"]
