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
# # 1. 变分自编码器：由两个数得到一个手写数字
#
# 本笔记本依据的文章是“TensorFlow-windows”系列的学习笔记六《变分自编码器》（variational autoencoder），那篇文章又依据 Kingma 与 Welling 的论文（arXiv:1312.6114）和 Doersch 的教程（arXiv:1606.05908）。原文自称“理论一堆，而且还有点复杂”。在这里，理论的每一步都先推导出来，再用程序运行一遍。
#
# 读完之后，你会明白变分自编码器的损失为什么由那样两项组成；你会亲手训练一个变分自编码器，再去掉其中一项，故意弄坏一个；最后得到一个解码器，它能把两个数变成一个手写数字。你还会得到原文作者没能得到的东西：一张图，标明哪两个数生成哪个数字。
#
# **需要** Python、一点 Keras，以及微积分和概率论的基础课知识：密度、期望、贝叶斯公式。不需要 GPU，也不用下载数据：我们用一个软件包自带的 5,000 个真实手写数字来训练。第一个单元格会在缺少 tf_gen 的环境里自动安装它。
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
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from scipy import special, stats
from sklearn.mixture import GaussianMixture

from tf_gen import explorer, mnist, plots, savedmodel
from tf_gen.models import vae
from tf_gen.tasks import judge

# %% [markdown]
# ## 概率与似然
#
# 一枚硬币正面向上的概率是 $\theta$。抛十次，正面向上的次数服从分布
#
# $$p(k \mid \theta) = \binom{10}{k}\, \theta^k (1 - \theta)^{10-k}.$$
#
# 同一个式子有两种读法。
#
# - **概率**：已知 $\theta$，问 $k$。一枚均匀的硬币抛十次，十次都是正面的概率有多大？
# - **似然**：已经观测到 $k$，问 $\theta$。抛十次有七次正面，各个 $\theta$ 对这一结果的解释有多好？同一个数，看作 $\theta$ 的函数时记为 $L(\theta \mid k)$。它不是 $\theta$ 的密度：积分不等于 1。

# %%
heads, theta = np.arange(11), np.linspace(0, 1, 201)
likelihood = stats.binom.pmf(7, 10, theta)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 2.8), layout="constrained")
left.bar(heads, stats.binom.pmf(heads, 10, 0.5))
left.set(xlabel="heads of 10", title="probability of each outcome, fair coin")
right.plot(theta, likelihood)
right.axvline(0.7, color="grey", linestyle="--")
right.set(xlabel="theta", title="likelihood of each coin, 7 heads of 10")
plt.show()
print(f"ten heads with a fair coin: {stats.binom.pmf(10, 10, 0.5):.5f} = 1/1024")
print(f"sum of the left picture:      {stats.binom.pmf(heads, 10, 0.5).sum():.3f}")
print(f"integral of the right one:    {likelihood[:-1].sum() / 200:.3f}")

# %% [markdown]
# ## 高斯分布的极大似然估计
#
# **极大似然估计**选取使数据出现的概率最大的参数。设 $x_1, \dots, x_n$ 独立地取自 $N(\mu, \sigma^2)$。它们的联合密度是一个乘积，取对数就变成求和，而最大值点不变：
#
# $$L(\mu, \sigma) = \sum_{i=1}^n \log p(x_i \mid \mu, \sigma)
#   = -n \log \sigma - \frac n2 \log 2\pi - \frac{1}{2\sigma^2} \sum_{i=1}^n (x_i - \mu)^2 .$$
#
# （原文的这个式子里，最后一个 $\theta$ 误写成了 $D$，即 $\log p(x \mid D)$。竖线后面应当是参数，而不是数据。）在最大值处，两个偏导数都为零：
#
# $$\frac{\partial L}{\partial \mu} = \frac{1}{\sigma^2} \sum_i (x_i - \mu) = 0
#   \;\Rightarrow\; \hat\mu = \frac1n \sum_i x_i, \qquad
#   \frac{\partial L}{\partial \sigma} = -\frac n\sigma
#   + \frac{1}{\sigma^3} \sum_i (x_i - \mu)^2 = 0
#   \;\Rightarrow\; \hat\sigma^2 = \frac1n \sum_i (x_i - \hat\mu)^2 .$$
#
# 最好的高斯分布，均值和方差就是数据的均值和方差。我们抽取 100 个点，在 $(\mu, \sigma)$ 的网格上计算 $L$，再把最大值的位置与公式的结果作比较。

# %%
x = np.random.default_rng(0).normal(4.0, 1.5, 100)
mu, sigma = np.meshgrid(np.linspace(3, 5, 201), np.linspace(1, 2.5, 301))
log_likelihood = stats.norm.logpdf(x[:, None, None], mu, sigma).sum(axis=0)
best = np.unravel_index(log_likelihood.argmax(), mu.shape)
plt.figure(figsize=(5, 3.2))
plt.contour(mu, sigma, log_likelihood, levels=log_likelihood.max() - np.arange(12)[::-1] ** 2 / 2)
plt.plot(x.mean(), x.std(), "k+", markersize=12)
plt.xlabel("$\\mu$")
plt.ylabel("$\\sigma$")
plt.title("log-likelihood of 100 points, and the formulas' maximum (+)")
plt.show()
print(f"best on the grid: mu {mu[best]:.3f}, sigma {sigma[best]:.3f}")
print(f"by the formulas:  mu {x.mean():.3f}, sigma {x.std():.3f}")

