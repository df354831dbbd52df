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
# # 1. 变分自编码器：由两个数生成手写数字
#
# 变分自编码器（variational autoencoder，VAE）学习生成图像：它的**解码器**把两个随机数变成一个手写数字。本笔记本依据的文章是“TensorFlow-windows”系列的学习笔记六《变分自编码器》，那篇文章又依据 Kingma 与 Welling 的论文（arXiv:1312.6114）和 Doersch 的教程（arXiv:1606.05908）。
#
# 你将用 40 行代码写出这个模型并训练它，然后推导它的损失函数，故意把模型弄坏，最后找出哪两个数生成哪个数字。原文的作者没能做到最后这一点，为此“有点郁闷”。
#
# **需要** Python、一点 Keras，以及微积分和概率论的基础知识：密度、期望、贝叶斯公式。不需要 GPU，也不用下载：5,000 个真实手写数字由已安装的软件包自带。如果环境里没有 tf_gen，第一个单元格会安装它。
#
# **时间**：在双核 CPU 上 3 分钟。标有“进阶”的小节初读时可以跳过。

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
import json
import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from scipy import special, stats
from sklearn.mixture import GaussianMixture

import tf_gen
from tf_gen import explorer, mnist, plots, savedmodel
from tf_gen.figures import vae as figures
from tf_gen.models import vae
from tf_gen.tasks import judge

keras.utils.set_random_seed(0)  # 每次运行得到同样的数
notebook.use_chinese()

# %% [markdown]
# 两个数就是平面上的一个点。按正态分布的分位数取 15 × 15 个点，训练好的解码器生成的图像如下。相邻的点生成相似的图像，大多数数字各有自己的区域。

# %%
trained = tf_gen.load("vae")  # 本软件包自带
axis = stats.norm.ppf(np.linspace(0.02, 0.98, 15)).tolist()
notebook.picture(plots.mosaic(trained.decode(plots.plane(axis)), 15, scale=1))

# %% [markdown]
# ## 动手写模型
#
# VAE 由三部分组成。**编码器**把一张图像变成平面上的一个正态分布，即两个坐标各自的均值和对数方差。**采样器**从这个分布中采样得到一个点 $z$，称为图像的**编码**（code）。**解码器**再把编码变回图像。

# %%
notebook.diagram("vae_network", "zh-CN")

# %% [markdown]
# 训练的目标是让输出与输入相似。如果直接采样 $z$，梯度就无法传回编码器。因此采样器由均值 $\mu$、标准差 $\sigma$ 和噪声 $\epsilon \sim N(0, I)$ 计算 $z = \mu + \sigma \epsilon$，这个式子可以求导。原文说，看着下图的右半边就能写出代码，无需看理论。

# %%
notebook.diagram("vae_graphs", "zh-CN")

# %% [markdown]
# 隐藏层用 tanh；解码器输出 **logit**，经过 sigmoid 就是图像。与原文一样，权重和偏置的初始值都服从正态分布，标准差为 $\sqrt{2 / \text{shape}[0]}$。


# %%
def article_initial(shape, dtype=None):
    return tf.random.normal(shape, stddev=(2 / shape[0]) ** 0.5)


class MyVAE(keras.Model):
    def __init__(self, initial=article_initial):
        super().__init__()

        def dense(units, activation=None):
            return keras.layers.Dense(
                units, activation, kernel_initializer=initial, bias_initializer=initial
            )

        self.hidden = keras.Sequential([keras.layers.Flatten(), dense(512, "tanh")])
        self.z_mean, self.z_log_var = dense(2), dense(2)
        image = keras.layers.Reshape([28, 28])
        self.decoder = keras.Sequential([dense(512, "tanh"), dense(784), image])
        self(tf.zeros([1, 28, 28]), tf.zeros([1, 2]))  # 创建变量

    def call(self, images, epsilon):
        h = self.hidden(images)
        z_mean, z_log_var = self.z_mean(h), self.z_log_var(h)
        z = z_mean + tf.exp(z_log_var / 2) * epsilon
        return self.decoder(z), z_mean, z_log_var


# %% [markdown]
# 损失有两项。第一项衡量输出与输入的差异，是两者的交叉熵，对所有像素求和。第二项衡量编码器给出的分布与标准正态分布 $N(0, I)$ 的差异。这两项后文都会推导。权重由 RMSProp 更新。


# %%
def losses_of(model, images, epsilon):
    logits, z_mean, z_log_var = model(images, epsilon)
    cross_entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=images, logits=logits)
    reconstruction = tf.reduce_sum(cross_entropy, axis=[1, 2])
    kl = -0.5 * tf.reduce_sum(1 + z_log_var - z_mean**2 - tf.exp(z_log_var), axis=1)
    return tf.reduce_mean(reconstruction), tf.reduce_mean(kl)


def training_step(model, losses_of=losses_of):
    optimizer = keras.optimizers.RMSprop(0.001, rho=0.9, epsilon=1e-10)
    optimizer.build(model.trainable_variables)
    for variable in optimizer.variables:
        if "velocity" in variable.path:  # 梯度平方的滑动平均
            variable.assign(tf.ones_like(variable))  # TensorFlow 1 从 1 开始，Keras 从 0 开始

    @tf.function
    def step(images, epsilon):
        with tf.GradientTape() as tape:
            reconstruction, kl = losses_of(model, images, epsilon)
            loss = reconstruction + kl
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        return loss

    return step


# %% [markdown]
# 整个模型就是这些。`tf.function` 在第一次调用时编译 `step`，编译后比逐行执行 Python 快好几倍。
#
# 它与本软件包的模型相同吗？我们让两者使用相同的权重，再输入相同的图像和噪声，更新二十次。`source` 提供图像，共 5,000 个手写数字，其中每十个留出一个作为**留出集**，不参与本笔记本中的任何训练。

# %%
source = mnist.load("bundled")
config = vae.Config()  # 原文的设置
theirs, mine = vae.build(config), MyVAE()
for variable, value in zip(mine.trainable_variables, theirs.trainable_variables, strict=True):
    variable.assign(value)

my_step, losses = training_step(mine), []
for batch in vae.batches(config, source).take(20):
    images = tf.cast(batch["images"], tf.float32) / 255
    losses.append((my_step(images, batch["epsilon"]), theirs.update(batch)["loss"]))
my_losses, their_losses = np.float64(losses).T
np.testing.assert_allclose(my_losses, their_losses, rtol=1e-4)
difference = np.max(np.abs(my_losses / their_losses - 1))
print(source)
print(f"第一个损失：{my_losses[0]:.4f} 与 {their_losses[0]:.4f}")
print(f"20 次更新之后的损失：{my_losses[-1]:.4f} 与 {their_losses[-1]:.4f}")
print(f"最大相对误差：{difference:.0e}")

