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
# # 2. 学习高斯分布的 GAN
#
# 生成对抗网络（generative adversarial network，GAN）由两个互相对抗、共同学习的网络组成。本笔记本给它们一个很小的任务：生成器要把 $[-8, 8]$ 中的数变成另一些数，使它们看上去像是从均值为 4、标准差为 0.5 的高斯分布中抽取的。数据都在一条直线上，因此一切都可以画出来、算出来，连最优的判别器也不例外。本笔记本依据的文章是《生成对抗网络介绍》（An introduction to Generative Adversarial Networks），它源自 AYLIEN 的博文和代码，后者又参考了 Eric Jang 的博文。
#
# 你将亲手写出原文的模型，推导 GAN 到底在最小化什么，并看到模型先接近目标、后又坍缩。接着，你将从一个 4 × 4 的例子出发实现小批量判别，用许多随机种子检验原文的说法，最后见到一组改进措施：采用之后，我们试过的每个随机种子最后都接近钟形曲线。标题以“进阶”开头的小节，初次阅读时可以跳过。
#
# **需要** Python、一点 Keras，以及导数、概率密度和对数的知识。不需要 GPU，也不需要下载数据。如果环境中没有 tf_gen，第一个单元格会自动安装。
#
# **时间**：双核 CPU 上大约 3 分钟。

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
from dataclasses import replace

import keras
import numpy as np
import tensorflow as tf
from scipy import special, stats

from tf_gen import base, evaluate, plots, savedmodel
from tf_gen.figures import gaussian_gan as figures
from tf_gen.models import gaussian_gan
from tf_gen.seeds import Trainer

notebook.use_chinese()

# %%
box = tf.saved_model.load(str(savedmodel.find(Path("gaussian_gan"))))
z = tf.random.stateless_uniform([10_000, 1], [0, 1], -8.0, 8.0)
drawn = box.signatures["decode"](z=z)["x"].numpy()[:, 0]
plots.histogram(drawn, 4.0, 0.5)

# %% [markdown]
# 这就是我们的目标。柱形是 tf_gen 附带的训练好的生成器给出的 10,000 个数，曲线是它们应有的密度。这个生成器是一个只有 25 个参数的网络。它从未见过任何一个数据点，所学到的一切都来自另一个网络（判别器）传回的梯度。（`savedmodel.find` 给出训练好的模型所在的路径；载入之后，模型的签名 `decode` 把 $z$ 变成 $x$。）
#
# ## 1. 从零写出模型
#
# GAN 有两个网络。
#
# - **生成器** $G$ 把噪声 $z$ 变成一个点 $G(z)$。
# - **判别器** $D$ 接收一个点，可能是真实的，也可能是生成的，输出 $D(x)$，即这个点为真的概率。
#
# 原文把 $G$ 比作造假者，把 $D$ 比作警察，又把 $D$ 的输出比作强化学习中的奖励。但 $D$ 与奖励有一个重要区别：奖励只说明一个点有多好，而 $D$ 的梯度还说明这个点应该往哪个方向移动。
#
# 一次更新分为两步。第一步，$D$ 学习区分真实点和生成点；第二步，$G$ 学习生成能让 $D$ 判为真的点。每一步只有一个网络在学习，另一个保持不变。

# %%
notebook.diagram("gan_game")

# %% [markdown]
# 先写数据、噪声和原文正文中的两个网络。$G$ 有一个隐藏层，含四个 softplus 单元；softplus 即 $\log(1 + e^v)$，是平滑的 relu。$D$ 更大，这样才有能力区分两个分布。它的最后一层输出的不是概率，而是 **logit** $l$：$D(x) = \sigma(l) = 1/(1 + e^{-l})$。原因见第 3 节。

# %%
SEED = 0  # 换一个种子，结果会不同
keras.utils.set_random_seed(SEED)
rng = np.random.default_rng(SEED)


def data(n):  # 从 N(4, 0.5) 中抽取 n 个点，按升序排列
    return np.sort(rng.normal(4.0, 0.5, [n, 1]), axis=0).astype(np.float32)


def noise(n):  # 在 [-8, 8] 上均匀排列的 n 个点，各自略有移动
    return np.float32(np.linspace(-8, 8, n) + 0.01 * rng.random(n))[:, None]


def dense(units, activation=None):
    normal = keras.initializers.RandomNormal(stddev=1.0)
    return keras.layers.Dense(units, activation, kernel_initializer=normal)


G = keras.Sequential([keras.Input([1]), dense(4, "softplus"), dense(1)])
D = keras.Sequential([keras.Input([1]), *(dense(8, "tanh") for _ in range(3)), dense(1)])
rate = keras.optimizers.schedules.ExponentialDecay(0.005, 150, 0.95, staircase=True)
d_optimizer, g_optimizer = keras.optimizers.SGD(rate), keras.optimizers.SGD(rate)
d_optimizer.build(D.trainable_variables)
g_optimizer.build(G.trainable_variables)

# %% [markdown]
# 学习率为 0.005，每 150 次更新降低 5%。接下来写一次更新。损失函数与原文相同：
#
# $$L_D = -\log D(x) - \log(1 - D(G(z))), \qquad L_G = -\log D(G(z)),$$
#
# 并对整个批次取平均。用 logit 表示，就是 $\log D = \log \sigma(l)$，$\log(1 - D) = \log \sigma(-l)$。


# %%
@tf.function
def update(x, z_d, z_g):
    with tf.GradientTape() as tape:  # D 学习
        real, fake = D(x), D(G(z_d))
        loss_d = tf.reduce_mean(-tf.math.log_sigmoid(real) - tf.math.log_sigmoid(-fake))
    gradients = tape.gradient(loss_d, D.trainable_variables)
    d_optimizer.apply(gradients, D.trainable_variables)

    with tf.GradientTape() as tape:  # G 学习，用新的噪声和更新后的 D
        loss_g = tf.reduce_mean(-tf.math.log_sigmoid(D(G(z_g))))
    gradients = tape.gradient(loss_g, G.trainable_variables)
    g_optimizer.apply(gradients, G.trainable_variables)
    return loss_d, loss_g


# %% [markdown]
# 这就是完整的模型。它与软件包中的模型相同吗？我们把你的权重复制到软件包的模型中，给两者相同的批次和噪声，比较损失。接下来的 50 次更新中，每次的损失都必须一致，只允许有 float32 的舍入误差。两者的舍入略有不同，因为软件包把真实点和生成点合在一起，一次送入 $D$。**预设** `article` 是原文正文的设置；`batches` 依次给出每次更新所需的一切：数据点 `x`，以及分别用于 $D$ 的一步和 $G$ 的一步的噪声。

# %%
article = gaussian_gan.PRESETS["article"]
model = gaussian_gan.build(article)
model.generator.set_weights(G.get_weights())
model.discriminator.set_weights(D.get_weights())
for number, batch in enumerate(gaussian_gan.batches(article).take(50), 1):
    yours = np.array(update(batch["x"], batch["z_d"], batch["z_g"]))
    losses = model.update(batch)
    packaged = np.array([losses["loss_d"], losses["loss_g"]])
    np.testing.assert_allclose(yours, packaged, rtol=1e-5)
    if number in (1, 50):
        print(f"第 {number:2} 次更新：你的损失 {yours}，软件包的损失 {packaged}")

# %%
notebook.source(gaussian_gan.GaussianGAN.update)