# %% [markdown]
# ## 隐变量：EM 算法
#
# 现在每个点来自两个高斯分布之一，但没有人告诉我们是哪一个。于是模型中每个点都有一个**隐变量**（hidden variable，也叫 latent variable）$z_i \in \{1, 2\}$：
#
# $$p(z = k) = \pi_k, \qquad p(x \mid z = k) = N(x; \mu_k, \sigma_k^2), \qquad
#   p(x) = \sum_k \pi_k\, N(x; \mu_k, \sigma_k^2) .$$
#
# 这时对数里面是一个和，令导数为零不再能得到公式。如果知道各个 $z_i$，公式就有了：每个高斯分布的均值和方差，就是它自己那些点的均值和方差。如果知道参数 $\theta$，又可以用贝叶斯公式算出每个 $z_i$ 取各个值的概率。**期望最大化**（expectation-maximisation，EM）算法从任意的初始猜测 $\theta^{(0)}$ 出发，轮流做这两件事：
#
# - **E 步**：求隐变量的后验 $r_{ik} = p(z_i = k \mid x_i, \theta^{(t)})$，由它得到数据与隐变量的联合对数似然的期望
#   $$Q(\theta, \theta^{(t)}) = \sum_i \sum_k r_{ik} \log p(x_i, z_i = k \mid \theta) .$$
# - **M 步**：$\theta^{(t+1)} = \arg\max_\theta Q(\theta, \theta^{(t)})$，也就是以 $r_{ik}$ 为权重的极大似然估计：加权均值、加权方差，$\pi_k$ 则是权重的平均值。

# %%
rng = np.random.default_rng(1)
x = np.concatenate([rng.normal(-1.0, 0.6, 120), rng.normal(2.0, 1.0, 180)])


def log_joint_of(pi, mu, sigma):
    """log p(x_i, z_i = k): [points, components]."""
    return np.log(pi) + stats.norm.logpdf(x[:, None], mu, sigma)


pi, mu, sigma = np.array([0.5, 0.5]), np.array([0.0, 0.5]), np.array([1.0, 1.0])
course = []
for _ in range(101):
    log_joint = log_joint_of(pi, mu, sigma)
    log_p = special.logsumexp(log_joint, axis=1)
    course.append((log_p.sum(), pi, mu, sigma))
    r = np.exp(log_joint - log_p[:, None])  # E step: [points, components]
    pi = r.mean(axis=0)  # M step, three weighted formulas
    mu = (r * x[:, None]).sum(axis=0) / r.sum(axis=0)
    sigma = np.sqrt((r * (x[:, None] - mu) ** 2).sum(axis=0) / r.sum(axis=0))

log_likelihoods = np.array([step[0] for step in course])
print(f"it never falls: {np.all(np.diff(log_likelihoods) > -1e-9)}")
print(f"after 100 iterations: mu {mu.round(3)}, sigma {sigma.round(3)}, pi {pi.round(3)}")
fitted = GaussianMixture(2, tol=1e-8, max_iter=1000, random_state=0).fit(x[:, None])
order = fitted.means_[:, 0].argsort()
print(f"scikit-learn's:       mu {fitted.means_[order, 0].round(3)}")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3), layout="constrained")
left.hist(x, bins=40, density=True, color="lightgrey")
grid = np.linspace(-4, 6, 300)
for number in (0, 3, 10, 100):
    _, *parameters = course[number]
    density = sum(p * stats.norm.pdf(grid, m, s) for p, m, s in zip(*parameters, strict=True))
    left.plot(grid, density, label=f"after {number} iterations")
left.legend(fontsize=8)
left.set(xlabel="x", title="data and mixture")
right.plot(log_likelihoods[:31])
right.set(xlabel="iteration", title="log-likelihood")
plt.show()

# %% [markdown]
# 为什么似然从不下降？对点 $i$ 的隐变量任取一个分布 $q_i$，都有
#
# $$\log p(x_i) =
#   \underbrace{\sum_k q_{ik} \log \frac{p(x_i, z_i = k)}{q_{ik}}}_{\mathcal L(q_i, \theta)}
#   + \underbrace{\sum_k q_{ik} \log \frac{q_{ik}}{p(z_i = k \mid x_i)}}_{\mathrm{KL}(q_i \,\|\,
#   p(z_i \mid x_i))} ,$$
#
# 因为 $p(x_i, z_i) = p(z_i \mid x_i)\, p(x_i)$，而且各个 $q_{ik}$ 之和为 1。KL（Kullback-Leibler）散度永不为负（在 $-\log t \ge 1 - t$ 中取 $t = p / q$，再对 $q$ 求平均即得），所以无论 $q$ 是什么，$\mathcal L$ 都是对数似然的下界。E 步把 $q$ 取为后验：KL 为 0，下界**触及**对数似然。M 步移动 $\theta$ 来抬高下界；对数似然在下界之上，所以至少上升了同样多。原文说 EM 算法让人感觉很像坐标下降法。确实如此：它是在 $\mathcal L$ 上做坐标上升，先沿 $q$，再沿 $\theta$。
#
# （原文说此时 $Q$“近似于对数似然函数”。准确地说：下界等于 $Q$ 加上 $q$ 的熵，与对数似然相等的是这个和。）
#
# 我们只移动一个参数 $\mu_2$，画出两条曲线，其中下界用第一次 E 步得到的 $q$。

