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
# # 4. Adversarially learned inference: a GAN with an encoder
#
# A GAN turns noise into images, but it cannot go back. Given an image, no part of it can find the
# noise that generates this image. Adversarially learned inference (ALI) learns both directions at
# once. It adds an encoder that finds this noise, the *code* of the image. The discriminator judges
# pairs of an image and a code.
#
# This notebook follows the article ALI的Tensorflow炼成与GAN科普 (ALI made in TensorFlow, and an
# introduction to GANs). Two papers proposed the idea independently: Dumoulin et al. call it ALI
# (arXiv:1606.00704), and Donahue et al. call it BiGAN (arXiv:1605.09782). You will write the
# article's model yourself, derive why a discriminator of pairs can make the encoder and the decoder
# inverses of each other, see why this often fails in practice, and explore a trained model that
# works.
#
# **You need** Python, a little Keras, and joint and conditional distributions from a first course
# in probability. [Notebook 2](02_gaussian_gan.ipynb) explains GANs in detail; section 2 below has a
# short recap. You need no GPU and no download, because the digits come with a package. The first
# code cell installs tf_gen if it is missing.
#
# **Time** on two cores: about 3 minutes. Sections called *Further* can be skipped at first reading.

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
import tempfile
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import tensorflow as tf
from scipy import special, stats
from scipy.spatial import distance

from tf_gen import explorer, mnist, plots, savedmodel
from tf_gen.figures import ali as figures
from tf_gen.models import ali
from tf_gen.tasks import digits, judge

# %% [markdown]
# The package contains a trained ALI. Here is what it can do:

# %%
source = mnist.load("bundled")  # 5,000 digits of MNIST: 4,500 to train, 500 held out
images, held_out = np.float32(source.images) / 255, np.float32(source.held_out_images) / 255
labels, held_out_labels = source.labels, source.held_out_labels
few = mnist.evenly(held_out, 20)[::2]  # one of each digit

directory = savedmodel.find(Path("ali"))
saved = tf.saved_model.load(str(directory))


def call(name, **inputs):
    return saved.signatures[name](**{key: tf.constant(value) for key, value in inputs.items()})


trained = SimpleNamespace(
    encode=lambda x: call("encode", images=x)["z"],
    decode=lambda z: call("decode", z=z)["images"],
    discriminate=lambda x, z: call("discriminate", images=x, z=z)["probability"],
)
samples = call("sample", count=30, seed=[1, 0])["images"].numpy()
rows = [("samples", part) for part in np.split(samples, 3)]
plots.rows([*rows, ("real images x", few), ("P(Q(x))", trained.decode(trained.encode(few)))])

# %% [markdown]
# The decoder $P$ generated the samples from random codes of 20 numbers. You can read most of them
# as digits, but not all. The fourth row has real images. The encoder $Q$ found a code for each of
# them, and the last row shows what $P$ makes of this code: nearly the same image, though the 5 is
# blurred and breaks at its ends.
#
# **The data.** `mnist.load` returns 4,500 digits to train on and 500 held-out digits. The models
# that you train in this notebook never see the held-out digits. The trained model is different: it
# learned from all 60,000 training images of MNIST, and all 5,000 digits here are among them. So
# this notebook cannot show how well the trained model does on new images.
# [Its model card](../saved_models/ali/README.md) has its scores on the 10,000 test images.

# %% [markdown]
# ## 1. Build the article's model
#
# ALI has three networks.
#
# - The **encoder** $Q$ infers a code from an image: $z = Q(x)$.
# - The **decoder** $P$ generates an image from a code: $x = P(z)$. In a GAN it is called the
#   generator.
# - The **discriminator** $D$ sees an image and a code together. It returns the probability that the
#   encoder made this pair.
#
# There are two kinds of pairs. $(x, Q(x))$ is a real image with its inferred code. $(P(z), z)$ is a
# code from the prior with the image that was generated from it. $D$ learns to tell the two kinds
# apart. $Q$ and $P$ learn together to make $D$ fail. (Section 3 explains the joint distributions in
# the diagram.)

# %%
notebook.diagram("ali_joints")

# %% [markdown]
# In the article each network has one hidden layer of 128 relu units, and a code has 64 numbers. The
# prior is uniform on $(-1, 1)$ in each dimension. Here are the networks. You can edit everything in
# the next two code cells.

# %%
pixels, hidden, latent = 28 * 28, 128, 64


def network(inputs, outputs):
    """One hidden layer. The initial kernels have variance 2 / (number of inputs)."""
    normal = keras.initializers.VarianceScaling(2, "fan_in", "untruncated_normal")
    first = keras.layers.Dense(hidden, "relu", kernel_initializer=normal)
    second = keras.layers.Dense(outputs, kernel_initializer=normal.clone())
    return keras.Sequential([keras.Input([inputs]), first, second])


keras.utils.set_random_seed(0)
Q = network(pixels, latent)  # images to codes
P = network(latent, pixels)  # codes to logits of images: a sigmoid follows
D = network(pixels + latent, 1)  # pairs to logits of probabilities
d_optimizer = keras.optimizers.Adam(0.001, epsilon=1e-8)
d_optimizer.build(D.trainable_variables)
qp_optimizer = keras.optimizers.Adam(0.001, epsilon=1e-8)
qp_optimizer.build(Q.trainable_variables + P.trainable_variables)
print(f"{sum(network.count_params() for network in (Q, P, D)):,} parameters in all")

# %% [markdown]
# Write $D_\mathrm{enc} = D(x, Q(x))$ and $D_\mathrm{gen} = D(P(z), z)$. The losses are
#
# $$L_D = -\,\mathrm{mean}\,[\log D_\mathrm{enc} + \log(1 - D_\mathrm{gen})], \qquad
#   L_{QP} = -\,\mathrm{mean}\,[\log D_\mathrm{gen} + \log(1 - D_\mathrm{enc})].$$
#
# $L_{QP}$ is $L_D$ with the two kinds of pairs swapped. The diagram and the package call it
# `loss_g`. The article adds $10^{-8}$ to the argument of each logarithm, which keeps the logarithms
# finite. One iteration has two steps on the same images and codes. First $D$ learns. Then $Q$ and
# $P$ learn, by gradients that flow through the updated $D$.


# %%
def loss(ones, zeros):
    """The loss of a D that should say 1 of the first pairs and 0 of the second, from logits."""
    says_one = tf.math.log(tf.sigmoid(ones) + 1e-8)
    says_zero = tf.math.log(tf.sigmoid(-zeros) + 1e-8)
    return -tf.reduce_mean(says_one + says_zero)


def tell_apart(x, z):
    """D's logits of the pairs (x, Q(x)) and (P(z), z)."""
    enc = D(tf.concat([x, Q(x)], axis=1))
    gen = D(tf.concat([tf.sigmoid(P(z)), z], axis=1))
    return enc, gen


