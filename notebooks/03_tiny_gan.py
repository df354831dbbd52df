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
# # 3. The GAN in 50 lines
#
# In this notebook you write a generative adversarial network (GAN) in 50 lines of Keras and
# TensorFlow. Its generator learns to draw numbers from a bell curve that it never sees. We follow
# the article GANs很难?这篇文章教你50行代码搞定, a Chinese translation of Dev Nag's "Generative
# Adversarial Networks (GANs) in 50 lines of code", which uses PyTorch. We also use Nag's later
# code. GANs were introduced by Goodfellow et al., *Generative Adversarial Networks*,
# arXiv:1406.2661.
#
# This GAN has one unusual feature: its discriminator judges a whole batch of points at once instead
# of one point at a time. You will see that what the discriminator sees of the batch decides what
# the generator learns. With the article's settings the generator gets the mean and the standard
# deviation roughly right, but not the shape. Three small changes to your 50 lines fix that.
#
# Sections called *Further* can be skipped at first reading.
#
# **You need** Python, a little Keras, and a first course in probability (density, mean, standard
# deviation, quantile). You need no GPU and no download, since the data are random numbers. The
# first cell installs tf_gen if it is missing.
#
# **Time** on two cores: about 3 minutes.

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
import tempfile
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from IPython import get_ipython
from scipy import stats

from tf_gen import base, evaluate, plots, savedmodel
from tf_gen.figures import tiny_gan as figures
from tf_gen.models import tiny_gan
from tf_gen.tasks import gaussian

# %% [markdown]
# This is the goal. The package comes with a trained generator. Here are 10,000 of its points (the
# histogram) and the bell curve $N(4, 1.25)$ that it has learned, with mean $\mu = 4$ and standard
# deviation $\sigma = 1.25$. The generator is a TensorFlow SavedModel, and its function `sample`
# draws the noise and generates the points.

# %%
mu, sigma = 4.0, 1.25
rng = np.random.default_rng(0)  # the source of NumPy's random numbers in this notebook
shipped = tf.saved_model.load(str(savedmodel.find(Path("tiny_gan"))))
points = shipped.signatures["sample"](count=tf.constant(10_000), seed=tf.constant([1, 2]))["x"]
plots.histogram(points.numpy()[:, 0], mu, sigma)

# %% [markdown]
# ## The model from scratch
#
# ### The forger and the expert
#
# A forger wants to paint pictures that pass for real ones, but he has never seen a real picture. An
# expert looks at real and forged pictures and says how likely each one is to be real. After each
# verdict she learns the truth and improves. The forger learns only from her verdicts on his own
# pictures: they tell him how to change his strokes. Both get better, until the expert can only
# guess.
#
# The article turns this story into five components:
#
# | component | what it is | here |
# |---|---|---|
# | R | the real data | $x \sim N(4, 1.25)$ |
# | I | the input noise of the generator | $z \sim U(0, 1)$ |
# | G | the generator (the forger) | a network, $x = G(z)$ |
# | D | the discriminator (the expert) | a network with values in $(0, 1)$; 1 means "real" |
# | the training loop | which network learns when, from what | D learns, then G learns through D |
#
# The article marks two parts of the loop: a green part, in which D learns, and a red part, in which
# G learns. Our diagram shows the same two parts, one below the other. Here a network is green while
# it learns and red while it stays as it is:

# %%
notebook.diagram("gan_game")

# %% [markdown]
# ### R and I
#
# Now the code. The next four cells have 50 lines in all, and you can edit every one of them. (If
# you do, run all four again.) We begin with random numbers for 200 rounds of training. For each
# round there are 100 real points and 100 noise values. Their shapes differ on purpose: the noise is
# 100 examples of one number each, while the real points are *one* example of 100 numbers.


# %%
# 50 lines, part 1 of 4: R and I
def real_batches():
    return tf.random.normal([200, 1, 100], 4.0, 1.25)


def noise_batches():
    return tf.random.uniform([200, 100, 1])


# %% [markdown]
# ### G and D
#
# Both networks have two hidden layers of 50 units. G maps one number to one number, and it is
# applied to each of the 100 noise values. D maps a whole batch to one number. Before D sees the
# batch, `squares` appends the squared deviations from its mean, so that D gets 200 numbers.
#
# The article's text mentions neither this step nor that D's input is a whole batch. Both are in the
# code that came with it. So is the sigmoid in G's second layer; the text names only ELU.
# `tf.stop_gradient` treats the mean as a constant, as the original code does. The function `dense`
# makes layers whose initial weights are distributed as in PyTorch.


# %%
# 50 lines, part 2 of 4: G and D
def dense(units, inputs, activation=None):
    bound = inputs**-0.5
    kernel, bias = (keras.initializers.RandomUniform(-bound, bound) for _ in range(2))
    return keras.layers.Dense(units, activation, kernel_initializer=kernel, bias_initializer=bias)


def network(inputs, first, second):
    layers = dense(50, inputs, first), dense(50, 50, second), dense(1, 50)
    return keras.Sequential([keras.Input([inputs]), *layers])


def squares(x):
    return tf.concat([x, (x - tf.stop_gradient(tf.reduce_mean(x))) ** 2], axis=1)


# %% [markdown]
# ### The training step
#
# The output of D is a logit $l$. The probability that the batch is real is $D = \sigma(l)$, with
# the sigmoid function $\sigma(l) = 1/(1 + e^{-l})$. D should say 1 to a real batch and 0 to a
# generated one. G wants D to say 1 to a generated batch:
#
# $$L_D = -\log D(x) - \log(1 - D(G(z))), \qquad L_G = -\log D(G(z)).$$
#
# Here $x$ and $G(z)$ stand for whole batches, so each loss has one value for a batch. The function
# `tf.nn.sigmoid_cross_entropy_with_logits` computes $-\log D$ if the target is 1 and
# $-\log(1 - D)$ if it is 0.


# %%
# 50 lines, part 3 of 4: one update of D, and one of G
class FiftyLines:
    def __init__(self, see=squares, width=200, rate=2e-4):
        self.see = see
        self.G = network(1, "elu", "sigmoid")
        self.D = network(width, "elu", "elu")
        self.d_optimizer = keras.optimizers.Adam(rate, epsilon=1e-8)
        self.g_optimizer = keras.optimizers.Adam(rate, epsilon=1e-8)
        self.d_optimizer.build(self.D.trainable_weights)
        self.g_optimizer.build(self.G.trainable_weights)

    def generate(self, z):
        return tf.transpose(self.G(z))

    def loss(self, x, target):
        logits = self.D(self.see(x))
        targets = tf.fill([1, 1], target)
        return tf.nn.sigmoid_cross_entropy_with_logits(targets, logits)[0, 0]

    def train_d(self, x, z):
        generated = self.generate(z)
        with tf.GradientTape() as tape:
            losses = self.loss(x, 1.0), self.loss(generated, 0.0)
        gradients = tape.gradient(losses, self.D.trainable_weights)
        self.d_optimizer.apply(gradients, self.D.trainable_weights)
        return losses

    def train_g(self, z):
        with tf.GradientTape() as tape:
            loss = self.loss(self.generate(z), 1.0)
        gradients = tape.gradient(loss, self.G.trainable_weights)
        self.g_optimizer.apply(gradients, self.G.trainable_weights)
        return loss


