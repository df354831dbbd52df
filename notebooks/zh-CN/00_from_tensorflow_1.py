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
# # 0. 从 TensorFlow 1 而来
#
# tf_gen 依据四篇文章，其中三篇是用 TensorFlow 1 写的：《变分自编码器》（VAE）、《生成对抗网络介绍》（学习高斯分布的 GAN）和《ALI的Tensorflow炼成与GAN科普》（ALI）。它们的代码里满是 `Variable`、`placeholder`、`feed_dict`、`Session`、`InteractiveSession`、`Saver`，还有集合、队列和变量作用域。本笔记本逐个讲解这些词：它当初有什么用，后来变成了什么；新旧两种写法并排运行，最后得到同样的数或同样的图。第四篇《GANs 很难》用的是 PyTorch，与这些无关。
#
# 读完之后，你能读懂这几篇文章的代码；你会用新旧两种写法更新同一个模型，得到同样的结果；还会亲眼看到移植中的两个陷阱：一个起点不同的优化器，和一个纸面上有限、在计算图里却等于 $-\infty$ 的对数 `log(1 - D + 1e-8)`。后者在几百次迭代之内就使原来的 ALI 失效，还把这件事掩盖起来。最后你会得到一张新旧名称对照表，以及 VAE 一文的作者不得不手工重建的解码器。
#
# **需要** Python、一点 Keras，以及求导。不需要安装 TensorFlow 1：TensorFlow 2 里仍然带着它，名叫 `tf.compat.v1`。不需要 GPU，也不用下载数据：所有数据都由软件包自带。第一个单元格会在缺少 tf_gen 的环境里自动安装它。
#
# **时间**：在双核 CPU 上不到一分钟。

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
# ## 计算图与会话
#
# 在 TensorFlow 1 里，`y = 3 * x` 这样一行什么也不计算，只是在**计算图**（graph）里加一个节点，而计算图是对计算的描述。要由**会话**（Session）运行图的一部分，才会得到数：`session.run(y)` 找出 `y` 所依赖的一切，交给 C++ 运行时去算，再把值取回来。这样设计是为了速度：Python 只描述一次，C++ 反复计算，在哪种设备上都行。
#
# TensorFlow 2 则立即计算，这叫即时执行（eager）。想要计算图的速度时，图仍然可用：`tf.function` 把一个 Python 函数变成计算图，调用这个函数就相当于过去的 `session.run`。
#
# `with tf.Graph().as_default():` 打开一个独立的图，其中的一切都按旧规则行事。新旧代码就是这样在同一个笔记本里共存的。许多转换过来的脚本以 `tf.compat.v1.disable_v2_behavior()` 开头，那样会把整个进程切换回旧模式，Keras 模型在里面就不能用了。

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
# 旧式的张量有名字和形状，但没有值。在 `tf.function` 内部也是如此；值只出现在它的边界上，也就是调用的时候。
#
# ## Variable 及其初始化
#
# **Variable** 是有记忆的节点，权重就存放在这里。计算图存的是变量的描述，**会话**存的才是它的值。所以在会话运行初始化操作之前，变量没有值；一次初始化所有变量的操作是 `tf.global_variables_initializer()`（高斯 GAN 一文的正文里用的是它的旧名 `initialize_all_variables`）。同一个图上的两个会话，对同一个变量各有一个值；会话一关闭，值也就没有了。
#
# 在 TensorFlow 2 里，`tf.Variable` 是一个 Python 对象，从创建那一行起就有自己的值。

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
# ## placeholder 与 feed_dict
#
# **placeholder**（占位符）是计算图里的一个空位，有类型和形状（`None` 表示长度任意）。每次运行时由 **feed_dict** 填入值。ALI 一文用对比来解释它：`Variable` 的值从一次运行保留到下一次，placeholder 却没有自己的值，所以不带 `feed_dict` 的 `sess.run(y_example)` 会报错中止。下面的运行正是如此。
#
# 这个空位后来变成了函数的参数，`feed_dict` 变成了函数调用。过去运行时才出现的错误，现在由 Python 自己报告为缺少参数；placeholder 所声明的类型和形状，现在是输入签名里的 `tf.TensorSpec`。

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
# `feed_dict` 的用处不限于填占位符：它可以在一次运行中覆盖图里的**任何**张量。第一道练习题会用到这一点。
#
# ## InteractiveSession
#
# 在笔记本里，一遍遍地写 `session.run(...)` 很烦人。**InteractiveSession** 一创建就把自己设为默认会话，于是不必指明会话就能用 `tensor.eval()` 和 `operation.run()`。普通的 `Session` 只有在自己的 `with` 块里才这样。TensorFlow 2 就像一个始终打开的 InteractiveSession，`.eval()` 则变成了 `.numpy()`。

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
# ## 集合与 Saver：VAE 一文的抱怨
#
# **集合**（collection）是属于计算图的一个有名字的列表。`tf.Variable` 把每个新变量登记到 `GLOBAL_VARIABLES`，如果没有另外说明，还登记到 `TRAINABLE_VARIABLES`；`optimizer.minimize` 就从那里取变量。程序里有什么以后还要找回来的东西，就用 `tf.add_to_collection` 保存。
#
# **Saver** 写出两样东西：一是**元图**（meta graph，即 `.meta`：所有节点和集合），二是**检查点**（checkpoint，即 `.data` 和 `.index`：各变量的值，按名字存放；另有一个名为 `checkpoint` 的文件，记着最新的是哪一个）。`import_meta_graph` 和 `restore` 能在另一个程序里把它们恢复出来，那个程序不需要有建图的代码。
#
# VAE 一文就是这样保存训练好的模型的，事后才发现，集合 `recon` 里只有重构。重构要输入一张图像，而想要的是以 $z$ 为输入的解码器。下面是它的计算图，十个变量里装的是[本仓库训练好的模型](../../saved_models/vae/README.md)的权重。（损失作了简化：它在这里只是为了让 RMSProp 创建自己的变量。原文所说的 `z_std` 其实是方差的对数。）

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
# 现在设想我们就是原文作者，过了一天，手里有这些文件，但没有代码。我们先看看里面有什么，再照原文的办法走出困境：用原始数组手工重建解码器。

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
# 这十个变量各是什么，没有一个字的说明；只能根据形状和旧代码推断，`a[3]`、`a[8]`、`a[4]`、`a[9]` 是解码器。其余二十个全局变量，是 RMSProp 为这十个变量各保存的两个累加器。
#
# **后来变成了什么。** *SavedModel* 没有集合，有的是**签名**：一些有名字的函数，输入和输出也都有名字，（调用期间要留着载入的对象，这里是 `box`：变量由它持有。）解码器就是其中之一，所以什么都不用重建：

