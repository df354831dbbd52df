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
# Three of the four articles behind tf_gen are written in TensorFlow 1: 变分自编码器 (the VAE),
# 生成对抗网络介绍 (the GAN that learns a Gaussian) and ALI的Tensorflow炼成与GAN科普 (ALI). Their
# code speaks of `Variable`, `placeholder`, `feed_dict`, `Session`, `InteractiveSession`, `Saver`,
# collections, queues and variable scopes. This notebook takes these words one after the other: what
# each was for, what it became, and both forms running beside each other, with the same number or
# picture at the end. The fourth article, GANs 很难, is in PyTorch and needs nothing of this.
#
# After that you can read the articles' code, have updated one model in both ways with the same
# result, and have seen two traps of a port with your own eyes: an optimiser that starts elsewhere,
# and a logarithm, `log(1 - D + 1e-8)`, that is finite on paper and $-\infty$ in a graph. The second
# one kills the original ALI in a few hundred iterations, and hides it. You take away a table from
# old names to new ones, and the decoder that the VAE article had to rebuild by hand.
#
# **You need** Python, a little Keras, and derivatives. TensorFlow 1 itself is not needed:
# TensorFlow 2 still carries it as `tf.compat.v1`. No GPU, no download: all data comes with the
# packages. The first cell installs tf_gen where it is missing.
#
# **Time** on two cores: less than a minute.

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
import tempfile
import time
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

from tf_gen import base, mnist, numerics, plots, savedmodel
from tf_gen.models import ali, gaussian_gan, vae

v1 = tf.compat.v1  # TensorFlow 1, inside of TensorFlow 2

# %% [markdown]
# ## Graph and Session
#
# In TensorFlow 1 a line like `y = 3 * x` computes nothing. It adds a node to a **graph**, a
# description of a computation. Numbers appear when a **Session** runs a part of that graph:
# `session.run(y)` finds all that `y` depends on, hands it to the C++ runtime, and brings the value
# back. The reason was speed: Python describes once, C++ computes often, on any device.
#
# TensorFlow 2 computes at once ("eagerly"). The graph is still there for those who want its speed:
# `tf.function` makes one from a Python function, and calling the function is what `session.run`
# was.
#
# `with tf.Graph().as_default():` opens a graph of its own, and inside of it everything follows the
# old rules. That is how old and new live in one notebook here. Code that begins with
# `tf.compat.v1.disable_v2_behavior()`, as many converted scripts do, switches the whole process
# back instead, and Keras models no longer work in it.

# %%
with tf.Graph().as_default() as graph:
    y = 3.0 * tf.constant(2.0)
    print("old, y itself:     ", y)
    print("old, session.run:  ", v1.Session().run(y))
    print("old, nodes:        ", [op.name for op in graph.get_operations()])

print("new, at once:      ", (3.0 * tf.constant(2.0)).numpy())

triple = tf.function(lambda x: 3.0 * x)
print("new, as a graph:   ", triple(tf.constant(2.0)).numpy())

# %% [markdown]
# A tensor of the old kind has a name and a shape and no value. Inside of a `tf.function` it is the
# same; the values are at its edge, in the call.
#
# ## Variable, and its initialiser
#
# A **Variable** is a node with a memory: weights live there. The graph holds the variable's
# description, the *Session* holds its value. So a variable has no value until the Session has run
# the initialiser, for all variables at once `tf.global_variables_initializer()` (the Gaussian
# article's text has its older name, `initialize_all_variables`); two Sessions on one graph have two
# values of the same variable; and the value is gone when the Session is closed.
#
# In TensorFlow 2 a `tf.Variable` is a Python object that holds its value from its first line on.

# %%
with tf.Graph().as_default():
    weight = v1.Variable(1.0, name="weight")
    grow = v1.assign_add(weight, 0.5)  # a node; nothing grows yet
    with v1.Session() as session:
        try:
            session.run(weight)
        except tf.errors.FailedPreconditionError as error:
            print("old, not initialised:", type(error).__name__)
        session.run(v1.global_variables_initializer())
        session.run(grow)
        print("old:                 ", session.run(weight))

weight = tf.Variable(1.0, name="weight")
weight.assign_add(0.5)
print("new:                 ", weight.numpy())

# %% [markdown]
# ## placeholder and feed_dict
#
# A **placeholder** is a hole in the graph, with a type and a shape (`None`: any length). At each
# run a **feed_dict** fills it. The ALI article explains it by contrast: a `Variable` keeps its
# value from run to run, while a placeholder has none of its own, so that `sess.run(y_example)`
# without a `feed_dict` dies. Here it does.
#
# The hole became a function's argument, and `feed_dict` the call. What was an error at run time is
# now Python's own complaint about a missing argument, and the type and shape that the placeholder
# declared are the `tf.TensorSpec` of an input signature.

# %%
with tf.Graph().as_default():
    y_example = v1.placeholder(tf.float32, [None], name="y_example")
    total = tf.reduce_sum(y_example**2)
    with v1.Session() as session:
        try:
            session.run(y_example)
        except tf.errors.InvalidArgumentError as error:
            print("old, not fed: You must", str(error).split("You must ")[1].splitlines()[0])
        print("old, fed:    ", session.run(total, feed_dict={y_example: [1.0, 2.0, 3.0]}))


@tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
def sum_of_squares(y_example):
    return tf.reduce_sum(y_example**2)


print("new, called: ", sum_of_squares(tf.constant([1.0, 2.0, 3.0])).numpy())

# %% [markdown]
# `feed_dict` could do more than fill placeholders: it could overwrite *any* tensor of the graph for
# one run. The first exercise makes use of it.
#
# ## InteractiveSession
#
# In a notebook one got tired of `session.run(...)`. An **InteractiveSession** makes itself the
# default Session when it is made, so that `tensor.eval()` and `operation.run()` work without naming
# it. An ordinary `Session` does the same only inside of its `with` block. TensorFlow 2 is an
# InteractiveSession that is always open, and `.eval()` became `.numpy()`.

# %%
with tf.Graph().as_default():
    session = v1.InteractiveSession()
    weight = v1.Variable([1.0, 2.0])
    v1.global_variables_initializer().run()
    print("old:", (weight * 10).eval())
    session.close()  # or the default remains, and the memory

weight = tf.Variable([1.0, 2.0])
print("new:", (weight * 10).numpy())

# %% [markdown]
# ## Collections and Saver: the complaint of the VAE article
#
# A **collection** is a list that belongs to the graph, under a name. `tf.Variable` enters each new
# variable into `GLOBAL_VARIABLES` and, unless told otherwise, into `TRAINABLE_VARIABLES`;
# `optimizer.minimize` takes its variables from there. With `tf.add_to_collection` a program kept
# what it wanted to find again.
#
# A **Saver** writes two things: the *meta graph* (`.meta`: all nodes and collections) and the
# *checkpoint* (`.data`, `.index`: the values of the variables, by name; a file `checkpoint` names
# the newest). `import_meta_graph` and `restore` bring them back, in a program that has none of the
# code which built the graph.
#
# The VAE article saves its trained model in this way, and notices too late that the collection
# `recon` holds the reconstruction alone. Reconstruction wants an image; what was wanted is a
# decoder that takes $z$. Here is its graph, with the weights of [the trained model of this
# repository](../saved_models/vae/README.md) in its ten variables. (The loss is shortened: its only
# purpose here is that RMSProp makes its own variables. What the article calls `z_std` is the
# logarithm of the variance.)

# %%
box = tf.saved_model.load(str(savedmodel.find(Path("vae"))))
arrays = [variable.numpy() for variable in box.signatures["reconstruct"].variables]
arrays = arrays[0::2] + arrays[1::2]  # five kernels, then five biases, as in the article
folder = tempfile.TemporaryDirectory()
prefix = f"{folder.name}/VAE_mnist"

with tf.Graph().as_default():
    w = [v1.Variable(tf.zeros(array.shape)) for array in arrays]
    x = v1.placeholder(tf.float32, [None, 784])
    h = tf.tanh(x @ w[0] + w[5])
    z_mean, z_std = h @ w[1] + w[6], h @ w[2] + w[7]
    z = z_mean + tf.exp(z_std / 2) * v1.random_normal(tf.shape(z_std))
    recon = tf.sigmoid(tf.tanh(z @ w[3] + w[8]) @ w[4] + w[9])
    v1.add_to_collection("recon", recon)
    v1.train.RMSPropOptimizer(0.001).minimize(tf.reduce_mean((recon - x) ** 2))
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        for variable, array in zip(w, arrays, strict=True):
            variable.load(array, session)  # in the place of 30,000 updates
        v1.train.Saver().save(session, prefix)
print(*sorted(file.name for file in Path(folder.name).iterdir()), sep="\n")

# %% [markdown]
# Now we are the article's author, a day later, with these files and without the code. We look at
# what is in there, and then take the article's way out: the decoder once more, by hand, from raw
# arrays.

# %%
with tf.Graph().as_default() as graph:
    saver = v1.train.import_meta_graph(prefix + ".meta")
    with v1.Session() as session:
        saver.restore(session, prefix)
        print("collections:", graph.get_all_collection_keys())
        print(len(v1.get_collection(v1.GraphKeys.GLOBAL_VARIABLES)), "global variables, of which")
        for i, variable in enumerate(v1.get_collection(v1.GraphKeys.TRAINABLE_VARIABLES)):
            print(f"  a[{i}]  {variable.name:13} {variable.shape}")
        a = session.run(v1.get_collection(v1.GraphKeys.TRAINABLE_VARIABLES))
        noise = v1.placeholder(tf.float32, [None, 2])
        decoder = tf.sigmoid(tf.tanh(noise @ a[3] + a[8]) @ a[4] + a[9])
        points = [[3.0, 3.0], [0.0, 0.0], [0.0, 5.0]]
        by_hand = session.run(decoder, {noise: points}).reshape(-1, 28, 28)

# %% [markdown]
# Ten variables without a word of what they are; one has to know from the shapes and from the old
# code that `a[3]`, `a[8]`, `a[4]`, `a[9]` are the decoder. The other twenty global variables are
# the two accumulators that RMSProp keeps for each of the ten.
#
# **What it became.** A *SavedModel* has no collections. It has **signatures**: functions with a
# name, named inputs and named outputs. (Keep the loaded object, here `box`, as long as you call
# them: it holds the variables.) The decoder is one of them, so nothing has to be rebuilt:

# %%
images = box.signatures["decode"](z=tf.constant(points))["images"].numpy()  # one line

print("signatures:", ", ".join(box.signatures))
print(f"by hand against signature, largest difference: {abs(images - by_hand).max():.1e}")
notebook.picture(plots.mosaic(np.concatenate([by_hand, images]), 3))

# %% [markdown]
# Above: the article's three points [3, 3], [0, 0] and [0, 5], decoded by hand from the old files.
# Below: the same by the signature. This is how a model of tf_gen says what its SavedModel offers:

# %%
notebook.source(base.Generative.signatures, vae.VAE.signatures)

# %% [markdown]
# The Saver's other half, the checkpoint, became `tf.train.Checkpoint`. It follows Python attributes
# instead of names, so `Variable_3` cannot be mixed up with `Variable_4`. And the collections became
# attributes, too: a Keras model finds its variables through its layers, an optimiser has its own.

# %%
model, other = vae.build(vae.Config(seed=1)), vae.build(vae.Config(seed=2))
path = tf.train.Checkpoint(model=model).write(f"{folder.name}/new")
tf.train.Checkpoint(model=other).read(path).assert_consumed()
pictures = [each.decode(tf.constant(points)) for each in (model, other)]
print("now both draw the same:", np.array_equal(*pictures))

# %% [markdown]
# ## Queues, and what feeds a training
#
# The VAE article reads its images from a list, `path label` a line, through **queues**: a queue of
# file names, a queue of decoded examples, and Python threads that keep them full. A **Coordinator**
# stops the threads; `start_queue_runners` starts them. Whoever forgot the second waited forever, at
# the first `session.run`, for an image that no thread was reading.
#
# `tf.data` has the same stages as ordinary objects, without threads to start or stop. Both read the
# same list below, with the same function for one line.

# %%
source = mnist.load("bundled")
rows = range(0, 4500, 225)  # two images of each digit
for k in rows:
    tf.io.write_file(f"{folder.name}/{k}.png", tf.io.encode_png(source.images[k][..., None]))
list_path = Path(folder.name, "train_labels.txt")
list_path.write_text("\n".join(f"{folder.name}/{k}.png {source.labels[k]}" for k in rows))


def read(line):
    path, label = tf.io.decode_csv(line, [[""], [0]], field_delim=" ")
    return tf.ensure_shape(tf.io.decode_png(tf.io.read_file(path), channels=1), [28, 28, 1]), label


with tf.Graph().as_default(), v1.Session() as session:
    line = v1.TextLineReader().read(v1.train.string_input_producer([str(list_path)]))[1]
    next_batch = v1.train.batch(read(line), batch_size=10)
    coordinator = v1.train.Coordinator()
    threads = v1.train.start_queue_runners(session, coordinator)
    old_images, old_labels = session.run(next_batch)
    coordinator.request_stop()
    coordinator.join(threads)

new_images, new_labels = next(iter(tf.data.TextLineDataset(str(list_path)).map(read).batch(10)))
print("old:", old_labels, "new:", new_labels.numpy())
notebook.picture(plots.mosaic(np.concatenate([old_images, new_images])[..., 0] / 255, 10))

# %% [markdown]
# tf_gen goes one step further. With queues, which image comes when depends on how the threads ran;
# with `Dataset.shuffle`, on everything that was drawn before. Here a batch is a **pure function**
# of the seed and the number of the update, noise included. So the batch of update 25,000 can be had
# without making the 24,999 before it, a stopped training goes on as if nothing had happened, and an
# update can be compared with the original's, number by number, because it draws nothing itself.

# %%
config = vae.Config(seed=3)
run = list(vae.batches(config, source, start=25_000).take(8))[7]
alone = next(iter(vae.batches(config, source, start=25_007)))
print("the same:", {name: np.array_equal(run[name], alone[name]) for name in run})
notebook.source(vae.blocks, vae.digits.blocks)

# %% [markdown]
# ## Variable scopes: two copies of D that share their weights
#
# In a GAN the discriminator $D$ sees real points and generated ones. In TensorFlow 1 a network was
# not an object; it was what a Python function had added to the graph. Calling the function twice
# made two networks with two sets of weights. To share them, the Gaussian article uses **variable
# scopes**: `tf.get_variable("w")` inside of `tf.variable_scope("D")` asks the graph for the
# variable `D/w`, and `reuse` says whether it must be new or must exist already.
#
# Here are the article's networks in that style. For shortness one function builds any of them, a
# list of layers; it returns logits, the sigmoid comes after it. (It draws its weights as ALI does,
# which needs it below; here they are replaced before use.)


# %%
def network(x, scope, sizes, activation, reuse=None):
    with v1.variable_scope(scope, reuse=reuse):
        for i, size in enumerate(sizes):
            start = v1.random_normal_initializer(stddev=(x.shape[1] / 2) ** -0.5)
            w = v1.get_variable(f"w{i}", [x.shape[1], size], initializer=start)
            b = v1.get_variable(f"b{i}", [size], initializer=v1.zeros_initializer())
            x = x @ w + b if i == len(sizes) - 1 else activation(x @ w + b)
    return x