@tf.function(jit_compile=True)
def update(x, z):
    """One iteration on images x [batch, 784] and codes z [batch, 64]. Returns both losses."""
    with tf.GradientTape() as tape:
        enc, gen = tell_apart(x, z)
        loss_d = loss(enc, gen)
    d_optimizer.apply(tape.gradient(loss_d, D.trainable_variables), D.trainable_variables)

    with tf.GradientTape() as tape:
        enc, gen = tell_apart(x, z)
        loss_qp = loss(gen, enc)
    variables = Q.trainable_variables + P.trainable_variables
    qp_optimizer.apply(tape.gradient(loss_qp, variables), variables)
    return loss_d, loss_qp


# %% [markdown]
# `loss` takes logits: a logit $l$ stands for the probability $\sigma(l)$, where $\sigma$ is the
# sigmoid. It computes $1 - \sigma(l)$ as $\sigma(-l)$. The article's expression `1 - D + 1e-8`
# breaks today: TensorFlow rewrites it in a graph as `(1 + 1e-8) - D`, and 1 + 1e-8 is 1 in float32.
# After a few hundred iterations the logarithm is −inf and the weights are NaN.
# [Notebook 0](00_from_tensorflow_1.ipynb) shows this.
#
# Is our model the same as the package's? We copy the package's initial weights into our networks
# and give both models the same batches. A batch contains the images and the codes, so there is no
# other randomness.

# %%
package = ali.build(ali.PRESETS["article"])
for ours, theirs in ((Q, package.encoder), (P, package.decoder), (D, package.discriminator)):
    ours.set_weights(theirs.get_weights())
for number, batch in enumerate(ali.batches(package.config, source).take(20)):
    theirs = package.update(batch)
    x = tf.reshape(tf.cast(batch["images"], tf.float32) / 255, [-1, pixels])
    ours = update(x, batch["z"])
    expected = [theirs["loss_d"], theirs["loss_g"]]
    np.testing.assert_allclose(ours, expected, rtol=1e-3 if number else 1e-5)
    if number in (0, 19):
        print(number + 1, "ours:", np.round(ours, 6), "package:", np.round(expected, 6))

# %% [markdown]
# With the same weights, the losses agree to five digits or more. The following updates may differ
# by 0.1%, but the losses printed above agree far better. A tiny difference remains, because the two
# programs round differently and each update builds on the last one.
#
# Now train your model further. `notebook.budget(4000, 20)` is 4,000. Only the project's tests,
# which run all notebooks, use the small number.

# %%
random = np.random.default_rng(0)
for _ in range(notebook.budget(4000, 20)):
    x = images[random.integers(len(images), size=32)].reshape(32, pixels)
    z = random.uniform(-1, 1, [32, latent]).astype("float32")
    loss_d, loss_qp = update(x, z)
print(f"D's loss {loss_d:.3f}, loss of Q and P {loss_qp:.1f}")

own = SimpleNamespace(
    encode=lambda x: Q(tf.reshape(x, [-1, pixels])),
    decode=lambda z: tf.reshape(tf.sigmoid(P(z)), [-1, 28, 28]),
)
rows = [("samples", own.decode(z[:10])), ("real images x", few)]
plots.rows([*rows, ("P(Q(x))", own.decode(own.encode(few)))])

# %% [markdown]
# The samples are grainy spots that hardly look like digits. The reconstructions are all nearly
# alike and show nothing of their images. $D$ wins: its loss is far below $2 \log 2 = 1.386$, the
# loss of a $D$ that can only guess. The rest of this notebook explains what should happen, why it
# does not happen here, and what helps. From here on we use the package's model. It is the same, but
# it runs hundreds of updates in one compiled program.

# %% [markdown]
# ## 2. From GAN to ALI
#
# **The game.** In a GAN, a generator $P$ turns noise $z$ from a prior $p(z)$ into an image $P(z)$.
# A discriminator $D$ returns the probability that an image is real. $D$ learns to be right, and $P$
# learns to make $D$ wrong. Let $q(x)$ be the density of real images. The two play the game
#
# $$\min_P \max_D\; \mathbb{E}_{q(x)}[\log D(x)] + \mathbb{E}_{p(z)}[\log(1 - D(P(z)))].$$
#
# Let $p(x)$ be the density of generated images. Then $D$ maximises
#
# $$\mathbb{E}_{q(x)} \log D(x) + \mathbb{E}_{p(x)} \log (1 - D(x))
#   = \int q(x) \log D(x) + p(x) \log (1 - D(x))\, dx.$$
#
# We can maximise the integrand for each $x$ separately. Its derivative with respect to $D(x)$ is
# $q(x)/D(x) - p(x)/(1 - D(x))$. It is 0 where
#
# $$D^*(x) = \frac{q(x)}{q(x) + p(x)}.$$
#
# If the generator is perfect, then $p = q$, and $D^*$ is 1/2 everywhere. The article says this and
# adds that the solution is unique. That is true of the distribution $p(x)$, but not of the function
# $P$. If the prior is symmetric, $P(-z)$ generates the same images with the same probabilities as
# $P(z)$. So the game of a GAN does not decide which $z$ belongs to which image.
#
# **No Markov chain.** One pass through $P$ generates an image. Older generative models with latent
# variables, such as Boltzmann machines, run a Markov chain of many steps, and they need it for
# training as well. A GAN needs no approximate inference for its training either, because $D$ only
# asks whether an image is real. It never asks which $z$ the image came from.
#
# **What is missing.** For the same reason a GAN has no *inference*, no way from $x$ to $z$. Without
# it you cannot compare two images by their codes, edit an image through its code, or use codes as
# features for another task. The article compares ALI with these models:
#
# | | generating an image | code $z$ | from $x$ to $z$ | learns from |
# |---|---|---|---|---|
# | autoregressive | one pass for each pixel | no | no | likelihood, pixel by pixel |
# | VAE ([notebook 1](01_vae.ipynb)) | one pass | yes | approximately | a bound on the likelihood |
# | GAN ([notebook 2](02_gaussian_gan.ipynb)) | one pass | yes | no | a $D$ of images |
# | ALI | one pass | yes | yes | a $D$ of pairs |
#
# **ALI's game** has the same form. $D$ sees pairs, and the encoder $Q$ joins the generator's side:
#
# $$\min_{Q, P} \max_D\; \mathbb{E}_{q(x)}[\log D(x, Q(x))]
#   + \mathbb{E}_{p(z)}[\log(1 - D(P(z), z))].$$
#
# $L_D$ in section 1 is the negative of this value, with means over a batch for the expectations.
# $L_{QP}$ is different. By the formula, $Q$ and $P$ should minimise $-L_D$. But where $D$ is sure
# of itself, $\log(1 - D_\mathrm{gen})$ is flat and gives $P$ hardly any gradient, while
# $\log D_\mathrm{gen}$ is steep. So ALI swaps the roles, as GANs commonly do. Where $D$ is 1/2, the
# gradients agree.

