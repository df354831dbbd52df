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
# # 4. 对抗学习推断：带编码器的 GAN
#
# GAN 把噪声变成图像，却不能反过来：给定一张图像，GAN 里没有哪个部分能求出生成它的噪声。对抗学习推断（adversarially learned inference，ALI）同时学习两个方向。它增加一个编码器，用来求出这个噪声，即图像的**编码**；判别器判断的则是图像和编码组成的数据对。
#
# 本笔记本依据的文章是《ALI的Tensorflow炼成与GAN科普》。两篇论文各自独立地提出了这个想法：Dumoulin 等人称之为 ALI（arXiv:1606.00704），Donahue 等人称之为 BiGAN（arXiv:1605.09782）。你将亲手写出原文的模型，推导为什么判别数据对能使编码器与解码器互为逆映射，看到它在实践中为什么常常失败，并试用一个训练成功的模型。
#
# **需要** Python、一点 Keras，以及概率论的基础知识：联合分布与条件分布。[笔记本 2](02_gaussian_gan.ipynb) 详细讲解 GAN，下面第 2 节有简短的回顾。不需要 GPU，也不用下载数据，手写数字由随之安装的一个软件包提供。如果还没有安装 tf_gen，第一个代码单元格会自动安装。
#
# **时间**：在双核 CPU 上约 3 分钟。初次阅读时，标题以**进阶**开头的小节可以跳过。

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

notebook.use_chinese()

# %% [markdown]
# 软件包里有一个训练好的 ALI。先看看它能做什么：

# %%
source = mnist.load("bundled")  # MNIST 的 5,000 个数字：4,500 个用于训练，500 个留出
images, held_out = np.float32(source.images) / 255, np.float32(source.held_out_images) / 255
labels, held_out_labels = source.labels, source.held_out_labels
few = mnist.evenly(held_out, 20)[::2]  # 每个数字一张

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
rows = [("样本", part) for part in np.split(samples, 3)]
plots.rows([*rows, ("真实图像 x", few), ("P(Q(x))", trained.decode(trained.encode(few)))])

# %% [markdown]
# 前三行是样本，由解码器 $P$ 根据随机的编码生成，每个编码是 20 个数。多数样本能看出是哪个数字，少数看不出。第四行是真实图像，编码器 $Q$ 求出它们的编码，$P$ 再由这些编码生成最后一行的图像。这些图像与原图几乎相同，只是 5 有些模糊，笔画末端断开了。
#
# **数据。** `mnist.load` 返回 4,500 个用于训练的数字和 500 个留出的数字。你在本笔记本里训练的模型从未见过留出集。训练好的模型不同：它用 MNIST 的全部 60,000 张训练图像训练，这里的 5,000 个数字都在其中。所以本笔记本无法说明它在新图像上的表现；它在 10,000 张测试图像上的各项指标见[模型卡](../../saved_models/ali/README.md)。

# %% [markdown]
# ## 1. 从头构建原文的模型
#
# ALI 有三个网络。
#
# - **编码器** $Q$ 由图像推断编码：$z = Q(x)$。
# - **解码器** $P$ 由编码生成图像：$x = P(z)$。在 GAN 里它叫作生成器。
# - **判别器** $D$ 同时看图像和编码，给出这一对数据出自编码器的概率。
#
# 数据对有两种。$(x, Q(x))$ 是真实图像和推断出的编码，$(P(z), z)$ 是从先验抽取的编码和由它生成的图像。$D$ 学习分辨这两种数据对，$Q$ 和 $P$ 一起学习，使 $D$ 分辨不出。（下图中的联合分布在第 3 节讲解。）

# %%
notebook.diagram("ali_joints", "zh-CN")

# %% [markdown]
# 在原文中，每个网络有一个隐藏层，含 128 个 relu 单元；编码是 64 个数，先验在每一维上都是 $(-1, 1)$ 上的均匀分布。下面是这三个网络。下面两个代码单元格里的内容都可以修改。

# %%
pixels, hidden, latent = 28 * 28, 128, 64


def network(inputs, outputs):
    """一个隐藏层。初始权重矩阵的方差是 2 / 输入个数。"""
    normal = keras.initializers.VarianceScaling(2, "fan_in", "untruncated_normal")
    first = keras.layers.Dense(hidden, "relu", kernel_initializer=normal)
    second = keras.layers.Dense(outputs, kernel_initializer=normal.clone())
    return keras.Sequential([keras.Input([inputs]), first, second])


keras.utils.set_random_seed(0)
Q = network(pixels, latent)  # 图像到编码
P = network(latent, pixels)  # 编码到图像的 logit，之后再用 sigmoid
D = network(pixels + latent, 1)  # 数据对到概率的 logit
d_optimizer = keras.optimizers.Adam(0.001, epsilon=1e-8)
d_optimizer.build(D.trainable_variables)
qp_optimizer = keras.optimizers.Adam(0.001, epsilon=1e-8)
qp_optimizer.build(Q.trainable_variables + P.trainable_variables)
print(f"{sum(network.count_params() for network in (Q, P, D)):,} 个参数")

# %% [markdown]
# 记 $D_\mathrm{enc} = D(x, Q(x))$，$D_\mathrm{gen} = D(P(z), z)$。损失是
#
# $$L_D = -\,\mathrm{mean}\,[\log D_\mathrm{enc} + \log(1 - D_\mathrm{gen})], \qquad
#   L_{QP} = -\,\mathrm{mean}\,[\log D_\mathrm{gen} + \log(1 - D_\mathrm{enc})].$$
#
# 把 $L_D$ 中的两种数据对互换，就得到 $L_{QP}$，上图和软件包称之为 `loss_g`。原文在取每个对数之前先加上 $10^{-8}$，使对数保持有限。一次迭代分两步，用的是同样的图像和编码：先训练 $D$，再训练 $Q$ 和 $P$，梯度经过更新后的 $D$ 传回。


# %%
def loss(ones, zeros):
    """D 的损失，对前一种数据对应答 1，对后一种应答 0；参数是 logit。"""
    says_one = tf.math.log(tf.sigmoid(ones) + 1e-8)
    says_zero = tf.math.log(tf.sigmoid(-zeros) + 1e-8)
    return -tf.reduce_mean(says_one + says_zero)


def tell_apart(x, z):
    """D 对数据对 (x, Q(x)) 和 (P(z), z) 给出的 logit。"""
    enc = D(tf.concat([x, Q(x)], axis=1))
    gen = D(tf.concat([tf.sigmoid(P(z)), z], axis=1))
    return enc, gen