# %%
_, pi, mu, sigma = course[0]
log_joint = log_joint_of(pi, mu, sigma)
q = np.exp(log_joint - special.logsumexp(log_joint, axis=1, keepdims=True))
moved = np.linspace(mu[1] - 1, mu[1] + 3, 161)
joints = [log_joint_of(pi, np.array([mu[0], m]), sigma) for m in moved]
bound = [np.sum(q * (joint - np.log(q))) for joint in joints]
exact = [special.logsumexp(joint, axis=1).sum() for joint in joints]
plt.figure(figsize=(6, 3))
plt.plot(moved, exact, label="log-likelihood")
plt.plot(moved, bound, label="bound, q of the E step at the dot")
plt.plot(mu[1], np.interp(mu[1], moved, exact), "ko")
plt.xlabel("$\\mu_2$")
plt.legend()
plt.show()
print(
    f"largest bound minus log-likelihood: {np.max(np.subtract(bound, exact)):.1e} (never above 0)"
)

# %% [markdown]
# ## 变分推断：做不到的 E 步
#
# 现在我们想给图像建立同样形式的模型，隐变量 $z$ 是两个实数，神经网络 $f$ 是**解码器**：
#
# $$z \sim p(z) = N(0, I), \qquad x \mid z \sim p(x \mid z), \text{ 其参数为 } f(z) .$$
#
# E 步需要后验
#
# $$p(z \mid x) = \frac{p(x \mid z)\, p(z)}{p(x)}, \qquad p(x) = \int p(x \mid z)\, p(z)\, dz ,$$
#
# 而这个积分要遍历所有编码，被积函数里又有神经网络，没有公式可用。盲目抽样也无济于事：对给定的图像，从先验抽出的 $z$ 几乎全都使 $p(x \mid z)$ 近乎为零。
#
# **变分推断**只把 E 步做到一定程度。它先取定一族简单分布，例如协方差为对角阵的所有高斯分布（这样一来，给定 $x$ 时 $z$ 的各坐标相互独立，这就是原文的分解 $\prod_i q_i(z_i)$），再从中选出使下界 $\mathcal L$ 最大的 $q$。下界不再触及 $\log p(x)$，所差的恰好是 $\mathrm{KL}(q \,\|\, p(z \mid x))$。

# %% [markdown]
# ## 一步一步推导 ELBO
#
# 这个下界有个名字，叫**证据下界**（evidence lower bound，ELBO）。从 $q$ 与后验的差距出发，依次用到 KL 散度的定义、贝叶斯公式，以及 $\log p(x)$ 与 $z$ 无关：
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
# 左边是我们想要的：$\log p(x)$ 大，$q$ 又接近后验。这两项都无法计算。右边是可以计算的：一项是**重构**，即从 $q$ 抽出的编码对图像解释得有多好；另一项是 **KL 项**，即 $q$ 离先验有多远。
#
# **为什么 $q$ 可以依赖于 $x$。** 上面的推导对任何 $q$ 都成立，而且每次只针对一张图像，$x$ 自始至终是固定的。所以我们可以为每张图像另选一个 $q$，而且应当这样做：数字 3 的后验与数字 7 的后验不在同一处，一个 $q$ 要同时照顾所有图像，就离哪一个都很远。EM 也是这样做的：每个点都有自己的 $r_i$。我们不必为每张图像存一个 $q_i$，而是用第二个网络，即**编码器**，由 $x$ 算出 $q$ 的参数。这样算得快，对从未见过的图像也适用。这叫做**摊销推断**，这样的分布记为 $q(z \mid x)$：
#
# $$\mathrm{ELBO}(x) = E_{z \sim q(z \mid x)}[\log p(x \mid z)]
#   - \mathrm{KL}(q(z \mid x) \,\|\, p(z)) .$$
#
# 后文有了训练好的模型，我们会测出不依赖于 $x$ 的 $q$ 要付出多大代价。

# %% [markdown]
# ## KL 项的闭式解
#
# 两个 $k$ 维高斯分布之间
#
# $$\mathrm{KL}(N(\mu_0, \Sigma_0) \,\|\, N(\mu_1, \Sigma_1)) = \frac12 \left(
#   \mathrm{tr}(\Sigma_1^{-1} \Sigma_0) + (\mu_1 - \mu_0)^T \Sigma_1^{-1} (\mu_1 - \mu_0)
#   - k + \log \frac{\det \Sigma_1}{\det \Sigma_0} \right) .$$
#
# 这里第二个分布是先验，$\mu_1 = 0$，$\Sigma_1 = I$；第一个分布的协方差是对角阵。两个分布都能按坐标分解，所以只需计算一个坐标。由 $\log q(z) = -\frac12 \log 2\pi\sigma^2 - \frac{(z - \mu)^2}{2 \sigma^2}$ 和 $\log p(z) = -\frac12 \log 2\pi - \frac{z^2}{2}$ 得
#
# $$E_q[\log q(z) - \log p(z)] = -\tfrac12 \log \sigma^2
#   - \tfrac12 \underbrace{E_q\!\left[\tfrac{(z - \mu)^2}{\sigma^2}\right]}_{1}
#   + \tfrac12 \underbrace{E_q[z^2]}_{\mu^2 + \sigma^2}
#   = -\tfrac12 \left(1 + \log \sigma^2 - \mu^2 - \sigma^2 \right) .$$
#
# 编码器输出的是 $\mu$ 和 $\log \sigma^2$，后者可以是任何实数；如果输出 $\sigma$，就得设法保证它是正数。原文代码把这第二个输出叫做 `z_std`，但从 `exp(z_std / 2)` 可以看出，它存的是对数方差，所以这里叫它 `z_log_var`。

