"""What is left of an update without its surroundings: of the models of images its matrix products,
one by one; of the one-dimensional ones, whose products are too small to matter, tf_gen's compiled
loop, on the same data again and again.

The interface is that of `jax_scan`, but that `run` returns no losses. `variant` is the library that
multiplies, alone in its process, where no threads of another one disturb it.
"""

import numpy as np

from tests.benchmarks import cases

# (rows, inner, columns), and whether the left or the right one is transposed, as in the gradients
# of a kernel and of its inputs. The last layer of ALI's D, 128 to 1, is too small to matter.
PRODUCTS = {
    "ali": [
        *[(32, 784, 128, ""), (32, 128, 64, "")],  # Q
        *[(32, 64, 128, ""), (32, 128, 784, "")],  # P
        *2 * [(32, 848, 128, ""), (848, 32, 128, "left")],  # D's step, for each kind of pairs
        *2 * [(32, 848, 128, "")],  # through the new D
        *[(32, 128, 784, "right"), (32, 128, 64, "right")],  # back to P(z) and Q(x)
        *[(128, 32, 784, "left"), (32, 784, 128, "right"), (64, 32, 128, "left")],  # P
        *[(128, 32, 64, "left"), (32, 64, 128, "right"), (784, 32, 128, "left")],  # Q
    ],
    "vae": [
        *[(64, 784, 512, ""), (64, 512, 2, ""), (64, 512, 2, "")],  # encoder
        *[(64, 2, 512, ""), (64, 512, 784, "")],  # decoder
        *[(512, 64, 784, "left"), (64, 784, 512, "right")],  # and back
        *[(2, 64, 512, "left"), (64, 512, 2, "right")],
        *2 * [(512, 64, 2, "left"), (64, 2, 512, "right")],
        (784, 64, 512, "left"),
    ],
}


def operands(name):
    """float32 matrices (a, b), and which of them is transposed."""
    draw = np.random.default_rng(0).normal
    for rows, inner, columns, transposed in PRODUCTS[name]:
        a = draw(size=(inner, rows) if transposed == "left" else (rows, inner))
        b = draw(size=(columns, inner) if transposed == "right" else (inner, columns))
        yield a.astype(np.float32), b.astype(np.float32), transposed


def upright(a, b, transposed):
    return (a.T if transposed == "left" else a), (b.T if transposed == "right" else b)


def with_numpy(name):
    pairs = [upright(*operand) for operand in operands(name)]
    outs = [np.empty([len(a), b.shape[1]], np.float32) for a, b in pairs]

    def run(first, count):
        for _ in range(count):
            for (a, b), out in zip(pairs, outs, strict=True):
                np.dot(a, b, out=out)

    return run


def with_pytorch(name):
    import torch

    tensors = [(torch.from_numpy(a), torch.from_numpy(b), t) for a, b, t in operands(name)]
    pairs = [upright(*operand) for operand in tensors]
    outs = [torch.empty([len(a), b.shape[1]]) for a, b in pairs]

    def run(first, count):
        for _ in range(count):
            for (a, b), out in zip(pairs, outs, strict=True):
                torch.mm(a, b, out=out)

    return run


def with_jax(name):
    import jax

    flags = [transposed for *_, transposed in operands(name)]

    @jax.jit
    def multiply(pairs):
        pairs = [upright(a, b, flag) for (a, b), flag in zip(pairs, flags, strict=True)]
        return [a @ b for a, b in pairs]

    pairs = [(jax.numpy.asarray(a), jax.numpy.asarray(b)) for a, b, _ in operands(name)]

    def run(first, count):
        for _ in range(count):
            jax.block_until_ready(multiply(pairs))

    return run


def with_tensorflow(name):
    import tensorflow as tf

    tensors = [(tf.constant(a), tf.constant(b), t) for a, b, t in operands(name)]

    def run(first, count):
        for _ in range(count):
            for a, b, t in tensors:
                tf.linalg.matmul(a, b, transpose_a=t == "left", transpose_b=t == "right")

    return run


def loop(case):
    """tf_gen's own program, without the making of batches, log and checkpoints."""
    from tf_gen import cli, train
    from tf_gen.models import load

    cli.import_tensorflow(one_thread=True)
    import tensorflow as tf

    from tf_gen.loop import program

    module = load(case.name)
    _, settings = train.parse(list(case.arguments))
    model_config = module.Config(**settings)
    model = module.build(model_config)
    run = program(model, None)
    stack = next(module.blocks(model_config).stacks(0, [case.batches]))
    return lambda first, count: run(stack, 1, tf.constant(case.batches))[0]["loss"].numpy()


def ali(weights, batches, variant):
    return MULTIPLY[variant]("ali")


def vae(weights, batches, variant):
    return MULTIPLY[variant]("vae")


def gaussian_gan(weights, batches, variant):
    return loop(cases.CASES[0])


def tiny_gan(weights, batches, variant):
    return loop(cases.CASES[1])


MULTIPLY = {
    "numpy": with_numpy,
    "pytorch": with_pytorch,
    "jax": with_jax,
    "tensorflow": with_tensorflow,
}