@tf.function(jit_compile=True)
def update(x, z):
    """用图像 x [batch, 784] 和编码 z [batch, 64] 迭代一次，返回两个损失。"""
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
# `loss` 的参数是 logit：logit $l$ 表示概率 $\sigma(l)$，其中 $\sigma$ 是 sigmoid 函数。$1 - \sigma(l)$ 用 $\sigma(-l)$ 计算。原文的写法 `1 - D + 1e-8` 如今会出错：TensorFlow 在计算图里把它改写成 `(1 + 1e-8) - D`，而在 float32 中 1 + 1e-8 就是 1。几百次迭代之后，对数变成 −inf，权重变成 NaN。[笔记本 0](00_from_tensorflow_1.ipynb) 演示了这个问题。
#
# 我们的模型与软件包里的模型相同吗？把软件包模型的初始权重复制到我们的网络里，再让两个模型使用同样的批次。一个批次既包含图像，也包含编码，因此没有其他随机性。

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
        print(number + 1, "我们的：", np.round(ours, 6), "软件包的：", np.round(expected, 6))

# %% [markdown]
# 权重相同时，两者的损失至少有五位有效数字一致。之后的更新允许 0.1% 的误差，而上面打印的损失之差要小得多。微小的差别依然存在，因为两个程序的舍入方式不同，而每次更新都以上一次的结果为基础。
#
# 现在继续训练你的模型。`notebook.budget(4000, 20)` 的值是 4,000；项目的测试会运行所有笔记本，只有那时才取较小的数。

# %%
random = np.random.default_rng(0)
for _ in range(notebook.budget(4000, 20)):
    x = images[random.integers(len(images), size=32)].reshape(32, pixels)
    z = random.uniform(-1, 1, [32, latent]).astype("float32")
    loss_d, loss_qp = update(x, z)
print(f"D 的损失 {loss_d:.3f}，Q 和 P 的损失 {loss_qp:.1f}")

own = SimpleNamespace(
    encode=lambda x: Q(tf.reshape(x, [-1, pixels])),
    decode=lambda z: tf.reshape(tf.sigmoid(P(z)), [-1, 28, 28]),
)
rows = [("样本", own.decode(z[:10])), ("真实图像 x", few)]
plots.rows([*rows, ("P(Q(x))", own.decode(own.encode(few)))])

# %% [markdown]
# 样本是带颗粒的斑点，几乎看不出是数字。重构几乎全都一样，看不出原图的任何信息。$D$ 赢了：它的损失远低于 $2 \log 2 = 1.386$，即只能随机猜测的 $D$ 的损失。后文将解释本来应该怎样，为什么这里没有做到，以及怎样改进。从这里开始，我们使用软件包里的模型。它与你的模型相同，只是把几百次更新编译成一个程序运行。

# %% [markdown]
# ## 2. 从 GAN 到 ALI
#
# **博弈。** 在 GAN 中，生成器 $P$ 把取自先验 $p(z)$ 的噪声 $z$ 变成图像 $P(z)$，判别器 $D$ 给出一张图像是真实图像的概率。$D$ 学习作出正确的判断，$P$ 学习使 $D$ 判断错误。记真实图像的密度为 $q(x)$，两者的博弈是
#
# $$\min_P \max_D\; \mathbb{E}_{q(x)}[\log D(x)] + \mathbb{E}_{p(z)}[\log(1 - D(P(z)))].$$
#
# 记生成图像的密度为 $p(x)$，则 $D$ 要最大化
#
# $$\mathbb{E}_{q(x)} \log D(x) + \mathbb{E}_{p(x)} \log (1 - D(x))
#   = \int q(x) \log D(x) + p(x) \log (1 - D(x))\, dx.$$
#
# 可以对每个 $x$ 分别最大化被积函数。它对 $D(x)$ 的导数是 $q(x)/D(x) - p(x)/(1 - D(x))$，令其为 0，得
#
# $$D^*(x) = \frac{q(x)}{q(x) + p(x)}.$$
#
# 如果生成器完美，即 $p = q$，那么 $D^*$ 处处等于 1/2。原文也这样说，还说这个解是唯一的。唯一的是分布 $p(x)$，而不是函数 $P$：如果先验是对称的，那么 $P(-z)$ 与 $P(z)$ 以同样的概率生成同样的图像。所以，GAN 的博弈没有规定哪个 $z$ 对应哪张图像。
#
# **不需要马尔可夫链。** 生成一张图像只需计算一次 $P$。更早的含隐变量的生成模型，例如玻尔兹曼机，要运行许多步的马尔可夫链，训练时也是如此。GAN 的训练也不需要近似推断，因为 $D$ 只判断图像是否真实，不问它来自哪个 $z$。
#
# **缺少什么。** 也正因为如此，GAN 没有**推断**（inference），即没有从 $x$ 到 $z$ 的途径。没有推断，就不能通过编码比较两张图像，不能通过编码修改图像，也不能把编码用作其他任务的特征。原文把 ALI 与下列模型作比较：
#
# | | 生成一张图像 | 编码 $z$ | 从 $x$ 到 $z$ | 学习的依据 |
# |---|---|---|---|---|
# | 自回归模型 | 每个像素计算一次 | 无 | 不能 | 逐个像素的似然 |
# | VAE（[笔记本 1](01_vae.ipynb)） | 计算一次 | 有 | 只能近似 | 似然的下界 |
# | GAN（[笔记本 2](02_gaussian_gan.ipynb)） | 计算一次 | 有 | 不能 | 判别图像的 $D$ |
# | ALI | 计算一次 | 有 | 能 | 判别数据对的 $D$ |
#
# **ALI 的博弈**形式相同。$D$ 看的是数据对，编码器 $Q$ 加入生成器一方：
#
# $$\min_{Q, P} \max_D\; \mathbb{E}_{q(x)}[\log D(x, Q(x))]
#   + \mathbb{E}_{p(z)}[\log(1 - D(P(z), z))].$$
#
# 第 1 节的 $L_D$ 就是这个值的相反数，其中期望换成了批次上的平均。$L_{QP}$ 则不同：按照公式，$Q$ 和 $P$ 应当最小化 $-L_D$；但是当 $D$ 很有把握时，$\log(1 - D_\mathrm{gen})$ 很平坦，$P$ 几乎得不到梯度，而 $\log D_\mathrm{gen}$ 很陡。因此，ALI 采用 GAN 的常见做法，互换两种数据对的角色。在 $D$ 等于 1/2 的地方，两种损失的梯度一致。

