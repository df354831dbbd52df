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
# # 0. 从 TensorFlow 1 说起
#
# tf_gen 依据四篇文章，其中三篇附有 TensorFlow 1 程序：《变分自编码器》（VAE）、《生成对抗网络介绍》（学习高斯分布的 GAN）和《ALI的Tensorflow炼成与GAN科普》（ALI）。这些代码里满是 TensorFlow 2 已经取消的名称：`Session`、`placeholder`、`feed_dict`、`Saver`、集合、队列、变量作用域。本笔记本逐个说明它们当初有什么用，后来被什么取代。TensorFlow 2 在 `tf.compat.v1` 中保留了 TensorFlow 1，所以新旧两种写法可以在这里并排运行。（第四篇《GANs 很难》用的是 PyTorch。）
#
# 你将用两种写法各实现一个小型 GAN，并验证二者的损失相同。你还会看到移植旧代码时的两个陷阱：一是优化器的状态从不同的初值开始；二是对数 `log(1 - D + 1e-8)`，它在纸面上有限，在编译后的计算图里却是 $-\infty$。第二个陷阱会让原来的 ALI 程序在几百次迭代之后彻底失效，而此后打印的损失看上去却完美无缺。
#
# 标题以“进阶”开头的小节，初读时可以跳过。
#
# **需要** Python、一点 Keras，以及导数的知识。不需要安装 TensorFlow 1，也不需要 GPU。所有数据都由软件包自带，不用另外下载。第一个代码单元格会在缺少 tf_gen 的环境里自动安装它。
#
# **时间**：在双核 CPU 上一到两分钟。

# %%
# 在没有 tf_gen 的环境里（例如 Colab）安装它。
import importlib.util
import subprocess
import sys
from pathlib import Path

REPOSITORY = ""
if not importlib.util.find_spec("tf_gen"):
    checkout = [str(path) for path in Path.cwd().parents if (path / "tf_gen").is_dir()]
    place = checkout[0] if checkout else f"git+https://github.com/{REPOSITORY}"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", place], check=True)

from tf_gen import notebook  # 导入 TensorFlow，并去掉它启动时的输出

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

v1 = tf.compat.v1  # TensorFlow 2 里的 TensorFlow 1
notebook.use_chinese()


# %%
def sample(name, count):
    model = tf.saved_model.load(str(savedmodel.find(Path(name))))
    return model.signatures["sample"](count=tf.constant(count), seed=tf.constant([1, 2]))


digits = {name: sample(name, 64)["images"].numpy() for name in ("vae", "ali")}
points = {name: sample(name, 10_000)["x"].numpy() for name in ("gaussian_gan", "tiny_gan")}
figures.shipped_models(digits, points, {"gaussian_gan": (4, 0.5), "tiny_gan": (4, 1.25)})

# %% [markdown]
# 这些是本仓库中四个训练好的模型生成的样本，每篇文章对应一个模型。两个模型生成手写数字；另外两个生成实数，橙色曲线是它们要学习的正态分布。函数 `sample` 只做两次调用：先载入模型，再调用模型的一个函数。原文的程序则要经过更多步骤（其中的术语下文会解释）：导入或重建计算图，打开会话，把变量恢复到会话中，找到所需的张量，再给占位符填值。
#
# ## 新旧名称对照
#
# 读原文时可以把这张表当作参考。最后一列是用到该名称的文章：V 是 VAE，G 是高斯 GAN，A 是 ALI。（ALI 一文的代码清单已经遗失；凡是正文中出现的名称，或者与正文相符的公开脚本中出现的名称，都标为 A。）
#
# | TensorFlow 1 | 现在 | 有什么变化 | 出处 |
# |---|---|---|---|
# | `tf.Session`、`sess.run(y)` | 不需要；或用 `tf.function` | 立即得到值 | V G A |
# | `tf.InteractiveSession`、`y.eval()` | 不需要；`y.numpy()` | 始终是交互式的 | A |
# | `tf.Variable` | `tf.Variable`、`keras.Variable` | 对象自己保存值 | V G A |
# | `tf.global_variables_initializer` | 不需要 | 由构造函数完成 | V G A |
# | `initialize_all_variables` | 不需要 | 上一行的旧名 | G |
# | `local_variables_initializer` | 不需要 | 由构造函数完成 | G |
# | `tf.placeholder(tf.float32, [None, 1])` | 函数的参数、`tf.TensorSpec` | 填值变成调用 | V G A |
# | `feed_dict` | 调用时的参数 | 只能传参数，不能替换其他张量 | V G A |
# | `tf.get_variable`、`variable_scope`、`reuse` | 同一个 Keras 层 | 不再靠名字 | G |
# | `tf.trainable_variables` | `model.trainable_variables` | 变成属性 | G |
# | `tf.get_collection` | 属性 | 没有全局列表 | V |
# | `tf.add_to_collection` | 属性或签名 | 没有全局列表 | V |
# | `tf.train.Saver`、`restore` | `tf.train.Checkpoint` | 依据属性，不依据名字 | V |
# | `tf.train.Saver`、`import_meta_graph` | `tf.saved_model` | 用签名，不用找张量 | V |
# | `tf.get_default_graph` | 不需要 | 没有默认的图 | V |
# | 队列、reader、`tf.train.batch` | `tf.data` | 直接迭代 | V |
# | `Coordinator`、`start_queue_runners` | 不需要 | `tf.data` 自己管理线程 | V |
# | `minimize(loss, var_list)` | `tf.GradientTape`、`optimizer.apply` | 分成两步 | V G A |
# | `tf.train.RMSPropOptimizer` | tf_gen 的 `vae.RMSpropTF1` | Keras 的初值是 0，不是 1 | V |
# | `tf.train.AdamOptimizer` | `keras.optimizers.Adam(epsilon=1e-8)` | Keras 默认 1e-7 | G A |
# | `tf.train.GradientDescentOptimizer` | `keras.optimizers.SGD` | 改名 | G |
# | `tf.train.exponential_decay` | `keras.optimizers.schedules` | 由优化器计步 | G |
# | `tf.random_normal` | `tf.random.stateless_normal` | 随机种子是参数 | V |
# | `tf.set_random_seed` | `keras.utils.set_random_seed` | 同时设置 Python 和 NumPy | G |
# | `tf.log` | `tf.math.log` | 改名 | V G A |
# | `tf.concat(1, values)`（1.0 之前） | `tf.concat(values, 1)` | 参数的次序 | G |
#
# ## 同一个程序，两种写法
#
# 下面按原文末尾的完整代码实现高斯 GAN。生成器 $G$ 把噪声 $z$ 变成一个数；判别器 $D$ 估计一个数来自真实数据的概率。真实数据服从 $N(4, 0.5)$，即均值为 4、标准差为 0.5 的正态分布。（损失的含义见[笔记本 02](02_gaussian_gan.ipynb)。）先看 TensorFlow 1 的程序。一切都要预先描述：输入是占位符，网络是往计算图里添加节点的函数，然后是损失和两个优化器。这个单元格只作描述，不进行任何计算。


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
# 会话保存变量的值。每次调用 `run`，都会给占位符填值，计算损失，并执行训练操作。先训练 $D$，再用新的噪声训练 $G$：

