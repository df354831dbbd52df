"""The four systems in Keras as its tutorials write them: `fit`, one custom `train_step` a batch.

The interface is that of `jax_scan`. The data comes from a `tf.data.Dataset` of what lies in memory.
"""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

log_sigmoid = tf.math.log_sigmoid


def runner(model, batches):
    dataset = tf.data.Dataset.from_tensor_slices(batches)

    def run(first, count):
        part = dataset.skip(first).take(count).prefetch(tf.data.AUTOTUNE)
        history = model.fit(part, verbose=0, shuffle=False).history
        return np.array([history[metric.name][-1] for metric in model.metrics])

    return run


class GAN(keras.Model):
    """Two networks with an Adam each; a subclass says what their losses are."""

    def __init__(self, d, g, rate):
        super().__init__()
        self.d, self.g = d, g
        self.d_optimizer = keras.optimizers.Adam(rate, epsilon=1e-8)
        self.g_optimizer = keras.optimizers.Adam(rate, epsilon=1e-8)
        self.d_loss_tracker = keras.metrics.Mean("loss_d")
        self.g_loss_tracker = keras.metrics.Mean("loss_g")
        self.compile()

    @property
    def metrics(self):
        return [self.d_loss_tracker, self.g_loss_tracker]

    @property
    def d_variables(self):
        return self.d.trainable_variables

    @property
    def g_variables(self):
        return self.g.trainable_variables

    def train_step(self, batch):
        with tf.GradientTape() as tape:
            loss_d = self.loss_d(batch)
        gradients = tape.gradient(loss_d, self.d_variables)
        self.d_optimizer.apply_gradients(zip(gradients, self.d_variables, strict=True))
        with tf.GradientTape() as tape:
            loss_g = self.loss_g(batch)
        gradients = tape.gradient(loss_g, self.g_variables)
        self.g_optimizer.apply_gradients(zip(gradients, self.g_variables, strict=True))
        self.d_loss_tracker.update_state(loss_d)
        self.g_loss_tracker.update_state(loss_g)
        return {metric.name: metric.result() for metric in self.metrics}


class Minibatch(layers.Layer):
    def build(self, shape):
        self.kernel = self.add_weight([shape[-1], 15])

    def call(self, h):
        m = tf.reshape(h @ self.kernel, [-1, 5, 3])
        distances = tf.reduce_sum(tf.abs(m[:, None] - m[None]), 3)
        return tf.concat([h, tf.reduce_sum(tf.exp(-distances), 1)], 1)


class GaussianGAN(GAN):
    def log(self, logits):
        return tf.maximum(log_sigmoid(logits), np.log(1e-5))

    def loss_d(self, batch):
        real, generated = self.d(batch["x"]), self.d(self.g(batch["z_d"]))
        return tf.reduce_mean(-self.log(real) - self.log(-generated))

    def loss_g(self, batch):
        return -tf.reduce_mean(self.log(self.d(self.g(batch["z_g"]))))


def gaussian_gan(weights, batches):
    g = keras.Sequential([layers.Dense(4, activation="softplus"), layers.Dense(1)])
    hidden = [layers.Dense(8, activation="relu"), layers.Dense(8, activation="relu")]
    d = keras.Sequential([*hidden, Minibatch(), layers.Dense(1)])
    d(g(batches["z_d"][0]))
    d.set_weights(weights["d"])
    g.set_weights(weights["g"])
    return runner(GaussianGAN(d, g, 0.001), batches)


class TinyGAN(GAN):
    def see(self, x):  # [batch, 1] -> [1, 2 batch]
        x = tf.transpose(x)
        mean = tf.stop_gradient(tf.reduce_mean(x, 1, keepdims=True))
        return tf.concat([x, (x - mean) ** 2], 1)

    def loss_d(self, batch):
        real = self.d(self.see(batch["x"]))
        generated = self.d(self.see(self.g(batch["z_d"])))
        return tf.reduce_mean(-log_sigmoid(real) - log_sigmoid(-generated))

    def loss_g(self, batch):
        return -tf.reduce_mean(log_sigmoid(self.d(self.see(self.g(batch["z_g"])))))


