"""LDM-Morph: a registration network that also takes features of a latent diffusion model.

Wu and Gong, "LDM-Morph: latent diffusion model guided deformable image registration", arXiv 2411.15426. Three
trainings in sequence: an autoencoder (``autoencoder``), a denoising network on its latents (``diffusion``),
and then, with both frozen, the registration network (``registration``) that takes their features
(``features``). ``method`` combines them and defines the losses.
"""

from mmreg_train.methods.ldm_morph.method import LdmMorph

__all__ = ["LdmMorph"]