# %%
old_session = v1.Session(graph=old_graph)
old_session.run(initialise)


def old_update(batch):
    old_d, _ = old_session.run([loss_d, train_d], {real: batch["x"], noise: batch["z_d"]})
    old_g, _ = old_session.run([loss_g, train_g], {noise: batch["z_g"]})
    return old_d, old_g


# %% [markdown]
# 下面两个单元格是同一个程序在 TensorFlow 2 和 Keras 3 里的写法。网络是对象，一次更新是一个 Python 函数；装饰器 `tf.function` 在第一次调用时把它编译成计算图。你可以随意修改它们。


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
def log_sigmoid(logits):  # log(max(p, 1e-5))，其中 p = sigmoid(logits)
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
# 这里的 `D` 返回 **logit** $l$，即 sigmoid 函数 $\sigma$ 的输入。概率是 $D = \sigma(l)$，而 $1 - D = \sigma(-l)$。这样写的理由见后文“对策：使用 logit”。
#
# 两个程序的结果一致吗？与 tf_gen 自己的模型也一致吗？该模型的预设 `listing` 是一组设置，取自这份代码中的常数。我们把 tf_gen 模型的权重复制到两个程序里，再让三者使用同样的批次和同样的噪声。（`notebook.budget(full, small)` 返回 `full`；只有本项目的测试为了省时才用 `small`。）

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
    tolerance = 1e-5 if update == 1 else 1e-3  # 舍入的差别逐次增大
    np.testing.assert_allclose([new, (theirs["loss_d"], theirs["loss_g"])], [old, old], tolerance)
print("旧：", *np.float32(old), "新：", *np.float32(new))

# %% [markdown]
# 断言全部成立：第一次更新时，三个程序的相对误差不超过 $10^{-5}$。后面的更新允许 $10^{-3}$，因为各程序对同样的数求和的次序不同，float32 的末几位会有差别，而且每次更新都会把差别带到下一次。打印出来的是最后一次更新的 `loss_d` 和 `loss_g`。从这里起，我们尽量使用 tf_gen 的模型：它们算出的损失相同，但能在一个编译好的程序里完成几百次更新。
#
# 现在训练你自己的程序：

# %%
losses = [new_update(draw_batch(rng)) for _ in range(notebook.budget(3000, 20))]
x = G(np.linspace(-8, 8, 10_000)[:, None]).numpy()
print(f"均值 {x.mean():.2f}，标准差 {x.std():.2f}")
figures.training(np.array(losses), x, 4, 0.5)

# %% [markdown]
# 均值和标准差接近 4 和 0.5，但形状不是钟形；损失来回振荡，$D$ 和 $G$ 你追我赶。（奈特是与自然对数对应的单位。）小型 GAN 很难训练：继续更新，或者换一个随机种子，得到的形状就会不同。[笔记本 02](02_gaussian_gan.ipynb) 说明了原因，并改进了训练；第一幅图中 `gaussian_gan` 的直方图，就来自用改进的方法训练出的模型。
#
# 下面逐个说明旧的名称。
#
# ## 计算图与会话
#
# 在 TensorFlow 1 里，`y = 3 * x` 这样的一行并不计算，只是往**计算图**（graph）里添加一个节点。计算图是对计算的描述。要得到数值，必须由**会话**（Session）运行图的一部分：`session.run(y)` 找出 `y` 依赖的所有节点，交给 C++ 运行时执行，再返回结果。这样设计是为了速度：Python 只描述一次，C++ 则可以在任何设备上执行很多次。
#
# TensorFlow 2 采用即时执行（eager），写到哪里就算到哪里。需要计算图的速度时，可以用 `tf.function` 把 Python 函数变成计算图；调用这个函数，就相当于过去的 `session.run`。
#
# `with tf.Graph().as_default():` 会打开一个图，块内的代码遵循 TensorFlow 1 的规则，新旧代码因此能在同一个笔记本里共存。许多转换过来的脚本则以 `tf.compat.v1.disable_v2_behavior()` 开头，它会让整个进程退回旧规则，Keras 3 的模型就无法训练了。

# %%
with tf.Graph().as_default() as graph:
    y = 3.0 * tf.constant(2.0)
    print("旧，y 本身：", y)
    print("旧，session.run(y)：", v1.Session().run(y))
    print("旧，图中的节点：", [op.name for op in graph.get_operations()])

print("新，立即计算：", (3.0 * tf.constant(2.0)).numpy())
print("新，作为计算图：", tf.function(lambda x: 3.0 * x)(tf.constant(2.0)).numpy())

