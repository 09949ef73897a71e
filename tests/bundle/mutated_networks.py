"""Bundles with one odd node, by the thousand: ``python -m bundle.mutated_networks --count 200`` in ``tests``.

For each class of operators so many mutations of the samples are loaded as a caller would, by one library and
the other in turn. What is refused is refused; what is not is tried in the child process. The parent must
live: any exception but those of the package ends the run.
"""

import argparse
import dataclasses
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from fixtures import bundle_parts as parts
from fixtures import onnx_samples as samples
from fixtures.onnx_samples import Moving, Sample

from mmreg_rt.bundle import write_bundle
from mmreg_rt.errors import MmregError
from mmreg_rt.network import Network
from mmreg_rt.network.trial import Limits, Trial, prove

ODD = (0, 1, -1, 2, 3, 7, 2**31, -(2**31), 2**40, -(2**40), 2**63 - 1, -(2**63))
OPSETS = (17, 18, 20, 21, 23)
BACKENDS = ("openvino", "onnxruntime")


def classes():
    """The samples by class."""
    made = {
        "products": samples._products(),
        "layers": samples._layers(),
        "layout": samples._layout(),
        "indices": samples._indices(),
        "attention": samples._attention(),
        "quantised": samples._quantised(),
        "reductions": samples._reductions(),
    }
    known = {sample.op for group in made.values() for sample in group}
    made["elementwise"] = [sample for sample in samples.samples() if sample.op not in known]
    return made


def mutated(sample, rng):
    """The sample with one thing changed: an operand, an attribute, or the operator set."""
    change = rng.integers(6)
    operands, attributes = list(sample.operands), dict(sample.attributes)
    place = int(rng.integers(len(operands))) if operands else 0
    if change <= 1 and operands:
        operands[place] = _other(operands[place], rng)
    elif change == 2 and operands:
        operands.pop(place) if rng.random() < 0.7 else operands.append(operands[place])
    elif change == 3 and attributes:
        name = list(attributes)[rng.integers(len(attributes))]
        attributes[name] = _other_attribute(attributes[name], rng)
    elif change == 4 and attributes:
        attributes.pop(list(attributes)[rng.integers(len(attributes))])
    else:
        return dataclasses.replace(sample, opset=int(rng.choice(OPSETS)))
    return Sample(sample.op, operands, attributes, sample.opset, sample.outputs)


def _other(operand, rng):
    if operand is None or isinstance(operand, Moving):
        shape = list(operand.shape) if operand is not None else [1]
        if shape:
            shape[rng.integers(len(shape))] = int(rng.choice([1, 2, 3, 5, 17]))
        return Moving(tuple(shape[: rng.integers(1, 6)]), getattr(operand, "dtype", np.float32))
    made = np.array(operand)
    if made.size and made.dtype.kind in "iu" and rng.random() < 0.7:
        info = np.iinfo(made.dtype)
        made.reshape(-1)[rng.integers(made.size)] = np.clip(ODD[rng.integers(len(ODD))], info.min, info.max)
        return made
    return (
        made.reshape(-1)[: rng.integers(made.size + 1)]
        if rng.random() < 0.5
        else made.reshape(1, *made.shape)
    )


def _other_attribute(value, rng):
    odd = ODD[rng.integers(len(ODD))]
    if isinstance(value, int):
        return odd
    if isinstance(value, float):
        return float(rng.choice([0, -1, 1e30, np.nan, np.inf]))
    if isinstance(value, list):
        return [*value[:-1], odd] if rng.random() < 0.6 else value + value
    return "odd" if isinstance(value, str) else value


def load(sample, backend, folder, number, checked):
    """What came of loading a bundle with the sample: a code, ``"loaded"``, or None if no file can be made."""
    try:
        network = samples.network(sample)
    except Exception:  # the onnx package writes no such node
        return None
    path = Path(folder, f"{number}.mmreg")
    try:
        if not checked:
            return _straight(network, backend)
        write_bundle(path, parts.manifest(), parts.files(**{"net.onnx": network}))
        Network(path, backend=backend, threads=1)
    except MmregError as refused:
        return refused.code
    finally:
        path.unlink(missing_ok=True)
    return "loaded"


def _straight(network, backend):
    """To the child process without a check before: it must stand what libraries do."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = write_bundle(Path(folder, "a.mmreg"), parts.manifest(), parts.files())
        facts = bundle.manifest_bytes, bundle.file("golden.npz")
    trial = Trial("odd", network, backend, "", "fp32", 1, "cpu", "golden", *facts)
    prove(trial, Limits(2 << 30, 20, 60))
    return "loaded"


def run(count, seed=0, only=None, checked=True):
    """How often each code was met, by class."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, group in classes().items():
            if only is not None and name != only:
                continue
            rng, codes = np.random.default_rng(seed), Counter()
            while sum(codes.values()) < count:
                number = sum(codes.values())
                sample = mutated(group[rng.integers(len(group))], rng)
                code = load(sample, BACKENDS[number % 2], folder, number, checked)
                codes.update([] if code is None else [code])
            found[name] = codes
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--unchecked", action="store_true", help="to the child without a check before")
    asked = parser.parse_args()
    for name in classes():
        print(name, dict(run(asked.count, asked.seed, name, not asked.unchecked)[name]), flush=True)


if __name__ == "__main__":
    main()
