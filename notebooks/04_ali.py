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
# # 4. A GAN that knows the way back
#
# A GAN turns noise into images. Nothing in it turns an image into the noise that would make it.
# Adversarially learned inference (ALI) trains both ways at once, by one change: the discriminator
# sees pairs of an image and a code. This notebook follows the article ALI的Tensorflow炼成与GAN科普
# (ALI made in TensorFlow, and an introduction to GANs), and the papers behind it: Dumoulin et al.,
# arXiv:1606.00704, and Donahue et al., who found the same and call it BiGAN, arXiv:1605.09782.
#
# At the end you will know why a discriminator of pairs makes an encoder and a decoder inverse to
# each other, and why it often does so badly; have trained the article's model; have broken it by
# hiding the codes from the discriminator; have seen that a popular score of encoders can be higher
# before training than after it; and take five functions away that draw, encode and reconstruct
# digits.
#
# **You need** Python, a little Keras, and probability of a first course: joint and conditional
# distributions. [02](02_gaussian_gan.ipynb) teaches the game of a GAN at length; a recap is below.
# No GPU, no download: the digits come with a package. The first cell installs tf_gen where it is
# missing.
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
from pathlib import Path
from types import SimpleNamespace

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from scipy import special, stats

from tf_gen import mnist, plots, savedmodel
from tf_gen.models import ali
from tf_gen.tasks import digits, judge

# %% [markdown]
# ## 1. From GAN to ALI
#
# **The game.** A generator $P$ turns noise $z$, drawn from a prior $p(z)$, into an image $P(z)$. A
# discriminator $D$ gives each image the probability that it is real. $D$ learns to be right, $P$
# learns to make it wrong. Write $q(x)$ for the density of real images and $p(x)$ for that of
# generated ones. $D$ maximises
#
# $$\mathbb{E}_{q(x)} \log D(x) + \mathbb{E}_{p(x)} \log (1 - D(x))
#   = \int q(x) \log D(x) + p(x) \log (1 - D(x))\, dx.$$
#
# The integrand can be maximised for each $x$ by itself. Its derivative with respect to $D(x)$ is
# $q(x)/D(x) - p(x)/(1 - D(x))$, which is 0 where
#
# $$D^*(x) = \frac{q(x)}{q(x) + p(x)}.$$
#
# If the generator has done its work, $p = q$, and $D^*$ is 1/2 everywhere. The article says so, and
# that this solution is unique. What is unique is the distribution $p(x)$. The function $P$ is not:
# feed it $-z$ for $z$ where the prior is symmetric, and it generates the same images with the same
# probabilities. So the game of a GAN leaves open which $z$ belongs to which image.
#
# **No Markov chain.** To draw an image is one pass through $P$. Older generative models with latent
# variables, such as Boltzmann machines, run a Markov chain of many steps instead, in training as
# well. Training needs no approximate inference either, since $D$ asks only whether an image is
# real, never which $z$ it came from.
#
# **What is missing.** This is why a GAN has no *inference*, the way from $x$ to $z$. Without it you
# cannot compare two images by their codes, edit an image by moving its code, or use the codes as
# features for another task. The article puts ALI into this company:
#
# | | one image takes | code $z$ | $x$ to $z$ | learns from |
# |---|---|---|---|---|
# | autoregressive | a pass a pixel | none | no | likelihood, pixel by pixel |
# | VAE ([01](01_vae.ipynb)) | one pass | yes | yes, approximately | a bound on it |
# | GAN ([02](02_gaussian_gan.ipynb)) | one pass | yes | no | $D$ of images |
# | ALI | one pass | yes | yes | $D$ of pairs |
#
# In four places the article slips, or calls for a word.
#
# - It says that autoregressive models need an abstract representation of the data that was learned
#   before. The introduction of the ALI paper, which the passage renders, says the opposite: they go
#   without one, and this is counted as their price, beside slow sampling.
# - It says that GANs draw better samples than the best VAEs. That was a judgement of 2016, mostly
#   about the sharpness of pictures. It is no theorem, and it says nothing about missing modes.
# - It says that in ALI a generation network and an inference network fight each other. They are on
#   the same side: the encoder $Q$ and the decoder $P$ together play against $D$. Its summary with
#   two networks, a generator and a discriminator, is of the GAN; ALI has three.
# - Its "深度定向 G Model" is a *directed* (有向) graphical model: an arrow leads from $z$ to $x$.
#
# Here is where we are going. A trained ALI comes with tf_gen. In pairs of rows: real images $x$,
# and below them $P(Q(x))$, what the decoder makes of the encoder's code of 20 numbers.

# %%
source = mnist.load("bundled")  # 5,000 digits of MNIST
images = np.float32(source.images) / 255
held_out = np.float32(source.held_out_images) / 255
labels, held_out_labels = source.labels, source.held_out_labels

directory = savedmodel.find(Path("ali"))
box = tf.saved_model.load(str(directory))  # keep it: the signatures do not hold the weights


def call(name, **inputs):
    return box.signatures[name](**{key: tf.constant(value) for key, value in inputs.items()})


trained = SimpleNamespace(
    encode=lambda x: call("encode", images=x)["z"],
    decode=lambda z: call("decode", z=z)["images"],
    discriminate=lambda x, z: call("discriminate", images=x, z=z)["probability"],
)


def reconstruct(model, images):
    """P(Q(x)): float32 [n, 28, 28] to the same."""
    return model.decode(model.encode(images)).numpy()


some = mnist.evenly(held_out, 20)
print(source)
notebook.picture(plots.pairs(some, reconstruct(trained, some)))

# %% [markdown]
# A word on the data, which will matter several times. tf_gen trained this model on the 60,000
# training images of MNIST. All 5,000 bundled digits are among those 60,000; we compared them pixel
# by pixel. So "held out" below is true of the models that *we* train on the other 4,500, and not of
# the trained one, which has seen every image of this notebook. Its figures on images that it has
# never seen are on its [card](../saved_models/ali/README.md).

