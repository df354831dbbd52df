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
# # 3. 50 行代码的 GAN
#
# 在本笔记本中，你将用 50 行 Keras 和 TensorFlow 代码写出一个生成对抗网络（GAN）。它的生成器要学会生成服从钟形分布的数，却从未见过这个分布。依据的文章是《GANs 很难？这篇文章教你 50 行代码搞定》，它译自 Dev Nag 用 PyTorch 写的“Generative Adversarial Networks (GANs) in 50 lines of code”；此外还参照了 Nag 后来的代码。GAN 由 Goodfellow 等人提出，见 *Generative Adversarial Networks*（arXiv:1406.2661）。
#
# 这个 GAN 有一个特别之处：它的判别器不是逐点评判，而是一次评判一整批点。你会看到，判别器看到批次的什么，决定了生成器学到什么。用原文的设置，生成器的均值和标准差大致正确，形状却不对；对你的 50 行代码做三处小改动，就能解决这个问题。
#
# 标题以“进阶”开头的小节，初读时可以跳过。
#
# **需要** Python、一点 Keras，以及概率论的基础知识（密度、均值、标准差、分位数）。不需要 GPU，也不用下载数据，因为数据都是随机数。如果没有安装 tf_gen，第一个单元格会安装它。
#
# **时间**：在双核 CPU 上大约 3 分钟。

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

notebook.use_chinese()

# %% [markdown]
# 先看目标。软件包附带一个训练好的生成器。下图的直方图是它生成的 10,000 个点，曲线是它所学的分布 $N(4, 1.25)$，均值 $\mu = 4$，标准差 $\sigma = 1.25$。这个生成器是一个 TensorFlow SavedModel，它的函数 `sample` 抽取噪声并生成点。

# %%
mu, sigma = 4.0, 1.25
rng = np.random.default_rng(0)  # 本笔记本中 NumPy 随机数的来源
shipped = tf.saved_model.load(str(savedmodel.find(Path("tiny_gan"))))
points = shipped.signatures["sample"](count=tf.constant(10_000), seed=tf.constant([1, 2]))["x"]
plots.histogram(points.numpy()[:, 0], mu, sigma)

# %% [markdown]
# ## 从零写出模型
#
# ### 造假者与鉴定专家
#
# 造假者想画出能以假乱真的画，但他从未见过真迹。鉴定专家看真画和假画，说出每一幅是真迹的可能性有多大；每次判断之后，她得知真相，从而改进。造假者只能从她对赝品的判断中学习：这些判断告诉他该怎样改动笔法。两人都会进步，直到专家只能靠猜。
#
# 原文把这个故事化为五个组件：
#
# | 组件 | 它是什么 | 在这里 |
# |---|---|---|
# | R | 真实数据 | $x \sim N(4, 1.25)$ |
# | I | 生成器的输入噪声 | $z \sim U(0, 1)$ |
# | G | 生成器（造假者） | 一个网络，$x = G(z)$ |
# | D | 判别器（鉴定专家） | 一个网络，在 $(0, 1)$ 内取值，1 表示“真” |
# | 训练循环 | 哪个网络在什么时候学习、从什么学习 | D 先学习，然后 G 通过 D 学习 |
#
# 原文把循环标成两部分：绿色部分是 D 学习，红色部分是 G 学习。下图上下两部分与之对应；不过图中的颜色另有含义，绿色表示网络正在学习，红色表示网络保持不变：

# %%
notebook.diagram("gan_game", "zh-CN")

# %% [markdown]
# ### R 和 I
#
# 现在写代码。下面四个单元格合起来是 50 行，每一行你都可以修改。（修改之后，请把四个单元格全部重新运行一遍。）先取 200 轮训练所用的随机数，每一轮有 100 个真实的点和 100 个噪声值。两者的形状有意不同：一轮的噪声是 100 个样本，每个样本一个数；真实的点则是**一个**样本，由 100 个数组成。


# %%
# 50 行之一：R 和 I
def real_batches():
    return tf.random.normal([200, 1, 100], 4.0, 1.25)


def noise_batches():
    return tf.random.uniform([200, 100, 1])


# %% [markdown]
# ### G 和 D
#
# 两个网络都有两个隐藏层，每层 50 个单元。G 把一个数变成一个数，对 100 个噪声值逐个计算。D 把一整个批次变成一个数。在 D 看到批次之前，`squares` 先把各点与均值之差的平方接在后面，所以 D 接收 200 个数。
#
# 这一步，以及 D 的输入是整个批次，原文的正文都没有提到，只见于随文的代码。G 的第二层用 sigmoid，也只见于代码，正文只提到 ELU。`tf.stop_gradient` 把均值当作常数，这也与原来的代码相同。函数 `dense` 创建的层，初始权重的分布与 PyTorch 相同。


# %%
# 50 行之二：G 和 D
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
# ### 训练步骤
#
# D 的输出是一个 logit，记作 $l$。批次为真的概率是 $D = \sigma(l)$，其中 $\sigma(l) = 1/(1 + e^{-l})$ 是 sigmoid 函数。D 应当对真实批次回答 1，对生成批次回答 0；G 则希望 D 对生成批次回答 1：
#
# $$L_D = -\log D(x) - \log(1 - D(G(z))), \qquad L_G = -\log D(G(z)).$$
#
# 这里的 $x$ 和 $G(z)$ 都代表整个批次，所以每个批次的每项损失只有一个值。函数 `tf.nn.sigmoid_cross_entropy_with_logits` 在目标为 1 时计算 $-\log D$，在目标为 0 时计算 $-\log(1 - D)$。


# %%
# 50 行之三：D 更新一次，G 更新一次
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
# ### 训练循环
#
# 每一轮先由 D 走一步，再由 G 走一步。这样的一轮，原文称为一个 epoch；本笔记本所说的“轮”都是这个意思。这两个网络很小，从 Python 调用一次更新所花的时间，比更新本身的计算还长。所以我们让 TensorFlow 把 200 轮编译成一个程序（`jit_compile=True`），它返回其中最后一轮的损失。


# %%
# 50 行之四：训练循环
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
# 真的是 50 行吗？IPython 会保存运行过的每个单元格的源代码。我们来数一数，空行和注释不算：

# %%
history = get_ipython().user_ns["In"]
parts = {cell.splitlines()[0]: cell for cell in history if cell.startswith("# 50 行")}
lines = [line.strip() for cell in parts.values() for line in cell.splitlines()]
print(len([line for line in lines if line and not line.startswith("#")]), "行代码")