# %% [markdown]
# 现在让你的模型再更新 1,200 次，这也是 AYLIEN 最初的代码所用的次数。（`notebook.budget(full, small)` 的值就是 `full`；项目的测试会改用较小的数来运行本笔记本。）

# %%
steps = notebook.budget(1_200, 60)
history = [np.array(update(data(12), noise(12), noise(12))) for _ in range(steps)]
z_all = np.linspace(-8, 8, 10_000, dtype=np.float32)[:, None]
x_all = G(z_all).numpy()
print(f"均值 {x_all.mean():.2f}（数据：4），标准差 {x_all.std():.2f}（数据：0.5）")
figures.learned(history, x_all[:, 0], z_all[:, 0], tf.sigmoid(D(z_all))[:, 0])

# %% [markdown]
# 虚线是 $\log 4 = 1.386$ 和 $\log 2 = 0.693$，即两个损失应当达到的值（见第 2 节）。两个损失都接近这些值，均值也是对的，但生成的点彼此靠得太近。我们选用这个种子，是因为它恰好展示了原文所讨论的失败。在种子 0 到 11 中，只有 0 和 11 最后到了数据附近，而且都太窄；其余的都离数据很远。这不是你的代码有错：按原文的设置，GAN 就是这样。本笔记本余下的部分将解释原因和对策。
#
# 从这里起，我们使用软件包的模型。它与你的模型相同，但把几百次更新编译成一个程序来运行，因此可以用许多种子来训练，而这正是后面所需要的。
#
# ## 2. 博弈
#
# **为什么要学习生成？** 原文一开始就给出了理由：能写出好新闻的模型，一定学到了许多关于新闻的知识，它的内部必然有新闻的某种**表示**（representation）；这种表示又可以用于其他任务，例如按主题给新闻分类。原文还引用了 Yann LeCun 的话：他在 2016 年称，对抗训练及其各种变体是机器学习近十年来最有意思的想法。
#
# **判别模型**（discriminative model）学习回答关于给定 $x$ 的问题：它对 $p(y \mid x)$ 建模，即标签 $y$ 的概率。手写数字的分类器就是一例。它不必知道数字长什么样，只需知道各类之间的区别。
#
# **生成模型**（generative model）学习 $x$ 本身的分布，即 $p(x)$；有标签时则是 $p(x, y)$，由贝叶斯公式也可以得到 $p(y \mid x)$。它可以利用大量没有标签的数据，还能生成新的 $x$。代价是，学习 $p(x)$ 比学习类别之间的区别难得多。GAN 的做法，是借助一个判别模型来学习生成模型。
#
# **价值函数。** 设真实点的密度为 $p$。$z$ 随机抽取时，$G(z)$ 也有某个密度 $q$；我们写不出 $q$，但可以从中抽样。$D$ 是一个普通的二分类器，要最大化对数似然。对一个真实点和一个生成点，对数似然的期望是
#
# $$V(D, G) = \mathbb{E}_{x \sim p}[\log D(x)] + \mathbb{E}_{z}[\log(1 - D(G(z)))],$$
#
# 而 $G$ 的目标正相反：$\min_G \max_D V(D, G)$。
#
# **给定 $G$ 时最优的 $D$。** 写成积分，$V = \int \big( p(x) \log D(x) + q(x) \log(1 - D(x)) \big)\,dx$。如果 $D$ 可以是任意函数，就可以在每个 $x$ 处分别取值。记 $a = p(x)$，$b = q(x)$，则 $a \log y + b \log(1 - y)$ 的导数是 $a/y - b/(1 - y)$，在 $y = a/(a + b)$ 处为零；二阶导数为负，所以这里取到最大值：
#
# $$D^*(x) = \frac{p(x)}{p(x) + q(x)}.$$
#
# **$G$ 最小化的是什么。** 把 $D^*$ 代入 $V$，并记混合密度为 $m = (p + q)/2$：
#
# $$V(D^*, G) = \int p \log \frac{p}{2m} + \int q \log \frac{q}{2m}
# = \mathrm{KL}(p \,\|\, m) + \mathrm{KL}(q \,\|\, m) - 2 \log 2
# = 2\,\mathrm{JS}(p, q) - \log 4,$$
#
# 其中 KL 是 Kullback-Leibler 散度；两个 KL 项之和的一半就是 Jensen-Shannon 散度 JS。JS 非负，且只在 $q = p$ 时为零。所以这个博弈只有一个解：$q = p$，$D^*$ 处处等于 $1/2$，$V = -\log 4 \approx -1.386$。$D$ 的损失是 $-V$，在解处等于 **1.386**。看训练日志时，要记住的就是这个数。
#
# 下面在网格上验证，其中的 $q$ 离 $p$ 还很远。

# %%
x = np.linspace(-8, 8, 4001)
dx = x[1] - x[0]
p, q = stats.norm(4, 0.5).pdf(x), stats.norm(1, 1.5).pdf(x)
best, m = p / (p + q), (p + q) / 2


def value(d):
    return np.sum(p * np.log(d) + q * np.log1p(-d)) * dx


js = (np.sum(special.rel_entr(p, m)) + np.sum(special.rel_entr(q, m))) * dx / 2
print(f"{value(best):.6f}  V(D*, G)")
print(f"{2 * js - np.log(4):.6f}  2 JS - log 4")
for shift in (-0.5, 0.5):
    shifted = value(special.expit(special.logit(best) + shift))
    print(f"{shifted:.6f}  另一个 D 的 V：所有 logit 都改变 {shift:+}")
figures.best_discriminator(x, best, p, q)

# %% [markdown]
# 前两个数在网格误差之内一致，另外两个 $D$ 的 $V$ 都更小。再看最优 $D$ 的曲线：在真实点远多于生成点的地方，它接近 1；在相反的地方，它接近 0；两者之间的斜坡告诉 $G$，应当把生成点向右移。曲线左侧是平的，在那里，$G$ 从 $D(x)$ 本身的斜率无从得知数据在哪里。最优 $D$ 的 logit 是 $\log p - \log q$，它在那里却很陡，第 3 节会用到这一点。（在最右边 $D^*$ 又降了下来，因为在远离两个均值的地方，总是较宽的高斯分布密度更大。）
#
# 原文把 $D(x)$ 的曲线标作“decision boundary”（决策边界）。但它是点为真的概率；决策边界应当是 $D(x) = 1/2$ 的那些点。本笔记本直接写 $D(x)$。
#
# ## 3. G 的两种损失，以及 D 占优时其中一种为什么失效
#
# $G$ 只能通过 $D$ 学习。设 $l$ 是 $D$ 在某个生成点处的 logit。按照博弈的原式，$G$ 的损失是**极小极大损失** $\log(1 - D(G(z)))$。Goodfellow 等人（第 3 节）当时就建议改用另一种损失，即**非饱和损失** $-\log D(G(z))$。$D$ 被骗得越厉害，两种损失就越小，但它们的梯度不同：
#
# $$\frac{d}{dl} \log(1 - \sigma(l)) = -\sigma(l) = -D, \qquad
# \frac{d}{dl} \big( -\log \sigma(l) \big) = -(1 - \sigma(l)) = -(1 - D).$$
#
# 训练初期 $D$ 很容易获胜：在远离数据的生成点处 $D \approx 0$。此时第一种梯度几乎为零，而 $G$ 正是此时最需要学习；第二种梯度则接近 $-1$。原文的正文、文末的代码和本软件包用的都是第二种。
#
# 损失变了，$G$ 最小化的对象也就变了。如果 $D$ 对当前的 $G$ 是最优的，并且固定不动，那么非饱和损失的梯度不再是 JS 的梯度，而是 $\mathrm{KL}(q \,\|\, p) - 2\,\mathrm{JS}(p, q)$ 的梯度（Arjovsky 与 Bottou，arXiv:1701.04862，定理 2.5）。$\mathrm{KL}(q \,\|\, p)$ 会惩罚落在没有数据之处的生成点，却几乎不惩罚只覆盖一部分数据的 $G$，第 6 节就有这样的例子。

