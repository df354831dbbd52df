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
# # 0. From TensorFlow 1
#
# Three of the four articles behind tf_gen come with TensorFlow 1 programs: 变分自编码器 (the VAE),
# 生成对抗网络介绍 (the GAN that learns a Gaussian) and ALI的Tensorflow炼成与GAN科普 (ALI). Their
# code is full of names that TensorFlow 2 has dropped: `Session`, `placeholder`, `feed_dict`,
# `Saver`, collections, queues, variable scopes. This notebook explains what each of them was for
# and what replaced it. TensorFlow 2 still contains TensorFlow 1 as `tf.compat.v1`, so here the old
# and the new form run side by side. (The fourth article, GANs 很难, uses PyTorch.)
#
# You build one small GAN in both styles and check that both give the same losses. You also see two
# traps for everyone who ports old code: an optimiser whose state starts from another value, and a
# logarithm, `log(1 - D + 1e-8)`, that is finite on paper and $-\infty$ in a compiled graph. The
# second trap destroys the original ALI program after a few hundred iterations, and the losses that
# it prints look perfect from then on.
#
# Sections called *Further* can be skipped at first reading.
#
# **You need** Python, a little Keras, and derivatives. You need neither TensorFlow 1 nor a GPU. All
# data come with the packages, so nothing else is downloaded. The first code cell installs tf_gen if
# it is missing.
#
# **Time**: one to two minutes on two cores.

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
import timeit

import keras
import numpy as np
import tensorflow as tf

from tf_gen import base, mnist, numerics, plots, savedmodel
from tf_gen.figures import tensorflow_1 as figures
from tf_gen.models import ali, gaussian_gan, vae

v1 = tf.compat.v1  # TensorFlow 1, inside TensorFlow 2


# %%
def sample(name, count):
    model = tf.saved_model.load(str(savedmodel.find(Path(name))))
    return model.signatures["sample"](count=tf.constant(count), seed=tf.constant([1, 2]))


digits = {name: sample(name, 64)["images"].numpy() for name in ("vae", "ali")}
points = {name: sample(name, 10_000)["x"].numpy() for name in ("gaussian_gan", "tiny_gan")}
figures.shipped_models(digits, points, {"gaussian_gan": (4, 0.5), "tiny_gan": (4, 1.25)})

# %% [markdown]
# These samples come from the four trained models in this repository, one for each article. Two
# models generate handwritten digits. The other two generate numbers, and the orange curve is the
# normal distribution that they had to learn. The function `sample` makes two calls: it loads a
# model, and it calls one of the model's functions. The programs of the articles need more steps, in
# words that are explained below: import or rebuild a graph, open a Session, restore the variables
# into it, find the right tensors, and feed the placeholders.
#
# ## Old names and new names
#
# Use this table as a reference while you read the articles. The last column says which of them uses
# the name: V is the VAE, G the Gaussian GAN, A is ALI. (The listings of the ALI article are lost. A
# marks the names that occur in its text, or in the public script that matches the text.)
#
# | TensorFlow 1 | today | what changed | used by |
# |---|---|---|---|
# | `tf.Session`, `sess.run(y)` | nothing, or `tf.function` | values exist at once | V G A |
# | `tf.InteractiveSession`, `y.eval()` | nothing, `y.numpy()` | always interactive | A |
# | `tf.Variable` | `tf.Variable`, `keras.Variable` | holds its value itself | V G A |
# | `tf.global_variables_initializer` | nothing | the constructor does it | V G A |
# | `initialize_all_variables` | nothing | the older name | G |
# | `local_variables_initializer` | nothing | the constructor does it | G |
# | `tf.placeholder(tf.float32, [None, 1])` | an argument, `tf.TensorSpec` | you pass it | V G A |
# | `feed_dict` | the arguments of a call | cannot replace other tensors | V G A |
# | `tf.get_variable`, `variable_scope`, `reuse` | one Keras layer | no names needed | G |
# | `tf.trainable_variables` | `model.trainable_variables` | an attribute | G |
# | `tf.get_collection` | an attribute | no global list | V |
# | `tf.add_to_collection` | an attribute, or a signature | no global list | V |
# | `tf.train.Saver`, `restore` | `tf.train.Checkpoint` | attributes, not names | V |
# | `tf.train.Saver`, `import_meta_graph` | `tf.saved_model` | signatures, not tensors | V |
# | `tf.get_default_graph` | nothing | there is no default graph | V |
# | queues, readers, `tf.train.batch` | `tf.data` | you iterate over it | V |
# | `Coordinator`, `start_queue_runners` | nothing | `tf.data` manages its threads | V |
# | `minimize(loss, var_list)` | `tf.GradientTape`, `optimizer.apply` | two steps | V G A |
# | `tf.train.RMSPropOptimizer` | `vae.RMSpropTF1` of tf_gen | Keras starts at 0, not 1 | V |
# | `tf.train.AdamOptimizer` | `keras.optimizers.Adam(epsilon=1e-8)` | Keras default 1e-7 | G A |
# | `tf.train.GradientDescentOptimizer` | `keras.optimizers.SGD` | renamed | G |
# | `tf.train.exponential_decay` | `keras.optimizers.schedules` | the optimiser counts steps | G |
# | `tf.random_normal` | `tf.random.stateless_normal` | the seed is an argument | V |
# | `tf.set_random_seed` | `keras.utils.set_random_seed` | also seeds Python and NumPy | G |
# | `tf.log` | `tf.math.log` | renamed | V G A |
# | `tf.concat(1, values)`, before 1.0 | `tf.concat(values, 1)` | the order of arguments | G |
#
# ## One program, twice
#
# Here is the Gaussian GAN from the full listing at the end of its article. A generator $G$ turns
# noise $z$ into a number. A discriminator $D$ estimates the probability that a number comes from
# the data, $N(4, 0.5)$: a normal distribution with mean 4 and standard deviation 0.5. (Notebook
# [02](02_gaussian_gan.ipynb) explains the losses.) We begin with the TensorFlow 1 program. It
# describes everything in advance: placeholders for the inputs, networks as functions that add nodes
# to a graph, losses, and two optimisers. Nothing is computed in this cell yet.


# %%
def network(x, scope, sizes, activation, start, reuse=None):
    with v1.variable_scope(scope, reuse=reuse):
        for i, size in enumerate(sizes):
            w = v1.get_variable(f"w{i}", [x.shape[1], size], initializer=start)
            b = v1.get_variable(f"b{i}", [size], initializer=v1.zeros_initializer())
            x = x @ w + b if i == len(sizes) - 1 else activation(x @ w + b)
    return x