# %% [markdown]
# ### 与原文的循环对照
#
# 原文的循环由下列步骤组成。前四步是绿色部分，后三步是红色部分。
#
# | 原文循环中的步骤 | 在这 50 行里 |
# |---|---|
# | 清除 D 的旧梯度 | 不需要，每条梯度带都是新的 |
# | D 评判一个真实批次；与 1 比较；反向传播 | `self.loss(x, 1.0)` |
# | G 生成一个批次，并切断梯度；D 评判它；与 0 比较；反向传播 | `self.loss(generated, 0.0)` |
# | D 的优化器走一步 | `self.d_optimizer.apply` |
# | 清除 G 的旧梯度 | 不需要 |
# | G 用新的噪声生成一个批次；D 评判它；与 1 比较；反向传播 | `self.loss(self.generate(z), 1.0)` |
# | 只让 G 的优化器走一步 | `self.g_optimizer.apply` |
#
# 在 PyTorch 里，两次反向传播的梯度累加起来，然后 D 才走一步。把两项损失一起交给 `tape.gradient`，效果相同。如果两个库中你只熟悉一个，可以参考下表：
#
# | PyTorch | Keras 和 TensorFlow |
# |---|---|
# | `nn.Linear(n, m)` | `keras.layers.Dense(m)` (1) |
# | `forward` 中的 `F.elu(layer(x))` | `keras.layers.Dense(m, "elu")` |
# | `nn.BCELoss()`，输入是 sigmoid 的值 | `tf.nn.sigmoid_cross_entropy_with_logits` (2) |
# | `Variable(tensor)`，PyTorch 0.4 之前 | 张量即可；梯度带自动监视可训练的权重 |
# | `loss.backward()` | `tape.gradient(loss, weights)` (3) |
# | `D.zero_grad()` | 不需要，因为梯度不会逐步累加 |
# | `G(z).detach()` | 在梯度带开始之前计算 `G(z)` |
# | `optim.Adam(D.parameters())` 和 `step()` | `keras.optimizers.Adam()` 和 `apply` (4) |
# | Python 逐个执行运算 | `@tf.function(jit_compile=True)` 编译成一个程序 |
#
# 1. PyTorch 的权重和偏置初始化为 $U(-1/\sqrt n, 1/\sqrt n)$ 中的随机数。Keras 的权重按 Glorot 规则初始化，偏置初始化为零，所以 `dense` 设定了两者的初始化方法。
# 2. 损失相同。由 logit 来计算，就不会对 0 取对数。（PyTorch 中相应的是 `BCEWithLogitsLoss`。）
# 3. PyTorch 把梯度存放在每个参与计算的权重里；TensorFlow 则返回你所要的梯度。
# 4. 两者都在分母上加一个小的 $\epsilon$，但加的位置不同，默认值也不同，分别是 $10^{-8}$ 和 $10^{-7}$。

# %% [markdown]
# ### 它就是软件包里的模型吗？
#
# 软件包里有同样的模型 `tiny_gan`，只是设置项更多。一组设置称为一个**预设**，原文的设置是 `tiny_gan.PRESETS["article"]`。下面是软件包中的两个更新函数，以及 `repeat`，它在一个编译好的程序里把更新重复多次。

# %%
notebook.source(tiny_gan.TinyGAN.update_d, tiny_gan.TinyGAN.update_g, base.repeat)

# %% [markdown]
# 为了检验两者相同，我们把软件包的权重复制到你的模型里，给两者同样的批次，在 20 轮中逐轮比较三项损失。有一点不同：软件包有自己的类 `AdamPyTorch`，它加 $\epsilon$ 的位置与 PyTorch 相同。这里为了比较，让软件包也使用 Keras 的 Adam，与你的模型一样。


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
    print("20 轮之后：", *(f"{a:.7f} / {b:.7f}" for a, b in zip(ours, theirs, strict=True)))


article = tiny_gan.PRESETS["article"]
assert_same(FiftyLines(), article, article.learning_rate)

# %% [markdown]
# 断言成立：每一轮的损失，相对误差都不超过 $10^{-5}$。有些数的最后几位不同，是因为两个程序计算的次序不同，而 float32 每次都要舍入。可见软件包的模型与你的相同，只是设置项更多。下面，尝试新想法时用你的模型，比较多种设置和多个随机种子时用软件包的模型。
#
# ### 训练你的模型
#
# 我们把你的模型训练 20,000 轮，与原文所说的一样，并在途中测量 G。为了使测量不受随机噪声的影响，我们给 G 输入 1,000 个等距的 $z$，用它们代表 $U(0, 1)$。除均值和标准差之外，再计算两个描述形状的数。**偏度**是 $(x - \mu)/\sigma$ 的三次方的均值；**超额峰度**是它的四次方的均值减去 3（下文简称峰度）。对高斯分布，两者都是 0；对均匀分布，偏度是 0，超额峰度是 $-1.2$。软件包的函数 `gaussian.moments` 返回这四个数。
#
# `notebook.budget(full, small)` 的值是 `full`。项目的测试运行本笔记本时只做少量训练，那时它的值是 `small`。


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
# 轮数之后的三列是这一轮的损失 $-\log D(x)$、$-\log(1 - D(G(z)))$ 和 $L_G$。均值从 0 以下开始，升到 5 以上，再回到 4 附近。标准差从 0 附近开始，因为未经训练的 G 对每个 $z$ 的回答几乎相同；然后它升到 1.5 以上，再回到 1.25 左右。偏度和峰度则一直在变动。
#
# 本笔记本没有留出集。每个批次都是重新抽取的，任何模型都不会两次看到同一个点。
#
# 下图的左半部分把 G 与**理想的** G 作比较，后者在下一节推导；右半部分是生成的点。


# %%
ideal = stats.norm.ppf(z_even[:, 0], mu, sigma)


def show(x):
    print(f"Wasserstein-1 距离：{np.abs(np.sort(x) - ideal).mean():.3f}")
    return figures.generator(x, mu, sigma)


show(mine.generate(z_even)[0].numpy())

# %% [markdown]
# 均值和标准差大致正确，但这不是钟形。（理想曲线递增，这里的 G 却递减。这无关紧要，因为 $z$ 与 $1 - z$ 的分布相同。）
#
# 图上方打印的数是生成分布与真实分布之间的 **Wasserstein-1 距离** $W_1$。设想两堆沙子，每个密度对应一堆。把一堆搬成另一堆时，沙子平均移动的距离最小是多少，$W_1$ 就是多少。在一维情形，最省的搬法是保持沙粒的次序，所以 $W_1$ 就是名次相同的点之间的平均距离。当 G 单调递增时，它就是两条曲线之间的面积 $\int_0^1 |G(z) - \mu - \sigma\Phi^{-1}(z)|\,dz$。函数 `show` 先把点排序，所以也适用于其他的 G。如果 $W_1 \le \sigma/5 = 0.25$，软件包就认为结果**接近**目标。