# %%
notebook.source(vae.kl_divergence)

# %% [markdown]
# 用定义本身来检验：把 $E_q[\log q - \log p]$ 算成从 $q$ 抽出的许多样本的平均值。原文的简化公式写成 $+ \log\det\Sigma(x)$，符号错了；在原文自己的一般公式里令 $\Sigma_1 = I$，得到的是 $-\log\det\Sigma(x)$。我们把两者都算出来。

# %%
z_mean, z_log_var = np.array([[0.8, -1.5]]), np.array([[-2.0, 0.5]])
draws = notebook.budget(1_000_000, small=10_000)
epsilon = np.random.default_rng(2).standard_normal([draws, 2])
z = z_mean + np.exp(z_log_var / 2) * epsilon
log_q = stats.norm.logpdf(z, z_mean, np.exp(z_log_var / 2)).sum(axis=1)
terms = log_q - stats.norm.logpdf(z).sum(axis=1)
article = 0.5 * np.sum(np.exp(z_log_var) + z_mean**2 - 1 + z_log_var)
closed = vae.kl_divergence(tf.constant(z_mean, tf.float32), tf.constant(z_log_var, tf.float32))
print(f"Monte Carlo:           {terms.mean():.4f} +- {terms.std() / draws**0.5:.4f} nats")
print(f"vae.kl_divergence:     {closed[0]:.4f}")
print(f"with the article's sign: {article:.4f}")

# %% [markdown]
# ## 重参数化
#
# 另一项 $E_{z \sim q(z \mid x)}[\log p(x \mid z)]$ 用每张图像抽一次 $z$ 来估计：经过随机梯度下降的许多次更新，噪声会平均掉。但它对**编码器**的梯度是个问题。编码器的 $\mu$ 和 $\sigma$ 出现在被抽样的分布里，而“抽一个数”这个操作没有导数。（原文说，只取一个样本就消除了对 $q$ 的依赖。从公式上看确实如此；可是编码器的梯度也随之消失，必须把它找回来。）
#
# 记一个编码的代价为 $c(z) = -\log p(x \mid z)$。要得到 $\nabla_\mu E_{z \sim q}[c(z)]$ 的无偏估计，有两种办法。
#
# - **得分函数**：$\nabla_\mu \int q c\, dz = \int c\, q\, \nabla_\mu \log q\, dz$，所以估计量是 $c(z)\, \nabla_\mu \log q(z) = c(z)\, (z - \mu) / \sigma^2$。它只需要 $c$ 的值。给 $c$ 加上一个常数，期望不变，噪声却可以要多大有多大。
# - **重参数化**：抽取与编码器毫无关系的 $\epsilon \sim N(0, I)$，再计算 $z = \mu + \sigma \epsilon$。于是 $E_q[c(z)] = E_\epsilon[c(\mu + \sigma\epsilon)]$，梯度可以移到期望里面，估计量是 $\nabla c(z)$。它用到的是 $c$ 的斜率。
#
# 下面用真实的情形比较两者：$c$ 是一个手写数字在未经训练的解码器下的损失，每个估计只用一次抽样。（`baseline` 是对第一种办法的常用补救：减去 $c$ 的均值。）

# %%
notebook.diagram("vae_graphs", "zh-CN")

# %%
source = mnist.load("bundled")
config = vae.Config()
model = vae.build(config)
digit = tf.constant(source.images[:1], tf.float32) / 255
mean, std = np.float32([0.5, -0.5]), np.float32(0.3)
draws = notebook.budget(5_000, small=500)
epsilon = np.random.default_rng(3).standard_normal([draws, 2]).astype(np.float32)
z = tf.constant(mean + std * epsilon)
with tf.GradientTape() as tape:
    tape.watch(z)
    cost = vae.reconstruction_loss(digit, model.decoder(z))
slope, cost = np.float64(tape.gradient(cost, z)), np.float64(cost)[:, None]
score = epsilon / std  # (z - mean) / std^2
estimates = {
    "score function": cost * score,
    "score function, baseline": (cost - cost.mean()) * score,
    "reparameterised": slope,
}
for name, values in estimates.items():
    mean_of, sd = values.mean(axis=0), values.std(axis=0)
    print(f"{name:25} mean {mean_of.round(1)} +- {(sd / draws**0.5).round(1)}, sd {sd.round(0)}")

# %% [markdown]
# 三个均值在误差范围内一致，可见这些估计量都是无偏的。再看最后一列，它是单次抽样的误差，而每次更新只有一次抽样。用得分函数，一次抽样说明不了斜率是多少；减去基线之后，误差仍比斜率大；用重参数化，误差就比斜率小了。把 $z$ 写成 $\mu + \sigma\epsilon$，模型才能够训练。在本软件包里，噪声随批次一起传入，更新本身不做任何抽样，因而可以精确地重复：

# %%
notebook.source(vae.VAE.loss_terms, vae.VAE.update)