graph = tf.Graph()
with graph.as_default():
    x, z = v1.placeholder(tf.float32, [None, 1]), v1.placeholder(tf.float32, [None, 1])
    generated = network(z, "G", [4, 1], tf.nn.softplus)
    d_real = tf.sigmoid(network(x, "D", [8, 8, 8, 1], tf.tanh))
    try:
        network(generated, "D", [8, 8, 8, 1], tf.tanh)
    except ValueError as error:
        print("old, without reuse:", str(error).split(". ")[0])
    d_generated = tf.sigmoid(network(generated, "D", [8, 8, 8, 1], tf.tanh, reuse=True))
    d_params, g_params = v1.trainable_variables("D/"), v1.trainable_variables("G/")
print("old, D called twice:", *[v.name for v in d_params])

model = gaussian_gan.build(gaussian_gan.Config(seed=1))
twice = [model.discriminator(points) for points in (tf.zeros([12, 1]), tf.ones([12, 1]))]
print("new, D called twice:", *[v.path.split("/", 2)[2] for v in model.d_variables])

# %% [markdown]
# A Keras layer *is* the network: the object owns its weights, and each call uses them again.
# Nothing has to be named for this. What the scope did by names, the object does by being the same
# object.
#
# ## Optimisers: var_list, and the same update in both forms
#
# $D$ learns to lower `loss_d` and must leave $G$ as it is; then $G$ lowers `loss_g` through $D$,
# which must stay. In TensorFlow 1 `optimizer.minimize(loss, var_list=...)` adds to the graph the
# nodes for the gradient and for the step, and `var_list` says whom they move. Without it the step
# moves everything in `TRAINABLE_VARIABLES`, and $G$ would help $D$ to recognise it.
#
# In TensorFlow 2 the two halves are apart. A `GradientTape` records a computation and
# differentiates it; `optimizer.apply(gradients, variables)` makes the step. The list appears twice,
# and both times in plain sight:

# %%
notebook.source(gaussian_gan.GaussianGAN.update)

# %% [markdown]
# Are the two really the same? We finish the old graph as the article does: plain gradient descent,
# whose rate falls by 5 % every 150 steps. Then we copy the weights of the new model into it, feed
# both the same points and noise, and make one update each.


# %%
params, new = d_params + g_params, model.d_variables + model.g_variables
values = [variable.numpy() for variable in new]
with graph.as_default():
    loss_d = tf.reduce_mean(-tf.math.log(d_real) - tf.math.log(1 - d_generated))
    loss_g, train = tf.reduce_mean(-tf.math.log(d_generated)), []
    for loss, var_list in ((loss_d, d_params), (loss_g, g_params)):
        step = v1.Variable(0, trainable=False)
        rate = v1.train.exponential_decay(0.005, step, 150, 0.95, staircase=True)
        train.append(v1.train.GradientDescentOptimizer(rate).minimize(loss, step, var_list))
    session = v1.Session()
    session.run(v1.global_variables_initializer())
    for variable, value in zip(params, values, strict=True):
        variable.load(value, session)


def old_update(batch):
    old_d = session.run([loss_d, train[0]], {x: batch["x"], z: batch["z_d"]})[0]
    return old_d, session.run([loss_g, train[1]], {z: batch["z_g"]})[0]


def compare(old, losses):
    print("losses: old", np.round(old, 6), "new", np.float32([losses["loss_d"], losses["loss_g"]]))
    pairs = zip(session.run(params), new, strict=True)
    print(f"largest difference of a weight: {max(abs(v - w.numpy()).max() for v, w in pairs):.1e}")


count = notebook.budget(501, 51)
consumed = list(gaussian_gan.batches(gaussian_gan.Config(seed=1)).take(count).as_numpy_iterator())
compare(old_update(consumed[0]), model.update(consumed[0]))

# %% [markdown]
# The same to the last digits of float32. This is what "faithful" means in this package, and what
# its tests check for each model.
#
# ## `session.run` in a loop, and many updates in one program
#
# The original trains by a Python loop with two `session.run` an update. These networks are tiny:
# the arithmetic of an update takes some ten microseconds, the way from Python into TensorFlow and
# back a few hundred. So tf_gen puts the *loop* into the program as well. What an update consumes is
# stacked for $K$ updates, and a `tf.while_loop` inside of the compiled function takes slice after
# slice:

# %%
notebook.source(base.Generative.train_step, base.repeat)

# %% [markdown]
# `model.fit` compiles `train_step`, and for once we do so ourselves, to see the two ways beside
# each other: 500 more updates, from the same weights, on the same batches.

# %%
begin = time.perf_counter()
old_losses = np.mean([old_update(batch) for batch in consumed[1:]], axis=0)
print(f"old: {(time.perf_counter() - begin) / (count - 1) * 1e6:.0f} microseconds an update")
program = tf.function(model.train_step, jit_compile=True)
stacked = tf.nest.map_structure(lambda *parts: tf.stack(parts), *consumed[1:])
compare(old_losses, program(stacked))  # the first call compiles
begin = time.perf_counter()
program(stacked)["loss"].numpy()  # which waits for the result
print(f"new: {(time.perf_counter() - begin) / (count - 1) * 1e6:.0f} microseconds an update")