# %% [markdown]
# ## 理想的 G 是什么
#
# 噪声为什么是均匀分布的？假如用正态噪声 $z \sim N(0, 1)$，任务就太简单了：$G(z) = \mu + \sigma z$，只需平移和缩放。均匀噪声经过平移和缩放，得到的仍是均匀分布；均值和标准差可以都对，却永远不是钟形。G 必须弯曲。
#
# 应当怎样弯曲，可以精确地推导出来。设 $G$ 单调递增。生成的点中不超过 $x$ 的比例是
#
# $$P(G(z) \le x) = P(z \le G^{-1}(x)) = G^{-1}(x),$$
#
# 因为对均匀噪声有 $P(z \le u) = u$。它应当等于真实的点中不超过 $x$ 的比例，即 $\Phi((x - \mu) / \sigma)$，其中 $\Phi$ 是 $N(0, 1)$ 的分布函数。代入 $x = G(z)$，得
#
# $$z = \Phi\!\left(\frac{G(z) - \mu}{\sigma}\right)
# \quad\Longleftrightarrow\quad G(z) = \mu + \sigma\,\Phi^{-1}(z).$$
#
# 可见，理想的 G 就是数据的分位数函数：当 $z = 0.9$ 时，它给出的点使 90% 的数据都在它之下。我们拿它与一条直线比较，这条直线的均值和标准差都是对的。因为 $U(0, 1)$ 的标准差是 $1/\sqrt{12}$，所以直线是 $\mu + \sigma\sqrt{12}\,(z - 1/2)$。

# %%
straight = mu + sigma * np.sqrt(12) * (z_even[:, 0] - 0.5)
print("  均值 标准差   偏度   峰度")
for x, name in ((ideal, "理想的 G"), (straight, "直线型 G")):
    print(" ".join(f"{value:6.2f}" for value in gaussian.moments(x).values()), "   ", name)
figures.ideal_and_straight(ideal, straight)

# %% [markdown]
# 直线型 G 的均值和标准差都对，形状却不对，从峰度就能看出来。原文提醒的正是这种情形。（理想的 G 的峰度不恰好是 0，因为 1,000 个等距的 $z$ 取不到尾部的尽头。）
#
# 有两点要注意：
#
# - 理想曲线在两端趋于 $\pm\infty$。网络跟不上，因为 $[0, 1]$ 上的连续函数是有界的。这里的 G，最后一层是 50 个 sigmoid 的加权和，权重为 $w_j$，偏置为 $b$，所以它的点总在 $b - \sum_j \max(0, -w_j)$ 与 $b + \sum_j \max(0, w_j)$ 之间。尾部总会在某处被截断。
# - 理想的 G 不唯一。它的镜像 $G(1 - z)$ 生成的分布完全相同（练习 1）。

# %% [markdown]
# ## 每一步由哪个网络学习
#
# 在 `train_d` 里，生成批次的那一步在梯度带之外：用到了 G，但没有训练它。在 `train_g` 里，梯度必须穿过 D 才能到达 G，但只有 G 的权重改变。这一步不能让 D 学习，因为生成的批次标为“真”，这个标签是错的。为了检验，取一个新的模型，先后运行这两步，比较前后的权重：


# %%
def flat(network):
    return np.concatenate([weights.ravel() for weights in network.get_weights()])


fresh, x, z = FiftyLines(), real_batches()[0], noise_batches()[0]
print("D 和 G 的权重的最大改变量")
for name, arguments in (("train_d", (x, z)), ("train_g", (z,))):
    before = flat(fresh.D), flat(fresh.G)
    getattr(fresh, name)(*arguments)
    changes = flat(fresh.D) - before[0], flat(fresh.G) - before[1]
    print(*(f"{np.abs(change).max():.6f}" for change in changes), name)

generated = tf.Variable(fresh.generate(z))
with tf.GradientTape() as tape:
    loss = fresh.loss(generated, 1.0)
slope = tape.gradient(loss, generated).numpy()
print(f"{np.sum(slope < 0)} 个点应当增大，{np.sum(slope > 0)} 个点应当减小")

# %% [markdown]
# 这些零是精确的：G 学习时 D 不变，D 学习时 G 不变。（Adam 的第一步使每个权重移动大约一个学习率，这里是 0.0002。）梯度确实穿过了 D：它对 100 个点中的每一个指出，往哪个方向移动，在当前的 D 看来会更像真的。G 对 R 的全部了解都来自这里。
#
# ### 损失应当趋于多少
#
# 设 $p_r$ 和 $p_g$ 分别是真实批次和生成批次的密度。对给定的批次，最优的 D 使 $-p_r \log D - p_g \log(1 - D)$ 最小。令导数 $-p_r/D + p_g/(1 - D)$ 为零，得
#
# $$D^* = \frac{p_r}{p_r + p_g},$$
#
# 当 $p_g = p_r$ 时，它处处等于 $\frac12$。这时 $L_D$ 的两项都是 $-\log\frac12 = \log 2 \approx 0.693$，$L_G$ 也是。损失停在这个水平，说明 D **在它所看到的内容里**看不出差别，但不能证明没有差别。

# %% [markdown]
# ## 一个批次，一个判断
#
# 在[笔记本 02](02_gaussian_gan.ipynb) 的 GAN 里，D 逐点评判。如果生成的点全都相同，它们得到的判断和梯度也相同。D 可以把它们从原处赶走，但它们会一起移动，没有什么使它们散开。这种失败称为模式坍缩。看得到整个批次的 D 却能立刻发现这些点没有散开。（笔记本 02 还介绍了让 D 看到多个点的另外两种办法：小批量判别，以及把点打包。）
#
# 这样做也有代价。一个批次只是一个样本，而不是 100 个。而且由 100 个数组成的向量是有顺序的，点的顺序却没有意义。因此，怎样把批次呈现给 D，就很重要。
#
# ## D 看到什么：呈现批次的五种方式
#
# 软件包的设置项 `inputs` 有五种方式：四种来自原作者的代码，一种是本项目的。设批次 $x_1, \dots, x_n$ 的均值为 $m = \frac1n\sum_i x_i$：
#
# | `inputs` | D 的第一层接收的内容 | 数的个数 |
# |---|---|---|
# | `raw` | $x_i$ | $n$ |
# | `squares`（原文） | $x_i$ 和 $(x_i - m)^2$ | $2n$ |
# | `differences` | $x_i$ 和 $x_i - m$ | $2n$ |
# | `moments`（原作者后来的代码） | 均值、标准差、偏度、超额峰度 | 4 |
# | `sorted`（本项目） | $x_{(1)} \le \dots \le x_{(n)}$，即按升序排列的批次 | $n$ |