# %% [markdown]
# ## 3. Two joint distributions
#
# There are two ways to make a pair of an image and a code:
#
# $$q(x, z) = q(x)\, q(z \mid x), \qquad p(x, z) = p(z)\, p(x \mid z).$$
#
# The encoder starts from a real image and infers its code. The decoder starts from a code of the
# prior and generates the image. The data give $q(x)$, and we choose $p(z)$. The two conditional
# distributions are learned. The argument of section 2, with $(x, z)$ in the place of $x$, gives the
# best discriminator:
#
# $$D^*(x, z) = \frac{q(x, z)}{q(x, z) + p(x, z)}.$$
#
# We put it into the loss of $D$. Let $m = (q + p)/2$. Then $D^* = q / 2m$ and $1 - D^* = p / 2m$,
# and
#
# $$\begin{aligned}
#   -\mathbb{E}_q \log D^* - \mathbb{E}_p \log(1 - D^*)
#   &= 2 \log 2 - \mathrm{KL}(q \,\|\, m) - \mathrm{KL}(p \,\|\, m) \\
#   &= 2 \log 2 - 2\,\mathrm{JS}(q, p).
#   \end{aligned}$$
#
# $\mathrm{KL}(q \,\|\, m) = \mathbb{E}_q \log (q/m)$ is the Kullback-Leibler divergence
# ([notebook 1](01_vae.ipynb)). $\mathrm{JS}(q, p)$, the Jensen-Shannon divergence, is the mean of
# the two KL divergences. It is 0 only if $q(x, z) = p(x, z)$. Then everything that follows from the
# joint distributions agrees as well:
#
# - the marginals of $x$: $p(x) = \int p(x, z)\, dz = \int q(x, z)\, dz = q(x)$. The generated
#   images have the distribution of the real ones. This is all that a GAN asks for;
# - the marginals of $z$: the codes of real images have the distribution of the prior;
# - the conditionals: $q(z \mid x) = p(z \mid x)$. The encoder is the posterior of the decoder, and
#   nobody had to compute this posterior.
#
# Why does $D$ need pairs? Three images and three codes are enough to see it. Each joint
# distribution is a table of nine probabilities. All marginal probabilities are 1/3.

# %%
diagonal = np.eye(3) / 3  # rows are x, columns are z: image 0 has code 0, and so on
shifted = np.roll(diagonal, 1, axis=0)  # code 0 generates image 1, code 1 image 2, code 2 image 0
independent = np.full([3, 3], 1 / 9)  # each image has any code
games = {
    "Q diagonal, P shifted": (diagonal, shifted),
    "Q diagonal, P half shifted": (diagonal, (diagonal + shifted) / 2),
    "both diagonal": (diagonal, diagonal),
    "both independent": (independent, independent),
}


def best_d(q, p):
    """q / (q + p), and 1/2 where neither makes the pair."""
    return np.divide(q, q + p, out=np.full([3, 3], 0.5), where=q + p > 0)


print("JS: images  codes  pairs   loss of D*   P(Q(x)) = x")
for name, (q, p) in games.items():
    kinds = (q.sum(1), p.sum(1)), (q.sum(0), p.sum(0)), (q.ravel(), p.ravel())
    js = [distance.jensenshannon(*kind) ** 2 for kind in kinds]  # SciPy's is the square root
    d = best_d(q, p)
    loss_of_d = abs(np.sum(special.xlogy(q, d) + special.xlogy(p, 1 - d)))
    back = (q * p / p.sum(axis=0)).sum()  # sum over x and z of q(x, z) p(x | z)
    print("    {:6.3f} {:6.3f} {:6.3f}".format(*js), f"{loss_of_d:12.3f} {back:13.2f}   {name}")
q, p = games["Q diagonal, P half shifted"]
figures.joints(q, p, best_d(q, p))

# %% [markdown]
# In the first line of the table the encoder gives image 0 the code 0, but the decoder generates
# image 1 from code 0. Yet the marginals match: the first two columns are 0. A discriminator that
# sees only images cannot detect the error, and neither can one that sees only codes. A $D$ that
# sees pairs can always be right: JS has its largest value, $\log 2 = 0.693$, and the loss is 0. The
# picture shows the second line, where $Q$ and $P$ agree half of the time. $D^*$ is 2/3 for pairs
# that both produce and 0 for pairs that only the decoder produces. We set it to 1/2 where no pair
# occurs.
#
# The last two lines show the promise of ALI and its weakness. In both of them, the joint
# distributions match, $D^*$ is 1/2, and its loss is $2 \log 2 = 1.386$. In the third line each
# image comes back as itself. In the fourth line $P(Q(x)) = x$ holds only by chance, one time in
# three. **The game makes the joint distributions equal, but it does not decide which distribution
# they both become.** Any *coupling*, that is, any way to pair images with codes, is an optimum if
# both sides agree on it, even a useless one. The ALICE paper (Li et al., arXiv:1709.01215) made
# this observation.
#
# ### Deterministic Q and P
#
# In the ALI paper, $Q$ returns the mean and the standard deviation of a Gaussian, from which $z$ is
# drawn. In the article and in BiGAN, $Q$ and $P$ are plain functions. This excludes the fourth
# line, because each image has only one code. The BiGAN paper argues as follows. Suppose $D$ is
# fooled completely, so that both joint distributions are the same.
#
# 1. Every pair $(x, Q(x))$ lies in the set $\{(x, z): z = Q(x)\}$. So this set has probability 1
#    under $q(x, z)$.
# 2. The joint distributions are the same, so the set has probability 1 under $p(x, z)$ as well. The
#    pairs of $p(x, z)$ are $(P(z), z)$. Hence $z = Q(P(z))$ for almost every $z$.
# 3. In the same way, the set $\{(x, z): x = P(z)\}$ has probability 1 under both. Hence
#    $x = P(Q(x))$ for almost every real image $x$.
#
# So $D$ is fooled completely only if $Q$ inverts $P$. The loss does not ask for a reconstruction,
# and yet we get one. There are two limitations. First, the pairs of deterministic networks have no
# density, since each kind lies on a thin surface in the space of pairs. ($D^*$ and JS still exist;
# the BiGAN paper uses measures.) Where the surfaces do not coincide, a strong $D$ can be right
# nearly always, as in section 6. Second, there may be no $Q$ and $P$ that fool $D$ completely.
#
# In practice reconstructions are often bad, and the fourth line of the table explains why. A
# rapidly varying function can scatter the codes of similar images over the whole prior. To any $D$
# of limited size and smoothness, images and codes then look independent. Then $D$ is nearly fooled,
# although $P(Q(x))$ shows a different digit from $x$. The gradient through $D$ says little about a
# single $x$. ALICE asks for the reconstruction explicitly, either with a second discriminator or,
# as here, by adding $\lVert x - P(Q(x)) \rVert^2$ to the loss of $Q$ and $P$. This *cycle term*
# rules out the bad couplings, and the good ones remain optima. In tf_gen the setting `cycle` is its
# weight. The article has no such term, so `cycle` is 0 there.