# %% [markdown]
# ## 重构项：平方误差还是交叉熵
#
# $p(x \mid z)$ 是什么？解码器给出 $(0, 1)$ 内的 784 个数 $\hat x = f(z)$，通常有两种回答。
#
# **高斯像素**，$x = f(z) + \eta$，其中 $\eta \sim N(0, s^2 I)$。这时 $-\log p(x \mid z) = \frac{1}{2 s^2} \lVert x - f(z) \rVert^2 + \text{常数}$，负 ELBO 乘以 $2 s^2 = \lambda$ 就是
#
# $$\lVert x - f(z) \rVert^2 + \lambda\, \mathrm{KL}(q(z \mid x) \,\|\, p(z)) .$$
#
# 原文写的是 $-\lambda$；但两项都是代价，所以应当是加号。$\lambda$ 不是可以随意调节的旋钮，而是对噪声的假设：$\lambda = 1$ 表示像素的偏差为 $s = 0.7$，尽管像素值都在 $[0, 1]$ 之内。
#
# **伯努利像素**，每个像素以概率 $\hat x$ 取 1。这时 $-\log p(x \mid z)$ 是交叉熵
#
# $$-\sum_{\text{像素}} \big( x \log \hat x + (1 - x) \log (1 - \hat x) \big) ,$$
#
# 原文用的就是它。（原文公式的第二项写成了 $(1 - y) \times (1 - \log \hat y)$，它的代码是对的。）MNIST 的像素有灰度，所以这其实是交叉熵，而不是似然。
#
# 输出 $\hat x = \mathrm{sigmoid}(l)$ 由 logit $l$ 得到。对 $l$ 的梯度，交叉熵是 $\hat x - x$，平方误差是 $2 (\hat x - x)\, \hat x\, (1 - \hat x)$。如果一个像素错了而且错得很有把握，前者的梯度最大，后者的梯度却几乎为零。

# %%
logit = np.linspace(-8, 8, 200)
x_hat = special.expit(logit)
plt.figure(figsize=(5.5, 2.8))
plt.plot(logit, x_hat, label="cross entropy")
plt.plot(logit, 2 * x_hat * x_hat * (1 - x_hat), label="squared error")
plt.xlabel("logit of a pixel that should be black, x = 0")
plt.ylabel("gradient")
plt.legend()
plt.show()
notebook.source(vae.reconstruction_loss)

# %% [markdown]
# ## 网络
#
# 编码器和解码器各有一个隐藏层，含 512 个 tanh 单元。原文的初始值是标准差为 $\sqrt{2 / \text{shape}[0]}$ 的正态分布，权重和偏置都是如此；作者先用了别的初始值，得到 NaN，才改用这一种。

# %%
notebook.diagram("vae_network", "zh-CN")

# %%
notebook.source(vae.Encoder, vae.Decoder, vae.article_normal)

# %%
print(source)
for variable in model.trainable_variables:
    print(f"{variable.path:45}{tuple(variable.shape)!s:12}{np.std(variable.numpy()):.4f}")
print(f"{model.count_params():,} parameters")

# %% [markdown]
# ## 训练
#
# 上面的 `update` 是一步。`fit` 每调用一次编译好的函数，就运行一百步。优化器是 TensorFlow 1 里的 RMSProp（它与今天的有什么不同，见笔记本 [0](00_from_tensorflow_1.ipynb)）。损失是每张图像的负 ELBO，单位是**奈特**（nat），即信息量的自然单位。
#
# 原文做了 30,000 次更新，我们只训练其中的一小部分。`Report` 持有设置和数据，用来测量模型：这里测的是在全部留出的手写数字上的损失。