# %% [markdown]
# The losses and the weights agree after all these updates, and the new form needs a small part of
# the time. (Making the program took seconds, once, and is not counted. For longer runs and the
# other models, see the [benchmarks](../tests/benchmarks/README.md): against the original's Session,
# from 1.9 times as fast with the VAE, whose arithmetic is real work, to 19.7 times with this
# model.)
#
# ## RMSProp: an accumulator that starts at 1
#
# RMSProp divides each gradient $g$ by the root of a running mean $s$ of its square. With decay
# $\rho = 0.9$ and learning rate $\eta = 0.001$, in TensorFlow 1 as in Keras,
#
# $$s \leftarrow \rho\, s + (1 - \rho)\, g^2, \qquad
# w \leftarrow w - \frac{\eta\, g}{\sqrt{s + \epsilon}}.$$
#
# They differ in where $s$ begins, and nothing in the code of the VAE article tells. Keras begins at
# $s = 0$, so that its first step is $\eta g / \sqrt{0.1\, g^2} = \sqrt{10}\, \eta$, whatever the
# gradient. TensorFlow 1 begins at $s = 1$, so that its first step is
# $\eta g / \sqrt{0.9 + 0.1\, g^2}$, which for a small $g$ is about $1.05\, \eta g$: small. A port
# that takes `keras.optimizers.RMSprop` for `tf.train.RMSPropOptimizer` trains another way from its
# first step on. tf_gen has a class for it:

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
    w = keras.Variable(tf.zeros(4))
    optimizer.apply([tf.constant(g)], [w])
    steps[type(optimizer).__name__] = -w.numpy()
steps["by hand, from s = 1"] = 0.001 * g / np.sqrt(0.9 + 0.1 * g**2 + 1e-10)
print(f"{'length of the first step':26}", *(f"g = {value:<8g}" for value in g))
for name, step in steps.items():
    print(f"{name:26}", *(f"{value:<12.3g}" for value in step))

# %% [markdown]
# The rows of TensorFlow 1, of `RMSpropTF1` and of the arithmetic agree. (In the first column
# Keras's step is shorter than $\sqrt{10}\,\eta = 0.00316$, because there its $\epsilon = 10^{-7}$
# is larger than $0.1\, g^2$.) For a gradient of 0.01 the first steps differ 300-fold. The start is
# forgotten as $0.9^n$; the third exercise asks when.
#
# ## `log(1 - D + 1e-8)` is $-\infty$ in graph mode
#
# A discriminator that is sure of itself says $D = 1$, and $\log(1 - D)$ would be $-\infty$. The
# script that the ALI article follows guards against it: `log(v)` is `tf.log(v + 1e-8)`. On paper
# $\log(1 - 1 + 10^{-8}) = -18.4$. Let us ask today's TensorFlow, in each of its modes. ($D$ goes in
# as an argument or through a placeholder; a constant would be computed in advance.)


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
        "with XLA": tf.function(function, jit_compile=True)(values).numpy(),
    }


for mode, values in modes(guarded, [0.0, 0.5, 0.999, 1.0]).items():
    print(f"{mode:12}", *(f"{value:10.6f}" for value in values))

# %% [markdown]
# The last column is $D = 1$. Eager mode gives what was meant, all three kinds of graph give
# $-\infty$. (And in the first column, $D = 0$, it is $\log(1 + 10^{-8})$, which is 0 in float32 in
# any case.)
#
# **Why.** A float32 has 24 binary digits. The next number above 1 is $1 + 2^{-23}$, that is
# $1 + 1.19 \cdot 10^{-7}$, so everything up to half of that above 1 rounds to 1: $1 + 10^{-8} = 1$.
# Near 0 the numbers lie far closer, and $0 + 10^{-8}$ is no problem. So the order of the additions
# decides:
#
# $$(1 - D) + 10^{-8} = 10^{-8}, \qquad\text{but}\qquad (1 + 10^{-8}) - D = 1 - D = 0.$$
#
# Python reads `1 - D + 1e-8` as the former. A graph, however, is rewritten before it runs. In real
# numbers the two are equal, the second has the two constants together, and constants can be added
# in advance: one addition saved. TensorFlow's graph optimiser (Grappler) has a pass for that.
#
# This is a hypothesis until we have switched the passes off one at a time.


# %%
def without(name, function, *arguments):
    tf.config.optimizer.set_experimental_options({name: False})
    try:
        return function(*arguments)
    finally:
        tf.config.optimizer.set_experimental_options({name: True})  # as it was


for name in ("arithmetic_optimization", "remapping", "loop_optimization", "constant_folding"):
    values = without(name, modes, guarded, [1.0])
    print(f"without {name:24}", *(f"{mode} {value[0]:.2f}  " for mode, value in values.items()))

# %% [markdown]
# The pass is `constant_folding`: without it the Session and `tf.function` are finite. With XLA
# nothing changes, because XLA has an algebraic simplifier of its own, with the same idea. Both can
# be caught in the act: the Session hands out the graph that it really ran, and a compiled function
# the program before and after optimisation.

