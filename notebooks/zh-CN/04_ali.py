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
# # 4. 对抗学习推断：能由图像反推编码的 GAN
#
# GAN 把噪声变成图像，但其中没有任何部分能由一张图像求出生成它的噪声。对抗学习推断（adversarially learned inference，ALI）只作一处改动，就能同时训练两个方向：让判别器看图像与编码组成的数据对。本笔记本依据的文章是《ALI的Tensorflow炼成与GAN科普》，以及它背后的论文：Dumoulin 等人的论文（arXiv:1606.00704），以及 Donahue 等人的论文（arXiv:1605.09782），后者得到了同样的结果，称之为 BiGAN。
#
# 读完之后，你会明白为什么判别数据对就能使编码器与解码器互为逆映射，又为什么实际上常常做得很差；你会训练原文的模型，再把编码藏起来不让判别器看，故意弄坏它；你会看到，一种常用来评价编码器的分数，训练之前可能比训练之后还高；最后你会得到五个函数，可以用来画出、编码和重构手写数字。
#
# **需要** Python、一点 Keras，以及概率论的基础课知识：联合分布与条件分布。GAN 的博弈在笔记本 [2](02_gaussian_gan.ipynb) 里有详细的讲解，下面也有简短的回顾。不需要 GPU，也不用下载数据：手写数字由一个软件包自带。第一个单元格会在缺少 tf_gen 的环境里自动安装它。
#
# **时间**：在双核 CPU 上 2 分钟。

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
# ## 1. 从 GAN 到 ALI
#
# **博弈。** 生成器 $P$ 把从先验 $p(z)$ 抽出的噪声 $z$ 变成图像 $P(z)$。判别器 $D$ 对每张图像给出它是真实图像的概率。$D$ 学着判断正确，$P$ 学着使它判断错误。记真实图像的密度为 $q(x)$，生成图像的密度为 $p(x)$。$D$ 要使下式最大：
#
# $$\mathbb{E}_{q(x)} \log D(x) + \mathbb{E}_{p(x)} \log (1 - D(x))
#   = \int q(x) \log D(x) + p(x) \log (1 - D(x))\, dx.$$
#
# 被积函数可以对每个 $x$ 分别取最大。它对 $D(x)$ 的导数是 $q(x)/D(x) - p(x)/(1 - D(x))$，导数为 0 的地方是
#
# $$D^*(x) = \frac{q(x)}{q(x) + p(x)}.$$
#
# 如果生成器完成了任务，$p = q$，那么 $D^*$ 处处等于 1/2。原文就是这样说的，还说这个解是唯一的。唯一的是分布 $p(x)$，函数 $P$ 却不唯一：只要先验是对称的，把输入 $z$ 换成 $-z$，就会以同样的概率生成同样的图像。所以，哪个 $z$ 对应哪张图像，GAN 的博弈并没有规定。
#
# **不需要马尔可夫链。** 画一张图像，只需通过 $P$ 一次。更早的含隐变量的生成模型，例如玻尔兹曼机，则要运行许多步的马尔可夫链，训练时也是如此。GAN 的训练同样不需要近似推断，因为 $D$ 只问图像是否真实，从不问它来自哪个 $z$。
#
# **缺少什么。** 正因为如此，GAN 没有**推断**（inference），也就是没有从 $x$ 到 $z$ 的路。没有推断，就不能通过编码比较两张图像，不能通过移动编码来修改图像，也不能把编码用作另一项任务的特征。原文把 ALI 与下列模型放在一起比较：
#
# | | 画一张图像需要 | 编码 $z$ | 由 $x$ 到 $z$ | 从什么学习 |
# |---|---|---|---|---|
# | 自回归模型 | 每个像素计算一遍 | 无 | 不能 | 逐个像素的似然 |
# | VAE（[1](01_vae.ipynb)） | 一遍 | 有 | 能，近似地 | 似然的下界 |
# | GAN（[2](02_gaussian_gan.ipynb)） | 一遍 | 有 | 不能 | 判别图像的 $D$ |
# | ALI | 一遍 | 有 | 能 | 判别数据对的 $D$ |
#
# 原文有四处失误，或者需要说明。
#
# - 原文说，自回归模型要求学习之前数据的抽象表达。这段话转述的是 ALI 论文的引言，而引言说的恰好相反：自回归模型不用抽象表达，这与抽样速度慢一样，被看作它的代价。
# - 原文说，GAN 生成的样本比最佳的 VAE 质量更高。这是 2016 年的判断，主要指图像的清晰程度。它不是定理，也没有说到遗漏模式的问题。
# - 原文说，ALI 是生成网络和推断网络“两个 Model 来对怼”。其实它们站在同一边：编码器 $Q$ 和解码器 $P$ 一起对抗 $D$。原文概括的“一个生成器，一个判别器共两个神经网络”说的是 GAN；ALI 有三个网络。
# - 原文的“深度定向 G Model”是**有向**（directed）图模型：箭头由 $z$ 指向 $x$。
#
# 先看看我们要到达的地方。tf_gen 附带一个训练好的 ALI。下图每两行为一组：上面是真实图像 $x$，下面是 $P(Q(x))$，也就是编码器给出由 20 个数组成的编码，解码器再由这个编码画出的图像。

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
# 关于数据要先说明一点，后面会多次用到。tf_gen 用 MNIST 的 60,000 张训练图像训练了这个模型，而软件包自带的 5,000 个手写数字全都在这 60,000 张之中，我们逐个像素比对过。所以下文说的“留出的”，对**我们自己**用其余 4,500 张训练的模型成立，对附带的模型不成立：它见过本笔记本里的每一张图像。它在从未见过的图像上的各项数字，见[它的卡片](../../saved_models/ali/README.md)。