def tiny_gan(weights, batches):
    batches = {name: array[:, 0, :, None] for name, array in batches.items()}
    dense = layers.Dense
    g = keras.Sequential([dense(50, activation="elu"), dense(50, activation="sigmoid"), dense(1)])
    d = keras.Sequential([dense(50, activation="elu"), dense(50, activation="elu"), dense(1)])
    g(batches["z_d"][0])
    d(np.zeros([1, 200], np.float32))
    d.set_weights(weights["d"])
    g.set_weights(weights["g"])
    return runner(TinyGAN(d, g, 0.0002), batches)


def log_probability(logits, epsilon):
    return tf.math.log(tf.sigmoid(logits) + epsilon)


class ALI(GAN):
    def __init__(self, d, q, p, rate):
        super().__init__(d, q, rate)
        self.q, self.p = q, p

    @property
    def g_variables(self):
        return self.q.trainable_variables + self.p.trainable_variables

    def logits(self, batch):
        x, z = batch["images"], batch["z"]
        encoded = self.d(tf.concat([x, self.q(x)], 1))
        return encoded, self.d(tf.concat([self.p(z), z], 1))

    def cross_entropy(self, encoded, generated):
        terms = log_probability(encoded, 1e-8) + log_probability(-generated, 1e-8)
        return -tf.reduce_mean(terms)

    def loss_d(self, batch):
        encoded, generated = self.logits(batch)
        return self.cross_entropy(encoded, generated)

    def loss_g(self, batch):
        encoded, generated = self.logits(batch)
        return self.cross_entropy(generated, encoded)


def ali(weights, batches):
    dense = layers.Dense
    q = keras.Sequential([dense(128, activation="relu"), dense(64)])
    p = keras.Sequential([dense(128, activation="relu"), dense(784, activation="sigmoid")])
    d = keras.Sequential([dense(128, activation="relu"), dense(1)])
    z = q(batches["images"][0])
    d(tf.concat([p(z), z], 1))
    d.set_weights(weights["d"])
    q.set_weights(weights["g"][:4])
    p.set_weights(weights["g"][4:])
    return runner(ALI(d, q, p, 0.001), batches)


class VAE(keras.Model):
    def __init__(self, encoder, decoder):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.loss_tracker = keras.metrics.Mean("loss")

    @property
    def metrics(self):
        return [self.loss_tracker]

    def train_step(self, batch):
        x = batch["images"]
        with tf.GradientTape() as tape:
            mean, log_var = self.encoder(x)
            z = mean + tf.exp(log_var / 2) * batch["epsilon"]
            logits = self.decoder(z)
            log_x, log_not_x = log_probability(logits, 1e-10), log_probability(-logits, 1e-10)
            reconstruction = -tf.reduce_sum(x * log_x + (1 - x) * log_not_x, 1)
            kl = -0.5 * tf.reduce_sum(1 + log_var - mean**2 - tf.exp(log_var), 1)
            loss = tf.reduce_mean(reconstruction + kl)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        self.loss_tracker.update_state(loss)
        return {"loss": self.loss_tracker.result()}


def vae(weights, batches):
    inputs = keras.Input([784])
    h = layers.Dense(512, activation="tanh")(inputs)
    encoder = keras.Model(inputs, [layers.Dense(2)(h), layers.Dense(2)(h)])
    decoder = keras.Sequential([layers.Dense(512, activation="tanh"), layers.Dense(784)])
    decoder(batches["epsilon"][0])
    encoder.set_weights(weights["w"][:6])
    decoder.set_weights(weights["w"][6:])
    model = VAE(encoder, decoder)
    # TensorFlow 1's RMSProp: epsilon inside the root, the mean of squared gradients from 1.
    optimizer = keras.optimizers.RMSprop(0.001, rho=0.9, epsilon=1e-10)
    optimizer.build(model.trainable_variables)
    for velocity in optimizer.variables[2:]:
        velocity.assign(tf.ones_like(velocity))
    model.compile(optimizer)
    return runner(model, batches)