# %%
images = box.signatures["decode"](z=tf.constant(points))["images"].numpy()  # one line

print("signatures:", ", ".join(box.signatures))
print(f"by hand against signature, largest difference: {abs(images - by_hand).max():.1e}")
notebook.picture(plots.mosaic(np.concatenate([by_hand, images]), 3))

# %% [markdown]
# 上排：原文的三个点 [3, 3]、[0, 0] 和 [0, 5]，由旧文件手工解码。下排：用签名得到的同样的图像。tf_gen 的模型是这样说明自己的 SavedModel 提供哪些功能的：

# %%
notebook.source(base.Generative.signatures, vae.VAE.signatures)

# %% [markdown]
# Saver 的另一半，即检查点，变成了 `tf.train.Checkpoint`。它依据的是 Python 属性而不是名字，所以不会把 `Variable_3` 和 `Variable_4` 弄混。集合也变成了属性：Keras 模型通过它的层找到变量，优化器则有自己的变量。

# %%
model, other = vae.build(vae.Config(seed=1)), vae.build(vae.Config(seed=2))
path = tf.train.Checkpoint(model=model).write(f"{folder.name}/new")
tf.train.Checkpoint(model=other).read(path).assert_consumed()
pictures = [each.decode(tf.constant(points)) for each in (model, other)]
print("now both draw the same:", np.array_equal(*pictures))