# %%
notebook.diagram("d_inputs", "zh-CN")

# %% [markdown]
# 软件包是这样计算的（`squares` 和 `differences` 都用到 `deviations`）：

# %%
notebook.source(tiny_gan.deviations, tiny_gan.moments)

# %% [markdown]
# 给 D 看两个批次：一个是真实的，另一个来自直线型 G，均值和标准差都是对的。对于 `squares` 和 `differences`，图中只画向量的后一半，因为前一半就是 `raw`。

# %%
real = rng.normal(mu, sigma, 100)
both = tf.constant([real, mu + sigma * np.sqrt(12) * (rng.uniform(size=100) - 0.5)], tf.float32)
print("  均值 标准差   偏度   峰度   （真实批次、直线型 G）")
for row in tiny_gan.moments(both).numpy():
    print(" ".join(f"{value:6.2f}" for value in row))
figures.views({name: see(both).numpy() for name, see in tiny_gan.INPUTS.items()})

# %% [markdown]
# 哪个批次是真的？前三幅图要仔细看才行：叉号都在一个带状区域之内，有几个圆点则落在外面。`moments` 的最后一个数，叉号的更低；D 能否据此判断，取决于这个数在批次之间有多大的波动。在 `sorted` 里可以直接看到形状：叉号近似排成一条直线，圆点则在两端偏离直线。这大致就是直线型 G 和理想的 G 的曲线，因为 $n$ 个点中第 $k$ 小的点接近 $(k - \frac12)/n$ 处的分位数。
#
# **线性层能直接读出什么。** D 的第一层的一个单元，由 D 看到的向量 $v$ 计算 $\sum_k w_k v_k + b$。在向量的一半上取相等的权重，或者取表中注明的权重，这个和可以是：
#
# | | 均值 | 方差 | 偏度、峰度 |
# |---|---|---|---|
# | `raw` | 能，$w_i = 1/n$ | 不能，要靠隐藏单元 | 不能 |
# | `squares` | 能 | 能，$\frac1n\sum_i (x_i - m)^2$ | 不能 |
# | `differences` | 能 | 不能 | 不能 |
# | `moments` | 能 | 能，读出它的平方根 | 能 |
# | `sorted` | 能 | 近似读出它的平方根，$w_k \propto \Phi^{-1}((k - \frac12)/n)$ | 能读出类似的量 |
#
# - `differences` 没有给线性层带来新东西。每个 $x_i - m$ 本身就是批次的线性函数，线性层由 `raw` 也能算出它（练习 3）。
# - `squares` 增加了方差，它不是各个 $x_i$ 的线性函数。三次方和四次方则要靠隐藏层去发现。
# - 从 `sorted` 里，线性层能读出分位数的任意加权和，也就能读出整个形状。取适当的权重，这样的和就是 L 矩（Hosking，1990），它们不用乘方就能衡量离散程度、偏度和峰度。
#
# **没有意义的顺序。** 批次中的点相互独立，所以打乱后的批次与原来的一样好。顺序会不会改变未经训练的 D 的判断？把同样的 100 个点排成 500 种顺序给它看：

# %%
orders = tf.constant([rng.permutation(real) for _ in range(500)], tf.float32)
print("    D 从    到       标准差")
for inputs in tiny_gan.INPUTS:
    untrained = tiny_gan.build(replace(article, inputs=inputs))
    p = tf.sigmoid(untrained.discriminator(orders)).numpy()
    print(f"    {p.min():.4f}  {p.max():.4f}   {p.std():.1e}   {inputs}")

# %% [markdown]
# 五个 D 里有三个的判断随顺序而变，它们要从许多批次中才能学到顺序无关紧要。对 `moments` 和 `sorted` 来说，除了 float32 的舍入，顺序没有任何影响。

# %% [markdown]
# ## 原文的说法
#
# 原文描述了 20,000 轮以内发生的事。我们用二十个随机种子测量了它的设置，数字见[模型卡](../../saved_models/tiny_gan/README.md)。
#
# | 原文的说法 | 测量结果（20,000 轮时的中位数） |
# |---|---|
# | 均值先超过 4.0，再回来，然后稳定 | 随机种子 0：升到 5.5 再回来；中位数 4.17 |
# | 标准差起初下降 | 不可能：G 最初的点几乎全都相等 |
# | 标准差随后上升到 1.25 | 是，中位数 1.25 |
# | 左尾比右边稍长 | 是，偏度的中位数是 $-0.62$ |
# | 偏度和峰度与高斯分布相符 | 否，峰度的中位数是 $-0.72$ |
#
# 最后一行最重要。原文不接受均匀分布，理由是它的均值和标准差可以都对，形状却不对。均匀分布的峰度是 $-1.2$；而原文自己的生成器，中位数是 $-0.72$，离这个值比离高斯分布的 0 更近。
#
# 原作者的代码训练 30,000 轮。20,000 轮之后会怎样？我们让软件包的模型跑完全程。函数 `fit` 分 `calls` 次调用编译好的程序，共训练 `config.steps` 轮，每次调用之后测量一次：


# %%
report = tiny_gan.Report(article)  # 测量学习 N(4, 1.25) 的模型


def fit(model, config, calls):
    each = config.steps // calls
    rows, snapshots = [], []

    def record(number, losses):
        step = {"step": (number + 1) * each}
        rows.append({**step, **losses, **report.measure(report.observe(model))})
        snapshots.append({**step, **report.snapshot(model)})

    model.run_eagerly = notebook.budget(False, True)  # 只训练几轮时不必编译
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
# 到第 20,100 轮，均值仍在 4 附近；到最后，它已经远离了 4。在大部分时间里，均值和标准差都停留在目标附近；偏度几乎始终低于 0，峰度则在 0 的上下游移，看到什么值，取决于什么时候看。D 的第一层能直接读出均值和方差（见上面的表）；其余的要靠隐藏层去发现，而 100 个点对此说明不了多少。
#
# 这不是运气不好：到 30,000 轮时，二十个随机种子里有八个的均值已经远离 4。这从损失就能看出来。双方势均力敌时，三项损失都接近 0.693。D 的损失低于这个水平，说明 D 仍然看得出差别。如果 $L_G$ 升到远高于它，而 D 的损失降向 0，那就是 D 赢了；此后 G 得到的梯度再也不能把它带回来。