# %% [markdown]
# 旧式的张量有名字、类型和形状，但没有值。`tf.function` 内部的张量也是如此；只有在函数外部，也就是调用时的参数和返回值，才有具体的值。真实程序的计算图要大得多。下面是 `tf.function` 由 tf_gen 的 `gaussian_gan` 的一次更新得到的计算图，其中的运算已经分组（ALI 一文的结尾也有这样一幅图，称为 Running Graph）：

# %%
notebook.diagram("running_graph_gaussian_gan", "zh-CN")

# %% [markdown]
# ## Variable 及其初始化
#
# **Variable**（变量）是在多次运行之间保存值的节点，权重就是变量。计算图里只有变量的描述，变量的值保存在**会话**里。这带来三个后果：第一，会话运行初始化操作之前，变量没有值；`tf.global_variables_initializer()` 一次初始化所有变量（高斯 GAN 一文的正文用的是旧名 `initialize_all_variables`）。第二，在同一个图上打开两个会话，同一个变量就有两个值。第三，会话关闭后，变量的值就丢失了。
#
# 在 TensorFlow 2 里，`tf.Variable` 是一个 Python 对象，创建时就有值。

# %%
with tf.Graph().as_default(), v1.Session() as session:
    weight = v1.Variable(1.0, name="weight")
    grow = v1.assign_add(weight, 0.5)  # 只是一个节点，还没有增加
    print("旧，没有值的变量：", session.run(v1.report_uninitialized_variables()))
    session.run(v1.global_variables_initializer())
    print("旧：", session.run(grow))

weight = tf.Variable(1.0, name="weight")
print("新：", weight.assign_add(0.5).numpy())

# %% [markdown]
# ## placeholder 与 feed_dict
#
# **placeholder**（占位符）是计算图的输入，有类型和形状（`None` 表示长度任意），但没有值；**feed_dict** 在一次运行中给它赋值。ALI 一文拿它与变量对比：变量的值从一次运行保留到下一次，而如果 `y_example` 是占位符，又没有给出 `feed_dict`，`sess.run(y_example)` 就会失败。下面的单元格重现了这个错误。
#
# 现在，占位符变成了函数的参数，填值变成了函数调用；缺少参数时，Python 自己会报错。占位符所声明的类型和形状，对应输入签名中的 `tf.TensorSpec`。

# %%
with tf.Graph().as_default(), v1.Session() as session:
    y_example = v1.placeholder(tf.float32, [None], name="y_example")
    try:
        session.run(y_example)
    except tf.errors.InvalidArgumentError as error:
        print("旧，没有填值：", next(t for t in str(error).splitlines() if "must feed" in t))
    print("旧，填值：", session.run(tf.reduce_sum(y_example**2), {y_example: [1.0, 2.0, 3.0]}))


sum_of_squares = tf.function(lambda y: tf.reduce_sum(y**2), [tf.TensorSpec([None], tf.float32)])
print("新，调用：", sum_of_squares(tf.constant([1.0, 2.0, 3.0])).numpy())

# %% [markdown]
# `feed_dict` 不仅能给占位符填值，还能在一次运行中替换图里**任何**张量的值。练习 1 会用到这一点。
#
# ## 变量作用域：同一个判别器，调用两次
#
# 在 GAN 里，判别器 $D$ 既要看真实的点，也要看生成的点。在 TensorFlow 1 里，网络不是对象，而是某个 Python 函数添加到图里的那些节点；函数调用两次，就会添加两个网络，各有一套权重。高斯 GAN 一文用**变量作用域**（variable scope）来共享权重：在 `tf.variable_scope("D")` 里调用 `tf.get_variable("w")`，就是向图索取名为 `D/w` 的变量；`reuse` 则规定这个变量必须是新的，还是必须已经存在。上面的函数 `network` 就是这样写的。如果不写 `reuse`，结果如下：

# %%
with old_graph.as_default():
    try:
        network(generated, "D", [8, 8, 8, 1], tf.nn.relu, normal)
    except ValueError as error:
        print("旧，不写 reuse：", str(error).split(". ")[0])
print("旧，调用两次 D：", *[v.name for v in d_params])
print("新，调用两次 D：", *[f"{v.path.split('/')[-1]}{v.shape}" for v in D.variables])

# %% [markdown]
# 在两个程序里，$D$ 都调用了两次，都只有四个权重矩阵（kernel）和四个偏置（bias）。Keras 的层自己持有权重，所以无论把同一个对象调用多少次，用的都是同一套权重，与名字无关。
#
# ## 优化器与 var_list
#
# 训练 $D$ 是为了降低 `loss_d`，这一步不能改变 $G$；接着训练 $G$ 来降低 `loss_g`，梯度要穿过 $D$，但这一步不能改变 $D$。在 TensorFlow 1 里，`optimizer.minimize(loss, var_list=...)` 往图里添加两类节点：计算梯度的节点，以及更新 `var_list` 中各变量的节点。如果不写 `var_list`，它会更新集合 `TRAINABLE_VARIABLES` 中的所有变量，于是训练 $D$ 的一步也会改变 $G$，使生成的点更容易被 $D$ 认出来。
#
# TensorFlow 2 把这两件事分开了：`tf.GradientTape` 记录计算并求导，`optimizer.apply(gradients, variables)` 更新变量，变量列表在两处都要写明。请把你的 `new_update` 与 tf_gen 的 `update` 对照来看：

# %%
notebook.source(gaussian_gan.GaussianGAN.update)