# %% [markdown]
# ## 队列，以及训练数据的供给
#
# VAE 一文的图像来自一个列表文件，每行一个 `path label`，通过**队列**读入：一个文件名队列、一个已解码样本的队列，以及让队列保持充足的若干 Python 线程。`start_queue_runners` 启动这些线程，**Coordinator** 停止它们。谁忘了启动，第一次 `session.run` 就会永远等下去，等一张没有线程去读的图像。
#
# `tf.data` 有同样的几个环节，但它们是普通的对象，没有线程需要启动或停止。下面两种写法读同一个列表，处理一行用的也是同一个函数。

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
# tf_gen 更进一步。用队列时，哪张图像何时出现取决于线程的运行情况；用 `Dataset.shuffle` 时，则取决于此前抽取过的一切。而在这里，一个批次是随机种子与更新序号的**纯函数**，连噪声也是。所以第 25,000 次更新的批次可以直接得到，不必先生成前面的 24,999 个；中断的训练可以接着进行，就像什么都没有发生过；一次更新还可以与原代码的更新逐个数值地比较，因为更新本身不做任何抽样。

# %%
config = vae.Config(seed=3)
run = list(vae.batches(config, source, start=25_000).take(8))[7]
alone = next(iter(vae.batches(config, source, start=25_007)))
print("the same:", {name: np.array_equal(run[name], alone[name]) for name in run})
notebook.source(vae.blocks, vae.digits.blocks)

# %% [markdown]
# ## 变量作用域：共享权重的两份 D
#
# 在 GAN 里，判别器 $D$ 既看真实的点，也看生成的点。在 TensorFlow 1 里，网络不是对象，而是某个 Python 函数加到计算图里的那些节点。函数调用两次，就有两个网络、两套权重。为了共享权重，高斯 GAN 一文用了**变量作用域**（variable scope）：在 `tf.variable_scope("D")` 里调用 `tf.get_variable("w")`，就是向计算图要变量 `D/w`，而 `reuse` 规定这个变量必须是新的，还是必须已经存在。
#
# 下面按这种写法实现原文的网络。为了简短，各个网络都由同一个函数按各层的大小建立；它返回 logit，sigmoid 放在它之后。（初始权重按 ALI 的方式抽取，后面的 ALI 要用到；在这里，使用之前就会被替换掉。）


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
# Keras 的层**就是**网络：这个对象拥有自己的权重，每次调用都用同一套。为此不需要给任何东西起名。作用域靠名字做到的事，对象靠自己始终是同一个对象就做到了。
#
# ## 优化器：var_list，以及两种写法的同一次更新
#
# $D$ 学着降低 `loss_d`，同时不得改动 $G$；然后 $G$ 通过 $D$ 降低 `loss_g`，这时 $D$ 必须不变。在 TensorFlow 1 里，`optimizer.minimize(loss, var_list=...)` 把计算梯度和迈出一步的节点加进计算图，`var_list` 规定这一步移动哪些变量。不写它，就会移动 `TRAINABLE_VARIABLES` 里的一切，$G$ 反而会帮助 $D$ 把自己认出来。
#
# 在 TensorFlow 2 里，这两半是分开的。`GradientTape` 记录一段计算并对它求导，`optimizer.apply(gradients, variables)` 迈出一步。变量列表出现两次，两次都明明白白写在那里：

# %%
notebook.source(gaussian_gan.GaussianGAN.update)

# %% [markdown]
# 两者真的相同吗？我们照原文的做法把旧的计算图补完：普通的梯度下降，学习率每 150 步减小 5 %。然后把新模型的权重复制进去，给两边同样的点和同样的噪声，各做一次更新。


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
# 结果相同，直到 float32 的最后几位。本软件包所说的“忠实”就是这个意思，它的测试对每个模型检查的也是这一点。
#
# ## 循环里的 `session.run`，与一个程序里的多次更新
#
# 原代码用 Python 循环来训练，每次更新调用两次 `session.run`。这些网络非常小：一次更新的算术只需几十微秒，从 Python 进入 TensorFlow 再回来却要几百微秒。所以 tf_gen 把**循环**也放进程序。先把 $K$ 次更新所用的数据堆叠起来，再由编译好的函数里的 `tf.while_loop` 一片一片地取用：

# %%
notebook.source(base.Generative.train_step, base.repeat)