# %% [markdown]
# ## 2. Joint distributions
#
# There are two ways to come by a pair of an image and a code:
#
# $$q(x, z) = q(x)\, q(z \mid x), \qquad p(x, z) = p(z)\, p(x \mid z).$$
#
# The encoder's pair begins with a real image and infers its code. The decoder's begins with a code
# from the prior and draws the image. $q(x)$ is given by the data and $p(z)$ by our choice; what is
# learned are the two conditionals. Let $D$ see the pair, and repeat the argument of section 1 with
# $(x, z)$ in the place of $x$:
#
# $$D^*(x, z) = \frac{q(x, z)}{q(x, z) + p(x, z)}.$$
#
# Put it into the loss of $D$. With $m = (q + p)/2$ we have $D^* = q / 2m$ and $1 - D^* = p / 2m$,
# so
#
# $$\begin{aligned}
#   -\mathbb{E}_q \log D^* - \mathbb{E}_p \log(1 - D^*)
#   &= 2 \log 2 - \mathrm{KL}(q \,\|\, m) - \mathrm{KL}(p \,\|\, m) \\
#   &= 2 \log 2 - 2\,\mathrm{JS}(q, p).
#   \end{aligned}$$
#
# $\mathrm{KL}(q \,\|\, m) = \mathbb{E}_q \log (q/m)$ is the Kullback-Leibler divergence
# ([01](01_vae.ipynb)), and $\mathrm{JS}(q, p)$, the Jensen-Shannon divergence, is the mean of the
# two KL. It is 0 only where $q(x, z) = p(x, z)$, and then everything that can be computed from the
# joint agrees as well:
#
# - the marginals over $z$: $p(x) = \int p(x, z)\, dz = \int q(x, z)\, dz = q(x)$, so the generated
#   images are distributed as the real ones. A GAN wants this alone;
# - the marginals over $x$: the codes of real images are distributed as the prior;
# - the conditionals: $q(z \mid x) = p(z \mid x)$. The encoder is the decoder's posterior, and
#   nobody had to compute it.
#
# Three images and three codes are enough to see what $D$ gains by the pairs. Each joint
# distribution is a table of nine probabilities, and all marginals are 1/3.

# %%
notebook.diagram("ali_joints")

# %%
diagonal = np.eye(3) / 3  # rows are x, columns are z: image 0 has code 0, and so on
shifted = np.roll(diagonal, 1, axis=0)  # code 0 draws image 1, code 1 image 2, code 2 image 0
independent = np.full([3, 3], 1 / 9)  # each image has any code
games = {
    "Q diagonal, P shifted": (diagonal, shifted),
    "Q diagonal, P half shifted": (diagonal, (diagonal + shifted) / 2),
    "both diagonal": (diagonal, diagonal),
    "both independent": (independent, independent),
}


def divergence(q, p):
    """Jensen-Shannon, in nats; rel_entr is a log(a / b), and 0 where a is 0."""
    middle = (q + p) / 2
    return (special.rel_entr(q, middle).sum() + special.rel_entr(p, middle).sum()) / 2


def best_d(q, p):
    """q / (q + p), and 1/2 where no pair ever is."""
    return np.divide(q, q + p, out=np.full([3, 3], 0.5), where=q + p > 0)


print("JS of the          images   codes   pairs    D's best loss   P(Q(x)) = x")
for name, (q, p) in games.items():
    of_images, of_codes = (divergence(q.sum(axis), p.sum(axis)) for axis in (1, 0))
    d = best_d(q, p)
    loss = np.sum(-special.xlogy(q, d) - special.xlogy(p, 1 - d))
    back = (q * p / p.sum(axis=0)).sum()  # sum over x and z of q(x, z) p(x | z)
    parts = f"{name:27}{of_images:7.3f} {of_codes:7.3f} {divergence(q, p):7.3f}"
    print(f"{parts} {loss + 0:16.3f} {back:13.2f}")

# %%
ticks = {"xlabel": "z", "ylabel": "x", "xticks": range(3), "yticks": range(3)}
_, axes = plt.subplots(1, 3, figsize=(8, 2.6), layout="constrained", subplot_kw=ticks)
q, p = games["Q diagonal, P half shifted"]
tables = {"q(x, z), encoder": q, "p(x, z), decoder": p, "D* = q / (q + p)": best_d(q, p)}
for axis, (title, table) in zip(axes, tables.items(), strict=True):
    axis.imshow(table, cmap="Blues", vmin=0, vmax=1)
    axis.set_title(title)
    for (x, z), value in np.ndenumerate(table):
        axis.text(z, x, f"{value:.2f}", ha="center", va="center")
plt.show()