# %% [markdown]
# 两者算出的损失相同。tf_gen 把真实的批次和生成的批次叠在一起，$D$ 只需调用一次；损失则按名字返回。
#
# ## 集合与 Saver：VAE 一文的抱怨
#
# **集合**（collection）是属于计算图的有名字的列表。`tf.Variable` 把每个新变量加入集合 `GLOBAL_VARIABLES`；如果没有另外指定，还会加入 `TRAINABLE_VARIABLES`，`minimize` 就从后者中取变量。程序可以用 `tf.add_to_collection` 把以后还要找回的张量存进集合。
#
# **Saver** 会写出两样东西：**元图**（meta graph，即 `.meta`）包含所有节点和集合，**检查点**（checkpoint，即 `.data` 和 `.index`）按名字保存各变量的值。（还有一个名为 `checkpoint` 的小文件，记录最新的检查点是哪一个。）另一个程序可以用 `import_meta_graph` 和 `restore` 把它们读回来，不需要当初建图的代码。
#
# VAE 一文就是这样保存模型的，事后才发现集合 `recon` 里只有重构。重构的输入是图像，而作者想要的是以 $z$ 为输入的解码器。下面的单元格建立原文的计算图，用[本仓库训练好的模型](../../saved_models/vae/README.md)的权重作为十个变量的值，再用 Saver 保存。（损失作了简化，只用来让 RMSProp 像原文那样创建自己的变量。原文称为 `z_std` 的，其实是方差的对数。）

# %%
model = tf.saved_model.load(str(savedmodel.find(Path("vae"))))
arrays = [variable.numpy() for variable in model.signatures["reconstruct"].variables]
arrays = arrays[0::2] + arrays[1::2]  # 先是五个权重矩阵，再是五个偏置，与原文相同
folder = tempfile.TemporaryDirectory()
prefix = f"{folder.name}/VAE_mnist"

with tf.Graph().as_default(), v1.Session() as session:
    w = [v1.Variable(array) for array in arrays]  # 代替 30,000 次更新
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
# 现在假设你就是原文作者，过了一天，手里只有这些文件，没有代码。下面的单元格先列出文件里的内容，再按原文的办法，用原始数组手工重建解码器。

# %%
with tf.Graph().as_default() as graph, v1.Session() as session:
    v1.train.import_meta_graph(prefix + ".meta").restore(session, prefix)
    print("集合：", graph.get_all_collection_keys())
    print("全局变量的个数：", len(v1.global_variables()))
    for i, variable in enumerate(v1.trainable_variables()):
        print(f"a[{i}]  {variable.name:13} {variable.shape}")
    a, plane = session.run(v1.trainable_variables()), [[3.0, 3.0], [0.0, 0.0], [0.0, 5.0]]
    code = v1.placeholder(tf.float32, [None, 2])
    decoder = tf.sigmoid(tf.tanh(code @ a[3] + a[8]) @ a[4] + a[9])
    by_hand = session.run(decoder, {code: plane}).reshape(-1, 28, 28)

# %% [markdown]
# 其中十个变量是可训练的，但从名字看不出各是什么。只有根据形状和旧代码，才知道 `a[3]`、`a[8]`、`a[4]`、`a[9]` 组成解码器。其余二十个全局变量属于 RMSProp，它为每个可训练变量保存两个变量。
#
# **现在的做法。** SavedModel 没有集合，但有**签名**：签名是有名字的函数，输入和输出也都有名字。解码器就是其中一个签名，所以什么都不用重建。（使用签名期间，要保留对载入对象的引用，这里是 `model`，因为变量由它持有。）

# %%
images = model.signatures["decode"](z=tf.constant(plane))["images"].numpy()

print("签名：", ", ".join(model.signatures))
print("最大差别：", abs(images - by_hand).max())
notebook.picture(plots.mosaic(np.concatenate([by_hand, images]), 3))

# %% [markdown]
# 三列依次对应原文的三个点 [3, 3]、[0, 0] 和 [0, 5]。上排由手工重建的解码器生成，下排由签名生成。tf_gen 的模型这样声明自己的签名：

# %%
notebook.source(base.Generative.signatures, vae.VAE.signatures)

# %% [markdown]
# Saver 的另一半功能，即检查点，变成了 `tf.train.Checkpoint`。它依据 Python 对象的属性，而不是名字，所以不会把 `Variable_3` 和 `Variable_4` 弄混。集合也变成了属性：Keras 模型通过自己的层知道有哪些变量，优化器也知道自己的变量。下面的单元格通过检查点，把一个模型的权重复制到另一个模型：

# %%
first, second = vae.build(vae.Config(seed=1)), vae.build(vae.Config(seed=2))
path = tf.train.Checkpoint(model=first).write(f"{folder.name}/new")
tf.train.Checkpoint(model=second).read(path).assert_consumed()
print("图像相同：", np.array_equal(*(m.decode(tf.constant(plane)) for m in (first, second))))

# %% [markdown]
# ## 队列与 tf.data
#
# VAE 一文的图像来自一个列表文件，每行是 `path label`，通过**队列**读入：一个队列存放文件名，一个队列存放解码后的样本，若干 Python 线程负责把队列填满。`start_queue_runners` 启动这些线程，**Coordinator** 停止它们。如果忘了启动，第一次 `session.run` 就会永远等待，因为没有线程去读图像。
#
# `tf.data` 提供同样的几个步骤，但它们都是可以直接迭代的对象，线程由它自己管理。下面用两种方式读取同一个短列表的第一个批次，每一行都由同一个函数 `read` 解析。

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
    print("旧：", *session.run(next_batch))
    coordinator.request_stop()
    coordinator.join(threads)

print("新：", *next(tf.data.TextLineDataset(str(list_path)).map(read).batch(3).as_numpy_iterator()))