# %% [markdown]
# ## 4. What a trained D knows about pairs
#
# The next picture shows what $D$ sees: pairs $(x, Q(x))$ on the left and pairs $(P(z), z)$ on the
# right. Below each image is its code of 20 numbers in two rows, from blue (−1) to red (1). Below
# the code is $D$'s answer, its probability that the pair is of the left kind.

# %%
fresh = ali.build(ali.PRESETS["stable"])  # the networks of the trained model, before training
z_prior = tf.random.stateless_uniform([len(held_out), 20], [1, 2], -1, 1).numpy()
five, z, parts = mnist.evenly(held_out, 5), z_prior[:5], []
for name, model in {"before training": fresh, "after training": trained}.items():
    x, codes = np.concatenate([five, model.decode(z)]), np.concatenate([model.encode(five), z])
    parts.append((name, x, codes, model.discriminate(x, codes).numpy()))
figures.pairs(parts)

# %% [markdown]
# Before training, $P$ generates noise, and $D$'s answers on the left and on the right are similar.
# After training, $P$ generates digits, if not always clear ones, and both kinds of codes spread
# over the range of the prior. $D$ is right about nine of the ten pairs. It takes the first
# generated pair, a clear 6, for a real image with its code.
#
# Does $D$ look at how images and codes are *combined*, or does it judge each of them separately? To
# find out, we give the trained $D$ wrong pairs: a real image with the code of another image. The
# digits are sorted. So the next image nearly always shows the same digit, and the image 250 places
# further shows another one.

# %%
z_enc, x_gen = trained.encode(held_out).numpy(), trained.decode(z_prior)
combinations = {
    "(x, Q(x))": (held_out, z_enc),
    "(x, Q(another x of the same digit))": (held_out, np.roll(z_enc, 1, axis=0)),
    "(x, Q(an x of another digit))": (held_out, np.roll(z_enc, 250, axis=0)),
    "(x, z of the prior)": (held_out, z_prior),
    "(P(z), z)": (x_gen, z_prior),
}
print("D's mean answer   5% to 95%      500 pairs")
for name, (x, z) in combinations.items():
    answers = trained.discriminate(x, z).numpy()
    low, high = np.quantile(answers, [0.05, 0.95])
    print(f"{answers.mean():15.2f}   {low:.2f} to {high:.2f}   {name}")

# %% [markdown]
# $D$ looks at the combination. A real image with its own code gets 0.67 on average. With the code
# of another image of the same digit it gets 0.28, and with the code of another digit 0.14, although
# each image and each code is fine by itself. So $D$ has learned which code belongs to which image.
#
# In theory $D$ ends at 1/2 for every pair. This $D$ still tells the two kinds of pairs apart: its
# mean answer for generated pairs is 0.41. The 0.67 exaggerates its lead a little, since $D$ was
# trained on these images. On test images that it has not seen, its mean answer for $(x, Q(x))$ is
# 0.65 ([card](../saved_models/ali/README.md#limits)).

# %% [markdown]
# ## 5. One iteration in the package
#
# Compare the package's iteration with yours.

# %%
notebook.source(ali.ALI.update, ali.ALI.tell_apart, ali.ALI.infer_and_generate, ali.ALI.penalty)

# %% [markdown]
# It has the same two steps. The difference is that `infer_and_generate` runs $Q$ and $P$ only once.
# `g_tape` records what their gradients need and then pauses. $D$ learns with `d_tape`; for this
# step the generated images and codes are constants. Then `g_tape` continues: the new $D$ judges the
# same pairs, and the gradient flows back through $D$ into $Q$ and $P$. Their optimiser changes only
# their variables. In the article's model `cycle_loss` and `penalty` are 0. So is the setting
# `shift`, so $D$ sees the images as they are. The section on the remedies of `stable` explains all
# three.
#
# We can check which networks each step changes. An optimiser with learning rate 0 changes nothing,
# so we switch off one of the two optimisers at a time.


# %%
def weights(model):
    """All weights of each network, as one vector."""
    networks = {"Q": model.encoder, "P": model.decoder, "D": model.discriminator}
    return {k: np.concatenate([w.ravel() for w in n.get_weights()]) for k, n in networks.items()}


def changes(old, new):
    return ", ".join(f"{name} {np.abs(new[name] - old[name]).max():.1e}" for name in old)


for step, rates in {"D's step": (0.001, 0.0), "the step of Q and P": (0.0, 0.001)}.items():
    model = ali.build(ali.PRESETS["article"])
    model.compile(*(keras.optimizers.Adam(rate) for rate in rates))  # of D; of Q and P
    start = weights(model)
    model.update(batch)
    print(f"largest change of a weight: {changes(start, weights(model))} ({step})")

# %% [markdown]
# The article ends with a picture of what it calls the running graph. Here is TensorFlow's graph of
# this update. Operations are grouped by network and loss, and each box says how many operations it
# holds.

# %%
notebook.diagram("running_graph_ali")

# %% [markdown]
# ## 6. Train the article's model
#
# The article trains for 100,000 iterations with 32 images each and recommends a GPU. We train for
# 8,000 iterations on 4,500 images. `train` runs 200 updates in each compiled call. After each call,
# `record` stores the losses on the training images and on the held-out images, $D$'s mean answers
# for held-out pairs, and 16 samples.

# %%
each, calls = notebook.budget(200, 1), notebook.budget(40, 2)  # updates in a call, and calls


def train(config, calls, change=lambda model: None, record=lambda model, losses: None):
    """Build a model, let `change` modify it, and train it for `calls` calls."""
    model = ali.build(config)
    change(model)
    model.run_eagerly = each < 10  # compiling is not worth it for a few updates
    callback = keras.callbacks.LambdaCallback(on_epoch_end=lambda _, losses: record(model, losses))
    batches = ali.batches(config, source).batch(each)
    options = {"shuffle": False, "verbose": 0, "callbacks": [callback]}
    model.fit(batches, steps_per_epoch=1, epochs=calls, **options)
    return model


config = dataclasses.replace(ali.PRESETS["article"], steps=each * calls)
report = ali.Report(config, source)  # measures, and makes pictures
untrained = ali.build(config)
history, snapshots = [], [report.snapshot(untrained)]
z_test = untrained.prior(len(held_out), [0, 1])


def record(model, losses):
    enc = model.discriminator(held_out, model.encode(held_out))
    gen = model.discriminator(model.decode(z_test), z_test)
    pair = ali.discriminator_loss(enc, gen).numpy(), ali.generator_loss(enc, gen).numpy()
    history.append(losses | report.measure(model) | {"held_out": pair})
    snapshots.append(report.snapshot(model))