def log(p):
    return tf.math.log(tf.maximum(p, 1e-5))


old_graph = tf.Graph()
with old_graph.as_default():
    real, noise = v1.placeholder(tf.float32, [None, 1]), v1.placeholder(tf.float32, [None, 1])
    normal = v1.random_normal_initializer(stddev=1.0)
    generated = network(noise, "G", [4, 1], tf.nn.softplus, normal)
    d_real = tf.sigmoid(network(real, "D", [8, 8, 8, 1], tf.nn.relu, normal))
    d_generated = tf.sigmoid(network(generated, "D", [8, 8, 8, 1], tf.nn.relu, normal, reuse=True))
    loss_d = tf.reduce_mean(-log(d_real) - log(1 - d_generated))
    loss_g = tf.reduce_mean(-log(d_generated))
    d_params, g_params = v1.trainable_variables("D/"), v1.trainable_variables("G/")
    train_d = v1.train.AdamOptimizer(0.001).minimize(loss_d, var_list=d_params)
    train_g = v1.train.AdamOptimizer(0.001).minimize(loss_g, var_list=g_params)
    initialise = v1.global_variables_initializer()

# %% [markdown]
# A Session holds the values of the variables. Each call of `run` feeds the placeholders, computes
# the loss, and executes the training operation. $D$ learns first, then $G$ learns on new noise:

# %%
old_session = v1.Session(graph=old_graph)
old_session.run(initialise)


def old_update(batch):
    old_d, _ = old_session.run([loss_d, train_d], {real: batch["x"], noise: batch["z_d"]})
    old_g, _ = old_session.run([loss_g, train_g], {noise: batch["z_g"]})
    return old_d, old_g


# %% [markdown]
# The next two cells are the same program in TensorFlow 2 and Keras 3. Networks are objects, and an
# update is a Python function. The decorator `tf.function` compiles it into a graph at its first
# call. You can edit the cells as you like.


# %%
def dense(units, activation=None):
    normal = keras.initializers.RandomNormal(stddev=1.0)
    return keras.layers.Dense(units, activation, kernel_initializer=normal)


keras.utils.set_random_seed(1)
G = keras.Sequential([keras.Input([1]), dense(4, "softplus"), dense(1)])
D = keras.Sequential([keras.Input([1]), *[dense(8, "relu") for _ in range(3)], dense(1)])
d_optimizer = keras.optimizers.Adam(0.001, epsilon=1e-8)
g_optimizer = keras.optimizers.Adam(0.001, epsilon=1e-8)


def draw_batch(rng, size=8):
    x = np.sort(rng.normal(4, 0.5, size))
    z_d, z_g = np.linspace(-8, 8, size) + rng.uniform(0, 0.01, [2, size])
    return {name: np.float32(v)[:, None] for name, v in (("x", x), ("z_d", z_d), ("z_g", z_g))}


# %%
def log_sigmoid(logits):  # log(max(p, 1e-5)) for p = sigmoid(logits)
    return tf.maximum(tf.math.log_sigmoid(logits), np.log(1e-5))


@tf.function
def new_update(batch):
    with tf.GradientTape() as tape:
        real, generated = D(batch["x"]), D(G(batch["z_d"]))
        loss_d = tf.reduce_mean(-log_sigmoid(real) - log_sigmoid(-generated))
    d_optimizer.apply(tape.gradient(loss_d, D.trainable_variables), D.trainable_variables)

    with tf.GradientTape() as tape:
        loss_g = tf.reduce_mean(-log_sigmoid(D(G(batch["z_g"]))))
    g_optimizer.apply(tape.gradient(loss_g, G.trainable_variables), G.trainable_variables)
    return loss_d, loss_g


# %% [markdown]
# Here `D` returns a *logit* $l$, the number before the sigmoid $\sigma$. The probability is
# $D = \sigma(l)$, and $1 - D = \sigma(-l)$. The section *The cure: logits* below shows why.
#
# Do the two programs agree? And do they agree with tf_gen's own model? Its preset `listing` is a
# configuration with the constants of this listing. We copy the weights of tf_gen's model into both
# programs and give all three the same batches, noise included. (`notebook.budget(full, small)`
# returns `full`. Only the project's tests use `small`, to save time.)

# %%
package = gaussian_gan.build(gaussian_gan.PRESETS["listing"])
package_update = tf.function(package.update)
D.set_weights(package.discriminator.get_weights())
G.set_weights(package.generator.get_weights())
weights = [*D.get_weights(), *G.get_weights()]
with old_graph.as_default():
    for variable, value in zip(d_params + g_params, weights, strict=True):
        variable.load(value, old_session)

rng = np.random.default_rng(0)
for update in range(1, notebook.budget(300, 10) + 1):
    batch = draw_batch(rng)
    old, new, theirs = old_update(batch), new_update(batch), package_update(batch)
    tolerance = 1e-5 if update == 1 else 1e-3  # differences of rounding grow from update to update
    np.testing.assert_allclose([new, (theirs["loss_d"], theirs["loss_g"])], [old, old], tolerance)
print("old:", *np.float32(old), "new:", *np.float32(new))

# %% [markdown]
# The assertions hold: in the first update all three programs agree to a relative error of
# $10^{-5}$. Later updates are allowed $10^{-3}$: the programs add the same numbers in another
# order, so the last digits of float32 differ, and each update passes the difference on to the next.
# The line shows `loss_d` and `loss_g` of the last update. From here on we use tf_gen's models where
# we can. They compute the same losses and run hundreds of updates in one compiled program.
#
# Now your program trains:

# %%
losses = [new_update(draw_batch(rng)) for _ in range(notebook.budget(3000, 20))]
x = G(np.linspace(-8, 8, 10_000)[:, None]).numpy()
print(f"mean {x.mean():.2f}, standard deviation {x.std():.2f}")
figures.training(np.array(losses), x, 4, 0.5)