# %% [markdown]
# 接下来，原文还要读取并解码每个图像文件；用 `tf.data` 时，把这一步写进 `read` 即可。
#
# ## RMSProp：从 1 开始的滑动平均
#
# 这是第一个陷阱。RMSProp 把每个梯度 $g$ 除以一个平方根，根号内是 $g^2$ 的滑动平均 $s$。设衰减率 $\rho = 0.9$，学习率 $\eta = 0.001$，TensorFlow 1 和 Keras 计算的都是
#
# $$s \leftarrow \rho\, s + (1 - \rho)\, g^2, \qquad
# w \leftarrow w - \frac{\eta\, g}{\sqrt{s + \epsilon}}.$$
#
# 二者的区别在于 $s$ 的初值，而 VAE 一文的代码里看不出这一点。Keras 从 $s = 0$ 开始，第一步的长度是 $\eta g / \sqrt{0.1\, g^2} = \sqrt{10}\, \eta$，与梯度的大小无关。TensorFlow 1 从 $s = 1$ 开始，第一步的长度是 $\eta g / \sqrt{0.9 + 0.1\, g^2}$；$g$ 很小时约为 $1.05\, \eta g$，也就是说，小梯度只走一小步。如果移植时用 `keras.optimizers.RMSprop` 代替 `tf.train.RMSPropOptimizer`，训练从第一步起就不同了。所以 tf_gen 有一个自己的类：

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
steps["按公式，从 s = 1 开始"] = 0.001 * g / np.sqrt(0.9 + 0.1 * g**2 + 1e-10)
print(*(f"g = {value:<8g}" for value in g), "第一步的长度")
for name, step in steps.items():
    print(*(f"{value:<12.3g}" for value in step), name)

# %% [markdown]
# TensorFlow 1、`RMSpropTF1` 和公式三者一致。梯度为 0.01 时，Keras 自带的 `RMSprop` 的第一步是它们的 300 倍。（第一列中，Keras 的步长小于 $\sqrt{10}\,\eta = 0.00316$，因为那里的 $\epsilon = 10^{-7}$ 大于 $0.1\, g^2$。）初值的影响按 $0.9^n$ 衰减；练习 3 问的是它会持续多久。
#
# ## 计算图中的 log(1 - D + 1e-8) 是 $-\infty$
#
# 这是第二个陷阱。判别器完全确信时，在 float32 里 $D = 1$，$\log(1 - D)$ 就是 $-\infty$。ALI 一文所依据的脚本对此有防护：其中的 `log(v)` 是 `tf.log(v + 1e-8)`。在纸面上，$\log(1 - 1 + 10^{-8}) = -18.4$。下面用四种方式来计算：即时执行、会话、`tf.function`，以及由 XLA（TensorFlow 的另一个编译器）编译的 `tf.function`。（$D$ 必须是参数或占位符；如果是常量，TensorFlow 会预先把结果算好。）


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
# 各列分别是 $D = 0$、$0.5$、$0.999$ 和 $1$。在 $D = 1$ 处，即时执行得到的是预期的值，三种计算图得到的都是 $-\infty$。
#
# **为什么？** float32 有 24 位二进制有效数字。大于 1 的下一个数是 $1 + 2^{-23} \approx 1 + 1.19 \cdot 10^{-7}$，1 与它的中点以内的数都会舍入为 1，所以 $1 + 10^{-8}$ 就是 1。在 0 附近，浮点数密集得多，$0 + 10^{-8}$ 不会丢失。因此结果取决于加法的次序：
#
# $$(1 - D) + 10^{-8} = 10^{-8}, \qquad\text{但}\qquad (1 + 10^{-8}) - D = 1 - D = 0.$$
#
# Python 按前一种次序计算 `1 - D + 1e-8`。计算图却在运行之前先经过优化。对实数来说，两种次序的结果相同；而在后一种次序里，两个常量挨在一起，可以预先相加。TensorFlow 的图优化器中完成这一步的优化遍（pass）叫做 `constant_folding`（常量折叠）；XLA 也有自己的化简器，效果相同。后文“进阶：是哪个优化遍改写了公式？”会验证这两点。
#
# ## 原来的 ALI 是怎样失效的
#
# 损失变成无穷大本身并不致命，致命的是它的导数。设 $D = \sigma(l)$，$l$ 是 logit。TensorFlow 按链式法则，把对数的导数乘以 sigmoid 的导数。在 $D = 1$ 处，结果是
#
# $$\frac{\partial}{\partial l} \log(1 - D) = -\frac{1}{1 - D} \cdot D\,(1 - D)
# \quad\longrightarrow\quad -\frac{1}{0} \cdot 1 \cdot 0 = -\infty \cdot 0 = \text{NaN},$$
#
# 而真值是 $-1$。要达到 $D = 1$ 并不难：只要 $e^{-l} \le 2^{-24}$，即 $l \ge 24 \ln 2 \approx 16.6$，$1 + e^{-l}$ 就会舍入为 1。一个批次里只要有一张这样的图像，它的 NaN 就会进入对批次的求和，进入反向传播沿途所有权重的梯度，再进入 Adam 的滑动平均，最后进入权重，从此无法消除。
#
# 下面的单元格重现原来的 ALI 脚本：三个网络，即编码器 $Q$、解码器 $P$ 和判别器 $D$，以及两个 Adam 优化器。（模型的说明见[笔记本 04](04_ali.ipynb)。）我们从同样的权重出发，用同样的图像训练两次：一次用脚本原来的损失，一次用 tf_gen 对同一损失的写法。


# %%
def written_loss(enc, gen):  # 参数是 logit；D_enc 应为 1，D_gen 应为 0
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
    print(f"{name}：首次出现无穷大损失的迭代：{broken[0] if broken else '-'}")
    print("    最后的损失：", *np.round(history[-1], 4))
    print("    Q、P、D 的权重中 NaN 的比例：", *(f"{np.isnan(w).mean():.1%}" for w in weights))


# %%
source = mnist.load("bundled")  # 软件包自带的 5,000 个 MNIST 数字
iterations = notebook.budget(800, 10)
runs = {"按原来的写法": original_ali(written_loss, iterations)}
runs["使用 logit"] = original_ali(ali.discriminator_loss, iterations)
for name, run in runs.items():
    report(name, *run)
figures.losses_of_runs({name: run[0] for name, run in runs.items()}, 2 * np.log(2))

