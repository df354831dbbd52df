# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1. A variational autoencoder: handwritten digits from two numbers
#
# A variational autoencoder (VAE) learns to generate images. Its *decoder* turns two random numbers
# into a handwritten digit. This notebook follows the article 变分自编码器 (variational
# autoencoder), the sixth note of the series "TensorFlow-windows". The article follows Kingma and
# Welling (arXiv:1312.6114) and Doersch's tutorial (arXiv:1606.05908).
#
# You build the model in 40 lines and train it. Then you derive its loss, break the model on
# purpose, and find out which two numbers make which digit. The author of the article did not know
# this last point and regretted it.
#
# **You need** Python, a little Keras, and a first course in calculus and probability: densities,
# expectations, Bayes' rule. You need no GPU and no download. We use 5,000 real digits that come
# with an installed package. The first cell installs tf_gen if it is missing.
#
# **Time** on two cores: 3 minutes. Sections called *Further* can be skipped at first reading.

# %%
# Install tf_gen where it is missing, as on Colab.
import importlib.util
import subprocess
import sys
from pathlib import Path

REPOSITORY = ""
if not importlib.util.find_spec("tf_gen"):
    checkout = [str(path) for path in Path.cwd().parents if (path / "tf_gen").is_dir()]
    place = checkout[0] if checkout else f"git+https://github.com/{REPOSITORY}"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", place], check=True)

from tf_gen import notebook  # imports TensorFlow quietly

# %%
# %matplotlib inline
import dataclasses
import json
import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from scipy import special, stats
from sklearn.mixture import GaussianMixture

import tf_gen
from tf_gen import explorer, mnist, plots, savedmodel
from tf_gen.figures import vae as figures
from tf_gen.models import vae
from tf_gen.tasks import judge

keras.utils.set_random_seed(0)  # for the same numbers at each run

# %% [markdown]
# Two numbers are a point in a plane. We take a grid of 15 × 15 points, spaced by the quantiles of a
# normal distribution, and show what a trained decoder makes of each. Neighbouring points give
# similar images, and most digits have a region of their own.

# %%
trained = tf_gen.load("vae")  # comes with the package
axis = stats.norm.ppf(np.linspace(0.02, 0.98, 15)).tolist()
notebook.picture(plots.mosaic(trained.decode(plots.plane(axis)), 15, scale=1))

# %% [markdown]
# ## Build it
#
# A VAE has three parts. The *encoder* turns an image into a normal distribution in the plane: a
# mean and a log-variance for each of two coordinates. The *sampler* draws a point $z$, called a
# *code* of the image, from this distribution. The *decoder* turns the code into an image again.

# %%
notebook.diagram("vae_network")

# %% [markdown]
# Training makes the output similar to the input. If we drew $z$ directly, the gradient could not
# flow back to the encoder. So the sampler takes the mean $\mu$, the standard deviation $\sigma$ and
# noise $\epsilon \sim N(0, I)$, and computes $z = \mu + \sigma \epsilon$, which we can
# differentiate. The article says that the right half of this figure is all you need to write the
# code, without any theory.

# %%
notebook.diagram("vae_graphs")

# %% [markdown]
# The hidden layers use tanh. The decoder returns *logits*, whose sigmoid is the image. The initial
# weights and biases are normal, with standard deviation $\sqrt{2 / \text{shape}[0]}$, as in the
# article.


# %%
def article_initial(shape, dtype=None):
    return tf.random.normal(shape, stddev=(2 / shape[0]) ** 0.5)


class MyVAE(keras.Model):
    def __init__(self, initial=article_initial):
        super().__init__()

        def dense(units, activation=None):
            return keras.layers.Dense(
                units, activation, kernel_initializer=initial, bias_initializer=initial
            )

        self.hidden = keras.Sequential([keras.layers.Flatten(), dense(512, "tanh")])
        self.z_mean, self.z_log_var = dense(2), dense(2)
        image = keras.layers.Reshape([28, 28])
        self.decoder = keras.Sequential([dense(512, "tanh"), dense(784), image])
        self(tf.zeros([1, 28, 28]), tf.zeros([1, 2]))  # creates the variables

    def call(self, images, epsilon):
        h = self.hidden(images)
        z_mean, z_log_var = self.z_mean(h), self.z_log_var(h)
        z = z_mean + tf.exp(z_log_var / 2) * epsilon
        return self.decoder(z), z_mean, z_log_var


# %% [markdown]
# The loss has two terms. The first measures how much the output differs from the input: the cross
# entropy between the two, summed over the pixels. The second measures how much the encoder's
# distribution differs from the standard normal distribution $N(0, I)$. We derive both below.
# RMSProp updates the weights.


# %%
def losses_of(model, images, epsilon):
    logits, z_mean, z_log_var = model(images, epsilon)
    cross_entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=images, logits=logits)
    reconstruction = tf.reduce_sum(cross_entropy, axis=[1, 2])
    kl = -0.5 * tf.reduce_sum(1 + z_log_var - z_mean**2 - tf.exp(z_log_var), axis=1)
    return tf.reduce_mean(reconstruction), tf.reduce_mean(kl)


def training_step(model, losses_of=losses_of):
    optimizer = keras.optimizers.RMSprop(0.001, rho=0.9, epsilon=1e-10)
    optimizer.build(model.trainable_variables)
    for variable in optimizer.variables:
        if "velocity" in variable.path:  # the mean of squared gradients
            variable.assign(tf.ones_like(variable))  # as in TensorFlow 1; Keras starts at 0

    @tf.function
    def step(images, epsilon):
        with tf.GradientTape() as tape:
            reconstruction, kl = losses_of(model, images, epsilon)
            loss = reconstruction + kl
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        return loss

    return step


# %% [markdown]
# That is the whole model. `tf.function` compiles `step` at its first call, which makes it several
# times faster.
#
# Is it the same model as the package's? We give both the same weights, and then the same images and
# noise, for twenty updates. `source` has the images: 5,000 digits, of which every tenth is *held
# out*. No model that we train in this notebook learns from those.

# %%
source = mnist.load("bundled")
config = vae.Config()  # the article's settings
theirs, mine = vae.build(config), MyVAE()
for variable, value in zip(mine.trainable_variables, theirs.trainable_variables, strict=True):
    variable.assign(value)

my_step, losses = training_step(mine), []
for batch in vae.batches(config, source).take(20):
    images = tf.cast(batch["images"], tf.float32) / 255
    losses.append((my_step(images, batch["epsilon"]), theirs.update(batch)["loss"]))
my_losses, their_losses = np.float64(losses).T
np.testing.assert_allclose(my_losses, their_losses, rtol=1e-4)
difference = np.max(np.abs(my_losses / their_losses - 1))
print(source)
print(f"first loss: {my_losses[0]:.4f} and {their_losses[0]:.4f}")
print(f"loss after 20 updates: {my_losses[-1]:.4f} and {their_losses[-1]:.4f}")
print(f"largest relative difference: {difference:.0e}")