# %% [markdown]
# ## 三处改动使训练稳定
#
# 预设 `stable` 的网络与原文相同，另有三处改动：
#
# 1. D 看到**排过序**的批次。这样 D 不必去学“顺序没有意义”，而且能看到整个形状（关于以集合为自变量的函数，见 Zaheer 等人，arXiv:1703.06114）。
# 2. D 看到**标准化**的点 $(x - \mu)/\sigma$，使输入的均值为 0、标准差为 1（LeCun 等人，*Efficient BackProp*，1998）。
# 3. **学习率**从 0.001 开始，线性降到零。步长固定时，D 和 G 会一直互相绕圈；步长逐渐缩小，它们就能稳定下来。
#
# 在你的代码里，这只需要一个函数和三个参数。下面第一个单元格还用断言检验：这样修改之后，你的模型与软件包的预设 `stable` 相同。


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
# 四个矩都稳定在目标附近，直方图是钟形。除两端之外，曲线与理想曲线一致。
#
# 哪处改动最要紧？答案在模型卡里：每种情形十个随机种子，表中是 Kolmogorov-Smirnov 距离（KS）的中位数。这个距离是两者“不超过 $x$ 的点所占比例”的最大差。
#
# | 去掉什么 | KS 的中位数 |
# |---|---|
# | 什么也不去掉 | 0.016 |
# | 排序 | 0.154 |
# | 学习率的衰减 | 0.048 |
# | 标准化 | 0.041 |
# | 较高的学习率（改用 0.0002） | 0.025 |

# %% [markdown]
# ## GAN 只跑一次说明不了什么
#
# 到目前为止，每个结果都只跑了一次。现在，对每种呈现批次的方式，用原文的设置训练几个随机种子，各 20,000 轮；另外还有两个预设：原作者后来的代码 `moments`，以及 `stable`。`evaluate.train_seeds` 只编译一个程序，再从每个随机种子出发运行。这个单元格用时最长。

# %%
seeds, epochs = range(notebook.budget(3, 1)), notebook.budget(20_000, 10)
later = tiny_gan.PRESETS["moments"]
configs = {mode: replace(article, inputs=mode, steps=epochs) for mode in tiny_gan.INPUTS}
configs |= {"预设 moments": later, "预设 stable": tiny_gan.PRESETS["stable"]}
densities = {}
print("   均值  标准差    偏度    峰度      W1   （中位数）")
for name, config in list(configs.items())[: notebook.budget(7, 1)]:
    with tempfile.TemporaryDirectory() as directory, redirect_stdout(None):  # 不显示进度
        runs = evaluate.train_seeds(tiny_gan, tiny_gan.Report(config), Path(directory), seeds)
    summary = evaluate.summarise(runs)
    medians = [summary[key]["median"] for key in (*targets, "w1")]
    print(*(f"{median:7.2f}" for median in medians), " ", name)
    densities[name] = [run["density"] for run in runs]
figures.seeds(report.edges, densities, mu, sigma)

# %% [markdown]
# 先看峰度，与“线性层能直接读出什么”的那张表对照。用 `raw` 和 `differences` 时，它在 $-1$ 附近：密度是一段平台，外加一个尖峰。用 `moments` 时，无论其余设置与原文相同，还是采用预设 `moments`，它都接近 0：让 D 看到峰度，峰度就对。（这条规律有限度：用 `raw` 时标准差也大致正确，那是隐藏层自己发现的。）用 `squares` 时，这三个随机种子的中位数是 $-0.04$，而模型卡上二十个随机种子的中位数是 $-0.72$：三个随机种子确实太少。
#
# `sorted` 与 `raw` 只差在顺序，尖峰却变成了一个不太光滑的隆起。预设 `stable` 又加上标准化和逐渐降低的学习率，三条线都落在钟形曲线上。
#
# 三个随机种子也不足以给五种方式排名次。[模型卡](../../saved_models/tiny_gan/README.md)里有更多结果：用原文的设置训练 20,000 轮，二十个随机种子里有 10% 接近目标（$W_1 \le \sigma/5$）；用预设 `moments`，是 55%；用 `stable`，一百个随机种子全都接近。附带的生成器，是这一百个里 Kolmogorov-Smirnov 距离最小的一个。

# %% [markdown]
# ## 进阶：梯度从哪里流过
#
# G 从 $\partial D / \partial x_i$ 中学习，所以各个特征怎样依赖于各个点，非常重要。在 `squares` 和 `differences` 里，均值包在 `tf.stop_gradient` 中：先算出来，然后当作常数。这有什么后果？取五个点，把梯度带给出的梯度与真正的梯度比较，后者由有限差分得到。

# %%
points = tf.Variable([[2.0, 3.0, 4.0, 5.0, 9.0]], dtype=tf.float64)  # 均值是 4.6


def compare(name, feature):
    with tf.GradientTape() as tape:
        value = feature(points)
    nudges = 1e-6 * np.eye(points.shape[1])
    true = [(feature(points + d) - feature(points - d)).numpy() / 2e-6 for d in nudges[:, None]]
    print(name)
    print("    梯度带", np.round(tape.gradient(value, points)[0].numpy(), 2) + 0.0)
    print("    真值  ", np.round(true, 2) + 0.0)


compare("squares: (x1 - m)^2", lambda x: tiny_gan.INPUTS["squares"](x)[0, 5])
compare("squares：总和", lambda x: tf.reduce_sum(tiny_gan.INPUTS["squares"](x)[0, 5:]))
compare("differences: x1 - m", lambda x: tiny_gan.INPUTS["differences"](x)[0, 5])
compare("differences：总和", lambda x: tf.reduce_sum(tiny_gan.INPUTS["differences"](x)[0, 5:]))
compare("moments：标准差", lambda x: tiny_gan.INPUTS["moments"](x)[0, 1])

# %% [markdown]
# 先看 `squares`。按梯度带的说法，只有第一个点影响 $(x_1 - m)^2$；实际上五个点都会通过均值影响它。但在平方的**总和**里，误差互相抵消：
#
# $$\frac{\partial}{\partial x_j}\sum_i (x_i - m)^2
# = 2(x_j - m) - \frac2n\sum_i (x_i - m) = 2(x_j - m),$$
#
# 因为各点与均值之差的总和为零。所以，只要 D 给所有点同样的权重（它本该如此），`squares` 就会把方差的精确梯度传给 G。
#
# 在 `differences` 里，误差不会抵消。$x_i - m$ 的总和永远是零，真正的梯度也是零，梯度带却报告 1。这等于要 G 去增大一个不可能增大的数。
#
# `moments` 没有截断任何梯度，梯度带与真值一致。`sorted` 也没有截断：每个位置上的梯度，都传给排到那里的点。

