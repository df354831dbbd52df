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
# # 1. A variational autoencoder that makes a digit of two numbers
#
# This notebook follows the article 变分自编码器 (variational autoencoder), sixth note of the series
# "TensorFlow-windows", which follows Kingma and Welling (arXiv:1312.6114) and Doersch's tutorial
# (arXiv:1606.05908). The article says of itself that its theory is "a heap, and a bit complicated".
# Here each step of that theory is derived, and then run.
#
# At the end you will know why the loss of a variational autoencoder has the two terms that it has,
# have trained one, have broken one by leaving a term out, and take away a decoder that turns two
# numbers into a digit. You will also have what the author of the article missed: a map that tells
# which two numbers make which digit.
#
# **You need** Python, a little Keras, and calculus and probability of a first course: densities,
# expectations, Bayes' rule. No GPU and no download: we train on 5,000 real digits that a package
# carries. The first cell installs tf_gen where it is missing.
#
# **Time** on two cores: 2 minutes.

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

from tf_gen import notebook  # imports TensorFlow, without the lines of its start

# %%
# %matplotlib inline
import dataclasses
import json
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from scipy import special, stats
from sklearn.mixture import GaussianMixture

from tf_gen import explorer, mnist, plots, savedmodel
from tf_gen.models import vae
from tf_gen.tasks import judge

# %% [markdown]
# ## Probability and likelihood
#
# A coin shows heads with probability $\theta$. The number of heads in ten throws has the
# distribution
#
# $$p(k \mid \theta) = \binom{10}{k}\, \theta^k (1 - \theta)^{10-k}.$$
#
# This one expression is read in two ways.
#
# - *Probability*: $\theta$ is known, $k$ is asked for. How probable are ten heads with a fair coin?
# - *Likelihood*: $k$ has been seen, $\theta$ is asked for. Ten throws gave seven heads: how well
#   does each $\theta$ explain that? We write $L(\theta \mid k)$ for the same number, as a function
#   of $\theta$. It is no density of $\theta$: its integral is not 1.

# %%
heads, theta = np.arange(11), np.linspace(0, 1, 201)
likelihood = stats.binom.pmf(7, 10, theta)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 2.8), layout="constrained")
left.bar(heads, stats.binom.pmf(heads, 10, 0.5))
left.set(xlabel="heads of 10", title="probability of each outcome, fair coin")
right.plot(theta, likelihood)
right.axvline(0.7, color="grey", linestyle="--")
right.set(xlabel="theta", title="likelihood of each coin, 7 heads of 10")
plt.show()
print(f"ten heads with a fair coin: {stats.binom.pmf(10, 10, 0.5):.5f} = 1/1024")
print(f"sum of the left picture:      {stats.binom.pmf(heads, 10, 0.5).sum():.3f}")
print(f"integral of the right one:    {likelihood[:-1].sum() / 200:.3f}")

# %% [markdown]
# ## Maximum likelihood of a Gaussian
#
# *Maximum likelihood* takes the parameters under which the data are most probable. Let
# $x_1, \dots, x_n$ be drawn independently from $N(\mu, \sigma^2)$. Their joint density is a
# product, and the logarithm makes a sum of it, with the same maximum:
#
# $$L(\mu, \sigma) = \sum_{i=1}^n \log p(x_i \mid \mu, \sigma)
#   = -n \log \sigma - \frac n2 \log 2\pi - \frac{1}{2\sigma^2} \sum_{i=1}^n (x_i - \mu)^2 .$$
#
# (In the article the last $\theta$ of this line has become a $D$: $\log p(x \mid D)$. What follows
# the bar is the parameter, not the data.) At a maximum both derivatives vanish:
#
# $$\frac{\partial L}{\partial \mu} = \frac{1}{\sigma^2} \sum_i (x_i - \mu) = 0
#   \;\Rightarrow\; \hat\mu = \frac1n \sum_i x_i, \qquad
#   \frac{\partial L}{\partial \sigma} = -\frac n\sigma
#   + \frac{1}{\sigma^3} \sum_i (x_i - \mu)^2 = 0
#   \;\Rightarrow\; \hat\sigma^2 = \frac1n \sum_i (x_i - \hat\mu)^2 .$$
#
# The best Gaussian has the mean and the variance of the data. We draw 100 points, look at $L$ on a
# grid of $(\mu, \sigma)$, and compare the place of its maximum with the formulas.

# %%
x = np.random.default_rng(0).normal(4.0, 1.5, 100)
mu, sigma = np.meshgrid(np.linspace(3, 5, 201), np.linspace(1, 2.5, 301))
log_likelihood = stats.norm.logpdf(x[:, None, None], mu, sigma).sum(axis=0)
best = np.unravel_index(log_likelihood.argmax(), mu.shape)
plt.figure(figsize=(5, 3.2))
plt.contour(mu, sigma, log_likelihood, levels=log_likelihood.max() - np.arange(12)[::-1] ** 2 / 2)
plt.plot(x.mean(), x.std(), "k+", markersize=12)
plt.xlabel("$\\mu$")
plt.ylabel("$\\sigma$")
plt.title("log-likelihood of 100 points, and the formulas' maximum (+)")
plt.show()
print(f"best on the grid: mu {mu[best]:.3f}, sigma {sigma[best]:.3f}")
print(f"by the formulas:  mu {x.mean():.3f}, sigma {x.std():.3f}")