# %% [markdown]
# They agree up to rounding, since the two programs sum in different orders. The article's log
# begins with a loss of 616.3.
#
# Now train your model for 1,500 updates of 64 images. (`notebook.budget(full, small)` returns
# `full`. Only the project's tests use `small`, to save time.)

# %%
steps = notebook.budget(1_500, small=30)
for batch in vae.batches(config, source, start=20).take(steps):
    loss = my_step(tf.cast(batch["images"], tf.float32) / 255, batch["epsilon"])
print(f"loss after {steps + 20} updates: {loss:.1f}")
my_images = tf.sigmoid(mine.decoder(plots.plane(axis))).numpy()
notebook.picture(plots.mosaic(my_images, 15, scale=1))

# %% [markdown]
# In one half of the plane your decoder already makes blurred digits. In the other half the
# background is white: no codes of images lie there yet, so the decoder has to guess. With more
# updates the codes fill the plane.
#
# From here on we use the package's model. It gives the same losses, but runs hundreds of updates in
# one compiled program, and can be saved and evaluated. Its update looks like yours:

# %%
notebook.source(vae.VAE.loss_terms, vae.VAE.update)

# %% [markdown]
# ## What we want: a model of images
#
# Where do the two terms of the loss come from? Suppose that images arise in two steps. First a
# *hidden* (or *latent*) variable $z$ of two numbers is drawn. Then an image is drawn from a
# distribution that a neural network $f$, the decoder, computes from $z$:
#
# $$z \sim p(z) = N(0, I), \qquad x \mid z \sim p(x \mid z), \text{ whose parameters are } f(z) .$$
#
# We want the decoder under which the training images are most probable: the one with the largest
# $\log p(x)$, on average over the images. This is *maximum likelihood*. But
#
# $$p(x) = \int p(x \mid z)\, p(z)\, dz$$
#
# is an integral over all codes, through a network, and has no formula. Sampling does not help much:
# for nearly all $z$ from $p(z)$, which is called the *prior*, the probability $p(x \mid z)$ of a
# given image is almost zero. We would like to draw only those $z$ that could have produced this
# image, that is, to draw from the *posterior*
#
# $$p(z \mid x) = \frac{p(x \mid z)\, p(z)}{p(x)} ,$$
#
# but this contains $p(x)$ again. *Variational inference* replaces the posterior by the best member
# $q(z)$ of a family of simple distributions. Here the family is all normal distributions with a
# diagonal covariance, so that $q(z) = \prod_i q_i(z_i)$, as the article writes. (The *Further*
# sections show how this idea grows out of the EM algorithm.)
#
# ## The evidence lower bound, step by step
#
# "Best" is measured by the Kullback-Leibler (KL) divergence between $q$ and the posterior. We use
# its definition, Bayes' rule, and the fact that $\log p(x)$ does not depend on $z$:
#
# $$\begin{aligned}
# \mathrm{KL}(q(z) \,\|\, p(z \mid x)) &= E_{z \sim q}[\log q(z) - \log p(z \mid x)] \\
# &= E_{z \sim q}[\log q(z) - \log p(x \mid z) - \log p(z) + \log p(x)] \\
# &= E_{z \sim q}[\log q(z) - \log p(z)] - E_{z \sim q}[\log p(x \mid z)] + \log p(x) \\
# &= \mathrm{KL}(q(z) \,\|\, p(z)) - E_{z \sim q}[\log p(x \mid z)] + \log p(x) .
# \end{aligned}$$
#
# Rearranged:
#
# $$\boxed{\;\log p(x) - \mathrm{KL}(q(z) \,\|\, p(z \mid x)) =
#   E_{z \sim q}[\log p(x \mid z)] - \mathrm{KL}(q(z) \,\|\, p(z)) = \mathrm{ELBO} \;}$$
#
# A KL divergence is never negative. So the right side is a lower bound on $\log p(x)$, the
# *evidence*, and is called *evidence lower bound* (ELBO). The left side shows what we gain by
# making the bound large: a large $\log p(x)$, and a $q$ near the posterior. We cannot compute
# either of these two. We can compute the right side. Its first term says how well codes drawn from
# $q$ explain the image. Its second term says how far $q$ is from the prior. With the sign changed,
# these are the *reconstruction* term and the *KL* term of the loss.
#
# **Why may $q$ depend on $x$?** The derivation holds for every $q$, one image at a time; $x$ was
# fixed throughout. So we may choose a different $q$ for each image. We should, since a three and a
# seven have their posteriors in different places, and one $q$ for all images would be far from
# both. The *encoder* computes the parameters of $q$ from the image. This is quick, and it also
# works for images that the model has never seen. It is called *amortised* inference, and written
# $q(z \mid x)$:
#
# $$\mathrm{ELBO}(x) = E_{z \sim q(z \mid x)}[\log p(x \mid z)]
#   - \mathrm{KL}(q(z \mid x) \,\|\, p(z)) .$$
#
# ## The KL term in closed form
#
# For two normal distributions in $k$ dimensions,
#
# $$\mathrm{KL}(N(\mu_0, \Sigma_0) \,\|\, N(\mu_1, \Sigma_1)) = \frac12 \left(
#   \mathrm{tr}(\Sigma_1^{-1} \Sigma_0) + (\mu_1 - \mu_0)^T \Sigma_1^{-1} (\mu_1 - \mu_0)
#   - k + \log \frac{\det \Sigma_1}{\det \Sigma_0} \right) .$$
#
# Our second distribution is the prior, with $\mu_1 = 0$ and $\Sigma_1 = I$, and our first has a
# diagonal covariance. Both are products over the coordinates, so one coordinate is enough. With
# $\log q(z) = -\frac12 \log 2\pi\sigma^2 - \frac{(z - \mu)^2}{2 \sigma^2}$ and $\log p(z) =
# -\frac12 \log 2\pi - \frac{z^2}{2}$:
#
# $$E_q[\log q(z) - \log p(z)] = -\tfrac12 \log \sigma^2
#   - \tfrac12 \underbrace{E_q\!\left[\tfrac{(z - \mu)^2}{\sigma^2}\right]}_{1}
#   + \tfrac12 \underbrace{E_q[z^2]}_{\mu^2 + \sigma^2}
#   = -\tfrac12 \left(1 + \log \sigma^2 - \mu^2 - \sigma^2 \right) .$$
#
# This is the line `kl = ...` of your model. The encoder returns $\log \sigma^2$, which may be any
# real number, while $\sigma$ would have to be kept positive. The article's code calls this output
# `z_std`, but `exp(z_std / 2)` in it shows that it holds the log-variance. We call it `z_log_var`.
#
# We check the formula against the definition, as a mean over draws from $q$. The article's
# simplified formula has the wrong sign, $+ \log\det\Sigma(x)$. Its own general formula gives
# $-\log\det\Sigma(x)$. We compute both.

