"""LDM-Morph: a registration network that is shown what a latent diffusion model sees in both images.

Wu and Gong, "LDM-Morph: latent diffusion model guided deformable image registration", arXiv 2411.15426. Three
trainings after each other: an autoencoder (``autoencoder``), a denoising network on its latents
(``diffusion``), and then, both frozen, the registration network (``registration``) that sees their features
(``features``). ``method`` puts them together and has the losses.
"""

from mmreg_train.methods.ldm_morph.method import LdmMorph

__all__ = ["LdmMorph"]