# %% [markdown]
# ## 进阶：一个批次能说明多少
#
# 除 `moments` 之外，批次大小决定了 D 第一层的宽度，同时也限制了 D 能知道多少。$n$ 个点的均值的标准差是 $\sigma/\sqrt n$。当 $n$ 很大时，$n$ 个点的标准差、偏度、峰度，各自的标准差约为 $\sigma/\sqrt{2n}$、$\sqrt{6/n}$、$\sqrt{24/n}$。

# %%
print("2,000 个批次的标准差，测量值 / 公式")
print("   n            均值           标准差             偏度             峰度")
for n in (10, 100, 500):
    measured = tiny_gan.moments(tf.constant(rng.normal(mu, sigma, (2000, n)))).numpy().std(axis=0)
    formula = (sigma / n**0.5, sigma / (2 * n) ** 0.5, (6 / n) ** 0.5, (24 / n) ** 0.5)
    row = (f"{m:.3f} / {f:.3f}" for m, f in zip(measured, formula, strict=True))
    print(f"{n:4d}   {'    '.join(row)}")

# %% [markdown]
# 100 个点的批次，峰度的波动约为 0.5。直线型 G 的峰度是 $-1.2$，D 在大多数批次里都能察觉；0.2 的误差在单个批次里看不出来。原作者后来的代码每批取 500 个点。

# %% [markdown]
# ## 进阶：原作者后来的代码
#
# 在预设 `moments` 里，D 看到的是由 500 个点的批次算出的四个数。G 只有 46 个参数，每一轮先更新 D 20 次，再更新 G 20 次。我们训练一次，看看过程：

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
# 动画显示的是前 1,200 轮。开始时 G 是一个尖峰，所有的点几乎相同。然后均值和标准差越过目标，再摆回来。四个数都对了以后，各项损失都停在 0.693 附近，此后变化很小。（这个随机种子是从二十个里挑出来的。换一种处理器，舍入不同，训练过程也可能不同。）
#
# 四个矩都对，直方图却不是钟形：峰太尖，两端又被截断。原因见“进阶：矩相等，分布不同”一节。

# %% [markdown]
# ## 进阶：错误的标签
#
# 原文的循环在红色部分只让 G 的优化器走一步，以免 D 从错误的标签学习。假如我们忘了这一点，让 D 也按 $L_G$ 走一步，会发生什么？这可以推导出来。D 在每一轮里两次遇到生成的批次，一次标为 0，一次标为 1。合起来，它最小化的是 $-p_r \log D - p_g \log(1 - D) - p_g \log D$。与前面一样可得
#
# $$D^* = \frac{p_r + p_g}{p_r + 2 p_g}.$$
#
# 设标签正确时最优的回答为 $s = p_r / (p_r + p_g)$，则 $D^* = 1/(2 - s)$。它的取值从 $\frac12$（肯定是生成的）到 1（肯定是真的）；在 $s = \frac12$ 的地方，它是 $\frac23$。可见 D 仍能区分两者，只是回答从不低于 $\frac12$。G 的损失由 $-\log s$ 变成 $\log(2 - s)$。前者的斜率是 $-1/s$，后者的是 $-1/(2 - s)$。在 $s = \frac12$ 处，后者只有前者的三分之一；当 $s$ 接近 0，也就是 G 还很差、最需要梯度时，这个比例还要小得多。
#
# 如果 G 仍能学到数据的分布，损失应当稳定在：真实批次 $-\log\frac23 = 0.405$，生成批次 $-\log\frac13 = 1.099$，G 为 0.405。在软件包里打破这条规则，只要改一个属性：`g_variables` 列出什么，G 的优化器就更新什么。


# %%
class Trusting(tiny_gan.TinyGAN):
    @property
    def g_variables(self):
        return [*self.generator.trainable_variables, *self.discriminator.trainable_variables]


broken_config = replace(config, steps=notebook.budget(2500, 1))
trusting = Trusting(broken_config)
trusting.compile(*(keras.optimizers.SGD(config.learning_rate, momentum=0.9) for _ in "DG"))
broken_rows, _ = fit(trusting, broken_config, notebook.budget(100, 1))
histories = {"正确的标签": honest_rows[: len(broken_rows)], "错误的标签": broken_rows}
figures.losses(histories, [[np.log(2)], [np.log(1.5), np.log(3)]])

# %%
trial = next(iter(tiny_gan.batches(replace(config, seed=99))))
print("D(真实)  D(生成)")
for name, model in zip(histories, (honest, trusting), strict=True):
    batches = trial["x"], tf.map_fn(model.generate, trial["z_d"])
    p = [np.mean(tf.sigmoid(model.discriminator(x))) for x in batches]
    print(f"{p[0]:7.3f} {p[1]:8.3f}   {name}")
print(figures.table(broken_rows[-1:], names, targets))

# %% [markdown]
# 左图中，三项损失都稳定在 $\log 2$；右图中，它们稳定在推导得出的两条虚线上。这个 D 对两种批次的回答都在 $\frac23$ 左右。（略高一些，因为每轮最后一次更新，即 G 的更新，会把它的回答推高。）G 仍能向它学习，因为 $1/(2 - s)$ 随 $s$ 上升，只是梯度较弱。
#
# 再把最后一行与前面只从正确的标签学习的模型比较。损失停在各自的水平上，均值和标准差却没有达到目标。D 的输出不再是批次为真的概率，所以无论是损失还是 D，都不能说明博弈进行到了哪一步。练习 5 会更进一步。

# %% [markdown]
# ## 进阶：矩相等，分布不同
#
# 当 `inputs="moments"` 时，D 看到四个数。如果两个分布的前四阶矩相同，D 只能靠这些数在批次之间的波动来区分它们。这样的两个分布能相差多大？在三个点 $\mu - \sqrt3\,\sigma$、$\mu$、$\mu + \sqrt3\,\sigma$ 上分别放上概率 $\frac16$、$\frac23$、$\frac16$。以 $\mu$ 为原点、以 $\sigma$ 为单位，则有
#
# $$E[x] = E[x^3] = 0, \qquad E[x^2] = 2 \cdot \tfrac16 \cdot 3 = 1, \qquad
# E[x^4] = 2 \cdot \tfrac16 \cdot 9 = 3,$$
#
# 与高斯分布相同。它们是三节点 Gauss-Hermite 求积的节点和权重；用五个节点，直到第九阶的矩都相同（练习 4）。下图画出了每个分布中不超过 $x$ 的点所占的比例：


# %%
def quadrature(n):
    nodes, weights = np.polynomial.hermite_e.hermegauss(n)
    return lambda shape: mu + sigma * rng.choice(nodes, shape, p=weights / weights.sum())