# %% [markdown]
# Look at the first row of the table. The encoder gives image 0 the code 0, and the decoder draws
# image 1 for it. Both have perfect marginals: the first two columns are 0. A GAN's $D$ that sees
# images alone has nothing to object, nor has one that sees codes alone. $D$ on pairs can be right
# always: JS has its greatest value, $\log 2$, and $D$'s loss is 0. Where $Q$ and $P$ half agree
# (second row, and the picture), $D^*$ is 2/3 on the pairs that both make, 0 on those that only the
# decoder makes, and 1/2 by our convention where there is no pair.
#
# The last two rows hold the promise of ALI and its catch. In both, the joints match, $D$ is 1/2 and
# its loss $2 \log 2 = 1.386$. In the third row every image comes back as itself. In the fourth,
# $P(Q(x)) = x$ only by chance, once in three times. **Matching the joints does not say which joint
# it has to be.** Whatever coupling of images and codes both sides agree on is an optimum, the
# useless one included. This is the observation of the ALICE paper (Li et al., arXiv:1709.01215).
#
# ### Deterministic Q and P: the argument of the BiGAN paper
#
# The ALI paper's $Q$ gives the mean and the standard deviation of a Gaussian, from which $z$ is
# drawn. The article's $Q$ and $P$, like BiGAN's, are plain functions. That excludes the fourth row,
# since one image has one code. Suppose $D$ is fooled entirely, so both joints are the same
# distribution.
#
# 1. Every pair $(x, Q(x))$ lies on the graph $\{(x, z): z = Q(x)\}$. So that set has probability 1
#    under $q(x, z)$.
# 2. The joints are the same, so it has probability 1 under $p(x, z)$, too, whose pairs are
#    $(P(z), z)$. Hence $z = Q(P(z))$ for almost every $z$.
# 3. In the same way the set $\{(x, z): x = P(z)\}$ has probability 1 under both, hence
#    $x = P(Q(x))$ for almost every real image $x$.
#
# So $D$ can only be fooled if $Q$ inverts $P$. No term of the loss asks for a reconstruction, and
# it comes out all the same. Two reservations. Pairs of deterministic networks have no density: each
# kind fills only a thin surface in the space of pairs. ($D^*$ and JS exist all the same; the BiGAN
# paper does it with measures.) Where the two surfaces do not lie on each other, a strong $D$ can be
# right nearly always, and section 5 shows that game. And nothing says that a $Q$ and a $P$ exist
# that fool $D$ entirely.
#
# In practice it often comes out badly, and the fourth row says why. A function of high frequency
# can scatter the codes of neighbouring images all over the prior, so that the pairs look
# independent to any $D$ of finite size and smoothness. $D$ is then fooled well enough, and
# $P(Q(x))$ is a good digit, but another one. $D$'s gradient says little of a single $x$. ALICE's
# remedy is to ask for what one wants, by another discriminator or, as here, explicitly: add
# $\lVert x - P(Q(x)) \rVert^2$ to the loss of $Q$ and $P$. It excludes the bad couplings and keeps
# the good ones as optima. In tf_gen its weight is the setting `cycle`, 0 in the article's model.

# %% [markdown]
# ## 3. The two pairs that D sees
#
# The left half of the picture shows pairs $(x, Q(x))$, the right half pairs $(P(z), z)$. Below each
# image is its code, 20 numbers in two rows, blue for −1 and red for 1, and what $D$ says: the
# probability that the pair is of the left kind. First before training, then in the trained model.