# %% [markdown]
# ## 2. 联合分布
#
# 得到一对图像与编码，有两种途径：
#
# $$q(x, z) = q(x)\, q(z \mid x), \qquad p(x, z) = p(z)\, p(x \mid z).$$
#
# 编码器的数据对从真实图像出发，推断它的编码；解码器的数据对从先验抽出的编码出发，画出图像。$q(x)$ 由数据给定，$p(z)$ 由我们选定，要学习的是两个条件分布。让 $D$ 看数据对，把第 1 节的论证重复一遍，只是把 $x$ 换成 $(x, z)$：
#
# $$D^*(x, z) = \frac{q(x, z)}{q(x, z) + p(x, z)}.$$
#
# 把它代入 $D$ 的损失。记 $m = (q + p)/2$，则 $D^* = q / 2m$，$1 - D^* = p / 2m$，于是
#
# $$\begin{aligned}
#   -\mathbb{E}_q \log D^* - \mathbb{E}_p \log(1 - D^*)
#   &= 2 \log 2 - \mathrm{KL}(q \,\|\, m) - \mathrm{KL}(p \,\|\, m) \\
#   &= 2 \log 2 - 2\,\mathrm{JS}(q, p).
#   \end{aligned}$$
#
# $\mathrm{KL}(q \,\|\, m) = \mathbb{E}_q \log (q/m)$ 是 KL 散度（见笔记本 [1](01_vae.ipynb)），$\mathrm{JS}(q, p)$ 是 Jensen-Shannon 散度，即上式两个 KL 的平均。只有 $q(x, z) = p(x, z)$ 时它才为 0，这时凡是能由联合分布算出的东西也都一致：
#
# - 对 $z$ 积分得到的边缘分布：$p(x) = \int p(x, z)\, dz = \int q(x, z)\, dz = q(x)$，即生成的图像与真实的图像同分布。GAN 所求的只有这一条；
# - 对 $x$ 积分得到的边缘分布：真实图像的编码，分布与先验相同；
# - 条件分布：$q(z \mid x) = p(z \mid x)$。编码器就是解码器的后验，而这个后验谁也不必去计算。
#
# 要看清 $D$ 从数据对中多得到了什么，三张图像和三个编码就够了。每个联合分布是一张有九个概率的表，所有边缘概率都是 1/3。