# %% [markdown]
# 按原来的写法，几百次迭代之后，损失变成无穷大（具体是第几次与随机种子有关）。此后不久，两个损失就一直是 1.3863：数值有限，而且不再变化。使用 logit 时，损失始终有限。（其中 `loss_g` 较大，是因为 $D$ 仍能轻易取胜。）
#
# 更糟的是，$1.3863 = 2 \ln 2$ 正是 GAN 理论对均衡点的预言，在均衡点处 $D = \tfrac12$ 处处成立，原文也把它当作目标。然而 $Q$ 的权重此时全部是 NaN。NaN 怎么会带来最理想的结果？
#
# - $Q$ 和 $P$ 的损失中有 $\log(1 - D_\text{enc})$ 一项。只要 $D$ 对一张图像完全确信，这一项就变成无穷大，$Q$ 的梯度变成 NaN。于是 $Q$ 的所有权重都毁了，所有编码 $Q(x)$ 也跟着毁了。
# - 现在 $D$ 看到的是 $(x, \text{NaN})$。$D$ 的第一个乘积是 NaN，而 NaN 的 relu 本应是 NaN。但是图优化器的另一个优化遍 `remapping` 已经把乘积、偏置和 relu 合并成一个融合内核（fused kernel），这个内核的 relu 把 NaN 变成了 0。（这是我们在这个版本的 TensorFlow 和 x86 处理器上看到的情况。如果内核不同，损失会是 `nan`，问题反而容易发现。）
# - $D$ 第一层权重矩阵的梯度是输入与误差的乘积。在与 $z$ 对应的 64 行里（共 848 行），它是 NaN 乘以 0，仍是 NaN。$D$ 的权重中 7.5% 的 NaN 就是这些行。此后**每一**对输入的乘积都是 NaN，经过融合的 relu 又都变成 0。
# - 于是无论输入是真实的还是生成的，$D$ 的 logit 都等于最后一层的偏置。Adam 把这个偏置推向 0，最终对每一对输入都有 $D = \tfrac12$，两个损失都是 $2 \ln 2$。
#
# **请记住：** 不仅要看损失，也要看权重；如果一个 GAN 恰好处在均衡点上，就要怀疑它。
#
# ## 对策：使用 logit
#
# 一个库不能要求使用者关闭图优化器的某些优化遍，只能让公式本身没有可折叠之处。因为 $1 - \sigma(l) = \sigma(-l)$，所以可以把 1 去掉：
#
# $$\log(1 - D + \epsilon) = \log(\sigma(-l) + \epsilon).$$
#
# 例如 $l = 20$ 时，$\sigma(-20) = 2 \cdot 10^{-9}$ 是一个普通的 float32 数，它与 $10^{-8}$ 之和是准确的。tf_gen 为这个公式写了一个函数：

# %%
notebook.source(numerics.log_sigmoid)

# %% [markdown]
# 它准确吗？我们与 NumPy 的 float64 结果比较。float64 有 53 位二进制有效数字，$\epsilon = 10^{-8}$ 不会丢失，NumPy 也不会改变运算次序。参考值是 $\log(1 / (1 + e^{l}) + \epsilon)$。

# %%
logits = np.linspace(-40, 40, 801).astype(np.float32)
exact = np.log(1 / (1 + np.exp(np.float64(logits))) + 1e-8)
as_written = modes(lambda logit: guarded(tf.sigmoid(logit)), logits)
with_logits = modes(lambda logit: numerics.log_sigmoid(-logit, 1e-8), logits)
for mode in as_written:
    errors = [np.abs(results[mode] - exact).max() for results in (as_written, with_logits)]
    print("最大误差：按原来的写法 {:.1e}，使用 logit {:.1e}，".format(*errors), mode)
figures.logarithms(logits, as_written, with_logits)

# %% [markdown]
# 即时执行时，脚本的公式给出有限的值，但误差可达 1.9 奈特：$D$ 接近 1 时，本身已经舍入到 24 位，舍入丢掉的部分，任何防护都补不回来。在计算图里，曲线到 $l = 16.6$ 就断了。使用 logit 的写法，在每种方式下误差都小于 $3 \cdot 10^{-6}$。tf_gen 对 VAE 的像素也使用同一个函数，其中的 $10^{-10}$ 取自原文。
#
# ## 进阶：InteractiveSession
#
# 在笔记本里，反复写 `session.run(...)` 很麻烦。**InteractiveSession** 一创建就成为默认会话，所以不必指明会话，就能使用 `tensor.eval()` 和 `operation.run()`。普通的 `Session` 只在自己的 `with` 块里才是默认会话。TensorFlow 2 就像一个始终打开的 InteractiveSession，`.eval()` 则变成了 `.numpy()`。

# %%
with tf.Graph().as_default():
    session = v1.InteractiveSession()
    print("旧：", (10 * tf.constant([1.0, 2.0])).eval())
    session.close()  # 否则它一直是默认会话，也不释放内存

print("新：", (10 * tf.constant([1.0, 2.0])).numpy())

# %% [markdown]
# ## 进阶：一个程序完成多次更新
#
# 旧程序用 Python 循环训练，每次更新调用两次 `session.run`。这些网络非常小：一次更新的运算只需几微秒，从 Python 调用 TensorFlow 所需的时间却是它的一百倍以上。所以 tf_gen 把**循环**也放进编译好的程序：先把 $K$ 次更新的批次叠在一起，再由程序里的 `tf.while_loop` 逐个取用：

# %%
notebook.source(base.Generative.train_step, base.repeat)

# %% [markdown]
# 平时由 `model.fit` 编译 `train_step`。这里我们自己编译，并用同样的批次比较三种方式的用时：旧程序、你的 `new_update`，以及 tf_gen 编译好的循环。

# %%
batches = [draw_batch(rng) for _ in range(notebook.budget(500, 20))]
stacked = tf.nest.map_structure(lambda *parts: tf.stack(parts), *batches)
program = tf.function(package.train_step, jit_compile=True)
program(stacked)  # 第一次调用时编译，需要几秒
ways = {"旧程序": lambda: [old_update(batch) for batch in batches]}
ways["新程序"] = lambda: [new_update(batch) for batch in batches]
ways["编译好的循环"] = lambda: program(stacked)["loss"].numpy()
for name, way in ways.items():
    print(f"每次更新 {timeit.timeit(way, number=1) * 1e6 / len(batches):6.0f} 微秒：", name)