# %%
updates = notebook.budget(6_000, small=100)
batches = vae.batches(config, source).batch(100)
history = model.fit(
    batches, epochs=updates // 100, steps_per_epoch=1, shuffle=False, verbose=0
).history
steps = 100 * np.arange(1, updates // 100 + 1)
print(f"loss of the last 100 updates: {history['loss'][-1]:.1f} nats an image")
report = vae.Report(config, source)
for name, value in report.measure(model).items():
    print(f"{name}: {value:.1f}")
plots.curves(steps, {name: history[name] for name in ("loss", "reconstruction", "kl")}, "nats")

# %% [markdown]
# 损失的下降几乎全部来自重构项。KL 项停留在几个奈特：这是模型为区分不同图像付出的代价，因为 KL 为 0 意味着所有图像的 $q$ 都相同。在原文的日志里，用 MNIST 训练 30,000 次更新之后，损失最终在 150 附近；[我们的模型](../../saved_models/vae/README.md)用十个种子训练，结果也是如此。
#
# ## 平方误差与交叉熵的比较，以及一个故意弄坏的模型
#
# 现在我们改变损失：写一个只重写一个方法的子类，让同样的网络从同样的初始值出发，用同样的批次训练。
#
# - 平方误差，$\lambda = 1$ 和 $\lambda = 10$；
# - 交叉熵，去掉 KL 项。剩下的就是普通的自编码器，外加一份它可以自行关掉的噪声。


# %%
class Variant(vae.VAE):
    """The same networks with other weights, or another meaning, of the two terms."""

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
    "squared error, λ = 10": (True, 10.0),
    "squared error, λ = 1": (True, 1.0),
    "cross entropy without KL": (False, 0.0),
}
variants = {"cross entropy": model}
for name in list(choices)[: notebook.budget(3, small=1)]:
    variants[name] = variant = Variant(config)
    variant.squared_error, variant.kl_weight = choices[name]
    variant.compile(vae.RMSpropTF1(0.001, epsilon=1e-10))
    variant.fit(batches, steps_per_epoch=updates // 100, shuffle=False, verbose=0)

# %%
held_out = np.float32(source.held_out_images) / 255
figure, all_axes = plt.subplots(2, len(variants), figsize=(12, 6), layout="constrained")
print(f"{'loss':25} squared error of a pixel  mean sd of q(z|x)  sd of the codes")
for (name, variant), (top, bottom) in zip(variants.items(), all_axes.T, strict=True):
    z_mean, z_log_var = (values.numpy() for values in variant.encode(held_out))
    top.scatter(*z_mean.T, c=source.held_out_labels, cmap="tab10", s=6)
    top.add_patch(plt.Circle((0, 0), 2, fill=False))
    top.set(title=name, aspect="equal")
    some = variant.decode(variant.prior(30, [1, 2]))
    bottom.imshow(plots.mosaic(some, 6, scale=1), cmap="gray")
    bottom.set(title="drawn from the prior", xticks=[], yticks=[])
    error, spread = np.mean((held_out - variant(held_out)) ** 2), np.exp(z_log_var / 2).mean()
    print(f"{name:25} {error:23.4f}  {spread:15.3f}  {z_mean.std():14.1f}")
plt.show()

# %% [markdown]
# 上排是留出的手写数字的编码，按数字着色；圆的半径为 2，先验有 86 % 的概率落在圆内。下排是解码器由先验样本画出的图像。
#
# - $\lambda = 10$ 时，KL 项占了上风：所有数字的编码都在原点，$q$ 的标准差几乎就是先验的 1，每次抽样得到的都是同一团模糊，即所有数字的平均。这就是**后验坍缩**。公式说明了原因：$\lambda = 10$ 等于宣称 0 到 1 之间的像素带有 $s = 2.2$ 的噪声，噪声这么大，任何图像都不值得描述。$\lambda = 1$ 时，平方误差与用交叉熵的模型差不多，而在更新次数这么少的时候，由先验抽样画出的图像还更好看一些。
# - 用交叉熵时，编码还没有均匀地铺满圆内，有些样本落在从未有过编码的地方，解码器在那里只能凭空编造，连白斑也画了出来。由上面的公式，每个像素上交叉熵的梯度至少是平方误差的两倍，因为 $2 \hat x (1 - \hat x) \le \frac12$。相比之下 KL 项的分量较轻，需要更长的时间。（可与后文经过 30,000 次更新的模型的网格图对照。）
# - 去掉 KL 项，重构与其他几种一样好，但也仅此而已：$q$ 向一个点收缩，编码散布到远远超出先验的范围。从先验抽出的样本，只会落在编码的一个角落里，或者落到外面。KL 项的作用就在于此：它使数据的编码和先验的样本处于同一个地方。

# %% [markdown]
# ## 保存、加载、解码
#
# 原文自己说保存错了东西：只存了重构，而重构需要输入图像。为了解码一个点，不得不从计算图里读出十个原始变量，再手工重建解码器。这里的模型会说明自己提供哪些功能，每项功能有哪些输入，输出叫什么名字；在保存的文件里，解码器是一个独立的函数：

# %%
notebook.source(vae.VAE.signatures, savedmodel.write)

# %%
with tempfile.TemporaryDirectory() as directory:
    path = Path(directory, "my_vae")
    savedmodel.write(model, path, {"model": "vae", "config": dataclasses.asdict(config)})
    loaded = tf.saved_model.load(str(path))
    files = sorted(str(p.relative_to(path)) for p in path.rglob("*") if p.is_file())
print(*files, sep="\n")
print("signatures:", ", ".join(sorted(loaded.signatures)))
z = tf.constant([[0.0, 0.0]])
same = np.abs(loaded.signatures["decode"](z=z)["images"] - model.decode(z)).max()
print(f"largest difference from the model in memory: {same:.0e}")

# %% [markdown]
# 从这里起，我们使用软件包附带的训练好的模型：原文的设置，在 MNIST 的 60,000 张训练图像上更新 30,000 次（[它的卡片](../../saved_models/vae/README.md)）。软件包自带的 5,000 个数字就在这 60,000 张里面，所以我们留出的那些数字，对上面自己训练的模型来说是没见过的，对这个模型来说却不是。原文解码的三个点是 [3, 3]、[0, 0] 和 [0, 5]。

# %%
box = tf.saved_model.load(str(savedmodel.find(Path("vae"))))  # keep it: it holds the weights


def decode(z):
    """float [n, 2] to images [n, 28, 28], by the signature."""
    return box.signatures["decode"](z=tf.constant(z, tf.float32))["images"].numpy()


notebook.picture(plots.mosaic(decode([[3, 3], [0, 0], [0, 5]]), 3, scale=5))

# %% [markdown]
# [3, 3] 和 [0, 5] 是不常见的编码。从 $N(0, I)$ 抽样，每 8,000 次有一次比 [3, 3] 离原点更远，每 270,000 次才有一次比 [0, 5] 更远。那些地方是什么数字，因随机种子而异。下面看先验的概率集中在哪里：取 20 × 20 个网格点，它们把每个坐标轴分成概率相等的若干段。

# %%
plots.manifold(decode(plots.plane(report.axis)), report.axis)

# %% [markdown]
# ## 哪个 z 对应哪个数字？
#
# 原文作者在结尾抱怨，不知道哪个数字对应哪种噪声输入。要弄清这一点，就问编码器：已知标签的数字，它放在哪里。图中每个数字给出两个可以解码的点：一个是该数字所有编码的均值；另一个是该数字最清楚的点，根据周围的情况从编码中挑选（`judge.clearest_points`）。编码的均值处可能是另一个数字的地方，图中的 2、4、5 就是这样。

# %%
z_mean = box.signatures["encode"](images=tf.constant(held_out))["z_mean"].numpy()
clearest = judge.clearest_points(decode, z_mean, held_out, source.held_out_labels)
plots.latent_map(decode, z_mean, source.held_out_labels, clearest)

# %% [markdown]
# 附带模型的这幅图由 MNIST 的 10,000 张测试图像得出，以 `latent_map.json` 的形式放在模型旁边，`python -m tf_gen.sample vae --digit 7` 用的就是它。二维空间放十个数字太挤了：4 混在 9 中间，5 夹在 3 和 8 中间。因此，连最清楚的 4 也很像 9，最清楚的 5 也很难辨认。

# %%
latent_map = json.loads((savedmodel.find(Path("vae")) / "latent_map.json").read_text())
points = np.float32(list(latent_map["labels"].values()))
print("  ".join(f"{label}: ({a:.2f}, {b:.2f})" for label, (a, b) in latent_map["labels"].items()))
notebook.picture(plots.mosaic(decode(points), 10))

# %% [markdown]
# ### 在平面上探索
#
# 在平面上移动，图像就是解码器的回答。也可以写一个数字：编码器会用一个点来回答，外面的椭圆有多大，它就有多不确定。权重就在网页里，计算在浏览器中进行，所以只看不运行的笔记本也能用。`python -m tf_gen.train` 会为它训练的每个模型写出这样一个网页。（不允许运行脚本的地方，例如 GitHub，框内是空的。这时请看下面的两条图像，即沿两个坐标轴各走一遍；或者运行 `python -m tf_gen.explore vae --open`。）

# %%
with tempfile.TemporaryDirectory() as directory:
    path = Path(directory, "explorer.html")
    explorer.write(savedmodel.find(Path("vae")), path, "vae", source)
    page = notebook.page(path)
page

# %%
walk = np.linspace(-3, 3, 15)
strips = np.concatenate([np.c_[walk, 0 * walk], np.c_[0 * walk, walk]])
notebook.picture(plots.mosaic(decode(strips), 15, scale=2))

# %% [markdown]
# 第一条是 $z_1 = 0$ 时 $z_0$ 从 −3 到 3，第二条是 $z_0 = 0$ 时 $z_1$ 从 −3 到 3。

# %% [markdown]
# ## 回顾：E 步做得有多好？
#
# 只有两维时，我们能做到一般情况下做不到的事：在平面的细网格上算出后验，连同积分 $p(x)$。这样就能看到编码器所逼近的对象，并用数值检验前面方框里的等式。白色椭圆是 $q(z \mid x)$ 的两倍标准差。

# %%
n = notebook.budget(400, small=60)
axis = np.linspace(-4, 4, n)
area = (axis[1] - axis[0]) ** 2
plane = plots.plane(list(axis))


def log_joint_of_images(images, z):
    """log p(x|z) + log p(z): [images, points]."""
    x, joint = images.reshape(len(images), -1), []
    for part in np.array_split(z, 40):
        x_hat = np.float64(decode(part).reshape(len(part), -1))
        log_p = x @ np.log(x_hat + 1e-10).T + (1 - x) @ np.log(1 - x_hat + 1e-10).T
        joint.append(log_p + stats.norm.logpdf(part).sum(axis=1))
    return np.concatenate(joint, axis=1)


some = held_out[[15, 120, 240, 420]]
log_joint = log_joint_of_images(some, plane)
log_p = special.logsumexp(log_joint, axis=1) + np.log(area)
log_posterior = log_joint - log_p[:, None]
codes = {k: v.numpy() for k, v in box.signatures["encode"](images=tf.constant(some)).items()}
stds = np.exp(codes["z_log_var"] / 2)

# %%
rng = np.random.default_rng(4)
draws = notebook.budget(2_000, small=100)
figure, all_axes = plt.subplots(1, 4, figsize=(12, 3.2), layout="constrained")
print("image  log p(x)   ELBO            KL(q, posterior)  ELBO + KL  ELBO of the prior as q")
for i, axes in enumerate(all_axes):
    mean, std = codes["z_mean"][i], stds[i]
    log_q = stats.norm.logpdf(plane, mean, std).sum(axis=1)
    gap = np.sum(np.exp(log_q) * (log_q - log_posterior[i])) * area
    z = mean + std * rng.standard_normal([draws, 2])
    terms = log_joint_of_images(some[i : i + 1], z)[0] - stats.norm.logpdf(z, mean, std).sum(axis=1)
    elbo, error = terms.mean(), terms.std() / draws**0.5
    log_prior = stats.norm.logpdf(plane).sum(axis=1)
    by_prior = np.sum(np.exp(log_prior) * (log_joint[i] - log_prior)) * area
    row = f"{i:5}  {log_p[i]:8.2f}  {elbo:8.2f} +- {error:.2f}  {gap:16.2f}  {elbo + gap:9.2f}"
    print(f"{row}  {by_prior:22.2f}")
    mode = plane[log_posterior[i].argmax()]
    middle, half = (mean + mode) / 2, 0.6 + 0.5 * np.abs(mean - mode).max()
    density = np.exp(log_posterior[i]).reshape(n, n)
    axes.imshow(density, extent=(-4, 4, -4, 4), cmap="magma", interpolation="bilinear")
    axes.set(xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half))
    turn = np.linspace(0, 2 * np.pi, 60)
    axes.plot(mean[0] + 2 * std[0] * np.cos(turn), mean[1] + 2 * std[1] * np.sin(turn), "w")
    corner = axes.inset_axes([0, 0, 0.3, 0.3])
    corner.imshow(some[i], cmap="gray")
    corner.set_axis_off()