# %% [markdown]
# ### The loop
#
# In each round D takes a step, and then G does. The article calls a round an *epoch*, and so do we
# in this notebook. The networks are so small that a call from Python takes longer than the
# arithmetic of an update. So we let TensorFlow compile 200 rounds into one program
# (`jit_compile=True`), which returns the losses of its last round.


# %%
# 50 lines, part 4 of 4: the training loop
@tf.function(jit_compile=True)
def rounds(gan, x, z_d, z_g):
    losses = tf.zeros([3])
    for k in tf.range(200):
        losses = tf.stack([*gan.train_d(x[k], z_d[k]), gan.train_g(z_g[k])])
    return losses


def train(gan, epochs):
    for epoch in range(200, epochs + 1, 200):
        yield epoch, rounds(gan, real_batches(), noise_batches(), noise_batches()).numpy()


# %% [markdown]
# Is that really 50 lines? IPython keeps the source of each cell that has run. We count the lines
# that are neither empty nor comments:

# %%
history = get_ipython().user_ns["In"]
parts = {cell.splitlines()[0]: cell for cell in history if cell.startswith("# 50 lines")}
lines = [line.strip() for cell in parts.values() for line in cell.splitlines()]
print(len([line for line in lines if line and not line.startswith("#")]), "lines of code")

# %% [markdown]
# ### Compared with the article's loop
#
# The article's loop consists of the following steps. The first four are its green part, the others
# its red part.
#
# | step of the article's loop | in the 50 lines |
# |---|---|
# | clear D's old gradients | not needed, since each tape is new |
# | D judges a real batch; compare with 1; backpropagate | `self.loss(x, 1.0)` |
# | D judges a detached batch of G; compare with 0; backpropagate | `self.loss(generated, 0.0)` |
# | step D's optimiser | `self.d_optimizer.apply` |
# | clear G's old gradients | not needed |
# | D judges a new batch of G; compare with 1; backpropagate | `self.loss(self.generate(z), 1.0)` |
# | step only G's optimiser | `self.g_optimizer.apply` |
#
# PyTorch adds up the gradients of its two backward passes before D takes a step. `tape.gradient`
# does the same if you give it two losses. If you know one library but not the other, this table may
# help:
#
# | PyTorch | Keras and TensorFlow |
# |---|---|
# | `nn.Linear(n, m)` | `keras.layers.Dense(m)` (1) |
# | `F.elu(layer(x))` in `forward` | `keras.layers.Dense(m, "elu")` |
# | `nn.BCELoss()` of a sigmoid | `tf.nn.sigmoid_cross_entropy_with_logits` (2) |
# | `Variable(tensor)`, before PyTorch 0.4 | a tensor; tapes watch trainable weights automatically |
# | `loss.backward()` | `tape.gradient(loss, weights)` (3) |
# | `D.zero_grad()` | not needed, since gradients do not add up from step to step |
# | `G(z).detach()` | `G(z)` before the tape begins |
# | `optim.Adam(D.parameters())` and `step()` | `keras.optimizers.Adam()` and `apply` (4) |
# | Python runs each operation | `@tf.function(jit_compile=True)` compiles a program |
#
# 1. PyTorch draws initial weights and biases from $U(-1/\sqrt n, 1/\sqrt n)$. Keras draws weights
#    by Glorot's rule and sets biases to zero, so `dense` sets both initialisers.
# 2. The loss is the same. Computed from the logit, it never takes the logarithm of 0. (PyTorch has
#    `BCEWithLogitsLoss` for that.)
# 3. PyTorch stores a gradient in each weight that was used. TensorFlow returns the gradients that
#    you ask for.
# 4. Both add a small $\epsilon$ to a denominator, but in different places, and their defaults are
#    $10^{-8}$ and $10^{-7}$.

# %% [markdown]
# ### Is it the package's model?
#
# The package has the same model, `tiny_gan`, with more settings. A set of settings is a *preset*;
# the article's own are `tiny_gan.PRESETS["article"]`. This is the package's version of the two
# updates. `repeat`, below them, runs one of them many times within one compiled program.

# %%
notebook.source(tiny_gan.TinyGAN.update_d, tiny_gan.TinyGAN.update_g, base.repeat)

# %% [markdown]
# To check that both are the same, we copy the package's weights into your model, give both the same
# batches, and compare the three losses over 20 epochs. One thing differs: the package has its own
# class `AdamPyTorch`, which adds $\epsilon$ in the same place as PyTorch. For this comparison the
# package uses Keras's Adam, as your model does.


# %%
names = ("loss_d_real", "loss_d_generated", "loss_g")


def assert_same(gan, config, rate):
    package = tiny_gan.build(config)
    gan.G.set_weights(package.generator.get_weights())
    gan.D.set_weights(package.discriminator.get_weights())
    package.compile(*(keras.optimizers.Adam(rate, epsilon=1e-8) for _ in "DG"))
    for batch in tiny_gan.batches(config).take(20):
        z_d, z_g = tf.transpose(batch["z_d"]), tf.transpose(batch["z_g"])
        ours = [*gan.train_d(batch["x"], z_d), gan.train_g(z_g)]
        theirs = list(map(package.update(batch).get, names))
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    print("after 20 epochs:", *(f"{a:.7f} / {b:.7f}" for a, b in zip(ours, theirs, strict=True)))


article = tiny_gan.PRESETS["article"]
assert_same(FiftyLines(), article, article.learning_rate)

# %% [markdown]
# The assertions hold: in each epoch the losses agree to a relative difference of $10^{-5}$. Some of
# the last digits differ, because the two programs compute in a different order and float32 rounds
# each result. So the package's model is the same as yours, with more settings. We use yours to try
# things out, and the package's where we compare many settings and seeds.
#
# ### Training your model
#
# We train your model for 20,000 epochs, as long as the article does, and measure G on the way. To
# measure it without noise we give it 1,000 evenly spaced values of $z$, which stand for $U(0, 1)$.
# Besides mean and standard deviation we compute two numbers that describe the shape. The **skew**
# is the mean of the third power of $(x - \mu)/\sigma$. The **excess kurtosis** (below: kurtosis) is
# the mean of its fourth power minus 3. Both are 0 for a Gaussian. A uniform distribution has skew 0
# and excess kurtosis $-1.2$. The package's function `gaussian.moments` returns all four.
#
# `notebook.budget(full, small)` is `full`. The project's tests, which run this notebook with little
# training, get `small` instead.


# %%
z_even = (np.arange(1000, dtype=np.float32)[:, None] + 0.5) / 1000
targets = {"mean": mu, "std": sigma, "skew": 0.0, "kurtosis": 0.0}