# %% [markdown]
# ## 3. 两个联合分布
#
# 得到一对图像和编码，有两种途径：
#
# $$q(x, z) = q(x)\, q(z \mid x), \qquad p(x, z) = p(z)\, p(x \mid z).$$
#
# 编码器从真实图像出发，推断它的编码；解码器从先验中的编码出发，生成图像。$q(x)$ 由数据给定，$p(z)$ 由我们选定，要学习的是两个条件分布。在第 2 节的论证中用 $(x, z)$ 代替 $x$，就得到最优的判别器：
#
# $$D^*(x, z) = \frac{q(x, z)}{q(x, z) + p(x, z)}.$$
#
# 把它代入 $D$ 的损失。令 $m = (q + p)/2$，则 $D^* = q / 2m$，$1 - D^* = p / 2m$，于是
#
# $$\begin{aligned}
#   -\mathbb{E}_q \log D^* - \mathbb{E}_p \log(1 - D^*)
#   &= 2 \log 2 - \mathrm{KL}(q \,\|\, m) - \mathrm{KL}(p \,\|\, m) \\
#   &= 2 \log 2 - 2\,\mathrm{JS}(q, p).
#   \end{aligned}$$
#
# 其中 $\mathrm{KL}(q \,\|\, m) = \mathbb{E}_q \log (q/m)$ 是 KL 散度（见[笔记本 1](01_vae.ipynb)），$\mathrm{JS}(q, p)$ 是 Jensen-Shannon 散度，即这两个 KL 散度的平均。当且仅当 $q(x, z) = p(x, z)$ 时它等于 0。这时，由联合分布得出的一切也都一致：
#
# - $x$ 的边缘分布：$p(x) = \int p(x, z)\, dz = \int q(x, z)\, dz = q(x)$，即生成图像与真实图像同分布。GAN 只要求这一条；
# - $z$ 的边缘分布：真实图像的编码服从先验分布；
# - 条件分布：$q(z \mid x) = p(z \mid x)$，即编码器就是解码器的后验，而这个后验并不需要计算。
#
# 为什么要让 $D$ 看数据对？用三张图像和三个编码就能看清。每个联合分布是一张表，含九个概率；所有的边缘概率都是 1/3。

# %%
diagonal = np.eye(3) / 3  # 行是 x，列是 z：图像 0 的编码是 0，依此类推
shifted = np.roll(diagonal, 1, axis=0)  # 编码 0 生成图像 1，编码 1 生成图像 2，编码 2 生成图像 0
independent = np.full([3, 3], 1 / 9)  # 任何图像都可以有任何编码
games = {
    "Q 对角，P 移位": (diagonal, shifted),
    "Q 对角，P 一半移位": (diagonal, (diagonal + shifted) / 2),
    "两者都对角": (diagonal, diagonal),
    "两者都独立": (independent, independent),
}


def best_d(q, p):
    """q / (q + p)；双方都不产生的数据对取 1/2。"""
    return np.divide(q, q + p, out=np.full([3, 3], 0.5), where=q + p > 0)


print("JS：图像  编码  数据对  D* 的损失   P(Q(x)) = x")
for name, (q, p) in games.items():
    kinds = (q.sum(1), p.sum(1)), (q.sum(0), p.sum(0)), (q.ravel(), p.ravel())
    js = [distance.jensenshannon(*kind) ** 2 for kind in kinds]  # SciPy 给出的是平方根
    d = best_d(q, p)
    loss_of_d = abs(np.sum(special.xlogy(q, d) + special.xlogy(p, 1 - d)))
    back = (q * p / p.sum(axis=0)).sum()  # q(x, z) p(x | z) 对 x 和 z 求和
    print("    {:6.3f} {:6.3f} {:6.3f}".format(*js), f"{loss_of_d:12.3f} {back:13.2f}   {name}")
q, p = games["Q 对角，P 一半移位"]
figures.joints(q, p, best_d(q, p))

# %% [markdown]
# 表的第一行中，编码器给图像 0 的编码是 0，而解码器由编码 0 生成图像 1。但是两个边缘分布都匹配：前两列是 0。只看图像的判别器发现不了这个错误，只看编码的也发现不了。看数据对的 $D$ 却能始终判断正确：JS 取最大值 $\log 2 = 0.693$，损失为 0。图中画的是第二行，$Q$ 与 $P$ 在一半的情况下一致。对于双方都会产生的数据对，$D^*$ 是 2/3；对于只有解码器才会产生的数据对，$D^*$ 是 0；从不出现的数据对，我们约定取 1/2。
#
# 最后两行既说明了 ALI 的潜力，也说明了它的弱点。两种情形下联合分布都匹配，$D^*$ 为 1/2，损失为 $2 \log 2 = 1.386$。第三行中，每张图像都还原为自身。第四行中，$P(Q(x)) = x$ 只是碰巧成立，概率为三分之一。**博弈使两个联合分布相等，却不决定它们等于哪一个分布。** 图像与编码的任何一种配对方式（称为**耦合**），只要双方一致就是最优解，哪怕它毫无用处。这一点是 ALICE 论文（Li 等人，arXiv:1709.01215）指出的。
#
# ### 确定性的 Q 和 P
#
# 在 ALI 论文中，$Q$ 给出高斯分布的均值和标准差，再从中抽取 $z$。在原文和 BiGAN 中，$Q$ 和 $P$ 是普通的函数，这就排除了第四行，因为每张图像只有一个编码。BiGAN 论文的论证如下。假设 $D$ 被完全骗过，即两个联合分布相同。
#
# 1. 每个数据对 $(x, Q(x))$ 都在集合 $\{(x, z): z = Q(x)\}$ 中，所以这个集合在 $q(x, z)$ 下的概率是 1。
# 2. 两个联合分布相同，所以这个集合在 $p(x, z)$ 下的概率也是 1。$p(x, z)$ 的数据对是 $(P(z), z)$，因此对几乎所有的 $z$，有 $z = Q(P(z))$。
# 3. 同理，集合 $\{(x, z): x = P(z)\}$ 在两者之下的概率都是 1，因此对几乎所有的真实图像 $x$，有 $x = P(Q(x))$。
#
# 可见，只有当 $Q$ 是 $P$ 的逆映射时，$D$ 才会被完全骗过。损失并没有要求重构，重构却自然得到了。但这一结论有两点局限。第一，确定性网络的数据对没有密度，每一种都落在数据对空间中的一张薄曲面上。（$D^*$ 和 JS 仍然存在，BiGAN 论文用测度来处理。）两张曲面不重合时，足够强的 $D$ 几乎总能判断正确，第 6 节就是这种情形。第二，能完全骗过 $D$ 的 $Q$ 和 $P$ 未必存在。
#
# 在实践中，重构往往很差，表的第四行说明了原因。变化剧烈的函数可以把相似图像的编码打散到先验的整个取值范围。对于规模和光滑程度都有限的 $D$，图像与编码看起来就是独立的。这时 $D$ 几乎已被骗过，尽管 $P(Q(x))$ 与 $x$ 不是同一个数字。经过 $D$ 传回的梯度，几乎不含单个 $x$ 的信息。ALICE 直接要求重构：或者再用一个判别器，或者像这里一样，在 $Q$ 和 $P$ 的损失中加上 $\lVert x - P(Q(x)) \rVert^2$。这个**循环项**（cycle term）排除了坏的耦合，好的耦合仍是最优解。在 tf_gen 中，设置 `cycle` 是它的权重。原文没有这一项，因此 `cycle` 为 0。

# %% [markdown]
# ## 4. 训练好的 D 对数据对了解多少
#
# 下图是 $D$ 看到的数据：左边是数据对 $(x, Q(x))$，右边是数据对 $(P(z), z)$。每张图像下面是它的编码，20 个数排成两行，从蓝色（−1）到红色（1）。再下面是 $D$ 的回答，即它认为这一对属于左边那一种的概率。