# %%
notebook.diagram("ali_joints", "zh-CN")

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
# 看表的第一行。编码器给图像 0 的编码是 0，而解码器由编码 0 画出的是图像 1。两者的边缘分布都完全正确：前两列是 0。GAN 的 $D$ 只看图像，挑不出毛病；只看编码的 $D$ 也挑不出。看数据对的 $D$ 却可以永远正确：JS 取最大值 $\log 2$，$D$ 的损失为 0。在 $Q$ 与 $P$ 有一半一致的情形（第二行和上图），对两者都会产生的数据对，$D^*$ 为 2/3；对只有解码器才会产生的，$D^*$ 为 0；从不出现的，按我们的约定取 1/2。
#
# 最后两行显示了 ALI 的希望所在，也显示了它的漏洞。两种情形下联合分布都一致，$D$ 为 1/2，损失为 $2 \log 2 = 1.386$。第三行里，每张图像都还原为它自己。第四行里，$P(Q(x)) = x$ 只是碰巧，三次里有一次。**联合分布一致，并没有规定它必须是哪一个联合分布。** 图像与编码之间的任何一种耦合，只要双方一致，就是最优解，毫无用处的那一种也不例外。这是 ALICE 论文（Li 等人，arXiv:1709.01215）指出的。
#
# ### 确定性的 Q 和 P：BiGAN 论文的论证
#
# ALI 论文里的 $Q$ 给出一个高斯分布的均值和标准差，$z$ 由这个分布抽取。原文的 $Q$ 和 $P$ 与 BiGAN 的一样，是普通的函数。这就排除了第四行，因为一张图像只有一个编码。设 $D$ 被完全骗过，即两个联合分布是同一个分布。
#
# 1. 每个数据对 $(x, Q(x))$ 都在函数 $Q$ 的图 $\{(x, z): z = Q(x)\}$ 上，所以在 $q(x, z)$ 之下，这个集合的概率为 1。
# 2. 两个联合分布相同，所以在 $p(x, z)$ 之下它的概率也为 1，而 $p(x, z)$ 的数据对是 $(P(z), z)$。因此对几乎所有的 $z$，有 $z = Q(P(z))$。
# 3. 同理，集合 $\{(x, z): x = P(z)\}$ 在两者之下的概率都为 1，因此对几乎所有的真实图像 $x$，有 $x = P(Q(x))$。
#
# 可见，只有 $Q$ 是 $P$ 的逆，$D$ 才会被骗过。损失里没有哪一项要求重构，重构却照样得到了。有两点保留。第一，确定性网络产生的数据对没有密度：每一种都只占据数据对空间里一张薄薄的曲面。（$D^*$ 和 JS 照样存在，BiGAN 论文用测度来处理。）两张曲面不重合的地方，强的 $D$ 几乎可以永远正确，第 5 节里就是这样的博弈。第二，没有什么保证存在能完全骗过 $D$ 的 $Q$ 和 $P$。
#
# 实际上，重构常常很差，原因就在第四行。一个频率很高的函数可以把相邻图像的编码撒遍先验的整个范围，于是在任何规模有限、光滑程度有限的 $D$ 看来，图像与编码像是独立的。这样 $D$ 就已经被骗得差不多了，而 $P(Q(x))$ 是一个写得不错的数字，只不过是另一个数字。对单独一个 $x$，$D$ 的梯度说明不了什么。ALICE 的补救办法是直接要求想要的东西，可以再加一个判别器，也可以像这里一样明确写出：在 $Q$ 和 $P$ 的损失里加上 $\lVert x - P(Q(x)) \rVert^2$。它排除坏的耦合，而好的耦合仍是最优解。在 tf_gen 里，它的权重是设置 `cycle`，在原文的模型中为 0。

# %% [markdown]
# ## 3. D 看到的两种数据对
#
# 图的左半部分是数据对 $(x, Q(x))$，右半部分是数据对 $(P(z), z)$。每张图像下面是它的编码，20 个数排成两行，蓝色表示 −1，红色表示 1；再下面是 $D$ 的回答，即这一对属于左边那一种的概率。先看训练之前，再看训练好的模型。


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
# 训练之前，右半部分是噪声，$D$ 对左右两边的回答差不多。训练之后，两边都是数字，编码也占满了先验的取值范围。这十对 $D$ 全都答对了：左边每一对都高于 1/2，右边每一对最多 0.12。
#
# $D$ 看的是图像与编码的**搭配**，还是只分别看图像和编码？我们故意给训练好的 $D$ 一些错误的数据对：真实图像配上另一张图像的编码。手写数字是按类别排列的，所以一张图像的下一张几乎总是同一个数字，隔开 250 个位置的则是另一个数字。

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
# $D$ 看得出来。真实图像配上自己的编码，平均得到 0.75；配上另一张图像的编码，哪怕是同一个数字，最多也只有 0.10，尽管图像和编码单独看都没有问题。可见 $D$ 学会的是哪个编码属于哪张图像，而不只是哪类图像与哪类编码相配。
#
# 理论要求 $D$ 最终为 1/2，这里的 $D$ 也没有做到。它分得出真实的数据对和生成的数据对，而且在这里分得过于好了：这些图像是它学过的。在它没有见过的测试图像上，它对 $(x, Q(x))$ 的平均回答是 0.65（见[卡片](../../saved_models/ali/README.md)的 *Limits* 一节）。这里高出来的部分是记忆。