# %%
z_mean, z_log_var = np.array([[0.8, -1.5]]), np.array([[-2.0, 0.5]])
draws = notebook.budget(1_000_000, small=10_000)
epsilon = np.random.default_rng(2).standard_normal([draws, 2])
z = z_mean + np.exp(z_log_var / 2) * epsilon
log_q = stats.norm.logpdf(z, z_mean, np.exp(z_log_var / 2)).sum(axis=1)
terms = log_q - stats.norm.logpdf(z).sum(axis=1)
article = 0.5 * np.sum(np.exp(z_log_var) + z_mean**2 - 1 + z_log_var)
closed = vae.kl_divergence(tf.constant(z_mean, tf.float32), tf.constant(z_log_var, tf.float32))
print(f"{terms.mean():.4f} +- {terms.std() / draws**0.5:.4f}  mean over draws, in nats")
print(f"{closed[0]:.4f}            vae.kl_divergence")
print(f"{article:.4f}            with the article's sign")

# %% [markdown]
# A *nat* is the unit of information that goes with the natural logarithm; a bit is 0.69 nats.
#
# ## Reparameterisation
#
# The other term, $E_{z \sim q(z \mid x)}[\log p(x \mid z)]$, is estimated with one draw of $z$ for
# each image. Over many updates the noise averages out. But we also need the gradient of this term
# with respect to the *encoder*. The encoder's $\mu$ and $\sigma$ are the parameters of the
# distribution that we draw from, and drawing has no derivative. (The article says that with one
# draw the dependence on $q$ disappears. That is true of the formula. But the encoder's gradient
# disappears, too.)
#
# Let $c(z) = -\log p(x \mid z)$ be the cost of a code. There are two unbiased estimates of
# $\nabla_\mu E_{z \sim q}[c(z)]$.
#
# - The *score function*: $\nabla_\mu \int q c\, dz = \int c\, q\, \nabla_\mu \log q\,
#   dz$, so the estimate is $c(z)\, \nabla_\mu \log q(z) = c(z)\, (z - \mu) /
#   \sigma^2$. It needs only the value of $c$. If you add a constant to $c$, the expectation of the
#   estimate stays the same, but its noise changes.
# - *Reparameterisation*: draw $\epsilon \sim N(0, I)$, which does not depend on the encoder, and
#   compute $z = \mu + \sigma \epsilon$. Then $E_q[c(z)] = E_\epsilon[c(\mu + \sigma\epsilon)]$, and
#   the gradient moves inside the expectation: the estimate is $\nabla c(z)$. It uses the slope of
#   $c$.
#
# Here $c$ is the reconstruction loss of one digit under an untrained decoder, and each estimate
# uses one draw. "With baseline" is the usual improvement of the first: subtract the mean of $c$.

# %%
digit = tf.constant(source.images[:1], tf.float32) / 255
untrained = vae.build(config).decoder
mean, std = np.float32([0.5, -0.5]), np.float32(0.3)
draws = notebook.budget(5_000, small=500)
epsilon = np.random.default_rng(3).standard_normal([draws, 2]).astype(np.float32)
z = tf.constant(mean + std * epsilon)
with tf.GradientTape() as tape:
    tape.watch(z)
    cost = vae.reconstruction_loss(digit, untrained(z))
slope, cost = np.float64(tape.gradient(cost, z)), np.float64(cost)[:, None]
score = epsilon / std  # (z - mean) / std^2
estimates = {
    "score function": cost * score,
    "score function with baseline": (cost - cost.mean()) * score,
    "reparameterised": slope,
}
for name, values in estimates.items():
    mean_of, sd = values.mean(axis=0), values.std(axis=0)
    print(f"mean {mean_of.round(1)} +- {(sd / draws**0.5).round(1)}, sd {sd.round(0)}  {name}")

# %% [markdown]
# All three means agree within their errors, as unbiased estimates should. The number after "sd" is
# the standard deviation of an estimate from one draw, and an update has only one draw for each
# image. With the score function it is far larger than the gradient. The baseline reduces it, but
# not below the gradient. With reparameterisation it is smaller than the gradient. This is why
# writing $z$ as $\mu + \sigma\epsilon$ makes the model trainable. In the package, $\epsilon$ is
# part of the batch, so that an update can be repeated exactly.
#
# ## The reconstruction term: squared error or cross entropy
#
# What is $p(x \mid z)$? The decoder gives 784 numbers $\hat x = f(z)$ in $(0, 1)$. There are two
# usual choices.
#
# **Normal pixels**: $x = f(z) + \eta$ with noise $\eta \sim N(0, s^2 I)$. Then $-\log p(x \mid z) =
# \frac{1}{2 s^2} \lVert x - f(z) \rVert^2 + \text{const}$, and the negative ELBO, multiplied by $2
# s^2 = \lambda$, is, up to a constant,
#
# $$\lVert x - f(z) \rVert^2 + \lambda\, \mathrm{KL}(q(z \mid x) \,\|\, p(z)) .$$
#
# The article writes $-\lambda$. Both terms are costs, so the sign is a plus. $\lambda$ is not
# arbitrary: it states how noisy the pixels are. With $\lambda = 1$ their noise has $s = 0.7$,
# although pixels lie in $[0, 1]$.
#
# **Bernoulli pixels**: a pixel is 1 with probability $\hat x$, and else 0. Then
# $-\log p(x \mid z)$ is the cross entropy
#
# $$-\sum_{\text{pixels}} \big( x \log \hat x + (1 - x) \log (1 - \hat x) \big) ,$$
#
# which the article uses. (Its formula has $(1 - y) \times (1 - \log \hat y)$ in the second term;
# its code is right.) The pixels of MNIST are grey, so this is a cross entropy rather than a
# likelihood.
#
# The output $\hat x = \mathrm{sigmoid}(l)$ comes from a logit $l$. The gradient with respect to $l$
# is $\hat x - x$ for the cross entropy, and $2 (\hat x - x)\, \hat x\, (1 - \hat x)$ for the
# squared error. A pixel that is clearly wrong has the largest gradient under the cross entropy, and
# almost none under the squared error.

# %%
logit = np.linspace(-8, 8, 200)
x_hat = special.expit(logit)
figures.gradients(logit, x_hat, 2 * x_hat * x_hat * (1 - x_hat))