# %%
def show_pairs(title, model, x, z):
    """Pairs (x, Q(x)), then pairs (P(z), z): image, code, and what D says of them."""
    x, z = np.concatenate([x, model.decode(z)]), np.concatenate([model.encode(x), z])
    answers = model.discriminate(x, z).numpy()
    options = {"height_ratios": [5, 1], "subplot_kw": {"xticks": [], "yticks": []}}
    _, axes = plt.subplots(2, len(x), figsize=(9, 1.5), layout="constrained", **options)
    for image, strip, pixels, code, answer in zip(*axes, x, z, answers, strict=True):
        image.imshow(pixels, cmap="gray", vmin=0, vmax=1)
        strip.imshow(code.reshape(2, -1), cmap="coolwarm", vmin=-1, vmax=1, aspect="auto")
        strip.set_xlabel(f"D {answer:.2f}", fontsize=9)
    axes[0, 0].set_title(f"{title}: (x, Q(x))", loc="left")
    axes[0, len(x) // 2].set_title("(P(z), z)", loc="left")
    plt.show()


fresh = ali.build(ali.PRESETS["stable"])  # the networks of the trained model, before training
z_prior = tf.random.stateless_uniform([len(held_out), 20], [1, 2], -1, 1).numpy()
show_pairs("before", fresh, mnist.evenly(held_out, 5), z_prior[:5])
show_pairs("after", trained, mnist.evenly(held_out, 5), z_prior[:5])

# %% [markdown]
# Before training the right half shows noise, and $D$ says much the same of both halves. After it,
# both halves show digits, and codes that fill the range of the prior. $D$ is right about all ten
# pairs: it gives more than 1/2 to each on the left, and at most 0.12 to each on the right.
#
# Does $D$ look at the *pairing*, or only at images and codes by themselves? We give the trained $D$
# pairs that are wrong on purpose: a real image with the code of another image. The digits are
# sorted, so the neighbour of an image nearly always shows the same digit, and the one 250 places on
# another.

# %%
z_enc, x_gen = trained.encode(held_out).numpy(), trained.decode(z_prior)
mismatched = {
    "(x, Q(x))": (held_out, z_enc),
    "(x, Q(another x, same digit))": (held_out, np.roll(z_enc, 1, axis=0)),
    "(x, Q(another x, other digit))": (held_out, np.roll(z_enc, 250, axis=0)),
    "(x, z of the prior)": (held_out, z_prior),
    "(P(z), z)": (x_gen, z_prior),
}
print("what D says of 500 pairs           mean   5 % to 95 %")
for name, (x, z) in mismatched.items():
    answers = trained.discriminate(x, z).numpy()
    low, high = np.quantile(answers, [0.05, 0.95])
    print(f"{name:32} {answers.mean():6.2f}   {low:.2f} to {high:.2f}")
own, other = (trained.discriminate(*mismatched[name]).numpy() for name in list(mismatched)[:3:2])
print(f"an image's own code convinces D more than another digit's: {np.mean(own > other):.0%}")

# %% [markdown]
# $D$ notices. With its own code a real image has 0.75 on average. With the code of another image,
# even one of the same digit, it has 0.10 or less, though image and code are each as they should be.
# So $D$ has learned which code belongs to which image, and not only which kinds of images and codes
# go together.
#
# $D$ is not at 1/2, as theory wants it at the end. It tells the real pairs from generated ones, and
# here more than is fair: these images were among those that it learned from. On test images that it
# has not seen its mean answer to $(x, Q(x))$ is 0.65 ([card](../saved_models/ali/README.md), under
# *Limits*). The rest of what you see here is memory.

# %% [markdown]
# ## 4. Networks, losses, one iteration
#
# Each network of the article has one hidden layer. Here they are, with more settings than the
# article needs; its own are the defaults of `Config`.

# %%
notebook.source(ali.hidden_layers, ali.Encoder, ali.Decoder, ali.Discriminator)

# %%
article = ali.build(ali.PRESETS["article"])
for network in (article.encoder, article.decoder, article.discriminator, article):
    print(f"{network.name.split('_')[0]:14}{network.count_params():8,} parameters")

# %% [markdown]
# $Q$: 784 → 128 relu → 64. $P$: 64 → 128 relu → 784, a sigmoid follows in `decode`. $D$ takes image
# and code side by side, 784 + 64 = 848 numbers, → 128 relu → 1. The prior is uniform on the cube
# $(-1, 1)^{64}$. Note that $Q$'s last layer is linear: nothing keeps its codes in the cube.
#
# The losses, with $D_\mathrm{enc} = D(x, Q(x))$ and $D_\mathrm{gen} = D(P(z), z)$:
#
# $$L_D = -\,\mathrm{mean}\,[\log D_\mathrm{enc} + \log(1 - D_\mathrm{gen})], \qquad
#   L_{QP} = -\,\mathrm{mean}\,[\log D_\mathrm{gen} + \log(1 - D_\mathrm{enc})].$$
#
# $Q$ and $P$ do not minimise $-L_D$, as the formula of the game has it. They minimise $L_D$ with
# the roles swapped. Where $D$ is sure, $\log(1 - D_\mathrm{gen})$ is flat and gives $P$ no
# gradient, and $\log D_\mathrm{gen}$ is steep. Where $D$ is 1/2, both agree. $P$ takes part through
# $D_\mathrm{gen}$ and $Q$ through $D_\mathrm{enc}$: each tries to make its pairs pass for the
# other's.

# %%
notebook.source(ali.discriminator_loss, ali.generator_loss)

# %% [markdown]
# A check against the formula, written with probabilities in float64:

# %%
random = np.random.default_rng(0)
enc_logits, gen_logits = random.normal(0, 6, [2, 1000])
d_enc, d_gen = special.expit(enc_logits), special.expit(gen_logits)
formula = {
    ali.discriminator_loss: -np.mean(np.log(d_enc + 1e-8) + np.log(1 - d_gen + 1e-8)),
    ali.generator_loss: -np.mean(np.log(d_gen + 1e-8) + np.log(1 - d_enc + 1e-8)),
}
for function, expected in formula.items():
    value = float(function(np.float32(enc_logits), np.float32(gen_logits)))
    print(f"{function.__name__:19} {value:9.5f}   formula {expected:9.5f}")
    assert abs(value - expected) < 1e-4

# %% [markdown]
# The losses take logits and not probabilities, because today's TensorFlow turns the article's
# `1 - D + 1e-8` into `(1 + 1e-8) - D` in a graph, and 1 + 1e-8 is 1 in float32: the logarithm
# becomes −inf after some hundred iterations, and all of $Q$ NaN. [00](00_from_tensorflow_1.ipynb)
# shows it happen.
#
# One iteration: $D$ learns from $x$ and $z$, then $Q$ and $P$, together, from the same $x$ and $z$.

# %%
notebook.source(ali.ALI.update, ali.ALI.infer_and_generate, ali.ALI.tell_apart, ali.ALI.penalty)

# %% [markdown]
# Read it from the top. `infer_and_generate` runs $Q$ and $P$ once, under `g_tape`, which records
# what their gradients need. Then `g_tape` rests, and $D$ learns under `d_tape`; to it, the
# generated images and codes are constants. Then `g_tape` goes on: the *new* $D$ judges the same
# pairs, and the gradient goes back through $D$ into $Q$ and $P$; only their variables are handed to
# their optimiser. `cycle_loss` and `penalty` are remedies of section 8, both 0 in the article.
#
# The article ends with a picture of its running graph. Here is TensorFlow's own graph of this
# update. Operations are grouped by network and loss, and each box tells how many they are.
#
# Which variables does each half of an iteration move? An optimiser with a learning rate of 0 moves
# nothing, so we can look at each half by itself.


# %%
notebook.diagram("running_graph_ali")


# %%
def weights(model):
    """All weights of each network, as one vector."""
    networks = {"Q": model.encoder, "P": model.decoder, "D": model.discriminator}
    return {k: np.concatenate([w.numpy().ravel() for w in v.weights]) for k, v in networks.items()}


def changes(old, new):
    """The largest change of a weight in each network."""
    return ", ".join(f"{name} {np.abs(new[name] - old[name]).max():.1e}" for name in old)


batch = next(iter(ali.batches(ali.PRESETS["article"], source)))
for half, rates in {"D's half:": (0.001, 0.0), "the other half:": (0.0, 0.001)}.items():
    model = ali.build(ali.PRESETS["article"])
    model.compile(*(keras.optimizers.Adam(rate) for rate in rates))  # of D, and of Q and P
    start = weights(model)
    model.update(batch)
    print(f"largest change by {half:15}", changes(start, weights(model)))

# %% [markdown]
# ## 5. The article's model, trained
#
# The article trains for 100,000 iterations of 32 images and advises a GPU. We do 8,000 on 4,500
# images; 200 updates are one compiled call. `after` collects what we want to see after each call:
# the losses, what $D$ says of held-out images (`measure` of the model's `Report`), and 16 samples
# (its `snapshot`), the grid that the article prints.

# %%
each = notebook.budget(200, 1)  # updates a call
calls = notebook.budget(40, 2)


def train(config, calls=calls, change=lambda model: None, after=lambda model, losses: None):
    """A model after `calls` calls of `each` updates; `change` may tamper with it before."""
    model = ali.build(config)
    change(model)
    model.run_eagerly = each < 10  # a handful of updates is not worth a compilation
    callback = keras.callbacks.LambdaCallback(on_epoch_end=lambda _, losses: after(model, losses))
    batches = ali.batches(config, source).batch(each)
    options = {"shuffle": False, "verbose": 0, "callbacks": [callback]}
    model.fit(batches, steps_per_epoch=1, epochs=calls, **options)
    return model


config = dataclasses.replace(ali.PRESETS["article"], steps=each * calls)
report = ali.Report(config, source)
history, snapshots = [], [report.snapshot(ali.build(config))]


def after(model, losses):
    history.append(losses | report.measure(model))
    snapshots.append(report.snapshot(model))


article = train(config, after=after)
frames = list(report.frames(snapshots))
notebook.animation(frames[::2], fps=4)

# %%
shown = [frames[calls * k // 3][::2, ::2] for k in range(4)]
notebook.picture(np.hstack(shown))

# %%
steps = each * np.arange(1, calls + 1)
losses = {name: [row[name] for row in history] for name in ("loss_d", "loss_g")}
plots.curves(steps, losses, "nats a pair", level=2 * np.log(2))

# %%
answers = {"D(x, Q(x))": "d_encoder", "D(P(z), z)": "d_decoder"}
answers = {label: [row[name] for row in history] for label, name in answers.items()}
plots.curves(steps, answers, "mean output of D, held-out images", level=0.5)

# %% [markdown]
# The animation runs through the training; the row of pictures is its start, its end, and two stages
# between. The samples become parts of digits within seconds, grainy as in the article's pictures.
# The curves tell who wins: $D$ does, by far. It is nearly sure of every pair of either kind. Its
# loss is near 0, and that of $Q$ and $P$ is more than ten times what it should be. The game still
# moves on, because the swapped loss gives gradients where $D$ is sure.
#
# What became of $Q$? Look at its hidden layer, 128 relu units. A unit that is 0 for every image
# passes nothing on, and no gradient comes back through it, so it stays as it is.

# %%
untrained = ali.build(config)  # what `article` began with
for name, model in {"before": untrained, "after": article}.items():
    dead = np.max(model.encoder.features(held_out), axis=0) == 0
    print(f"{name} training, units of Q that are 0 for all held-out images: {dead.mean():.0%}")

# %% [markdown]
# Nearly all are dead, and what the code tells of an image has to pass through the few others. To
# see how early it happens, and whether this seed is an exception, train for fewer updates, or with
# another `seed` in `config`.
#
# And the reconstructions? Two rows of images and $P(Q(x))$ of our article model (above), and of the
# trained model (below):

# %%
few = some[::2]  # one of each digit
mine, theirs = (plots.pairs(few, reconstruct(model, few)) for model in (article, trained))
notebook.picture(np.concatenate([mine, np.full([9, mine.shape[1]], 128, np.uint8), theirs]))

# %% [markdown]
# The article's model draws the same for all images, or nearly so. It has learned to draw, and not
# to infer. More training, on more images, helps: after all 100,000 iterations on full MNIST about a
# third of the reconstructions show the digit of their image, and five seeds range from 13 % to 63 %
# ([card](../saved_models/ali/README.md)). The trained model has 96 % there.
#
# To compare models we need a number. The mean distance $\lVert x - P(Q(x)) \rVert$ alone misleads,
# since a grey blur is not far from anything. We divide it by the mean distance of the same
# reconstructions from *other* images, as the BiGAN authors' code does: 0 is perfect, and 1 means
# that a reconstruction tells nothing of its image.


# %%
def relative_error(model):
    """Mean distance of held-out images from their reconstructions, in units of other images'."""
    drawn = reconstruct(model, held_out)
    others = np.random.default_rng(0).permutation(held_out)
    own, other = (np.linalg.norm(x - drawn, axis=(1, 2)).mean() for x in (held_out, others))
    return own / other


print(f"article, {each * calls:,} updates: {relative_error(article):.2f}")
print(f"trained model:          {relative_error(trained):.2f}  (it has seen these images)")

# %% [markdown]
# ### Broken on purpose: D without the codes
#
# What does the code in the pair do? We take it away. `tell_apart` is the one place where $D$ sees
# pairs; we wrap it, so that $D$ gets zeros for all codes. Everything else stays.


# %%
def hide_codes(model):
    tell_apart = model.tell_apart
    model.tell_apart = lambda x, z_enc, x_gen, z: tell_apart(x, 0 * z_enc, x_gen, 0 * z)


def sample_distance(drawn):
    """Mean distance of a held-out image to the nearest of 500 images."""
    asked, known = (x.reshape(len(x), -1) for x in (held_out, np.asarray(drawn)))
    return judge.nearest_distances(asked, known).mean()


def five_hundred(model):
    return model.decode(model.prior(500, [0, 0])).numpy()


blind = train(config, change=hide_codes)
print("largest change by training:", changes(weights(untrained), weights(blind)))
print(f"relative error of reconstructions: {relative_error(blind):.2f}")
for name, model in {"blind": blind, "article": article}.items():
    print(f"distance to the nearest sample, {name}: {sample_distance(five_hundred(model)):.1f}")
drawn = plots.mosaic(blind.decode(blind.prior(10, [0, 0])), columns=10)
notebook.picture(np.concatenate([drawn, plots.pairs(few, reconstruct(blind, few))]))

# %% [markdown]
# The first row shows samples: fragments of digits. They are no worse than those of the article's
# model; held-out images are even a little nearer to them (last two lines). Below are images and
# what becomes of them. Their error is 1, and so was that of the article's model: in this short
# training there was nothing left to lose. What differs is the reason, and it shows in the weights.
# The encoder has not moved by a single bit. Its only way to learn was through the code that $D$
# sees. With zeros there its gradient is 0, and we have a GAN with a random encoder beside it. Keep
# `blind`; it has a surprise for section 7.

# %% [markdown]
# ## 6. What the trained model can do
#
# Sixty samples of the prior:

# %%
drawn = box.signatures["sample"](count=tf.constant(60), seed=tf.constant([1, 0]))["images"]
notebook.picture(plots.mosaic(drawn, columns=12, scale=2))

# %% [markdown]
# **Interpolations.** Take two images, go the straight way between their codes, and decode what lies
# on the way. `digits.interpolations` needs only something that has `encode` and `decode`, so it
# takes the functions of the trained model. It also takes an "encoder" that hands on the pixels as
# they are: then the straight way is the plain blend. First the codes, then the pixels; the first
# and the last column are the real images.

# %%
pixels = SimpleNamespace(
    encode=lambda images: tf.reshape(images, [-1, 784]),
    decode=lambda z: tf.reshape(z, [-1, 28, 28]),
)
ends = few[[3, 1, 4, 8, 7, 9]]  # from a 3 to an 8, from a 1 to a 7, from a 4 to a 9
by_codes, by_pixels = (digits.interpolations(model, ends, rows=3) for model in (trained, pixels))
notebook.picture(np.concatenate([by_codes, np.full_like(by_codes[:9], 128), by_pixels]))

# %% [markdown]
# In the blend the first digit fades out while the second fades in; the middle is two digits on top
# of each other. On the way between the codes, most stations look like something that a hand could
# have written: strokes bend and close. The second and the second-last column are reconstructions,
# so where they differ from the real image beside them, you see the error of $P(Q(x))$.
#
# `latent_map.json`, beside the model, has a code for each digit, so that we can go from any digit
# to any other.

# %%
codes = json.loads((directory / "latent_map.json").read_text())["labels"]
ways = [np.linspace(codes[a], codes[b], 11) for a, b in ("38", "17", "49", "05")]
drawn = trained.decode(np.float32(np.concatenate(ways)))
notebook.picture(plots.mosaic(drawn, columns=11))

# %% [markdown]
# ## 7. What a 1-NN score means
#
# Is the code any good? A common test hides all labels in training, encodes a labelled set, and then
# gives each held-out image the label of its *nearest neighbour* in the space of codes. The share of
# right labels is the 1-NN accuracy. Guessing has 10 %. BiGAN's paper reports 97.39 % on MNIST for
# features of its encoder. Before being impressed, ask what the same test says of features that
# nobody has learned.
#
# 500 answers are a sample. If $k$ of $n$ are right, the share $\hat a = k/n$ has a standard error
# of $\sqrt{\hat a (1 - \hat a) / n}$: at 90 % and $n = 500$ it is 1.3 points. We print the 95 %
# interval by Wilson's formula, which also works near 100 %.

# %%
spaces = {
    "raw pixels": lambda x: x.reshape(len(x), -1),
    "article's Q, hidden layer, untrained": untrained.encoder.features,
    "article's Q, hidden layer, trained": article.encoder.features,
    "article's Q, z, untrained": untrained.encode,
    "article's Q, z, trained": article.encode,
    "z of `blind`, whose Q learned nothing": blind.encode,
    "stable Q, z, untrained": fresh.encode,
    "stable Q, z, the trained model": trained.encode,
}


def nearest(features, chosen=slice(None)):
    """1-NN accuracy of the held-out digits among the `chosen` of the others."""
    known, asked = np.asarray(features(images[chosen])), np.asarray(features(held_out))
    return judge.nearest_neighbour_accuracy(known, labels[chosen], asked, held_out_labels)


print("1-NN accuracy on 500 held-out digits         95 % interval")
for name, features in spaces.items():
    right = round(nearest(features) * len(held_out))
    low, high = stats.binomtest(right, len(held_out)).proportion_ci(method="wilson")
    print(f"{name:38}{right / len(held_out):6.1%}   {low:.1%} to {high:.1%}")

# %% [markdown]
# Read it slowly.
#
# - Raw pixels have the best score of all. An image and its nearest neighbour in pixels mostly show
#   the same digit: MNIST is that easy.
# - An *untrained* encoder has nearly as much in its hidden layer. A random linear map into many
#   dimensions keeps distances roughly, and relu does not destroy them. These layers know nothing of
#   digits; they pass on what the pixels had, and the less, the fewer numbers are left (128, 64,
#   20).
# - The article's trained encoder has far less than the untrained one, in fact about what guessing
#   has. Its few live units send all images to few codes. `blind`, whose encoder learned nothing at
#   all, has exactly the score of the untrained one and so beats the properly trained model by far.
# - The trained model's code of 20 numbers has a little more than its own baseline, the same network
#   untrained, but on 500 digits the intervals overlap; and it has far less than raw pixels.
#
# So a score of 97 % by itself says next to nothing. What counts is the distance from the baselines,
# in units of the interval. On full MNIST, where 10,000 test images make the interval about ±0.4
# points at 96 % and ±0.8 at 80 %, the [card](../saved_models/ali/README.md) has for the last hidden
# layer of $Q$: trained 96.0 %, untrained 96.0 %, raw pixels 96.9 %; for $z$: 82.3 % and untrained
# 74.0 %. What the encoder has *learned* is nothing that this score can see in the one, and eight
# points in the other, and neither beats the pixels. tf_gen prints baselines beside every figure of
# this kind: `score`, which is the same for all models of digits, names both layers and makes an
# untrained network; `judge.score` measures the layers of both, and raw pixels.

# %%
notebook.source(digits.Report.score)

# %% [markdown]
# ## 8. The remedies of `stable`
#
# The preset `stable`, with which the trained model was made, keeps the article's iteration and
# changes what made it fail. Each remedy is a field of `Config`:
#
# - `cycle`, 0 → 0.1: asks for $P(Q(x)) = x$, since matching joints leaves the coupling open
#   (section 2; ALICE, arXiv:1709.01215).
# - `q_cycle`, 1 → 4: $Q$ learns four times as strongly from the cycle's error as $P$ does. $P$ can
#   draw many digits whose code $Q$ does not find by itself.
# - `bounded`: $Q$ ends in tanh. Otherwise $D$ can tell a pair by a $z$ outside of the cube,
#   whatever the image.
# - `batch_norm`: $D$ sees a batch of one kind of pairs as a whole, so a $P$ that always draws the
#   same is found out. ($Q$ and $P$ have it, too.)
# - `leak`, 0 → 0.2, in $Q$ and $D$: $Q$ and $P$ learn through $D$'s gradient, which relu cuts off
#   wherever a unit of $D$ is off; and units of $Q$ cannot die as in section 5.
# - `latent_dim`, 64 → 20: the fewer dimensions the cube has, the less of it is empty of codes of
#   images, where the cycle teaches $P$ nothing.
# - `hidden_layers` and `z_layer`, 1 → 2: $z$ enters $D$ at the second layer, beside features of the
#   image and not beside 784 pixels (BiGAN).
# - `l2`, 0 → 2.5e-5: keeps the kernels small, $D$'s too (BiGAN).
# - `beta_1`, 0.9 → 0.5: Adam remembers less of where the other networks were (Radford et al.,
#   arXiv:1511.06434).
# - `final_rate`, 1 → 0.01: networks that follow each other circle; a falling rate lets what is left
#   of the circling die out.
# - `d_rate`, 1 → 0.5: $D$ learns at half the rate of $Q$ and $P$, which keeps it from outrunning
#   them in a long training.
# - `hidden_dim` 512, `batch_size` 64, `steps` 60,000: what two cores train in a quarter of an hour.
#
# A list of remedies proves nothing. So we train a small `stable`, with the article's 128 units and
# batches of 32, for 4,000 updates, then again with one remedy taken away at a time. `samples` is
# the mean distance of a held-out image to the nearest of 500 samples, beside the same of 500 real
# images. (It finds out a $P$ that draws noise or always the same; it does not find out blur, for a
# blurred digit is near to many images.) $D$'s loss is 1.39 where it is fooled, and 0 where it is
# always right and sure.

# %%
calls_stable = notebook.budget(20, 1)
small = {"hidden_dim": 128, "batch_size": 32, "steps": each * calls_stable}
stable = dataclasses.replace(ali.PRESETS["stable"], **small)
without = {
    "stable, small": {},
    "no cycle": {"cycle": 0.0},
    "not bounded": {"bounded": False},
    "no batch_norm": {"batch_norm": False},
}
real = sample_distance(mnist.evenly(images, 500))
print(f"                reconstructions   D's loss   samples (real: {real:.1f})")
rows = [("images", few)]
for name, change in without.items():
    log, changed = [], dataclasses.replace(stable, **change)
    model = train(changed, calls_stable, after=lambda _, losses, log=log: log.append(losses))
    drawn = five_hundred(model)
    figures = relative_error(model), log[-1]["loss_d"], sample_distance(drawn)
    print(f"{name:15}{figures[0]:12.2f} {figures[1]:15.2f} {figures[2]:16.1f}")
    rows += [(f"{name}: samples", drawn[:10]), ("P(Q(x))", reconstruct(model, few))]
plots.rows(rows)

# %% [markdown]
# For each line of the table the picture has samples and, below them, reconstructions of the ten
# images at the top.
#
# - *stable*: within seconds a small model of the same kind reconstructs what the article's did not
#   with twice as many updates. The samples are still rough.
# - *no cycle*: reconstructions tell nothing of their image, and the samples are noise, at this size
#   and after so few updates. (The preset `bigan` has no cycle either; larger, slower
#   and for far longer, it draws well, and a third of its reconstructions are another digit:
#   [card](../saved_models/ali/README.md).)
# - *not bounded*: hardly a difference in so short a training. In a longer one the cycle can teach
#   $Q$ and $P$ to copy images by codes outside of the cube, where the prior never draws.
# - *no batch_norm*: $D$ is further ahead, as its loss says. The samples look sharper, but they are
#   farther from real images.
#
# One seed and 4,000 updates tell little: only the cycle's worth is beyond doubt here. The
# [card](../saved_models/ali/README.md) has what other remedies are worth, over seeds and on all
# images.

# %% [markdown]
# ## Take it away
#
# The SavedModel has five signatures, and needs TensorFlow alone:

# %%
for name in ("decode", "sample", "encode", "reconstruct", "discriminate"):
    signature = box.signatures[name]
    inputs = signature.structured_input_signature[1]
    given = ", ".join(f"{key} {list(spec.shape)}" for key, spec in sorted(inputs.items()))
    made = ", ".join(f"{k} {v.shape.as_list()}" for k, v in signature.structured_outputs.items())
    print(f"{name:13} {given:37} -> {made}")

# %% [markdown]
# An example of use: does $Q$ know a digit that is not in its place? We shift the held-out digits to
# the right by 0 to 4 pixels, encode them, and decode the codes. In the picture each row of images
# is followed by a row of their reconstructions. (`np.roll` brings what leaves at the right back in
# at the left.)

# %%
rows = []
for shift in range(5):
    x = np.roll(held_out, shift, axis=2)
    z = trained.encode(x)
    drawn = trained.decode(z)
    error, said = np.mean((x - drawn) ** 2), np.mean(trained.discriminate(x, z))
    print(f"{shift} pixels: mean squared error {error:.3f}, D(x, Q(x)) {said:.2f}")
    rows += [x[25::50], drawn[25::50]]
notebook.picture(plots.mosaic(np.concatenate(rows), 10, scale=2))

# %% [markdown]
# One pixel does little harm. From two on, some digits become others. MNIST's digits are centred, so
# a shifted one is like nothing in the data. To us it is the same digit; these networks have a
# weight for each pixel and no notion of a shift. $D$ notices (though the 0.75 of digits in their
# place is partly memory, see section 3), so it can serve as a warning: where it says nearly 0, do
# not trust the code.
#
# In the shell, no Python to write:
#
# ```sh
# python -m tf_gen.sample ali --digit 7 --out seven.png
# python -m tf_gen.sample ali --interpolate 3 8 --count 12 --out way.png
# python -m tf_gen.sample ali --count 100 --seed 1 --out samples.png
# python -m tf_gen.train ali --preset stable --data MNIST
# python -m tf_gen.evaluate ali --run runs/ali --data MNIST
# ```
#
# `MNIST` is a directory with the four original files; without `--data` tf_gen finds digits of its
# own. The [card](../saved_models/ali/README.md) has TensorFlow Serving and LiteRT, and all figures
# with their commands. The model is one file, [tf_gen/models/ali.py](../tf_gen/models/ali.py); what
# it shares with the VAE is in [tf_gen/tasks/digits.py](../tf_gen/tasks/digits.py), the scores are
# in [tf_gen/tasks/judge.py](../tf_gen/tasks/judge.py). Where to read on: the papers named above,
# and for what the article teaches of `tf.Variable`, `tf.placeholder` and `Session`,
# [00](00_from_tensorflow_1.ipynb).

# %% [markdown]
# ## Exercises
#
# **1.** Section 2 derived $D^* = q/(q + p)$. Let a $D$ that is a table of nine logits learn it by
# gradient descent on `ali.discriminator_loss`, for $q$ and $p$ in proportion to
#
# $$\begin{pmatrix} 2 & 1 & 0 \\ 0 & 2 & 1 \\ 1 & 0 & 2 \end{pmatrix} \quad\text{and}\quad
#   \begin{pmatrix} 1 & 1 & 1 \\ 1 & 1 & 1 \\ 1 & 1 & 1 \end{pmatrix}.$$

# %% tags=["answer"]
q, p = np.array([[2, 1, 0], [0, 2, 1], [1, 0, 2]]), np.ones([3, 3], int)
q_pairs, p_pairs = (np.repeat(np.arange(9), table.ravel()) for table in (q, p))
logits = tf.Variable(tf.zeros([9]))
for _ in range(200):
    with tf.GradientTape() as tape:
        loss = ali.discriminator_loss(tf.gather(logits, q_pairs), tf.gather(logits, p_pairs))
    logits.assign_sub(5 * tf.convert_to_tensor(tape.gradient(loss, logits)))
print("learned:\n", np.round(tf.sigmoid(logits).numpy().reshape(3, 3), 2))
print("q / (q + p):\n", np.round(q / (q + p), 2))

# %% [markdown]
# **2.** Hiding the codes left $Q$ where it was. Instead, let $D$ see real codes, but each beside
# the wrong image: pass on both kinds of codes rolled by one place in the batch. Marginals can be
# matched then, and the pairing cannot. What does $Q$ learn?


# %% tags=["answer"]
def shuffle_codes(model):
    tell_apart = model.tell_apart
    model.tell_apart = lambda x, z_enc, x_gen, z: tell_apart(
        x, tf.roll(z_enc, 1, axis=0), x_gen, tf.roll(z, 1, axis=0)
    )


shuffled = train(config, change=shuffle_codes)
print(f"relative error of reconstructions: {relative_error(shuffled):.2f}")
models = {"wrong pairs": shuffled, "right pairs": article, "untrained": untrained}
print("1-NN accuracy in z:", *(f"{k} {nearest(m.encode):.0%} " for k, m in models.items()))
# Q moves now, to no purpose: any encoder will do whose codes, as a crowd, look like the prior.
# The article's model, trained as briefly, is no better: right pairs must also be made to count.

# %% [markdown]
# **3.** The BiGAN argument gives two inverses, $P(Q(x)) = x$ and $Q(P(z)) = z$. We looked at the
# first. Measure the second for the trained model: how far is $Q(P(z))$ from $z$, in units of its
# distance from another $z$? Which numbers of $z$ survive?

# %% tags=["answer"]
z = z_prior
back = trained.encode(trained.decode(z)).numpy()
own, other = (np.linalg.norm(back - v, axis=1).mean() for v in (z, np.roll(z, 1, axis=0)))
print(f"distance from z: {own:.2f}, from another z: {other:.2f}, ratio {own / other:.2f}")
correlations = [np.corrcoef(z[:, k], back[:, k])[0, 1] for k in range(20)]
print("correlation of each number with itself:", *(f"{c:.1f}" for c in sorted(correlations)))
# Worse than images: the cycle asks for P(Q(x)) = x only. Yet all numbers come back in part.

# %% [markdown]
# **4.** 1-NN with 4,500 labels favours raw pixels. Would codes win if labels were rare? Compare
# pixels, the trained model's $z$, and pixels of its reconstructions, with 1, 10 and 100 labelled
# digits of each kind.

# %% tags=["answer"]
spaces = {
    "pixels": lambda x: x.reshape(len(x), -1),
    "z": trained.encode,
    "pixels of P(Q(x))": lambda x: reconstruct(trained, x).reshape(len(x), -1),
}
for count in (1, 10, 100):
    scores = {name: [] for name in spaces}
    for _ in range(notebook.budget(10, 2)):
        chosen = [random.choice(np.flatnonzero(labels == k), count, False) for k in range(10)]
        for name, features in spaces.items():
            scores[name].append(nearest(features, np.concatenate(chosen)))
    print(count, "a digit:", ", ".join(f"{k} {np.mean(v):.0%}" for k, v in scores.items()))
# z stays behind the pixels with few labels, too, though the model has seen these images.
# P(Q(x)) does as well as x with few labels: z keeps the digit, its distances do not show it.
