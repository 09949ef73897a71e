"""INNReg: a registration network, and an invertible translator between two modalities that it learns with."""

from mmreg_train.methods.innreg.method import InnReg
from mmreg_train.methods.innreg.translator import Translator

__all__ = ["InnReg", "Translator"]