plt.show()

# %% [markdown]
# ELBO 与 KL 之和还原出 $\log p(x)$：ELBO 是对抽样求平均，另外两个量是在网格上求和。（像素有灰度，所以这里的 $p(x \mid z)$ 指 $e^{-\text{交叉熵}}$。）编码器给出的高斯分布，协方差是对角阵，椭圆的轴只能与坐标轴平行，而后验可能是斜的或弯的。在 $q$ 位置合适的地方，例如图中的 0 和 8，这一切总共损失大约一个奈特。损失更多的情形，是编码器要照顾所有图像，把 $q$ 放到了后验的旁边：图中的 4 损失几个奈特，2 损失二十个奈特，解码器在完全不同的另一处能把这个 2 画得更好。
#
# 最后一列是不依赖于 $x$ 的 $q$（这里就取先验）所付的代价：下界要差一百多个奈特，远远超过任何一张图像的 $q$ 与后验之间的差距。

# %% [markdown]
# ## 带走解码器
#
# 解码器只需要 TensorFlow：
#
# ```python
# import tensorflow as tf
#
# model = tf.saved_model.load("saved_models/vae")
# images = model.signatures["decode"](z=tf.constant([[3.0, 3.0]]))["images"]
# ```
#
# 在命令行里：
#
# ```sh
# python -m tf_gen.train vae
# python -m tf_gen.sample vae --z 3,3 --z 0,0 --z 0,5 --out three.png
# python -m tf_gen.sample vae --digit 7 --out seven.png
# python -m tf_gen.sample vae --interpolate 1 8 --out way.png
# ```
#
# 这个模型从设置到 `Report` 都在一个文件里：[tf_gen/models/vae.py](../../tf_gen/models/vae.py)；手写数字的各个模型共有的东西，例如上面那张图，在 [tf_gen/tasks/digits.py](../../tf_gen/tasks/digits.py) 里。[卡片](../../saved_models/vae/README.md)里有各项数字、签名，以及怎样把解码器部署成服务或放到手机上。下一篇：[2. 学习高斯分布的 GAN](02_gaussian_gan.ipynb)，它不用任何似然就能学会生成。
#
# ## 练习
#
# 每道题后面是答案，放在折叠的单元格里。
#
# **1.** 极大似然估计 $\hat\sigma^2$ 除以的是 $n$。取许多组样本，每组五个点，用它们说明这个估计平均而言偏小，并求出它与真值之比。