# %%
fresh = ali.build(ali.PRESETS["stable"])  # 训练好的模型在训练之前的网络
z_prior = tf.random.stateless_uniform([len(held_out), 20], [1, 2], -1, 1).numpy()
five, z, parts = mnist.evenly(held_out, 5), z_prior[:5], []
for name, model in {"训练之前": fresh, "训练之后": trained}.items():
    x, codes = np.concatenate([five, model.decode(z)]), np.concatenate([model.encode(five), z])
    parts.append((name, x, codes, model.discriminate(x, codes).numpy()))
figures.pairs(parts)

# %% [markdown]
# 训练之前，$P$ 生成的是噪声，$D$ 对左右两边的回答差不多。训练之后，$P$ 生成的是数字，只是有的不够清楚；两种编码都散布在先验的取值范围内。这十对数据 $D$ 判断对了九对；生成的第一对是一个清楚的 6，$D$ 把它当成了真实图像和它的编码。
#
# $D$ 看的是图像与编码的**搭配**，还是分别判断图像和编码？为了弄清这一点，我们给训练好的 $D$ 一些错误的数据对：真实图像配上另一张图像的编码。数字是按类别排列的，所以一张图像的下一张几乎总是同一个数字，隔开 250 张的则是另一个数字。

# %%
z_enc, x_gen = trained.encode(held_out).numpy(), trained.decode(z_prior)
combinations = {
    "(x, Q(x))": (held_out, z_enc),
    "(x, Q(同一数字的另一个 x))": (held_out, np.roll(z_enc, 1, axis=0)),
    "(x, Q(其他数字的 x))": (held_out, np.roll(z_enc, 250, axis=0)),
    "(x, 先验的 z)": (held_out, z_prior),
    "(P(z), z)": (x_gen, z_prior),
}
print("   D 的平均回答   5% 到 95%      500 个数据对")
for name, (x, z) in combinations.items():
    answers = trained.discriminate(x, z).numpy()
    low, high = np.quantile(answers, [0.05, 0.95])
    print(f"{answers.mean():15.2f}   {low:.2f} 到 {high:.2f}   {name}")

# %% [markdown]
# $D$ 看的是搭配。真实图像配上自己的编码，平均回答是 0.67。配上同一数字的另一张图像的编码，平均是 0.28；配上其他数字的编码，平均是 0.14；尽管图像和编码单独来看都没有问题。可见 $D$ 学会了哪个编码属于哪张图像。
#
# 按照理论，$D$ 最终对每一对数据都回答 1/2。这个 $D$ 仍然能分辨两种数据对：它对生成的数据对，平均回答是 0.41。0.67 略微夸大了它的优势，因为 $D$ 用这些图像训练过。在它没有见过的测试图像上，它对 $(x, Q(x))$ 的平均回答是 0.65（见[模型卡](../../saved_models/ali/README.md#limits)）。

# %% [markdown]
# ## 5. 软件包中的一次迭代
#
# 把软件包的迭代与你写的比较一下。

# %%
notebook.source(ali.ALI.update, ali.ALI.tell_apart, ali.ALI.infer_and_generate, ali.ALI.penalty)

# %% [markdown]
# 同样是两步。区别在于，`infer_and_generate` 只运行 $Q$ 和 $P$ 一次。`g_tape` 记录求它们的梯度所需的内容，然后暂停。$D$ 用 `d_tape` 学习，在这一步中，生成的图像和编码是常量。然后 `g_tape` 继续记录：由更新后的 $D$ 判断同样的数据对，梯度经过 $D$ 传回 $Q$ 和 $P$，优化器只更新 $Q$ 和 $P$ 的变量。在原文的模型中，`cycle_loss` 和 `penalty` 都是 0；设置 `shift` 也是 0，所以 $D$ 看到的图像没有平移。这三项在“预设 `stable` 的改进”一节说明。
#
# 每一步改变哪些网络？可以验证一下。学习率为 0 的优化器什么也不会改变，所以我们每次关掉两个优化器中的一个。


# %%
def weights(model):
    """每个网络的全部权重，合为一个向量。"""
    networks = {"Q": model.encoder, "P": model.decoder, "D": model.discriminator}
    return {k: np.concatenate([w.ravel() for w in n.get_weights()]) for k, n in networks.items()}


def changes(old, new):
    return ", ".join(f"{name} {np.abs(new[name] - old[name]).max():.1e}" for name in old)


for step, rates in {"训练 D 的一步": (0.001, 0.0), "训练 Q 和 P 的一步": (0.0, 0.001)}.items():
    model = ali.build(ali.PRESETS["article"])
    model.compile(*(keras.optimizers.Adam(rate) for rate in rates))  # 前者用于 D，后者用于 Q 和 P
    start = weights(model)
    model.update(batch)
    print(f"权重的最大变化：{changes(start, weights(model))}（{step}）")

# %% [markdown]
# 原文的最后是一张计算图，文中称为 running graph。下面是 TensorFlow 为这次更新构建的计算图。运算按网络和损失分组，每个方框标有其中运算的个数。

# %%
notebook.diagram("running_graph_ali", "zh-CN")

# %% [markdown]
# ## 6. 训练原文的模型
#
# 原文迭代 100,000 次，每次用 32 张图像，并建议使用 GPU。我们用 4,500 张图像，迭代 8,000 次。`train` 每调用一次编译好的程序，就完成 200 次更新。每次调用之后，`record` 记录训练集和留出集上的损失、$D$ 对留出集数据对的平均回答，以及 16 个样本。

# %%
each, calls = notebook.budget(200, 1), notebook.budget(40, 2)  # 每次调用的更新次数，以及调用次数


def train(config, calls, change=lambda model: None, record=lambda model, losses: None):
    """构建模型，由 `change` 修改，再训练 `calls` 次调用。"""
    model = ali.build(config)
    change(model)
    model.run_eagerly = each < 10  # 更新次数很少时不值得编译
    callback = keras.callbacks.LambdaCallback(on_epoch_end=lambda _, losses: record(model, losses))
    batches = ali.batches(config, source).batch(each)
    options = {"shuffle": False, "verbose": 0, "callbacks": [callback]}
    model.fit(batches, steps_per_epoch=1, epochs=calls, **options)
    return model


config = dataclasses.replace(ali.PRESETS["article"], steps=each * calls)
report = ali.Report(config, source)  # 负责测量和生成图像
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
# 动画展示整个训练过程，那一排图是其中的四个阶段。样本从噪声变成带颗粒的斑点，再变成数字的局部，颗粒感与原文的图相似。从曲线可以看出，赢的是 $D$：它的平均回答接近 1 和 0，损失接近 0，而 $Q$ 和 $P$ 的损失最后超过 $2 \log 2$ 的十倍。（损失的单位是奈特，即自然对数的单位。）虚线是留出集上的损失，与训练的曲线相近。可见 $D$ 不只是记住了训练图像，新的数据对它也能分辨。
#
# $Q$ 的情况如何？来看它的隐藏层，共有 128 个 relu 单元。如果一个单元对每张图像都输出 0，它就不传递任何信息，也没有梯度能经过它传回去。这样的单元已经“死亡”。