article = train(config, calls, record=record)
frames = list(report.frames(snapshots))
notebook.animation(frames[::2], fps=4)

# %%
figures.stages(frames, each)

# %%
figures.course(each * np.arange(1, calls + 1), history)

# %% [markdown]
# The animation shows the whole training, and the row of pictures shows four stages of it. From
# noise the samples become grainy spots and then parts of digits, grainy like the article's
# pictures. The curves show that $D$ wins: its mean answers are close to 1 and 0. Its loss is close
# to 0, and at the end the loss of $Q$ and $P$ is more than ten times $2 \log 2$. (The losses are in
# nats, the unit of natural logarithms.) The dashed held-out lines stay near the training lines. So
# $D$ has not just memorised the training images. It tells new pairs apart as well.
#
# What happened to $Q$? Look at its hidden layer of 128 relu units. A unit that is 0 for every image
# passes nothing on, and no gradient passes back through it. Such a unit is dead.

# %%
for name, model in {"before training": untrained, "after training": article}.items():
    dead = np.max(model.encoder.features(held_out), axis=0) == 0
    print(f"{dead.mean():4.0%} of Q's units are 0 for all held-out images {name}")

# %% [markdown]
# Almost all units have died. The code can depend on the image only through the few that are left.
# Train again with fewer `calls` to see how early the units die, or with another `seed` in `config`
# to see whether they survive.
#
# What does this do to the reconstructions? To compare models we need a number. The mean distance
# $\lVert x - P(Q(x)) \rVert$ alone is misleading, because a grey blur is not far from any image. We
# divide it by the mean distance of the same reconstructions from *other* images, as the code of the
# BiGAN authors does. A perfect model has 0. A model whose reconstructions show nothing of their
# images has 1.


# %%
def relative_error(model):
    """Mean distance of held-out images from their reconstructions, in units of other images'."""
    drawn = model.decode(model.encode(held_out)).numpy()
    others = np.random.default_rng(0).permutation(held_out)
    ours, theirs = (np.linalg.norm(x - drawn, axis=(1, 2)).mean() for x in (held_out, others))
    return ours / theirs


rows = [("real images x", few)]
for name, model in {"article": article, "trained model": trained}.items():
    print(f"relative error of reconstructions: {relative_error(model):.2f} ({name})")
    rows.append((name, model.decode(model.encode(few))))
plots.rows(rows)

# %% [markdown]
# The article's model reconstructs every digit as the same, or nearly the same, image. Its error is
# 1.00. It has begun to generate, but its encoder is useless. More training on more images helps: on
# full MNIST, after all 100,000 iterations, about a third of the reconstructions show the right
# digit. Five seeds range from 13% to 63% ([card](../saved_models/ali/README.md)). There the trained
# model reaches 96.5%. The error of 0.27 above flatters it a little, since it was trained on these
# images; on the test images it is 0.29.
#
# ### Break it: hide the codes from D
#
# Why does $D$ need the code? We hide it and see. $D$ sees pairs only in `tell_apart`. We wrap this
# method so that all codes become zeros before $D$ sees them. Nothing else changes.


# %%
def hide_codes(model):
    tell_apart = model.tell_apart
    model.tell_apart = lambda x, z_enc, x_gen, z: tell_apart(x, 0 * z_enc, x_gen, 0 * z)


def sample_distance(drawn):
    """Mean distance of a held-out image to the nearest of some generated or real images."""
    asked, known = (np.reshape(x, [len(x), -1]) for x in (held_out, drawn))
    return judge.nearest_distances(asked, known).mean()


blind = train(config, calls, hide_codes)
print("largest change of a weight:", changes(weights(untrained), weights(blind)))
print(f"relative error of reconstructions: {relative_error(blind):.2f}")
z = blind.prior(500, [0, 0])
for name, model in {"article": article, "hidden codes": blind}.items():
    print(f"distance to the nearest sample: {sample_distance(model.decode(z)):.1f} ({name})")
rows = [("samples", blind.decode(z[:10])), ("real images x", few)]
plots.rows([*rows, ("P(Q(x))", blind.decode(blind.encode(few)))])

# %% [markdown]
# The encoder's weights did not change at all. $Q$ can learn only through the code that $D$ sees. If
# this code is always zero, the gradient of $Q$ is zero too. What remains is a GAN beside a random
# encoder, and the error of its reconstructions is 1. The samples look like parts of digits, as
# those of the article's model do. By the distance to the nearest sample they are no worse: 6.8
# against 7.6.
#
# The article's model has an error of 1 as well, but its encoder did learn. In doing so, it lost
# nearly all of its units.

# %% [markdown]
# ## 7. Use the trained model
#
# **Interpolation.** Take the codes of two images, move along the straight line between them, and
# decode the points on the way. For comparison, every second row blends the pixels of the two
# images.

# %%
z = trained.encode(few).numpy()
rows = []
for a, b in ((3, 8), (1, 7), (4, 9), (0, 5)):
    rows.append((f"codes, {a} to {b}", trained.decode(np.linspace(z[a], z[b], 11))))
    rows.append(("pixels", np.linspace(few[a], few[b], 11)))
plots.rows(rows)

# %% [markdown]
# In a blend of pixels the first digit fades out while the second fades in, and in the middle they
# lie on top of each other. Between two codes, strokes bend, open and close, and many of the images
# could be handwriting. The path from 0 to 5 passes an 8, and then images that are not digits.
#
# **Explore it.** In the page below you can draw a digit and watch what $Q$ and $P$ make of it. You
# can also change the 20 numbers of the code with sliders. The page contains the weights, and your
# browser does the computing. (The frame stays empty where scripts are switched off, as on GitHub.
# Then run `python -m tf_gen.explore ali --open`.)

# %%
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, "explorer.html")
    explorer.write(directory, path, "ali", source)
    page = notebook.page(path)
page

