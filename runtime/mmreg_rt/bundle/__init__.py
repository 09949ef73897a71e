"""Bundles: a network with all that is needed to run it and to verify that it runs as it was tested.

This page is the specification of the format ``mmreg-bundle/1``.

**Container.** A folder ``NAME.mmreg/`` or a zip ``NAME.mmreg`` of at most 32 plain files and 2 GiB. File
names consist of at most 100 letters, digits, ``_``, ``-`` and single dots; no two differ only in case. The
zip has no compression, encryption, comments or extra fields; its entries follow each other from the first
byte, then comes the central directory, then nothing. Links, folders and devices inside are refused.

**manifest.json.** UTF-8 JSON of at most 1 MiB, data only. It has all keys below, no others, none twice.

=====================  ============================================================================
``format``             ``"mmreg-bundle/1"``
``name``, ``version``  of the bundle; letters, digits, ``_``, ``-``, single dots
``method``             the method in ``mmreg_train.methods`` that made it
``dims``               2 or 3
``licence``            of the weights, as SPDX where there is one
``card``               the file that describes training data, results and limits: ``"card.md"``
``output``             ``kind``: ``displacement``, ``velocity``, ``rigid``, ``affine`` or ``descriptor``;
                       ``factor``: 1, or 2 for an output grid of half the resolution; ``channels``, equal to
                       ``dims`` for the first two kinds and to 6 for ``rigid``; ``integration_steps``: of
                       scaling and squaring, 1 to 12 for ``velocity``, else 0; ``refine``, optional, for
                       the first two kinds: whether the solver refines the field by default (true)
``rigid``              for the kind ``rigid`` only, which needs ``dims`` 3 and ``factor`` 1: ``size``
                       and ``spacing_mm`` of the window that its networks see, along axes 0, 1, 2;
                       ``stages``: ONNX files, as in ``precisions``, of each network that runs after that of
                       ``precisions``, on the pair aligned by the one before; at most 7
``most_voxels``        optional: largest number of voxels of the network's grid
``preprocess``         the settings of ``PreprocessSpec``
``intended_use``       ``modalities``: two lists of names, of the fixed and of the moving scan, or null;
                       ``anatomy``; ``spacing_mm`` and ``field_of_view_mm``: from and to, along any axis
``precisions``         ``fp32``, and perhaps ``fp16`` and ``int8``: the ONNX file of each
``golden``             ``file``: ``"golden.npz"``; ``limit_mm``: largest deviation of a backend, one number
                       or one for each precision, and ``bf16`` if the fp32 file may run in it
``parity``             numbers by name, optionally in groups, measured at export
``files``              name -> ``{"sha256": 64 hexadecimal digits, "bytes": size}`` of every file but
                       ``manifest.json`` and ``manifest.sig``
=====================  ============================================================================

**ONNX files.** One file each, of at most 1 GiB, accepted by ``mmreg_rt.onnx_model``: no external data, no
functions, no control flow, standard operators of opset 17 to 23. Inputs ``fixed`` and ``moving``, or
``image`` for a descriptor, ``(1, 1, D, H, W)`` float32, in 2-D ``(1, 1, H, W)``; D, H, W are symbols, or
multiples of ``preprocess.multiple``. One output, ``output``, float32. Fields and descriptors are ``(1,
channels, D, H, W)``; fields are in voxels of the input grid, channels ordered like the axes. Networks of the
kind ``rigid`` take the size of their window and give ``(1, 6)``, as ``mmreg_rt.geometry.rigid_motion`` says.
Lower precisions keep float32 inputs and outputs.

**golden.npz.** ``fixed`` and ``moving``, ``(D, H, W)`` float32 network inputs of at least one multiple, and
``output``, float16 or float32, the output of the network for them (for ``fixed``, if a descriptor); for
``rigid`` ``(networks, 6)``, the output of each network. At most 64 MiB.

**manifest.sig.** Optional: the 64 bytes of the Ed25519 signature (RFC 8032) over the bytes of
``manifest.json``, which by its checksums covers the rest.

Engines, code and pickles are never part of a bundle.
"""

from .format import MANIFEST, Bundle, BundleModel, open_bundle, write_bundle
from .golden import golden_bytes, self_test
from .intended_use import check_intended_use

__all__ = [
    "MANIFEST",
    "Bundle",
    "BundleModel",
    "check_intended_use",
    "golden_bytes",
    "open_bundle",
    "self_test",
    "write_bundle",
]