# %% [markdown]
# 两者只差舍入误差，因为两个程序求和的次序不同。原文日志里的第一个损失是 616.3。
#
# 现在用每批 64 张图像训练你的模型，更新 1,500 次。（`notebook.budget(full, small)` 返回 `full`；只有本项目的测试为了省时才用 `small`。）

# %%
steps = notebook.budget(1_500, small=30)
for batch in vae.batches(config, source, start=20).take(steps):
    loss = my_step(tf.cast(batch["images"], tf.float32) / 255, batch["epsilon"])
print(f"{steps + 20} 次更新之后的损失：{loss:.1f}")
my_images = tf.sigmoid(mine.decoder(plots.plane(axis))).numpy()
notebook.picture(plots.mosaic(my_images, 15, scale=1))

# %% [markdown]
# 在平面的一半，你的解码器已经能生成模糊的数字。在另一半，生成的图像背景是白的：那里还没有图像的编码，解码器只能猜测。更新次数多了，编码就会布满平面。
#
# 从这里开始，我们改用本软件包的模型。它的损失与你的模型一样，但把几百次更新编译成一个程序来运行，还能保存和评估。它的 `update` 与你的 `step` 很像：

# %%
notebook.source(vae.VAE.loss_terms, vae.VAE.update)

# %% [markdown]
# ## 目标：图像的概率模型
#
# 损失的这两项从何而来？假设图像分两步产生：先抽取一个**隐变量**（latent variable）$z$，它由两个数组成；再由神经网络 $f$（解码器）根据 $z$ 算出一个分布，从中抽取图像：
#
# $$z \sim p(z) = N(0, I), \qquad x \mid z \sim p(x \mid z), \text{ 其参数为 } f(z) .$$
#
# 我们希望训练图像在这个模型下出现的概率最大，也就是让 $\log p(x)$ 对图像的平均值最大。这就是**极大似然估计**。但是
#
# $$p(x) = \int p(x \mid z)\, p(z)\, dz$$
#
# 要对所有编码积分，被积函数里又有神经网络，没有解析表达式。直接采样也帮助不大：$p(z)$ 称为**先验**，对给定的图像，从先验抽取的 $z$ 几乎全都使 $p(x \mid z)$ 接近于零。我们只想抽取那些有可能生成这张图像的 $z$，也就是从**后验**
#
# $$p(z \mid x) = \frac{p(x \mid z)\, p(z)}{p(x)} ,$$
#
# 中抽取，可是这个式子里又有 $p(x)$。**变分推断**从一族简单的分布中选出最接近后验的 $q(z)$，用它代替后验。这里用的是协方差为对角阵的所有正态分布，所以 $q(z) = \prod_i q_i(z_i)$，与原文的写法一致。（“进阶”小节会说明，这个想法是怎样从 EM 算法发展而来的。）
#
# ## 一步一步推导变分下界（ELBO）
#
# “最接近”用 $q$ 与后验之间的 KL（Kullback-Leibler）散度来衡量。依次用到它的定义、贝叶斯公式，以及 $\log p(x)$ 与 $z$ 无关这一事实：
#
# $$\begin{aligned}
# \mathrm{KL}(q(z) \,\|\, p(z \mid x)) &= E_{z \sim q}[\log q(z) - \log p(z \mid x)] \\
# &= E_{z \sim q}[\log q(z) - \log p(x \mid z) - \log p(z) + \log p(x)] \\
# &= E_{z \sim q}[\log q(z) - \log p(z)] - E_{z \sim q}[\log p(x \mid z)] + \log p(x) \\
# &= \mathrm{KL}(q(z) \,\|\, p(z)) - E_{z \sim q}[\log p(x \mid z)] + \log p(x) .
# \end{aligned}$$
#
# 移项得
#
# $$\boxed{\;\log p(x) - \mathrm{KL}(q(z) \,\|\, p(z \mid x)) =
#   E_{z \sim q}[\log p(x \mid z)] - \mathrm{KL}(q(z) \,\|\, p(z)) = \mathrm{ELBO} \;}$$
#
# KL 散度总是非负，所以右边是 $\log p(x)$ 的下界。$\log p(x)$ 又称**证据**，因此右边叫做**证据下界**（evidence lower bound，ELBO），也叫变分下界。左边说明了使这个下界变大的好处：$\log p(x)$ 变大，$q$ 也更接近后验。左边的两项都算不出来，右边的两项却都能算：第一项表示从 $q$ 抽取的编码能在多大程度上解释图像，第二项表示 $q$ 离先验有多远。两项变号，就是损失中的**重构项**和 **KL 项**。
#
# **为什么 $q$ 可以依赖于 $x$？** 上面的推导对任何 $q$ 都成立，而且每次只涉及一张图像，$x$ 始终是固定的。所以可以为每张图像单独选取 $q$，而且应当这样做：数字 3 的后验与数字 7 的后验不在同一个位置，所有图像共用一个 $q$，对哪张图像都不合适。**编码器**直接由图像算出 $q$ 的参数，速度快，对没有见过的图像也适用。这叫做**摊销推断**（amortised inference），相应的分布记为 $q(z \mid x)$：
#
# $$\mathrm{ELBO}(x) = E_{z \sim q(z \mid x)}[\log p(x \mid z)]
#   - \mathrm{KL}(q(z \mid x) \,\|\, p(z)) .$$
#
# ## KL 项的闭式解
#
# 两个 $k$ 维正态分布之间的 KL 散度为
#
# $$\mathrm{KL}(N(\mu_0, \Sigma_0) \,\|\, N(\mu_1, \Sigma_1)) = \frac12 \left(
#   \mathrm{tr}(\Sigma_1^{-1} \Sigma_0) + (\mu_1 - \mu_0)^T \Sigma_1^{-1} (\mu_1 - \mu_0)
#   - k + \log \frac{\det \Sigma_1}{\det \Sigma_0} \right) .$$
#
# 这里第二个分布是先验，$\mu_1 = 0$，$\Sigma_1 = I$；第一个分布的协方差是对角阵。两者都可以按坐标分解，因此只需计算一个坐标。由 $\log q(z) = -\frac12 \log 2\pi\sigma^2 - \frac{(z - \mu)^2}{2 \sigma^2}$ 和 $\log p(z) = -\frac12 \log 2\pi - \frac{z^2}{2}$ 得
#
# $$E_q[\log q(z) - \log p(z)] = -\tfrac12 \log \sigma^2
#   - \tfrac12 \underbrace{E_q\!\left[\tfrac{(z - \mu)^2}{\sigma^2}\right]}_{1}
#   + \tfrac12 \underbrace{E_q[z^2]}_{\mu^2 + \sigma^2}
#   = -\tfrac12 \left(1 + \log \sigma^2 - \mu^2 - \sigma^2 \right) .$$
#
# 这就是你的代码中 `kl = ...` 那一行。编码器输出 $\log \sigma^2$，它可以取任何实数；如果输出 $\sigma$，还要设法保证它为正。原文的代码把这个输出叫做 `z_std`，但从其中的 `exp(z_std / 2)` 可以看出，它存的是对数方差。这里称它为 `z_log_var`。
#
# 下面按定义检验这个公式：从 $q$ 采样，求平均值。原文的简化公式写的是 $+ \log\det\Sigma(x)$，符号有误；由原文自己的一般公式得到的是 $-\log\det\Sigma(x)$。我们把两者都算出来。