# %% [markdown]
# ## 4. 网络、损失、一次迭代
#
# 原文的每个网络都有一个隐藏层。下面就是这些网络，它们的设置比原文需要的多；原文的设置就是 `Config` 的默认值。

# %%
notebook.source(ali.hidden_layers, ali.Encoder, ali.Decoder, ali.Discriminator)

# %%
article = ali.build(ali.PRESETS["article"])
for network in (article.encoder, article.decoder, article.discriminator, article):
    print(f"{network.name.split('_')[0]:14}{network.count_params():8,} parameters")

# %% [markdown]
# $Q$：784 → 128 relu → 64。$P$：64 → 128 relu → 784，后面的 sigmoid 在 `decode` 里。$D$ 把图像和编码并排接收，784 + 64 = 848 个数，→ 128 relu → 1。先验是立方体 $(-1, 1)^{64}$ 上的均匀分布。注意 $Q$ 的最后一层是线性的：没有什么把它的编码限制在立方体之内。
#
# 记 $D_\mathrm{enc} = D(x, Q(x))$，$D_\mathrm{gen} = D(P(z), z)$，损失是
#
# $$L_D = -\,\mathrm{mean}\,[\log D_\mathrm{enc} + \log(1 - D_\mathrm{gen})], \qquad
#   L_{QP} = -\,\mathrm{mean}\,[\log D_\mathrm{gen} + \log(1 - D_\mathrm{enc})].$$
#
# 按博弈的公式，$Q$ 和 $P$ 应当最小化 $-L_D$，但这里不是这样：它们最小化的是互换角色之后的 $L_D$。在 $D$ 很有把握的地方，$\log(1 - D_\mathrm{gen})$ 是平的，$P$ 得不到梯度，而 $\log D_\mathrm{gen}$ 很陡。在 $D$ 为 1/2 的地方，两者一致。$P$ 通过 $D_\mathrm{gen}$ 参与，$Q$ 通过 $D_\mathrm{enc}$ 参与，各自都想让自己的数据对冒充对方的。

# %%
notebook.source(ali.discriminator_loss, ali.generator_loss)

# %% [markdown]
# 用公式来检验，公式用概率和 float64 写成：

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
# 损失函数接收的是 logit 而不是概率，因为今天的 TensorFlow 会在计算图里把原文的 `1 - D + 1e-8` 变成 `(1 + 1e-8) - D`，而在 float32 里 1 + 1e-8 就是 1：几百次迭代之后对数变成 −inf，$Q$ 的权重全都变成 NaN。笔记本 [0](00_from_tensorflow_1.ipynb) 演示了这一过程。
#
# 一次迭代是这样的：先由 $D$ 从 $x$ 和 $z$ 学习，然后 $Q$ 和 $P$ 一起从同样的 $x$ 和 $z$ 学习。

# %%
notebook.source(ali.ALI.update, ali.ALI.infer_and_generate, ali.ALI.tell_apart, ali.ALI.penalty)

# %% [markdown]
# 从上往下读。`infer_and_generate` 把 $Q$ 和 $P$ 各运行一次，`g_tape` 记下它们求梯度需要的东西。然后 `g_tape` 暂停，$D$ 用自己的 `d_tape` 学习；对它来说，生成的图像和编码都是常量。接着 `g_tape` 继续记录：由**新的** $D$ 判断同样的数据对，梯度经过 $D$ 传回 $Q$ 和 $P$；交给它们的优化器的只有它们自己的变量。`cycle_loss` 和 `penalty` 是第 8 节的补救办法，这两项在原文中都是 0。
#
# 原文以一张运行中的计算图（running graph）收尾。下面是 TensorFlow 为这次更新构建的计算图：操作按网络和损失分组，每个框里标着操作的个数。
#
# 一次迭代的两半各更新了哪些变量？学习率为 0 的优化器什么也不动，所以可以把每一半单独拿出来看。