# %% [markdown]
# 平时由 `model.fit` 编译 `train_step`；这一次我们自己来编译，以便并排比较两种方式：从同样的权重出发，用同样的批次，再更新 500 次。

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
# 经过这么多次更新，损失和权重仍然一致，而新写法所用的时间只是旧写法的一小部分。（生成程序花了几秒，但只需一次，没有计入。更长的训练和其他模型见[基准测试](../../tests/benchmarks/README.md)：与原代码的会话相比，速度最低是 VAE 的 1.9 倍（它的算术量确实不小），最高是这个模型的 19.7 倍。）
#
# ## RMSProp：从 1 开始的累加器
#
# RMSProp 把每个梯度 $g$ 除以一个平方根，根号里是 $g^2$ 的滑动平均 $s$。设衰减率 $\rho = 0.9$，学习率 $\eta = 0.001$，在 TensorFlow 1 和 Keras 里都是
#
# $$s \leftarrow \rho\, s + (1 - \rho)\, g^2, \qquad
# w \leftarrow w - \frac{\eta\, g}{\sqrt{s + \epsilon}}.$$
#
# 区别在于 $s$ 从哪里开始，而这从 VAE 一文的代码里一点也看不出来。Keras 从 $s = 0$ 开始，所以第一步是 $\eta g / \sqrt{0.1\, g^2} = \sqrt{10}\, \eta$，与梯度的大小无关。TensorFlow 1 从 $s = 1$ 开始，所以第一步是 $\eta g / \sqrt{0.9 + 0.1\, g^2}$；$g$ 小的时候，它大约是 $1.05\, \eta g$，很小。移植时如果用 `keras.optimizers.RMSprop` 代替 `tf.train.RMSPropOptimizer`，从第一步起训练就不一样了。tf_gen 为此有一个专门的类：

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
# TensorFlow 1、`RMSpropTF1` 和手算这三行是一致的。（第一列里 Keras 的步长小于 $\sqrt{10}\,\eta = 0.00316$，是因为那里它的 $\epsilon = 10^{-7}$ 大于 $0.1\, g^2$。）梯度为 0.01 时，两种第一步相差 300 倍。起点的影响按 $0.9^n$ 消失；到什么时候才算消失，是第三道练习题。
#
# ## `log(1 - D + 1e-8)` 在图模式下是 $-\infty$
#
# 判别器如果十分肯定，就会给出 $D = 1$，这时 $\log(1 - D)$ 会是 $-\infty$。ALI 一文所依据的脚本对此有所防护：其中的 `log(v)` 是 `tf.log(v + 1e-8)`。在纸面上，$\log(1 - 1 + 10^{-8}) = -18.4$。我们来问问今天的 TensorFlow，各种模式都试一遍。（$D$ 作为参数传入，或者通过占位符传入；如果是常量，就会被预先算好。）


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
# 最后一列是 $D = 1$。即时执行得到的正是本来想要的值，三种计算图得到的都是 $-\infty$。（第一列 $D = 0$，值是 $\log(1 + 10^{-8})$，它在 float32 里本来就是 0。）
#
# **为什么。** float32 有 24 位二进制有效数字。1 之后的下一个数是 $1 + 2^{-23}$，即 $1 + 1.19 \cdot 10^{-7}$，所以比 1 大、但超出的部分不大于这个间隔一半的数，都舍入为 1：$1 + 10^{-8} = 1$。在 0 附近，数要密得多，$0 + 10^{-8}$ 没有问题。所以结果取决于加法的次序：
#
# $$(1 - D) + 10^{-8} = 10^{-8}, \qquad\text{但}\qquad (1 + 10^{-8}) - D = 1 - D = 0.$$
#
# Python 把 `1 - D + 1e-8` 理解为前者。计算图却在运行之前先被改写。对实数来说，这两个式子相等，而后一个式子把两个常量放在一起，常量可以预先相加，这就省去一次加法。TensorFlow 的计算图优化器（Grappler）里有一个优化遍（pass）专做这件事。
#
# 在把各个优化遍逐一关掉试过之前，这还只是假设。


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
# 就是 `constant_folding`（常量折叠）这一遍：关掉它，会话和 `tf.function` 的结果都是有限的。用 XLA 时则没有变化，因为 XLA 自己有一个代数化简器，思路相同。两者都可以当场查实：会话能交出它实际运行的图，编译后的函数能交出优化前后的程序。

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
# 按原来的写法，图里有两个常量、一个 `Sub` 和一个 `AddV2`。实际运行的图里只有一个常量，恰好是 1，还有一次减法；XLA 的程序原来有一次加法，后来没有了。在这两者里，防护都消失了。
#
# ## 后果
#
# 值变成无穷大还不算完，致命的是导数。设 $D = \sigma(l)$，$l$ 是 logit。TensorFlow 应用链式法则，把对数的导数乘以 sigmoid 的导数，在 $D = 1$ 处就得到
#
# $$\frac{\partial}{\partial l} \log(1 - D) = -\frac{1}{1 - D} \cdot D\,(1 - D)
# \quad\longrightarrow\quad -\frac{1}{0} \cdot 1 \cdot 0 = -\infty \cdot 0 = \text{NaN}$$
#
# 而那里的真值是 $-1$。$D$ 也不必肯定到分毫不差：只要 $e^{-l} < 2^{-24}$，即从 $l = 24 \ln 2 = 16.6$ 起，$1 + e^{-l}$ 就舍入为 1。批次里只要有一张图像出了这样一个 NaN，对批次的求和里就有它，于是沿途每个权重的梯度里都有它，接着进入 Adam 的滑动平均，最后进入权重，从此再也去不掉。
#
# 下面是照原脚本写的 ALI：编码器 $Q$、解码器 $P$、判别器 $D$、两个 Adam 和训练循环。它从同样的权重出发，用同样的图像运行四次：一次照原样，两次分别关掉 Grappler 的一个优化遍，一次用 tf_gen 的损失。


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
# 照原样运行，它在几百次迭代之后变成无穷大（种子不同，发生在第几次迭代也不同），然后一直报告双方的损失都是 1.3863。日志里显示的是两个有限的、不再变动的数。
#
# 更糟的是，1.3863 就是 $2 \ln 2$，正是 GAN 的理论预言的均衡值，在均衡处 $D = \tfrac12$ 处处成立。原文也把 $D$ 的这个值说成目标。然而 $Q$ 里全是 NaN。NaN 怎么会变成最好的结果？
#
# - $G$ 的损失里有 $\log(1 - D_\text{enc})$ 这一项。只要有一张图像让 $D$ 十分肯定，这一项就变成无穷大，$Q$ 的梯度就变成 NaN。于是 $Q$ 毁了，所有的 $z = Q(x)$ 也随之毁了。
# - $D$ 得到的是 $(x, \text{NaN})$。它的第一个乘积是 NaN，而 NaN 的 relu 本来应当是 NaN。但是另一个优化遍 `remapping` 把乘积、偏置和 relu 合成了一个融合内核（fused kernel），这个内核的 relu 把 NaN 变成 0。（这是在 x86 处理器和这个版本的 TensorFlow 上的情形；在别的情形下，“as written”那一行也会显示 `nan`，那样反倒好些。）
# - 对 $D$ 第一层权重矩阵的梯度是输入乘以误差：在 $z$ 所进入的 64 行里（一共 848 行），就是 NaN 乘以 0；$D$ 的权重有 7.5 % 是 NaN，指的就是这些行。现在这些行也是 NaN，于是**每一**对输入在内部都得到 NaN，经过 relu 都变成 0。
# - 这样，无论输入是真实的还是生成的，$D$ 的 logit 都等于它最后一层的偏置。Adam 把这个偏置拉向 0，于是对一切输入都有 $D = \tfrac12$，$\mathrm{loss} = 2 \ln 2$。
#
# 关掉 `remapping` 的那一行是验证：在同一次迭代出问题，此后日志显示的就是 `nan`。关掉 `constant_folding` 的那一行表明，如果严格按写法计算，这个公式会得到什么。
#
# **要记住的是**：要看权重，不能只看损失；如果一个 GAN 恰好处在均衡点上，就应当怀疑。
#
# ## 对策：用 logit
#
# 软件包要在别人那里运行，没有什么开关可以替他们关掉。公式本身必须写成无可折叠的形式。因为 $1 - \sigma(l) = \sigma(-l)$，这个 1 可以去掉：
#
# $$\log(1 - D + \epsilon) = \log(\sigma(-l) + \epsilon).$$
#
# $l = 20$ 时，$\sigma(-20) = 2 \cdot 10^{-9}$ 是一个普通的 float32 数，给它加上 $10^{-8}$ 不会损失什么。值就是原脚本想要的值，只是算法不同。