def from_shipped(shape):
    z = tf.constant(rng.uniform(size=(np.prod(shape), 1)), tf.float32)
    return shipped.signatures["decode"](z=z)["x"].numpy().reshape(shape)


draws = {
    "N(4, 1.25)": lambda shape: rng.normal(mu, sigma, shape),
    "三个点": quadrature(3),
    "五个点": quadrature(5),
    "附带的生成器": from_shipped,
    "N(4.1, 1.25)": lambda shape: rng.normal(mu + 0.1, sigma, shape),
    "均匀分布": lambda shape: mu + sigma * np.sqrt(12) * (rng.uniform(size=shape) - 0.5),
}
figures.shares({name: draw(20_000) for name, draw in list(draws.items())[:4]})

# %% [markdown]
# D 能学会把这样的点与钟形分布区分开吗？我们给它充分的机会：点的分布固定不变，对每个分布都用一个新的 D，以 Adam 更新 4,000 次。（方法 `generate` 换成恒等映射，于是可以在传入噪声的位置直接传入点。）
#
# 每行最后一个数来自另一个 D，它是与附带的生成器一起训练的。这个数是它对其中 50 个生成批次的回答的平均值，每个批次取前 100 个点。

# %%
judge = tiny_gan.build(later)
judge.compile(keras.optimizers.Adam(0.01), keras.optimizers.Adam(0.01))
judge.generate = lambda x: x
untaught = [variable.numpy() for variable in judge.state]


@tf.function(jit_compile=notebook.budget(True, False))
def teach(x, z):
    return base.repeat(judge.update_d, {"x": x, "z": z}, ["loss_d_real"])[0]


def pairs(draw, count):  # 真实的批次和生成的批次
    return [tf.constant(each((count, 500)), tf.float32) for each in (draws["N(4, 1.25)"], draw)]


print("  均值 标准差   偏度      峰度   D(真实)  D(生成)   正确    附带的 D")
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
# 两条阶梯线与高斯分布的光滑曲线毫不相像。五个点的矩直到第九阶都与高斯分布相符，D 处于随机猜测的水平：它对两者的回答相同，一半的情况下正确。均匀分布的四阶矩不对，每一批都被识破。均值偏高 0.1 时，D 大约四次里能判对三次。对附带的生成器，D 的判断只比随机猜测略好。
#
# 三个点的情形有所不同：前四阶矩都对，D 却对多错少。露出破绽的是一个批次的矩的**波动**，它取决于更高阶的矩。对于二阶矩、四阶矩与高斯分布相同的对称分布，以 $\sigma$ 为单位，$n$ 个点的偏度的方差约为 $(E[x^6] - 9)/n$。高斯分布的 $E[x^6] = 15$，方差是 $6/n$；三个点的 $E[x^6] = 9$，方差几乎为零。五个点的 $E[x^6]$ 也与高斯分布相同，所以没有留下这样的痕迹。
#
# 这就解释了预设 `moments` 的生成器：D 只凭四个数评判它，它做对的也就只有这四个数。直方图的尖峰和被截断的两端，多训练也改不好，因为 D 几乎看不见它们。`sorted` 方式的 D 却看得见。
#
# 再看最后一列。对均匀分布的批次，新训练的 D 每一批都能识破，附带的 D 却拿不定主意。附带的 D 训练时只见过自己的 G，并不能识别一般的错误分布。

# %% [markdown]
# ## 进阶：不装 tf_gen，使用训练好的生成器
#
# 软件包里训练好的模型只需要 TensorFlow。它是一个 SavedModel，有三个签名：`decode`（G）、`sample`（I 和 G）、`discriminate`（D，100 个点）。`serving_default` 与 `decode` 相同，TensorFlow Serving 按这个名称查找。

# %%
for name, signature in shipped.signatures.items():
    print({k: v.shape for k, v in signature.structured_input_signature[1].items()}, name)
z = [0.1, 0.5, 0.9]
print(np.round(shipped.signatures["decode"](z=tf.constant(z, shape=[3, 1]))["x"][:, 0], 2), "G")
print(np.round(stats.norm.ppf(z, mu, sigma), 2), "理想的 G")

# %% [markdown]
# 在命令行里这样使用（更多用法见[模型卡](../../saved_models/tiny_gan/README.md)，包括 `saved_model_cli`、TensorFlow Serving 和 LiteRT）：
#
# ```sh
# python -m tf_gen.sample tiny_gan --count 10000 --out samples.png
# python -m tf_gen.train tiny_gan --preset stable --seed 86
# python -m tf_gen.train tiny_gan --inputs differences --run-dir runs/differences
# python -m tf_gen.evaluate tiny_gan --preset stable --seeds 20
# ```