# %%
notebook.source(
    gaussian_gan.log_probability, gaussian_gan.discriminator_loss, gaussian_gan.generator_loss
)

# %% [markdown]
# 损失函数的输入是 logit，因为由 $l$ 可以直接算出 $\log \sigma(l)$。如果先算概率就不行了：在 float32 中，logit 一旦超过 16.6，$1 - D$ 就会舍入为 0，而 $\log 0 = -\infty$。参数 `floor`（下限）对应原文文末代码（见第 4 节）中的保护措施，即 $\log \max(D, 10^{-5})$。下面用 TensorFlow 计算软件包中这些函数的梯度。

# %%
line = tf.linspace(-16.0, 8.0, 400)
gradients = {}
for name, loss in {
    "极小极大，log(1 - D)": lambda v: gaussian_gan.log_probability(-v, 0.0),
    "非饱和，-log D": lambda v: -gaussian_gan.log_probability(v, 0.0),
    "非饱和，带文末代码的下限": lambda v: -gaussian_gan.log_probability(v, 1e-5),
}.items():
    with tf.GradientTape() as tape:
        tape.watch(line)
        total = tf.reduce_sum(loss(line))
    gradients[name] = tape.gradient(total, line)
figures.gradients(line, gradients)

# %% [markdown]
# 在图的左侧，$D$ 确信这个点是生成的。此时极小极大损失没有梯度，非饱和损失的梯度却最大。在右侧，$D$ 已经受骗，情况正好相反，但这并没有害处。
#
# 点线显示出下限的一个弱点。它虽然使损失保持有限，但 $\max$ 在下限以下是常数：logit 低于 $-11.5$ 时，梯度又变成零，而这正是非饱和损失本该发挥作用的地方。
#
# 传到 $G$ 的权重的，是这个梯度再乘以两个因子：$D$ 的 logit 在该点处的斜率 $dl/dx$，以及该点随权重的变化率。在 $D$ 的 logit 平坦的地方，用哪种损失都没有用。
#
# ## 4. 正文与文末代码：原文模型的两个版本
#
# 原文先逐段讲解模型，最后给出完整代码。两者并不相同，读者却很容易忽略：
#
# | | 正文 | 文末代码 |
# |---|---|---|
# | $D$ 的隐藏层 | tanh | relu |
# | $D$ 的第三个隐藏层 | 总是有 | 使用小批量判别时被它取代 |
# | 优化器 | 梯度下降，0.005，每 150 次更新 × 0.95 | Adam，0.001 |
# | 损失中的对数 | $\log v$ | $\log \max(v, 10^{-5})$ |
# | 初始权重 | 未给出 | $\mathcal{N}(0, 1)$；小批量判别层的标准差为 0.02 |
# | $G$ 的隐藏单元数 | 未给出 | 4 |
# | 批次大小 | 未给出 | 8 |
# | 更新次数 | 未给出；“在框架750附近”（即第 750 帧）接近目标 | 5,001（循环从 0 到 5,000） |
# | 随机种子 | 未给出 | 42 |
#
# 软件包把两个版本都做成了预设：`article` 对应正文，`listing` 对应文末代码。正文没有给出的数，`article` 取文末代码的值；批次大小（12）和更新次数（1,200）则取自 AYLIEN 最初的代码。第三个预设 `stable` 是我们自己的，第 9 节会用到。

# %%
batch = next(iter(gaussian_gan.batches(article)))
for name, points in batch.items():
    print(f"{name:4}", *(f"{v:6.2f}" for v in points[:, 0]))
print(f"G 有 {G.count_params()} 个参数，D 有 {D.count_params()} 个")

# %% [markdown]
# **数据。** 批次 `x` 是从 $\mathcal{N}(4, 0.5)$ 中抽取并排好序的十二个点，0.5 是标准差。这个 $D$ 逐点判断，再对结果取平均，所以顺序没有影响。每次更新都抽取新的点，没有一个固定的训练集可供模型死记硬背。
#
# **噪声。** `z_d` 和 `z_g` 是原文的**分层**噪声：从 $-8$ 到 $8$ 均匀排列，再加上一点噪声。与独立抽取的点相比，用均匀排列的点估计均值，方差小得多。但请看这些数：间距是 $16/11 \approx 1.45$，而加上的噪声至多 0.01。通常意义上的分层抽样，应当在整个一层之内抽取每个 $z$。而在这里，$G$ 始终在几乎相同的十二个位置上训练，位置之间全靠插值。第 5 节的图画的是 $G$ 在 10,000 个位置上的输出。
#
# **$G$** 有 $4 + 4 + 4 + 1 = 13$ 个参数。它应当学成什么，我们是知道的：$z$ 在 $[-8, 8]$ 上均匀分布，所以单调递增的解 $G$ 就是分位数函数 $4 + 0.5\,\Phi^{-1}((z + 8)/16)$，其中 $\Phi$ 是 $\mathcal{N}(0, 1)$ 的分布函数。
#
# **$D$** 有 $16 + 72 + 72 + 9 = 169$ 个参数。使用小批量判别（第 7 节）时有 $16 + 72 + 135 + 14 = 237$ 个，其中 15 个不参与训练，即小批量判别层的偏置，因为它在相减时互相抵消。
#
# ## 5. 训练，并观察训练过程
#
# 下面用三个种子训练软件包的模型。它的 `train_step` 一次接收 20 个批次，完成 20 次更新；`base.compiled` 把它编译成一个程序。`replace` 复制一份设置，并修改其中几项。每次调用之后，用软件包的 `Report` 观察模型：
#
# - `observe` 让 $G$ 生成 500 个点。
# - `measure` 给出这些点的均值、标准差和 **W1**。W1 是它们到 10,000 个真实点的 Wasserstein-1 距离，这些真实点不参与任何一次更新。它的含义是：要使生成点变成真实点，平均至少需要移动多远。
# - `snapshot` 记录直线上各处的 $D(x)$ 和 $G$ 的直方图。
#
# 换种子时，只给同一个模型的变量重新赋值，因此只需编译一次。


