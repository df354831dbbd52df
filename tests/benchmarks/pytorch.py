"""The four systems in PyTorch. The interface is that of `jax_scan`.

With the variant `compiled` the losses go through `torch.compile`, and with them their gradients.
"""

import math

import numpy as np
import torch
from torch.nn import functional as F

torch.set_flush_denormal(True)  # as TensorFlow does


def parameters(arrays):
    """As `torch.nn.Linear` lays them out, [outputs, inputs]."""
    return [torch.nn.Parameter(torch.from_numpy(array.T.copy())) for array in arrays]


def dense(weights, i, x):
    return F.linear(x, weights[i], weights[i + 1])


def in_memory(batches):
    return {name: torch.from_numpy(array.copy()) for name, array in batches.items()}


def adversarial(loss_d, loss_g, d, g, rate, variant, arguments):
    """`run` from two losses and `arguments(k)`, what each of them takes of batch number k."""
    optimizers = [torch.optim.Adam(weights, rate, fused=True) for weights in (d, g)]
    if variant == "compiled":
        loss_d, loss_g = torch.compile(loss_d), torch.compile(loss_g)
    steps = list(zip((loss_d, loss_g), (d, g), optimizers, strict=True))

    def run(first, count):
        for k in range(first, first + count):
            losses = []
            for (loss, weights, optimizer), values in zip(steps, arguments(k), strict=True):
                losses.append(loss(*values))
                gradients = torch.autograd.grad(losses[-1], weights)
                for weight, gradient in zip(weights, gradients, strict=True):
                    weight.grad = gradient
                optimizer.step()
        return np.array([loss.item() for loss in losses])

    return run


def gaussian_gan(weights, batches, variant):
    d, g, batches = parameters(weights["d"]), parameters(weights["g"]), in_memory(batches)
    floor = math.log(1e-5)

    def log_p(logits):
        return F.logsigmoid(logits).clamp(min=floor)

    def generate(z):
        return dense(g, 2, F.softplus(dense(g, 0, z)))

    def discriminate(x):  # batches of 8, one below the other: [n * 8, 1]
        h = F.relu(dense(d, 2, F.relu(dense(d, 0, x))))
        m = F.linear(h, d[4]).reshape(-1, 8, 5, 3)
        distances = (m[:, None] - m[:, :, None]).abs().sum(-1)
        features = (-distances).exp().sum(2).reshape(-1, 5)
        return dense(d, 5, torch.cat([h, features], 1))

    def loss_d(x, z):
        with torch.no_grad():
            generated = generate(z)
        both = discriminate(torch.cat([x, generated]))
        return (-log_p(both[:8]) - log_p(-both[8:])).mean()

    def loss_g(z):
        return -log_p(discriminate(generate(z))).mean()

    def arguments(k):
        return (batches["x"][k], batches["z_d"][k]), (batches["z_g"][k],)

    return adversarial(loss_d, loss_g, d, g, 0.001, variant, arguments)


def tiny_gan(weights, batches, variant):
    d, g, batches = parameters(weights["d"]), parameters(weights["g"]), in_memory(batches)

    def generate(z):
        h = F.elu(dense(g, 0, z[:, None]))
        return dense(g, 4, torch.sigmoid(dense(g, 2, h)))[:, 0]

    def discriminate(x):  # [n, 100] -> [n]
        squares = (x - x.mean(1, keepdim=True).detach()) ** 2
        h = F.elu(dense(d, 0, torch.cat([x, squares], 1)))
        return dense(d, 4, F.elu(dense(d, 2, h)))[:, 0]

    def loss_d(x, z):
        with torch.no_grad():
            generated = generate(z)
        logits = discriminate(torch.stack([x, generated]))
        return -F.logsigmoid(logits[0]) - F.logsigmoid(-logits[1])

    def loss_g(z):
        return -F.logsigmoid(discriminate(generate(z)[None])[0])

    def arguments(k):
        return (batches["x"][k, 0], batches["z_d"][k, 0]), (batches["z_g"][k, 0],)

    return adversarial(loss_d, loss_g, d, g, 0.0002, variant, arguments)


def log_sigmoid(logits, epsilon):
    return torch.log(torch.sigmoid(logits) + epsilon)


def ali(weights, batches, variant):
    d, g, batches = parameters(weights["d"]), parameters(weights["g"]), in_memory(batches)

    def infer(x, z):
        z_encoded = dense(g, 2, F.relu(dense(g, 0, x)))
        x_generated = torch.sigmoid(dense(g, 6, F.relu(dense(g, 4, z))))
        return z_encoded, x_generated

    def discriminate(x, z):
        return dense(d, 2, F.relu(dense(d, 0, torch.cat([x, z], 1))))

    def logits(x, z_encoded, x_generated, z):
        return discriminate(x, z_encoded), discriminate(x_generated, z)

    def loss(encoded, generated):
        return -(log_sigmoid(encoded, 1e-8) + log_sigmoid(-generated, 1e-8)).mean()

    if variant == "compiled":
        infer = torch.compile(infer)

    def loss_d(*pairs):
        encoded, generated = logits(*pairs)
        return loss(encoded, generated)

    def loss_g(*pairs):
        encoded, generated = logits(*pairs)
        return loss(generated, encoded)

    def arguments(k):
        x, z = batches["images"][k], batches["z"][k]
        z_encoded, x_generated = infer(x, z)  # once for both: D's step does not change them
        pairs = x, z_encoded, x_generated, z
        return (x, z_encoded.detach(), x_generated.detach(), z), pairs

    return adversarial(loss_d, loss_g, d, g, 0.001, variant, arguments)


def vae(weights, batches, variant):
    w, batches = parameters(weights["w"]), in_memory(batches)
    squares = [torch.ones_like(v) for v in w]

    def loss(x, epsilon):
        h = torch.tanh(dense(w, 0, x))
        mean, log_var = dense(w, 2, h), dense(w, 4, h)
        z = mean + torch.exp(log_var / 2) * epsilon
        logits = dense(w, 8, torch.tanh(dense(w, 6, z)))
        log_x, log_not_x = log_sigmoid(logits, 1e-10), log_sigmoid(-logits, 1e-10)
        reconstruction = -(x * log_x + (1 - x) * log_not_x).sum(1)
        kl = -0.5 * (1 + log_var - mean**2 - log_var.exp()).sum(1)
        return (reconstruction + kl).mean()

    @torch.no_grad()
    def rmsprop(gradients):  # TensorFlow 1's: epsilon inside the root
        torch._foreach_mul_(squares, 0.9)
        torch._foreach_addcmul_(squares, gradients, gradients, 0.1)
        roots = torch._foreach_add(squares, 1e-10)
        torch._foreach_sqrt_(roots)
        torch._foreach_addcdiv_(w, gradients, roots, -0.001)

    if variant == "compiled":
        loss, rmsprop = torch.compile(loss), torch.compile(rmsprop)

    def run(first, count):
        for k in range(first, first + count):
            value = loss(batches["images"][k], batches["epsilon"][k])
            rmsprop(torch.autograd.grad(value, w))
        return np.array([value.item()])

    return run