# %% [markdown]
# 编译好的循环比两种 Python 循环快许多倍。四个模型的更长的测试见[基准测试](../../tests/benchmarks/README.md)：在 2026-11-27 的测试中，tf_gen 的训练速度是会话中原程序的 1.5 倍（VAE，它的运算量较大）到 47 倍（这里的 GAN 加上小批量判别）。
#
# ## 进阶：批次是纯函数
#
# 使用队列时，图像的次序取决于线程的快慢；使用 `Dataset.shuffle` 时，取决于此前的所有随机抽取。在 tf_gen 里，一个批次（包括噪声）是随机种子和更新序号的**纯函数**。第 25,000 次更新的批次可以直接得到，不必先生成前面的 24,999 个；训练中断之后继续，结果与没有中断完全一样；一次更新还可以像本笔记本这样与原程序逐个数值地比较，因为更新本身不做任何随机抽取。

# %%
notebook.source(vae.blocks, vae.digits.blocks)

# %% [markdown]
# ## 进阶：是哪个优化遍改写了公式？
#
# 我们依次关闭图优化器的各个优化遍，重新计算 $D = 1$ 时的 $\log(1 - D + 10^{-8})$：


# %%
def without(name, function, *arguments):
    tf.config.optimizer.set_experimental_options({name: False})
    try:
        return function(*arguments)
    finally:
        tf.config.optimizer.set_experimental_options({name: True})  # 恢复原状


for name in ("arithmetic_optimization", "remapping", "loop_optimization", "constant_folding"):
    values = without(name, modes, guarded, [1.0])
    print(*(f"{mode} {value[0]:6.2f}  " for mode, value in values.items()), "关闭", name)

# %% [markdown]
# 关闭 `constant_folding` 之后，会话和 `tf.function` 的结果是有限的。XLA 没有变化，因为它的化简器不属于 TensorFlow 的优化器。改写后的程序也可以直接查看：会话能返回它实际运行的图，编译后的函数能返回优化前后的程序。

# %%
with tf.Graph().as_default() as graph, v1.Session() as session:
    d = v1.placeholder(tf.float32, [None], name="D")
    logarithm, metadata = guarded(d), v1.RunMetadata()
    session.run(logarithm, {d: [1.0]}, v1.RunOptions(output_partition_graphs=True), metadata)
ran = [node for node in metadata.partition_graphs[0].node if node.op[0] != "_"]
print("会话，按原来的写法：", [op.type for op in graph.get_operations()])
print("会话，实际运行的：", [n.op for n in ran], tf.make_ndarray(ran[0].attr["value"].tensor))
compiled = tf.function(guarded, jit_compile=True).experimental_get_compiler_ir(tf.ones([2]))
print("XLA，加法的个数：", [compiled(stage=s).count(" add(") for s in ("hlo", "optimized_hlo")])

# %% [markdown]
# 按原来的写法，图中有两个常量、一个 `Sub` 和一个 `AddV2`。实际运行的图只有一个常量，它恰好是 1，以及一个减法。XLA 的程序在优化之前有一个加法，优化之后一个也没有。两者的防护都消失了。
#
# 同样的开关也可以检验上文对 ALI 失效的解释：

# %%
for name in ("constant_folding", "remapping"):
    report(f"关闭 {name}", *without(name, original_ali, written_loss, iterations))