# %% [markdown]
# ## Hidden variables: the EM algorithm
#
# Now each point comes from one of two Gaussians, and nobody tells from which. The model has a
# *hidden* (or *latent*) variable $z_i \in \{1, 2\}$ for each point:
#
# $$p(z = k) = \pi_k, \qquad p(x \mid z = k) = N(x; \mu_k, \sigma_k^2), \qquad
#   p(x) = \sum_k \pi_k\, N(x; \mu_k, \sigma_k^2) .$$
#
# The logarithm now stands before a sum, and setting derivatives to zero no longer gives a formula.
# If we knew the $z_i$, it would: each Gaussian has the mean and variance of its own points. If we
# knew the parameters $\theta$, we could say how probable each $z_i$ is, by Bayes' rule. The
# *expectation-maximisation* algorithm does both in turn, from any guess $\theta^{(0)}$:
#
# - **E step**: the posterior of the hidden variable, $r_{ik} = p(z_i = k \mid x_i, \theta^{(t)})$,
#   which defines the expected log-likelihood of data and hidden variables together,
#   $$Q(\theta, \theta^{(t)}) = \sum_i \sum_k r_{ik} \log p(x_i, z_i = k \mid \theta) .$$
# - **M step**: $\theta^{(t+1)} = \arg\max_\theta Q(\theta, \theta^{(t)})$, which is maximum
#   likelihood with weights $r_{ik}$: weighted means, weighted variances, and $\pi_k$ the mean
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
print(f"after 100 iterations: mu {mu.round(3)}, sigma {sigma.round(3)}, pi {pi.round(3)}")
fitted = GaussianMixture(2, tol=1e-8, max_iter=1000, random_state=0).fit(x[:, None])
order = fitted.means_[:, 0].argsort()
print(f"scikit-learn's:       mu {fitted.means_[order, 0].round(3)}")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3), layout="constrained")
left.hist(x, bins=40, density=True, color="lightgrey")
grid = np.linspace(-4, 6, 300)
for number in (0, 3, 10, 100):
    _, *parameters = course[number]
    density = sum(p * stats.norm.pdf(grid, m, s) for p, m, s in zip(*parameters, strict=True))
    left.plot(grid, density, label=f"after {number} iterations")
left.legend(fontsize=8)
left.set(xlabel="x", title="data and mixture")
right.plot(log_likelihoods[:31])
right.set(xlabel="iteration", title="log-likelihood")
plt.show()

# %% [markdown]
# Why does the likelihood never fall? Take any distribution $q_i$ of the hidden variable of point
# $i$. Then
#
# $$\log p(x_i) =
#   \underbrace{\sum_k q_{ik} \log \frac{p(x_i, z_i = k)}{q_{ik}}}_{\mathcal L(q_i, \theta)}
#   + \underbrace{\sum_k q_{ik} \log \frac{q_{ik}}{p(z_i = k \mid x_i)}}_{\mathrm{KL}(q_i \,\|\,
#   p(z_i \mid x_i))} ,$$
#
# since $p(x_i, z_i) = p(z_i \mid x_i)\, p(x_i)$ and the $q_{ik}$ sum to 1. A Kullback-Leibler
# divergence is never negative (from $-\log t \ge 1 - t$, with the mean over $q$ of $t = p / q$), so
# $\mathcal L$ is a lower bound of the log-likelihood for every $q$. The E step sets $q$ to the
# posterior: the KL is 0 and the bound *touches* the log-likelihood. The M step moves $\theta$ to
# raise the bound; the log-likelihood lies above it, so it has risen at least as much. The article
# remarks that this feels like coordinate descent. It is coordinate ascent: on $\mathcal L$, first
# along $q$, then along $\theta$.
#
# (The article says that $Q$ is then "approximately the log-likelihood". Exactly: the bound is $Q$
# plus the entropy of $q$, and it is this sum that equals the log-likelihood.)
#
# We move one parameter, $\mu_2$, and draw both curves, the bound with the $q$ of the first E step.