# %%
with tf.Graph().as_default() as graph, v1.Session() as session:
    d = v1.placeholder(tf.float32, [None], name="D")
    logarithm, report = guarded(d), v1.RunMetadata()
    print("Session, as written:", [op.type for op in graph.get_operations()])
    session.run(logarithm, {d: [1.0]}, v1.RunOptions(output_partition_graphs=True), report)
nodes = [node for node in report.partition_graphs[0].node if node.op[0] != "_"]
print("Session, as it ran: ", [node.op for node in nodes], end=" ")
print("with the constant", tf.make_ndarray(nodes[0].attr["value"].tensor))
compiled = tf.function(guarded, jit_compile=True).experimental_get_compiler_ir(tf.ones([2]))
print("XLA, additions:", [compiled(stage=s).count(" add(") for s in ("hlo", "optimized_hlo")])

# %% [markdown]
# As written there are two constants, a `Sub` and an `AddV2`. What ran has one constant, exactly 1,
# and one subtraction; XLA's program had one addition and has none. The guard is gone in both.
#
# ## What follows
#
# Infinity is not yet the end. The derivative is. With $D = \sigma(l)$, $l$ the logit, the chain
# rule as TensorFlow applies it multiplies the derivative of the logarithm by that of the sigmoid,
#
# $$\frac{\partial}{\partial l} \log(1 - D) = -\frac{1}{1 - D} \cdot D\,(1 - D)
# \quad\longrightarrow\quad -\frac{1}{0} \cdot 1 \cdot 0 = -\infty \cdot 0 = \text{NaN}$$
#
# at $D = 1$, where the true value is $-1$. And $D$ need not be sure to all digits: $1 + e^{-l}$
# rounds to 1 as soon as $e^{-l} < 2^{-24}$, that is from $l = 24 \ln 2 = 16.6$ on. One such NaN in
# one image of a batch is in the sum over the batch, so in the gradient of every weight on its way,
# then in Adam's averages, and in the weights for ever.
#
# Here is the original ALI as its script had it: encoder $Q$, decoder $P$, discriminator $D$, two
# Adams, the loop. It runs four times from the same weights on the same images: as written; without
# each of two passes of Grappler; and with the loss of tf_gen.


# %%
def written_loss(enc, gen):  # logits; D_enc should be 1 and D_gen 0
    return -tf.reduce_mean(tf.math.log(tf.sigmoid(enc) + 1e-8) + guarded(tf.sigmoid(gen)))


def original_ali(loss, iterations):
    with tf.Graph().as_default(), v1.Session() as session:
        v1.set_random_seed(0)
        x, z = v1.placeholder(tf.float32, [None, 784]), v1.placeholder(tf.float32, [None, 64])
        z_enc = network(x, "Q", [128, 64], tf.nn.relu)
        x_gen = tf.sigmoid(network(z, "P", [128, 784], tf.nn.relu))
        enc = network(tf.concat([x, z_enc], 1), "D", [128, 1], tf.nn.relu)
        gen = network(tf.concat([x_gen, z], 1), "D", [128, 1], tf.nn.relu, reuse=True)
        losses, train, adam = [loss(enc, gen), loss(gen, enc)], [], v1.train.AdamOptimizer
        for value, scope in zip(losses, ("D", "[QP]"), strict=True):
            train.append(adam(0.001).minimize(value, None, v1.trainable_variables(scope)))
        session.run(v1.global_variables_initializer())
        rng, history = np.random.default_rng(0), []
        for _ in range(iterations):
            rows = rng.integers(len(source.images), size=32)
            feed = {x: source.images[rows].reshape(-1, 784) / 255, z: rng.uniform(-1, 1, [32, 64])}
            history.append([session.run([losses[i], train[i]], feed)[0] for i in (0, 1)])
        weights = [session.run(v1.trainable_variables(scope)) for scope in "QPD"]
    return np.array(history), [np.concatenate([v.ravel() for v in part]) for part in weights]


# %%
def tell(name, history, weights):
    broken = ~np.isfinite(history).all(axis=1)
    first = f"iteration {broken.argmax() + 1}" if broken.any() else "never"
    end = "in the end: D {:.4f}, G {:7.4f}".format(*history[-1])
    nan = "NaN: Q {:.1%}, P {:.1%}, D {:.1%}".format(*(np.isnan(w).mean() for w in weights))
    print(f"{name:25} infinite: {first:13}  {end}  {nan}")


count = notebook.budget(800, 10)
tell("as written", *original_ali(written_loss, count))
tell("without constant_folding", *without("constant_folding", original_ali, written_loss, count))
tell("without remapping", *without("remapping", original_ali, written_loss, count))
tell("with the loss of tf_gen", *original_ali(ali.discriminator_loss, count))

