"""The articles in float64 NumPy, independent of the package, and helpers to hold models against it.

Each of the four oracles at the end starts from the weights of a model; its `update` is the
article's iteration, with hand-written backpropagation.
"""

import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats

# ---- Models beside arrays ------------------------------------------------------------------------


def cases(configs, quickly):
    """Parameters `config` and `compiled`: all `configs`, eager and compiled.

    The quick tests run those named `quickly`, and compile but the first of them.
    """
    return [
        pytest.param(
            config,
            compiled,
            id=f"{name}-{'compiled' if compiled else 'eager'}",
            marks=[pytest.mark.quick] if name in (quickly[:1] if compiled else quickly) else [],
        )
        for name, config in configs.items()
        for compiled in (False, True)
    ]


def parameters(*layers):
    """Kernel and bias of each Keras layer, first to last."""
    return [variable for layer in layers for variable in (layer.kernel, layer.bias)]


def values(variables):
    """Float64 copies, which lose no bit of float32."""
    return [np.array(variable, np.float64) for variable in variables]


def same(a, b):
    """Whether two lists of arrays or variables are equal to the bit."""
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def none_same(a, b):
    """Whether no array of the one list is equal to that of the other."""
    return not any(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def slots(optimizer, variables, name):
    """What a Keras optimiser keeps under `name`, "momentum" or "velocity", for each variable."""
    kept = {variable.path.rpartition("/")[2]: variable for variable in optimizer.variables}
    assert len(kept) == len(optimizer.variables), "two variables have one name"
    return [np.array(kept[f"{v.path.replace('/', '_')}_{name}"]) for v in variables]


def value_and_gradient(function, logits, compiled):
    """A function's values at float32 points, and its derivative there."""

    @tf.function(jit_compile=compiled)
    def both(logits):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = function(logits)
        return value, tape.gradient(value, logits)

    return both(tf.constant(logits, tf.float32))


# ---- Functions -----------------------------------------------------------------------------------

sigmoid = special.expit

# Value and derivative of each activation.
ACTIVATIONS = {
    "tanh": (np.tanh, lambda a: 1 - np.tanh(a) ** 2),
    "relu": (lambda a: np.maximum(a, 0), lambda a: 1.0 * (a > 0)),
    "softplus": (lambda a: np.logaddexp(0, a), sigmoid),
    "elu": (lambda a: np.where(a > 0, a, np.expm1(a)), lambda a: np.where(a > 0, 1, np.exp(a))),
    "sigmoid": (sigmoid, lambda a: sigmoid(a) * sigmoid(-a)),
}


def log_sigmoid(logits, epsilon):
    """log(p + epsilon) for p = sigmoid(logits)."""
    return np.log(sigmoid(logits) + epsilon)


def log_sigmoid_slope(logits, epsilon):
    """The derivative of `log_sigmoid`."""
    return sigmoid(logits) * sigmoid(-logits) / (sigmoid(logits) + epsilon)


class Network:
    """Linear maps, with an activation after each but the last.

    `weights` are kernel and bias of each map, `activations` keys of ACTIVATIONS.
    """

    def __init__(self, weights, *activations):
        self.weights = weights
        self.activations = [ACTIVATIONS[name] for name in activations]

    def forward(self, x):
        self.inputs, self.a = [x], []
        for i, (f, _) in enumerate(self.activations):
            self.a.append(self.inputs[-1] @ self.weights[2 * i] + self.weights[2 * i + 1])
            self.inputs.append(f(self.a[-1]))
        return self.inputs[-1] @ self.weights[-2] + self.weights[-1]

    def backward(self, d):
        """Gradients of the weights and of x from that of the output."""
        gradients = []
        for i in reversed(range(len(self.inputs))):
            if i < len(self.activations):
                d = d * self.activations[i][1](self.a[i])
            gradients = [self.inputs[i].T @ d, d.sum(0), *gradients]
            d = d @ self.weights[2 * i].T
        return gradients, d


# ---- Optimisers ----------------------------------------------------------------------------------


class SGD:
    """Gradient descent; its momentum is PyTorch's, whose buffer Keras keeps times -rate.

    Of all optimisers here `rate` is a number, or a function of the number of steps before, and
    `apply` returns the new weights.
    """

    def __init__(self, rate, momentum=0.0):
        self.rate = rate if callable(rate) else lambda t: rate
        self.momentum, self.t, self.m = momentum, 0, None

    def apply(self, weights, gradients):
        rate, self.t = self.rate(self.t), self.t + 1
        self.m = self.m or [0 * w for w in weights]
        self.m = [self.momentum * m + g for m, g in zip(self.m, gradients, strict=True)]
        return [w - rate * m for w, m in zip(weights, self.m, strict=True)]


class Adam:
    """TensorFlow 1's and Keras's, which add epsilon before the bias is corrected."""

    def __init__(self, rate, beta_1=0.9):
        self.rate = rate if callable(rate) else lambda t: rate
        self.beta_1, self.t, self.m, self.v = beta_1, 0, None, None

    def apply(self, weights, gradients):
        rate, self.t = self.rate(self.t), self.t + 1
        self.m = self.m or [0 * w for w in weights]
        self.v = self.v or [0 * w for w in weights]
        b1, b2 = self.beta_1, 0.999
        self.m = [b1 * m + (1 - b1) * g for m, g in zip(self.m, gradients, strict=True)]
        self.v = [b2 * v + (1 - b2) * g**2 for v, g in zip(self.v, gradients, strict=True)]
        return [
            w - rate * self.direction(m, v, 1 - b1**self.t, 1 - b2**self.t)
            for w, m, v in zip(weights, self.m, self.v, strict=True)
        ]

    def direction(self, m, v, correction_1, correction_2):
        return np.sqrt(correction_2) / correction_1 * m / (np.sqrt(v) + 1e-8)


class AdamPyTorch(Adam):
    """PyTorch's, as its documentation writes it: epsilon is added after the correction."""

    def direction(self, m, v, correction_1, correction_2):
        return m / correction_1 / (np.sqrt(v / correction_2) + 1e-8)


class RMSProp:
    """TensorFlow 1's, without momentum: the mean of squares starts at 1, epsilon is in the root."""

    def __init__(self, rate, decay):
        self.rate, self.decay, self.v = rate, decay, None

    def apply(self, weights, gradients):
        self.v = self.v or [np.ones_like(w) for w in weights]
        c = self.decay
        self.v = [c * v + (1 - c) * g**2 for v, g in zip(self.v, gradients, strict=True)]
        return [
            w - self.rate * g / np.sqrt(v + 1e-10)
            for w, g, v in zip(weights, gradients, self.v, strict=True)
        ]


class Trained:
    """Float64 copies, `weights`, of Keras variables, and what trains them."""

    def __init__(self, variables, optimizer):
        self.variables, self.weights, self.optimizer = variables, values(variables), optimizer

    def apply(self, gradients):
        self.weights = self.optimizer.apply(self.weights, gradients)


# ---- vae -----------------------------------------------------------------------------------------


class VAE(Trained):
    """The article's graph, for x [n, 784] and epsilon [n, latent]."""

    EPSILON = 1e-10  # of the article's logarithms

    def __init__(self, model, config):
        encoder, decoder = model.encoder, model.decoder
        layers = (encoder.hidden, encoder.z_mean, encoder.z_log_var, decoder.hidden, decoder.logits)
        super().__init__(parameters(*layers), RMSProp(config.learning_rate, config.decay))

    @staticmethod
    def numpy(batch):
        """x and epsilon of a batch."""
        images = np.array(batch["images"]).reshape(-1, 784) / 255
        return images, np.array(batch["epsilon"], np.float64)

    def forward(self, x, epsilon):
        """All intermediate values, the last of them p, [n, 784]."""
        w1, b1, wm, bm, wv, bv, w2, b2, w3, b3 = self.weights
        h1 = np.tanh(x @ w1 + b1)
        mean, log_var = h1 @ wm + bm, h1 @ wv + bv
        z = mean + np.exp(log_var / 2) * epsilon
        h2 = np.tanh(z @ w2 + b2)
        return h1, mean, log_var, z, h2, sigmoid(h2 @ w3 + b3)

    def losses(self, x, epsilon):
        """Reconstruction and KL of each image, as the article writes them."""
        _, mean, log_var, _, _, p = self.forward(x, epsilon)
        logs = x * np.log(self.EPSILON + p) + (1 - x) * np.log(self.EPSILON + 1 - p)
        kl = -0.5 * np.sum(1 + log_var - mean**2 - np.exp(log_var), axis=1)
        return -np.sum(logs, axis=1), kl

    def gradients(self, x, epsilon):
        """Of the mean loss."""
        _, _, wm, _, wv, _, w2, _, w3, _ = self.weights
        n = len(x)
        h1, mean, log_var, z, h2, p = self.forward(x, epsilon)
        d_logits = (-x / (self.EPSILON + p) + (1 - x) / (self.EPSILON + 1 - p)) * p * (1 - p) / n
        d_h2 = d_logits @ w3.T * (1 - h2**2)
        d_z = d_h2 @ w2.T
        d_mean = d_z + mean / n
        d_log_var = d_z * epsilon * np.exp(log_var / 2) / 2 - 0.5 * (1 - np.exp(log_var)) / n
        d_h1 = (d_mean @ wm.T + d_log_var @ wv.T) * (1 - h1**2)
        pairs = [(x, d_h1), (h1, d_mean), (h1, d_log_var), (z, d_h2), (h2, d_logits)]
        return [g for inputs, d in pairs for g in (inputs.T @ d, d.sum(axis=0))]

    def update(self, batch):
        """One step; returns the loss before it."""
        x, epsilon = self.numpy(batch)
        loss = np.mean(np.add(*self.losses(x, epsilon)))
        self.apply(self.gradients(x, epsilon))
        return loss


# ---- gaussian_gan --------------------------------------------------------------------------------


class GaussianDiscriminator:
    """D with its backward pass.

    `weights` are kernel and bias of each layer; the third may be minibatch discrimination.
    """

    def __init__(self, weights, activation, minibatch):
        self.w, self.minibatch = weights, minibatch
        self.f, self.df = ACTIVATIONS[activation]

    def forward(self, x):
        """Logits [n, 1] of x [n, pack]."""
        self.inputs, self.a = [x], []
        for i in range(2 if self.minibatch else 3):
            kernel, bias = self.w[2 * i : 2 * i + 2]
            self.a.append(self.inputs[-1] @ kernel + bias)
            self.inputs.append(self.f(self.a[-1]))
        h = self.inputs[-1]
        if self.minibatch:
            kernel, bias = self.w[4:6]
            m = (h @ kernel + bias).reshape(len(x), 5, 3)
            self.differences = m[:, None] - m[None]  # [i, j, 5, 3]
            self.closeness = np.exp(-np.abs(self.differences).sum(3))  # [i, j, 5]
            h = np.concatenate([h, self.closeness.sum(1)], axis=1)
        self.last = h
        return h @ self.w[-2] + self.w[-1]

    def backward(self, d_logits):
        """Gradients of the weights, and of x, from those of logits."""
        d_h = d_logits @ self.w[-2].T
        gradients = [self.last.T @ d_logits, d_logits.sum(0)]
        if self.minibatch:
            d_features = d_h[:, -5:]
            d_h = d_h[:, :-5]
            both = (d_features[:, None] + d_features[None])[..., None]
            d_m = -(self.closeness[..., None] * np.sign(self.differences) * both).sum(1)
            d_m = d_m.reshape(len(d_m), 15)
            gradients = [self.inputs[-1].T @ d_m, d_m.sum(0), *gradients]
            d_h = d_h + d_m @ self.w[4].T
        for i in reversed(range(len(self.a))):
            d_a = d_h * self.df(self.a[i])
            gradients = [self.inputs[i].T @ d_a, d_a.sum(0), *gradients]
            d_h = d_a @ self.w[2 * i].T
        return gradients, d_h


class GaussianGAN:
    """D and G, `Trained` both."""

    def __init__(self, model, config):
        d, g = model.discriminator, model.generator
        self.config = config
        standardize = config.standardize
        self.shift, self.scale = (config.data_mean, config.data_std) if standardize else (0, 1)
        self.d = Trained(
            parameters(d.hidden_1, d.hidden_2, d.hidden_3, d.logits),
            self.optimizer(config.d_learning_rate),
        )
        self.g = Trained(parameters(g.hidden, g.x), self.optimizer(config.g_learning_rate))

    def optimizer(self, rate):
        decays = {
            "none": lambda t: rate,
            "staircase": lambda t: rate * 0.95 ** (t // 150),
            "linear": lambda t: rate * (1 - t / self.config.steps),
        }
        rate_at = decays[self.config.decay]
        if self.config.optimizer == "sgd":
            return SGD(rate_at)
        return Adam(rate_at, self.config.beta_1)

    def minus_log(self, p):
        """-log(max(p, floor)) and its derivative by p."""
        floor = self.config.log_floor
        return -np.log(np.maximum(p, floor)), np.where(p >= floor, -1 / np.maximum(p, floor), 0)

    def discriminator(self):
        config = self.config
        return GaussianDiscriminator(self.d.weights, config.activation, config.minibatch)

    def packs(self, x):
        """What D judges of x [n, 1]: [n / pack, pack]; and which points stand where."""
        x = (x - self.shift) / self.scale
        x = x.reshape(-1, self.config.pack)
        order = np.argsort(x, axis=1)
        return np.take_along_axis(x, order, axis=1), order

    def unpacked(self, d, order):
        """Gradient of x [n, 1] from that of its packs."""
        d_x = np.zeros_like(d)
        np.put_along_axis(d_x, order, d, axis=1)
        return d_x.reshape(-1, 1) / self.scale

    def update(self, batch):
        """One iteration of the article's loop; returns the losses of D and G."""
        x, z_d, z_g = (np.asarray(batch[name], np.float64) for name in ("x", "z_d", "z_g"))
        generator = Network(self.g.weights, "softplus")

        discriminator = self.discriminator()
        p = sigmoid(discriminator.forward(self.packs(x)[0]))
        n = len(p)
        real, d_real = self.minus_log(p)
        real_gradients, _ = discriminator.backward(d_real * p * (1 - p) / n)
        p = sigmoid(discriminator.forward(self.packs(generator.forward(z_d))[0]))
        generated, d_generated = self.minus_log(1 - p)
        generated_gradients, _ = discriminator.backward(-d_generated * p * (1 - p) / n)
        self.d.apply([a + b for a, b in zip(real_gradients, generated_gradients, strict=True)])

        discriminator = self.discriminator()
        packs, order = self.packs(generator.forward(z_g))
        p = sigmoid(discriminator.forward(packs))
        loss, d_loss = self.minus_log(p)
        _, d_packs = discriminator.backward(d_loss * p * (1 - p) / n)
        self.g.apply(generator.backward(self.unpacked(d_packs, order))[0])
        return np.mean(real + generated), np.mean(loss)


def assert_bells(scores, config):
    """What `stable` of the models on a line promises, over seeds, in units of data_std."""
    sigma = config.data_std
    ks, w1, skew, kurtosis = (
        np.array([score[name] for score in scores]) for name in ("ks", "w1", "skew", "kurtosis")
    )
    print(
        f"{len(scores)} seeds: KS {np.median(ks):.4f}, 90 % {np.quantile(ks, 0.9):.4f}, largest "
        f"{ks.max():.4f}; W1 {np.median(w1) / sigma:.4f} std; skew {np.median(skew):.3f}; "
        f"kurtosis {np.median(kurtosis):.3f}"
    )
    assert np.median(ks) <= 0.03
    assert np.quantile(ks, 0.9) <= 0.05
    assert np.median(w1) <= 0.04 * sigma
    assert abs(np.median(skew)) <= 0.1
    assert abs(np.median(kurtosis)) <= 0.35
    assert not any(score["collapsed"] or score["diverged"] for score in scores)


# ---- tiny_gan ------------------------------------------------------------------------------------


def seen(x, inputs):
    """What D sees of a batch x [n]: a row."""
    deviations = x - x.mean()
    if inputs == "sorted":
        return np.sort(x)[None]
    if inputs == "moments":
        return np.array([[x.mean(), x.std(), stats.skew(x), stats.kurtosis(x)]])
    parts = {"raw": [x], "squares": [x, deviations**2], "differences": [x, deviations]}[inputs]
    return np.concatenate(parts)[None]


def seen_backward(x, inputs, d):
    """Gradient of x [n] from that of `seen`, `d` [1, width]; the mean is a constant but in moments.

    For moments, with z = (x - mean) / std: d mean = 1/n, d std = z/n,
    d skew = 3/(n std) (z^2 - 1 - skew z), d kurtosis = 4/(n std) (z^3 - skew - E[z^4] z).
    """
    n, d = len(x), d[0]
    if inputs == "raw":
        return d
    if inputs == "sorted":
        return d[np.argsort(np.argsort(x))]
    if inputs == "squares":
        return d[:n] + 2 * (x - x.mean()) * d[n:]
    if inputs == "differences":
        return d[:n] + d[n:]
    std = x.std()
    z = (x - x.mean()) / std
    skew, fourth = np.mean(z**3), np.mean(z**4)
    return (
        d[0] / n
        + d[1] * z / n
        + d[2] * 3 / (n * std) * (z**2 - 1 - skew * z)
        + d[3] * 4 / (n * std) * (z**3 - skew - fourth * z)
    )


class TinyGAN:
    """D and G, `Trained` both."""

    def __init__(self, model, config):
        d, g = model.discriminator, model.generator
        self.config = config
        self.d = Trained(parameters(d.hidden_1, d.hidden_2, d.logits), self.optimizer())
        self.g = Trained(parameters(g.hidden_1, g.hidden_2, g.x), self.optimizer())

    def optimizer(self):
        config = self.config
        rate = config.learning_rate
        if config.decay == "linear":
            rate = lambda t: config.learning_rate * (1 - t / config.steps)  # noqa: E731
        return AdamPyTorch(rate) if config.optimizer == "adam" else SGD(rate, momentum=0.9)

    def generator(self):
        config = self.config
        return Network(self.g.weights, config.g_activation_1, config.g_activation_2)

    def discriminator(self):
        return Network(self.d.weights, self.config.d_activation, self.config.d_activation)

    def update(self, batch):
        """One epoch; returns mean losses of real, generated and G: [3]."""
        config, inputs = self.config, self.config.inputs
        shift, scale = (config.data_mean, config.data_std) if config.standardize else (0, 1)
        x, z_d, z_g = (np.asarray(batch[name], np.float64) for name in ("x", "z_d", "z_g"))
        losses = np.zeros(3)
        for real, z in zip(x, z_d, strict=True):
            network = self.discriminator()
            p = sigmoid(network.forward(seen((real - shift) / scale, inputs)))
            gradients, _ = network.backward(p - 1)  # of -log p by the logit
            losses[0] -= np.log(p[0, 0]) / len(x)
            points = (self.generator().forward(z[:, None])[:, 0] - shift) / scale
            p = sigmoid(network.forward(seen(points, inputs)))
            more, _ = network.backward(p)  # of -log(1 - p)
            losses[1] -= np.log(1 - p[0, 0]) / len(x)
            self.d.apply([a + b for a, b in zip(gradients, more, strict=True)])
        for z in z_g:
            generator, network = self.generator(), self.discriminator()
            points = (generator.forward(z[:, None])[:, 0] - shift) / scale
            p = sigmoid(network.forward(seen(points, inputs)))
            _, d_seen = network.backward(p - 1)
            losses[2] -= np.log(p[0, 0]) / len(z_g)
            d_points = seen_backward(points, inputs, d_seen) / scale
            gradients, _ = generator.backward(d_points[:, None])
            self.g.apply(gradients)
        return losses


# ---- ali -----------------------------------------------------------------------------------------


def ali_layers(network):
    """Of each layer of Q, P or D a dict of its trained variables; the last layer is linear."""
    last = [getattr(network, name) for name in ("z", "logits", "logit") if hasattr(network, name)]
    layers = []
    for layer in (*network.hidden, *last):
        dense, norm = getattr(layer, "dense", layer), getattr(layer, "norm", None)
        variables = {"kernel": dense.kernel}
        variables |= {"gamma": norm.gamma, "beta": norm.beta} if norm else {"bias": dense.bias}
        layers.append(variables)
    return layers


def ali_forward(layers, h, leak, z=None, z_layer=0):
    """The output, and what `ali_backward` needs of each layer; `layers` are dicts of arrays."""
    caches = []
    for number, layer in enumerate(layers, 1):
        if number == z_layer:
            h = np.concatenate([h, z], axis=1)
        cache = {"input": h}
        h = h @ layer["kernel"] + layer.get("bias", 0)
        if "gamma" in layer:
            cache["mean"], cache["variance"] = h.mean(axis=0), h.var(axis=0)
            cache["scale"] = 1 / np.sqrt(cache["variance"] + 1e-5)
            cache["normal"] = (h - cache["mean"]) * cache["scale"]
            h = layer["gamma"] * cache["normal"] + layer["beta"]
        if number < len(layers):
            cache["slope"] = np.where(h > 0, 1, leak)
            h = h * cache["slope"]
        caches.append(cache)
    return h, caches


def ali_backward(layers, caches, d, z_layer=0, latent_dim=0):
    """From the gradient of the output: of the parameters, of the input and of z."""
    gradients, d_z = [], None
    for number in range(len(layers), 0, -1):
        layer, cache = layers[number - 1], caches[number - 1]
        if "slope" in cache:
            d = d * cache["slope"]
        if "gamma" in layer:
            normal = cache["normal"]
            gradient = {"gamma": np.sum(d * normal, axis=0), "beta": np.sum(d, axis=0)}
            d = d * layer["gamma"]
            d = cache["scale"] * (d - d.mean(axis=0) - normal * np.mean(d * normal, axis=0))
        else:
            gradient = {"bias": np.sum(d, axis=0)}
        gradients.insert(0, {"kernel": cache["input"].T @ d, **gradient})
        d = d @ layer["kernel"].T
        if number == z_layer:
            d, d_z = d[:, :-latent_dim], d[:, -latent_dim:]
    return gradients, d, d_z


def flat(*networks):
    """The values of all dicts, one after the other."""
    return [value for layers in networks for layer in layers for value in layer.values()]


def shifted(flat_images, offsets):
    """Images [n, 784], each shifted by its own pixels down and to the right, int [n, 2]."""
    images = flat_images.reshape(-1, 28, 28)
    result = np.zeros_like(images)
    for image, new, (down, right) in zip(images, result, offsets, strict=True):
        for row in range(28):
            for column in range(28):
                if 0 <= row + down < 28 and 0 <= column + right < 28:
                    new[row + down, column + right] = image[row, column]
    return result.reshape(-1, 784)


class ALI:
    """D, and Q and P together, `Trained` both, for x [n, 784] and z [n, latent]."""

    EPSILON = 1e-8  # of the article's logarithms

    def __init__(self, model, config):
        self.config = config
        self.q, self.p, self.d_layers = map(
            ali_layers, (model.encoder, model.decoder, model.discriminator)
        )
        self.g = Trained(flat(self.q, self.p), Adam(self.rate, config.beta_1))
        d_rate = lambda t: config.d_rate * self.rate(t)  # noqa: E731
        self.d = Trained(flat(self.d_layers), Adam(d_rate, config.beta_1))
        self.moving = {}  # what batch normalisation keeps for inference

    def rate(self, t):
        past_half = max(0, 2 * t / self.config.steps - 1)
        return self.config.learning_rate * self.config.final_rate**past_half

    def arrays(self):
        """Q, P and D, each as a list of dicts like `ali_layers`."""
        weights = iter([*self.g.weights, *self.d.weights])
        return [
            [{name: next(weights) for name in layer} for layer in layers]
            for layers in (self.q, self.p, self.d_layers)
        ]

    def penalised(self, layers, gradients):
        """Gradients with that of l2/2 times the squared kernels, flat."""
        l2 = self.config.l2
        return [
            g + (l2 * layer[name] if name == "kernel" else 0)
            for layer, gradient in zip(layers, gradients, strict=True)
            for name, g in gradient.items()
        ]

    def remember(self, network, caches):
        for number, cache in enumerate(caches):
            if "mean" in cache:
                mean, variance = self.moving.get((network, number), (0, 1))
                new = 0.99 * mean + 0.01 * cache["mean"], 0.99 * variance + 0.01 * cache["variance"]
                self.moving[network, number] = new

    def discriminate(self, d, x, z):
        """D's logits of one kind of pairs, [n, 1], and what `back_through_d` needs."""
        logits, caches = ali_forward(d, x, self.config.leak, z, self.config.z_layer)
        self.remember("discriminator", caches)
        return logits, caches

    def back_through_d(self, d, caches, d_logits):
        return ali_backward(d, caches, d_logits, self.config.z_layer, self.config.latent_dim)

    def loss(self, a, b):
        """-mean(log(sigmoid(a) + 1e-8) + log(sigmoid(-b) + 1e-8))."""
        return -np.mean(log_sigmoid(a, self.EPSILON) + log_sigmoid(-b, self.EPSILON))

    def slope(self, logits):
        return log_sigmoid_slope(logits, self.EPSILON)

    def update(self, batch):
        """One iteration; returns the losses of D and of Q and P, without L2 and cycle term."""
        x, z = np.array(batch["images"]).reshape(-1, 784) / 255, np.float64(batch["z"])
        config, n = self.config, len(x)
        q, p, d = self.arrays()
        q_out, q_caches = ali_forward(q, x, config.leak)
        z_enc = np.tanh(q_out) if config.bounded else q_out
        p_in = np.concatenate([z, z_enc]) if config.cycle else z
        p_out, p_caches = ali_forward(p, p_in, 0)
        generated = sigmoid(p_out)
        self.remember("encoder", q_caches)
        self.remember("decoder", p_caches)

        offsets = np.int64(batch.get("offsets", np.zeros([n, 2])))  # D sees shifted images
        x_seen, generated_seen = shifted(x, offsets), shifted(generated[:n], offsets)
        enc, enc_caches = self.discriminate(d, x_seen, z_enc)
        gen, gen_caches = self.discriminate(d, generated_seen, z)
        loss_d = self.loss(enc, gen)
        gradients, _, _ = self.back_through_d(d, enc_caches, -self.slope(enc) / n)
        others, _, _ = self.back_through_d(d, gen_caches, self.slope(-gen) / n)
        for layer, other in zip(gradients, others, strict=True):
            for name in layer:
                layer[name] = layer[name] + other[name]
        self.d.apply(self.penalised(d, gradients))

        _, _, d = self.arrays()
        enc, enc_caches = self.discriminate(d, x_seen, z_enc)
        gen, gen_caches = self.discriminate(d, generated_seen, z)
        loss_g = self.loss(gen, enc)
        _, _, d_z_enc = self.back_through_d(d, enc_caches, self.slope(-enc) / n)
        _, d_generated, _ = self.back_through_d(d, gen_caches, -self.slope(gen) / n)
        d_generated = shifted(d_generated, -offsets)
        if config.cycle:
            d_cycle = 2 * config.cycle * (generated[n:] - x) / n
            d_generated = np.concatenate([d_generated, d_cycle])
        d_logits = d_generated * generated * (1 - generated)
        p_gradients, d_p_in, _ = ali_backward(p, p_caches, d_logits)
        if config.cycle:
            d_z_enc = d_z_enc + config.q_cycle * d_p_in[n:]
        if config.bounded:
            d_z_enc = d_z_enc * (1 - z_enc**2)
        q_gradients, _, _ = ali_backward(q, q_caches, d_z_enc)
        self.g.apply(self.penalised([*q, *p], [*q_gradients, *p_gradients]))
        return loss_d, loss_g