# %%
_, pi, mu, sigma = course[0]
log_joint = log_joint_of(pi, mu, sigma)
q = np.exp(log_joint - special.logsumexp(log_joint, axis=1, keepdims=True))
moved = np.linspace(mu[1] - 1, mu[1] + 3, 161)
joints = [log_joint_of(pi, np.array([mu[0], m]), sigma) for m in moved]
bound = [np.sum(q * (joint - np.log(q))) for joint in joints]
exact = [special.logsumexp(joint, axis=1).sum() for joint in joints]
plt.figure(figsize=(6, 3))
plt.plot(moved, exact, label="log-likelihood")
plt.plot(moved, bound, label="bound, q of the E step at the dot")
plt.plot(mu[1], np.interp(mu[1], moved, exact), "ko")
plt.xlabel("$\\mu_2$")
plt.legend()
plt.show()
print(
    f"largest bound minus log-likelihood: {np.max(np.subtract(bound, exact)):.1e} (never above 0)"
)

# %% [markdown]
# ## Variational inference: an E step that cannot be done
#
# Suppose we want a model of images in the same form, with a hidden $z$ of two real numbers and a
# neural network $f$, the *decoder*:
#
# $$z \sim p(z) = N(0, I), \qquad x \mid z \sim p(x \mid z), \text{ whose parameters are } f(z) .$$
#
# The E step needs the posterior
#
# $$p(z \mid x) = \frac{p(x \mid z)\, p(z)}{p(x)}, \qquad p(x) = \int p(x \mid z)\, p(z)\, dz ,$$
#
# and this integral over all codes, through a network, has no formula. Sampling it blindly does not
# help: for nearly all $z$ from the prior, $p(x \mid z)$ of a given image is as good as zero.
#
# *Variational inference* does the E step in part. It fixes a family of simple distributions, such
# as all Gaussians with a diagonal covariance (so the coordinates of $z$ are independent given $x$,
# the factorisation $\prod_i q_i(z_i)$ of the article), and takes the member $q$ that makes the
# bound $\mathcal L$ largest. The bound no longer touches $\log p(x)$. What is missing is exactly
# $\mathrm{KL}(q \,\|\, p(z \mid x))$.

# %% [markdown]
# ## The ELBO, step by step
#
# The bound has a name, *evidence lower bound*. Start from what $q$ misses, and use the definition
# of KL, Bayes' rule, and that $\log p(x)$ does not depend on $z$:
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
# On the left stands what we want: a large $\log p(x)$, and a $q$ near the posterior. Nobody can
# compute either. On the right stands what can be computed: *reconstruction*, how well codes drawn
# from $q$ explain the image, and the *KL term*, how far $q$ is from the prior.
#
# **Why $q$ may depend on $x$.** The derivation holds for any $q$ whatever, one image at a time; $x$
# was fixed throughout. So we may choose another $q$ for each image, and we should: the posterior of
# a three lies elsewhere than the posterior of a seven, and a $q$ that serves all images at once is
# far from each. EM did the same: each point had its own $r_i$. Instead of storing a $q_i$ for each
# image, the *encoder*, a second network, computes its parameters from $x$. That is quick, and works
# for images never seen. It is called *amortised* inference, and written $q(z \mid x)$:
#
# $$\mathrm{ELBO}(x) = E_{z \sim q(z \mid x)}[\log p(x \mid z)]
#   - \mathrm{KL}(q(z \mid x) \,\|\, p(z)) .$$
#
# Below, with a trained model, we measure what a $q$ costs that does not depend on $x$.

# %% [markdown]
# ## The KL term in closed form
#
# Between two Gaussians in $k$ dimensions
#
# $$\mathrm{KL}(N(\mu_0, \Sigma_0) \,\|\, N(\mu_1, \Sigma_1)) = \frac12 \left(
#   \mathrm{tr}(\Sigma_1^{-1} \Sigma_0) + (\mu_1 - \mu_0)^T \Sigma_1^{-1} (\mu_1 - \mu_0)
#   - k + \log \frac{\det \Sigma_1}{\det \Sigma_0} \right) .$$
#
# Here the second is the prior, $\mu_1 = 0$, $\Sigma_1 = I$, and the first is diagonal. One
# coordinate is enough, since both factorise. With $\log q(z) = -\frac12 \log 2\pi\sigma^2 -
# \frac{(z - \mu)^2}{2 \sigma^2}$ and $\log p(z) = -\frac12 \log 2\pi - \frac{z^2}{2}$:
#
# $$E_q[\log q(z) - \log p(z)] = -\tfrac12 \log \sigma^2
#   - \tfrac12 \underbrace{E_q\!\left[\tfrac{(z - \mu)^2}{\sigma^2}\right]}_{1}
#   + \tfrac12 \underbrace{E_q[z^2]}_{\mu^2 + \sigma^2}
#   = -\tfrac12 \left(1 + \log \sigma^2 - \mu^2 - \sigma^2 \right) .$$
#
# The encoder gives $\mu$ and $\log \sigma^2$, any real number, rather than $\sigma$, which would
# have to be kept positive. The article's code calls that second output `z_std`; it holds the
# log-variance, as the code `exp(z_std / 2)` shows, and its name here is `z_log_var`.

# %%
notebook.source(vae.kl_divergence)