# %% [markdown]
# As written, it becomes infinite after some hundred iterations (another seed, another iteration),
# and then reports a loss of 1.3863 for both players, for ever. The log shows two numbers that are
# finite and at rest.
#
# Worse: 1.3863 is $2 \ln 2$, the very value that the theory of GANs promises at the equilibrium,
# where $D = \tfrac12$ everywhere. The article, too, names this value of $D$ as the goal. Yet $Q$
# consists of NaN alone. How can NaN turn into the best of all results?
#
# - $G$'s loss has the term $\log(1 - D_\text{enc})$. One image of which $D$ is sure makes it
#   infinite, and the gradient for $Q$ NaN. So $Q$ is lost, and with it every $z = Q(x)$.
# - $D$ gets $(x, \text{NaN})$. Its first product is NaN, and relu of NaN should be NaN. But another
#   pass, `remapping`, has made of product, bias and relu one fused kernel, and this kernel's relu
#   makes of NaN a 0. (So on this kind of processor, x86, and this TensorFlow; where it is
#   otherwise, the row "as written" shows `nan` as well, which is kinder.)
# - The gradient by the kernel of $D$'s first layer is input times error: NaN times 0 in the 64 of
#   its 848 rows that $z$ enters through; these are the 7.5 % of $D$'s weights. Now these rows are
#   NaN too, so *every* pair gives NaN inside and 0 after relu.
# - $D$'s logit is then its last bias for real and generated alike. Adam draws it to 0.
#   $D = \tfrac12$ on everything, and $\mathrm{loss} = 2 \ln 2$.
#
# The row without `remapping` is the check: the same iteration, and then the log says `nan`. The row
# without `constant_folding` shows what the formula does where it is computed as it was written.
#
# **What to remember:** look at the weights, not at the loss alone, and distrust a GAN that is
# exactly at its equilibrium.
#
# ## The cure: logits
#
# There is no setting to switch off in a library that others run. The formula has to be one in which
# nothing can be folded. Since $1 - \sigma(l) = \sigma(-l)$, the 1 can go:
#
# $$\log(1 - D + \epsilon) = \log(\sigma(-l) + \epsilon).$$
#
# For $l = 20$, $\sigma(-20) = 2 \cdot 10^{-9}$ is an ordinary float32, and to add $10^{-8}$ to it
# loses nothing. The value is the one that the script meant; only the route differs.

# %%
notebook.source(numerics.log_sigmoid)

# %% [markdown]
# Is it right? In float64 with its 53 binary digits, $\epsilon = 10^{-8}$ is safe and NumPy rewrites
# nothing, so there the formula may be written as $\log(1 / (1 + e^{l}) + \epsilon)$ and be the
# judge.

# %%
logits = np.linspace(-40, 40, 801).astype(np.float32)
exact = np.log(1 / (1 + np.exp(np.float64(logits))) + 1e-8)
for name, function, style in (
    ("log(1 - D + 1e-8)", lambda logit: guarded(tf.sigmoid(logit)), "C1"),
    ("numerics.log_sigmoid", lambda logit: numerics.log_sigmoid(-logit, 1e-8), "C0--"),
):
    for mode, values in modes(function, logits).items():
        print(f"{name:21} {mode:12} largest error {np.abs(values - exact).max():.1e}")
    plt.plot(logits, values, style, label=f"{name}, {mode}")
plt.gca().set(xlabel="logit l", ylabel="log(1 - D + 1e-8) [nats]", xlim=(5, 30), ylim=(-20, -4))
plt.legend()
plt.show()

