"""The four systems as the originals ran: a TensorFlow 1 graph, a Session, a feed_dict an update.

The interface is that of `jax_scan`. The adversarial ones take two `session.run` an update, one for
each network, as their originals do.
"""

import numpy as np
import tensorflow.compat.v1 as tf

tf.disable_eager_execution()


def variables(arrays):
    return [tf.Variable(array) for array in arrays]


def dense(weights, i, x):
    return tf.matmul(x, weights[i]) + weights[i + 1]


def placeholders(batches):
    return {name: tf.placeholder(tf.float32, array.shape[1:]) for name, array in batches.items()}


def runner(steps, batches):
    """`run` from the steps of an update: (placeholders to feed, loss, train operation) each."""
    session = tf.Session()
    session.run(tf.global_variables_initializer())

    def run(first, count):
        for k in range(first, first + count):
            losses = []
            for feeds, loss, train in steps:
                feed_dict = {tensor: batches[name][k] for name, tensor in feeds.items()}
                losses.append(session.run([loss, train], feed_dict)[0])
        return np.array(losses)

    return run


def adversarial(loss_d, loss_g, d, g, d_inputs, g_inputs, rate, batches):
    train_d = tf.train.AdamOptimizer(rate).minimize(loss_d, var_list=d)
    train_g = tf.train.AdamOptimizer(rate).minimize(loss_g, var_list=g)
    return runner([(d_inputs, loss_d, train_d), (g_inputs, loss_g, train_g)], batches)


def gaussian_gan(weights, batches):
    d, g, inputs = variables(weights["d"]), variables(weights["g"]), placeholders(batches)

    def generate(z):
        return dense(g, 2, tf.nn.softplus(dense(g, 0, z)))

    def discriminate(x):
        h = tf.nn.relu(dense(d, 2, tf.nn.relu(dense(d, 0, x))))
        m = tf.reshape(tf.matmul(h, d[4]), [-1, 5, 3])
        distances = tf.reduce_sum(tf.abs(m[:, None] - m[None]), 3)
        features = tf.reduce_sum(tf.exp(-distances), 1)
        return tf.sigmoid(dense(d, 5, tf.concat([h, features], 1)))

    def log(p):
        return tf.log(tf.maximum(p, 1e-5))

    real, generated = discriminate(inputs["x"]), discriminate(generate(inputs["z_d"]))
    loss_d = tf.reduce_mean(-log(real) - log(1 - generated))
    loss_g = tf.reduce_mean(-log(discriminate(generate(inputs["z_g"]))))
    d_inputs = {name: inputs[name] for name in ("x", "z_d")}
    g_inputs = {"z_g": inputs["z_g"]}
    return adversarial(loss_d, loss_g, d, g, d_inputs, g_inputs, 0.001, batches)


def tiny_gan(weights, batches):
    batches = {name: array[:, 0] for name, array in batches.items()}  # one step of each network
    d, g, inputs = variables(weights["d"]), variables(weights["g"]), placeholders(batches)

    def generate(z):
        h = tf.nn.elu(dense(g, 0, z[:, None]))
        return dense(g, 4, tf.sigmoid(dense(g, 2, h)))[:, 0]

    def discriminate(x):  # [n, 100] -> [n]
        squares = (x - tf.stop_gradient(tf.reduce_mean(x, 1, keepdims=True))) ** 2
        h = tf.nn.elu(dense(d, 0, tf.concat([x, squares], 1)))
        return dense(d, 4, tf.nn.elu(dense(d, 2, h)))[:, 0]

    logits = discriminate(tf.stack([inputs["x"], generate(inputs["z_d"])]))
    loss_d = -tf.log_sigmoid(logits[0]) - tf.log_sigmoid(-logits[1])
    loss_g = -tf.log_sigmoid(discriminate(generate(inputs["z_g"])[None])[0])
    d_inputs = {name: inputs[name] for name in ("x", "z_d")}
    g_inputs = {"z_g": inputs["z_g"]}
    return adversarial(loss_d, loss_g, d, g, d_inputs, g_inputs, 0.0002, batches)


def log_sigmoid(logits, epsilon):
    return tf.log(tf.sigmoid(logits) + epsilon)


def ali(weights, batches):
    d, g, inputs = variables(weights["d"]), variables(weights["g"]), placeholders(batches)
    x, z = inputs["images"], inputs["z"]
    z_encoded = dense(g, 2, tf.nn.relu(dense(g, 0, x)))
    x_generated = tf.sigmoid(dense(g, 6, tf.nn.relu(dense(g, 4, z))))

    def discriminate(x, z):
        return dense(d, 2, tf.nn.relu(dense(d, 0, tf.concat([x, z], 1))))

    def loss(encoded, generated):
        return -tf.reduce_mean(log_sigmoid(encoded, 1e-8) + log_sigmoid(-generated, 1e-8))

    encoded, generated = discriminate(x, z_encoded), discriminate(x_generated, z)
    loss_d, loss_g = loss(encoded, generated), loss(generated, encoded)
    return adversarial(loss_d, loss_g, d, g, inputs, inputs, 0.001, batches)


def vae(weights, batches):
    w, inputs = variables(weights["w"]), placeholders(batches)
    x = inputs["images"]
    h = tf.tanh(dense(w, 0, x))
    mean, log_var = dense(w, 2, h), dense(w, 4, h)
    z = mean + tf.exp(log_var / 2) * inputs["epsilon"]
    logits = dense(w, 8, tf.tanh(dense(w, 6, z)))
    log_x, log_not_x = log_sigmoid(logits, 1e-10), log_sigmoid(-logits, 1e-10)
    reconstruction = -tf.reduce_sum(x * log_x + (1 - x) * log_not_x, 1)
    kl = -0.5 * tf.reduce_sum(1 + log_var - mean**2 - tf.exp(log_var), 1)
    loss = tf.reduce_mean(reconstruction + kl)
    train = tf.train.RMSPropOptimizer(0.001, 0.9).minimize(loss)
    return runner([(inputs, loss, train)], batches)