def follow(gan, epochs):
    rows = []
    for epoch, losses in train(gan, epochs):
        moments = gaussian.moments(gan.generate(z_even)[0])
        rows.append({"step": epoch, **dict(zip(names, losses, strict=True)), **moments})
    return rows


keras.utils.set_random_seed(0)
mine = FiftyLines()
rows = follow(mine, notebook.budget(20_000, 400))
print(figures.table(rows[:1] + rows[19::20], names, targets))
figures.course(rows, targets)

# %% [markdown]
# The three columns after the epoch are its losses $-\log D(x)$, $-\log(1 - D(G(z)))$ and $L_G$. The
# mean starts below 0, rises above 5 and comes back to about 4. The standard deviation starts near
# 0, since an untrained G gives almost the same answer to every $z$. It rises above 1.5 and then
# comes to about 1.25. Skew and kurtosis keep changing.
#
# There are no held-out data in this notebook. Every batch is drawn anew, so no model ever sees a
# point twice.
#
# The left panel below compares G with an *ideal* G, which we derive in the next section. The right
# panel shows the points.


# %%
ideal = stats.norm.ppf(z_even[:, 0], mu, sigma)


def show(x):
    print(f"Wasserstein-1 distance: {np.abs(np.sort(x) - ideal).mean():.3f}")
    return figures.generator(x, mu, sigma)


show(mine.generate(z_even)[0].numpy())

# %% [markdown]
# Mean and standard deviation are roughly right, but this is not a bell. (G falls where the ideal
# curve rises. That does not matter, since $z$ and $1 - z$ have the same distribution.)
#
# The number printed above the figure is the **Wasserstein-1 distance** $W_1$ between the generated
# and the real distribution. Imagine two heaps of sand, one for each density. $W_1$ is the smallest
# mean distance over which you have to carry the sand to turn one heap into the other. In one
# dimension it is best to keep the order of the grains, so $W_1$ is the mean distance between points
# of equal rank. For an increasing G this is the area between the two curves,
# $\int_0^1 |G(z) - \mu - \sigma\Phi^{-1}(z)|\,dz$. The function `show` sorts the points, so its
# number is right for any G. The package calls a result *close* if $W_1 \le \sigma/5 = 0.25$.

# %% [markdown]
# ## What the ideal G does
#
# Why is the noise uniform? With normal noise, $z \sim N(0, 1)$, the task would be trivial:
# $G(z) = \mu + \sigma z$ only shifts and scales. If you shift and scale uniform noise, you get a
# uniform distribution again. It can have the right mean and standard deviation, but it is never a
# bell. G has to bend.
#
# We can derive exactly how. Let $G$ be increasing. The share of generated points up to $x$ is
#
# $$P(G(z) \le x) = P(z \le G^{-1}(x)) = G^{-1}(x),$$
#
# since $P(z \le u) = u$ for uniform noise. It should equal the share of real points up to $x$,
# which is $\Phi((x - \mu) / \sigma)$, where $\Phi$ is the distribution function of $N(0, 1)$. With
# $x = G(z)$ this becomes
#
# $$z = \Phi\!\left(\frac{G(z) - \mu}{\sigma}\right)
# \quad\Longleftrightarrow\quad G(z) = \mu + \sigma\,\Phi^{-1}(z).$$
#
# So the ideal G is the quantile function of the data: for $z = 0.9$ it returns the point below
# which 90% of the data lie. We compare it with the straight line that has the right mean and
# standard deviation. Since $U(0, 1)$ has standard deviation $1/\sqrt{12}$, that line is
# $\mu + \sigma\sqrt{12}\,(z - 1/2)$.

# %%
straight = mu + sigma * np.sqrt(12) * (z_even[:, 0] - 0.5)
print("  mean    std   skew  kurtosis")
for x, name in ((ideal, "ideal G"), (straight, "straight G")):
    print(" ".join(f"{value:6.2f}" for value in gaussian.moments(x).values()), "   ", name)
figures.ideal_and_straight(ideal, straight)

# %% [markdown]
# The straight G has the right mean and standard deviation but the wrong shape, as its kurtosis
# shows. The article warns of this case. (The kurtosis of the ideal G is not exactly 0, because
# 1,000 evenly spaced values of $z$ miss the ends of the tails.)
#
# Two remarks:
#
# - The ideal curve goes to $\pm\infty$ at both ends. A network cannot follow it there, since a
#   continuous function on $[0, 1]$ is bounded. The last layer of our G adds 50 sigmoids with
#   weights $w_j$ and a bias $b$, so its points stay between $b - \sum_j \max(0, -w_j)$ and
#   $b + \sum_j \max(0, w_j)$. The tails are always cut off somewhere.
# - The ideal G is not unique. Its mirror image $G(1 - z)$ generates the same distribution
#   (exercise 1).

# %% [markdown]
# ## Which network learns in which step
#
# In `train_d` the generated batch is made outside the tape: G is used but not trained. In `train_g`
# the gradient has to pass through D to reach G, but only G's weights change. D must not learn in
# this step, because the label "real" for a generated batch is wrong. To check this, we take a new
# model, run one step after the other, and compare the weights before and after:


# %%
def flat(network):
    return np.concatenate([weights.ravel() for weights in network.get_weights()])


fresh, x, z = FiftyLines(), real_batches()[0], noise_batches()[0]
print("largest change of a weight of D, of G")
for name, arguments in (("train_d", (x, z)), ("train_g", (z,))):
    before = flat(fresh.D), flat(fresh.G)
    getattr(fresh, name)(*arguments)
    changes = flat(fresh.D) - before[0], flat(fresh.G) - before[1]
    print(*(f"{np.abs(change).max():.6f}" for change in changes), name)

generated = tf.Variable(fresh.generate(z))
with tf.GradientTape() as tape:
    loss = fresh.loss(generated, 1.0)
slope = tape.gradient(loss, generated).numpy()
print(f"{np.sum(slope < 0)} points should grow, {np.sum(slope > 0)} should shrink")

# %% [markdown]
# The zeros are exact: D does not change while G learns, and G does not change while D learns. (The
# first step of Adam moves a weight by about the learning rate, here 0.0002.) The gradient does pass
# through D. For each of the 100 points it says in which direction the point should move to look
# more real to this D. This is all that G ever learns about R.
#
# ### Where the losses should settle
#
# Let $p_r$ and $p_g$ be the densities of real and generated batches. For a given batch the best D
# minimises $-p_r \log D - p_g \log(1 - D)$. The derivative $-p_r/D + p_g/(1 - D)$ vanishes at
#
# $$D^* = \frac{p_r}{p_r + p_g},$$
#
# which is $\frac12$ everywhere once $p_g = p_r$. Then both terms of $L_D$ are
# $-\log\frac12 = \log 2 \approx 0.693$, and so is $L_G$. Losses at this level mean that D sees no
# difference *in what it is shown*. They do not prove that there is none.