# %% [markdown]
# ## Initial values
#
# The article calls its initial values Xavier's. Xavier (or Glorot) initialisation has the variance
# $2 / (\text{fan in} + \text{fan out})$. (Fan in and fan out are the numbers of inputs and outputs
# of a layer.) The article's code computes $2 / \text{fan in}$, which is He initialisation, and
# treats the length of a bias as its fan in. Its author chose it after a first try with $N(0, 1)$
# had given `loss: nan`. We try all three choices with your model.


# %%
def standard_normal(shape, dtype=None):
    return tf.random.normal(shape)


def losses_as_written(model, images, epsilon):
    logits, z_mean, z_log_var = model(images, epsilon)
    x_hat = tf.sigmoid(logits)
    log_p = images * tf.math.log(1e-10 + x_hat) + (1 - images) * tf.math.log(1e-10 + 1 - x_hat)
    kl = -0.5 * tf.reduce_sum(1 + z_log_var - z_mean**2 - tf.exp(z_log_var), axis=1)
    return -tf.reduce_mean(tf.reduce_sum(log_p, axis=[1, 2])), tf.reduce_mean(kl)


glorot = keras.initializers.GlorotNormal(keras.random.SeedGenerator(0))
choices = {
    "N(0, 1), the loss as the article writes it": (standard_normal, losses_as_written),
    "N(0, 1), the loss from logits": (standard_normal, losses_of),
    "Xavier (Glorot)": (glorot, losses_of),
    "the article's (He)": (article_initial, losses_of),
}
steps = notebook.budget(200, small=10)
print("losses of updates 1, 2, 3, 10 and 200")
for name, (initial, losses_of_it) in choices.items():
    model, losses = MyVAE(initial), []
    step = training_step(model, losses_of_it)
    for batch in vae.batches(config, source).take(steps):
        images = tf.cast(batch["images"], tf.float32) / 255
        losses.append(float(step(images, batch["epsilon"])))
    print("  ".join(f"{losses[i]:10.4g}" for i in (0, 1, 2, 9, -1)), f" {name}")

# %% [markdown]
# With $N(0, 1)$, the 512 hidden units add up to logits of about ±20. The sigmoid of 20 is 1 in
# float32, so `1e-10 + 1 - x_hat` is 0. Its logarithm is minus infinity, and minus infinity times 0
# is NaN. Computed from logits, the loss is finite, but huge, since the KL term contains the
# exponentials of large log-variances. Two hundred updates cannot repair that. With Xavier's and
# with He's initial values the loss falls from the start.
#
# ## Training
#
# Now we train the package's model, for a fifth of the article's 30,000 updates. Keras's `fit` works
# as usual; here an epoch is 100 updates. After each epoch a callback measures the losses on all
# held-out digits with a `vae.Report`, an object that holds the settings and the data.