# %% [markdown]
# The mean and the standard deviation are near 4 and 0.5, but the shape is not a bell. The losses
# oscillate: $D$ and $G$ chase each other in circles. (A *nat* is the unit of natural logarithms.)
# Small GANs are hard to train: with more updates or another seed, this program gives another shape.
# [Notebook 02](02_gaussian_gan.ipynb) shows why and repairs the training. The histogram
# `gaussian_gan` in the first picture comes from a model trained in the repaired way.
#
# The next sections take the old names one by one.
#
# ## Graph and Session
#
# In TensorFlow 1 a line like `y = 3 * x` computes nothing. It adds a node to a **graph**, which is
# a description of a computation. You get a number when a **Session** runs a part of the graph:
# `session.run(y)` finds everything that `y` depends on, hands it to the C++ runtime, and returns
# the value. The reason for this design was speed. Python describes the computation once, and C++
# executes it many times, on any device.
#
# TensorFlow 2 computes at once, in *eager* mode. Graphs are still available when you need their
# speed: `tf.function` makes a graph from a Python function, and a call of this function does what
# `session.run` did.
#
# The block `with tf.Graph().as_default():` opens a graph, and the code inside the block follows the
# rules of TensorFlow 1. This is how old and new code share this notebook. Many converted scripts
# begin with `tf.compat.v1.disable_v2_behavior()` instead. That call switches the whole process to
# the old rules, and Keras 3 models can no longer be trained in it.

# %%
with tf.Graph().as_default() as graph:
    y = 3.0 * tf.constant(2.0)
    print("old, y itself:", y)
    print("old, session.run(y):", v1.Session().run(y))
    print("old, nodes of the graph:", [op.name for op in graph.get_operations()])

print("new, at once:", (3.0 * tf.constant(2.0)).numpy())
print("new, as a graph:", tf.function(lambda x: 3.0 * x)(tf.constant(2.0)).numpy())

# %% [markdown]
# A tensor of the old kind has a name, a type and a shape, but no value. The tensors inside a
# `tf.function` are of this kind too. Values exist only outside the function, as the arguments and
# the results of a call. The graph of a real program is larger. This is the one that `tf.function`
# makes of an update of tf_gen's `gaussian_gan`, with its operations in groups (the ALI article ends
# with such a picture, which it calls the *running graph*):

# %%
notebook.diagram("running_graph_gaussian_gan")

# %% [markdown]
# ## Variable and its initialiser
#
# A **Variable** is a node that keeps its value between runs. Weights are variables. The graph holds
# the description of a variable, and the *Session* holds its value. This has three consequences. A
# variable has no value until the Session has run its initialiser;
# `tf.global_variables_initializer()` initialises all variables at once (the text of the Gaussian
# article uses its older name, `initialize_all_variables`). Two Sessions on the same graph have two
# values of the same variable. And the value is lost when the Session is closed.
#
# In TensorFlow 2 a `tf.Variable` is a Python object that has its value from the beginning.

# %%
with tf.Graph().as_default(), v1.Session() as session:
    weight = v1.Variable(1.0, name="weight")
    grow = v1.assign_add(weight, 0.5)  # a node; nothing grows yet
    print("old, without a value:", session.run(v1.report_uninitialized_variables()))
    session.run(v1.global_variables_initializer())
    print("old:", session.run(grow))

weight = tf.Variable(1.0, name="weight")
print("new:", weight.assign_add(0.5).numpy())

# %% [markdown]
# ## placeholder and feed_dict
#
# A **placeholder** is an input of the graph: it has a type and a shape (`None` stands for any
# length), but no value. A **feed_dict** gives it a value for one run. The ALI article explains the
# placeholder by contrast with the variable: a variable keeps its value from run to run, while
# `sess.run(y_example)` fails if `y_example` is a placeholder and no `feed_dict` is given. The next
# cell shows this failure.
#
# Today you write a function with an argument instead of a placeholder, and you call the function
# instead of feeding. If an argument is missing, Python itself complains. The type and the shape
# that the placeholder declared become the `tf.TensorSpec` of an input signature.

# %%
with tf.Graph().as_default(), v1.Session() as session:
    y_example = v1.placeholder(tf.float32, [None], name="y_example")
    try:
        session.run(y_example)
    except tf.errors.InvalidArgumentError as error:
        print("old, not fed:", next(t for t in str(error).splitlines() if "must feed" in t))
    print("old, fed:", session.run(tf.reduce_sum(y_example**2), {y_example: [1.0, 2.0, 3.0]}))


sum_of_squares = tf.function(lambda y: tf.reduce_sum(y**2), [tf.TensorSpec([None], tf.float32)])
print("new, called:", sum_of_squares(tf.constant([1.0, 2.0, 3.0])).numpy())

# %% [markdown]
# `feed_dict` can do more than fill placeholders: for one run it can replace the value of *any*
# tensor in the graph. You need this in exercise 1.
#
# ## Variable scopes: one discriminator, called twice
#
# In a GAN the discriminator $D$ sees both real and generated points. In TensorFlow 1 a network is
# not an object. It consists of the nodes that some Python function has added to the graph, and if
# the function is called twice, it adds two networks with separate weights. The Gaussian article
# shares the weights with **variable scopes**. Inside `tf.variable_scope("D")`, the call
# `tf.get_variable("w")` asks the graph for a variable called `D/w`, and `reuse` says whether this
# variable must be new or must exist already. The function `network` above does the same. The next
# cell shows what happens without `reuse`:

# %%
with old_graph.as_default():
    try:
        network(generated, "D", [8, 8, 8, 1], tf.nn.relu, normal)
    except ValueError as error:
        print("old, without reuse:", str(error).split(". ")[0])
print("old, D called twice:", *[v.name for v in d_params])
print("new, D called twice:", *[f"{v.path.split('/')[-1]}{v.shape}" for v in D.variables])

# %% [markdown]
# In both programs $D$ was called twice and has four weight matrices (*kernels*) and four biases. A
# Keras layer owns its weights, so every call of the same object uses the same weights. Names play
# no role.
#
# ## Optimisers and var_list
#
# $D$ learns to lower `loss_d`, and this step must not change $G$. Then $G$ learns to lower
# `loss_g`, whose gradient passes through $D$, and this step must not change $D$. In TensorFlow 1 a
# call of `optimizer.minimize(loss, var_list=...)` adds nodes to the graph that compute the
# gradients and update the variables of `var_list`. Without `var_list` it updates everything in the
# collection `TRAINABLE_VARIABLES`. Then $D$'s step would also change $G$, so that $D$ can recognise
# generated points more easily.
#
# TensorFlow 2 separates the two halves. A `tf.GradientTape` records a computation and
# differentiates it, and `optimizer.apply(gradients, variables)` updates the variables. You write
# the list of variables in both places. Compare your `new_update` with the one of tf_gen:

# %%
notebook.source(gaussian_gan.GaussianGAN.update)