# %% [markdown]
# ## One verdict for a whole batch
#
# In the GAN of [notebook 02](02_gaussian_gan.ipynb) D judges one point at a time. If all generated
# points are the same, they get the same verdict and the same gradient. D can drive them away from
# where they are, but they move together, and nothing makes them spread out. This failure is called
# mode collapse. A D that sees a whole batch notices at once that the points do not spread.
# (Notebook 02 shows two other ways to give D this view: minibatch discrimination, and packs of
# points.)
#
# There is a price. The batch is one example instead of 100 examples. And a vector of 100 numbers
# has an order, although the order of the points means nothing. So it matters how we show the batch
# to D.
#
# ## What D sees: five ways to show a batch
#
# The setting `inputs` of the package offers five ways: four from the author's code and one of our
# own. Let the batch $x_1, \dots, x_n$ have the mean $m = \frac1n\sum_i x_i$:
#
# | `inputs` | D's first layer receives | numbers |
# |---|---|---|
# | `raw` | $x_i$ | $n$ |
# | `squares` (the article) | $x_i$ and $(x_i - m)^2$ | $2n$ |
# | `differences` | $x_i$ and $x_i - m$ | $2n$ |
# | `moments` (the author's later code) | mean, standard deviation, skew, excess kurtosis | 4 |
# | `sorted` (ours) | $x_{(1)} \le \dots \le x_{(n)}$, the batch in ascending order | $n$ |

# %%
notebook.diagram("d_inputs")

# %% [markdown]
# Here is how the package computes two of them. (`deviations` is used by `squares` and
# `differences`.)

# %%
notebook.source(tiny_gan.deviations, tiny_gan.moments)

# %% [markdown]
# We show D two batches: a real one, and one of the straight G, which has the right mean and
# standard deviation. For `squares` and `differences` the figure shows only the second half of the
# vector, since the first half is `raw`.

# %%
real = rng.normal(mu, sigma, 100)
both = tf.constant([real, mu + sigma * np.sqrt(12) * (rng.uniform(size=100) - 0.5)], tf.float32)
print("  mean    std   skew  kurtosis   (real, straight G)")
for row in tiny_gan.moments(both).numpy():
    print(" ".join(f"{value:6.2f}" for value in row))
figures.views({name: see(both).numpy() for name, see in tiny_gan.INPUTS.items()})

# %% [markdown]
# Which batch is real? In the first three views you have to look twice: the crosses stay within a
# band, while a few dots lie outside. The last of the four `moments` is lower for the crosses.
# Whether D can use this depends on how much it varies from batch to batch. In `sorted` you can see
# the shape itself. The crosses nearly form a straight line, and the dots bend away at both ends.
# These are roughly the curves of the straight and the ideal G, since the $k$-th smallest of $n$
# points is close to the quantile at $(k - \frac12)/n$.
#
# **What a linear layer can read off.** A unit of D's first layer computes $\sum_k w_k v_k + b$ from
# the vector $v$ that D is shown. The table shows what this sum can be, with equal weights on one
# half of the vector or with the given weights:
#
# | | mean | variance | skew, kurtosis |
# |---|---|---|---|
# | `raw` | yes, $w_i = 1/n$ | no, it takes hidden units | no |
# | `squares` | yes | yes, $\frac1n\sum_i (x_i - m)^2$ | no |
# | `differences` | yes | no | no |
# | `moments` | yes | yes, its root | yes |
# | `sorted` | yes | nearly its root, $w_k \propto \Phi^{-1}((k - \frac12)/n)$ | similar numbers |
#
# - `differences` gives a linear layer nothing new. Each $x_i - m$ is itself a linear function of
#   the batch, so the layer can compute it from `raw` (exercise 3).
# - `squares` adds the variance, which is not linear in the $x_i$. Third and fourth powers need the
#   hidden layers.
# - From `sorted` a linear layer can read any weighted sum of quantiles, and with them the whole
#   shape. With suitable weights these sums are the L-moments (Hosking, 1990), which measure spread,
#   skew and kurtosis without powers.
#
# **An order that means nothing.** The points of a batch are independent, so a shuffled batch is as
# good as the original. Does the order change the verdict of an untrained D? We show it the same 100
# points in 500 orders:

# %%
orders = tf.constant([rng.permutation(real) for _ in range(500)], tf.float32)
print("    D from  to       standard deviation")
for inputs in tiny_gan.INPUTS:
    untrained = tiny_gan.build(replace(article, inputs=inputs))
    p = tf.sigmoid(untrained.discriminator(orders)).numpy()
    print(f"    {p.min():.4f}  {p.max():.4f}   {p.std():.1e}   {inputs}")

# %% [markdown]
# For three of the five the verdict changes with the order. They have to learn from many batches
# that the order does not matter. For `moments` and `sorted` the order makes no difference, except
# for the rounding of float32.

# %% [markdown]
# ## The article's claims
#
# The article describes what happens within 20,000 epochs. We have measured its settings over twenty
# seeds; the [model card](../saved_models/tiny_gan/README.md) has the numbers.
#
# | the article says | measured (medians at 20,000 epochs) |
# |---|---|
# | the mean overshoots 4.0, comes back and stays | with seed 0 to 5.5 and back; median 4.17 |
# | the standard deviation falls at first | no, it cannot, since G's first points are almost equal |
# | the standard deviation then rises to 1.25 | yes, median 1.25 |
# | the left tail is a little longer | yes, the median of the skew is $-0.62$ |
# | skew and kurtosis agree with a Gaussian's | no, the median of the kurtosis is $-0.72$ |
#
# The last row is the important one. The article rejects the uniform distribution, because mean and
# standard deviation can be right while the shape is wrong. The kurtosis of a uniform distribution
# is $-1.2$. With a median of $-0.72$ its own generator is nearer to that than to the Gaussian's 0.
#
# The author's code runs for 30,000 epochs. What happens after 20,000? We let the package's model
# run all of them. The function `fit` trains for `config.steps` epochs in `calls` calls of the
# compiled program, and measures after each call:


# %%
report = tiny_gan.Report(article)  # measures models of N(4, 1.25)


def fit(model, config, calls):
    each = config.steps // calls
    rows, snapshots = [], []

    def record(number, losses):
        step = {"step": (number + 1) * each}
        rows.append({**step, **losses, **report.measure(report.observe(model))})
        snapshots.append({**step, **report.snapshot(model)})

    model.run_eagerly = notebook.budget(False, True)  # a few epochs need no compilation
    callback = keras.callbacks.LambdaCallback(on_epoch_end=record)
    options = {"steps_per_epoch": 1, "epochs": calls, "shuffle": False, "verbose": 0}
    model.fit(tiny_gan.batches(config).batch(each), callbacks=[callback], **options)
    return rows, snapshots