# %%
notebook.source(numerics.log_sigmoid)

# %% [markdown]
# 这样算对吗？float64 有 53 位二进制有效数字，$\epsilon = 10^{-8}$ 在其中不会丢失，NumPy 也不改写任何东西，所以在那里公式可以写成 $\log(1 / (1 + e^{l}) + \epsilon)$，用它来评判。

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
# 即时执行时，原文的写法是有限的，但误差可达 1.9 奈特：$D$ 本身在趋近 1 的过程中已经舍入到 24 位，在那里丢掉的，什么防护也补不回来。在图模式下，它到 $l = 16.6$ 为止，实线就断在那里。软件包的写法在每种模式下误差都不超过 $3 \cdot 10^{-6}$。VAE 的像素也用同一个函数计算，其中的 $10^{-10}$ 取自原文。
#
# ## 新旧名称对照
#
# 最后一列是用到它的文章：V 是 VAE，G 是高斯 GAN，A 是 ALI。
#
# | TensorFlow 1 | 现在 | 变化 | |
# |---|---|---|---|
# | `tf.Session`、`sess.run(y)` | 就是值；要计算图则用 `tf.function` | 描述即运行 | V G A |
# | `tf.InteractiveSession`、`y.eval()` | 不需要；`y.numpy()` | 始终打开 | A |
# | `tf.Variable` | `tf.Variable`、`keras.Variable` | 自己存值 | V G A |
# | `tf.global_variables_initializer` | 不需要 | 构造时完成 | V G A |
# | `initialize_all_variables`、`local_variables_initializer` | 不需要 | 同上 | G |
# | `tf.placeholder`、`tf.float32`、`[None, 1]` | 参数、`tf.TensorSpec` | 函数调用 | V G A |
# | `feed_dict` | 调用函数 | 只有参数可以传入 | V G A |
# | `tf.get_variable`、`variable_scope`、`reuse` | 同一个 Keras 层 | 靠对象，不靠名字 | G |
# | `tf.trainable_variables`、`tf.get_collection` | `model.trainable_variables` | 属性 | V G |
# | `tf.add_to_collection` | 属性；签名 | 没有全局列表 | V |
# | `tf.train.Saver`，检查点 | `tf.train.Checkpoint` | 靠属性，不靠名字 | V |
# | `tf.train.Saver`、`import_meta_graph` | `tf.saved_model`，签名 | 函数 | V |
# | `tf.get_default_graph` | 不需要 | 没有始终存在的图 | V |
# | 队列、reader、`tf.train.batch` | `tf.data` | 没有队列要填 | V |
# | `Coordinator`、`start_queue_runners` | 不需要 | 没有线程要管 | V |
# | `minimize(loss)`、`var_list` | `GradientTape`、`optimizer.apply` | 分成两步 | V G A |
# | `tf.train.RMSPropOptimizer` | `vae.RMSpropTF1` | Keras 的 $s$ 从 0 开始 | V |
# | `tf.train.AdamOptimizer` | `keras.optimizers.Adam(epsilon=1e-8)` | Keras 是 1e-7 | G A |
# | `tf.train.GradientDescentOptimizer` | `keras.optimizers.SGD` | 名称 | G |
# | `tf.train.exponential_decay` | `keras.optimizers.schedules` | 由优化器计步 | G |
# | `tf.random_normal` | `tf.random.stateless_normal` | 随机种子是参数 | V |
# | `tf.set_random_seed` | `keras.utils.set_random_seed` | 连同 Python 和 NumPy 的种子 | G |
# | `tf.log` | `tf.math.log` | 名称 | V G A |
# | `tf.concat(1, values)`，1.0 之前 | `tf.concat(values, 1)` | 参数次序 | G |
#
# （ALI 的代码清单已经遗失；凡是正文或它所依据的脚本里出现的名称，都标了 A。）《GANs 很难》用 PyTorch 写成，不在表中。TensorFlow 带有一个命令 `tf_upgrade_v2`，能把旧脚本改写成使用 `tf.compat.v1` 的脚本。改写的结果可以运行，就像本笔记本的单元格一样；但累加器、集合和会消失的防护，也都原样留在里面。
#
# ## 可以带走的
#
# - 旧脚本如果必须原样运行：写 `import tensorflow.compat.v1 as tf`，外面套上 `with tf.Graph().as_default():`，像这里一样。旧的检查点不用任何计算图也能读：`tf.train.load_checkpoint(prefix)`。
# - 本仓库训练好的模型都有签名，使用时只需要 TensorFlow：先 `model = tf.saved_model.load("saved_models/vae")`，再 `model.signatures["decode"]`；在命令行里用 `python -m tf_gen.sample vae --z 3,3 --out three.png`。更多内容见 [README](../../README.zh-CN.md) 和各模型的[卡片](../../saved_models/vae/README.md)。
# - 凡是出现 $\log D$ 或 $\log(1 - D)$ 的地方：保留 logit，用 [`tf_gen.numerics.log_sigmoid`](../../tf_gen/numerics.py) 或 TensorFlow 的 `tf.math.log_sigmoid`。
# - 接着读：[1. 变分自编码器](01_vae.ipynb)、[2. 学习高斯分布的 GAN](02_gaussian_gan.ipynb)、[3. 50 行代码的 GAN](03_tiny_gan.ipynb)、[4. 对抗学习推断](04_ali.ipynb)。
#
# ## 练习
#
# **1.** `feed_dict` 可以覆盖任何张量。VAE 一文用十个数组重建了解码器；请在它导入的计算图里找到张量 $z$，不重建任何东西，直接解码那三个点。