# %% [markdown]
# Both compute the same losses. tf_gen stacks the real and the generated batch, so that one call of
# $D$ is enough for both, and returns the losses by name.
#
# ## Collections and Saver: what the VAE article complains about
#
# A **collection** is a named list that belongs to the graph. `tf.Variable` adds each new variable
# to the collection `GLOBAL_VARIABLES` and, unless told otherwise, to `TRAINABLE_VARIABLES`, where
# `minimize` finds it. With `tf.add_to_collection` a program could store tensors that it wanted to
# find again later.
#
# A **Saver** writes two things. The *meta graph* (`.meta`) contains all nodes and collections. The
# *checkpoint* (`.data` and `.index`) contains the values of the variables, stored by name. (A small
# file called `checkpoint` says which checkpoint is the newest.) Another program can read both with
# `import_meta_graph` and `restore`, and it does not need the code that built the graph.
#
# The VAE article saves its trained model this way and notices too late that its collection `recon`
# contains only the reconstruction. A reconstruction needs an image as input, but the author wants
# the decoder, whose input is $z$. The next cell builds the article's graph, gives its ten variables
# the weights of [the trained model in this repository](../saved_models/vae/README.md), and saves it
# with a Saver. (The loss is simplified; it only makes RMSProp create its own variables, as in the
# article. What the article calls `z_std` is the logarithm of the variance.)

# %%
model = tf.saved_model.load(str(savedmodel.find(Path("vae"))))
arrays = [variable.numpy() for variable in model.signatures["reconstruct"].variables]
arrays = arrays[0::2] + arrays[1::2]  # five kernels, then five biases, as in the article
folder = tempfile.TemporaryDirectory()
prefix = f"{folder.name}/VAE_mnist"

with tf.Graph().as_default(), v1.Session() as session:
    w = [v1.Variable(array) for array in arrays]  # instead of 30,000 updates
    x = v1.placeholder(tf.float32, [None, 784])
    h = tf.tanh(x @ w[0] + w[5])
    z_mean, z_std = h @ w[1] + w[6], h @ w[2] + w[7]
    z = z_mean + tf.exp(z_std / 2) * v1.random_normal(tf.shape(z_std))
    recon = tf.sigmoid(tf.tanh(z @ w[3] + w[8]) @ w[4] + w[9])
    v1.add_to_collection("recon", recon)
    v1.train.RMSPropOptimizer(0.001).minimize(tf.reduce_mean((recon - x) ** 2))
    session.run(v1.global_variables_initializer())
    v1.train.Saver().save(session, prefix)
print(*sorted(file.name for file in Path(folder.name).iterdir()), sep="\n")

# %% [markdown]
# Now imagine that you are the author one day later. You have these files, but not the code. The
# next cell lists what the files contain. Then it does what the article does: it builds the decoder
# again, by hand, from raw arrays.

# %%
with tf.Graph().as_default() as graph, v1.Session() as session:
    v1.train.import_meta_graph(prefix + ".meta").restore(session, prefix)
    print("collections:", graph.get_all_collection_keys())
    print("global variables:", len(v1.global_variables()))
    for i, variable in enumerate(v1.trainable_variables()):
        print(f"a[{i}]  {variable.name:13} {variable.shape}")
    a, plane = session.run(v1.trainable_variables()), [[3.0, 3.0], [0.0, 0.0], [0.0, 5.0]]
    code = v1.placeholder(tf.float32, [None, 2])
    decoder = tf.sigmoid(tf.tanh(code @ a[3] + a[8]) @ a[4] + a[9])
    by_hand = session.run(decoder, {code: plane}).reshape(-1, 28, 28)

# %% [markdown]
# Ten of the variables are trainable, and their names do not say what they are. You need the shapes
# and the old code to find out that `a[3]`, `a[8]`, `a[4]` and `a[9]` make the decoder. The other
# twenty global variables belong to RMSProp, which keeps two for each trainable variable.
#
# **What replaced it.** A *SavedModel* has no collections. It has **signatures**: functions with a
# name, named inputs and named outputs. The decoder is one of them, so there is nothing to rebuild.
# (Keep a reference to the loaded object, here `model`, as long as you use its signatures, because
# the object holds the variables.)

# %%
images = model.signatures["decode"](z=tf.constant(plane))["images"].numpy()

print("signatures:", ", ".join(model.signatures))
print("largest difference:", abs(images - by_hand).max())
notebook.picture(plots.mosaic(np.concatenate([by_hand, images]), 3))

# %% [markdown]
# The columns show the article's three points, [3, 3], [0, 0] and [0, 5]. The upper row comes from
# the decoder built by hand, the lower row from the signature. A model of tf_gen declares its
# signatures like this:

# %%
notebook.source(base.Generative.signatures, vae.VAE.signatures)

# %% [markdown]
# The other half of the Saver, the checkpoint, became `tf.train.Checkpoint`. It follows the
# attributes of Python objects instead of names, so it cannot confuse `Variable_3` with
# `Variable_4`. Collections became attributes too: a Keras model knows its variables through its
# layers, and an optimiser knows its own. The next cell copies the weights of one model into another
# through a checkpoint:

# %%
first, second = vae.build(vae.Config(seed=1)), vae.build(vae.Config(seed=2))
path = tf.train.Checkpoint(model=first).write(f"{folder.name}/new")
tf.train.Checkpoint(model=second).read(path).assert_consumed()
print("same images:", np.array_equal(*(m.decode(tf.constant(plane)) for m in (first, second))))

# %% [markdown]
# ## Queues and tf.data
#
# The VAE article reads its images from a list with a line `path label` for each image. It does so
# through **queues**: one of file names, one of decoded examples, and Python threads that keep both
# full. `start_queue_runners` starts the threads, and a **Coordinator** stops them. If you forgot to
# start them, the first `session.run` waited forever for an image that no thread would read.
#
# `tf.data` offers the same stages as objects that you iterate over, and it manages its threads
# itself. The next cell reads the first batch of a short list in both ways, with the same function
# `read` for each line.

# %%
list_path = Path(folder.name, "train_labels.txt")
list_path.write_text("a.png 5\nb.png 0\nc.png 4\nd.png 1\n")


def read(line):
    return tuple(tf.io.decode_csv(line, [[""], [0]], field_delim=" "))


with tf.Graph().as_default(), v1.Session() as session:
    line = v1.TextLineReader().read(v1.train.string_input_producer([str(list_path)]))[1]
    next_batch = v1.train.batch(read(line), batch_size=3)
    coordinator = v1.train.Coordinator()
    threads = v1.train.start_queue_runners(session, coordinator)
    print("old:", *session.run(next_batch))
    coordinator.request_stop()
    coordinator.join(threads)