long = replace(article, steps=notebook.budget(30_000, 4))
package = tiny_gan.build(long)
rows, _ = fit(package, long, notebook.budget(100, 2))
print(figures.table(rows[::11], names, targets))
figures.course(rows, targets)

# %% [markdown]
# At epoch 20,100 the mean is still near 4, and at the end it is far away. For most of the time mean
# and standard deviation stay near their targets. The skew is below 0 almost all the time, and the
# kurtosis wanders above and below 0, so its value depends on when you look. D's first layer can
# read off the mean and the variance (see the table above). Everything else its hidden layers would
# have to find, and 100 points say little about it.
#
# This is not bad luck: by 30,000 epochs the mean is far away in eight of twenty seeds. You can see
# it in the losses. While the game is even, all three are near 0.693. D's losses below that level
# mean that D still sees a difference. When $L_G$ climbs far above it and D's losses fall towards 0,
# D has won. Then the gradient that G receives no longer leads it back.

# %% [markdown]
# ## Three changes make it stable
#
# The preset `stable` keeps the article's networks and makes three changes:
#
# 1. D sees the batch **sorted**. It does not have to learn that the order means nothing, and it
#    sees the whole shape (Zaheer et al., arXiv:1703.06114, on functions of sets).
# 2. D sees **standardised** points, $(x - \mu)/\sigma$, so that its inputs have mean 0 and standard
#    deviation 1 (LeCun et al., *Efficient BackProp*, 1998).
# 3. The **learning rate** starts at 0.001 and falls linearly to zero. With steps of a fixed length
#    D and G keep circling around each other; with shrinking steps they settle.
#
# In your code this is one function and three arguments. The first cell below also asserts that your
# model then equals the package's preset `stable`.


# %%
def sorted_and_standardised(x):
    return tf.sort((x - mu) / sigma)


rate = keras.optimizers.schedules.PolynomialDecay(0.001, 20_000, end_learning_rate=0.0)
assert_same(FiftyLines(sorted_and_standardised, 100, rate), tiny_gan.PRESETS["stable"], rate)

keras.utils.set_random_seed(0)
mine = FiftyLines(sorted_and_standardised, 100, rate)
rows = follow(mine, notebook.budget(20_000, 400))
print(figures.table(rows[:1] + rows[19::20], names, targets))
figures.course(rows, targets)

# %%
show(mine.generate(z_even)[0].numpy())

# %% [markdown]
# All four moments settle near their targets, and the histogram is a bell. The curve follows the
# ideal one except at the ends.
#
# Which change matters most? The model card has the answer, over ten seeds each, as the median
# Kolmogorov-Smirnov distance (KS): the largest difference between the shares of points up to $x$.
#
# | left out | KS, median |
# |---|---|
# | nothing | 0.016 |
# | the order | 0.154 |
# | the decay of the learning rate | 0.048 |
# | the standardised points | 0.041 |
# | the higher learning rate (0.0002 instead) | 0.025 |

# %% [markdown]
# ## One run of a GAN says little
#
# So far each result came from one run. Now we train several seeds for each way to show a batch,
# with the article's settings and 20,000 epochs, and for two more presets: `moments`, the author's
# later code, and `stable`. `evaluate.train_seeds` compiles one program and runs it from each seed.
# This cell takes longer than any other.

# %%
seeds, epochs = range(notebook.budget(3, 1)), notebook.budget(20_000, 10)
later = tiny_gan.PRESETS["moments"]
configs = {mode: replace(article, inputs=mode, steps=epochs) for mode in tiny_gan.INPUTS}
configs |= {"preset moments": later, "preset stable": tiny_gan.PRESETS["stable"]}
densities = {}
print("   mean     std    skew kurtosis     W1   (medians)")
for name, config in list(configs.items())[: notebook.budget(7, 1)]:
    with tempfile.TemporaryDirectory() as directory, redirect_stdout(None):  # no progress lines
        runs = evaluate.train_seeds(tiny_gan, tiny_gan.Report(config), Path(directory), seeds)
    summary = evaluate.summarise(runs)
    medians = [summary[key]["median"] for key in (*targets, "w1")]
    print(*(f"{median:7.2f}" for median in medians), " ", name)
    densities[name] = [run["density"] for run in runs]
figures.seeds(report.edges, densities, mu, sigma)

# %% [markdown]
# Look at the kurtosis first, and compare it with the table of what a linear layer can read off.
# With `raw` and `differences` it is near $-1$: the densities are flat stretches with a spike. With
# `moments` it is near 0, both with the article's other settings and in the preset `moments`: the
# kurtosis is right where D is shown the kurtosis. (The rule has limits. `raw` gets the standard
# deviation about right, and there the hidden layers had to find it.) With `squares` the median of
# these three seeds is $-0.04$, while the median of twenty in the model card is $-0.72$. Three seeds
# are not many.
#
# `sorted` differs from `raw` only in the order, but the spike becomes a rugged hump. The preset
# `stable` adds standardised points and the decaying learning rate. All its lines lie on the bell.
#
# Three seeds cannot rank the five ways. The [model card](../saved_models/tiny_gan/README.md) has
# results of more seeds. With the article's settings at 20,000 epochs 10% of twenty seeds end close
# ($W_1 \le \sigma/5$). With the preset `moments` it is 55%. With `stable` all of a hundred seeds
# end close. The shipped generator is the best of that hundred by its Kolmogorov-Smirnov distance.

# %% [markdown]
# ## Further: where gradients flow
#
# G learns from $\partial D / \partial x_i$, so it matters how the features depend on the points. In
# `squares` and `differences` the mean is wrapped in `tf.stop_gradient`: it is computed and then
# treated as a constant. What are the consequences? We take five points and compare the gradient of
# the tape with the true one, which we get from finite differences.

# %%
points = tf.Variable([[2.0, 3.0, 4.0, 5.0, 9.0]], dtype=tf.float64)  # their mean is 4.6


def compare(name, feature):
    with tf.GradientTape() as tape:
        value = feature(points)
    nudges = 1e-6 * np.eye(points.shape[1])
    true = [(feature(points + d) - feature(points - d)).numpy() / 2e-6 for d in nudges[:, None]]
    print(name)
    print("    tape", np.round(tape.gradient(value, points)[0].numpy(), 2) + 0.0)
    print("    true", np.round(true, 2) + 0.0)


compare("squares: (x1 - m)^2", lambda x: tiny_gan.INPUTS["squares"](x)[0, 5])
compare("squares: sum", lambda x: tf.reduce_sum(tiny_gan.INPUTS["squares"](x)[0, 5:]))
compare("differences: x1 - m", lambda x: tiny_gan.INPUTS["differences"](x)[0, 5])
compare("differences: sum", lambda x: tf.reduce_sum(tiny_gan.INPUTS["differences"](x)[0, 5:]))
compare("moments: std", lambda x: tiny_gan.INPUTS["moments"](x)[0, 1])