# %%
model, report = theirs, vae.Report(config, source)
updates = notebook.budget(6_000, small=100)
batches = vae.batches(config, source).batch(100)
measure = keras.callbacks.LambdaCallback(
    on_epoch_end=lambda epoch, logs: logs.update(report.measure(model))
)
fitting = {"steps_per_epoch": 1, "shuffle": False, "verbose": 0}
history = model.fit(batches, epochs=updates // 100, callbacks=[measure], **fitting).history
print("training, held out")
for name in ("loss", "reconstruction", "kl"):
    print(f"{history[name][-1]:6.1f}  {history[f'held_out_{name}'][-1]:6.1f}  {name}")

# %%
article_log = np.array(
    [616.3002,
     169.6044, 163.5006, 166.1648, 161.2366, 155.1714, 153.2840, 161.5571, 152.0021, 159.5550,
     154.6315, 153.8298, 141.5825, 149.7792, 150.9575, 151.2249, 159.3878, 148.7136, 148.5801,
     150.6678, 146.3471, 156.4142, 148.7607, 145.4101, 153.3523, 157.8997, 136.9668, 155.7835,
     137.7291, 153.1723]
)  # fmt: skip
article = np.c_[np.r_[1, 1000 * np.arange(1, 30)], article_log]
later = 20 + 100 * np.arange(1, updates // 100 + 1)  # twenty updates were made above
training = np.c_[np.r_[1:21, later], np.r_[their_losses, history["loss"]]]
figures.training(training, np.c_[later, history["held_out_loss"]], article)

# %% [markdown]
# The dots are the losses in the article's log, from 616 at step 1 to 153 at step 29,000. Each is
# the loss of one batch of 64 images, so they scatter. Our training set has 4,500 digits, the
# article's about 55,000. So our model soon fits its few digits better than new ones: the training
# loss falls below the held-out loss. On the full MNIST there is no such gap: with each of ten seeds
# the loss ends near 150 nats on training and on held-out images, as in the article ([model
# card](../saved_models/vae/README.md)).
#
# Nearly all of the fall is in the reconstruction term. The KL term ends at 7.3 nats. This is the
# price for telling images apart: with a KL of 0, all images would have the same $q$.
#
# ## Break it on purpose
#
# What does each part of the loss do? We change the loss in a subclass, and train the same networks
# from the same start with the same batches:
#
# - squared error with $\lambda = 10$ and with $\lambda = 1$;
# - cross entropy without the KL term. This leaves an ordinary autoencoder with noise, and the
#   encoder is free to turn the noise off.


# %%
class Variant(vae.VAE):
    """The same networks with other weights, or another meaning, of the two terms."""

    squared_error, kl_weight = False, 1.0

    def loss_terms(self, batch):
        images = tf.cast(batch["images"], tf.float32) / 255
        z_mean, z_log_var = self.encode(images)
        logits = self.decoder(z_mean + tf.exp(z_log_var / 2) * batch["epsilon"])
        if self.squared_error:
            reconstruction = tf.reduce_sum((images - tf.sigmoid(logits)) ** 2, axis=[1, 2])
        else:
            reconstruction = vae.reconstruction_loss(images, logits)
        return reconstruction, self.kl_weight * vae.kl_divergence(z_mean, z_log_var)


choices = {
    "squared error, λ = 10": (True, 10.0),
    "squared error, λ = 1": (True, 1.0),
    "cross entropy without KL": (False, 0.0),
}
variants = {"cross entropy": model}
for name in list(choices)[: notebook.budget(3, small=1)]:
    variants[name] = variant = Variant(config)
    variant.squared_error, variant.kl_weight = choices[name]
    variant.compile(vae.RMSpropTF1(0.001, epsilon=1e-10))
    variant.fit(batches, epochs=updates // 100, **fitting)

# %%
held_out, shown = np.float32(source.held_out_images) / 255, []
print("squared error of a pixel, mean sd of q(z|x), sd of the codes")
for name, variant in variants.items():
    z_mean, z_log_var = (values.numpy() for values in variant.encode(held_out))
    error, spread = np.mean((held_out - variant(held_out)) ** 2), np.exp(z_log_var / 2).mean()
    print(f"{error:8.4f} {spread:8.3f} {z_mean.std():8.1f}  {name}")
    shown.append((name, z_mean, variant.decode(variant.prior(30, [1, 2]))))
figures.latent_spaces(shown, source.held_out_labels)

# %% [markdown]
# The upper row shows the codes of held-out digits, coloured by digit. The circle has radius 2 and
# contains 86% of the prior. The lower row shows what the decoder makes of draws from the prior.
#
# - With $\lambda = 10$ the KL term has won. All codes lie near the origin, the standard deviation
#   of $q$ is almost the prior's 1, and every draw gives nearly the same blur, an average of all
#   digits. This is *posterior collapse*. The formula says why: $\lambda = 10$ means pixels with a
#   noise of $s = 2.2$, and with so much noise it does not pay to tell images apart.
# - With $\lambda = 1$ the squared error is about that of the model with cross entropy, and after so
#   few updates draws from the prior look better.
# - With cross entropy the codes do not fill the circle evenly yet. Some draws fall where no code
#   has been in training, and the decoder has to guess there. In each pixel the gradient of the
#   cross entropy is at least twice that of the squared error, since
#   $2 \hat x (1 - \hat x) \le \frac12$. So the KL term has less weight, and takes longer to act.
#   After 30,000 updates on the full MNIST the plane is filled, as the first picture of this
#   notebook shows.
# - Without the KL term the reconstructions are as good as any, but the model does not generate
#   well: many draws from the prior are not digits. Its $q$ shrink towards points, and its codes
#   spread far beyond the prior. Draws from the prior land in a corner of them, or outside. The KL
#   term brings the codes of the data and the draws of the prior to the same place.
#
# ## Which z gives which digit?
#
# From here on we use the trained model that comes with the package: the article's settings, 30,000
# updates on the 60,000 training images of MNIST. The 5,000 bundled digits are among these 60,000.
# So the digits that we held out are new to the models that we trained above, but not to this one.
#
# The article decodes the points [3, 3], [0, 0] and [0, 5]:

# %%
notebook.picture(plots.mosaic(trained.decode([[3, 3], [0, 0], [0, 5]]), 3, scale=5))

# %% [markdown]
# [3, 3] and [0, 5] are unusual codes. Of draws from $N(0, I)$, one in 8,000 is farther from the
# origin than [3, 3], and one in 270,000 is farther than [0, 5]. What lies there differs between
# models trained from different seeds. At the end of the article, its author complains of not
# knowing which noise gives which digit. To find out, ask the encoder where it puts digits whose
# labels we know. For each digit the next figure shows two points and their decoded images: the mean
# of its codes, and the code where the digit is clearest. (There as many as possible of the
# neighbouring codes, and of the images similar to the decoded one, have its label. `tf_gen.sample`
# takes the numbers as `--z`.) The mean of the codes may lie among the codes of another digit, as
# you see for the 2, the 4 and the 5.

# %%
z_mean = trained.encode(held_out)
clearest = judge.clearest_points(trained.decode, z_mean, held_out, source.held_out_labels)
plots.latent_map(trained.decode, z_mean, source.held_out_labels, clearest)

# %% [markdown]
# The model comes with a map made from the 10,000 test images of MNIST, `latent_map.json`. The
# command `python -m tf_gen.sample vae --digit 7` uses it, and the next cell decodes its points. Two
# dimensions are not much room for ten digits. Fours lie among nines, and fives among threes and
# eights. So in the figure above even the clearest 4 looks much like a 9, and the clearest 5 is hard
# to read.

# %%
latent_map = json.loads((trained.path / "latent_map.json").read_text())
points = np.float32(list(latent_map["labels"].values()))
print("  ".join(f"{label}: ({a:.2f}, {b:.2f})" for label, (a, b) in latent_map["labels"].items()))
notebook.picture(plots.mosaic(trained.decode(points), 10))

# %% [markdown]
# **Explore the plane.** Move the pointer over the plane, and the decoder draws the image of that
# point. Draw a digit, and the encoder shows its mean as a point and two standard deviations as an
# ellipse. This works without a running kernel. Where scripts are switched off, as on GitHub, the
# frame stays empty. In that case look at the two rows of digits below, or run
# `python -m tf_gen.explore vae --open`.

# %%
with tempfile.TemporaryDirectory() as directory:
    path = Path(directory, "explorer.html")
    explorer.write(trained.path, path, "vae", source)
    page = notebook.page(path)
page

# %% [markdown]
# The next picture shows two walks through the plane: first $z_0$ from −3 to 3 with $z_1 = 0$, then
# $z_1$ from −3 to 3 with $z_0 = 0$.

# %%
walk = np.linspace(-3, 3, 15)
walks = np.concatenate([np.c_[walk, 0 * walk], np.c_[0 * walk, walk]])
notebook.picture(plots.mosaic(trained.decode(walks), 15, scale=2))

# %% [markdown]
# ## Save, load, use the decoder
#
# The article saved only the reconstruction, whose input is an image. Its author had to rebuild the
# decoder by hand from ten variables of the graph. Here the model names its functions, with the
# types of their inputs and the names of their outputs. Each becomes a *signature* of the saved
# file:

# %%
notebook.source(vae.VAE.signatures)

# %%
with tempfile.TemporaryDirectory() as directory:
    path = Path(directory, "my_vae")
    savedmodel.write(model, path, {"model": "vae", "config": dataclasses.asdict(config)})
    loaded = tf.saved_model.load(str(path))
    files = sorted(str(p.relative_to(path)) for p in path.rglob("*") if p.is_file())
print(*files, sep="\n")
print(", ".join(sorted(loaded.signatures)))
z = tf.constant([[0.0, 0.0]])
same = np.abs(loaded.signatures["decode"](z=z)["images"] - model.decode(z)).max()
print(f"largest difference from the model in memory: {same:.0e}")

# %% [markdown]
# To use the decoder elsewhere you need only TensorFlow:
#
# ```python
# import tensorflow as tf
#
# model = tf.saved_model.load("saved_models/vae")
# images = model.signatures["decode"](z=tf.constant([[3.0, 3.0]]))["images"]
# ```
#
# In a shell:
#
# ```sh
# python -m tf_gen.train vae
# python -m tf_gen.sample vae --z 3,3 --z 0,0 --z 0,5 --out three.png
# python -m tf_gen.sample vae --digit 7 --out seven.png
# python -m tf_gen.sample vae --interpolate 1 8 --out way.png
# ```
#
# The whole model is one file, [tf_gen/models/vae.py](../tf_gen/models/vae.py). The [model
# card](../saved_models/vae/README.md) lists measurements and signatures, and shows how to serve the
# decoder or put it on a phone.
#
# ## Further: probability, likelihood, and two schools
#
# The article begins with the basics of estimation. A coin shows heads with probability $\theta$.
# The number of heads in ten throws has the distribution
#
# $$p(k \mid \theta) = \binom{10}{k}\, \theta^k (1 - \theta)^{10-k}.$$
#
# There are two ways to read this expression.
#
# - *Probability*: we know $\theta$ and ask for $k$. How probable are ten heads with a fair coin?
# - *Likelihood*: we have seen $k$ and ask for $\theta$. Ten throws gave seven heads. How well does
#   each $\theta$ explain this? As a function of $\theta$ the same number is written $L(\theta \mid
#   k)$. It is not a density of $\theta$: its integral is not 1.

# %%
heads, theta = np.arange(11), np.linspace(0, 1, 201)
fair, likelihood = stats.binom.pmf(heads, 10, 0.5), stats.binom.pmf(7, 10, theta)
print(f"ten heads with a fair coin: {fair[10]:.5f} = 1/1024")
print(f"{fair.sum():.3f}  sum of the left picture")
print(f"{likelihood[:-1].sum() / 200:.3f}  integral of the right picture")
figures.coin(heads, fair, theta, likelihood)

# %% [markdown]
# Two schools of statistics use this expression in different ways.
#
# For *frequentists* $\theta$ is a fixed number that we do not know. The data are random. A good
# estimate is one that is rarely far from the truth when the experiment is repeated. Maximum
# likelihood is such an estimate: it takes the $\theta$ under which the data are most probable, here
# 0.7.
#
# For *Bayesians* $\theta$ itself has a distribution, which says what we know about it. Before the
# experiment this is the *prior*; Bayes' rule turns it into the *posterior* $p(\theta \mid k)
# \propto p(k \mid \theta)\, p(\theta)$. With a uniform prior the posterior is the right picture,
# scaled to an integral of 1: a Beta distribution with the mean $8/12 = 0.67$.
#
# A VAE borrows from both. Its weights are fixed numbers, found by (a bound on) maximum likelihood.
# Its hidden variable $z$ has a prior, and the encoder approximates the posterior.
#
# ## Further: maximum likelihood of a normal distribution
#
# Let $x_1, \dots, x_n$ be drawn independently from $N(\mu, \sigma^2)$. Their joint density is a
# product. The logarithm turns it into a sum, which has its maximum at the same place:
#
# $$L(\mu, \sigma) = \sum_{i=1}^n \log p(x_i \mid \mu, \sigma)
#   = -n \log \sigma - \frac n2 \log 2\pi - \frac{1}{2\sigma^2} \sum_{i=1}^n (x_i - \mu)^2 .$$
#
# (The article's formula has a misprint, $\log p(x \mid D)$ in place of $\log p(x \mid \theta)$: the
# parameter, not the data, belongs after the bar.) At a maximum both derivatives are zero:
#
# $$\frac{\partial L}{\partial \mu} = \frac{1}{\sigma^2} \sum_i (x_i - \mu) = 0
#   \;\Rightarrow\; \hat\mu = \frac1n \sum_i x_i, \qquad
#   \frac{\partial L}{\partial \sigma} = -\frac n\sigma
#   + \frac{1}{\sigma^3} \sum_i (x_i - \mu)^2 = 0
#   \;\Rightarrow\; \hat\sigma^2 = \frac1n \sum_i (x_i - \hat\mu)^2 .$$
#
# So the best normal distribution has the mean and the variance of the data. We draw 100 points,
# compute $L$ on a grid of $(\mu, \sigma)$, and compare its maximum with the formulas.

# %%
x = np.random.default_rng(0).normal(4.0, 1.5, 100)
mu, sigma = np.meshgrid(np.linspace(3, 5, 201), np.linspace(1, 2.5, 301))
log_likelihood = stats.norm.logpdf(x[:, None, None], mu, sigma).sum(axis=0)
best = np.unravel_index(log_likelihood.argmax(), mu.shape)
print(f"mu {mu[best]:.3f}, sigma {sigma[best]:.3f}  best on the grid")
print(f"mu {x.mean():.3f}, sigma {x.std():.3f}  by the formulas")
figures.log_likelihood(mu, sigma, log_likelihood, (x.mean(), x.std()))

# %% [markdown]
# ## Further: the EM algorithm
#
# Now each point comes from one of two normal distributions, but we do not know from which. The
# model has a hidden variable $z_i \in \{1, 2\}$ for each point:
#
# $$p(z = k) = \pi_k, \qquad p(x \mid z = k) = N(x; \mu_k, \sigma_k^2), \qquad
#   p(x) = \sum_k \pi_k\, N(x; \mu_k, \sigma_k^2) .$$
#
# Here the logarithm is applied to a sum, and setting derivatives to zero no longer gives a formula.
# If we knew the $z_i$, it would: each normal distribution would get the mean and the variance of
# its own points. If we knew the parameters $\theta$, Bayes' rule would give the probabilities of
# each $z_i$. The *expectation-maximisation* (EM) algorithm does both in turn. It starts from any
# guess $\theta^{(0)}$:
#
# - **E step**: compute the posterior of the hidden variable, $r_{ik} = p(z_i = k \mid x_i,
#   \theta^{(t)})$. It defines the expected log-likelihood of data and hidden variables together,
#   $$Q(\theta, \theta^{(t)}) = \sum_i \sum_k r_{ik} \log p(x_i, z_i = k \mid \theta) .$$
# - **M step**: $\theta^{(t+1)} = \arg\max_\theta Q(\theta, \theta^{(t)})$. This is maximum
#   likelihood with weights $r_{ik}$: weighted means, weighted variances, and $\pi_k$ is the mean
#   weight.

# %%
rng = np.random.default_rng(1)
x = np.concatenate([rng.normal(-1.0, 0.6, 120), rng.normal(2.0, 1.0, 180)])


def log_joint_of(pi, mu, sigma):
    """log p(x_i, z_i = k): [points, components]."""
    return np.log(pi) + stats.norm.logpdf(x[:, None], mu, sigma)


pi, mu, sigma = np.array([0.5, 0.5]), np.array([0.0, 0.5]), np.array([1.0, 1.0])
course = []
for _ in range(101):
    log_joint = log_joint_of(pi, mu, sigma)
    log_p = special.logsumexp(log_joint, axis=1)
    course.append((log_p.sum(), pi, mu, sigma))
    r = np.exp(log_joint - log_p[:, None])  # E step: [points, components]
    pi = r.mean(axis=0)  # M step, three weighted formulas
    mu = (r * x[:, None]).sum(axis=0) / r.sum(axis=0)
    sigma = np.sqrt((r * (x[:, None] - mu) ** 2).sum(axis=0) / r.sum(axis=0))

log_likelihoods = np.array([step[0] for step in course])
print(f"it never falls: {np.all(np.diff(log_likelihoods) > -1e-9)}")
print(f"mu {mu.round(3)}, sigma {sigma.round(3)}, pi {pi.round(3)}  after 100 iterations")
fitted = GaussianMixture(2, tol=1e-8, max_iter=1000, random_state=0).fit(x[:, None])
print(f"mu {np.sort(fitted.means_[:, 0]).round(3)}  by scikit-learn")

# %%
grid, densities = np.linspace(-4, 6, 300), {}
for number in (0, 3, 10, 100):
    weights, means, stds = course[number][1:]
    densities[number] = stats.norm.pdf(grid[:, None], means, stds) @ weights
figures.mixture(x, grid, densities, log_likelihoods[:31])

# %% [markdown]
# Why does the likelihood never fall? Take any distribution $q_i$ of the hidden variable of point
# $i$. Then
#
# $$\log p(x_i) =
#   \underbrace{\sum_k q_{ik} \log \frac{p(x_i, z_i = k)}{q_{ik}}}_{\mathcal L(q_i, \theta)}
#   + \underbrace{\sum_k q_{ik} \log \frac{q_{ik}}{p(z_i = k \mid x_i)}}_{\mathrm{KL}(q_i \,\|\,
#   p(z_i \mid x_i))} ,$$
#
# since $p(x_i, z_i) = p(z_i \mid x_i)\, p(x_i)$ and the $q_{ik}$ sum to 1. A KL divergence is never
# negative. (This follows from $-\log t \ge 1 - t$ by taking the mean over $q$ with $t = p / q$.) So
# $\mathcal L$ is a lower bound on the log-likelihood for every $q$. It is the ELBO from above. The
# E step sets $q$ to the posterior: the KL is 0, and the bound *touches* the log-likelihood. The M
# step moves $\theta$ to raise the bound. The log-likelihood lies above the bound, so it has risen
# at least as much. The article remarks that this feels like coordinate descent. It is coordinate
# ascent on $\mathcal L$: first along $q$, then along $\theta$.
#
# (The article says that after the E step $Q$ is "approximately the log-likelihood". To be exact,
# the bound is $Q$ plus the entropy of $q$, and this sum equals the log-likelihood.)
#
# We vary one parameter, $\mu_2$, and draw both curves. The bound uses the $q$ of the first E step.

# %%
_, pi, mu, sigma = course[0]
log_joint = log_joint_of(pi, mu, sigma)
q = np.exp(log_joint - special.logsumexp(log_joint, axis=1, keepdims=True))
moved = np.linspace(mu[1] - 1, mu[1] + 3, 161)
joints = [log_joint_of(pi, np.array([mu[0], m]), sigma) for m in moved]
bound = [np.sum(q * (joint - np.log(q))) for joint in joints]
exact = [special.logsumexp(joint, axis=1).sum() for joint in joints]
largest = np.max(np.subtract(bound, exact))
print(f"largest value of bound minus log-likelihood: {largest:.1e} (never above 0)")
figures.bound(moved, exact, bound, mu[1])

# %% [markdown]
# In a VAE the E step cannot be done exactly, since the posterior of $z$ has no formula. So the
# encoder does it approximately, with a normal distribution; the KL divergence to the posterior is
# then not 0, and the bound does not touch the log-likelihood. Also, encoder and decoder do not take
# turns: both climb the same bound at the same time, following its gradient.
#
# ## Further: how good is the encoder's E step?
#
# In two dimensions we can do what is impossible in general: compute the posterior on a fine grid of
# the plane, and with it the integral $p(x)$. So we can see what the encoder approximates, and check
# the boxed equation with numbers. In the figure below, the colours show the posterior, and the
# white ellipse shows two standard deviations of $q(z \mid x)$.

# %%
n = notebook.budget(400, small=60)
fine = np.linspace(-4, 4, n)
area = (fine[1] - fine[0]) ** 2
plane = plots.plane(list(fine))


def log_joint_of_images(images, z):
    """log p(x|z) + log p(z): [images, points]."""
    x, joint = images.reshape(len(images), -1), []
    for part in np.array_split(z, 40):
        x_hat = np.float64(trained.decode(part).reshape(len(part), -1))
        log_p = x @ np.log(x_hat + 1e-10).T + (1 - x) @ np.log(1 - x_hat + 1e-10).T
        joint.append(log_p + stats.norm.logpdf(part).sum(axis=1))
    return np.concatenate(joint, axis=1)


some = held_out[[15, 120, 240, 420]]
log_joint = log_joint_of_images(some, plane)
log_p = special.logsumexp(log_joint, axis=1) + np.log(area)
log_posterior = log_joint - log_p[:, None]
encode = tf.saved_model.load(str(trained.path)).signatures["encode"]
codes = {name: values.numpy() for name, values in encode(images=tf.constant(some)).items()}
means, stds = codes["z_mean"], np.exp(codes["z_log_var"] / 2)

# %%
rng, draws = np.random.default_rng(4), notebook.budget(2_000, small=100)
log_prior = stats.norm.logpdf(plane).sum(axis=1)
print("log p(x), ELBO, KL(q, posterior), ELBO + KL, and the ELBO with the prior as q")
for i, (mean, std) in enumerate(zip(means, stds, strict=True)):
    log_q = stats.norm.logpdf(plane, mean, std).sum(axis=1)
    gap = np.sum(np.exp(log_q) * (log_q - log_posterior[i])) * area
    z = mean + std * rng.standard_normal([draws, 2])
    terms = log_joint_of_images(some[i : i + 1], z)[0] - stats.norm.logpdf(z, mean, std).sum(axis=1)
    elbo, error = terms.mean(), terms.std() / draws**0.5
    by_prior = np.sum(np.exp(log_prior) * (log_joint[i] - log_prior)) * area
    print(f"{log_p[i]:8.2f}  {elbo:8.2f} +- {error:.2f}  {gap:6.2f}", end="  ")
    print(f"{elbo + gap:8.2f}  {by_prior:8.2f}")
figures.posteriors(some, np.exp(log_posterior).reshape(-1, n, n), 4, means, stds)

# %% [markdown]
# The sums ELBO + KL agree with $\log p(x)$ up to the error of the draws. (The ELBO is a mean over
# draws; the other numbers are sums over the grid. $p(x \mid z)$ stands for
# $e^{-\text{cross entropy}}$, since pixels are grey.) The axes of the encoder's ellipse are
# parallel to the coordinate axes, because its covariance is diagonal. The posterior may be tilted,
# as for the zero and the eight. This costs about one nat. More is lost where $q$ lies beside the
# posterior: five nats for the four, and twenty for the two, which the decoder draws better at quite
# another place. One encoder serves all images, so it cannot be exact for each.
#
# The last column is the bound with a $q$ that does not depend on $x$, the prior. It is lower by
# more than a hundred nats.
#
# ## Summary
#
# - A VAE has an encoder, which computes $q(z \mid x)$, and a decoder, which computes
#   $p(x \mid z)$. Its loss is the negative ELBO: a reconstruction term plus
#   $\mathrm{KL}(q(z \mid x) \,\|\, p(z))$.
# - The ELBO lies below $\log p(x)$ by exactly $\mathrm{KL}(q(z \mid x) \,\|\, p(z \mid x))$.
# - Reparameterisation, $z = \mu + \sigma \epsilon$, lets the gradient through the sampler, with far
#   less noise than the score function.
# - Without the KL term the model does not generate well. If the KL term has too much weight, the
#   posterior collapses.
# - Cross entropy and squared error make different assumptions about the noise of pixels, and so
#   give the KL term different weights.
# - In two dimensions you can draw a map that shows which $z$ gives which digit.
#
# ## Change it
#
# These are changes to `MyVAE` and its training, at the top of this notebook. After each, run the
# cells from there to the picture of your model again. The assertion will fail, since your model is
# no longer the package's; comment it out. Unchanged, the loss after 1,520 updates was 170.0.
#
# 1. Replace `"tanh"` by `"relu"` in both networks. Expect a higher first loss, because relu units
#    are not bounded, and a lower one at the end (we saw 829.1 and 163.4).
# 2. Replace RMSProp by `keras.optimizers.Adam(0.001)`, and remove the loop over its variables.
#    Expect faster learning at the beginning (we saw 221.3 instead of 267.7 after 20 updates, and
#    166.6 at the end).
# 3. Put `5 * kl` in place of `kl` in the line `loss = ...`. Expect a worse reconstruction, but a
#    plane with almost no white images: the codes stay where the prior has its mass. (Do not compare
#    this loss with the others.)
#
# ## References
#
# - D. P. Kingma and M. Welling, *Auto-Encoding Variational Bayes*, 2013,
#   [arXiv:1312.6114](https://arxiv.org/abs/1312.6114). The paper that introduced the VAE. Its
#   appendix B has the KL term in closed form.
# - C. Doersch, *Tutorial on Variational Autoencoders*, 2016,
#   [arXiv:1606.05908](https://arxiv.org/abs/1606.05908). The tutorial that the article follows. It
#   has the two graphs with and without reparameterisation.
# - D. J. Rezende, S. Mohamed and D. Wierstra, *Stochastic Backpropagation and Approximate Inference
#   in Deep Generative Models*, 2014, [arXiv:1401.4082](https://arxiv.org/abs/1401.4082). The same
#   idea, found independently.
# - D. M. Blei, A. Kucukelbir and J. D. McAuliffe, *Variational Inference: A Review for
#   Statisticians*, 2016, [arXiv:1601.00670](https://arxiv.org/abs/1601.00670). For the *Further*
#   sections: from EM to variational inference.
# - Y. Burda, R. Grosse and R. Salakhutdinov, *Importance Weighted Autoencoders*, 2015,
#   [arXiv:1509.00519](https://arxiv.org/abs/1509.00519). The tighter bound of exercise 3.
# - I. Higgins et al., *beta-VAE*, ICLR 2017,
#   [openreview.net/forum?id=Sy2fzU9gl](https://openreview.net/forum?id=Sy2fzU9gl). What a larger
#   weight of the KL term is good for.
#
# Next: [2. A GAN that learns a Gaussian](02_gaussian_gan.ipynb), which learns to generate without
# any likelihood.
#
# ## Exercises
#
# An answer follows each exercise. Click to unfold it.
#
# **1.** The maximum likelihood estimate $\hat\sigma^2$ divides by $n$. Draw many samples of five
# points, show that it is too small on average, and find the factor.

# %% tags=["answer"]
samples = np.random.default_rng(5).normal(4.0, 1.5, [100_000, 5])
print(f"{samples.var(axis=1).mean() / 1.5**2:.3f}  mean estimate over the true variance")
print(f"{4 / 5:.3f}  (n - 1) / n")
# The mean of a sample lies nearer to the points of the sample than the true mean does.

# %% [markdown]
# **2.** Start EM with two equal components. What happens, and why?

# %% tags=["answer"]
pi, mu, sigma = np.array([0.5, 0.5]), np.array([0.0, 0.0]), np.array([1.0, 1.0])
for _ in range(20):
    r = special.softmax(log_joint_of(pi, mu, sigma), axis=1)
    pi, mu = r.mean(axis=0), (r * x[:, None]).sum(axis=0) / r.sum(axis=0)
    sigma = np.sqrt((r * (x[:, None] - mu) ** 2).sum(axis=0) / r.sum(axis=0))
print(f"mu {mu.round(3)}, sigma {sigma.round(3)}")
print(f"mean and sd of all points: {x.mean():.3f}, {x.std():.3f}")
# All r are 1/2, so both components get the same update. EM cannot leave this saddle point.

# %% [markdown]
# **3.** `vae.importance_bound` draws $k$ values of $z$ from $q$ and returns the logarithm of the
# mean of their weights $p(x, z) / q(z \mid x)$ (Burda et al.). Show that it rises with $k$ towards
# $\log p(x)$.

# %% tags=["answer"]
for k in (1, 10, 100):
    print(f"k = {k:3}: {vae.importance_bound(model, held_out[::5], k):.2f} nats")
# With k = 1 it is the ELBO. By Jensen's inequality the logarithm of a mean is too small on average.
# The more draws, the less the mean scatters, and the less is lost.

# %% [markdown]
# **4.** How much better is a latent space of ten dimensions? Train a model with ten dimensions for
# the same number of updates, and compare.

# %% tags=["answer"]
wide_config = dataclasses.replace(config, latent_dim=notebook.budget(10, small=2))
wide = vae.build(wide_config) if wide_config != config else model
wide.fit(vae.batches(wide_config, source).batch(100), epochs=updates // 100, **fitting)
for name, some_model, c in (("2", model, config), ("10", wide, wide_config)):
    losses = vae.Report(c, source).measure(some_model)
    print(name, {key.removeprefix("held_out_"): round(value, 1) for key, value in losses.items()})
# The codes say more, so the KL term costs more nats. The reconstruction gains many more.

# %% [markdown]
# **5.** Walk from a clear three to a clear eight in the plane of the trained model. What does the
# walk pass on its way?

# %% tags=["answer"]
a, b = (np.array(latent_map["labels"][label]) for label in "38")
notebook.picture(plots.mosaic(trained.decode(np.linspace(a, b, 15)), 15, scale=2))
# Threes and then eights. Everything between looks like a digit: the KL term has left no gaps.