print("new:", *next(tf.data.TextLineDataset(str(list_path)).map(read).batch(3).as_numpy_iterator()))

# %% [markdown]
# The article then reads and decodes each image file. With `tf.data` you add this to `read`.
#
# ## RMSProp: a running mean that starts at 1
#
# This is the first trap. RMSProp divides each gradient $g$ by the root of $s$, a running mean of
# $g^2$. With decay $\rho = 0.9$ and learning rate $\eta = 0.001$, TensorFlow 1 and Keras both
# compute
#
# $$s \leftarrow \rho\, s + (1 - \rho)\, g^2, \qquad
# w \leftarrow w - \frac{\eta\, g}{\sqrt{s + \epsilon}}.$$
#
# They differ in the initial value of $s$, and the code of the VAE article does not show it. Keras
# starts at $s = 0$. Its first step is $\eta g / \sqrt{0.1\, g^2} = \sqrt{10}\, \eta$ long, whatever
# the gradient is. TensorFlow 1 starts at $s = 1$. Its first step is
# $\eta g / \sqrt{0.9 + 0.1\, g^2}$, which is about $1.05\, \eta g$ for small $g$, so a small
# gradient makes a small step. If you replace `tf.train.RMSPropOptimizer` by
# `keras.optimizers.RMSprop`, the training differs from its first step on. tf_gen therefore has a
# class of its own:

# %%
notebook.source(vae.RMSpropTF1)

# %%
g = np.float32([0.0001, 0.01, 1.0, 100.0])
with tf.Graph().as_default(), v1.Session() as session:
    w = v1.Variable(tf.zeros(4))
    train = v1.train.RMSPropOptimizer(0.001, decay=0.9).apply_gradients([(tf.constant(g), w)])
    session.run(v1.global_variables_initializer())
    session.run(train)
    steps = {"v1.train.RMSPropOptimizer": -session.run(w)}
for optimizer in (vae.RMSpropTF1(0.001, epsilon=1e-10), keras.optimizers.RMSprop(0.001)):
    optimizer.apply([tf.constant(g)], [w := keras.Variable(tf.zeros(4))])
    steps[type(optimizer).__name__] = -w.numpy()
steps["by the formula, from s = 1"] = 0.001 * g / np.sqrt(0.9 + 0.1 * g**2 + 1e-10)
print(*(f"g = {value:<8g}" for value in g), "length of the first step")
for name, step in steps.items():
    print(*(f"{value:<12.3g}" for value in step), name)

# %% [markdown]
# TensorFlow 1, `RMSpropTF1` and the formula agree. For a gradient of 0.01 Keras's own `RMSprop`
# makes a first step that is 300 times as long. (In the first column its step is shorter than
# $\sqrt{10}\,\eta = 0.00316$, because $\epsilon = 10^{-7}$ is larger than $0.1\, g^2$ there.) The
# influence of the initial value decays as $0.9^n$. Exercise 3 asks how long it lasts.
#
# ## log(1 - D + 1e-8) is $-\infty$ in a graph
#
# This is the second trap. If a discriminator is certain, $D = 1$ in float32, and $\log(1 - D)$ is
# $-\infty$. The script behind the ALI article has a guard: its `log(v)` is `tf.log(v + 1e-8)`. On
# paper $\log(1 - 1 + 10^{-8}) = -18.4$. The next cell computes this in four ways: in eager mode, in
# a Session, in a `tf.function`, and in a `tf.function` that is compiled by XLA, TensorFlow's second
# compiler. ($D$ must be an argument or a placeholder. If it were a constant, TensorFlow would
# compute the result in advance.)


# %%
def guarded(d):
    return tf.math.log(1 - d + 1e-8)


def modes(function, values):
    with tf.Graph().as_default(), v1.Session() as session:
        d = v1.placeholder(tf.float32, [None])
        in_session = session.run(function(d), {d: values})
    values = tf.constant(values, tf.float32)
    return {
        "eager": function(values).numpy(),
        "v1.Session": in_session,
        "tf.function": tf.function(function)(values).numpy(),
        "XLA": tf.function(function, jit_compile=True)(values).numpy(),
    }


for mode, values in modes(guarded, [0.0, 0.5, 0.999, 1.0]).items():
    print(*(f"{value:10.6f}" for value in values), mode)

# %% [markdown]
# The columns are $D = 0$, $0.5$, $0.999$ and $1$. At $D = 1$ eager mode gives the intended value,
# and all three kinds of graph give $-\infty$.
#
# **Why?** A float32 has 24 significant binary digits. The next number above 1 is
# $1 + 2^{-23} \approx 1 + 1.19 \cdot 10^{-7}$, and everything up to the middle between the two
# rounds to 1. So $1 + 10^{-8}$ is 1. Near 0 the numbers lie much closer together, and $0 + 10^{-8}$
# keeps its value. The result therefore depends on the order of the additions:
#
# $$(1 - D) + 10^{-8} = 10^{-8}, \qquad\text{but}\qquad (1 + 10^{-8}) - D = 1 - D = 0.$$
#
# Python evaluates `1 - D + 1e-8` in the first order. A graph, however, is optimised before it runs.
# For real numbers both orders give the same result, and in the second one the two constants stand
# together, so that they can be added in advance. The pass of TensorFlow's graph optimiser that does
# it is called `constant_folding`; XLA has a simplifier of its own with the same effect. The section
# *Further: which pass rewrites the formula?* checks both claims.
#
# ## How the original ALI breaks
#
# An infinite loss by itself does no lasting harm, but its derivative does. Let $D = \sigma(l)$ with
# the logit $l$. TensorFlow applies the chain rule and multiplies the derivative of the logarithm by
# that of the sigmoid. At $D = 1$ this gives
#
# $$\frac{\partial}{\partial l} \log(1 - D) = -\frac{1}{1 - D} \cdot D\,(1 - D)
# \quad\longrightarrow\quad -\frac{1}{0} \cdot 1 \cdot 0 = -\infty \cdot 0 = \text{NaN},$$
#
# while the true value is $-1$. It is easy to reach $D = 1$: $1 + e^{-l}$ rounds to 1 once
# $e^{-l} \le 2^{-24}$, which means $l \ge 24 \ln 2 \approx 16.6$. One such image in a batch is
# enough. Its NaN enters the sum over the batch, then the gradients of all weights on its way back,
# then Adam's running means, and finally the weights, where it stays.
#
# The next cell rebuilds the original ALI script with its three networks, the encoder $Q$, the
# decoder $P$ and the discriminator $D$, and its two Adam optimisers. ([Notebook 04](04_ali.ipynb)
# explains the model.) We train it twice from the same weights on the same images: once with the
# loss as the script has it, once with tf_gen's form of the same loss.