# %%
z_mean, z_log_var = np.array([[0.8, -1.5]]), np.array([[-2.0, 0.5]])
draws = notebook.budget(1_000_000, small=10_000)
epsilon = np.random.default_rng(2).standard_normal([draws, 2])
z = z_mean + np.exp(z_log_var / 2) * epsilon
log_q = stats.norm.logpdf(z, z_mean, np.exp(z_log_var / 2)).sum(axis=1)
terms = log_q - stats.norm.logpdf(z).sum(axis=1)
article = 0.5 * np.sum(np.exp(z_log_var) + z_mean**2 - 1 + z_log_var)
closed = vae.kl_divergence(tf.constant(z_mean, tf.float32), tf.constant(z_log_var, tf.float32))
print(f"{terms.mean():.4f} +- {terms.std() / draws**0.5:.4f}  采样的平均值，单位为奈特")
print(f"{closed[0]:.4f}            vae.kl_divergence")
print(f"{article:.4f}            用原文的符号")

# %% [markdown]
# **奈特**（nat）是与自然对数对应的信息量单位，1 比特等于 0.69 奈特。
#
# ## 重参数化
#
# 另一项 $E_{z \sim q(z \mid x)}[\log p(x \mid z)]$ 的估计方法是每张图像只采样一个 $z$，经过多次更新，噪声会平均掉。但我们还需要这一项对**编码器**的梯度。编码器的 $\mu$ 和 $\sigma$ 是采样所用分布的参数，而采样这一操作不可求导。（原文说，只取一个样本就消除了对 $q$ 的依赖。从公式上看确实如此，但编码器的梯度也随之消失。）
#
# 记编码 $z$ 的代价为 $c(z) = -\log p(x \mid z)$。$\nabla_\mu E_{z \sim q}[c(z)]$ 有两种无偏估计。
#
# - **得分函数**（score function）：$\nabla_\mu \int q c\, dz = \int c\, q\, \nabla_\mu \log q\, dz$，所以估计量是 $c(z)\, \nabla_\mu \log q(z) = c(z)\, (z - \mu) / \sigma^2$。它只需要 $c$ 的值。给 $c$ 加上一个常数，估计的期望不变，噪声却会改变。
# - **重参数化**：采样与编码器无关的 $\epsilon \sim N(0, I)$，再计算 $z = \mu + \sigma \epsilon$。于是 $E_q[c(z)] = E_\epsilon[c(\mu + \sigma\epsilon)]$，梯度可以移到期望里面，估计量是 $\nabla c(z)$。它用到的是 $c$ 的斜率。
#
# 下面比较两者。$c$ 取一个手写数字在未经训练的解码器下的重构损失，每个估计只采样一次。“减去基线”是对第一种方法的常用改进：从 $c$ 中减去它的均值。

# %%
digit = tf.constant(source.images[:1], tf.float32) / 255
untrained = vae.build(config).decoder
mean, std = np.float32([0.5, -0.5]), np.float32(0.3)
draws = notebook.budget(5_000, small=500)
epsilon = np.random.default_rng(3).standard_normal([draws, 2]).astype(np.float32)
z = tf.constant(mean + std * epsilon)
with tf.GradientTape() as tape:
    tape.watch(z)
    cost = vae.reconstruction_loss(digit, untrained(z))
slope, cost = np.float64(tape.gradient(cost, z)), np.float64(cost)[:, None]
score = epsilon / std  # (z - mean) / std^2
estimates = {
    "得分函数": cost * score,
    "得分函数，减去基线": (cost - cost.mean()) * score,
    "重参数化": slope,
}
for name, values in estimates.items():
    mean_of, sd = values.mean(axis=0), values.std(axis=0)
    print(f"均值 {mean_of.round(1)} +- {(sd / draws**0.5).round(1)}，标准差 {sd.round(0)}  {name}")

# %% [markdown]
# 三个均值在误差范围内一致，无偏估计理应如此。“标准差”后面的数是单次采样所得估计的标准差，而每次更新对每张图像只采样一次。用得分函数时，它远大于梯度本身；减去基线之后仍然大于梯度；用重参数化时则小于梯度。正因为把 $z$ 写成 $\mu + \sigma\epsilon$，模型才能训练。在本软件包里，$\epsilon$ 是批次的一部分，因此每次更新都可以精确地重复。
#
# ## 重构项：平方误差与交叉熵
#
# $p(x \mid z)$ 应当取什么形式？解码器给出 $(0, 1)$ 内的 784 个数 $\hat x = f(z)$。常用的有两种假设。
#
# **正态像素**：$x = f(z) + \eta$，噪声 $\eta \sim N(0, s^2 I)$。这时 $-\log p(x \mid z) = \frac{1}{2 s^2} \lVert x - f(z) \rVert^2 + \text{常数}$，负 ELBO 乘以 $2 s^2 = \lambda$，不计常数就是
#
# $$\lVert x - f(z) \rVert^2 + \lambda\, \mathrm{KL}(q(z \mid x) \,\|\, p(z)) .$$
#
# 原文写的是 $-\lambda$。这两项都是代价，所以应当是加号。$\lambda$ 不是可以随意调节的参数，它表示像素的噪声有多大：$\lambda = 1$ 意味着噪声的标准差 $s = 0.7$，而像素值都在 $[0, 1]$ 之内。
#
# **伯努利像素**：每个像素以概率 $\hat x$ 取 1，否则取 0。这时 $-\log p(x \mid z)$ 是交叉熵
#
# $$-\sum_{\text{像素}} \big( x \log \hat x + (1 - x) \log (1 - \hat x) \big) ,$$
#
# 原文用的就是它。（原文公式的第二项误写成 $(1 - y) \times (1 - \log \hat y)$，代码则是对的。）MNIST 的像素是灰度值，因此严格说来这是交叉熵，而不是似然。
#
# 输出 $\hat x = \mathrm{sigmoid}(l)$ 由 logit $l$ 得到。对 $l$ 的梯度，交叉熵是 $\hat x - x$，平方误差是 $2 (\hat x - x)\, \hat x\, (1 - \hat x)$。对于明显错误的像素，交叉熵的梯度最大，平方误差的梯度却几乎为零。

# %%
logit = np.linspace(-8, 8, 200)
x_hat = special.expit(logit)
figures.gradients(logit, x_hat, 2 * x_hat * x_hat * (1 - x_hat))