# %% [markdown]
# The check: the definition itself, $E_q[\log q - \log p]$, as a mean over draws from $q$. The
# article's simplified formula has the wrong sign, $+ \log\det\Sigma(x)$; from its own general
# formula, with $\Sigma_1 = I$, comes $-\log\det\Sigma(x)$. We compute both.

# %%
z_mean, z_log_var = np.array([[0.8, -1.5]]), np.array([[-2.0, 0.5]])
draws = notebook.budget(1_000_000, small=10_000)
epsilon = np.random.default_rng(2).standard_normal([draws, 2])
z = z_mean + np.exp(z_log_var / 2) * epsilon
log_q = stats.norm.logpdf(z, z_mean, np.exp(z_log_var / 2)).sum(axis=1)
terms = log_q - stats.norm.logpdf(z).sum(axis=1)
article = 0.5 * np.sum(np.exp(z_log_var) + z_mean**2 - 1 + z_log_var)
closed = vae.kl_divergence(tf.constant(z_mean, tf.float32), tf.constant(z_log_var, tf.float32))
print(f"Monte Carlo:           {terms.mean():.4f} +- {terms.std() / draws**0.5:.4f} nats")
print(f"vae.kl_divergence:     {closed[0]:.4f}")
print(f"with the article's sign: {article:.4f}")

# %% [markdown]
# ## Reparameterisation
#
# The other term, $E_{z \sim q(z \mid x)}[\log p(x \mid z)]$, is estimated by one draw of $z$ for
# each image: over many updates of stochastic gradient descent the noise averages out. But its
# gradient with respect to the *encoder* is a problem. The encoder's $\mu$ and $\sigma$ appear in
# the distribution that we sample from, and there is no derivative of "draw a number". (The article
# says that one sample removes the dependence on $q$. From the formula, yes; and with it goes the
# gradient of the encoder, which has to be brought back.)
#
# Write $c(z) = -\log p(x \mid z)$ for the cost of a code. There are two ways to an unbiased
# estimate of $\nabla_\mu E_{z \sim q}[c(z)]$.
#
# - The *score function*: $\nabla_\mu \int q c\, dz = \int c\, q\, \nabla_\mu \log q\, dz$, so the
#   estimate is $c(z)\, \nabla_\mu \log q(z) = c(z)\, (z - \mu) / \sigma^2$. It needs only values of
#   $c$. Adding a constant to $c$ does not change the expectation, but makes it as noisy as you
#   like.
# - *Reparameterisation*: draw $\epsilon \sim N(0, I)$, which knows nothing of the encoder, and
#   compute $z = \mu + \sigma \epsilon$. Then $E_q[c(z)] = E_\epsilon[c(\mu + \sigma\epsilon)]$, and
#   the gradient goes under the expectation: the estimate is $\nabla c(z)$. It uses the slope of
#   $c$.
#
# Here are both for the real thing: $c$ is the loss of one digit under an untrained decoder, and
# each estimate uses one draw. (`baseline` is the usual cure of the first: subtract the mean of
# $c$.)

# %%
notebook.diagram("vae_graphs")

# %%
source = mnist.load("bundled")
config = vae.Config()
model = vae.build(config)
digit = tf.constant(source.images[:1], tf.float32) / 255
mean, std = np.float32([0.5, -0.5]), np.float32(0.3)
draws = notebook.budget(5_000, small=500)
epsilon = np.random.default_rng(3).standard_normal([draws, 2]).astype(np.float32)
z = tf.constant(mean + std * epsilon)
with tf.GradientTape() as tape:
    tape.watch(z)
    cost = vae.reconstruction_loss(digit, model.decoder(z))
slope, cost = np.float64(tape.gradient(cost, z)), np.float64(cost)[:, None]
score = epsilon / std  # (z - mean) / std^2
estimates = {
    "score function": cost * score,
    "score function, baseline": (cost - cost.mean()) * score,
    "reparameterised": slope,
}
for name, values in estimates.items():
    mean_of, sd = values.mean(axis=0), values.std(axis=0)
    print(f"{name:25} mean {mean_of.round(1)} +- {(sd / draws**0.5).round(1)}, sd {sd.round(0)}")

# %% [markdown]
# All three means agree within their errors: the estimators are unbiased. Read the last column, the
# error of one draw, which is what each update has. By the score function a draw says nothing of the
# slope; with the baseline its error is still larger than the slope; reparameterised it is smaller.
# To write $z$ as $\mu + \sigma\epsilon$ is what makes the model trainable. In the package, the
# noise comes in with the batch, so that an update draws nothing by itself and can be repeated
# exactly:

# %%
notebook.source(vae.VAE.loss_terms, vae.VAE.update)