# %% [markdown]
# ## 小结
#
# - GAN 有五个组件：真实数据、噪声、生成器、判别器和训练循环。用 Keras 写出来是 50 行。
# - 每一轮中，D 先学习，G 不变；然后 G 从穿过 D 的梯度中学习，D 不变。
# - 如果博弈达到平衡，D 的回答是 $\frac12$，各项损失都是 $\log 2 \approx 0.693$。这说明 D 在它所看到的内容里看不出差别。
# - 理想的 G 是数据的分位数函数。
# - D 看到批次的什么，决定了 G 学到什么。排过序的点让 D 看到整个形状；再加上标准化的输入和逐渐降低的学习率，我们试过的每个随机种子都得到钟形。
# - 矩相等不等于分布相同，GAN 只跑一次说明不了什么。
#
# **接着读**：在[笔记本 02](02_gaussian_gan.ipynb) 里，D 评判单个点，你可以看到模式坍缩。在[笔记本 04](04_ali.ipynb) 里，D 评判由图像和编码组成的数据对。这个模型的代码在软件包的 [tf_gen/models/tiny_gan.py](../../tf_gen/models/tiny_gan.py)；与其他高斯模型共用的部分在 [tf_gen/tasks/gaussian.py](../../tf_gen/tasks/gaussian.py)。
#
# ## 动手改一改
#
# 下面是对你的代码的三种改动，每次只做一种。改动之后，先重新运行 50 行代码所在的四个单元格，再运行“三处改动使训练稳定”一节的单元格，但要去掉 `assert_same` 那一行。数字是用随机种子 0 得到的。
#
# 1. **换数据。** 让 R 有两个钟形。在 `real_batches` 里写 `left = tf.random.uniform([200, 1, 100]) < 0.5`，并返回 `tf.random.normal([200, 1, 100], tf.where(left, 2.0, 6.0), 0.5)`。预期结果：右图有两个隆起，曲线中间有一段陡坡。我们得到的标准差是 2.12（数据是 2.06），峰度是 $-1.79$（数据是 $-1.77$）。
# 2. **换 G 的损失。** 让 G 最小化 $\log(1 - D(G(z)))$，而不是 $-\log D(G(z))$：在 `train_g` 里写 `loss = -self.loss(self.generate(z), 0.0)`。预期结果：几百轮之内 D 就赢了，G 不再学习，因为这个损失在 $D(G(z))$ 接近 0 的地方是平的。20,000 轮之后，我们得到的均值是 5.58，标准差是 0.07。
# 3. **去掉排序。** 在 `sorted_and_standardised` 里去掉 `tf.sort`。预期结果：均值和标准差都对（4.01 和 1.28），形状不对，峰度是 $-0.95$，$W_1 = 0.39$，而不是 0.04。
#
# ## 参考文献
#
# - I. Goodfellow 等人，*Generative Adversarial Networks*，2014，[arXiv:1406.2661](https://arxiv.org/abs/1406.2661)。最早的论文，证明了 $D^*$ 的公式，也说明了这场博弈最小化的是什么。
# - D. Nag，*Generative Adversarial Networks (GANs) in 50 lines of code (PyTorch)*，2017；中译文《GANs 很难？这篇文章教你 50 行代码搞定》。本笔记本依据的文章。
# - T. Salimans 等人，*Improved Techniques for Training GANs*，2016，[arXiv:1606.03498](https://arxiv.org/abs/1606.03498)。提出了小批量判别，让 D 能比较一个批次中的各个点。
# - Z. Lin 等人，*PacGAN: The power of two samples in generative adversarial networks*，2018，[arXiv:1712.04086](https://arxiv.org/abs/1712.04086)。把若干个点打包给 D 看，并解释这为什么能防止模式坍缩。
# - M. Zaheer 等人，*Deep Sets*，2017，[arXiv:1703.06114](https://arxiv.org/abs/1703.06114)。讨论输出与输入顺序无关的网络。
# - L. Mescheder、A. Geiger、S. Nowozin，*Which Training Methods for GANs do actually Converge?*，2018，[arXiv:1801.04406](https://arxiv.org/abs/1801.04406)。说明 D 和 G 为什么会绕着解打转，以及怎样才能收敛。
# - J. R. M. Hosking，*L-moments: analysis and estimation of distributions using linear combinations of order statistics*，Journal of the Royal Statistical Society B 52，1990。线性层能从排过序的点中读出的加权和。

# %% [markdown]
# ## 练习
#
# **1.** **不唯一。** $\mu + \sigma\,\Phi^{-1}(z)$ 是理想的**递增**的 G。找一个递减的 G，再找一个既不递增也不递减的 G，使它们生成的分布与前者相同。用 Kolmogorov-Smirnov 距离（两者“不超过 $x$ 的点所占比例”的最大差）来检验。

# %% tags=["answer"]
z = rng.uniform(size=10_000)  # 1 - z 和 |2z - 1| 也都是均匀分布的
others = {"递增": z, "递减": 1 - z, "先降后升": np.abs(2 * z - 1)}
for name, uniform_again in others.items():
    x = stats.norm.ppf(uniform_again, mu, sigma)
    print(f"KS {stats.kstest(x, stats.norm(mu, sigma).cdf).statistic:.4f}   {name}")

# %% [markdown]
# **2.** **一个批次能说明多少。** 真实的点来自 $N(4, 1.25)$，生成的点来自 $N(4 + \delta, 1.25)$。最优的 D 把批次的均值与 $4 + \delta/2$ 比较。它判断正确的概率有多大？推导出 $\Phi(\sqrt n\,\delta / (2\sigma))$，并用 $\delta = 0.1$ 检验。

# %% tags=["answer"]
delta = 0.1  # 真实批次的均值低于阈值时，D 的判断正确
for n in (1, 100, 500):
    means = mu + sigma * rng.normal(size=20_000) / np.sqrt(n)
    right = np.mean(means < mu + delta / 2)
    formula = stats.norm.cdf(np.sqrt(n) * delta / (2 * sigma))
    print(f"n = {n:3}：判断正确的批次占 {right:.1%}，按公式为 {formula:.1%}")

# %% [markdown]
# **3.** **没有新信息。** 用数值说明：`differences` 给线性层的信息，`raw` 全都有；`squares` 则不然。提示：取 300 个批次，每批 50 个点，把 D 所看到的排成矩阵，计算它的秩。

# %% tags=["answer"]
x = tf.constant(rng.normal(mu, sigma, (300, 50)))  # 秩是相互独立的方向的个数
for name in ("raw", "squares", "differences"):
    shown = tiny_gan.INPUTS[name](x).numpy()
    print(f"秩 {np.linalg.matrix_rank(shown):3}，共 {shown.shape[1]:3} 个数：{name}")

# %% [markdown]
# **4.** **更多的矩。** 如果 D 能看到直到第七阶的矩，就会识破那三个点。找一个离散分布，使它直到第七阶的矩都与 $N(0, 1)$ 相同。（可以用 `np.polynomial.hermite_e.hermegauss`。）$n$ 个点最多能与多少阶矩相符？

# %% tags=["answer"]
for n in (3, 4):
    nodes, p = np.polynomial.hermite_e.hermegauss(n)
    ours = [round(float(p @ nodes**k / p.sum()), 6) + 0.0 for k in range(1, 9)]
    print(f"{n} 个点 {np.round(nodes, 3) + 0.0}，第 1 至 8 阶矩：{ours}")
print("N(0, 1)，第 1 至 8 阶矩：", [round(float(stats.norm.moment(k)), 6) for k in range(1, 9)])
# n 个节点的求积对不超过 2n - 1 次的多项式是精确的，所以 n 个点能与 2n - 1 阶矩相符。

# %% [markdown]
# **5.** **错误的标签越来越多。** 在“进阶：错误的标签”一节里，D 遇到的生成批次，一半带有正确的标签，一半带有错误的标签。现在，每遇到一次正确的标签，就让它遇到 $k$ 次错误的标签。当 G 完美时，它会怎样回答？当 $k$ 增大时又会怎样？

# %% tags=["answer"]
d = np.linspace(0.001, 0.999, 999)
for k in (0, 1, 2, 20):
    best = d[np.argmin(-np.log(d) - np.log(1 - d) - k * np.log(d))]
    print(f"k = {k:2}：D = {best:.3f} 时损失最小，按公式为 {(1 + k) / (2 + k):.3f}")
# D* = (p_r + k p_g) / (p_r + (1 + k) p_g) 处处趋于 1，G 再也得不到梯度。
