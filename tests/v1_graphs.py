"""The articles' systems as graphs of TensorFlow 1, which a `tf.train.Saver` writes to checkpoints.

Each function builds one in the default graph: the same variables in the same order, with the names
that the article's code gives them, the same losses and optimisers. It returns a `System`.
"""

import itertools
from typing import NamedTuple

import tensorflow as tf

v1 = tf.compat.v1


class System(NamedTuple):
    """What a graph is fed and asked."""

    inputs: dict  # of a key of a batch to a tensor
    steps: list  # of one iteration: a train operation and the keys that it is fed
    outputs: dict  # of a name to a tensor

    def iterate(self, session, batches):
        for batch in batches:
            for train, keys in self.steps:
                session.run(train, {self.inputs[key]: batch[key] for key in keys})

    def answer(self, session, batch):
        """All outputs for the points of a batch, a dict."""
        return session.run(self.outputs, {self.inputs[key]: batch[key] for key in batch})


def initial(shape):
    """What two of the articles start from, biases of the VAE included."""
    return v1.random_normal(shape, stddev=(shape[0] / 2) ** -0.5)


def vae(hidden=512, latent=2, names=None, pairs=False):
    """`names` are given to the ten variables; `pairs` creates each bias after its kernel."""
    layers = {"encoder_h1": (784, hidden), "z_mean": (hidden, latent), "z_std": (hidden, latent)}
    layers |= {"decoder_h1": (latent, hidden), "decoder_out": (hidden, 784)}
    names = iter(names or [None] * 10)

    def variables(part):
        return {
            layer: v1.Variable(initial(shape[part:]), name=next(names))
            for layer, shape in layers.items()
        }

    if pairs:
        weights, biases = {}, {}
        for layer, shape in layers.items():
            weights[layer] = v1.Variable(initial(shape))
            biases[layer] = v1.Variable(initial(shape[1:]))
    else:
        weights, biases = variables(0), variables(1)

    def linear(layer, x):
        return tf.matmul(x, weights[layer]) + biases[layer]

    x = v1.placeholder(tf.float32, [None, 784])
    h = tf.tanh(linear("encoder_h1", x))
    mean, log_var = linear("z_mean", h), linear("z_std", h)
    epsilon = v1.random_normal(tf.shape(log_var))
    z = mean + tf.exp(log_var / 2) * epsilon
    image = tf.sigmoid(linear("decoder_out", tf.tanh(linear("decoder_h1", z))))
    likelihood = x * v1.log(1e-10 + image) + (1 - x) * v1.log(1e-10 + 1 - image)
    kl = -0.5 * tf.reduce_sum(1 + log_var - tf.square(mean) - tf.exp(log_var), 1)
    loss = tf.reduce_mean(-tf.reduce_sum(likelihood, 1) + kl)
    train = v1.train.RMSPropOptimizer(learning_rate=0.001).minimize(loss)
    inputs = {"images": x, "epsilon": epsilon, "z": z}  # feed_dict may overwrite any tensor
    outputs = {"decode": image, "z_mean": mean, "z_log_var": log_var}
    return System(inputs, [(train, ["images", "epsilon"])], outputs)