# %%
for name, model in {"训练之前": untrained, "训练之后": article}.items():
    dead = np.max(model.encoder.features(held_out), axis=0) == 0
    print(f"{dead.mean():4.0%} 的 Q 的单元对全部留出集图像都是 0（{name}）")

# %% [markdown]
# 几乎所有的单元都死亡了，编码只能通过剩下的少数几个单元依赖于图像。减小 `calls` 再训练，可以看出单元死亡得有多早；修改 `config` 中的 `seed` 再训练，可以看出换一个随机种子能否避免。
#
# 这对重构有什么影响？要比较模型，需要一个指标。只看平均距离 $\lVert x - P(Q(x)) \rVert$ 会产生误导，因为一团模糊的灰色离任何图像都不远。我们像 BiGAN 作者的代码那样，用它除以同样这些重构与**其他**图像的平均距离。完美的模型得 0；如果从重构看不出原图的任何信息，就得 1。


# %%
def relative_error(model):
    """留出集图像到其重构的平均距离，以其他图像到这些重构的平均距离为单位。"""
    drawn = model.decode(model.encode(held_out)).numpy()
    others = np.random.default_rng(0).permutation(held_out)
    ours, theirs = (np.linalg.norm(x - drawn, axis=(1, 2)).mean() for x in (held_out, others))
    return ours / theirs


rows = [("真实图像 x", few)]
for name, model in {"原文": article, "训练好的模型": trained}.items():
    print(f"重构的相对误差：{relative_error(model):.2f}（{name}）")
    rows.append((name, model.decode(model.encode(few))))
plots.rows(rows)

# %% [markdown]
# 无论是哪个数字，原文模型的重构都相同，或者几乎相同。它的误差是 1。它已经开始学会生成，但编码器毫无用处。用更多的图像训练更久，情况会好一些：用完整的 MNIST 完成 100,000 次迭代之后，大约三分之一的重构是正确的数字，五个随机种子从 13% 到 63% 不等（见[模型卡](../../saved_models/ali/README.md)）。训练好的模型则达到 96.5%。上面的误差 0.27 略微偏低，因为它用这些图像训练过；在测试图像上是 0.29。
#
# ### 故意弄坏：不让 D 看到编码
#
# $D$ 为什么要看编码？把编码藏起来就知道了。$D$ 只在 `tell_apart` 里看到数据对。我们把这个方法包装一层，使 $D$ 看到的编码全部为零，其余不变。


# %%
def hide_codes(model):
    tell_apart = model.tell_apart
    model.tell_apart = lambda x, z_enc, x_gen, z: tell_apart(x, 0 * z_enc, x_gen, 0 * z)


def sample_distance(drawn):
    """留出集图像到一些生成的或真实的图像中最近一张的平均距离。"""
    asked, known = (np.reshape(x, [len(x), -1]) for x in (held_out, drawn))
    return judge.nearest_distances(asked, known).mean()


blind = train(config, calls, hide_codes)
print("权重的最大变化：", changes(weights(untrained), weights(blind)))
print(f"重构的相对误差：{relative_error(blind):.2f}")
z = blind.prior(500, [0, 0])
for name, model in {"原文": article, "隐藏编码": blind}.items():
    print(f"到最近样本的距离：{sample_distance(model.decode(z)):.1f}（{name}）")
rows = [("样本", blind.decode(z[:10])), ("真实图像 x", few)]
plots.rows([*rows, ("P(Q(x))", blind.decode(blind.encode(few)))])

# %% [markdown]
# 编码器的权重完全没有变化。$Q$ 只能通过 $D$ 看到的编码学习。如果编码总是零，$Q$ 的梯度也是零。剩下的只是一个 GAN，外加一个随机的编码器，重构的误差是 1。样本像是数字的局部，与原文模型的样本一样。按到最近样本的距离看，它们并不更差：是 6.8，原文的模型是 7.6。
#
# 原文的模型误差也是 1，但它的编码器是学习过的，只是在学习中失去了几乎所有的单元。

# %% [markdown]
# ## 7. 使用训练好的模型
#
# **插值。** 取两张图像的编码，沿它们之间的直线移动，把途中的点解码。为了比较，每隔一行是两张图像像素的混合。

# %%
z = trained.encode(few).numpy()
rows = []
for a, b in ((3, 8), (1, 7), (4, 9), (0, 5)):
    rows.append((f"编码，{a} 到 {b}", trained.decode(np.linspace(z[a], z[b], 11))))
    rows.append(("像素", np.linspace(few[a], few[b], 11)))
plots.rows(rows)

# %% [markdown]
# 在像素的混合中，前一个数字淡出，后一个数字淡入，中间两者重叠在一起。在两个编码之间，笔画会弯曲、断开和闭合，许多图像就像手写的数字。从 0 到 5 的途中先经过 8，然后是一些不成数字的图像。
#
# **试用。** 在下面的页面里，你可以手写一个数字，看 $Q$ 和 $P$ 怎样处理它，也可以用滑块改变编码的 20 个数。权重包含在页面里，计算在你的浏览器中进行。（在禁用脚本的地方，例如 GitHub，框内是空白的，这时请运行 `python -m tf_gen.explore ali --open`。）

# %%
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, "explorer.html")
    explorer.write(directory, path, "ali", source)
    page = notebook.page(path)
page

# %% [markdown]
# **在自己的代码中使用。** 训练好的模型是一个 SavedModel，只需要 TensorFlow，不需要 tf_gen。本笔记本开头的函数 `call` 演示了怎样使用它的五个签名：
#
# | 签名 | 输入 | 输出 |
# |---|---|---|
# | `decode` | `z` [n, 20] | `images` [n, 28, 28] |
# | `sample` | `count` []，`seed` [2] | `z` [count, 20]，`images` [count, 28, 28] |
# | `encode` | `images` [n, 28, 28] | `z` [n, 20] |
# | `reconstruct` | `images` [n, 28, 28] | `images` [n, 28, 28] |
# | `discriminate` | `images` [n, 28, 28]，`z` [n, 20] | `probability` [n] |
#
# 在命令行中，不必写 Python 代码：
#
# ```sh
# python -m tf_gen.sample ali --digit 7 --out seven.png
# python -m tf_gen.sample ali --interpolate 3 8 --count 12 --out way.png
# python -m tf_gen.sample ali --count 100 --seed 1 --out samples.png
# python -m tf_gen.train ali --preset stable --data MNIST
# python -m tf_gen.evaluate ali --run runs/ali --data MNIST
# ```
#
# `--digit` 和 `--interpolate` 使用模型旁边的文件 `latent_map.json`，其中有每个数字的编码。`MNIST` 是存放四个原始文件的目录；不写 `--data` 时，tf_gen 会自己寻找手写数字。[模型卡](../../saved_models/ali/README.md)介绍 TensorFlow Serving、ONNX 和 LiteRT 的用法，并列出所有指标和相应的命令。模型的代码在 [tf_gen/models/ali.py](../../tf_gen/models/ali.py)，与 VAE 共用的部分在 [tf_gen/tasks/digits.py](../../tf_gen/tasks/digits.py)，各种评分在 [tf_gen/tasks/judge.py](../../tf_gen/tasks/judge.py)。