# %% [markdown]
# Look at `squares` first. According to the tape, only the first point changes $(x_1 - m)^2$. In
# truth all five points change it, through the mean. But in the *sum* of the squares the error
# cancels:
#
# $$\frac{\partial}{\partial x_j}\sum_i (x_i - m)^2
# = 2(x_j - m) - \frac2n\sum_i (x_i - m) = 2(x_j - m),$$
#
# because deviations from the mean add up to zero. So if D gives all points the same weight, as it
# should, `squares` passes the exact gradient of the variance to G.
#
# In `differences` the error does not cancel. The sum of $x_i - m$ is always zero, so its true
# gradient is zero, but the tape reports 1. G is told to raise a number that cannot be raised.
#
# `moments` stops no gradient, and the tape agrees with the truth. `sorted` stops none either: the
# gradient of each place goes to the point that was sorted into it.

# %% [markdown]
# ## Further: how much a batch can tell
#
# For all ways but `moments` the batch size sets the width of D's first layer. It also limits what D
# can know. The mean of $n$ points has the standard deviation $\sigma/\sqrt n$. For large $n$ their
# standard deviation, skew and kurtosis themselves have the standard deviations $\sigma/\sqrt{2n}$,
# $\sqrt{6/n}$ and $\sqrt{24/n}$, approximately.

# %%
print("Standard deviation over 2,000 batches, measured / formula")
print("   n            mean              std             skew         kurtosis")
for n in (10, 100, 500):
    measured = tiny_gan.moments(tf.constant(rng.normal(mu, sigma, (2000, n)))).numpy().std(axis=0)
    formula = (sigma / n**0.5, sigma / (2 * n) ** 0.5, (6 / n) ** 0.5, (24 / n) ** 0.5)
    row = (f"{m:.3f} / {f:.3f}" for m, f in zip(measured, formula, strict=True))
    print(f"{n:4d}   {'    '.join(row)}")

# %% [markdown]
# In a batch of 100 the kurtosis varies by about 0.5. The straight G has a kurtosis of $-1.2$, which
# D can notice in most batches. An error of 0.2 cannot be seen in a single batch. The author's later
# code uses 500 points in a batch.

# %% [markdown]
# ## Further: the author's later code
#
# In the preset `moments` D sees four numbers of a batch of 500 points. G has only 46 parameters,
# and each epoch makes 20 updates of D and then 20 of G. We train it once and watch:

# %%
calls = notebook.budget(200, 3)
config = replace(later, steps=notebook.budget(5000, 6), seed=10)
honest = tiny_gan.build(config)
honest_rows, snapshots = fit(honest, config, calls)
print(figures.table(honest_rows[calls // 4 - 1 :: max(1, calls // 4)], names, targets))
notebook.animation(report.frames(snapshots[:48]), fps=6)

# %%
show(report.observe(honest).numpy())

# %% [markdown]
# The animation shows the first 1,200 epochs. At first G is a spike: all its points are almost the
# same. Then mean and standard deviation swing past their targets and back. Once the four numbers
# are right, the losses stay near 0.693, and little changes. (This seed was chosen among twenty. On
# another processor rounding differs, and the training may take another course.)
#
# All four moments are right, and yet the histogram is not a bell: its peak is too high, and its
# tails are cut off. The section *Further: equal moments, different distributions* explains why.

# %% [markdown]
# ## Further: wrong labels
#
# In its red part the article's loop steps only G's optimiser, so that D does not learn from wrong
# labels. Suppose that we forget this and let D take a step on $L_G$ as well. We can derive what
# happens. D now meets generated batches twice in each epoch, once labelled 0 and once labelled
# 1. In total it minimises $-p_r \log D - p_g \log(1 - D) - p_g \log D$. As before we find
#
# $$D^* = \frac{p_r + p_g}{p_r + 2 p_g}.$$
#
# Let $s = p_r / (p_r + p_g)$ be the best answer with right labels. Then $D^* = 1/(2 - s)$. It runs
# from $\frac12$ (certainly generated) to 1 (certainly real), and it is $\frac23$ where
# $s = \frac12$. So D can still tell the two apart, but its answer is never below $\frac12$. G's
# loss changes from $-\log s$ to $\log(2 - s)$. The slope of the first is $-1/s$, that of the second
# is $-1/(2 - s)$. At $s = \frac12$ the second is a third of the first. When $s$ is near 0, so that
# G is still bad and needs the gradient most, the ratio is far smaller.
#
# If G still learns the data, the losses must settle at $-\log\frac23 = 0.405$ for real batches,
# $-\log\frac13 = 1.099$ for generated ones, and 0.405 for G. To break the rule in the package we
# change one property: G's optimiser updates whatever `g_variables` lists.


# %%
class Trusting(tiny_gan.TinyGAN):
    @property
    def g_variables(self):
        return [*self.generator.trainable_variables, *self.discriminator.trainable_variables]


broken_config = replace(config, steps=notebook.budget(2500, 1))
trusting = Trusting(broken_config)
trusting.compile(*(keras.optimizers.SGD(config.learning_rate, momentum=0.9) for _ in "DG"))
broken_rows, _ = fit(trusting, broken_config, notebook.budget(100, 1))
histories = {"right labels": honest_rows[: len(broken_rows)], "wrong labels": broken_rows}
figures.losses(histories, [[np.log(2)], [np.log(1.5), np.log(3)]])

# %%
trial = next(iter(tiny_gan.batches(replace(config, seed=99))))
print("D(real)  D(generated)")
for name, model in zip(histories, (honest, trusting), strict=True):
    batches = trial["x"], tf.map_fn(model.generate, trial["z_d"])
    p = [np.mean(tf.sigmoid(model.discriminator(x))) for x in batches]
    print(f"{p[0]:7.3f} {p[1]:13.3f}   {name}")
print(figures.table(broken_rows[-1:], names, targets))

# %% [markdown]
# On the left all three losses settle at $\log 2$. On the right they settle at the two dashed lines
# of the derivation. This D answers about $\frac23$ to both kinds of batch. (Its answers are a
# little higher, because the last update of an epoch, that of G, pushes them up.) G can still learn
# from it, since $1/(2 - s)$ rises with $s$, but the gradient is weaker.
#
# Compare the last row with the model above that learned from right labels. The losses are at their
# levels although mean and standard deviation are not at their targets. D's output is no longer the
# probability that a batch is real, so neither the losses nor D tell us how far the game has come.
# Exercise 5 goes further.

# %% [markdown]
# ## Further: equal moments, different distributions
#
# With `inputs="moments"` D sees four numbers. If two distributions have the same first four
# moments, D can tell them apart only by how much these numbers vary from batch to batch. How
# different can two such distributions be? Put the probabilities $\frac16, \frac23, \frac16$ on the
# three points $\mu - \sqrt3\,\sigma$, $\mu$, $\mu + \sqrt3\,\sigma$. In units of $\sigma$ around
# $\mu$:
#
# $$E[x] = E[x^3] = 0, \qquad E[x^2] = 2 \cdot \tfrac16 \cdot 3 = 1, \qquad
# E[x^4] = 2 \cdot \tfrac16 \cdot 9 = 3,$$
#
# as for the Gaussian. These are the nodes and weights of Gauss-Hermite quadrature with three nodes.
# With five nodes the moments up to the ninth agree (exercise 4). The figure shows, for each
# distribution, the share of points up to $x$:


# %%
def quadrature(n):
    nodes, weights = np.polynomial.hermite_e.hermegauss(n)
    return lambda shape: mu + sigma * rng.choice(nodes, shape, p=weights / weights.sum())


def from_shipped(shape):
    z = tf.constant(rng.uniform(size=(np.prod(shape), 1)), tf.float32)
    return shipped.signatures["decode"](z=z)["x"].numpy().reshape(shape)


draws = {
    "N(4, 1.25)": lambda shape: rng.normal(mu, sigma, shape),
    "three points": quadrature(3),
    "five points": quadrature(5),
    "shipped generator": from_shipped,
    "N(4.1, 1.25)": lambda shape: rng.normal(mu + 0.1, sigma, shape),
    "uniform": lambda shape: mu + sigma * np.sqrt(12) * (rng.uniform(size=shape) - 0.5),
}
figures.shares({name: draw(20_000) for name, draw in list(draws.items())[:4]})

# %% [markdown]
# Can D learn to tell such points from the bell? We give it every chance: the points do not change
# their distribution, and for each distribution a new D makes 4,000 updates with Adam. (The method
# `generate` becomes the identity, so that we can pass the points where the noise would go.)
#
# The last number in each row comes from another D, which was trained together with the shipped
# generator: the mean of its answers to the first 100 points of 50 of these generated batches.

# %%
judge = tiny_gan.build(later)
judge.compile(keras.optimizers.Adam(0.01), keras.optimizers.Adam(0.01))
judge.generate = lambda x: x
untaught = [variable.numpy() for variable in judge.state]


@tf.function(jit_compile=notebook.budget(True, False))
def teach(x, z):
    return base.repeat(judge.update_d, {"x": x, "z": z}, ["loss_d_real"])[0]


def pairs(draw, count):  # of real and of generated batches
    return [tf.constant(each((count, 500)), tf.float32) for each in (draws["N(4, 1.25)"], draw)]


print("  mean    std   skew  kurtosis   D(real)  D(gen.)  right   shipped D")
for name, draw in list(draws.items())[1:]:
    for variable, initial in zip(judge.state, untaught, strict=True):
        variable.assign(initial)
    for _ in range(2):
        teach(*pairs(draw, notebook.budget(2000, 2)))
    new = pairs(draw, 1000)
    on_real, on_generated = (tf.sigmoid(judge.discriminator(x)).numpy() for x in new)
    right = (np.mean(on_real > 0.5) + np.mean(on_generated <= 0.5)) / 2
    says = [shipped.signatures["discriminate"](x=x[:100, None])["probability"] for x in new[1][:50]]
    mean, std, skew, kurtosis = gaussian.moments(new[1].numpy().ravel()).values()
    print(f"{mean:6.2f} {std:6.2f} {skew:6.2f} {kurtosis:9.2f} {on_real.mean():9.3f}", end=" ")
    print(f"{on_generated.mean():8.3f} {right:6.0%} {np.mean(says):11.3f}   {name}")

# %% [markdown]
# The two staircases look nothing like the smooth curve of the Gaussian. Five points match the
# Gaussian up to the ninth moment, and D can only guess: it gives the same answer to both and is
# right half of the time. The uniform distribution, with its wrong fourth moment, is recognised in
# every batch. Where the mean is 0.1 too high, D is right about three times in four. For the shipped
# generator it is right little more often than by chance.
#
# The three points are different. Their first four moments are right, and yet D is right more often
# than not. It can tell by how much the moments of a batch *vary*, which depends on higher moments.
# For a symmetric distribution with the Gaussian's second and fourth moment, in units of $\sigma$,
# the skew of $n$ points has about the variance $(E[x^6] - 9)/n$. The Gaussian has $E[x^6] = 15$,
# which gives $6/n$. For the three points $E[x^6] = 9$, and the variance almost vanishes. Five
# points have the Gaussian's $E[x^6]$, too, and leave no such trace.
#
# This explains the generator of the preset `moments`. D judged it by four numbers, and it got these
# four right. More training does not remove the peak and the cut ends of its histogram, because D
# hardly sees them. A D with `sorted` does see them.
#
# Now look at the last column. The shipped D is undecided about the uniform batches, which the newly
# trained D recognises every time. The shipped D was trained only against its own G, so it does not
# detect wrong distributions in general.

# %% [markdown]
# ## Further: the trained generator without tf_gen
#
# The trained model in the package needs only TensorFlow. It is a SavedModel with three signatures:
# `decode` (G), `sample` (I and G) and `discriminate` (D, for 100 points). `serving_default` is the
# same as `decode`, under the name that TensorFlow Serving looks for.

# %%
for name, signature in shipped.signatures.items():
    print({k: v.shape for k, v in signature.structured_input_signature[1].items()}, name)
z = [0.1, 0.5, 0.9]
print(np.round(shipped.signatures["decode"](z=tf.constant(z, shape=[3, 1]))["x"][:, 0], 2), "G")
print(np.round(stats.norm.ppf(z, mu, sigma), 2), "ideal G")

# %% [markdown]
# From the shell (the [model card](../saved_models/tiny_gan/README.md) has more, with
# `saved_model_cli`, TensorFlow Serving and LiteRT):
#
# ```sh
# python -m tf_gen.sample tiny_gan --count 10000 --out samples.png
# python -m tf_gen.train tiny_gan --preset stable --seed 86
# python -m tf_gen.train tiny_gan --inputs differences --run-dir runs/differences
# python -m tf_gen.evaluate tiny_gan --preset stable --seeds 20
# ```

# %% [markdown]
# ## Summary
#
# - A GAN has five parts: real data, noise, a generator, a discriminator and a loop. In Keras they
#   fit in 50 lines.
# - In each epoch D learns first, with G fixed. Then G learns from gradients that pass through D,
#   with D fixed.
# - If the game comes to rest, D says $\frac12$ and all losses are $\log 2 \approx 0.693$. This
#   means that D sees no difference in what it is shown.
# - The ideal G is the quantile function of the data.
# - What D sees of a batch decides what G learns. Sorted points show D the whole shape; with
#   standardised inputs and a decaying learning rate the result is a bell for every seed that we
#   tried.
# - Equal moments do not mean equal distributions, and one run of a GAN proves little.
#
# **Read on**: in [notebook 02](02_gaussian_gan.ipynb) D judges single points, and you can watch
# mode collapse. In [notebook 04](04_ali.ipynb) D judges pairs of an image and a code. The package's
# code for this model is in [tf_gen/models/tiny_gan.py](../tf_gen/models/tiny_gan.py) and, for what
# it shares with other models of Gaussians, [tf_gen/tasks/gaussian.py](../tf_gen/tasks/gaussian.py).
#
# ## Change it
#
# Here are three changes to try in your code. Make one at a time. Then run the four cells of the 50
# lines again, and after them the cells of *Three changes make it stable* without the line
# `assert_same`. The numbers are what we saw with seed 0.
#
# 1. *Other data.* Let R have two bells. In `real_batches` write
#    `left = tf.random.uniform([200, 1, 100]) < 0.5` and return
#    `tf.random.normal([200, 1, 100], tf.where(left, 2.0, 6.0), 0.5)`. Expect two humps in the right
#    panel and a curve with a steep step in the middle. We saw the standard deviation 2.12 (data:
#    2.06) and the kurtosis $-1.79$ (data: $-1.77$).
# 2. *The other loss of G.* Let G minimise $\log(1 - D(G(z)))$ instead of $-\log D(G(z))$: in
#    `train_g` write `loss = -self.loss(self.generate(z), 0.0)`. Expect that D wins within a few
#    hundred epochs and that G stops learning, since this loss is flat where $D(G(z))$ is near 0. We
#    saw the mean 5.58 and the standard deviation 0.07 after 20,000 epochs.
# 3. *Without the order.* Leave out `tf.sort` in `sorted_and_standardised`. Expect the right mean
#    and standard deviation (4.01 and 1.28) and a wrong shape, with kurtosis $-0.95$ and
#    $W_1 = 0.39$ instead of 0.04.
#
# ## References
#
# - I. Goodfellow et al., *Generative Adversarial Networks*, 2014,
#   [arXiv:1406.2661](https://arxiv.org/abs/1406.2661). The original paper, with the proof of $D^*$
#   and of what the game minimises.
# - D. Nag, *Generative Adversarial Networks (GANs) in 50 lines of code (PyTorch)*, 2017, and its
#   Chinese translation GANs很难?这篇文章教你50行代码搞定. The article of this notebook.
# - T. Salimans et al., *Improved Techniques for Training GANs*, 2016,
#   [arXiv:1606.03498](https://arxiv.org/abs/1606.03498). Introduces minibatch discrimination,
#   which lets D compare the points of a batch.
# - Z. Lin et al., *PacGAN: The power of two samples in generative adversarial networks*, 2018,
#   [arXiv:1712.04086](https://arxiv.org/abs/1712.04086). Shows packs of points to D and explains
#   why this works against mode collapse.
# - M. Zaheer et al., *Deep Sets*, 2017, [arXiv:1703.06114](https://arxiv.org/abs/1703.06114).
#   Networks whose answer does not depend on the order of their inputs.
# - L. Mescheder, A. Geiger, S. Nowozin, *Which Training Methods for GANs do actually Converge?*,
#   2018, [arXiv:1801.04406](https://arxiv.org/abs/1801.04406). Why D and G can circle around the
#   solution, and what makes them converge.
# - J. R. M. Hosking, *L-moments: analysis and estimation of distributions using linear combinations
#   of order statistics*, Journal of the Royal Statistical Society B 52, 1990. The weighted sums
#   that a linear layer can read from sorted points.

# %% [markdown]
# ## Exercises
#
# **1.** *Not the only one.* $\mu + \sigma\,\Phi^{-1}(z)$ is the ideal *increasing* G. Find a
# decreasing one, and one that is neither increasing nor decreasing, with the same distribution.
# Check them with the Kolmogorov-Smirnov distance (the largest difference between the shares of
# points up to $x$).

# %% tags=["answer"]
z = rng.uniform(size=10_000)  # 1 - z and |2z - 1| are uniform too
others = {"increasing": z, "decreasing": 1 - z, "down and up": np.abs(2 * z - 1)}
for name, uniform_again in others.items():
    x = stats.norm.ppf(uniform_again, mu, sigma)
    print(f"KS {stats.kstest(x, stats.norm(mu, sigma).cdf).statistic:.4f}   {name}")

# %% [markdown]
# **2.** *What a batch can tell.* Real points are $N(4, 1.25)$, generated ones
# $N(4 + \delta, 1.25)$. The best D compares the mean of the batch with $4 + \delta/2$. How often is
# it right? Derive $\Phi(\sqrt n\,\delta / (2\sigma))$ and check it for $\delta = 0.1$.

# %% tags=["answer"]
delta = 0.1  # D is right about a real batch if its mean is below the threshold
for n in (1, 100, 500):
    means = mu + sigma * rng.normal(size=20_000) / np.sqrt(n)
    right = np.mean(means < mu + delta / 2)
    formula = stats.norm.cdf(np.sqrt(n) * delta / (2 * sigma))
    print(f"n = {n:3}: right for {right:.1%} of the batches, formula {formula:.1%}")

# %% [markdown]
# **3.** *No new information.* Show numerically that `differences` gives a linear layer nothing that
# `raw` does not give, and that `squares` does. Hint: take 300 batches of 50 points as D sees them,
# and compute the rank of the matrix.

# %% tags=["answer"]
x = tf.constant(rng.normal(mu, sigma, (300, 50)))  # the rank counts independent directions
for name in ("raw", "squares", "differences"):
    shown = tiny_gan.INPUTS[name](x).numpy()
    print(f"rank {np.linalg.matrix_rank(shown):3} of {shown.shape[1]:3} numbers: {name}")

# %% [markdown]
# **4.** *More moments.* A D that saw the moments up to the seventh would notice the three points.
# Find a discrete distribution that has all moments up to the seventh in common with $N(0, 1)$.
# (`np.polynomial.hermite_e.hermegauss` helps.) How many moments can $n$ points match?

# %% tags=["answer"]
for n in (3, 4):
    nodes, p = np.polynomial.hermite_e.hermegauss(n)
    ours = [round(float(p @ nodes**k / p.sum()), 6) + 0.0 for k in range(1, 9)]
    print(f"{n} points {np.round(nodes, 3) + 0.0}, moments 1 to 8: {ours}")
print("N(0, 1), moments 1 to 8:", [round(float(stats.norm.moment(k)), 6) for k in range(1, 9)])
# Quadrature with n nodes is exact up to degree 2n - 1, so n points match 2n - 1 moments.

# %% [markdown]
# **5.** *More and more wrong labels.* In *Further: wrong labels* D met generated batches equally
# often with the right label and with the wrong one. Now let it meet them $k$ times with the wrong
# label for each time with the right one. What does it answer when G is perfect? What happens as $k$
# grows?

# %% tags=["answer"]
d = np.linspace(0.001, 0.999, 999)
for k in (0, 1, 2, 20):
    best = d[np.argmin(-np.log(d) - np.log(1 - d) - k * np.log(d))]
    print(f"k = {k:2}: smallest loss at D = {best:.3f}, formula {(1 + k) / (2 + k):.3f}")
# D* = (p_r + k p_g) / (p_r + (1 + k) p_g) goes to 1 everywhere, and G gets no more gradient.