def gaussian_gan(hidden=4, minibatch=False, listing=True, batch=8, scopes="GD", pretrained=False):
    """The full listing, or the code in the article's text; `pretrained` is as the first code was,
    which had a copy of D in the scope D_pre.
    """
    activation = tf.nn.relu if listing else tf.tanh

    def linear(x, units, scope, stddev=1.0):
        with v1.variable_scope(scope):
            normal = v1.random_normal_initializer(stddev=stddev)
            w = v1.get_variable("w", [x.shape[1], units], initializer=normal)
            b = v1.get_variable("b", [units], initializer=v1.constant_initializer(0.0))
            return tf.matmul(x, w) + b

    def generator(z):
        return linear(tf.nn.softplus(linear(z, hidden, "g0")), 1, "g1")

    def closeness(h):
        scope = "minibatch" if listing else "linear"  # the text names none
        m = tf.reshape(linear(h, 15, scope, stddev=0.02), [-1, 5, 3])
        differences = tf.expand_dims(m, 3) - tf.expand_dims(tf.transpose(m, [1, 2, 0]), 0)
        distances = tf.reduce_sum(tf.abs(differences), 2)
        return tf.concat([h, tf.reduce_sum(tf.exp(-distances), 2)], 1)

    def discriminator(x):
        h = activation(linear(x, 2 * hidden, "d0"))
        h = activation(linear(h, 2 * hidden, "d1"))
        h = closeness(h) if minibatch else activation(linear(h, 2 * hidden, "d2"))
        return tf.sigmoid(linear(h, 1, "d3"))

    def log(p):
        return v1.log(tf.maximum(p, 1e-5)) if listing else v1.log(p)

    def minimize(loss, variables):
        step = v1.Variable(0, trainable=False) if listing else v1.Variable(0)
        if listing:
            optimizer = v1.train.AdamOptimizer(0.001)
        else:
            rate = v1.train.exponential_decay(0.005, step, 150, 0.95, staircase=True)
            optimizer = v1.train.GradientDescentOptimizer(rate)
        return optimizer.minimize(loss, global_step=step, var_list=variables)

    if pretrained:
        with v1.variable_scope("D_pre"):
            x = v1.placeholder(tf.float32, [None, 1])
            minimize(tf.reduce_mean(discriminator(x) ** 2), None)
    with v1.variable_scope(scopes[0]):
        z = v1.placeholder(tf.float32, [None, 1])
        points = generator(z)
    x = v1.placeholder(tf.float32, [None, 1])
    with v1.variable_scope(scopes[1]):
        real = discriminator(x)
    with v1.variable_scope(scopes[1], reuse=True):
        generated = discriminator(points)
    loss_d = tf.reduce_mean(-log(real) - log(1 - generated))
    loss_g = tf.reduce_mean(-log(generated))
    train_d = minimize(loss_d, v1.trainable_variables(f"{scopes[1]}/"))
    train_g = minimize(loss_g, v1.trainable_variables(f"{scopes[0]}/"))
    inputs = {"x": x, "z_d": z, "z_g": z, "z": z}
    steps = [(train_d, ["x", "z_d"]), (train_g, ["z_g"])]
    return System(inputs, steps, {"decode": points, "discriminate": real})


def ali(hidden=128, latent=64, d_first=True):
    """D, Q and P in the order of the public script, or D last."""

    def parameters(*sizes):
        made = []
        for inputs, units in itertools.pairwise(sizes):
            made.append(v1.Variable(initial([inputs, units])))
            made.append(v1.Variable(tf.zeros([units])))
        return made

    if d_first:
        d = parameters(784 + latent, hidden, 1)
    q, p = parameters(784, hidden, latent), parameters(latent, hidden, 784)
    if not d_first:
        d = parameters(784 + latent, hidden, 1)

    def network(w, x):
        return tf.matmul(tf.nn.relu(tf.matmul(x, w[0]) + w[1]), w[2]) + w[3]

    def judge(x, z):
        return tf.sigmoid(network(d, tf.concat([x, z], 1)))

    def log(v):
        return v1.log(v + 1e-8)

    x = v1.placeholder(tf.float32, [None, 784])
    z = v1.placeholder(tf.float32, [None, latent])
    code, image = network(q, x), tf.sigmoid(network(p, z))
    encoded, generated = judge(x, code), judge(image, z)
    loss_d = -tf.reduce_mean(log(encoded) + log(1 - generated))
    loss_g = -tf.reduce_mean(log(generated) + log(1 - encoded))
    train_d = v1.train.AdamOptimizer(0.001).minimize(loss_d, var_list=d)
    train_g = v1.train.AdamOptimizer(0.001).minimize(loss_g, var_list=[*q, *p])
    inputs = {"images": x, "z": z}
    steps = [(train_d, ["images", "z"]), (train_g, ["images", "z"])]
    return System(inputs, steps, {"decode": image, "encode": code, "discriminate": encoded})