# %% [markdown]
# ## 进阶：对原文的更正
#
# 原文有四处说法有误，或者需要说明。
#
# - 原文说，自回归模型“要求学习之前数据的抽象表达”。这段话转述的是 ALI 论文的引言，而引言的说法正相反：自回归模型没有抽象表达。论文把这一点和采样慢一样看作缺点。
# - 原文说，GAN 生成的样本比最佳 VAE 的质量更高。这是 2016 年的判断，主要指清晰度。它不是定理，也没有考虑遗漏模式的问题。
# - 原文说，ALI 是生成网络和推断网络“两个 Model 来对怼”。其实它们站在同一边，$Q$ 和 $P$ 一起对抗 $D$。原文概括的“一个生成器，一个判别器共两个神经网络”说的是 GAN，而 ALI 有三个网络。
# - 原文的“深度定向 G Model”是指**有向**（directed）图模型，箭头由 $z$ 指向 $x$。
#
# 原文还讲解了 `tf.Variable`、`tf.placeholder` 和 `Session`，[笔记本 0](00_from_tensorflow_1.ipynb) 说明它们在 TensorFlow 2 中对应什么。

# %% [markdown]
# ## 进阶：平移的数字
#
# 数字不在通常的位置上，$Q$ 还认得吗？我们把留出集的数字向右平移 0 到 4 个像素，编码，再解码。（`np.roll` 把从右边移出的部分移到左边。）

# %%
rows = []
print(" 平移             均方误差   D(x, Q(x))")
for shift in range(5):
    x = np.roll(held_out, shift, axis=2)
    z = trained.encode(x)
    drawn = trained.decode(z)
    error, answer = np.mean((x - drawn) ** 2), np.mean(trained.discriminate(x, z))
    print(f"{shift:5} {error:20.3f} {answer:12.2f}")
    rows += [(f"平移 {shift}", x[25::50]), ("P(Q(x))", drawn[25::50])]
plots.rows(rows)

# %% [markdown]
# 平移一个像素影响很小。从两个像素起，有些数字断裂，有些变成了别的数字。MNIST 的数字是居中的，$Q$ 和 $P$ 没有用平移过的数字训练过。它们对每个像素各有权重，没有平移的概念。$D$ 能察觉较大的平移，因此它的回答可以用作警告：回答越低，编码越不可信。平移一个像素时，回答只略有下降，因为 $D$ 在训练中见过平移一个像素以内的图像（见“预设 `stable` 的改进”一节中的 `shift`）。

# %% [markdown]
# ## 进阶：1-NN 分数意味着什么
#
# 编码到底好不好？[笔记本 2](02_gaussian_gan.ipynb) 提到一种评价生成模型的办法：在下游任务上评估。这里就来做一次。任务是识别数字，图像的特征是编码器的输出，或者编码器隐藏层的输出。训练时不用任何标签。训练之后，在特征空间里为每个留出的数字找出 4,500 个训练数字中的**最近邻**，以最近邻的标签作为它的标签。1-NN 准确率就是标签正确的比例。随机猜测是 10%。BiGAN 论文报告，编码器的特征在 MNIST 上达到 97.39%。
#
# 在相信这样的分数之前，要先知道两件事：未经训练的特征能得多少分，以及这个分数有多精确。如果 $n$ 个标签中有 $k$ 个正确，比例 $\hat a = k/n$ 的标准误是 $\sqrt{\hat a (1 - \hat a) / n}$，在 90% 处、$n = 500$ 时是 1.3 个百分点。表中给出用 Wilson 公式计算的 95% 区间，这个公式在接近 100% 时也适用。

# %%
spaces = {
    "像素": lambda x: x.reshape(len(x), -1),
    "原文，Q 的隐藏层，未经训练": untrained.encoder.features,
    "原文，Q 的隐藏层": article.encoder.features,
    "原文，z，未经训练": untrained.encode,
    "原文，z": article.encode,
    "隐藏编码，z": blind.encode,
    "训练好的模型，z，未经训练": fresh.encode,
    "训练好的模型，z": trained.encode,
}


def nearest(features, chosen=slice(None)):
    """留出集上的 1-NN 准确率，训练数字只用 `chosen`。"""
    known, asked = np.asarray(features(images[chosen])), np.asarray(features(held_out))
    return judge.nearest_neighbour_accuracy(known, labels[chosen], asked, held_out_labels)


print("  1-NN 准确率   95% 区间          特征")
for name, features in spaces.items():
    right = round(nearest(features) * len(held_out))
    low, high = stats.binomtest(right, len(held_out)).proportion_ci(method="wilson")
    print(f"{right / len(held_out):13.1%}   {low:.1%} 到 {high:.1%}   {name}")

# %% [markdown]
# - 原始像素的分数最高。MNIST 很容易，一张图像和它在像素空间里的最近邻几乎总是同一个数字。
# - **未经训练的**编码器，隐藏层的分数几乎一样高。到高维空间的随机线性映射大致保持距离，relu 也不会破坏距离。未经训练的层对数字一无所知，只是传递像素中的信息；维数越低（128、64、20），分数越低。
# - 原文的编码器在训练之后处于随机猜测的水平。剩下的少数几个单元把所有图像映射到少数几个编码。隐藏编码时，编码器什么也没有学到，所以分数与未经训练的编码器完全相同，远远高于正常训练的编码器。
# - 训练好的模型，20 个数的编码比未经训练的同一网络分数高，两个区间没有重叠。它的分数远低于像素。
#
# 所以，97% 这个分数本身说明不了什么。重要的是它与基线的差距，并与区间的宽度相比。[模型卡](../../saved_models/ali/README.md)有完整 MNIST 上的分数，那里有 10,000 张测试图像，区间在 96% 附近约为 ±0.4 个百分点，在 87% 附近约为 ±0.7 个百分点。$Q$ 的最后一个隐藏层，训练后是 96.1%，未经训练也有 96.0%，像素是 96.9%。$z$ 训练后是 86.8%，未经训练是 74.0%。按这个分数，隐藏层什么也没有学到，编码提高了 13 个百分点，而两者都没有超过像素。因此，tf_gen 给出每个这样的分数时，都同时给出基线。手写数字的各个模型共用下面的方法来计算：

# %%
notebook.source(digits.Report.score)