# %% [markdown]
# ## The reconstruction term: squared error or cross entropy
#
# What is $p(x \mid z)$? The decoder gives 784 numbers $\hat x = f(z)$ in $(0, 1)$, and there are
# two usual answers.
#
# **Gaussian pixels**, $x = f(z) + \eta$ with $\eta \sim N(0, s^2 I)$. Then
# $-\log p(x \mid z) = \frac{1}{2 s^2} \lVert x - f(z) \rVert^2 + \text{const}$, and the negative
# ELBO, multiplied by $2 s^2 = \lambda$, is
#
# $$\lVert x - f(z) \rVert^2 + \lambda\, \mathrm{KL}(q(z \mid x) \,\|\, p(z)) .$$
#
# The article writes $-\lambda$; both terms are costs, so it is a plus. $\lambda$ is no free knob
# but the assumed noise: $\lambda = 1$ says that pixels deviate by $s = 0.7$, though they lie in
# $[0, 1]$.
#
# **Bernoulli pixels**, 1 with probability $\hat x$ and else 0. Then $-\log p(x \mid z)$ is the
# cross entropy
#
# $$-\sum_{\text{pixels}} \big( x \log \hat x + (1 - x) \log (1 - \hat x) \big) ,$$
#
# which the article uses. (Its formula has $(1 - y) \times (1 - \log \hat y)$ in the second term;
# its code is right.) Pixels of MNIST are grey, so this is a cross entropy rather than a likelihood.
#
# The output $\hat x = \mathrm{sigmoid}(l)$ comes from a logit $l$. The gradients with respect to it
# are $\hat x - x$ for the cross entropy and $2 (\hat x - x)\, \hat x\, (1 - \hat x)$ for the
# squared error. A pixel that is wrong with confidence has the largest gradient of the first, and
# hardly any of the second.

# %%
logit = np.linspace(-8, 8, 200)
x_hat = special.expit(logit)
plt.figure(figsize=(5.5, 2.8))
plt.plot(logit, x_hat, label="cross entropy")
plt.plot(logit, 2 * x_hat * x_hat * (1 - x_hat), label="squared error")
plt.xlabel("logit of a pixel that should be black, x = 0")
plt.ylabel("gradient")
plt.legend()
plt.show()
notebook.source(vae.reconstruction_loss)

# %% [markdown]
# ## The networks
#
# Encoder and decoder have one hidden layer of 512 tanh units each. The article's initial values,
# which it came to after others had given it NaN, are normal with standard deviation
# $\sqrt{2 / \text{shape}[0]}$, for weights and for biases.

# %%
notebook.diagram("vae_network")

# %%
notebook.source(vae.Encoder, vae.Decoder, vae.article_normal)

# %%
print(source)
for variable in model.trainable_variables:
    print(f"{variable.path:45}{tuple(variable.shape)!s:12}{np.std(variable.numpy()):.4f}")
print(f"{model.count_params():,} parameters")

# %% [markdown]
# ## Training
#
# `update` above is one step. `fit` runs a hundred of them in one compiled call. The optimiser is
# RMSProp as it was in TensorFlow 1 (notebook [0](00_from_tensorflow_1.ipynb) shows what differs
# today). The loss is the negative ELBO in *nats*, natural units of information, per image.
#
# We train for a fraction of the article's 30,000 updates. A `Report` knows the settings and the
# data, and measures a model: here the losses on all held-out digits.