# %% tags=["answer"]
with tf.Graph().as_default() as graph, v1.Session() as session:
    v1.train.import_meta_graph(prefix + ".meta").restore(session, prefix)
    z = [op for op in graph.get_operations() if op.type == "MatMul"][3].inputs[0]
    fed = session.run(v1.get_collection("recon")[0], {z: points}).reshape(-1, 28, 28)
print(f"{z.name} is what enters the fourth product; {abs(fed - by_hand).max():.1e} off at most")

# %% [markdown]
# **2.** 这几篇文章里还有别的防护对数的写法：VAE 的是 `log(1e-10 + 1 - D)`，高斯 GAN 的文末代码里是 `log(max(1 - D, 1e-5))`。在 $D = 1$ 处，哪些写法有效，在哪些模式下有效？在计算图里，`log(1 - D + epsilon)` 中的 `epsilon` 取 10 的哪些次幂能够保留下来？

# %% tags=["answer"]
forms = {"1e-10 + 1 - D": lambda d: 1e-10 + 1 - d}
forms["max"] = lambda d: tf.maximum(1 - d, 1e-5)
forms |= {f"1 - D + {e:g}": lambda d, e=e: 1 - d + e for e in (1e-8, 1e-7, 1e-6, 1e-5)}
for name, form in forms.items():
    found = modes(lambda d, form=form: tf.math.log(form(d)), [1.0])
    print(f"{name:14}", *(f"{mode} {value[0]:.3f}  " for mode, value in found.items()))