# %%
notebook.diagram("running_graph_ali", "zh-CN")


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
# ## 5. 训练原文的模型
#
# 原文训练十万次迭代，每次 32 张图像，并建议使用 GPU。我们用 4,500 张图像做 8,000 次，每调用一次编译好的函数做 200 次更新。`after` 在每次调用之后收集我们想看的东西：损失、$D$ 对留出图像的回答（由模型的 `Report` 用 `measure` 测得），以及 16 个样本（由它的 `snapshot` 给出），也就是原文打印的那种网格图。

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
# 动画展示整个训练过程；那一排图是它的开头、结尾和中间的两个阶段。样本在几秒之内就变成数字的笔画，像原文的图那样布满颗粒。曲线说明了谁是赢家：是 $D$，而且遥遥领先。无论哪一种数据对，它几乎都有十足的把握。它的损失接近 0，而 $Q$ 和 $P$ 的损失是应有值的十倍以上。博弈仍在进行，因为互换角色的损失在 $D$ 有把握的地方也有梯度。
#
# $Q$ 怎么样了？看它的隐藏层，128 个 relu 单元。如果一个单元对每张图像都输出 0，就什么也传不过去，也没有梯度能经它传回来，于是它就停在原处不变。

# %%
untrained = ali.build(config)  # what `article` began with
for name, model in {"before": untrained, "after": article}.items():
    dead = np.max(model.encoder.features(held_out), axis=0) == 0
    print(f"{name} training, units of Q that are 0 for all held-out images: {dead.mean():.0%}")

# %% [markdown]
# 几乎所有的单元都死了，编码里有关图像的信息，只能从剩下的少数几个单元通过。想知道这发生得有多早，这个种子是不是例外，可以减少更新次数，或者换一个 `config` 里的 `seed` 再训练。
#
# 重构又怎么样？下面有两组，每组两行，一行是图像，一行是 $P(Q(x))$：上面一组是我们训练的原文模型，下面一组是附带的模型。

# %%
few = some[::2]  # one of each digit
mine, theirs = (plots.pairs(few, reconstruct(model, few)) for model in (article, trained))
notebook.picture(np.concatenate([mine, np.full([9, mine.shape[1]], 128, np.uint8), theirs]))

# %% [markdown]
# 原文的模型对所有图像画出的东西都一样，或者几乎一样。它学会了画，没有学会推断。用更多图像训练得更久会有帮助：在完整的 MNIST 上做完十万次迭代之后，大约三分之一的重构与原图是同一个数字，五个种子从 13 % 到 63 % 不等（见[卡片](../../saved_models/ali/README.md)）。附带的模型在那里达到 96%。
#
# 要比较模型，需要一个数。单看平均距离 $\lVert x - P(Q(x)) \rVert$ 会有误导，因为一团灰色的模糊离什么都不远。我们像 BiGAN 作者的代码那样，用它除以同样这些重构到**其他**图像的平均距离：0 表示完美，1 表示从重构看不出原图的任何信息。


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
# ### 故意弄坏：不让 D 看编码
#
# 数据对里的编码起什么作用？我们把它拿掉。只有 `tell_apart` 这一处让 $D$ 看数据对；我们把它包一层，让 $D$ 看到的编码全是零。其余一概不变。


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
# 第一行是样本：数字的碎片。它们并不比原文模型的样本差，留出图像离它们甚至更近一点（见上面输出的最后两行）。下面是图像，以及由它们重构出的结果。误差是 1，原文的模型也是 1：在这样短的训练里，本来就没有什么可以再失去的。不同的是原因，而原因显示在权重里。编码器的权重一位也没有变。它唯一的学习途径，就是 $D$ 看到的编码。那里成了零，它的梯度就是 0，剩下的是一个 GAN，旁边放着一个随机的编码器。留着 `blind`，第 7 节里它会有出人意料的表现。

# %% [markdown]
# ## 6. 训练好的模型能做什么
#
# 先验的六十个样本：

# %%
drawn = box.signatures["sample"](count=tf.constant(60), seed=tf.constant([1, 0]))["images"]
notebook.picture(plots.mosaic(drawn, columns=12, scale=2))