# %%
def written_loss(enc, gen):  # logits; D_enc should be 1 and D_gen 0
    return -tf.reduce_mean(tf.math.log(tf.sigmoid(enc) + 1e-8) + guarded(tf.sigmoid(gen)))


def original_ali(loss, iterations):
    with tf.Graph().as_default(), v1.Session() as session:
        v1.set_random_seed(0)
        start = v1.variance_scaling_initializer(2.0, "fan_in", "untruncated_normal")
        x, z = v1.placeholder(tf.float32, [None, 784]), v1.placeholder(tf.float32, [None, 64])
        z_enc = network(x, "Q", [128, 64], tf.nn.relu, start)
        x_gen = tf.sigmoid(network(z, "P", [128, 784], tf.nn.relu, start))
        enc = network(tf.concat([x, z_enc], 1), "D", [128, 1], tf.nn.relu, start)
        gen = network(tf.concat([x_gen, z], 1), "D", [128, 1], tf.nn.relu, start, reuse=True)
        losses, train = [loss(enc, gen), loss(gen, enc)], []
        for value, scope in zip(losses, ("D", "[QP]"), strict=True):
            adam = v1.train.AdamOptimizer(0.001)
            train.append(adam.minimize(value, var_list=v1.trainable_variables(scope)))
        session.run(v1.global_variables_initializer())
        rng, history = np.random.default_rng(0), []
        for _ in range(iterations):
            rows = rng.integers(len(source.images), size=32)
            feed = {x: source.images[rows].reshape(-1, 784) / 255, z: rng.uniform(-1, 1, [32, 64])}
            history.append([session.run([losses[i], train[i]], feed)[0] for i in (0, 1)])
        weights = [session.run(v1.trainable_variables(scope)) for scope in "QPD"]
    return np.array(history), [np.concatenate([v.ravel() for v in part]) for part in weights]


def report(name, history, weights):
    broken = [step for step, row in enumerate(history, 1) if not np.isfinite(row).all()]
    print(f"{name}: first infinite loss in iteration {broken[0] if broken else '-'}")
    print("    last losses:", *np.round(history[-1], 4))
    print("    NaN in the weights of Q, P, D:", *(f"{np.isnan(w).mean():.1%}" for w in weights))


# %%
source = mnist.load("bundled")  # 5,000 digits of MNIST that a package contains
iterations = notebook.budget(800, 10)
runs = {"as written": original_ali(written_loss, iterations)}
runs["with logits"] = original_ali(ali.discriminator_loss, iterations)
for name, run in runs.items():
    report(name, *run)
figures.losses_of_runs({name: run[0] for name, run in runs.items()}, 2 * np.log(2))

# %% [markdown]
# As written, the program has an infinite loss after a few hundred iterations (the number depends on
# the seed). Soon after that both losses are 1.3863 in every iteration: they are finite, and they no
# longer change. With logits all losses stay finite. (There `loss_g` is large because $D$ still wins
# easily.)
#
# Worse, $1.3863 = 2 \ln 2$ is the value that the theory of GANs predicts for the equilibrium, where
# $D = \tfrac12$ everywhere. The article names this equilibrium as the goal. Yet all weights of $Q$
# are NaN. How can NaN lead to the best possible result?
#
# - The loss of $Q$ and $P$ contains $\log(1 - D_\text{enc})$. One image of which $D$ is certain
#   makes it infinite, and the gradient of $Q$ becomes NaN. All weights of $Q$ are lost, and with
#   them every code $Q(x)$.
# - $D$ now sees pairs $(x, \text{NaN})$. The first product in $D$ is NaN, and the relu of NaN
#   should be NaN. But another pass of the graph optimiser, `remapping`, has replaced product, bias
#   and relu by one fused kernel, and the relu of this kernel turns NaN into 0. (We saw this with
#   this version of TensorFlow on x86 processors. Where the kernel differs, the losses are `nan`,
#   and you notice the failure.)
# - The gradient of $D$'s first kernel is the input times the error. In the 64 of its 848 rows that
#   belong to $z$ this is NaN times 0, which is NaN. These rows are the 7.5% of NaN in the weights
#   of $D$. They make the product NaN for *every* pair, and the fused relu makes it 0.
# - So the logit of $D$ is the bias of its last layer, the same for real and generated pairs. Adam
#   moves this bias to 0. Then $D = \tfrac12$ for every pair, and both losses are $2 \ln 2$.
#
# **Remember:** look at the weights too, not only at the loss, and be suspicious of a GAN that is
# exactly at its equilibrium.
#
# ## The cure: logits
#
# A library cannot ask its users to switch off passes of the graph optimiser. So the formula itself
# must leave nothing to fold. Since $1 - \sigma(l) = \sigma(-l)$, we can remove the 1:
#
# $$\log(1 - D + \epsilon) = \log(\sigma(-l) + \epsilon).$$
#
# At $l = 20$, for example, $\sigma(-20) = 2 \cdot 10^{-9}$ is an ordinary float32, and the sum with
# $10^{-8}$ is accurate. tf_gen has a function for this formula:

# %%
notebook.source(numerics.log_sigmoid)

# %% [markdown]
# Is it accurate? We compare with NumPy in float64, which has 53 significant binary digits. So
# $\epsilon = 10^{-8}$ is not lost, and NumPy does not reorder anything. The reference is
# $\log(1 / (1 + e^{l}) + \epsilon)$.

# %%
logits = np.linspace(-40, 40, 801).astype(np.float32)
exact = np.log(1 / (1 + np.exp(np.float64(logits))) + 1e-8)
as_written = modes(lambda logit: guarded(tf.sigmoid(logit)), logits)
with_logits = modes(lambda logit: numerics.log_sigmoid(-logit, 1e-8), logits)
for mode in as_written:
    errors = [np.abs(results[mode] - exact).max() for results in (as_written, with_logits)]
    print("largest error: as written {:.1e}, with logits {:.1e},".format(*errors), mode)
figures.logarithms(logits, as_written, with_logits)

