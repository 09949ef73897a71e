"""Attention-Reg: rigid registration by cross-modal attention."""

from mmreg_train.methods.attention_reg.method import AttentionReg

__all__ = ["AttentionReg"]