# %% [markdown]
# In eager mode the article's form is finite, yet off by up to 1.9 nats: $D$ itself was rounded to
# 24 digits on its way to 1, and what is lost there no guard brings back. In the graph modes it ends
# at $l = 16.6$, where the solid line stops. The package's form is right to $3 \cdot 10^{-6}$ in
# every mode. The VAE's pixels go through the same function, with the article's $10^{-10}$.
#
# ## From old names to new ones
#
# The last column: which article uses it. V is the VAE, G the Gaussian GAN, A is ALI.
#
# | TensorFlow 1 | now | what changed | |
# |---|---|---|---|
# | `tf.Session`, `sess.run(y)` | the value; `tf.function` for a graph | describe = run | V G A |
# | `tf.InteractiveSession`, `y.eval()` | nothing; `y.numpy()` | always on | A |
# | `tf.Variable` | `tf.Variable`, `keras.Variable` | holds its value itself | V G A |
# | `tf.global_variables_initializer` | nothing | done by the constructor | V G A |
# | `initialize_all_variables`, `local_variables_initializer` | nothing | the same | G |
# | `tf.placeholder`, `tf.float32`, `[None, 1]` | an argument, `tf.TensorSpec` | a call | V G A |
# | `feed_dict` | calling the function | only arguments can be given | V G A |
# | `tf.get_variable`, `variable_scope`, `reuse` | one Keras layer | object, not name | G |
# | `tf.trainable_variables`, `tf.get_collection` | `model.trainable_variables` | attributes | V G |
# | `tf.add_to_collection` | an attribute; a signature | no global lists | V |
# | `tf.train.Saver`, checkpoint | `tf.train.Checkpoint` | attributes, not names | V |
# | `tf.train.Saver`, `import_meta_graph` | `tf.saved_model`, signatures | functions | V |
# | `tf.get_default_graph` | nothing | no graph that is always there | V |
# | queues, readers, `tf.train.batch` | `tf.data` | no queues to fill | V |
# | `Coordinator`, `start_queue_runners` | nothing | no threads of yours | V |
# | `minimize(loss)`, `var_list` | `GradientTape`, `optimizer.apply` | two steps | V G A |
# | `tf.train.RMSPropOptimizer` | `vae.RMSpropTF1` | Keras's $s$ starts at 0 | V |
# | `tf.train.AdamOptimizer` | `keras.optimizers.Adam(epsilon=1e-8)` | Keras has 1e-7 | G A |
# | `tf.train.GradientDescentOptimizer` | `keras.optimizers.SGD` | the name | G |
# | `tf.train.exponential_decay` | `keras.optimizers.schedules` | the optimiser counts | G |
# | `tf.random_normal` | `tf.random.stateless_normal` | the seed is an argument | V |
# | `tf.set_random_seed` | `keras.utils.set_random_seed` | Python's and NumPy's, too | G |
# | `tf.log` | `tf.math.log` | the name | V G A |
# | `tf.concat(1, values)`, before 1.0 | `tf.concat(values, 1)` | the order | G |
#
# (ALI's listings are lost; A stands where its text or the script behind it has the name.) GANs 很难
# is written in PyTorch and is not in the table. TensorFlow brings a command, `tf_upgrade_v2`, that
# rewrites an old script to `tf.compat.v1`. The result runs, as the cells of this notebook did. It
# still has the accumulator, the collections, and the vanishing guard.
#
# ## Take it away
#
# - An old script that must run as it is: `import tensorflow.compat.v1 as tf`, and
#   `with tf.Graph().as_default():` around it, as here. Old checkpoints can be read without any
#   graph: `tf.train.load_checkpoint(prefix)`.
# - The trained models of this repository have signatures, which need TensorFlow alone:
#   `model = tf.saved_model.load("saved_models/vae")`, then `model.signatures["decode"]`; on the
#   command line `python -m tf_gen.sample vae --z 3,3 --out three.png`. More in [the
#   README](../README.md) and in each [card](../saved_models/vae/README.md).
# - Wherever $\log D$ or $\log(1 - D)$ occurs: keep the logit, and use
#   [`tf_gen.numerics.log_sigmoid`](../tf_gen/numerics.py) or TensorFlow's `tf.math.log_sigmoid`.
# - Read on: [01, the VAE](01_vae.ipynb), [02, the Gaussian](02_gaussian_gan.ipynb), [03, the GAN in
#   50 lines](03_tiny_gan.ipynb), [04, ALI](04_ali.ipynb).
#
# ## Exercises
#
# **1.** `feed_dict` may overwrite any tensor. The VAE article built its decoder again from ten
# arrays; find the tensor $z$ in the graph that it had imported, and decode the three points without
# building anything.

# %% tags=["answer"]
with tf.Graph().as_default() as graph, v1.Session() as session:
    v1.train.import_meta_graph(prefix + ".meta").restore(session, prefix)
    z = [op for op in graph.get_operations() if op.type == "MatMul"][3].inputs[0]
    fed = session.run(v1.get_collection("recon")[0], {z: points}).reshape(-1, 28, 28)
print(f"{z.name} is what enters the fourth product; {abs(fed - by_hand).max():.1e} off at most")

# %% [markdown]
# **2.** The articles guard their logarithms in other ways, too: the VAE's has `log(1e-10 + 1 - D)`,
# the listing of the Gaussian GAN `log(max(1 - D, 1e-5))`. Which of them hold at $D = 1$, and in
# which modes? Which powers of ten for `epsilon` survive in `log(1 - D + epsilon)` in a graph?

# %% tags=["answer"]
forms = {"1e-10 + 1 - D": lambda d: 1e-10 + 1 - d}
forms["max"] = lambda d: tf.maximum(1 - d, 1e-5)
forms |= {f"1 - D + {e:g}": lambda d, e=e: 1 - d + e for e in (1e-8, 1e-7, 1e-6, 1e-5)}
for name, form in forms.items():
    found = modes(lambda d, form=form: tf.math.log(form(d)), [1.0])
    print(f"{name:14}", *(f"{mode} {value[0]:.3f}  " for mode, value in found.items()))
# 1e-10 + 1 is 1 in float32, so it holds in no mode. 1e-7 survives, as 2^-23, the spacing above 1.

# %% [markdown]
# **3.** For a constant gradient of 0.01: after how many steps do the step lengths of the two kinds
# of RMSProp differ by less than 1 %? Write down the accumulator after $n$ steps first.

# %% tags=["answer"]
n, g = np.arange(1, 301), 0.01
from_0 = (1 - 0.9**n) * g**2  # a geometric series; from 1, there is 0.9^n of the start besides
print("from step", n[np.sqrt((0.9**n + from_0) / from_0) < 1.01][0], "on")

# %% [markdown]
# **4.** A graph is described once and run often. In TensorFlow 1 one saw the difference; with
# `tf.function` it is easy to forget. How often does Python run the body of a `tf.function` that is
# called with 0, 1, 2, and how often with `tf.constant(0)`, `tf.constant(1)`, `tf.constant(2)`?

# %% tags=["answer"]
bodies = []
double = tf.function(lambda k: bodies.append(k) or 2 * k)
for kind, of in (("numbers", int), ("tensors", tf.constant)):
    print(kind, [double(of(k)).numpy().item() for k in (0, 1, 2)], "bodies so far:", len(bodies))
# A Python number becomes part of the graph, so each needs its own; a tensor is an argument.