# %% [markdown]
# **插值。** 取两张图像，沿直线从一个编码走到另一个编码，把途中的点解码。`digits.interpolations` 只要求传入的东西有 `encode` 和 `decode`，所以可以用附带模型的函数。也可以给它一个把像素原样传下去的“编码器”，这时沿直线走就是普通的像素混合。先看编码的插值，再看像素的插值；第一列和最后一列是真实图像。

# %%
pixels = SimpleNamespace(
    encode=lambda images: tf.reshape(images, [-1, 784]),
    decode=lambda z: tf.reshape(z, [-1, 28, 28]),
)
ends = few[[3, 1, 4, 8, 7, 9]]  # from a 3 to an 8, from a 1 to a 7, from a 4 to a 9
by_codes, by_pixels = (digits.interpolations(model, ends, rows=3) for model in (trained, pixels))
notebook.picture(np.concatenate([by_codes, np.full_like(by_codes[:9], 128), by_pixels]))

# %% [markdown]
# 在像素混合中，前一个数字淡出，后一个数字淡入，中间是两个数字重叠在一起。而在两个编码之间，途中的大多数图像都像是人手能写出来的：笔画会弯曲，会闭合。第二列和倒数第二列是重构，它们与旁边的真实图像的差别，就是 $P(Q(x))$ 的误差。
#
# 放在模型旁边的 `latent_map.json` 给每个数字一个编码，因此我们可以从任何一个数字走到另一个。

# %%
codes = json.loads((directory / "latent_map.json").read_text())["labels"]
ways = [np.linspace(codes[a], codes[b], 11) for a, b in ("38", "17", "49", "05")]
drawn = trained.decode(np.float32(np.concatenate(ways)))
notebook.picture(plots.mosaic(drawn, columns=11))

# %% [markdown]
# ## 7. 1-NN 分数意味着什么
#
# 这种编码到底好不好？有一种常用的检验：训练时隐去所有标签，然后给一个有标签的集合编码，再给每张留出的图像贴上隐空间里它的**最近邻**的标签。标签正确的比例就是 1-NN 准确率。随机猜测的准确率是 10 %。BiGAN 论文报告，用它的编码器的特征，在 MNIST 上是 97.39 %。先别急着赞叹，应当问一句：没有经过任何学习的特征，用同样的检验能得多少？
#
# 500 个回答是一个样本。如果 $n$ 个中有 $k$ 个正确，比例 $\hat a = k/n$ 的标准误是 $\sqrt{\hat a (1 - \hat a) / n}$：在 90 % 处、$n = 500$ 时是 1.3 个百分点。我们打印用 Wilson 公式得到的 95 % 区间，这个公式在接近 100 % 时也适用。

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
# 请慢慢读。
#
# - 原始像素的分数最高。一张图像与它在像素上的最近邻多半是同一个数字：MNIST 就是这么容易。
# - **未经训练的**编码器，隐藏层的分数几乎一样高。映到许多维的随机线性映射大致保持距离，relu 也不会破坏距离。这些层对数字一无所知，只是把像素里原有的信息传了下去；剩下的数越少（128、64、20），传下去的也越少。
# - 原文的编码器，训练之后的分数远低于训练之前，其实与随机猜测差不多。它存活的单元很少，所有图像都被映射到少数几个编码上。`blind` 的编码器什么也没有学到，分数恰好与未经训练的相同，因此远远胜过正常训练的模型。
# - 附带模型由 20 个数组成的编码，分数略高于它自己的基线，即未经训练的同一网络，但只有 500 个数字，两个区间是重叠的；它远低于原始像素。
#
# 所以，单单一个 97 % 几乎说明不了什么。重要的是它与各个基线的差距，以区间的宽度为单位来衡量。完整的 MNIST 有 10,000 张测试图像，准确率在 96 % 左右时区间大约是 ±0.4 个百分点，在 80 % 左右时大约是 ±0.8 个百分点；[卡片](../../saved_models/ali/README.md)上 $Q$ 的最后一个隐藏层的数字是：训练后 96.0%，未经训练 96.0%，原始像素 96.9%；$z$ 的数字是：82.3%，未经训练 74.0%。编码器**学到**的，在前者里这个分数看不出来，在后者里是八个百分点，而且两者都没有胜过像素。凡是这类数字，tf_gen 都把基线打印在旁边：`score` 是手写数字的各个模型共用的，它指定这两层，并另建一个未经训练的网络；`judge.score` 测量两个网络的这些层，还有原始像素。