# %% [markdown]
# **In your own code.** The trained model is a SavedModel. It needs TensorFlow, but not tf_gen. The
# function `call` at the top of this notebook shows how to use its five signatures:
#
# | signature | inputs | outputs |
# |---|---|---|
# | `decode` | `z` [n, 20] | `images` [n, 28, 28] |
# | `sample` | `count` [], `seed` [2] | `z` [count, 20], `images` [count, 28, 28] |
# | `encode` | `images` [n, 28, 28] | `z` [n, 20] |
# | `reconstruct` | `images` [n, 28, 28] | `images` [n, 28, 28] |
# | `discriminate` | `images` [n, 28, 28], `z` [n, 20] | `probability` [n] |
#
# In a shell, you do not have to write any Python:
#
# ```sh
# python -m tf_gen.sample ali --digit 7 --out seven.png
# python -m tf_gen.sample ali --interpolate 3 8 --count 12 --out way.png
# python -m tf_gen.sample ali --count 100 --seed 1 --out samples.png
# python -m tf_gen.train ali --preset stable --data MNIST
# python -m tf_gen.evaluate ali --run runs/ali --data MNIST
# ```
#
# `--digit` and `--interpolate` use the file `latent_map.json` beside the model, which has codes for
# each digit. `MNIST` is a directory with the four original files. Without `--data`, tf_gen looks
# for digits itself. The [card](../saved_models/ali/README.md) explains TensorFlow Serving, ONNX and
# LiteRT, and it lists all scores with their commands. The model is in
# [tf_gen/models/ali.py](../tf_gen/models/ali.py). What it shares with the VAE is in
# [tf_gen/tasks/digits.py](../tf_gen/tasks/digits.py), and the scores are in
# [tf_gen/tasks/judge.py](../tf_gen/tasks/judge.py).

# %% [markdown]
# ## Further: corrections to the article
#
# Four statements of the article are wrong or need a comment.
#
# - It says that autoregressive models need an abstract representation of the data, learned
#   beforehand. This passage paraphrases the introduction of the ALI paper, which says the opposite:
#   these models have no such representation. The paper counts this as a disadvantage, beside slow
#   sampling.
# - It says that GANs generate better samples than the best VAEs. This was a judgement of 2016,
#   mostly about sharpness. It is not a theorem, and it does not consider missing modes.
# - It says that in ALI a generation network and an inference network fight each other. They are on
#   the same side: $Q$ and $P$ play together against $D$. Its summary, "one generator and one
#   discriminator, two neural networks in all", describes a GAN. ALI has three networks.
# - Its "深度定向 G Model" means a deep *directed* (有向) graphical model, in which an arrow points
#   from $z$ to $x$.
#
# The article also teaches `tf.Variable`, `tf.placeholder` and `Session`.
# [Notebook 0](00_from_tensorflow_1.ipynb) translates them to TensorFlow 2.

# %% [markdown]
# ## Further: shifted digits
#
# Does $Q$ recognise a digit that is not in its usual place? We shift the held-out digits to the
# right by 0 to 4 pixels, encode them, and decode the codes. (`np.roll` moves what leaves the image
# on the right to its left edge.)

# %%
rows = []
print("shift   mean squared error   D(x, Q(x))")
for shift in range(5):
    x = np.roll(held_out, shift, axis=2)
    z = trained.encode(x)
    drawn = trained.decode(z)
    error, answer = np.mean((x - drawn) ** 2), np.mean(trained.discriminate(x, z))
    print(f"{shift:5} {error:20.3f} {answer:12.2f}")
    rows += [(f"shift {shift}", x[25::50]), ("P(Q(x))", drawn[25::50])]
plots.rows(rows)

# %% [markdown]
# A shift of one pixel does little harm. From two pixels on, some digits break or turn into others.
# The digits of MNIST are centred, so $Q$ and $P$ were not trained on shifted digits. They have
# separate weights for each pixel and no notion of a shift. $D$ notices larger shifts, so its answer
# can serve as a warning: the lower it is, the less you should trust the code. One pixel lowers it
# only a little, because $D$ saw images shifted by up to one pixel in training (see `shift` in the
# section on the remedies of `stable`).

# %% [markdown]
# ## Further: what a 1-NN score means
#
# Are the codes any good? [Notebook 2](02_gaussian_gan.ipynb) names a way to judge a generative
# model: evaluate it on a downstream task. Here we do so. The task is to recognise digits, and the
# features of an image are the outputs of the encoder or of its hidden layer. No label is used in
# training. Afterwards each held-out digit gets the label of its *nearest neighbour* among the 4,500
# training digits, measured in the space of features. The 1-NN accuracy is the share of right
# labels. Guessing achieves 10%. The BiGAN paper reports 97.39% on MNIST for features of its
# encoder.
#
# Before we trust such a score, we need to know how well untrained features do, and how precise the
# score is. If $k$ of $n$ labels are right, the share $\hat a = k/n$ has a standard error of
# $\sqrt{\hat a (1 - \hat a) / n}$. At 90% and $n = 500$ it is 1.3 percentage points. The table
# shows the 95% interval by Wilson's formula, which also works close to 100%.

# %%
spaces = {
    "pixels": lambda x: x.reshape(len(x), -1),
    "article, hidden layer of Q, untrained": untrained.encoder.features,
    "article, hidden layer of Q": article.encoder.features,
    "article, z, untrained": untrained.encode,
    "article, z": article.encode,
    "hidden codes, z": blind.encode,
    "trained model, z, untrained": fresh.encode,
    "trained model, z": trained.encode,
}


def nearest(features, chosen=slice(None)):
    """1-NN accuracy on the held-out digits, with the `chosen` of the training digits."""
    known, asked = np.asarray(features(images[chosen])), np.asarray(features(held_out))
    return judge.nearest_neighbour_accuracy(known, labels[chosen], asked, held_out_labels)


print("1-NN accuracy   95% interval      features")
for name, features in spaces.items():
    right = round(nearest(features) * len(held_out))
    low, high = stats.binomtest(right, len(held_out)).proportion_ci(method="wilson")
    print(f"{right / len(held_out):13.1%}   {low:.1%} to {high:.1%}   {name}")

# %% [markdown]
# - Raw pixels have the best score of all. MNIST is so easy that the nearest neighbour in pixels
#   nearly always shows the same digit.
# - The hidden layer of an *untrained* encoder scores nearly as well. A random linear map into many
#   dimensions roughly preserves distances, and relu does not destroy them. Untrained layers know
#   nothing about digits. They only pass on information from the pixels. Those with fewer numbers
#   (128, 64, 20) score lower.
# - The article's encoder after training is at chance level. The few units that are left map all
#   images to few codes. With hidden codes, the encoder learns nothing. So its score is exactly that
#   of the untrained encoder, and far better than that of the encoder that was trained properly.
# - The trained model's code of 20 numbers scores better than the same network before training, and
#   the two intervals do not overlap. Its score is far below that of the pixels.
#
# So a score of 97% means little by itself. What counts is its distance from the baselines, compared
# with the width of the interval. The [card](../saved_models/ali/README.md) has the scores on full
# MNIST, where 10,000 test images make the interval about ±0.4 points at 96% and ±0.7 at 87%. The
# last hidden layer of $Q$ scores 96.1% trained and 96.0% untrained, and pixels score 96.9%. $z$
# scores 86.8% trained and 74.0% untrained. By this score the hidden layer has learned nothing, the
# code has gained 13 points, and neither beats the pixels. This is why tf_gen prints baselines with
# each such score. All models of digits share the method that computes them:

# %%
notebook.source(digits.Report.score)