# %%
def train(config, seeds, every=20):
    """用若干种子训练模型，每 `every` 次更新之后观察一次。"""
    model, report, runs = gaussian_gan.build(config), gaussian_gan.Report(config), {}
    program = base.compiled(model.train_step)
    for seed in seeds:
        seeded = replace(config, seed=seed)
        for variable, initial in zip(model.state, gaussian_gan.build(seeded).state, strict=True):
            variable.assign(initial)
        rows, shots = [], []
        stacks = gaussian_gan.batches(seeded).batch(every).take(config.steps // every)
        for number, stack in enumerate(stacks, 1):
            losses, step = program(stack), {"step": every * number}
            rows.append({**step, **report.measure(report.observe(model)), **losses})
            shots.append({**step, **report.snapshot(model)})
        runs[seed] = {"rows": rows, "shots": shots, "state": [v.numpy() for v in model.state]}
    return model, report, runs


config = replace(article, steps=notebook.budget(article.steps, 40))
model, report, runs = train(config, (19, 0, 4))
print("种子   均值  标准差    W1   D 的损失   G 的损失")
for seed, run in runs.items():
    line = "{mean:5.2f}  {std:5.2f}  {w1:5.2f}  {loss_d:9.3f}  {loss_g:9.3f}"
    print(f"{seed:4}  {line.format(**run['rows'][-1])}")

# %% [markdown]
# **这三个种子是我们挑选出来的。** 我们看了三十个种子，选出一个接近目标的、一个没有到达的，以及第 6 节需要的一个。（种子 0 与第 1 节的不是同一次训练，因为软件包抽取的随机数不同。）在这些设置下，一百个种子中只有一个最后接近数据（见[模型卡](../../saved_models/gaussian_gan/README.md)）。一篇文章如果只展示一次好结果，那么要么也经过了挑选，要么是运气好。此外，GAN 会放大舍入误差：换一种处理器或换一个 TensorFlow 版本，同一个种子的结果可能不同。如果你的表格与正文不符，阅读下文时，请用你的结果中最好的种子代替 19，用最窄的种子代替 4。下一个单元格用动画展示最好的种子。

# %%
nearest = min(runs, key=lambda seed: runs[seed]["rows"][-1]["w1"])
notebook.animation(report.frames(runs[nearest]["shots"][1::2]), fps=6)

# %%
farthest = max(runs, key=lambda seed: runs[seed]["rows"][-1]["w1"])
figures.ends(runs, report, [nearest, farthest])

# %% [markdown]
# 在动画中，$G$ 的输出起初分布得很宽：初始权重取自 $\mathcal{N}(0, 1)$，$|z|$ 又可达 8，所以有些点离数据很远。$D$ 在 4 附近升高，在只有生成点的地方降低。$G$ 的直方图沿着斜坡移动，先慢后快：大多数点都到了斜坡上之后，移动就快了。一次好的训练接近尾声时，$D$ 在有数据的地方接近 $1/2$，两个损失也接近它们在解处的值：$D$ 是 1.386，$G$ 是 $\log 2 = 0.693$。在既没有真实点也没有生成点的地方，$D(x)$ 没有意义，因为 $D$ 在那里什么也没有学到。
#
# 右图是最后离数据最远的一次训练。它的生成点离数据还很远，许多甚至落在图外。除了一处陡坡，这个 $D$ 是平的，它的 logit 也是平的，没有斜坡可循。走 1,200 小步，不足以把这些点带回来；模型卡表明，对大多数种子来说，10,000 步也不够。
#
# 损失接近 1.386 和 0.693，并不能证明 $G$ 是好的，只说明**这个** $D$ 看不出差别。请比较表中种子 19 和种子 4 的损失。
#
# ## 6. 坍缩
#
# 原文说，$G$ 在动画的第 750 帧附近接近目标，随后收窄到数据的中部。这是最简单的一种**模式坍缩**（mode collapse）。标准差低于数据标准差的一半时，我们称这次训练**坍缩**了。

# %%
figures.courses(runs)

# %% [markdown]
# 种子 4 的生成点起初越来越分散，然后逐渐收缩；经过正确的宽度时，W1 大约最小，但收缩并没有停止。种子 19 也没有稳定下来：它的 W1 一直上下跳动，直到最后。
#
# 原文提出的办法是提前停止：两个分布足够相似时就停下来。原文也指出了这个办法的局限。首先，相似程度需要有人来计算：W1 要对照数据的分布才能算出，而损失在那一刻并无异常。其次，在直线上 W1 很容易算，因为只需比较排好序的点；图像和文本却没有这样的顺序，在高维空间里，两个分布的样本之间的距离也说明不了多少问题（最后一个“进阶”小节有一个例子）。最后，谁也不能保证好的时刻一定会出现。
#
# 这些点为什么会越靠越近？$G$ 的损失对生成点 $x_i$ 的梯度是 $-(1 - D(x_i))\, l'(x_i) / n$，其中 $l'$ 是 $D$ 的 logit 的斜率：每个点都沿着 $l$ 往上爬。我们载入最窄的那次训练结束时的权重，打印一个批次中各点处的 $l'$。作为对照，图中还画出最优 $D$ 的 logit，即 $\log p - \log q$，其中 $q$ 是与生成点的均值和标准差相同的高斯分布。

# %%
narrow = min(runs, key=lambda seed: runs[seed]["rows"][-1]["std"])
end = runs[narrow]["rows"][-1]
for variable, end_value in zip(model.state, runs[narrow]["state"], strict=True):
    variable.assign(end_value)
points = model.decode(batch["z_g"])
with tf.GradientTape() as tape:
    tape.watch(points)
    logits = model.discriminator(points)
slopes = tape.gradient(logits, points).numpy()[:, 0]
print("点  ", *(f"{v:5.2f}" for v in points[:, 0]))
print("斜率", *(f"{v:5.2f}" for v in slopes))
grid = np.linspace(2.5, 5.5, 200)
ideal = stats.norm(4, 0.5).logpdf(grid) - stats.norm(end["mean"], end["std"]).logpdf(grid)
figures.crowd(grid, model.discriminator(np.float32(grid[:, None])), ideal, points[:, 0])

# %% [markdown]
# 最优 $D$ 的 logit 在这簇点处是一个谷，两侧急剧上升，会把这些点推开。实际的 $D$ 在所有点上却只有一个平缓的斜坡：各处斜率的符号都相同，所有点都被推向同一个方向。对种子 4 来说，这个方向是左，而右端的斜坡最陡，这簇点因此甚至会变得更窄。一次只看十二个点，一次只走一步，$D$ 学到的不过是“这一侧稍微不像真的”。$G$ 把点从那里移开，$D$ 随后再改变斜率。没有什么力量能使这些点散开。
#
# 原文说，$G$ 只要输出数据的均值，就能骗过 $D$。更准确的说法是：
#
# - 最优的 $D$ 不会受骗：在 $q$ 集中的地方，$D^*(x) = p/(p + q)$ 很小。但 $G$ 每走一步，$D$ 也只走一步，而那簇点已经移到了别处。
# - 如果 $D$ 固定不变，坍缩就是**正确**答案。$G$ 的损失是若干项的平均，每一项只涉及一个点；所有点都落在 $D$ 最大的地方时，损失最小。没有哪一项要求这些点彼此不同。
# - $D$ 对每个点单独判断。3.8 处的十二个点，就是十二个可信的点。它们全都相同，这是整个批次的性质，只看一个点的函数看不到。
#
# 第三个问题是可以解决的。
#
# ## 7. 小批量判别：从一个 4 × 4 的例子讲起
#
# 让 $D$ 在看到每个点的同时，也看到它与同批其他点有多接近（Salimans 等人，第 3.2 节）。取 $n = 4$ 个点，设 $D$ 的某一层已经为每个点算出两个特征 $h_i \in \mathbb{R}^2$。一个**核**（kernel）用矩阵 $T$ 把它们投影成向量 $M_i = h_i T$，这里长度为二。对每一对点计算 L1 距离，再把它变成 0 与 1 之间的接近程度：
#
# $$c_{ij} = \exp\Big(-\sum_d |M_{id} - M_{jd}|\Big), \qquad o_i = \sum_{j=1}^{n} c_{ij}.$$
#
# 行和 $o_i$ 就是点 $i$ 的新特征。由于 $c_{ii} = 1$，它至少为 1。如果这个点离其他点都很远，它接近 1；如果所有点都相同，它等于 $n$。

# %%
notebook.diagram("minibatch_discrimination")

# %% [markdown]
# 自己把它写成一层，只需十来行代码。原文使用五个核，向量长度为三。


# %%
class Minibatch(keras.layers.Layer):
    """在一批特征 [n, m] 之后接上每个点与其他点的接近程度。"""

    def __init__(self, kernels=5, length=3):
        super().__init__()
        self.kernels, self.length = kernels, length

    def build(self, shape):
        narrow = keras.initializers.RandomNormal(stddev=0.02)
        self.T = self.add_weight([shape[-1], self.kernels * self.length], initializer=narrow)

    def call(self, h):
        M = tf.reshape(h @ self.T, [-1, self.kernels, self.length])
        distances = tf.reduce_sum(tf.abs(M[:, None] - M[None, :]), axis=-1)  # [n, n, 核]
        return tf.concat([h, tf.reduce_sum(tf.exp(-distances), axis=1)], axis=-1)


layer = Minibatch(kernels=1, length=2)
layer.build([None, 2])
layer.T.assign([[1.0, 0.5], [0.0, 1.0]])
spread, collapsed = [[0, 1], [1, 0], [2, 2], [4, 1]], [[1, 1], [1.1, 1], [1, 1.1], [1, 1]]
examples = {"分散": np.float32(spread), "坍缩": np.float32(collapsed)}
for name, h in examples.items():
    print(*(f"{v:.3f}" for v in layer(h)[:, 2]), f" 行和，批次：{name}")
figures.closeness({name: h @ layer.T.numpy() for name, h in examples.items()})

# %% [markdown]
# 批次分散时，这些和比 1 大得不多；批次坍缩后，它们接近 4。一个数就足以区分两种情况，$D$ 的最后一层可以给它加上权重。$T$ 是学出来的，所以沿哪些方向比较各点，由 $D$ 自己决定。
#
# 在 $D$ 中，这一层取代第三个隐藏层。我们再次使用相同的权重，把你的层与软件包的层作比较。


# %%
def new_judge(third):
    return keras.Sequential([keras.Input([1]), dense(8, "tanh"), dense(8, "tanh"), third, dense(1)])


packaged = gaussian_gan.build(replace(article, minibatch=True)).discriminator
yours = new_judge(Minibatch())
for variable, theirs in zip(yours.trainable_variables, packaged.trainable_variables, strict=True):
    variable.assign(theirs)
np.testing.assert_allclose(yours(batch["x"]), packaged(batch["x"]), rtol=1e-5)

# %%
notebook.source(gaussian_gan.MinibatchDiscrimination.call)

# %% [markdown]
# **没有这一层的 $D$ 看不到的，现在的 $D$ 看得到吗？** 我们设计一个结论明确的测试。真实批次是从 $\mathcal{N}(4, 0.5)$ 中抽取的十二个点。假批次是一簇宽度为 0.05 的点，每一批都重新抽取这簇点的位置，使得**每个假点单独来看，密度恰好就是数据的密度**。于是 $p = q$，$D^* = 1/2$；逐点判断的 $D$ 不论多大、学多久，平均损失都不可能低于 $\log 4 = 1.386$。这里不训练生成器，只训练两种 $D$。打印的每个数是 100 次更新的平均损失。


# %%
def learn(judge, updates):
    optimizer = keras.optimizers.Adam(0.005)
    optimizer.build(judge.trainable_variables)

    @tf.function
    def update_judge(true, false):
        with tf.GradientTape() as tape:
            loss = gaussian_gan.discriminator_loss(judge(true), judge(false), 0.0)
        optimizer.apply(tape.gradient(loss, judge.trainable_variables))
        return loss

    losses = []
    for _ in range(updates):
        place = rng.normal(4, np.sqrt(0.5**2 - 0.05**2))
        batches = rng.normal(4, 0.5, [12, 1]), rng.normal(place, 0.05, [12, 1])
        losses.append(update_judge(*np.float32(batches)))
    return np.reshape(losses, [10, -1]).mean(axis=1)


for third, name in ((dense(8, "tanh"), "逐个的点"), (Minibatch(), "整个批次")):
    judge = new_judge(third)
    losses = learn(judge, notebook.budget(1_000, 10))
    print(*(f"{loss:.3f}" for loss in losses), f" D 看到的是{name}")
for others, name in ((np.linspace(3.2, 4.8, 11), "分散"), (np.full(11, 4.0), "也在 4 处")):
    answer = tf.sigmoid(judge(np.float32([4.0, *others])[:, None]))[0, 0]
    print(f"{answer:.5f} = D(4)，其余十一个点：{name}")

# %% [markdown]
# 第一种 $D$ 停留在 $\log 4$；第二种学会了区分两种批次，几乎不出错。
#
# 最后两行显示了一个后果。两次判断的都是点 4，但同批的其他点不同，$D$ 的输出就从接近 1 变成接近 0。所以 $D(x)$ 不再只是 $x$ 的函数。要画出它，就必须按训练时的批次大小分批计算 $D$，软件包正是这样做的。真实点和生成点不能混在同一批中。批次大小也成了模型的一部分，因为这些和会随它增大。
#
# ## 8. 许多种子
#
# 那么，$G$ 现在能否像原文的两幅图所示的那样保持宽度？两幅图只是两次训练，要下结论就需要许多次。软件包的 `Trainer` 用同一个编译好的程序逐个训练各个种子，并测量每个结果；`evaluate.summarise` 对结果作统计。W1 不超过 0.1（数据标准差的五分之一）称为**接近**，标准差低于 0.25 称为**坍缩**，W1 大于 5 称为**发散**。此外还打印 **KS**（Kolmogorov-Smirnov 距离）的中位数：生成点中不超过 $x$ 的比例，与高斯分布的相应比例之间的最大差。KS 在 0 与 1 之间；如果从高斯分布本身抽取 10,000 个点，KS 约为 0.01。


# %%
def over_seeds(config, count, name):
    """训练 `count` 个种子，打印一行统计，返回每个种子的得分。"""
    trainer = Trainer(gaussian_gan, gaussian_gan.Report(config))
    results = [score for _, score in trainer.scores(range(count))]
    summary = evaluate.summarise(results)
    medians = (f"{summary[measure]['median']:6.3f}" for measure in ("mean", "std", "w1", "ks"))
    shares = (f"{summary[share]:9.0%}" for share in ("close", "collapsed", "diverged"))
    print(*medians, *shares, "", name)
    return results


print("  均值  标准差    W1     KS      接近      坍缩      发散  （前四列为中位数，后三列为比例）")
scores = {}
kinds = [("article", False), ("article", True), ("listing", False), ("listing", True)]
for name, minibatch in kinds[: notebook.budget(4, 1)]:
    config = replace(gaussian_gan.PRESETS[name], minibatch=minibatch)
    config = replace(config, steps=notebook.budget(config.steps, 100))
    label = f"{name}，小批量判别" if minibatch else name
    scores[label] = over_seeds(config, notebook.budget(20, 1), label)

# %%
figures.densities(report, {label: scores[label] for label in list(scores)[-2:]})

# %% [markdown]
# 每条细线是一个种子。有的与数据差不多宽，但形状不同；有的窄得像一根针；有的散布在整条轴上。按上面的标准，没有一个接近目标。只有二十个种子时，25% 这样的比例的标准误是十个百分点，即 $\sqrt{0.25 \cdot 0.75 / 20}$，所以表中的小差别没有意义。[模型卡](../../saved_models/gaussian_gan/README.md)中每种设置有一百个种子：
#
# - 按文末代码的设置，不用小批量判别时 27% 的种子坍缩，用了之后为 12%。原文的说法部分成立：发散的比例也从 10% 升到了 30%。
# - 按正文的设置，原文的说法不成立：不用时 8% 坍缩，用了之后 21% 坍缩。
# - 四种设置中，最后接近数据的都至多 2%。
# - “必须保持批量相当小（小于16左右）”：使用文末代码加小批量判别时，W1 的中位数确实随批次大小而增大。批次大小为 4 时它最小，但有 32% 的训练坍缩。
#
# 小批量判别使 $D$ 能看到坍缩，但不能使博弈收敛。
#
# ## 9. 行之有效的做法：`stable`
#
# 预设 `stable` 的任务和网络类型都与原文相同，不使用小批量判别，而是采用以下改进措施：
#
# 1. **每组 64 个点**，并且排序。一个点说明不了它来自什么密度。**打包**（packing，Lin 等人，arXiv:1712.04086）一次给 $D$ 若干个独立的点，只要一个判断：它们全是真的，还是全是生成的？点的顺序不含信息。按升序排列后，第 $k$ 个数总是第 $k$ 小的，$D$ 就不必学习各种顺序（Zaheer 等人，arXiv:1703.06114）。
# 2. **独立的 $z$**，取自 $U(-8, 8)$。用原文的分层噪声生成的点，比从数据中抽取的点更均匀。一次看一个点的 $D$ 察觉不到这一点；一次看 64 个点的 $D$ 却能察觉，并且会迫使 $G$ 去补偿它。
# 3. **标准化的 $x$**：$D$ 看到的是 $(x - 4)/0.5$（LeCun 等人，*Efficient BackProp*，1998）。
# 4. **批次大小 256**：每批四组，而不是一组。
# 5. **$G$ 有 8 个隐藏单元**，是原来的两倍，以便弯成第 4 节的分位数函数。
# 6. **缩放初始权重**，$\mathcal{N}(0, 1/\text{fan-in})$。如果权重的方差为 1，较宽的层一开始就会给出很大的 logit，$D$ 什么都没学到就已经很有把握。
# 7. **$D$ 中用 softplus**，而不用 tanh 或 relu。$G$ 沿着 $D$ 的斜率移动；用 softplus 时，斜率没有折点，也没有死区。
# 8. **两个网络使用各自的学习率**，优化器为 Adam：$G$ 是 0.1，$D$ 是 0.003。Adam 的步长大致等于学习率，而 $G$ 的少数几个权重要走很远。取 $\beta_1 = 0.5$ 可以使 Adam 忘得更快，因为旧的梯度针对的是旧的对手（Radford 等人，arXiv:1511.06434）。
# 9. **线性衰减**，两个学习率都减到零。每个网络都在移动对方的目标，步长不变就永远稳定不下来。

# %%
stable = replace(gaussian_gan.PRESETS["stable"], steps=notebook.budget(8_000, 200))
scores["stable"] = over_seeds(stable, notebook.budget(10, 1), "stable")
figures.densities(report, {label: scores[label] for label in list(scores)[-2:]})

# %% [markdown]
# 十个种子最后全部接近数据，只是其中一个的峰偏高；模型卡中的一百个种子也全部接近。再训练一次，用曲线看看它是怎样到达目标的。

# %%
_, stable_report, stable_runs = train(stable, [1], every=100)
figures.courses(stable_runs)

# %%
notebook.animation(stable_report.frames(stable_runs[1]["shots"][::4]), fps=4)

# %% [markdown]
# 标准差在几百次更新之内就达到 0.5，此后的波动越来越小。随着学习率减到零，W1 降到约 0.01。
#
# 这个 $D$ 判断的是一组点，所以动画中蓝线的含义与前面不同：它是 $D$ 对一组点的回答，这组点由 $x$ 和 63 个典型的真实点组成。在远离数据的地方，$D$ 从未见过这样的一组点，它的回答没有意义。在数据所在之处，$D$ 最后离 $1/2$ 不远。
#
# **不知道真实分布时，怎样评价一个 GAN？** 原文没有解决这个问题。看一看样本，对图像来说很容易，对文本却没有多大用处。GAN 也不给出似然。原文提到了用核密度估计得到的似然，同时表示怀疑；第二个“进阶”小节将说明，这种怀疑是对的。原文的另一个建议是，把模型学到的东西用于分类之类的**下游任务**。笔记本 [4](04_ali.ipynb) 就是这样做的：那里的模型还有一个编码器，手写数字的编码被用来给它们分类。
#
# **使用训练好的生成器。** 训练好的生成器是一个 SavedModel，使用它只需要 TensorFlow。本笔记本开头已经把它载入为 `box`。签名 `decode` 把你给的 $z$ 变成 $x$；`sample` 则自己从 $U(-8, 8)$ 中抽取 $z$。

# %%
out = box.signatures["sample"](count=tf.constant(5), seed=tf.constant([0, 1]))
print(np.hstack([out["z"], out["x"]]).round(3))

# %% [markdown]
# 打印的每一行是一个 $z$ 和对应的 $x$。本笔记本开头的直方图就是这个生成器的 10,000 个点。它并不完美：$G$ 是有界区间上的连续函数，所以尾部是截断的，止于离均值约 2.7 个标准差的地方。在一百个种子中，它的 KS 最小；模型卡说明了这一点，并给出了偏度和峰度。
#
# 也可以在命令行中完成这些工作：
#
# ```sh
# python -m tf_gen.train gaussian_gan --preset stable --seed 1
# python -m tf_gen.train gaussian_gan --preset listing --minibatch --anim-path minibatch.gif \
#     --anim-every 10 --run-dir runs/minibatch
# python -m tf_gen.evaluate gaussian_gan --preset listing --seeds 100
# python -m tf_gen.sample gaussian_gan --count 10000 --out histogram.png
# ```
#
# ## 进阶：各项改进措施的作用
#
# 打包是最重要的两项措施之一。它对 $D$ 有多大帮助？取一个假的密度 $q$，并设 $D$ 是最优的。对 $n$ 个点，它把各点的证据加起来，
#
# $$\log \frac{p(x_1) \cdots p(x_n)}{q(x_1) \cdots q(x_n)}
# = \sum_{i=1}^{n} \log \frac{p(x_i)}{q(x_i)},$$
#
# 和为正就回答“真”。没有别的规则比它的正确率更高。我们统计它判对的比例，假的密度取三种：一种太窄；一种略有平移；一种是平的，但均值和标准差与数据相同。

# %%
sizes, shares, half = (1, 4, 16, 64), {}, np.sqrt(0.75)
truth, narrow, shifted = (stats.norm(*pair) for pair in ((4, 0.5), (4, 0.4), (4.1, 0.5)))
flat = stats.uniform(4 - half, 2 * half)
for name, false in (("太窄", narrow), ("平移", shifted), ("平的", flat)):
    shares[name] = []
    for n in sizes:
        packs = (d.rvs([notebook.budget(4000, 40), n], random_state=rng) for d in (truth, false))
        real_says, false_says = (np.sum(truth.logpdf(x) - false.logpdf(x), axis=1) for x in packs)
        shares[name].append((np.mean(real_says > 0) + np.mean(false_says <= 0)) / 2)
    print(*(f"{share:5.0%}" for share in shares[name]), "", name)
figures.packs(sizes, shares)

# %% [markdown]
# 各列对应一次看 1、4、16、64 个点。只看一个点时，最优的 $D$ 也不比随机猜测强多少；看 64 个点时，零星的证据就累积了起来。这时 $D$ 的梯度也更有用：它告诉 $G$ 这些点作为整体有什么问题，而这也正是小批量判别的目的。
#
# 为了弄清每项措施的作用，我们每次去掉一项。各列的含义与第 8 节相同。此时 W1 已经分不出好坏，请看 KS。

# %%
without = {
    "每组 64 个点": {"pack": 1},
    "独立的 z": {"noise": "stratified"},
    "标准化的 x": {"standardize": False},
    "批次大小 256": {"batch_size": 64},
    "8 个单元": {"hidden_size": 4},
    "缩放权重": {"scale_weights": False},
    "D 中的 softplus": {"activation": "tanh"},
    "G 的学习率 0.1": {"g_learning_rate": 0.003},
    "beta_1 为 0.5": {"beta_1": 0.9},
    "衰减": {"decay": "none"},
}
kept = {"不去掉": scores["stable"][:3]}
print("  均值  标准差    W1     KS      接近      坍缩      发散  去掉的一项")
for name in list(without)[: notebook.budget(10, 1)]:
    kept[name] = over_seeds(replace(stable, **without[name]), notebook.budget(3, 1), name)
figures.remedies(kept)

# %% [markdown]
# 三个种子只能显示出大的影响，这里有两个：一次只看一个点，或者在 $D$ 中用 tanh 时，没有一个种子能达到其他设置的水平。（这些措施互相依赖。学习率和衰减是针对打包选取的，所以这并不说明逐点判断的 $D$ 一定学不成。）去掉其余各项，大多会损失精度，有的只在三个种子中的一个上显现；还有几项，三个种子看不出明显的差别。每一项的十个种子的结果见[模型卡](../../saved_models/gaussian_gan/README.md)。
#
# ## 进阶：KDE 似然，以及为什么要怀疑它
#
# 原文提到了当时常用的一种评价 GAN 的方法。在 $n$ 个生成点 $g_k$ 上各放一个宽度为 $h$ 的高斯分布，$h$ 称为**带宽**；这就是**核密度估计**（kernel density estimate，KDE），也叫 Parzen 窗。然后报告留出集中真实点的平均对数似然：
#
# $$\log \hat q(x) = \log \frac{1}{n} \sum_{k=1}^{n} \frac{1}{(2\pi h^2)^{d/2}}
# \exp\Big( -\frac{\|x - g_k\|^2}{2 h^2} \Big),$$
#
# 其中 $d$ 是维数。$h$ 本应在验证集上选取；这里只选一个数，而留出集有 1,000 个点，所以直接取留出集上最好的。我们用本任务的三个生成器来试：数据本身，任何生成器都不可能比它更好；软件包附带的训练好的 `stable` 模型；以及彻底的坍缩，即所有点都在 4 处。


# %%
def log_likelihood(x, points, h):  # 对 x [m, d] 取平均，单位为奈特；points [n, d]
    d = x.shape[1]
    squares = (x**2).sum(1)[:, None] + (points**2).sum(1) - 2 * x @ points.T
    logs = special.logsumexp(-squares / (2 * h**2), axis=1) - np.log(len(points))
    return np.mean(logs) - d / 2 * np.log(2 * np.pi * h**2)


held_out = rng.normal(4, 0.5, [1000, 1])
widths = np.geomspace(0.02, 1.5, notebook.budget(40, 5))
true_value = np.mean(stats.norm(4, 0.5).logpdf(held_out))
print(f"{true_value:.3f} 奈特：真实密度")
curves = {}
for name, points in {
    "数据本身": rng.normal(4, 0.5, [1000, 1]),
    "训练好的 G": np.float64(drawn[:1000, None]),
    "所有点都在 4": np.full([1000, 1], 4.0),
}.items():
    curves[name] = [log_likelihood(held_out, points, h) for h in widths]
    print(f"{max(curves[name]):.3f} 奈特，h 为 {widths[np.argmax(curves[name])]:.2f}：{name}")
figures.bandwidths(widths, curves, true_value)

# %% [markdown]
# 三者的次序取决于 $h$。在各自最好的 $h$ 下，彻底坍缩的生成器得分与真实密度只差 0.001，不低于训练好的模型，也不低于数据本身。原因很简单：放在 4 处、宽度为 0.5 的一个核，**就是**数据的密度。$G$ 所缺的宽度由核补上了。所以，这个指标恰恰看不到本笔记本所讨论的失败。
#
# 在直线上，三者至少都接近真值。现在换成 $d$ 维的 $\mathcal{N}(0, I)$，它真正的平均对数似然是 $-\tfrac{d}{2} \log(2 \pi e)$。KDE 的 $n$ 个点取自**真实**分布；我们在一组点上选取最好的 $h$，在另一组点上测量。

# %%
sizes = notebook.budget([100, 1_000, 10_000], [10, 100])
named = {}
for d in (1, 8, 64):
    choose, test = rng.normal(size=[2, 500, d])
    truth = np.mean(-(test**2).sum(1) / 2) - d / 2 * np.log(2 * np.pi)
    named[f"d = {d}"] = []
    for n in sizes:
        points = rng.normal(size=[n, d])
        h = max(np.geomspace(0.1, 1.2, 12), key=lambda h: log_likelihood(choose, points, h))
        named[f"d = {d}"].append(truth - log_likelihood(test, points, h))
    print(*(f"{gap:7.3f}" for gap in named[f"d = {d}"]), f" 比真值低多少奈特，d = {d}")
figures.gaps(sizes, named)

# %% [markdown]
# 各列对应 100、1,000 和 10,000 个点。在直线上，KDE 给出的值与真值只差百分之几奈特，这点差距是随机的。在 64 维，即使用 10,000 个点，估计值仍然低了许多奈特；点数增加到一百倍，弥补的还不到差距的三分之一。点与点之间的空隙，什么带宽也填不满。
#
# 再考虑一个只输出一个点（即中心）的“生成器”。取 $h = 1$，它的核就是真实密度，所以无论多少维都没有差距。它胜过真实数据的样本，而且维数越高，优势越大。
#
# 所以，在高维情形下，KDE 似然既不能近似真正的似然，也不能给生成器排出名次。Theis、van den Oord 与 Bethge（arXiv:1511.01844）在图像上说明了这一点：聚类中心的得分高于数据本身。原文也有同样的怀疑。
#
# ## 小结
#
# - $D$ 是一个分类器。给定 $G$ 时，最优的 $D$ 是 $p/(p + q)$；面对这样的 $D$，$G$ 最小化的是 Jensen-Shannon 散度。在解处，$D$ 的损失是 $\log 4 = 1.386$。
# - 实践中 $G$ 使用非饱和损失 $-\log D(G(z))$，它的梯度在 $D$ 占优时不会消失。
# - 如果 $D$ 逐点判断，$G$ 的点就没有理由彼此不同。$D$ 与 $G$ 各走一步，轮流进行，这些点就可能坍缩，而损失显示不出来。
# - 小批量判别让 $D$ 比较同批的点，使坍缩变得可见；但按原文的设置，几乎没有种子最后接近数据。
# - 一次 GAN 训练证明不了任何事情。应当比较许多种子，并使用 W1 或 KS 这样的指标，而不是损失。采用 `stable` 的改进措施（最要紧的是把点打包和在 $D$ 中用 softplus）之后，我们试过的种子全部到达了目标。
#
# ## 动手改一改
#
# 修改第 1 节的单元格，然后从 `SEED` 所在的单元格开始重新运行；与软件包比较的那个单元格要跳过，因为你的模型已经不同了。每项改动我们都用种子 0 到 9 试过。按原文的设置，这些种子的 W1 的中位数是 8.0。
#
# - **文末代码的设置**：把 `"tanh"` 改为 `"relu"`，两个优化器都改为 `keras.optimizers.Adam(0.001)`，更新 5,000 次。这时生成的点能找到数据：我们得到的 W1 中位数是 0.39，但十个种子中有五个坍缩。再用第 7 节的 `Minibatch()` 取代第三个隐藏层：一个种子坍缩，一个发散，W1 的中位数是 0.18。
# - **极小极大损失**：让 $G$ 最小化 `tf.reduce_mean(tf.math.log_sigmoid(-D(G(z_g))))`，其余设置与原文相同。你也许会以为 $G$ 将停止学习，但我们的结果并不比原来差：W1 的中位数是 5.3。只有在 $D$ 确信某个点是生成的时候，这种损失才会饱和；而 $D$ 的损失在 1 左右或更大（如第 5 节的表），说明它很少如此确信。
# - **去掉文末代码的下限**：你的代码没有下限，文末代码却有。在软件包的模型中也把它去掉：在第 8 节训练 `replace(config, log_floor=0.0)`。使用小批量判别时，三十个种子的 W1 中位数是 0.29，发散的占 13%；有下限时，模型卡中的数字是 2.15 和 30%。可见第 3 节图中的点线在实践中确实有影响。
#
# ## 参考文献
#
# - 《生成对抗网络介绍》译自 AYLIEN 的博文，代码在 <https://github.com/AYLIEN/gan-intro>；该博文参考了 Eric Jang 2016 年的博文：<http://blog.evjang.com/2016/06/generative-adversarial-nets-in.html>。
# - Goodfellow 等人，*Generative Adversarial Networks*，2014，arXiv:1406.2661。GAN 的第一篇论文：博弈、它的解，以及非饱和损失，全文只有九页。
# - Salimans 等人，*Improved Techniques for Training GANs*，2016，arXiv:1606.03498。小批量判别的出处，还介绍了早期的其他改进技巧。
# - Arjovsky 与 Bottou，*Towards Principled Methods for Training Generative Adversarial Networks*，2017，arXiv:1701.04862。两种损失的梯度为什么都会出问题，附有证明。
# - Lin 等人，*PacGAN: The power of two samples in generative adversarial networks*，2017，arXiv:1712.04086。打包，以及它为什么能抑制坍缩。
# - Theis、van den Oord 与 Bethge，*A note on the evaluation of generative models*，2015，arXiv:1511.01844。各种评价指标为什么互相矛盾，篇幅短，容易读。
# - 模型文件 [tf_gen/models/gaussian_gan.py](../../tf_gen/models/gaussian_gan.py)，开头列出了与原文的全部不同；任务文件 [tf_gen/tasks/gaussian.py](../../tf_gen/tasks/gaussian.py)，包含数据和各个指标；以及[模型卡](../../saved_models/gaussian_gan/README.md)，包含许多种子的结果和部署方法。
# - 笔记本 [3](03_tiny_gan.ipynb) 解决类似的任务，但那里的 $D$ 把整个批次当作一个向量来看。
#
# ## 练习
#
# **1.** 假设每个批次中生成点的个数是真实点的两倍，$D$ 的损失是对所有点取平均。最优的 $D$ 是什么？请推导出来，并用第 2 节的密度，把它与另外几个 $D$ 作比较。

# %% tags=["answer"]
# 在每个 x 处，p log y + 2 q log(1 - y) 的最大值在 y = p / (p + 2 q) 处。
for weight in (1.0, 1.5, 2.0, 2.5):
    d = p / (p + weight * q)
    total = np.sum(p * np.log(d) + 2 * q * np.log1p(-d)) * dx
    print(f"p / (p + {weight} q): {total:.5f}")
print("p / (p + 2 q) 的值最大。q = p 时，这个 D 输出 1/3，而不是 1/2。")

# %% [markdown]
# **2.** 原文在 float32 中由概率计算 $\log(1 - D)$。logit 从多大开始，结果变成无穷？`log_probability` 在那里给出什么？

# %% tags=["answer"]
for logit in (10.0, 16.0, 17.0, 100.0):
    naive = tf.math.log(1 - tf.sigmoid(tf.constant(logit)))
    exact = gaussian_gan.log_probability(-logit, 0.0)
    print(f"logit {logit:5}：直接计算 {naive:9.4f}，log_probability {exact:9.4f}")
print("超过 16.6 之后，D 舍入为 1，直接计算得到负无穷；log_probability 约为 -logit。")

# %% [markdown]
# **3.** 第 7 节的 `judge` 是用 12 个点的批次训练的。请让它判断 3、6、12、24、48 个点的批次：从数据中抽取的点，以及 4 处宽度为 0.05 的一簇点。会发生什么？为什么？

# %% tags=["answer"]
for n in (3, 6, 12, 24, 48):
    draws, crowds = (
        np.mean([tf.sigmoid(judge(np.float32(rng.normal(4, width, [n, 1])))) for _ in range(100)])
        for width in (0.5, 0.05)
    )
    print(f"{n:2} 个点：D = {draws:.3f}（数据中的点），{crowds:.3f}（一簇点）")
print("这些和随批次增大，而 D 的权重是针对 12 个点的和学出来的。")

# %% [markdown]
# **4.** 原文建议提前停止。在第 5 节的三次训练中，W1 分别在哪一次更新时最小？最小值是多少？当时的两个损失是多少？能否凭损失决定何时停止？

# %% tags=["answer"]
for seed, run in runs.items():
    best_row = min(run["rows"], key=lambda row: row["w1"])
    for name, row in (("最好", best_row), ("结束", run["rows"][-1])):
        text = "更新 {step:5}  W1 {w1:.2f}  D 的损失 {loss_d:.3f}  G 的损失 {loss_g:.3f}"
        print(text.format(**row), f" 种子 {seed}，{name}")
print("不能：好的时刻与坍缩时，损失可能几乎相同。")

# %% [markdown]
# **5.** 把训练好的 $G$ 画成 $z$ 的函数，并与第 4 节的分位数函数画在一起；再把它的输出排序后画出来。这能解释直方图的哪些特点？

# %% tags=["answer"]
# 这个 G 处处递增，所以排序不改变任何东西，它与分位数函数吻合。在两端，分位数函数趋于无穷，而 G 是
# 有限的：直方图的尾部被截断。（D 只看到有哪些 x，看不到它们来自哪些 z。G 也可以递减或转折，只要排序后的值
# 与分位数函数吻合。）
z = np.linspace(-8, 8, 502, dtype=np.float32)[1:-1, None]
figures.quantiles(z[:, 0], box.signatures["decode"](z=tf.constant(z))["x"].numpy()[:, 0])