# %% [markdown]
# In eager mode the script's formula is finite, but its error is up to 1.9 nats: $D$ itself was
# rounded to 24 digits near 1, and no guard can restore what the rounding has lost. In a graph the
# curve ends at $l = 16.6$. The form with logits has an error below $3 \cdot 10^{-6}$ in every mode.
# tf_gen uses the same function for the pixels of the VAE, with the article's $10^{-10}$.
#
# ## Further: InteractiveSession
#
# In a notebook it was tiresome to write `session.run(...)` again and again. An
# **InteractiveSession** makes itself the default Session when it is created, so `tensor.eval()` and
# `operation.run()` work without naming it. An ordinary `Session` is the default only inside its
# `with` block. TensorFlow 2 behaves like an InteractiveSession that is always open, and `.eval()`
# became `.numpy()`.

# %%
with tf.Graph().as_default():
    session = v1.InteractiveSession()
    print("old:", (10 * tf.constant([1.0, 2.0])).eval())
    session.close()  # otherwise it stays the default, and keeps its memory

print("new:", (10 * tf.constant([1.0, 2.0])).numpy())

# %% [markdown]
# ## Further: many updates in one program
#
# The old program trains by a Python loop that calls `session.run` twice in each update. The
# networks are tiny. The arithmetic of an update takes a few microseconds, but calling TensorFlow
# from Python takes more than a hundred times as long. tf_gen therefore moves the *loop* into the
# compiled program. It stacks the batches of $K$ updates, and a `tf.while_loop` inside the program
# takes one after the other:

# %%
notebook.source(base.Generative.train_step, base.repeat)

# %% [markdown]
# `model.fit` compiles `train_step` for you. Here we do it ourselves and time the three ways on the
# same batches: the old program, your `new_update`, and tf_gen's compiled loop.

# %%
batches = [draw_batch(rng) for _ in range(notebook.budget(500, 20))]
stacked = tf.nest.map_structure(lambda *parts: tf.stack(parts), *batches)
program = tf.function(package.train_step, jit_compile=True)
program(stacked)  # the first call compiles, which takes seconds
ways = {"old program": lambda: [old_update(batch) for batch in batches]}
ways["new program"] = lambda: [new_update(batch) for batch in batches]
ways["compiled loop"] = lambda: program(stacked)["loss"].numpy()
for name, way in ways.items():
    print(f"{timeit.timeit(way, number=1) * 1e6 / len(batches):6.0f} microseconds an update:", name)

# %% [markdown]
# The compiled loop is many times faster than both Python loops. The
# [benchmarks](../tests/benchmarks/README.md) have longer runs of all four models: in a run of
# 2026-11-27 tf_gen's training was between 1.5 times (the VAE, whose arithmetic is heavier) and 47
# times (this GAN with minibatch discrimination) as fast as the original in a Session.
#
# ## Further: batches that are pure functions
#
# With queues the order of the images depends on the timing of threads. With `Dataset.shuffle` it
# depends on all random draws before. In tf_gen a batch is a **pure function** of the seed and the
# number of the update, and this includes the noise. You can have the batch of update 25,000 without
# making the 24,999 before it. A training run that was interrupted continues exactly as if it had
# not been. And you can compare an update with the original's number by number, as in this notebook,
# because the update itself draws nothing at random.

# %%
notebook.source(vae.blocks, vae.digits.blocks)

# %% [markdown]
# ## Further: which pass rewrites the formula?
#
# We switch off the passes of the graph optimiser one at a time and compute $\log(1 - D + 10^{-8})$
# at $D = 1$ again:


# %%
def without(name, function, *arguments):
    tf.config.optimizer.set_experimental_options({name: False})
    try:
        return function(*arguments)
    finally:
        tf.config.optimizer.set_experimental_options({name: True})  # as it was


for name in ("arithmetic_optimization", "remapping", "loop_optimization", "constant_folding"):
    values = without(name, modes, guarded, [1.0])
    print(*(f"{mode} {value[0]:6.2f}  " for mode, value in values.items()), "without", name)

# %% [markdown]
# Without `constant_folding` the Session and `tf.function` give a finite value. XLA does not change,
# because its simplifier is not a pass of TensorFlow's optimiser. We can look at the rewritten
# programs directly: a Session returns the graph that it really ran, and a compiled function returns
# its program before and after optimisation.

# %%
with tf.Graph().as_default() as graph, v1.Session() as session:
    d = v1.placeholder(tf.float32, [None], name="D")
    logarithm, metadata = guarded(d), v1.RunMetadata()
    session.run(logarithm, {d: [1.0]}, v1.RunOptions(output_partition_graphs=True), metadata)
ran = [node for node in metadata.partition_graphs[0].node if node.op[0] != "_"]
print("Session, as written:", [op.type for op in graph.get_operations()])
print("Session, as it ran:", [n.op for n in ran], tf.make_ndarray(ran[0].attr["value"].tensor))
compiled = tf.function(guarded, jit_compile=True).experimental_get_compiler_ir(tf.ones([2]))
print("XLA, additions:", [compiled(stage=s).count(" add(") for s in ("hlo", "optimized_hlo")])

# %% [markdown]
# As written, the graph has two constants, a `Sub` and an `AddV2`. The graph that ran has one
# constant, which is exactly 1, and one subtraction. The program of XLA had one addition before
# optimisation and has none after it. In both programs the guard is gone.
#
# The same switches test the explanation of the broken ALI:

# %%
for name in ("constant_folding", "remapping"):
    report(f"without {name}", *without(name, original_ali, written_loss, iterations))