# %% [markdown]
# ## Further: the remedies of the preset `stable`
#
# The trained model was made with the preset `stable`. It keeps the article's iteration and changes
# what made it fail. Each remedy is a field of `Config`.
#
# - `cycle`, 0 → 0.1, is the weight of the cycle term. It asks for $P(Q(x)) = x$, because equal
#   joint distributions do not determine a useful coupling (section 3; ALICE, arXiv:1709.01215).
# - `q_cycle`, 1 → 4: $Q$ learns four times as strongly from the cycle term as $P$ does. Without
#   this, $P$ can generate many digits whose codes $Q$ does not find.
# - `bounded`: $Q$ ends in tanh. Otherwise $D$ can recognise a pair by a $z$ outside of the cube
#   $(-1, 1)^{20}$ of the prior, whatever the image.
# - `batch_norm`: with batch normalisation, $D$ sees a whole batch of one kind of pairs at once, so
#   it can detect a $P$ that always generates the same image. $Q$ and $P$ use batch normalisation,
#   too.
# - `leak`, 0 → 0.2, in $Q$ and $D$: $Q$ and $P$ learn through the gradient of $D$, and relu blocks
#   it wherever a unit of $D$ is 0. Also, the units of $Q$ cannot die as in section 6.
# - `latent_dim`, 64 → 20: in parts of the cube where no image has its code, the cycle term teaches
#   $P$ nothing. With fewer dimensions, less of the cube is empty.
# - `hidden_layers` and `z_layer`, 1 → 2: $z$ enters $D$ at the second layer, together with features
#   of the image instead of its 784 pixels (BiGAN).
# - `l2`, 0 → 2.5e-5, keeps the kernels small, including those of $D$ (BiGAN).
# - `beta_1`, 0.9 → 0.5: Adam forgets old gradients sooner. They came from older versions of the
#   other networks (Radford et al., arXiv:1511.06434).
# - `final_rate`, 1 → 0.01: this is the last learning rate over the first. The networks circle
#   around each other, and smaller steps make the circles smaller.
# - `d_rate`, 1 → 0.5: $D$ learns at half the rate of $Q$ and $P$, so that it does not get too far
#   ahead in a long training.
# - `shift`, 0 → 1: $D$ sees the images of all pairs, real and generated, each shifted at random by
#   up to one pixel. Otherwise it learns the training images by heart and then has less to teach $Q$
#   and $P$ (Zhao et al., arXiv:2006.10738).
# - `hidden_dim` 512, `batch_size` 64 and `steps` 60,000 are what two cores can train in a quarter
#   of an hour.
#
# Here is how these settings change a network:

# %%
notebook.source(ali.Discriminator)

# %% [markdown]
# This list does not show that the remedies help. So we train a small `stable` for 4,000 updates,
# with the article's 128 units and batches of 32. Then we remove one of three remedies at a time.
# `samples` is the mean distance of a held-out image to the nearest of 500 samples; the last line
# has 500 real images instead. This number detects a $P$ that generates noise, or always the same
# image. It does not detect blur, because a blurred digit is close to many images. $D$'s loss is
# 1.39 where it is fooled, and 0 where it is always right and certain.

# %%
calls_stable = notebook.budget(20, 1)
small = {"hidden_dim": 128, "batch_size": 32, "steps": each * calls_stable}
stable = dataclasses.replace(ali.PRESETS["stable"], **small)
without = {
    "small stable": {},
    "no cycle": {"cycle": 0.0},
    "not bounded": {"bounded": False},
    "no batch_norm": {"batch_norm": False},
}
print("relative error   D's loss   samples")
rows = [("real images x", few)]
for name, change in without.items():
    log, changed = [], dataclasses.replace(stable, **change)
    model = train(changed, calls_stable, record=lambda _, losses, log=log: log.append(losses))
    drawn = model.decode(model.prior(500, [0, 0])).numpy()
    numbers = relative_error(model), log[-1]["loss_d"], sample_distance(drawn)
    print("{:14.2f} {:10.2f} {:9.1f}".format(*numbers), f"  {name}")
    rows += [(f"{name}: samples", drawn[:10]), ("P(Q(x))", model.decode(model.encode(few)))]
print(f"{sample_distance(mnist.evenly(images, 500)):35.1f}   real images")
plots.rows(rows)

# %% [markdown]
# The picture shows samples of each model and, below them, its reconstructions of the ten images at
# the top.
#
# - *small stable*: it learns to reconstruct, which the article's model did not learn in twice as
#   many updates. Its samples are still rough.
# - *no cycle*: a few reconstructions look like their images, the others show something else, and
#   everything is noisy. We know this only for this size and so few updates. The preset `bigan` has
#   no cycle term either. It is larger, trains far longer and generates good digits, but a third of
#   its reconstructions show another digit ([card](../saved_models/ali/README.md)).
# - *not bounded*: reconstructions and samples are about as good as with tanh. The danger is that
#   $Q$ and $P$ learn to copy images with codes outside of the cube, which the prior never draws.
#   This did not happen here.
# - *no batch_norm*: $D$ is further ahead, as its loss shows. The samples look sharper, but the
#   held-out images are farther from them.
#
# One seed and 4,000 updates say little. The [card](../saved_models/ali/README.md#over-seeds) has
# results on full MNIST, with three seeds and 15,000 updates for each remedy that is left out.
# Without the cycle term 72% of the reconstructions show their image's digit, with it 97%. Batch
# normalisation and tanh improve the samples: without batch normalisation their Fréchet distance is
# 18.5, without tanh 5.2, and with both 2.7. As here, reconstructions are no worse without tanh:
# 97.6% show the digit there, and 96.8% with tanh.

