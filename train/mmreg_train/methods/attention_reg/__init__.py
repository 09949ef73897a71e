"""Attention-Reg: a rigid transform from two images by cross-modal attention."""

from mmreg_train.methods.attention_reg.method import AttentionReg

__all__ = ["AttentionReg"]