# %% [markdown]
# ## 进阶：预设 `stable` 的改进
#
# 训练好的模型使用预设 `stable`。它保留原文的迭代，改变导致失败的因素。每项改进对应 `Config` 的一个字段。
#
# - `cycle`，0 → 0.1：循环项的权重。它要求 $P(Q(x)) = x$，因为联合分布相等并不能保证耦合有用（第 3 节；ALICE，arXiv:1709.01215）。
# - `q_cycle`，1 → 4：循环项对 $Q$ 的作用是对 $P$ 的四倍。否则，许多数字 $P$ 能够生成，$Q$ 却找不到它们的编码。
# - `bounded`：$Q$ 的最后是 tanh。否则只要 $z$ 在先验的立方体 $(-1, 1)^{20}$ 之外，不管图像如何，$D$ 都能认出这一对数据。
# - `batch_norm`：有了批归一化，$D$ 能同时看到同一种数据对的整个批次，因此能识破总是生成同一张图像的 $P$。$Q$ 和 $P$ 也使用批归一化。
# - `leak`，0 → 0.2，用于 $Q$ 和 $D$：$Q$ 和 $P$ 通过 $D$ 的梯度学习，而 $D$ 的单元为 0 时，relu 会切断梯度。而且，$Q$ 的单元不会像第 6 节那样死亡。
# - `latent_dim`，64 → 20：立方体中有些区域没有任何图像的编码，在那里 $P$ 从循环项学不到东西。维数越低，空白的区域越小。
# - `hidden_layers` 和 `z_layer`，1 → 2：$z$ 在第二层进入 $D$，与图像的特征拼接，而不是与 784 个像素拼接（BiGAN）。
# - `l2`，0 → 2.5e-5：使权重矩阵保持较小，包括 $D$ 的权重矩阵（BiGAN）。
# - `beta_1`，0.9 → 0.5：Adam 更快地忘记旧的梯度，它们来自其他网络的旧版本（Radford 等人，arXiv:1511.06434）。
# - `final_rate`，1 → 0.01：最后的学习率与最初的之比。几个网络会互相绕圈，步子变小，圈子就会缩小。
# - `d_rate`，1 → 0.5：$D$ 的学习率是 $Q$ 和 $P$ 的一半，以免它在长时间的训练中领先太多。
# - `shift`，0 → 1：$D$ 看到的图像，不论真实的还是生成的，都随机平移最多一个像素。否则 $D$ 会把训练图像背下来，能教给 $Q$ 和 $P$ 的也就少了（Zhao 等人，arXiv:2006.10738）。
# - `hidden_dim` 512、`batch_size` 64 和 `steps` 60,000：双核 CPU 在一刻钟内能够训练完的规模。
#
# 下面的代码说明这些设置怎样改变一个网络：

# %%
notebook.source(ali.Discriminator)

# %% [markdown]
# 只列出这些改进，并不能证明它们有效。所以我们训练一个小的 `stable`，更新 4,000 次，单元数和批次大小与原文相同，即 128 和 32；然后从三项改进中每次去掉一项。“样本”一列是留出集图像到 500 个样本中最近一个的平均距离，最后一行用 500 张真实图像代替样本。如果 $P$ 生成噪声，或者总是生成同一张图像，从这个数可以看出来；模糊却看不出来，因为模糊的数字离许多图像都很近。$D$ 被骗过时，它的损失是 1.39；$D$ 总是正确而且十分确定时，损失是 0。

# %%
calls_stable = notebook.budget(20, 1)
small = {"hidden_dim": 128, "batch_size": 32, "steps": each * calls_stable}
stable = dataclasses.replace(ali.PRESETS["stable"], **small)
without = {
    "小的 stable": {},
    "没有循环项": {"cycle": 0.0},
    "没有 tanh": {"bounded": False},
    "没有批归一化": {"batch_norm": False},
}
print("      相对误差   D 的损失      样本")
rows = [("真实图像 x", few)]
for name, change in without.items():
    log, changed = [], dataclasses.replace(stable, **change)
    model = train(changed, calls_stable, record=lambda _, losses, log=log: log.append(losses))
    drawn = model.decode(model.prior(500, [0, 0])).numpy()
    numbers = relative_error(model), log[-1]["loss_d"], sample_distance(drawn)
    print("{:14.2f} {:10.2f} {:9.1f}".format(*numbers), f"  {name}")
    rows += [(f"{name}：样本", drawn[:10]), ("P(Q(x))", model.decode(model.encode(few)))]
print(f"{sample_distance(mnist.evenly(images, 500)):35.1f}   真实图像")
plots.rows(rows)

# %% [markdown]
# 图中有每个模型的样本，样本下面一行是最上方十张图像的重构。
#
# - **小的 stable**：学会了重构，而原文的模型用了两倍的更新次数也没有学会。样本还很粗糙。
# - **没有循环项**：少数重构像原图，其余的像别的东西，所有图像都布满噪点。这只是在规模这样小、更新次数这样少时的结果。预设 `bigan` 也没有循环项，但它更大，训练的时间长得多，能生成很好的数字，只是有三分之一的重构变成了另一个数字（见[模型卡](../../saved_models/ali/README.md)）。
# - **没有 tanh**：重构和样本都与有 tanh 时差不多。风险在于 $Q$ 和 $P$ 学会用立方体之外的编码来复制图像，而先验从不产生这样的编码；这里没有出现这种情况。
# - **没有批归一化**：从损失看，$D$ 的领先更大。样本看起来更清晰，留出集图像离它们却更远。
#
# 一个随机种子、4,000 次更新说明不了多少。[模型卡](../../saved_models/ali/README.md#over-seeds)列出了完整 MNIST 上的结果：每次去掉一项改进，各用三个随机种子，更新 15,000 次。没有循环项，只有 72% 的重构与原图是同一个数字，有循环项则是 97%。批归一化和 tanh 改善的是样本：没有批归一化，样本的 Fréchet 距离是 18.5，没有 tanh 是 5.2，两者都有则是 2.7。和这里一样，没有 tanh 时重构并不更差：97.6% 是同一个数字，有 tanh 时是 96.8%。