# 1e-10 + 1 is 1 in float32, so it holds in no mode. 1e-7 survives, as 2^-23, the spacing above 1.

# %% [markdown]
# **3.** 设梯度恒为 0.01：多少步之后，两种 RMSProp 的步长相差不到 1 %？先写出 $n$ 步之后的累加器。

# %% tags=["answer"]
n, g = np.arange(1, 301), 0.01
from_0 = (1 - 0.9**n) * g**2  # a geometric series; from 1, there is 0.9^n of the start besides
print("from step", n[np.sqrt((0.9**n + from_0) / from_0) < 1.01][0], "on")

# %% [markdown]
# **4.** 计算图描述一次，运行多次。在 TensorFlow 1 里，这个区别看得见；用 `tf.function` 则容易忘记。对一个 `tf.function`，先后用 0、1、2 调用它，Python 会运行函数体多少次？用 `tf.constant(0)`、`tf.constant(1)`、`tf.constant(2)` 调用，又是多少次？

# %% tags=["answer"]
bodies = []
double = tf.function(lambda k: bodies.append(k) or 2 * k)
for kind, of in (("numbers", int), ("tensors", tf.constant)):
    print(kind, [double(of(k)).numpy().item() for k in (0, 1, 2)], "bodies so far:", len(bodies))
# A Python number becomes part of the graph, so each needs its own; a tensor is an argument.