# %% [markdown]
# ## 初始值
#
# 原文把它的初始化方法叫做 Xavier 初始化。Xavier（Glorot）初始化的方差是 $2 / (\text{fan in} + \text{fan out})$，而原文代码计算的是 $2 / \text{fan in}$，这是 He 初始化；偏置则以自身的长度作为 fan in。（fan in 和 fan out 是一层的输入个数和输出个数。）作者起初用的是 $N(0, 1)$，训练时一直出现 `loss: nan`，才换成现在的方法。我们用你的模型把这三种选择都试一遍。


# %%
def standard_normal(shape, dtype=None):
    return tf.random.normal(shape)


def losses_as_written(model, images, epsilon):
    logits, z_mean, z_log_var = model(images, epsilon)
    x_hat = tf.sigmoid(logits)
    log_p = images * tf.math.log(1e-10 + x_hat) + (1 - images) * tf.math.log(1e-10 + 1 - x_hat)
    kl = -0.5 * tf.reduce_sum(1 + z_log_var - z_mean**2 - tf.exp(z_log_var), axis=1)
    return -tf.reduce_mean(tf.reduce_sum(log_p, axis=[1, 2])), tf.reduce_mean(kl)


glorot = keras.initializers.GlorotNormal(keras.random.SeedGenerator(0))
choices = {
    "N(0, 1)，损失按原文的写法": (standard_normal, losses_as_written),
    "N(0, 1)，损失由 logit 计算": (standard_normal, losses_of),
    "Xavier (Glorot)": (glorot, losses_of),
    "原文的初始化（He）": (article_initial, losses_of),
}
steps = notebook.budget(200, small=10)
print("第 1、2、3、10、200 次更新的损失")
for name, (initial, losses_of_it) in choices.items():
    model, losses = MyVAE(initial), []
    step = training_step(model, losses_of_it)
    for batch in vae.batches(config, source).take(steps):
        images = tf.cast(batch["images"], tf.float32) / 255
        losses.append(float(step(images, batch["epsilon"])))
    print("  ".join(f"{losses[i]:10.4g}" for i in (0, 1, 2, 9, -1)), f" {name}")

# %% [markdown]
# 使用 $N(0, 1)$ 时，512 个隐藏单元加起来，logit 约为 ±20。sigmoid(20) 在 float32 中等于 1，`1e-10 + 1 - x_hat` 就等于 0，它的对数是负无穷，负无穷乘以 0 得 NaN。改由 logit 计算，损失是有限的，但极大，因为 KL 项含有对数方差的指数，更新两百次也无济于事。用 Xavier 或 He 初始化，损失从一开始就下降。
#
# ## 训练
#
# 现在训练本软件包的模型，更新次数是原文 30,000 次的五分之一。Keras 的 `fit` 用法照旧，这里一个 epoch 是 100 次更新。每个 epoch 之后，一个回调函数用 `vae.Report` 计算全部留出集图像上的损失；这个对象持有设置和数据。