# %% [markdown]
# 关闭 `constant_folding` 之后，损失始终有限，可见原因就是常量折叠。关闭 `remapping` 之后，损失在同一次迭代变成无穷大，但随后所有权重和损失都变成 NaN。可见掩盖问题的正是融合内核。
#
# ## 进阶：旧脚本与旧检查点
#
# - 要原样运行旧脚本，可以写 `import tensorflow.compat.v1 as tf`，并像本笔记本那样把代码放进 `with tf.Graph().as_default():`。TensorFlow 自带的命令 `tf_upgrade_v2` 能把脚本改写成使用 `tf.compat.v1` 的形式。改写的结果可以运行，但旧的优化器、集合和会消失的防护也都保留了下来。
# - `tf.train.load_checkpoint(prefix)` 不需要计算图就能读出旧检查点中的数组。如果检查点是这几篇文章的程序写的，`python -m tf_gen.import_v1` 可以把它转换成 tf_gen 的训练记录，用来采样或继续训练。
# - 使用本仓库训练好的模型只需要 TensorFlow：先 `model = tf.saved_model.load("saved_models/vae")`，再用 `model.signatures["decode"]`。命令行的用法是 `python -m tf_gen.sample vae --z 3,3 --out three.png`。详见 [README](../../README.zh-CN.md) 和各模型的[模型卡](../../saved_models/vae/README.md)。
#
# ## 小结
#
# - TensorFlow 1 先描述计算图，再由会话运行图的一部分。TensorFlow 2 立即计算；需要速度时，用 `tf.function` 得到计算图。
# - 占位符变成了参数，`feed_dict` 变成了函数调用，变量作用域变成了 Keras 的层，集合变成了属性，Saver 变成了检查点和签名。
# - 同一个 GAN 的两种写法，从同样的权重和批次出发，损失相同。
# - 名称相同，行为未必相同：RMSProp 的滑动平均在 TensorFlow 1 里从 1 开始，在 Keras 里从 0 开始。
# - 在任何一种计算图里，`log(1 - D + 1e-8)` 在 $D = 1$ 处都是 $-\infty$。应当保留 logit，把 $\log(1 - D)$ 写成 $\log \sigma(-l)$，例如用 `tf.math.log_sigmoid` 计算。
#
# ## 动手改一改
#
# 请修改“同一个程序，两种写法”中的单元格，再从那里重新运行。以下数字来自我们的运行；换一台计算机，数字可能不同，更新次数多时尤其如此。
#
# - **换一个 epsilon。** 去掉新程序两个优化器的 `epsilon=1e-8`，Keras 就使用默认值 1e-7。断言在第 112 次更新时失败。
# - **换一个优化器。** 旧程序改用 `v1.train.RMSPropOptimizer(0.001)`，新程序改用 `keras.optimizers.RMSprop(0.001)`；断言只比较 `new` 和 `old`，因为 tf_gen 的模型仍然使用 Adam。第一次更新时断言就失败了：`loss_g` 是在 $D$ 走完第一步之后计算的，相差 7.5%。再改用 `vae.RMSpropTF1(0.001, epsilon=1e-10)`，断言在每次更新都成立。
# - **不用 `var_list`。** 把 `new_update` 中的两处 `D.trainable_variables` 都换成 `D.trainable_variables + G.trainable_variables`。第一次更新时断言就失败，因为旧程序仍有 `var_list`。去掉断言再训练：这时 $G$ 也在帮助 $D$，最后生成的点均值为 2.39，标准差为 0.84，`loss_g` 为 3.3。
#
# ## 参考文献
#
# - Martín Abadi 等，*TensorFlow: A System for Large-Scale Machine Learning*，2016，[arXiv:1605.08695](https://arxiv.org/abs/1605.08695)。说明 TensorFlow 1 为什么把计算图的描述与执行分开。
# - Akshay Agrawal 等，*TensorFlow Eager: A Multi-Stage, Python-Embedded DSL for Machine Learning*，2019，[arXiv:1903.01855](https://arxiv.org/abs/1903.01855)。说明 TensorFlow 2 为什么立即计算，以及 `tf.function` 的原理。
# - TensorFlow，*Migrate to TensorFlow 2*，[tensorflow.org/guide/migrate](https://www.tensorflow.org/guide/migrate)。官方迁移指南，名称比本文的表多得多。
# - TensorFlow，*TensorFlow graph optimization with Grappler*，[tensorflow.org/guide/graph_optimization](https://www.tensorflow.org/guide/graph_optimization)。介绍图优化器的各个优化遍，以及如何关闭它们。
# - David Goldberg，*What Every Computer Scientist Should Know About Floating-Point Arithmetic*，1991，[doi:10.1145/103162.103163](https://doi.org/10.1145/103162.103163)。讲解舍入，以及加法次序为什么重要。
# - Vincent Dumoulin 等，*Adversarially Learned Inference*，2016，[arXiv:1606.00704](https://arxiv.org/abs/1606.00704)。本文中失效的程序所实现的模型。
#
# 接着可以学习各个模型：[1. 变分自编码器](01_vae.ipynb)、[2. 学习高斯分布的 GAN](02_gaussian_gan.ipynb)、[3. 50 行代码的 GAN](03_tiny_gan.ipynb)、[4. 对抗学习推断](04_ali.ipynb)。
#
# ## 练习
#
# **1.** `feed_dict` 可以替换任何张量。VAE 一文用权重的数组重建了解码器；请改为在导入的计算图里找到张量 $z$，不重建任何东西，直接解码那三个点。

# %% tags=["answer"]
with tf.Graph().as_default() as graph, v1.Session() as session:
    v1.train.import_meta_graph(prefix + ".meta").restore(session, prefix)
    z = [op for op in graph.get_operations() if op.type == "MatMul"][3].inputs[0]
    fed = session.run(v1.get_collection("recon")[0], {z: plane}).reshape(-1, 28, 28)
print(z.name, "| 最大差别：", abs(fed - by_hand).max())

# %% [markdown]
# **2.** 这几篇文章还用其他写法防护对数：VAE 用 `log(1e-10 + 1 - D)`，高斯 GAN 的文末代码用 `log(max(1 - D, 1e-5))`。在 $D = 1$ 处，哪些写法在哪些方式下是有限的？在计算图里，`epsilon` 取 10 的哪些次幂时，`log(1 - D + epsilon)` 仍然有限？

# %% tags=["answer"]
forms = {"1e-10 + 1 - D": lambda d: 1e-10 + 1 - d, "max": lambda p: tf.maximum(1 - p, 1e-5)}
forms |= {f"1 - D + {e:g}": lambda d, e=e: 1 - d + e for e in (1e-8, 1e-7, 1e-6, 1e-5)}
for name, form in forms.items():
    found = modes(lambda d, form=form: tf.math.log(form(d)), [1.0])
    print(*(f"{mode} {value[0]:8.3f}  " for mode, value in found.items()), name)
# 在 float32 里 1e-10 + 1 等于 1，所以 VAE 的写法在每种方式下都失效，即时执行也不例外。
# 在计算图里 1e-7 没有丢失，但变成了 2^-23，即 1 与下一个 float32 数的距离。

# %% [markdown]
# **3.** 设每一步的梯度都是 0.01。两种 RMSProp 的滑动平均分别从 1 和 0 开始，多少步之后，它们的步长相差不到 1%？请先写出 $n$ 步之后的滑动平均。

# %% tags=["answer"]
n, g = np.arange(1, 301), 0.01
from_0 = (1 - 0.9**n) * g**2  # 等比数列求和；从 1 开始时再加 0.9**n
print("第一个这样的步数：", n[np.sqrt((from_0 + 0.9**n) / from_0) < 1.01][0])

# %% [markdown]
# **4.** 计算图描述一次，运行多次，用 `tf.function` 时容易忘记这一点。先后用 0、1、2 调用一个 `tf.function`，Python 会运行函数体多少次？再用 `tf.constant(0)`、`tf.constant(1)`、`tf.constant(2)` 调用，又会运行多少次？

# %% tags=["answer"]
bodies = []
double = tf.function(lambda k: bodies.append(k) or 2 * k)
for argument in (0, 1, 2, tf.constant(0), tf.constant(1), tf.constant(2)):
    print(double(argument).numpy(), "至此运行函数体的次数：", len(bodies))
# 每个 Python 数是各自图里的常量；张量则是参数，所以一个图就够了。