# %%
notebook.source(digits.Report.score)

# %% [markdown]
# ## 8. `stable` 的补救办法
#
# 附带的模型就是用预设 `stable` 训练的。它保留原文的迭代，改掉使原文模型失败的地方。每个补救办法都是 `Config` 的一个字段：
#
# - `cycle`，0 → 0.1：要求 $P(Q(x)) = x$，因为联合分布一致并没有规定是哪一种耦合（第 2 节；ALICE，arXiv:1709.01215）。
# - `q_cycle`，1 → 4：循环误差对 $Q$ 的梯度放大到四倍。许多数字 $P$ 生成得出来，只是 $Q$ 自己找不到对应的编码。
# - `bounded`：$Q$ 的末端是 tanh。否则只要 $z$ 在立方体之外，$D$ 不管图像如何都能认出这一对。
# - `batch_norm`：$D$ 把同一种数据对的一个批次作为整体来看，所以总是画同一张图像的 $P$ 会被识破。（$Q$ 和 $P$ 也用批归一化。）
# - `leak`，0 → 0.2，用于 $Q$ 和 $D$：$Q$ 和 $P$ 是通过 $D$ 的梯度学习的，$D$ 的某个单元一旦关闭，relu 就在那里切断梯度；而且 $Q$ 的单元不会再像第 5 节那样死去。
# - `latent_dim`，64 → 20：立方体的维数越少，其中没有图像编码的空白就越少，而在空白处循环项教不了 $P$ 任何东西。
# - `hidden_layers` 和 `z_layer`，1 → 2：$z$ 在第二层进入 $D$，与它并列的是图像的特征，而不是 784 个像素（BiGAN）。
# - `l2`，0 → 2.5e-5：使权重矩阵保持较小，$D$ 的也一样（BiGAN）。
# - `beta_1`，0.9 → 0.5：其他网络先前在什么位置，Adam 记得少一些（Radford 等人，arXiv:1511.06434）。
# - `final_rate`，1 → 0.01：互相追随的网络会绕圈子；学习率逐渐下降，剩下的绕圈就会平息。
# - `d_rate`，1 → 0.5：$D$ 的学习率是 $Q$ 和 $P$ 的一半，免得它在长时间的训练中遥遥领先。
# - `hidden_dim` 512，`batch_size` 64，`steps` 60,000：这是双核 CPU 在一刻钟之内能训练完的规模。
#
# 列出补救办法，证明不了什么。所以我们训练一个小的 `stable`，单元数和批次大小与原文相同，即 128 和 32，更新 4,000 次；然后每次去掉一个补救办法，再训练一遍。`samples` 是留出图像到 500 个样本中最近一个的平均距离，旁边是换成 500 张真实图像得到的同一个数。（它能识破只画噪声或者总画同一样东西的 $P$，却识不破模糊，因为模糊的数字与许多图像都离得近。）$D$ 的损失，被骗过时是 1.39，永远正确而且有把握时是 0。

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
# 图中对应表里每一行的，是一行样本，以及下面一行最上方十张图像的重构。
#
# - **stable**：同一类的小模型，用几秒就能作出重构，而原文的模型用了两倍的更新次数也没有做到。样本还很粗糙。
# - **no cycle**：从重构完全看不出原图是什么；在这样的规模上，更新又这么少，样本也只是噪声。（预设 `bigan` 也没有循环项；它更大、更慢，训练的时间长得多，画得很好，但有三分之一的重构是另一个数字，见[卡片](../../saved_models/ali/README.md)。）
# - **not bounded**：在这样短的训练里几乎没有差别。训练得更久时，循环项可能教会 $Q$ 和 $P$ 借助立方体之外的编码来复制图像，而先验从不在那里抽样。
# - **no batch_norm**：从损失看，$D$ 领先得更多。样本看上去更清晰，离真实图像却更远。
#
# 一个种子、4,000 次更新说明不了多少：在这里，只有循环项的作用毫无疑问。其余各项的作用，用多个种子、在全部图像上测得的结果见[卡片](../../saved_models/ali/README.md)。

# %% [markdown]
# ## 带走模型
#
# SavedModel 有五个签名，只需要 TensorFlow：