# %% [markdown]
# ## Summary
#
# - ALI adds an encoder to a GAN. Its discriminator compares the joint distributions of the pairs
#   $(x, Q(x))$ and $(P(z), z)$.
# - If deterministic $Q$ and $P$ fool $D$ completely, they are inverses of each other, although no
#   term of the loss asks for it.
# - Equal joint distributions do not determine which image gets which code. A cycle term excludes
#   couplings from which the image cannot be recovered.
# - In our short training of the article's model, $D$ wins, nearly all units of $Q$ die, and the
#   reconstructions show nothing of their images.
# - If $D$ does not see the codes, $Q$ gets no gradient at all.
# - The trained model reconstructs most digits. Compare its codes, and those of any encoder, with
#   two baselines: raw pixels and the untrained network.
#
# ## Change it
#
# Change your own code in section 1. Then run three cells again: the networks, `update`, and the
# training. (Skip the comparison with the package, which would fail now.) `relative_error(own)`,
# with the function from section 6, is the error of the reconstructions. Without a change it is
# 1.00. The numbers below are from one run each; yours may differ a little.
#
# 1. *Add the cycle term.* In `update`, add this line below `loss_qp = loss(gen, enc)`, in the same
#    `with` block:
#
#    ```python
#            loss_qp += 0.1 * tf.reduce_mean(tf.reduce_sum((x - tf.sigmoid(P(Q(x)))) ** 2, axis=1))
#    ```
#
#    The error falls to 0.67. Most reconstructions become blurred copies of their images, and the
#    samples show parts of digits.
# 2. *Minimise what the min–max formula says.* Replace `loss_qp = loss(gen, enc)`:
#
#    ```python
#            loss_qp = -loss(enc, gen)
#    ```
#
#    $D$ is soon right about every pair. Both losses are printed as 0. $Q$ and $P$ get hardly any
#    gradient, and the samples stay spots. The error is still 1.00. This is why section 2 swaps the
#    roles.
# 3. *Keep the units alive.* Replace `"relu"` with `"leaky_relu"` in `network`. The units of $Q$
#    cannot die any more, but the error is still 1.00. So dead units are not the only cause of the
#    failure.
#
# ## References
#
# - V. Dumoulin et al., *Adversarially Learned Inference*, 2016,
#   [arXiv:1606.00704](https://arxiv.org/abs/1606.00704). The paper that the article follows, with a
#   stochastic encoder and pictures of interpolations.
# - J. Donahue, P. Krähenbühl, T. Darrell, *Adversarial Feature Learning*, 2016,
#   [arXiv:1605.09782](https://arxiv.org/abs/1605.09782). BiGAN: the proof of section 3 for
#   deterministic networks, and the encoder as a source of features.
# - C. Li et al., *ALICE: Towards Understanding Adversarial Learning for Joint Distribution
#   Matching*, 2017, [arXiv:1709.01215](https://arxiv.org/abs/1709.01215). Why matching joint
#   distributions is not enough, and the cycle term.
# - I. Goodfellow et al., *Generative Adversarial Networks*, 2014,
#   [arXiv:1406.2661](https://arxiv.org/abs/1406.2661). The game, $D^*$ and the Jensen-Shannon
#   divergence.
# - M. Heusel et al., *GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
#   Equilibrium*, 2017, [arXiv:1706.08500](https://arxiv.org/abs/1706.08500). A learning rate for
#   each side, and the Fréchet distance that the card uses.
# - A. Radford, L. Metz, S. Chintala, *Unsupervised Representation Learning with Deep Convolutional
#   Generative Adversarial Networks*, 2015,
#   [arXiv:1511.06434](https://arxiv.org/abs/1511.06434). Practical settings such as `beta_1` 0.5.
# - S. Zhao, Z. Liu, J. Lin, J.-Y. Zhu, S. Han, *Differentiable Augmentation for Data-Efficient GAN
#   Training*, 2020, [arXiv:2006.10738](https://arxiv.org/abs/2006.10738). Changed images for $D$,
#   such as shifted ones.

# %% [markdown]
# ## Exercises
#
# **1.** Section 3 derived $D^* = q/(q + p)$. Let $D$ be a table of nine logits, and minimise its
# loss by gradient descent, where $q$ and $p$ are proportional to
#
# $$\begin{pmatrix} 2 & 1 & 0 \\ 0 & 2 & 1 \\ 1 & 0 & 2 \end{pmatrix} \quad\text{and}\quad
#   \begin{pmatrix} 1 & 1 & 1 \\ 1 & 1 & 1 \\ 1 & 1 & 1 \end{pmatrix}.$$

# %% tags=["answer"]
q, p = np.array([[2, 1, 0], [0, 2, 1], [1, 0, 2]]) / 9, np.full([3, 3], 1 / 9)
logits = tf.Variable(tf.zeros([3, 3]))
for _ in range(300):
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(q * tf.math.log_sigmoid(logits) + p * tf.math.log_sigmoid(-logits))
    logits.assign_add(5 * tape.gradient(total, logits))
print("learned:\n", np.round(tf.sigmoid(logits).numpy(), 2))
print("q / (q + p):\n", np.round(q / (q + p), 2))

# %% [markdown]
# **2.** With hidden codes, $Q$ did not change. Now let $D$ see real codes, but each with a wrong
# image: roll both kinds of codes by one place in the batch. Then the image and the code of a pair
# are independent, and $D$ can compare only the marginals. What does $Q$ learn?


# %% tags=["answer"]
def shuffle_codes(model):
    tell_apart, roll = model.tell_apart, lambda codes: tf.roll(codes, 1, axis=0)
    model.tell_apart = lambda x, z_enc, x_gen, z: tell_apart(x, roll(z_enc), x_gen, roll(z))


shuffled = train(config, calls, shuffle_codes)
print("largest change of a weight:", changes(weights(untrained), weights(shuffled)))
print(f"relative error of reconstructions: {relative_error(shuffled):.2f}")
# Q changes now, but it gains nothing: it only has to make codes that look like the prior.

# %% [markdown]
# **3.** The BiGAN argument gives two inverses, $P(Q(x)) = x$ and $Q(P(z)) = z$. We looked at the
# first. Measure the second for the trained model: how far is $Q(P(z))$ from $z$, in units of its
# distance from another $z$? Which of the 20 numbers of $z$ survive the way through $P$ and $Q$?

# %% tags=["answer"]
back = trained.encode(trained.decode(z_prior)).numpy()
ours, theirs = (np.linalg.norm(back - v, axis=1).mean() for v in (z_prior, np.roll(z_prior, 1, 0)))
print(f"distance from z: {ours:.2f}, from another z: {theirs:.2f}, ratio {ours / theirs:.2f}")
correlations = [np.corrcoef(z_prior[:, k], back[:, k])[0, 1] for k in range(20)]
print("correlation of each number with itself:", *(f"{c:.1f}" for c in sorted(correlations)))
# Worse than for images, since the cycle term asks only for P(Q(x)) = x. But no number is lost.

# %% [markdown]
# **4.** With 4,500 labels, raw pixels have the best 1-NN score. Would codes be better if labels
# were rare? Compare pixels, the trained model's $z$, and the pixels of its reconstructions, with 1,
# 10 and 100 labelled digits of each kind.

# %% tags=["answer"]
spaces = {name: spaces[name] for name in ("pixels", "trained model, z")}
spaces["P(Q(x))"] = lambda x: np.reshape(call("reconstruct", images=x)["images"], [len(x), -1])
kinds = [np.flatnonzero(labels == k) for k in range(10)]
for count in (1, 10, 100):
    draws = range(notebook.budget(10, 2))
    chosen = [np.concatenate([random.choice(kind, count, False) for kind in kinds]) for _ in draws]
    for name, features in spaces.items():
        score = np.mean([nearest(features, some) for some in chosen])
        print(f"{score:4.0%} with {count:3} of each digit, {name}")
# z stays behind the pixels with few labels too, although the model has seen these images. P(Q(x))
# does as well as x: z keeps the digit, but distances in z do not show it.