# %% tags=["answer"]
samples = np.random.default_rng(5).normal(4.0, 1.5, [100_000, 5])
print(f"mean estimate over the true variance: {samples.var(axis=1).mean() / 1.5**2:.3f}")
print(f"(n - 1) / n:                          {4 / 5:.3f}")
# The mean of the sample lies nearer to its own points than the true mean does.

# %% [markdown]
# **2.** 让 EM 从两个相同的分量出发。会发生什么，为什么？

# %% tags=["answer"]
pi, mu, sigma = np.array([0.5, 0.5]), np.array([0.0, 0.0]), np.array([1.0, 1.0])
for _ in range(20):
    r = special.softmax(log_joint_of(pi, mu, sigma), axis=1)
    pi, mu = r.mean(axis=0), (r * x[:, None]).sum(axis=0) / r.sum(axis=0)
    sigma = np.sqrt((r * (x[:, None] - mu) ** 2).sum(axis=0) / r.sum(axis=0))
print(
    f"mu {mu.round(3)}, sigma {sigma.round(3)}; mean and sd of all: {x.mean():.3f}, {x.std():.3f}"
)
# All r are 1/2, so both components get the same update: a saddle that EM cannot leave.

# %% [markdown]
# **3.** `vae.importance_bound` 在对数里面对 $z$ 的 $k$ 次抽样取平均（Burda 等人，arXiv:1509.00519）。说明它随着 $k$ 增大而上升，趋向 $\log p(x)$。

# %% tags=["answer"]
for k in (1, 10, 100):
    print(f"k = {k:3}: {vae.importance_bound(model, held_out[::5], k):.2f} nats")
# k = 1 is the ELBO. By Jensen's inequality the log of a mean is too small on average, the less so,
# the less the mean scatters: the more draws.

# %% [markdown]
# **4.** 十维的隐空间能好多少？训练同样长的时间，作一比较。

# %% tags=["answer"]
wide_config = dataclasses.replace(config, latent_dim=notebook.budget(10, small=2))
wide = vae.build(wide_config) if wide_config != config else model
wide_batches = vae.batches(wide_config, source).batch(100)
wide.fit(wide_batches, steps_per_epoch=updates // 100, shuffle=False, verbose=0)
for name, some_model, c in (("2", model, config), ("10", wide, wide_config)):
    losses = vae.Report(c, source).measure(some_model)
    print(name, {key.removeprefix("held_out_"): round(value, 1) for key, value in losses.items()})
# The KL term costs more nats, since the codes say more, and the reconstruction gains many more.

# %% [markdown]
# **5.** 在附带模型的平面上，从一个清楚的 3 走到一个清楚的 8。途中会经过什么？

# %% tags=["answer"]
a, b = (np.array(latent_map["labels"][label]) for label in "38")
notebook.picture(plots.mosaic(decode(np.linspace(a, b, 15)), 15, scale=2))
# Threes and then eights. All between is something like a digit: the KL term has left no gaps.