# %%
for name in ("decode", "sample", "encode", "reconstruct", "discriminate"):
    signature = box.signatures[name]
    inputs = signature.structured_input_signature[1]
    given = ", ".join(f"{key} {list(spec.shape)}" for key, spec in sorted(inputs.items()))
    made = ", ".join(f"{k} {v.shape.as_list()}" for k, v in signature.structured_outputs.items())
    print(f"{name:13} {given:37} -> {made}")

# %% [markdown]
# 举一个使用的例子：数字偏离了原来的位置，$Q$ 还认得吗？我们把留出的手写数字向右移动 0 到 4 个像素，编码，再把编码解码。图中每一行图像的下面是它们的重构。（`np.roll` 会把从右边移出去的部分从左边送回来。）

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
# 移动一个像素没有多大影响。从两个像素起，有些数字变成了别的数字。MNIST 的数字是居中的，移动过的数字与数据中的任何一个都不相像。在我们看来，它还是同一个数字；而这些网络给每个像素一个权重，没有平移的概念。$D$ 能够察觉（不过对未移动的数字回答 0.75，有一部分是记忆，见第 3 节），所以可以用来报警：它的回答接近 0 的时候，不要相信编码。
#
# 在命令行里使用，不用写 Python：
#
# ```sh
# python -m tf_gen.sample ali --digit 7 --out seven.png
# python -m tf_gen.sample ali --interpolate 3 8 --count 12 --out way.png
# python -m tf_gen.sample ali --count 100 --seed 1 --out samples.png
# python -m tf_gen.train ali --preset stable --data MNIST
# python -m tf_gen.evaluate ali --run runs/ali --data MNIST
# ```
#
# `MNIST` 是放有四个原始文件的目录；不写 `--data` 时，tf_gen 自己找手写数字。[卡片](../../saved_models/ali/README.md)里有 TensorFlow Serving 和 LiteRT 的用法，以及所有数字和得出它们的命令。这个模型都在一个文件里：[tf_gen/models/ali.py](../../tf_gen/models/ali.py)；它与 VAE 共有的东西在 [tf_gen/tasks/digits.py](../../tf_gen/tasks/digits.py) 里，各种分数在 [tf_gen/tasks/judge.py](../../tf_gen/tasks/judge.py) 里。想进一步阅读，可以看上面提到的论文；原文讲解的 `tf.Variable`、`tf.placeholder` 和 `Session`，见笔记本 [0](00_from_tensorflow_1.ipynb)。

# %% [markdown]
# ## 练习
#
# **1.** 第 2 节推导了 $D^* = q/(q + p)$。设 $D$ 是由九个 logit 组成的表，让它对 `ali.discriminator_loss` 作梯度下降，学出这个结果，其中 $q$ 和 $p$ 分别正比于
#
# $$\begin{pmatrix} 2 & 1 & 0 \\ 0 & 2 & 1 \\ 1 & 0 & 2 \end{pmatrix} \quad\text{和}\quad
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
# **2.** 藏起编码，$Q$ 就停在原处。换一种做法：让 $D$ 看真正的编码，但每个编码都配上错误的图像，也就是把两种编码都在批次里循环移动一个位置再传下去。这时边缘分布可以匹配，搭配却不能。$Q$ 会学到什么？


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
# **3.** BiGAN 的论证给出两个逆关系，$P(Q(x)) = x$ 和 $Q(P(z)) = z$。我们看过第一个。请对附带的模型测量第二个：以 $Q(P(z))$ 到另一个 $z$ 的距离为单位，它离 $z$ 有多远？$z$ 里的哪些数保留了下来？

# %% tags=["answer"]
z = z_prior
back = trained.encode(trained.decode(z)).numpy()
own, other = (np.linalg.norm(back - v, axis=1).mean() for v in (z, np.roll(z, 1, axis=0)))
print(f"distance from z: {own:.2f}, from another z: {other:.2f}, ratio {own / other:.2f}")
correlations = [np.corrcoef(z[:, k], back[:, k])[0, 1] for k in range(20)]
print("correlation of each number with itself:", *(f"{c:.1f}" for c in sorted(correlations)))
# Worse than images: the cycle asks for P(Q(x)) = x only. Yet all numbers come back in part.

# %% [markdown]
# **4.** 有 4,500 个标签时，1-NN 对原始像素有利。如果标签很少，编码会胜出吗？每个数字分别给 1、10 和 100 个标签，比较像素、附带模型的 $z$ 和它的重构图像的像素。

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