# %%
updates = notebook.budget(6_000, small=100)
batches = vae.batches(config, source).batch(100)
history = model.fit(
    batches, epochs=updates // 100, steps_per_epoch=1, shuffle=False, verbose=0
).history
steps = 100 * np.arange(1, updates // 100 + 1)
print(f"loss of the last 100 updates: {history['loss'][-1]:.1f} nats an image")
report = vae.Report(config, source)
for name, value in report.measure(model).items():
    print(f"{name}: {value:.1f}")
plots.curves(steps, {name: history[name] for name in ("loss", "reconstruction", "kl")}, "nats")

# %% [markdown]
# Nearly all of the fall is the reconstruction term. The KL term stays at some nats: it is what the
# model pays for telling images apart, since a KL of 0 would mean that all images have the same $q$.
# In the article's log, on MNIST, the loss ends near 150 after 30,000 updates; so does
# [ours](../saved_models/vae/README.md), over ten seeds.
#
# ## Squared error against cross entropy, and a model broken on purpose
#
# We now change the loss, in a subclass that overrides one method, and train the same networks from
# the same start with the same batches.
#
# - squared error with $\lambda = 1$ and with $\lambda = 10$;
# - cross entropy without the KL term, which leaves an ordinary autoencoder with noise that it may
#   turn off.


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
    variant.fit(batches, steps_per_epoch=updates // 100, shuffle=False, verbose=0)

# %%
held_out = np.float32(source.held_out_images) / 255
figure, all_axes = plt.subplots(2, len(variants), figsize=(12, 6), layout="constrained")
print(f"{'loss':25} squared error of a pixel  mean sd of q(z|x)  sd of the codes")
for (name, variant), (top, bottom) in zip(variants.items(), all_axes.T, strict=True):
    z_mean, z_log_var = (values.numpy() for values in variant.encode(held_out))
    top.scatter(*z_mean.T, c=source.held_out_labels, cmap="tab10", s=6)
    top.add_patch(plt.Circle((0, 0), 2, fill=False))
    top.set(title=name, aspect="equal")
    some = variant.decode(variant.prior(30, [1, 2]))
    bottom.imshow(plots.mosaic(some, 6, scale=1), cmap="gray")
    bottom.set(title="drawn from the prior", xticks=[], yticks=[])
    error, spread = np.mean((held_out - variant(held_out)) ** 2), np.exp(z_log_var / 2).mean()
    print(f"{name:25} {error:23.4f}  {spread:15.3f}  {z_mean.std():14.1f}")
plt.show()

# %% [markdown]
# Above: the codes of held-out digits, coloured by digit; the circle has radius 2, which holds 86 %
# of the prior. Below: what the decoder makes of draws from the prior.
#
# - With $\lambda = 10$ the KL term has won: the codes of all digits lie at the origin, the standard
#   deviation of $q$ is nearly the prior's 1, and every draw is the same blur, the mean of all
#   digits. This is *posterior collapse*. The formula says why: $\lambda = 10$ declares a noise of
#   $s = 2.2$ on pixels between 0 and 1, and under so much noise no image is worth describing. With
#   $\lambda = 1$ the squared error is about that of the model with cross entropy, and draws from
#   the prior look better after so few updates.
# - With cross entropy the codes have not yet spread evenly over the circle, and some draws fall
#   where no code has ever been: the decoder makes something up there, white patches and all. By the
#   formulas above the gradient of the cross entropy is at least twice that of the squared error in
#   each pixel, since $2 \hat x (1 - \hat x) \le \frac12$. So the KL term weighs less beside it, and
#   needs longer. (Compare the grid of a model after 30,000 updates, below.)
# - Without the KL term the reconstructions are as good as any, and that is all there is: $q$
#   shrinks towards a point, and the codes spread far beyond the prior. A draw from the prior lands
#   in a corner of them, or outside. This is what the KL term is for: it brings the codes of the
#   data and the draws of the prior to the same place.

# %% [markdown]
# ## Save, load, decode
#
# The article saved the wrong thing, as it says itself: the reconstruction alone, which takes an
# image. To decode a point, ten raw variables had to be read from the graph and the decoder rebuilt
# by hand. Here a model says what it offers, each with its inputs and the names of its outputs, and
# the decoder is a function of its own in the saved file:

# %%
notebook.source(vae.VAE.signatures, savedmodel.write)

# %%
with tempfile.TemporaryDirectory() as directory:
    path = Path(directory, "my_vae")
    savedmodel.write(model, path, {"model": "vae", "config": dataclasses.asdict(config)})
    loaded = tf.saved_model.load(str(path))
    files = sorted(str(p.relative_to(path)) for p in path.rglob("*") if p.is_file())
print(*files, sep="\n")
print("signatures:", ", ".join(sorted(loaded.signatures)))
z = tf.constant([[0.0, 0.0]])
same = np.abs(loaded.signatures["decode"](z=z)["images"] - model.decode(z)).max()
print(f"largest difference from the model in memory: {same:.0e}")

# %% [markdown]
# From here on we use the trained model that comes with the package: the article's settings, 30,000
# updates on the 60,000 training images of MNIST ([its card](../saved_models/vae/README.md)). The
# 5,000 bundled digits are among these 60,000. So the digits that we held out are new to the model
# that we trained above, but not to this one. The three points that the article decodes are [3, 3],
# [0, 0] and [0, 5].

# %%
box = tf.saved_model.load(str(savedmodel.find(Path("vae"))))  # keep it: it holds the weights


def decode(z):
    """float [n, 2] to images [n, 28, 28], by the signature."""
    return box.signatures["decode"](z=tf.constant(z, tf.float32))["images"].numpy()


notebook.picture(plots.mosaic(decode([[3, 3], [0, 0], [0, 5]]), 3, scale=5))

# %% [markdown]
# [3, 3] and [0, 5] are unusual codes. Of draws from $N(0, I)$, one in 8,000 is farther from the
# origin than [3, 3], and one in 270,000 farther than [0, 5]. What lies there differs from seed to
# seed. Here is where the prior has its mass: a grid of 20 × 20 points that cut each axis into parts
# of equal probability.

# %%
plots.manifold(decode(plots.plane(report.axis)), report.axis)

# %% [markdown]
# ## Which z gives which digit?
#
# The article ends with the complaint that its author does not know which noise makes which digit.
# To find out, ask the encoder where it puts digits whose labels we know. For each digit the picture
# has two points to decode: the mean of its codes, and a point where it is clearest, chosen among
# the codes by what lies around it (`judge.clearest_points`). A mean of codes may be the place of
# another digit, as you see for the 2, the 4 and the 5.

# %%
z_mean = box.signatures["encode"](images=tf.constant(held_out))["z_mean"].numpy()
clearest = judge.clearest_points(decode, z_mean, held_out, source.held_out_labels)
plots.latent_map(decode, z_mean, source.held_out_labels, clearest)

# %% [markdown]
# The map of the shipped model, made with the 10,000 test images of MNIST, lies beside it as
# `latent_map.json`, and `python -m tf_gen.sample vae --digit 7` uses it. Two dimensions are few for
# ten digits: fours lie among nines, and fives among threes and eights. So even the clearest 4 looks
# much like a 9, and the clearest 5 is hard to read.

# %%
latent_map = json.loads((savedmodel.find(Path("vae")) / "latent_map.json").read_text())
points = np.float32(list(latent_map["labels"].values()))
print("  ".join(f"{label}: ({a:.2f}, {b:.2f})" for label, (a, b) in latent_map["labels"].items()))
notebook.picture(plots.mosaic(decode(points), 10))

# %% [markdown]
# ### Explore the plane
#
# Move over the plane: the picture is the decoder's answer. Draw a digit: the encoder answers with a
# point, and an ellipse as wide as its doubt. The page has the weights in it and computes in your
# browser, so it works in a notebook that is only shown. `python -m tf_gen.train` writes one for
# each model that it trains. (Where scripts are switched off, as on GitHub, the frame stays empty.
# Then look at the strips below, a walk along each axis, or run
# `python -m tf_gen.explore vae --open`.)

# %%
with tempfile.TemporaryDirectory() as directory:
    path = Path(directory, "explorer.html")
    explorer.write(savedmodel.find(Path("vae")), path, "vae", source)
    page = notebook.page(path)
page

# %%
walk = np.linspace(-3, 3, 15)
strips = np.concatenate([np.c_[walk, 0 * walk], np.c_[0 * walk, walk]])
notebook.picture(plots.mosaic(decode(strips), 15, scale=2))

# %% [markdown]
# The first strip is $z_0$ from −3 to 3 with $z_1 = 0$, the second $z_1$ with $z_0 = 0$.

# %% [markdown]
# ## Looking back: how good is the E step?
#
# With two dimensions we can do what is impossible in general: compute the posterior, on a fine grid
# of the plane, and the integral $p(x)$ with it. So we can see what the encoder approximates, and
# check the boxed equation above with numbers. The white ellipse is two standard deviations of
# $q(z \mid x)$.

# %%
n = notebook.budget(400, small=60)
axis = np.linspace(-4, 4, n)
area = (axis[1] - axis[0]) ** 2
plane = plots.plane(list(axis))


def log_joint_of_images(images, z):
    """log p(x|z) + log p(z): [images, points]."""
    x, joint = images.reshape(len(images), -1), []
    for part in np.array_split(z, 40):
        x_hat = np.float64(decode(part).reshape(len(part), -1))
        log_p = x @ np.log(x_hat + 1e-10).T + (1 - x) @ np.log(1 - x_hat + 1e-10).T
        joint.append(log_p + stats.norm.logpdf(part).sum(axis=1))
    return np.concatenate(joint, axis=1)


some = held_out[[15, 120, 240, 420]]
log_joint = log_joint_of_images(some, plane)
log_p = special.logsumexp(log_joint, axis=1) + np.log(area)
log_posterior = log_joint - log_p[:, None]
codes = {k: v.numpy() for k, v in box.signatures["encode"](images=tf.constant(some)).items()}
stds = np.exp(codes["z_log_var"] / 2)

# %%
rng = np.random.default_rng(4)
draws = notebook.budget(2_000, small=100)
figure, all_axes = plt.subplots(1, 4, figsize=(12, 3.2), layout="constrained")
print("image  log p(x)   ELBO            KL(q, posterior)  ELBO + KL  ELBO of the prior as q")
for i, axes in enumerate(all_axes):
    mean, std = codes["z_mean"][i], stds[i]
    log_q = stats.norm.logpdf(plane, mean, std).sum(axis=1)
    gap = np.sum(np.exp(log_q) * (log_q - log_posterior[i])) * area
    z = mean + std * rng.standard_normal([draws, 2])
    terms = log_joint_of_images(some[i : i + 1], z)[0] - stats.norm.logpdf(z, mean, std).sum(axis=1)
    elbo, error = terms.mean(), terms.std() / draws**0.5
    log_prior = stats.norm.logpdf(plane).sum(axis=1)
    by_prior = np.sum(np.exp(log_prior) * (log_joint[i] - log_prior)) * area
    row = f"{i:5}  {log_p[i]:8.2f}  {elbo:8.2f} +- {error:.2f}  {gap:16.2f}  {elbo + gap:9.2f}"
    print(f"{row}  {by_prior:22.2f}")
    mode = plane[log_posterior[i].argmax()]
    middle, half = (mean + mode) / 2, 0.6 + 0.5 * np.abs(mean - mode).max()
    density = np.exp(log_posterior[i]).reshape(n, n)
    axes.imshow(density, extent=(-4, 4, -4, 4), cmap="magma", interpolation="bilinear")
    axes.set(xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half))
    turn = np.linspace(0, 2 * np.pi, 60)
    axes.plot(mean[0] + 2 * std[0] * np.cos(turn), mean[1] + 2 * std[1] * np.sin(turn), "w")
    corner = axes.inset_axes([0, 0, 0.3, 0.3])
    corner.imshow(some[i], cmap="gray")
    corner.set_axis_off()
plt.show()

# %% [markdown]
# The sums ELBO + KL give $\log p(x)$ back: the ELBO is a mean over draws, the other two are sums
# over the grid. ($p(x \mid z)$ stands for $e^{-\text{cross entropy}}$ here, as pixels are grey.)
# The encoder's Gaussian is upright, as a diagonal covariance is, where the posterior may be tilted
# or bent. Where $q$ lies well, as for the zero and the eight, all this costs about a nat. More is
# lost where the encoder, which must serve all images, has put $q$ beside the posterior: some nats
# for the four, twenty for the two, which the decoder draws better at quite another place.
#
# The last column is what a $q$ costs that does not depend on $x$, here the prior: the bound is
# worse by more than a hundred nats, far more than any gap.

# %% [markdown]
# ## Take it away
#
# The decoder needs TensorFlow alone:
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
# The model is one file, [tf_gen/models/vae.py](../tf_gen/models/vae.py), from its settings to its
# `Report`. What all models of digits share, such as the map above, is in
# [tf_gen/tasks/digits.py](../tf_gen/tasks/digits.py). The [card](../saved_models/vae/README.md) has
# figures, signatures, and how to serve the decoder or put it on a phone. Next: [2. A GAN that
# learns a Gaussian](02_gaussian_gan.ipynb), which learns to generate without any likelihood.
#
# ## Exercises
#
# Each question is followed by its answer, in a collapsed cell.
#
# **1.** The maximum likelihood estimate $\hat\sigma^2$ divides by $n$. Show by many samples of five
# points that it is too small on average, and by which factor.

# %% tags=["answer"]
samples = np.random.default_rng(5).normal(4.0, 1.5, [100_000, 5])
print(f"mean estimate over the true variance: {samples.var(axis=1).mean() / 1.5**2:.3f}")
print(f"(n - 1) / n:                          {4 / 5:.3f}")
# The mean of the sample lies nearer to its own points than the true mean does.

# %% [markdown]
# **2.** Start EM with two equal components. What happens, and why?

# %% tags=["answer"]
pi, mu, sigma = np.array([0.5, 0.5]), np.array([0.0, 0.0]), np.array([1.0, 1.0])
for _ in range(20):
    r = special.softmax(log_joint_of(pi, mu, sigma), axis=1)
    pi, mu = r.mean(axis=0), (r * x[:, None]).sum(axis=0) / r.sum(axis=0)
    sigma = np.sqrt((r * (x[:, None] - mu) ** 2).sum(axis=0) / r.sum(axis=0))
print(
    f"mu {mu.round(3)}, sigma {sigma.round(3)}; mean and sd of all: {x.mean():.3f}, {x.std():.3f}"
)
# All r are 1/2, so both components get the same update: a saddle that EM cannot leave.

# %% [markdown]
# **3.** `vae.importance_bound` averages $k$ draws of $z$ inside the logarithm (Burda et al.,
# arXiv:1509.00519). Show that it rises with $k$ towards $\log p(x)$.

# %% tags=["answer"]
for k in (1, 10, 100):
    print(f"k = {k:3}: {vae.importance_bound(model, held_out[::5], k):.2f} nats")
# k = 1 is the ELBO. By Jensen's inequality the log of a mean is too small on average, the less so,
# the less the mean scatters: the more draws.

# %% [markdown]
# **4.** How much better is a latent space of ten dimensions? Train one for as long, and compare.

# %% tags=["answer"]
wide_config = dataclasses.replace(config, latent_dim=notebook.budget(10, small=2))
wide = vae.build(wide_config) if wide_config != config else model
wide_batches = vae.batches(wide_config, source).batch(100)
wide.fit(wide_batches, steps_per_epoch=updates // 100, shuffle=False, verbose=0)
for name, some_model, c in (("2", model, config), ("10", wide, wide_config)):
    losses = vae.Report(c, source).measure(some_model)
    print(name, {key.removeprefix("held_out_"): round(value, 1) for key, value in losses.items()})
# The KL term costs more nats, since the codes say more, and the reconstruction gains many more.

# %% [markdown]
# **5.** Walk from a clear three to a clear eight in the plane of the shipped model. What does the
# walk pass on its way?

# %% tags=["answer"]
a, b = (np.array(latent_map["labels"][label]) for label in "38")
notebook.picture(plots.mosaic(decode(np.linspace(a, b, 15)), 15, scale=2))
# Threes and then eights. All between is something like a digit: the KL term has left no gaps.