# %%
model, report = theirs, vae.Report(config, source)
updates = notebook.budget(6_000, small=100)
batches = vae.batches(config, source).batch(100)
measure = keras.callbacks.LambdaCallback(
    on_epoch_end=lambda epoch, logs: logs.update(report.measure(model))
)
fitting = {"steps_per_epoch": 1, "shuffle": False, "verbose": 0}
history = model.fit(batches, epochs=updates // 100, callbacks=[measure], **fitting).history
print("训练，留出集")
for name in ("loss", "reconstruction", "kl"):
    print(f"{history[name][-1]:6.1f}  {history[f'held_out_{name}'][-1]:6.1f}  {name}")

# %%
article_log = np.array(
    [616.3002,
     169.6044, 163.5006, 166.1648, 161.2366, 155.1714, 153.2840, 161.5571, 152.0021, 159.5550,
     154.6315, 153.8298, 141.5825, 149.7792, 150.9575, 151.2249, 159.3878, 148.7136, 148.5801,
     150.6678, 146.3471, 156.4142, 148.7607, 145.4101, 153.3523, 157.8997, 136.9668, 155.7835,
     137.7291, 153.1723]
)  # fmt: skip
article = np.c_[np.r_[1, 1000 * np.arange(1, 30)], article_log]
later = 20 + 100 * np.arange(1, updates // 100 + 1)  # 前面已经更新了二十次
training = np.c_[np.r_[1:21, later], np.r_[their_losses, history["loss"]]]
figures.training(training, np.c_[later, history["held_out_loss"]], article)

# %% [markdown]
# 圆点是原文日志中的损失，从第 1 步的 616 到第 29,000 步的 153。每个点是一个批次（64 张图像）的损失，所以比较分散。我们的训练集只有 4,500 个数字，原文约有 55,000 个。因此我们的模型对这些数字很快就比对新数字拟合得更好：训练损失降到留出集损失以下。用完整的 MNIST 训练则没有这种差距：用十个随机种子训练，训练集和留出集上的损失最终都在 150 奈特附近，与原文一致（见[模型卡](../../saved_models/vae/README.md)）。
#
# 损失的下降几乎全部来自重构项。KL 项最后是 7.3 奈特，这是区分不同图像的代价：KL 为 0 意味着所有图像的 $q$ 都相同。
#
# ## 故意弄坏模型
#
# 损失的各个部分起什么作用？我们在子类中改变损失，让同样的网络从同样的初始值出发，用同样的批次训练：
#
# - 平方误差，$\lambda = 10$ 和 $\lambda = 1$；
# - 交叉熵，不加 KL 项。剩下的是一个带噪声的普通自编码器，而且编码器可以自行把噪声降到零。


# %%
class Variant(vae.VAE):
    """同样的网络，但两项损失的权重或含义不同。"""

    squared_error, kl_weight = False, 1.0

    def loss_terms(self, batch):
        images = tf.cast(batch["images"], tf.float32) / 255
        z_mean, z_log_var = self.encode(images)
        logits = self.decoder(z_mean + tf.exp(z_log_var / 2) * batch["epsilon"])
        if self.squared_error:
            reconstruction = tf.reduce_sum((images - tf.sigmoid(logits)) ** 2, axis=[1, 2])
        else:
            reconstruction = vae.reconstruction_loss(images, logits)
        return reconstruction, self.kl_weight * vae.kl_divergence(z_mean, z_log_var)


choices = {
    "平方误差，λ = 10": (True, 10.0),
    "平方误差，λ = 1": (True, 1.0),
    "交叉熵，没有 KL 项": (False, 0.0),
}
variants = {"交叉熵": model}
for name in list(choices)[: notebook.budget(3, small=1)]:
    variants[name] = variant = Variant(config)
    variant.squared_error, variant.kl_weight = choices[name]
    variant.compile(vae.RMSpropTF1(0.001, epsilon=1e-10))
    variant.fit(batches, epochs=updates // 100, **fitting)

# %%
held_out, shown = np.float32(source.held_out_images) / 255, []
print("每个像素的平方误差，q(z|x) 标准差的均值，编码的标准差")
for name, variant in variants.items():
    z_mean, z_log_var = (values.numpy() for values in variant.encode(held_out))
    error, spread = np.mean((held_out - variant(held_out)) ** 2), np.exp(z_log_var / 2).mean()
    print(f"{error:8.4f} {spread:8.3f} {z_mean.std():8.1f}  {name}")
    shown.append((name, z_mean, variant.decode(variant.prior(30, [1, 2]))))
figures.latent_spaces(shown, source.held_out_labels)

# %% [markdown]
# 上排是留出集图像的编码，颜色表示数字；圆的半径为 2，先验有 86% 在圆内。下排是从先验采样、由解码器生成的图像。
#
# - $\lambda = 10$ 时 KL 项占了上风：所有编码都在原点附近，$q$ 的标准差几乎等于先验的 1，每次采样得到的几乎都是同一个模糊的图像，即各个数字的平均。这就是**后验坍缩**（posterior collapse）。公式说明了原因：$\lambda = 10$ 意味着像素噪声的标准差 $s = 2.2$，噪声这么大，区分不同的图像就得不偿失。
# - $\lambda = 1$ 时，平方误差与使用交叉熵的模型相近；在更新次数这么少的情况下，从先验采样的结果更好。
# - 用交叉熵时，编码还没有均匀地充满圆。有些采样点落在训练中从未有过编码的地方，解码器在那里只能猜测。在每个像素上，交叉熵的梯度至少是平方误差的两倍，因为 $2 \hat x (1 - \hat x) \le \frac12$。所以 KL 项的相对权重较小，需要更长的时间才能起作用。用完整的 MNIST 更新 30,000 次之后，平面就填满了，如本笔记本的第一张图所示。
# - 去掉 KL 项，重构毫不逊色，但生成的效果很差：从先验采样，许多图像不是数字。$q$ 收缩成点，编码散布的范围远远超出先验；先验的采样只能落在编码的一角，或者落在编码之外。KL 项的作用，就是让数据的编码与先验的采样处在同一个区域。
#
# ## 哪个 z 生成哪个数字？
#
# 从这里开始，我们使用本软件包自带的训练好的模型：设置与原文相同，用 MNIST 的 60,000 张训练图像更新 30,000 次。自带的 5,000 个手写数字属于这 60,000 张，所以我们的留出集对前面训练的模型来说是新的，对这个模型则不是。
#
# 原文解码了三个点：[3, 3]、[0, 0] 和 [0, 5]。

# %%
notebook.picture(plots.mosaic(trained.decode([[3, 3], [0, 0], [0, 5]]), 3, scale=5))

# %% [markdown]
# [3, 3] 和 [0, 5] 都是少见的编码。从 $N(0, I)$ 采样，每 8,000 次才有一次比 [3, 3] 离原点更远，每 270,000 次才有一次比 [0, 5] 更远。这些位置生成什么，取决于训练模型的随机种子。原文最后抱怨说，不知道哪个数字对应哪种噪声。要找出答案，可以看编码器把已知标签的图像放在哪里。下图为每个数字给出两个点和解码得到的图像：一个是该数字编码的均值；另一个是该数字最清晰的编码。（选取的标准是：周围的编码，以及与解码结果相似的图像，属于这个数字的尽可能多。图中的数可以用作 `tf_gen.sample` 的选项 `--z`。）编码的均值可能落在别的数字的编码中间，图中的 2、4 和 5 就是这样。

# %%
z_mean = trained.encode(held_out)
clearest = judge.clearest_points(trained.decode, z_mean, held_out, source.held_out_labels)
plots.latent_map(trained.decode, z_mean, source.held_out_labels, clearest)

# %% [markdown]
# 模型附有一份用 MNIST 的 10,000 张测试图像制作的隐空间分布图 `latent_map.json`。命令 `python -m tf_gen.sample vae --digit 7` 用的就是它，下一个单元格则解码其中的点。十个数字挤在二维平面上，空间很紧：4 夹在 9 中间，5 夹在 3 和 8 中间。所以上图中最清晰的 4 也很像 9，最清晰的 5 也不易辨认。

# %%
latent_map = json.loads((trained.path / "latent_map.json").read_text())
points = np.float32(list(latent_map["labels"].values()))
print("  ".join(f"{label}: ({a:.2f}, {b:.2f})" for label, (a, b) in latent_map["labels"].items()))
notebook.picture(plots.mosaic(trained.decode(points), 10))

# %% [markdown]
# **探索隐空间。** 在平面上移动鼠标，解码器随即生成相应的图像。写一个数字，编码器就用一个点表示均值，用椭圆表示两个标准差。不需要运行笔记本就能使用。在禁用脚本的网站上（例如 GitHub），框内是空白，可以看后面的两行数字，或者运行 `python -m tf_gen.explore vae --open`。

# %%
with tempfile.TemporaryDirectory() as directory:
    path = Path(directory, "explorer.html")
    explorer.write(trained.path, path, "vae", source)
    page = notebook.page(path)
page

# %% [markdown]
# 下图沿平面走两趟：先是 $z_0$ 从 −3 到 3（$z_1 = 0$），再是 $z_1$ 从 −3 到 3（$z_0 = 0$）。

# %%
walk = np.linspace(-3, 3, 15)
walks = np.concatenate([np.c_[walk, 0 * walk], np.c_[0 * walk, walk]])
notebook.picture(plots.mosaic(trained.decode(walks), 15, scale=2))

# %% [markdown]
# ## 保存、加载、使用解码器
#
# 原文只保存了重构运算，它的输入是图像。作者只好从计算图里取出十个变量，手工重建解码器。这里由模型自己列出各个函数、输入的类型和输出的名称，每个函数在保存的文件中都是一个**签名**（signature）：

# %%
notebook.source(vae.VAE.signatures)

# %%
with tempfile.TemporaryDirectory() as directory:
    path = Path(directory, "my_vae")
    savedmodel.write(model, path, {"model": "vae", "config": dataclasses.asdict(config)})
    loaded = tf.saved_model.load(str(path))
    files = sorted(str(p.relative_to(path)) for p in path.rglob("*") if p.is_file())
print(*files, sep="\n")
print(", ".join(sorted(loaded.signatures)))
z = tf.constant([[0.0, 0.0]])
same = np.abs(loaded.signatures["decode"](z=z)["images"] - model.decode(z)).max()
print(f"与内存中的模型的最大差异：{same:.0e}")

# %% [markdown]
# 在别处使用训练好的解码器，只需要 TensorFlow：
#
# ```python
# import tensorflow as tf
#
# model = tf.saved_model.load("saved_models/vae")
# images = model.signatures["decode"](z=tf.constant([[3.0, 3.0]]))["images"]
# ```
#
# 在命令行中：
#
# ```sh
# python -m tf_gen.train vae
# python -m tf_gen.sample vae --z 3,3 --z 0,0 --z 0,5 --out three.png
# python -m tf_gen.sample vae --digit 7 --out seven.png
# python -m tf_gen.sample vae --interpolate 1 8 --out way.png
# ```
#
# 整个模型写在一个文件里：[tf_gen/models/vae.py](../../tf_gen/models/vae.py)。[模型卡](../../saved_models/vae/README.md)列出了各项指标和签名，并说明如何部署解码器，或者把它放到手机上。
#
# ## 进阶：概率、似然与两大学派
#
# 原文从参数估计的基础讲起。一枚硬币正面向上的概率是 $\theta$。抛十次，正面向上的次数服从分布
#
# $$p(k \mid \theta) = \binom{10}{k}\, \theta^k (1 - \theta)^{10-k}.$$
#
# 这个式子有两种读法。
#
# - **概率**：已知 $\theta$，问 $k$。一枚均匀的硬币抛十次，十次都是正面的概率有多大？
# - **似然**：已经观测到 $k$，问 $\theta$。抛十次有七次正面，各个 $\theta$ 能在多大程度上解释这一结果？同一个数看作 $\theta$ 的函数，记为 $L(\theta \mid k)$。它不是 $\theta$ 的密度，积分不等于 1。

# %%
heads, theta = np.arange(11), np.linspace(0, 1, 201)
fair, likelihood = stats.binom.pmf(heads, 10, 0.5), stats.binom.pmf(7, 10, theta)
print(f"均匀硬币十次都是正面：{fair[10]:.5f} = 1/1024")
print(f"{fair.sum():.3f}  左图之和")
print(f"{likelihood[:-1].sum() / 200:.3f}  右图的积分")
figures.coin(heads, fair, theta, likelihood)

# %% [markdown]
# 统计学的两大学派对这个式子有不同的用法。
#
# **频率学派**认为 $\theta$ 是一个固定而未知的数，数据才是随机的。好的估计，是在重复试验时很少远离真值的估计。极大似然估计就是这样一种估计：它取使数据出现的概率最大的 $\theta$，这里是 0.7。
#
# **贝叶斯学派**认为 $\theta$ 本身也有分布，表示我们对它的了解。试验之前的分布是**先验**；贝叶斯公式把它变成**后验** $p(\theta \mid k) \propto p(k \mid \theta)\, p(\theta)$。如果先验是均匀分布，后验就是右图除以它的积分：一个 Beta 分布，均值为 $8/12 = 0.67$。
#
# VAE 兼取两家之长。它的权重是固定的数，由极大似然估计（的下界）求得；它的隐变量 $z$ 有先验，编码器则近似后验。
#
# ## 进阶：正态分布的极大似然估计
#
# 设 $x_1, \dots, x_n$ 独立地取自 $N(\mu, \sigma^2)$。它们的联合密度是乘积，取对数后变成求和，最大值点不变：
#
# $$L(\mu, \sigma) = \sum_{i=1}^n \log p(x_i \mid \mu, \sigma)
#   = -n \log \sigma - \frac n2 \log 2\pi - \frac{1}{2\sigma^2} \sum_{i=1}^n (x_i - \mu)^2 .$$
#
# （原文的公式把 $\log p(x \mid \theta)$ 误写成了 $\log p(x \mid D)$。竖线后面应当是参数，而不是数据。）在最大值处，两个偏导数都为零：
#
# $$\frac{\partial L}{\partial \mu} = \frac{1}{\sigma^2} \sum_i (x_i - \mu) = 0
#   \;\Rightarrow\; \hat\mu = \frac1n \sum_i x_i, \qquad
#   \frac{\partial L}{\partial \sigma} = -\frac n\sigma
#   + \frac{1}{\sigma^3} \sum_i (x_i - \mu)^2 = 0
#   \;\Rightarrow\; \hat\sigma^2 = \frac1n \sum_i (x_i - \hat\mu)^2 .$$
#
# 所以最优的正态分布，均值和方差就是数据的均值和方差。我们抽取 100 个点，在 $(\mu, \sigma)$ 的网格上计算 $L$，把最大值的位置与公式的结果作比较。

# %%
x = np.random.default_rng(0).normal(4.0, 1.5, 100)
mu, sigma = np.meshgrid(np.linspace(3, 5, 201), np.linspace(1, 2.5, 301))
log_likelihood = stats.norm.logpdf(x[:, None, None], mu, sigma).sum(axis=0)
best = np.unravel_index(log_likelihood.argmax(), mu.shape)
print(f"mu {mu[best]:.3f}, sigma {sigma[best]:.3f}  网格上的最优值")
print(f"mu {x.mean():.3f}, sigma {x.std():.3f}  由公式得到")
figures.log_likelihood(mu, sigma, log_likelihood, (x.mean(), x.std()))

# %% [markdown]
# ## 进阶：EM 算法
#
# 现在每个点来自两个正态分布之一，但我们不知道是哪一个。模型中每个点都有一个隐变量 $z_i \in \{1, 2\}$：
#
# $$p(z = k) = \pi_k, \qquad p(x \mid z = k) = N(x; \mu_k, \sigma_k^2), \qquad
#   p(x) = \sum_k \pi_k\, N(x; \mu_k, \sigma_k^2) .$$
#
# 这时对数里面是一个和，令导数为零得不到公式。如果知道各个 $z_i$，就有公式：每个正态分布的均值和方差，就是属于它的那些点的均值和方差。如果知道参数 $\theta$，贝叶斯公式就能给出每个 $z_i$ 的概率。**期望最大化**（expectation-maximisation，EM）算法轮流做这两件事，从任意的初始值 $\theta^{(0)}$ 开始：
#
# - **E 步**：计算隐变量的后验 $r_{ik} = p(z_i = k \mid x_i, \theta^{(t)})$，由此得到数据与隐变量的联合对数似然的期望
#   $$Q(\theta, \theta^{(t)}) = \sum_i \sum_k r_{ik} \log p(x_i, z_i = k \mid \theta) .$$
# - **M 步**：$\theta^{(t+1)} = \arg\max_\theta Q(\theta, \theta^{(t)})$。这是以 $r_{ik}$ 为权重的极大似然估计：加权均值、加权方差，$\pi_k$ 是权重的平均值。

# %%
rng = np.random.default_rng(1)
x = np.concatenate([rng.normal(-1.0, 0.6, 120), rng.normal(2.0, 1.0, 180)])


def log_joint_of(pi, mu, sigma):
    """log p(x_i, z_i = k)：[点, 成分]。"""
    return np.log(pi) + stats.norm.logpdf(x[:, None], mu, sigma)


pi, mu, sigma = np.array([0.5, 0.5]), np.array([0.0, 0.5]), np.array([1.0, 1.0])
course = []
for _ in range(101):
    log_joint = log_joint_of(pi, mu, sigma)
    log_p = special.logsumexp(log_joint, axis=1)
    course.append((log_p.sum(), pi, mu, sigma))
    r = np.exp(log_joint - log_p[:, None])  # E 步：[点, 成分]
    pi = r.mean(axis=0)  # M 步：三个加权公式
    mu = (r * x[:, None]).sum(axis=0) / r.sum(axis=0)
    sigma = np.sqrt((r * (x[:, None] - mu) ** 2).sum(axis=0) / r.sum(axis=0))

log_likelihoods = np.array([step[0] for step in course])
print(f"从不下降：{np.all(np.diff(log_likelihoods) > -1e-9)}")
print(f"mu {mu.round(3)}, sigma {sigma.round(3)}, pi {pi.round(3)}  100 次迭代之后")
fitted = GaussianMixture(2, tol=1e-8, max_iter=1000, random_state=0).fit(x[:, None])
print(f"mu {np.sort(fitted.means_[:, 0]).round(3)}  由 scikit-learn 得到")

# %%
grid, densities = np.linspace(-4, 6, 300), {}
for number in (0, 3, 10, 100):
    weights, means, stds = course[number][1:]
    densities[number] = stats.norm.pdf(grid[:, None], means, stds) @ weights
figures.mixture(x, grid, densities, log_likelihoods[:31])

# %% [markdown]
# 为什么似然从不下降？对点 $i$ 的隐变量任取一个分布 $q_i$，都有
#
# $$\log p(x_i) =
#   \underbrace{\sum_k q_{ik} \log \frac{p(x_i, z_i = k)}{q_{ik}}}_{\mathcal L(q_i, \theta)}
#   + \underbrace{\sum_k q_{ik} \log \frac{q_{ik}}{p(z_i = k \mid x_i)}}_{\mathrm{KL}(q_i \,\|\,
#   p(z_i \mid x_i))} ,$$
#
# 因为 $p(x_i, z_i) = p(z_i \mid x_i)\, p(x_i)$，而且各个 $q_{ik}$ 之和为 1。KL 散度总是非负。（在 $-\log t \ge 1 - t$ 中取 $t = p / q$，再对 $q$ 求平均即得。）所以无论 $q$ 是什么，$\mathcal L$ 都是对数似然的下界，它就是前面的 ELBO。E 步把 $q$ 取为后验，KL 为 0，下界与对数似然**相切**。M 步改变 $\theta$，使下界升高；对数似然在下界之上，所以至少上升同样多。原文说，EM 算法很像坐标下降法。确切地说，它是在 $\mathcal L$ 上做坐标上升：先沿 $q$，再沿 $\theta$。
#
# （原文说，E 步之后 $Q$“近似于对数似然函数”。准确地说，下界等于 $Q$ 加上 $q$ 的熵，与对数似然相等的是这个和。）
#
# 我们只改变一个参数 $\mu_2$，画出这两条曲线，其中下界用的是第一次 E 步得到的 $q$。

# %%
_, pi, mu, sigma = course[0]
log_joint = log_joint_of(pi, mu, sigma)
q = np.exp(log_joint - special.logsumexp(log_joint, axis=1, keepdims=True))
moved = np.linspace(mu[1] - 1, mu[1] + 3, 161)
joints = [log_joint_of(pi, np.array([mu[0], m]), sigma) for m in moved]
bound = [np.sum(q * (joint - np.log(q))) for joint in joints]
exact = [special.logsumexp(joint, axis=1).sum() for joint in joints]
largest = np.max(np.subtract(bound, exact))
print(f"下界减对数似然的最大值：{largest:.1e}（从不大于 0）")
figures.bound(moved, exact, bound, mu[1])

# %% [markdown]
# VAE 的 E 步无法精确求解，因为 $z$ 的后验没有公式。编码器用一个正态分布来近似后验，它与后验的 KL 散度不为 0，下界也就不再与对数似然相切。此外，编码器和解码器不是轮流更新，而是沿着同一个下界的梯度同时上升。
#
# ## 进阶：编码器的 E 步有多准确？
#
# 在二维的情形，我们可以做到一般情况下做不到的事：在平面的细网格上算出后验，从而算出积分 $p(x)$。这样就能看到编码器近似的是什么，并用数值检验方框中的等式。下图中的颜色表示后验，白色椭圆表示 $q(z \mid x)$ 的两个标准差。

# %%
n = notebook.budget(400, small=60)
fine = np.linspace(-4, 4, n)
area = (fine[1] - fine[0]) ** 2
plane = plots.plane(list(fine))


def log_joint_of_images(images, z):
    """log p(x|z) + log p(z)：[图像, 点]。"""
    x, joint = images.reshape(len(images), -1), []
    for part in np.array_split(z, 40):
        x_hat = np.float64(trained.decode(part).reshape(len(part), -1))
        log_p = x @ np.log(x_hat + 1e-10).T + (1 - x) @ np.log(1 - x_hat + 1e-10).T
        joint.append(log_p + stats.norm.logpdf(part).sum(axis=1))
    return np.concatenate(joint, axis=1)


some = held_out[[15, 120, 240, 420]]
log_joint = log_joint_of_images(some, plane)
log_p = special.logsumexp(log_joint, axis=1) + np.log(area)
log_posterior = log_joint - log_p[:, None]
encode = tf.saved_model.load(str(trained.path)).signatures["encode"]
codes = {name: values.numpy() for name, values in encode(images=tf.constant(some)).items()}
means, stds = codes["z_mean"], np.exp(codes["z_log_var"] / 2)

# %%
rng, draws = np.random.default_rng(4), notebook.budget(2_000, small=100)
log_prior = stats.norm.logpdf(plane).sum(axis=1)
print("log p(x)，ELBO，KL(q, 后验)，ELBO + KL，用先验作 q 的 ELBO")
for i, (mean, std) in enumerate(zip(means, stds, strict=True)):
    log_q = stats.norm.logpdf(plane, mean, std).sum(axis=1)
    gap = np.sum(np.exp(log_q) * (log_q - log_posterior[i])) * area
    z = mean + std * rng.standard_normal([draws, 2])
    terms = log_joint_of_images(some[i : i + 1], z)[0] - stats.norm.logpdf(z, mean, std).sum(axis=1)
    elbo, error = terms.mean(), terms.std() / draws**0.5
    by_prior = np.sum(np.exp(log_prior) * (log_joint[i] - log_prior)) * area
    print(f"{log_p[i]:8.2f}  {elbo:8.2f} +- {error:.2f}  {gap:6.2f}", end="  ")
    print(f"{elbo + gap:8.2f}  {by_prior:8.2f}")
figures.posteriors(some, np.exp(log_posterior).reshape(-1, n, n), 4, means, stds)

# %% [markdown]
# ELBO 与 KL 之和在采样误差范围内等于 $\log p(x)$。（ELBO 是采样的平均值，其余的数是在网格上求和得到的。由于像素是灰度值，这里的 $p(x \mid z)$ 指的是 $e^{-\text{交叉熵}}$。）编码器的协方差是对角阵，所以椭圆的轴与坐标轴平行；后验却可能倾斜，例如 0 和 8，这会损失约 1 奈特。如果 $q$ 偏离了后验，损失就更大：4 损失约 5 奈特，2 损失约 20 奈特，因为解码器在另一个位置生成的图像更像这个 2。一个编码器要服务于所有图像，不可能对每张图像都精确。
#
# 最后一列是用先验作为 $q$ 得到的下界，这个 $q$ 不依赖于 $x$。它比前面的下界低一百多个奈特。
#
# ## 小结
#
# - VAE 由编码器和解码器组成，前者计算 $q(z \mid x)$，后者计算 $p(x \mid z)$。损失是负 ELBO，即重构项加上 $\mathrm{KL}(q(z \mid x) \,\|\, p(z))$。
# - ELBO 低于 $\log p(x)$，差距恰好是 $\mathrm{KL}(q(z \mid x) \,\|\, p(z \mid x))$。
# - 重参数化 $z = \mu + \sigma \epsilon$ 让梯度能够通过采样器，噪声远小于得分函数。
# - 没有 KL 项，生成的效果很差；KL 项权重过大，就会发生后验坍缩。
# - 交叉熵和平方误差对应像素噪声的两种假设，因此 KL 项的相对权重也不同。
# - 如果隐空间是二维的，就可以画成一张图，看出哪个 $z$ 生成哪个数字。
#
# ## 动手改一改
#
# 下面的改动都针对本笔记本开头的 `MyVAE` 及其训练。每次改动之后，从那里重新运行到生成图像的单元格。这时断言会失败，因为你的模型已经与本软件包的不同了，把断言注释掉即可。不作改动时，1,520 次更新之后的损失是 170.0。
#
# 1. 把两个网络中的 `"tanh"` 换成 `"relu"`。relu 单元没有上界，所以最初的损失会更高，最后的损失则更低（我们得到 829.1 和 163.4）。
# 2. 把 RMSProp 换成 `keras.optimizers.Adam(0.001)`，去掉对其变量的循环。开始时会学得更快（20 次更新之后是 221.3，而不是 267.7；最后是 166.6）。
# 3. 在 `loss = ...` 一行中用 `5 * kl` 代替 `kl`。重构会变差，但平面上几乎没有白底的图像：编码留在先验集中的区域。（这个损失不能与前面的相比。）
#
# ## 参考文献
#
# - D. P. Kingma, M. Welling, *Auto-Encoding Variational Bayes*, 2013, [arXiv:1312.6114](https://arxiv.org/abs/1312.6114)。提出 VAE 的论文，附录 B 给出了 KL 项的闭式解。
# - C. Doersch, *Tutorial on Variational Autoencoders*, 2016, [arXiv:1606.05908](https://arxiv.org/abs/1606.05908)。原文依据的教程，重参数化前后的两张图就出自这里。
# - D. J. Rezende, S. Mohamed, D. Wierstra, *Stochastic Backpropagation and Approximate Inference in Deep Generative Models*, 2014, [arXiv:1401.4082](https://arxiv.org/abs/1401.4082)。独立提出了同样的想法。
# - D. M. Blei, A. Kucukelbir, J. D. McAuliffe, *Variational Inference: A Review for Statisticians*, 2016, [arXiv:1601.00670](https://arxiv.org/abs/1601.00670)。配合“进阶”小节阅读：从 EM 到变分推断。
# - Y. Burda, R. Grosse, R. Salakhutdinov, *Importance Weighted Autoencoders*, 2015, [arXiv:1509.00519](https://arxiv.org/abs/1509.00519)。练习 3 中更紧的下界。
# - I. Higgins 等，*beta-VAE*, ICLR 2017, [openreview.net/forum?id=Sy2fzU9gl](https://openreview.net/forum?id=Sy2fzU9gl)。说明增大 KL 项的权重有什么用处。
#
# 下一篇：[2. 学习高斯分布的 GAN](02_gaussian_gan.ipynb)，它不用似然也能学会生成。
#
# ## 练习
#
# 每道题后面是答案，点击即可展开。
#
# **1.** 极大似然估计 $\hat\sigma^2$ 除以的是 $n$。抽取许多组样本，每组五个点，说明它平均而言偏小，并求出它是真值的几分之几。

# %% tags=["answer"]
samples = np.random.default_rng(5).normal(4.0, 1.5, [100_000, 5])
print(f"{samples.var(axis=1).mean() / 1.5**2:.3f}  估计的平均值除以真实的方差")
print(f"{4 / 5:.3f}  (n - 1) / n")
# 样本均值比真实的均值更靠近样本中的点。

# %% [markdown]
# **2.** 让 EM 从两个完全相同的成分开始。会发生什么，为什么？

# %% tags=["answer"]
pi, mu, sigma = np.array([0.5, 0.5]), np.array([0.0, 0.0]), np.array([1.0, 1.0])
for _ in range(20):
    r = special.softmax(log_joint_of(pi, mu, sigma), axis=1)
    pi, mu = r.mean(axis=0), (r * x[:, None]).sum(axis=0) / r.sum(axis=0)
    sigma = np.sqrt((r * (x[:, None] - mu) ** 2).sum(axis=0) / r.sum(axis=0))
print(f"mu {mu.round(3)}, sigma {sigma.round(3)}")
print(f"所有点的均值和标准差：{x.mean():.3f}，{x.std():.3f}")
# 所有 r 都是 1/2，两个成分得到同样的更新。EM 离不开这个鞍点。

# %% [markdown]
# **3.** `vae.importance_bound` 从 $q$ 抽取 $k$ 个 $z$，返回权重 $p(x, z) / q(z \mid x)$ 的平均值的对数（Burda 等）。验证它随 $k$ 增大而上升，趋于 $\log p(x)$。

# %% tags=["answer"]
for k in (1, 10, 100):
    print(f"k = {k:3}: {vae.importance_bound(model, held_out[::5], k):.2f} 奈特")
# k = 1 时就是 ELBO。由 Jensen 不等式，均值的对数平均而言偏小。
# 采样次数越多，均值的波动越小，损失也越少。

# %% [markdown]
# **4.** 十维的隐空间好多少？用同样多的更新次数训练一个，作比较。

# %% tags=["answer"]
wide_config = dataclasses.replace(config, latent_dim=notebook.budget(10, small=2))
wide = vae.build(wide_config) if wide_config != config else model
wide.fit(vae.batches(wide_config, source).batch(100), epochs=updates // 100, **fitting)
for name, some_model, c in (("2", model, config), ("10", wide, wide_config)):
    losses = vae.Report(c, source).measure(some_model)
    print(name, {key.removeprefix("held_out_"): round(value, 1) for key, value in losses.items()})
# 编码包含的信息更多，所以 KL 项多出约 12 奈特；重构项减少的则多得多。

# %% [markdown]
# **5.** 在训练好的模型的平面上，从清晰的 3 走到清晰的 8，途中经过什么？

# %% tags=["answer"]
a, b = (np.array(latent_map["labels"][label]) for label in "38")
notebook.picture(plots.mosaic(trained.decode(np.linspace(a, b, 15)), 15, scale=2))
# 先是 3，然后是 8。中间的图像都像数字：KL 项没有留下空隙。