# %% [markdown]
# Without `constant_folding` the loss stays finite, so the folding was the cause. Without
# `remapping` the loss becomes infinite in the same iteration as before, but then all weights and
# losses become NaN. So it was the fused kernel that hid the failure.
#
# ## Further: old scripts and old checkpoints
#
# - To run an old script as it is, write `import tensorflow.compat.v1 as tf` and put the code into
#   `with tf.Graph().as_default():`, as in this notebook. The command `tf_upgrade_v2`, which comes
#   with TensorFlow, rewrites a script to `tf.compat.v1`. The result runs, but it keeps the old
#   optimiser, the collections, and the guard that vanishes.
# - `tf.train.load_checkpoint(prefix)` reads the arrays of an old checkpoint without any graph. If
#   one of the articles' programs wrote the checkpoint, `python -m tf_gen.import_v1` turns it into a
#   training run of tf_gen, which you can sample from or continue.
# - To use the trained models of this repository you need only TensorFlow:
#   `model = tf.saved_model.load("saved_models/vae")`, then `model.signatures["decode"]`. On the
#   command line: `python -m tf_gen.sample vae --z 3,3 --out three.png`. See the
#   [README](../README.md) and the [model card](../saved_models/vae/README.md) of each model.
#
# ## Summary
#
# - TensorFlow 1 describes a graph first and runs parts of it in a Session. TensorFlow 2 computes at
#   once, and `tf.function` makes a graph when you want its speed.
# - Placeholders became arguments, `feed_dict` became the call, variable scopes became Keras layers,
#   collections became attributes, and the Saver became checkpoints and signatures.
# - The same GAN in both styles, from the same weights and batches, gives the same losses.
# - Names can agree while behaviour does not: the running mean of `RMSProp` starts at 1 in
#   TensorFlow 1 and at 0 in Keras.
# - `log(1 - D + 1e-8)` is $-\infty$ at $D = 1$ in every kind of graph. Keep logits, and compute
#   $\log(1 - D)$ as $\log \sigma(-l)$, for example with `tf.math.log_sigmoid`.
#
# ## Change it
#
# Change the cells of *One program, twice* and run them again from there. The numbers are from our
# runs. On another computer they can differ, especially after many updates.
#
# - *Another epsilon.* Remove `epsilon=1e-8` from the two optimisers of the new program, so that
#   Keras uses its default, 1e-7. The assertion fails at update 112.
# - *Another optimiser.* Use `v1.train.RMSPropOptimizer(0.001)` in the old program and
#   `keras.optimizers.RMSprop(0.001)` in the new one. In the assertion compare only `new` with
#   `old`, because tf_gen's model still uses Adam. It fails at the first update: `loss_g`, which is
#   computed after the first step of $D$, differs by 7.5%. Now use
#   `vae.RMSpropTF1(0.001, epsilon=1e-10)` there. The assertion holds for all updates.
# - *No `var_list`.* In `new_update`, replace `D.trainable_variables` by
#   `D.trainable_variables + G.trainable_variables` in both places. The assertion fails at the first
#   update, because the old program still has its `var_list`. Remove the assertion and train. $G$
#   now also helps $D$: in the end the generated points have the mean 2.39 and the standard
#   deviation 0.84, and `loss_g` is 3.3.
#
# ## References
#
# - Martín Abadi et al., *TensorFlow: A System for Large-Scale Machine Learning*, 2016,
#   [arXiv:1605.08695](https://arxiv.org/abs/1605.08695). Why TensorFlow 1 separated the description
#   of a graph from its execution.
# - Akshay Agrawal et al., *TensorFlow Eager: A Multi-Stage, Python-Embedded DSL for Machine
#   Learning*, 2019, [arXiv:1903.01855](https://arxiv.org/abs/1903.01855). Why TensorFlow 2 computes
#   at once, and how `tf.function` works.
# - TensorFlow, *Migrate to TensorFlow 2*,
#   [tensorflow.org/guide/migrate](https://www.tensorflow.org/guide/migrate). The official guide
#   with many more names than our table.
# - TensorFlow, *TensorFlow graph optimization with Grappler*,
#   [tensorflow.org/guide/graph_optimization](https://www.tensorflow.org/guide/graph_optimization).
#   What the passes of the graph optimiser do, and how to switch them off.
# - David Goldberg, *What Every Computer Scientist Should Know About Floating-Point Arithmetic*,
#   1991, [doi:10.1145/103162.103163](https://doi.org/10.1145/103162.103163). Rounding, and why the
#   order of additions matters.
# - Vincent Dumoulin et al., *Adversarially Learned Inference*, 2016,
#   [arXiv:1606.00704](https://arxiv.org/abs/1606.00704). The model of the program that breaks here.
#
# Continue with the models themselves: [01, the VAE](01_vae.ipynb), [02, the
# Gaussian](02_gaussian_gan.ipynb), [03, the GAN in 50 lines](03_tiny_gan.ipynb), [04,
# ALI](04_ali.ipynb).
#
# ## Exercises
#
# **1.** `feed_dict` can replace any tensor. The VAE article rebuilt its decoder from the arrays of
# the weights. Instead, find the tensor $z$ in the imported graph, and decode the three points
# without rebuilding anything.

# %% tags=["answer"]
with tf.Graph().as_default() as graph, v1.Session() as session:
    v1.train.import_meta_graph(prefix + ".meta").restore(session, prefix)
    z = [op for op in graph.get_operations() if op.type == "MatMul"][3].inputs[0]
    fed = session.run(v1.get_collection("recon")[0], {z: plane}).reshape(-1, 28, 28)
print(z.name, "| largest difference:", abs(fed - by_hand).max())

# %% [markdown]
# **2.** Other guards in the articles: the VAE has `log(1e-10 + 1 - D)`, and the listing of the
# Gaussian GAN has `log(max(1 - D, 1e-5))`. Which of these forms are finite at $D = 1$, and in which
# modes? In a graph, for which powers of ten as `epsilon` does `log(1 - D + epsilon)` stay finite?

# %% tags=["answer"]
forms = {"1e-10 + 1 - D": lambda d: 1e-10 + 1 - d, "max": lambda p: tf.maximum(1 - p, 1e-5)}
forms |= {f"1 - D + {e:g}": lambda d, e=e: 1 - d + e for e in (1e-8, 1e-7, 1e-6, 1e-5)}
for name, form in forms.items():
    found = modes(lambda d, form=form: tf.math.log(form(d)), [1.0])
    print(*(f"{mode} {value[0]:8.3f}  " for mode, value in found.items()), name)
# 1e-10 + 1 is 1 in float32, so the VAE's form fails in every mode, eager included.
# In a graph 1e-7 survives, but as 2^-23, the distance from 1 to the next float32.

# %% [markdown]
# **3.** Let the gradient be 0.01 in every step. After how many steps do the step lengths of the two
# kinds of RMSProp, whose running means start at 1 and at 0, differ by less than 1%? First write
# down the running mean after $n$ steps.

# %% tags=["answer"]
n, g = np.arange(1, 301), 0.01
from_0 = (1 - 0.9**n) * g**2  # the sum of a geometric series; from 1 it is 0.9**n more
print("first such step:", n[np.sqrt((from_0 + 0.9**n) / from_0) < 1.01][0])

# %% [markdown]
# **4.** With `tf.function` it is easy to forget that a graph is described once and run many times.
# You call a `tf.function` with 0, 1 and 2. How often does Python run its body? And how often with
# `tf.constant(0)`, `tf.constant(1)` and `tf.constant(2)`?

# %% tags=["answer"]
bodies = []
double = tf.function(lambda k: bodies.append(k) or 2 * k)
for argument in (0, 1, 2, tf.constant(0), tf.constant(1), tf.constant(2)):
    print(double(argument).numpy(), "bodies run so far:", len(bodies))
# Each Python number is a constant of its own graph; a tensor is an argument, so one graph serves.