# %% [markdown]
# ## 小结
#
# - ALI 给 GAN 增加了一个编码器。它的判别器比较数据对 $(x, Q(x))$ 和 $(P(z), z)$ 的联合分布。
# - 如果确定性的 $Q$ 和 $P$ 完全骗过 $D$，它们就互为逆映射，尽管损失中没有哪一项要求这一点。
# - 联合分布相等，并不能决定哪张图像对应哪个编码。循环项排除了无法由编码还原图像的耦合。
# - 我们对原文的模型作了短暂的训练：$D$ 赢了，$Q$ 的单元几乎全部死亡，从重构看不出原图的任何信息。
# - 如果 $D$ 看不到编码，$Q$ 就完全得不到梯度。
# - 训练好的模型能重构大多数数字。评价它的编码，或者任何编码器的编码，都要与基线比较：原始像素和未经训练的网络。
#
# ## 动手改一改
#
# 修改你在第 1 节写的代码，然后重新运行三个单元格：网络、`update` 和训练。（跳过与软件包的比较，这时它会报错。）用第 6 节定义的函数计算 `relative_error(own)`，就是重构的误差，不作修改时是 1.00。下面的数各来自一次运行，你的结果可能略有不同。
#
# 1. **加上循环项。** 在 `update` 里，在 `loss_qp = loss(gen, enc)` 的下面、同一个 `with` 块之内加上一行：
#
#    ```python
#            loss_qp += 0.1 * tf.reduce_mean(tf.reduce_sum((x - tf.sigmoid(P(Q(x)))) ** 2, axis=1))
#    ```
#
#    误差降到 0.67。多数重构成了原图的模糊副本，样本中出现了数字的局部。
# 2. **按照 min–max 公式最小化。** 把 `loss_qp = loss(gen, enc)` 换成：
#
#    ```python
#            loss_qp = -loss(enc, gen)
#    ```
#
#    $D$ 很快就能正确判断每一对数据，打印出来的两个损失都是 0。$Q$ 和 $P$ 几乎得不到梯度，样本一直是斑点。误差仍是 1.00。这就是第 2 节互换角色的原因。
# 3. **让单元存活。** 把 `network` 里的 `"relu"` 换成 `"leaky_relu"`。$Q$ 的单元不会再死亡，误差却仍是 1.00。可见单元死亡不是失败的唯一原因。
#
# ## 参考文献
#
# - V. Dumoulin 等，*Adversarially Learned Inference*，2016，[arXiv:1606.00704](https://arxiv.org/abs/1606.00704)。原文所依据的论文，编码器是随机的，有插值的图像。
# - J. Donahue、P. Krähenbühl、T. Darrell，*Adversarial Feature Learning*，2016，[arXiv:1605.09782](https://arxiv.org/abs/1605.09782)。即 BiGAN：第 3 节对确定性网络的证明，以及把编码器用作特征。
# - C. Li 等，*ALICE: Towards Understanding Adversarial Learning for Joint Distribution Matching*，2017，[arXiv:1709.01215](https://arxiv.org/abs/1709.01215)。为什么只匹配联合分布还不够，以及循环项。
# - I. Goodfellow 等，*Generative Adversarial Networks*，2014，[arXiv:1406.2661](https://arxiv.org/abs/1406.2661)。博弈、$D^*$ 和 Jensen-Shannon 散度。
# - M. Heusel 等，*GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium*，2017，[arXiv:1706.08500](https://arxiv.org/abs/1706.08500)。双方各用自己的学习率，以及模型卡所用的 Fréchet 距离。
# - A. Radford、L. Metz、S. Chintala，*Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks*，2015，[arXiv:1511.06434](https://arxiv.org/abs/1511.06434)。实用的设置，例如 `beta_1` 取 0.5。
# - S. Zhao、Z. Liu、J. Lin、J.-Y. Zhu、S. Han，*Differentiable Augmentation for Data-Efficient GAN Training*，2020，[arXiv:2006.10738](https://arxiv.org/abs/2006.10738)。给 $D$ 看变换过的图像，例如平移。

# %% [markdown]
# ## 练习
#
# **1.** 第 3 节推导了 $D^* = q/(q + p)$。设 $D$ 是由九个 logit 组成的表，用梯度下降最小化它的损失，其中 $q$ 和 $p$ 分别正比于
#
# $$\begin{pmatrix} 2 & 1 & 0 \\ 0 & 2 & 1 \\ 1 & 0 & 2 \end{pmatrix} \quad\text{和}\quad
#   \begin{pmatrix} 1 & 1 & 1 \\ 1 & 1 & 1 \\ 1 & 1 & 1 \end{pmatrix}.$$

# %% tags=["answer"]
q, p = np.array([[2, 1, 0], [0, 2, 1], [1, 0, 2]]) / 9, np.full([3, 3], 1 / 9)
logits = tf.Variable(tf.zeros([3, 3]))
for _ in range(300):
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(q * tf.math.log_sigmoid(logits) + p * tf.math.log_sigmoid(-logits))
    logits.assign_add(5 * tape.gradient(total, logits))
print("学到的：\n", np.round(tf.sigmoid(logits).numpy(), 2))
print("q / (q + p):\n", np.round(q / (q + p), 2))

# %% [markdown]
# **2.** 隐藏编码时，$Q$ 没有变化。现在让 $D$ 看到真正的编码，但每个编码都配上错误的图像：把两种编码都在批次中循环移动一个位置。这时每一对的图像与编码相互独立，$D$ 只能比较边缘分布。$Q$ 会学到什么？


# %% tags=["answer"]
def shuffle_codes(model):
    tell_apart, roll = model.tell_apart, lambda codes: tf.roll(codes, 1, axis=0)
    model.tell_apart = lambda x, z_enc, x_gen, z: tell_apart(x, roll(z_enc), x_gen, roll(z))


shuffled = train(config, calls, shuffle_codes)
print("权重的最大变化：", changes(weights(untrained), weights(shuffled)))
print(f"重构的相对误差：{relative_error(shuffled):.2f}")
# 现在 Q 有变化，却没有收获：它只需要使编码的分布与先验相像。

# %% [markdown]
# **3.** BiGAN 的论证给出两个逆关系，$P(Q(x)) = x$ 和 $Q(P(z)) = z$。我们看过第一个。请对训练好的模型测量第二个：$Q(P(z))$ 离 $z$ 有多远，以它到另一个 $z$ 的距离为单位？$z$ 的 20 个数经过 $P$ 和 $Q$ 之后，哪些保留了下来？

# %% tags=["answer"]
back = trained.encode(trained.decode(z_prior)).numpy()
ours, theirs = (np.linalg.norm(back - v, axis=1).mean() for v in (z_prior, np.roll(z_prior, 1, 0)))
print(f"到 z 的距离：{ours:.2f}，到另一个 z 的距离：{theirs:.2f}，比值 {ours / theirs:.2f}")
correlations = [np.corrcoef(z_prior[:, k], back[:, k])[0, 1] for k in range(20)]
print("每个数与自身的相关系数：", *(f"{c:.1f}" for c in sorted(correlations)))
# 比图像的重构差，因为循环项只要求 P(Q(x)) = x；但没有哪个数完全丢失。

# %% [markdown]
# **4.** 有 4,500 个标签时，原始像素的 1-NN 分数最高。如果标签很少，编码会更好吗？每个数字分别取 1、10 和 100 个标签，比较像素、训练好的模型的 $z$，以及它的重构的像素。

# %% tags=["answer"]
spaces = {name: spaces[name] for name in ("像素", "训练好的模型，z")}
spaces["P(Q(x))"] = lambda x: np.reshape(call("reconstruct", images=x)["images"], [len(x), -1])
kinds = [np.flatnonzero(labels == k) for k in range(10)]
for count in (1, 10, 100):
    draws = range(notebook.budget(10, 2))
    chosen = [np.concatenate([random.choice(kind, count, False) for kind in kinds]) for _ in draws]
    for name, features in spaces.items():
        score = np.mean([nearest(features, some) for some in chosen])
        print(f"{score:4.0%}，每个数字 {count:3} 个标签，{name}")
# 标签很少时，z 仍然不如像素，尽管模型见过这些图像。P(Q(x)) 与 x 不相上下：
# z 保留了是哪个数字，但 z 空间里的距离没有体现出来。
