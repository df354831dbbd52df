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
# # 3. 50 行代码的 GAN：判别器看的是整个批次
#
# 一个只有几千个、甚至只有 46 个参数的生成器，要学会按一条它从未见过的钟形曲线抽样。本笔记本依据的文章是《GANs 很难？这篇文章教你 50 行代码搞定》，它译自 Dev Nag 的“Generative Adversarial Networks (GANs) in 50 lines of code”；此外还参照了原作者后来的代码。这里的博弈出自 Goodfellow 等人的论文 *Generative Adversarial Networks*（arXiv:1406.2661）。
#
# 这个 GAN 的特别之处在于判别器：它评判的不是一个个点，而是一整个批次；让它看到批次的什么，就决定了生成器学到什么。我们先把原文的五个组件（R、I、G、D 和训练循环）逐一拆开，比较把一个批次呈现给 D 的五种方式；再训练两种预设，观察它们的各阶矩如何变化；然后故意违反“G 学习时 D 保持不变”这条规则；还要构造一个分布，D 无法把它与高斯分布区分开。最后，你可以带走一个训练好的生成器。
#
# **需要** Python、一点 Keras，以及概率论的基础课知识（密度、均值、标准差、分位数）。不需要 GPU，也不用下载：数据随用随抽。第一个单元格会在缺少 tf_gen 的环境里自动安装它。
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

from tf_gen import notebook  # imports TensorFlow, without the lines of its start

# %%
# %matplotlib inline
import inspect
import re
import tempfile
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from scipy import stats

from tf_gen import base, evaluate, plots, savedmodel
from tf_gen.models import tiny_gan
from tf_gen.tasks import gaussian

article, later = tiny_gan.PRESETS["article"], tiny_gan.PRESETS["moments"]
mu, sigma = article.data_mean, article.data_std
plt.rcParams["figure.figsize"] = (6, 3)
rng = np.random.default_rng(0)  # of all that this notebook draws by itself

# %% [markdown]
# ## 造假者与鉴定专家
#
# 造假者想画出能冒充真迹的画，但他从未见过真迹。鉴定专家看画，其中一半是真的，一半是假的；他说出每幅画是真迹的可能性有多大，然后得知真相。造假者只能听到专家对他自己作品的意见，以及他改动笔法后意见会怎样变化。如果专家从真相中学习，造假者从专家那里学习，两人就都会进步，直到专家只能靠抛硬币来判断。
#
# 原文用五个组件把这件事说得很具体：
#
# | 组件 | 它是什么 | 在这里 |
# |---|---|---|
# | R | 真实数据 | $x \sim N(4, 1.25)$，均值 $\mu = 4$，标准差 $\sigma = 1.25$ |
# | I | 输入噪声，造假者的原料 | $z \sim U(0, 1)$ |
# | G | 生成器，即造假者 | 一个网络，$x = G(z)$ |
# | D | 判别器，即鉴定专家 | 一个网络，$D(x_1, \dots, x_n)$ 在 $(0, 1)$ 内取值，1 表示真 |
# | 训练循环 | 谁在什么时候、从什么学习 | 先是 D 学习，再是 G 通过 D 学习 |
#
# 这里的“画”是直线上的点，所以发生的一切都能画出来。另有一点，原文的正文没有说，只体现在代码里：D 当作一幅画来看的，是 $n = 100$ 个点的**一整个批次**。本笔记本的很大一部分讲的就是这件事。

# %% [markdown]
# ## R：真实数据
#
# R 是一条钟形曲线。每一轮训练用到的真实数据点和噪声，都在同一个地方抽取，是种子与轮次的函数。各要多少由模型的文件规定，抽取则由它的任务 `gaussian` 来做：

# %%
notebook.source(tiny_gan.blocks, gaussian.blocks, gaussian.draw_points)

# %%
batch = next(iter(tiny_gan.batches(article)))
print({name: tuple(tensor.shape) for name, tensor in batch.items()}, "= [updates, batch]")
real = batch["x"][0].numpy()


def finish(xlabel, ylabel):
    plt.gca().set(xlabel=xlabel, ylabel=ylabel)
    plt.legend(loc="upper left")
    plt.show()


grid = np.linspace(-4, 9, 400)
plt.hist(real, bins=20, range=(-1, 9), density=True, color="C0", label="one batch, 100 points")
plt.plot(grid, stats.norm.pdf(grid, mu, sigma), color="C1", label="N(4, 1.25)")
finish("x", "density")

# %% [markdown]
# 100 个点的批次只能粗略地反映这条曲线。D 必须凭这样的批次作出判断，而且每次看到的都是新的一批。100 个点究竟能说明多少，我们后面再谈。

# %% [markdown]
# ## I：噪声，以及理想的 G 是什么
#
# 原文用均匀分布的噪声，而不用正态分布的，好让 G 有些事可做。要做多少，可以说得很准确。
#
# 假如噪声是正态的，$z \sim N(0, 1)$，那么 $G(z) = \mu + \sigma z$ 就已经完美：平移和缩放，两个数就够了。而当 $z \sim U(0, 1)$ 时，对 $z$ 平移和缩放，得到的仍是均匀分布，均值和标准差可以任意，却永远不是钟形。G 必须弯曲。
#
# 设 $G$ 单调递增。生成的点中不超过 $x$ 的比例是
#
# $$P(G(z) \le x) = P(z \le G^{-1}(x)) = G^{-1}(x),$$
#
# 因为对均匀噪声有 $P(z \le u) = u$。它应当等于真实数据中不超过 $x$ 的比例，即 $\Phi((x - \mu) / \sigma)$，其中 $\Phi$ 是 $N(0, 1)$ 的分布函数。代入 $x = G(z)$：
#
# $$z = \Phi\!\left(\frac{G(z) - \mu}{\sigma}\right)
# \quad\Longleftrightarrow\quad G(z) = \mu + \sigma\,\Phi^{-1}(z).$$
#
# 可见，理想的 G 就是数据的分位数函数：输入 $z = 0.9$，它必须给出这样一个点，使 90 % 的数据都小于它。均值和标准差都正确的直线型 G 是 $\mu + \sigma\sqrt{12}\,(z - 1/2)$，因为 $U(0, 1)$ 的标准差是 $1/\sqrt{12}$。

# %%
notebook.source(tiny_gan.TinyGAN.prior)

# %%
z_grid = (np.arange(1000) + 0.5) / 1000
ideal = stats.norm.ppf(z_grid, mu, sigma)
straight = mu + sigma * np.sqrt(12) * (z_grid - 0.5)

figure, axes = plt.subplots(1, 3, figsize=(11, 3), layout="constrained")
axes[0].hist(batch["z_d"].numpy().ravel(), bins=20, range=(0, 1), density=True, color="grey")
axes[0].set(title="a batch of noise", xlabel="z", ylabel="density")
for x, name, color in ((ideal, "ideal G", "C1"), (straight, "straight G", "C0")):
    axes[1].plot(z_grid, x, color, label=name)
    axes[2].hist(x, bins=40, range=(-1, 9), density=True, alpha=0.6, color=color, label=name)
    print(f"{name:10}", {key: round(value, 2) for key, value in gaussian.moments(x).items()})
axes[1].set(title="two generators", xlabel="z", ylabel="G(z)")
axes[2].set(title="what they generate")
finish("x", "density")

# %% [markdown]
# 直线型 G 的均值和标准差都对，形状却不对。原文提醒的正是这种情形。**超额峰度**能把两者区分开来：它是 $(x - \mu)/\sigma$ 的四次方的均值减去 3，因此高斯分布的是 0，均匀分布的是 $-1.2$。**偏度**是三次方的均值，两者都是 0。（这里理想的 G 的峰度与 0 略有偏差，因为 1,000 个等距的 $z$ 没有取到两端的尾部。）
#
# 有两点后面会用到。第一，理想曲线在两端趋于 $\pm\infty$，而任何网络都做不到，因为 $[0, 1]$ 上的连续函数是有界的：尾部会被截断。第二，理想的 G 不是唯一的：它的镜像 $G(1 - z)$ 同样可行（练习 1）。

# %% [markdown]
# ## G：生成器
#
# 两个隐藏层，分别是 ELU 和 sigmoid，以及三个线性映射。原文的代码是用 PyTorch 写的，所以各层的初始值与 PyTorch 的相同。观察和测量一个模型的，是它的 `Report`：`observe` 让 G 对 1,000 个等距的 $z$ 作答。

# %%
notebook.source(tiny_gan.dense, tiny_gan.Generator)

# %%
model, report = tiny_gan.build(article), tiny_gan.Report(article)
x = report.observe(model).numpy()  # G at the 1,000 evenly spaced z
print(f"parameters of G: {model.generator.count_params():,}")
print("untrained:", {name: round(value, 4) for name, value in gaussian.moments(x).items()})

plt.plot(z_grid, ideal, "C1", label="ideal G")
plt.plot(z_grid, x, "C2", label="G, untrained")
finish("z", "G(z)")

# %% [markdown]
# 未经训练时，G 对每个 $z$ 给出的回答几乎相同，生成的点几乎不分散。要变成理想曲线，它得先升起来，再弯曲。由于最后一层是 50 个 sigmoid 的加权和，每个 sigmoid 都在 0 与 1 之间，所以它的点永远出不了从 $b - \sum_j \max(0, -w_j)$ 到 $b + \sum_j \max(0, w_j)$ 的区间，其中 $w_j$ 和 $b$ 是最后一层的权重和偏置。

# %% [markdown]
# ## D：整个批次对应一个概率
#
# D 的构造与 G 相似。它的输入是代表 $n$ 个点的一个长向量，输出是一个数：

# %%
notebook.source(tiny_gan.Discriminator, tiny_gan.TinyGAN.discriminate)

# %%
print(f"parameters of D: {model.discriminator.count_params():,}, inputs: {article.inputs}")
for name, x in (("real", real), ("generated", model.generate(batch["z_d"][0]).numpy())):
    print(f"{name:9} {len(x)} points -> D: {model.discriminate(x[:, None]).numpy().round(3)}")

# %% [markdown]
# 一百个点，一个判断。在笔记本 [2](02_gaussian_gan.ipynb) 的 GAN 里，D 单独评判每个点，完全相同的点得到的是同样的判断、同样的梯度。D 可能转而反对它们所在的地方，但它们随后会一起挪走；没有什么叫它们散开。看得到整个批次的 D 却立刻会发现，这些点没有散开。（那里的小批量判别和打包，就是把这种眼力还给 D 一部分的两种办法。）
#
# 代价是：一个批次只是一个样本，而不是 100 个；而且由 100 个数组成的向量是有顺序的，顺序在这里却没有任何意义。因此，让 D 看到批次的什么，值得专门用一节来讲。

# %% [markdown]
# ## D 看到什么：呈现一个批次的五种方式
#
# 设置项 `inputs` 包括原作者代码里的四种方式，外加我们自己的一种。设批次 $x_1, \dots, x_n$ 的均值为 $m = \frac1n\sum_i x_i$：
#
# | `inputs` | D 的第一层接收的内容 | 数的个数 |
# |---|---|---|
# | `raw` | $x_i$ | $n$ |
# | `squares`（原文） | $x_i$ 和 $(x_i - m)^2$ | $2n$ |
# | `differences` | $x_i$ 和 $x_i - m$ | $2n$ |
# | `moments`（后来的代码） | 均值、标准差、偏度、超额峰度 | 4 |
# | `sorted`（我们的） | $x_{(1)} \le \dots \le x_{(n)}$，即按升序排列的批次 | $n$ |

# %%
notebook.diagram("d_inputs", "zh-CN")

# %%
notebook.source(tiny_gan.deviations, tiny_gan.moments)

# %% [markdown]
# 拿真实数据的一个批次与直线型 G 的一个批次相比，后者的均值和标准差都是对的。`squares` 和 `differences` 只画后一半，因为前一半就是 `raw`。

# %%
uniform = mu + sigma * np.sqrt(12) * (batch["z_d"][0].numpy() - 0.5)
both = tf.constant(np.stack([real, uniform]))
figure, axes = plt.subplots(1, 5, figsize=(14, 3), layout="constrained")
for ax, (name, see) in zip(axes, tiny_gan.INPUTS.items(), strict=True):
    for row, style, label in zip(
        see(both).numpy(), ("C1o", "C0x"), ("real", "straight G"), strict=True
    ):
        ax.plot(row[len(real) :] if len(row) > len(real) else row, style, markersize=4, label=label)
    ax.set(title=name, xlabel="place in the vector")
axes[3].set_xticks(range(4), ("mean", "std", "skew", "kurtosis"), rotation=30)
axes[3].legend()
plt.show()
print("real, straight G: mean, std, skew, kurtosis")
print(np.round(tiny_gan.moments(both).numpy(), 2))

# %% [markdown]
# 这两个批次哪个是真的？看左边的散点要仔细些：叉号从不越出一条带子，圆点却有几个远在带子之外。看 `moments` 四个数中的最后一个就容易了，前提是知道这个数本身有多大的波动。在 `sorted` 里，次序显出了形状：叉号排成一条直线，圆点在两端弯开。这就是前面画过的两个生成器的曲线，只不过由批次自己画了出来，因为 $n$ 个点中第 $k$ 小的，大约就是 $(k - \frac12)/n$ 处的分位数。
#
# **线性层能直接读出什么。** D 的第一层的一个单元，对看到的向量 $v$ 计算 $\sum_k w_k v_k + b$。在向量的一半上取相等的权重，则有：
#
# | | 均值 | 方差 | 偏度、峰度 |
# |---|---|---|---|
# | `raw` | 能，$w_i = 1/n$ | 不能：要靠隐藏单元的弯曲 | 不能 |
# | `squares` | 能 | 能，$\frac1n\sum_i (x_i - m)^2$ | 不能 |
# | `differences` | 能 | 不能 | 不能 |
# | `moments` | 能 | 能读出它的平方根，即标准差 | 能 |
# | `sorted` | 能 | 近似读出标准差，$w_k \propto \Phi^{-1}((k - \frac12)/n)$ | 能读出类似的量 |
#
# `differences` 没有给线性层带来任何新东西：$x_i - m$ 本身就是批次的线性函数，所以凡是能由 $2n$ 个数算出的，线性层由前 $n$ 个数也能算出（练习 3）。方差不是各个 $x_i$ 的线性函数，所以 `squares` 确实增加了信息，但也到此为止：三次方和四次方要留给隐藏层自己去发现。从 `sorted` 里，线性层能读出各个分位数的任意加权和，也就是整个形状。（取适当的权重，得到的就是 L 矩，它们不用乘方就能衡量离散程度、偏度和峰度；Hosking，1990。）
#
# 先在双精度下与 SciPy 对照，检验 `moments` 给出的确实是各阶矩：

# %%
x = rng.gamma(3.0, size=(5, 500))  # skewed, so that no moment is near zero
exact = np.transpose([x.mean(1), x.std(1), stats.skew(x, axis=1), stats.kurtosis(x, axis=1)])
for dtype in (tf.float64, tf.float32):
    error = np.abs(tiny_gan.moments(tf.constant(x, dtype)).numpy() - exact).max()
    print(f"largest difference from SciPy in {dtype.name}: {error:.0e}")

# %% [markdown]
# **没有意义的顺序。** 批次中的点是独立抽取的，所以打乱之后，批次还是一样好。同样的 100 个点排成 500 种顺序，未经训练的 D 会怎么说？

# %%
orders = np.stack([rng.permutation(real) for _ in range(500)])
untrained = {}
for inputs in tiny_gan.INPUTS:
    untrained[inputs] = tiny_gan.build(replace(article, inputs=inputs))
    p = tf.sigmoid(untrained[inputs].discriminator(tf.constant(orders))).numpy()
    print(f"{inputs:12} D from {p.min():.4f} to {p.max():.4f}, spread {p.std():.1e}")

# %% [markdown]
# 五个 D 里有三个会因顺序不同而改变判断，因此它们要耗费权重和批次，才能学会顺序无关紧要。对 `moments` 来说，顺序根本不存在，差别只来自 float32 的舍入。对 `sorted` 来说，顺序在 D 看到之前就已经理好了。
#
# **梯度从哪里流过。** G 从 $\partial D / \partial x_i$ 中学习，所以这些特征怎样依赖于各个点，是要紧的。在 `squares` 和 `differences` 里，均值包在 `tf.stop_gradient` 中：先算出来，然后当作常数。取五个点，看每种特征的第一个，把梯度带（`GradientTape`）给出的结果与有限差分作比较，后者不知道有这层包装。

# %%
points = tf.Variable([[2.0, 3.0, 4.0, 5.0, 9.0]], dtype=tf.float64)  # their mean is 4.6


def compare(name, feature):
    with tf.GradientTape() as tape:
        value = feature(points)
    nudges = 1e-6 * np.eye(points.shape[1])
    true = [(feature(points + d) - feature(points - d)).numpy() / 2e-6 for d in nudges[:, None]]
    print(f"{name:21} tape {np.round(tape.gradient(value, points)[0].numpy(), 2) + 0.0}")
    print(f"{'':21} true {np.round(true, 2) + 0.0}")


compare("squares: (x1 - m)^2", lambda x: tiny_gan.INPUTS["squares"](x)[0, 5])
compare("squares: their sum", lambda x: tf.reduce_sum(tiny_gan.INPUTS["squares"](x)[0, 5:]))
compare("differences: x1 - m", lambda x: tiny_gan.INPUTS["differences"](x)[0, 5])
compare("differences: sum", lambda x: tf.reduce_sum(tiny_gan.INPUTS["differences"](x)[0, 5:]))
compare("moments: std", lambda x: tiny_gan.INPUTS["moments"](x)[0, 1])

# %% [markdown]
# 从上往下看。在 `squares` 里，按梯度带的说法，第一个点的偏差只随这个点变动；实际上五个点都会通过均值影响它。但在平方的**总和**里，误差互相抵消：
#
# $$\frac{\partial}{\partial x_j}\sum_i (x_i - m)^2
# = 2(x_j - m) - \frac2n\sum_i (x_i - m) = 2(x_j - m),$$
#
# 因为对均值的偏差之和为零。所以，只要 D 给所有点同样的权重（它本该如此），`squares` 就会把方差的精确梯度传给 G。`differences` 则不然：无论各点怎样变动，$x_i - m$ 的总和都是零，真正的梯度是零，梯度带却报告 1。这等于告诉 G，它可以抬高一个根本抬不高的数。`moments` 没有截断任何梯度，梯度带与真值一致。（`sorted` 也没有：每个位置上的梯度，就是排在那里的那个点的梯度。）
#
# **批次的大小。** 除 `moments` 之外的四种方式里，D 第一层的宽度由批次大小决定；而矩对任何批次都有定义。不过，批次大小决定了 D 能知道多少：$n$ 个点的均值的波动是 $\sigma/\sqrt n$，标准差的约为 $\sigma/\sqrt{2n}$，偏度的约为 $\sqrt{6/n}$，峰度的约为 $\sqrt{24/n}$（后三个在 $n$ 大时成立）。

# %%
print("  n   scatter of mean        std         skew        kurtosis   (measured / formula)")
for n in (10, 100, 500):
    measured = tiny_gan.moments(tf.constant(rng.normal(mu, sigma, (2000, n)))).numpy().std(axis=0)
    formula = (sigma / n**0.5, sigma / (2 * n) ** 0.5, (6 / n) ** 0.5, (24 / n) ** 0.5)
    row = (f"{m:.3f} / {f:.3f}" for m, f in zip(measured, formula, strict=True))
    print(f"{n:4d}   {'  '.join(row)}")

# %% [markdown]
# 100 个点的批次，峰度的波动约为 0.5。直线型 G 的峰度偏离 1.2，在大多数批次里都看得出来；0.2 的误差则看不出来。后来的代码每批取 500 个点。

# %% [markdown]
# ## 训练循环
#
# 每一轮分两半。先给 D 看一个真实的批次和一个生成的批次，都带有正确的标签，D 学着对前者给出接近 1 的概率，对后者给出接近 0 的概率。然后 G 生成一个新批次，当作真的给 D 看，G 学着提高 D 的回答：
#
# $$L_D = -\log D(x) - \log(1 - D(G(z))), \qquad L_G = -\log D(G(z)).$$
#
# 这里的 $x$ 和 $G(z)$ 代表整个批次，所以不对各点取平均：每个批次只有一个 $D(\cdot)$。

# %%
gan = tiny_gan.TinyGAN
notebook.source(gan.update, gan.update_d, gan.update_g, gan.generate)

# %% [markdown]
# 注意看每个梯度带里面有什么，以及 `apply` 接收的是什么。在 `update_d` 里，生成批次的那一步在梯度带之外：用到了 G，但没有训练它。在 `update_g` 里，要求的是 D 的回答的梯度，所以梯度必须穿过 D，但更新的只有 G 的变量：不能让 D 从错误的标签学习。事实果真如此吗？我们把权重存下来，只做循环的一半，再作比较。


# %%
def weights():
    networks = {"D": model.d_variables, "G": model.g_variables}
    return {k: np.concatenate([v.numpy().ravel() for v in vs]) for k, vs in networks.items()}


states = [weights()]
model.update_d({"x": batch["x"][0], "z": batch["z_d"][0]})
states.append(weights())
model.update_g({"z": batch["z_g"][0]})
states.append(weights())
for name, old, new in zip(("update_d", "update_g"), states[:2], states[1:], strict=True):
    change = {k: float(np.abs(new[k] - old[k]).max()) for k in old}
    print(f"{name}: greatest change of a weight of D {change['D']:.6f}, of G {change['G']:.6f}")

x = tf.Variable(model.generate(batch["z_g"][0]))
with tf.GradientTape() as tape:
    loss = -tf.math.log_sigmoid(model.discriminator(x[None]))[0]
slope = tape.gradient(loss, x).numpy()
print(f"dL_G/dx: {np.sum(slope < 0)} points should grow, {np.sum(slope > 0)} shrink")

# %% [markdown]
# 这些零是精确的。G 学习时，D 的权重一位也没有变；D 学习时，G 的权重也一样。（Adam 的第一步使每个权重移动大约一个学习率，即 0.0002，除非它的梯度几乎为零。）而梯度确实穿过了 D：对批次中的每个点，它指出这个点往哪个方向移动，在当前这个 D 看来会更像真的。造假者对 R 的了解，全部来自这里。
#
# ### 损失应当趋于多少
#
# 设 $p_r$ 和 $p_g$ 分别是真实批次和生成批次的密度。对给定的批次，最优的 D 使 $-p_r \log D - p_g \log(1 - D)$ 最小。令导数 $-p_r/D + p_g/(1 - D)$ 为零，得
#
# $$D^* = \frac{p_r}{p_r + p_g},$$
#
# 当 $p_g = p_r$ 时，它处处等于 $\frac12$。这时 $L_D = -\log\frac12 - \log\frac12 = \log 4 \approx 1.386$，$L_G = -\log\frac12 = \log 2 \approx 0.693$。损失停在这些值上，表明 D **在它所看到的内容里**看不出差别，但这并不证明没有差别。

# %% [markdown]
# ## 观察训练过程
#
# 先看原作者后来的代码，即预设 `moments`：D 看到四个数，G 有 46 个参数，循环每一轮先更新 D 20 次，再更新 G 20 次。原文所说的“一轮”（epoch）就是这样循环一次；这里每调用一次编译好的函数做 25 轮，每次调用之后测量一次。（两种预设学的是同一个高斯分布，所以共用一个 `Report`。）


# %%
def train(model, config, rounds):
    """`config.steps` epochs in `rounds` compiled calls; a row and a snapshot after each."""
    each = config.steps // rounds
    rows, snapshots = [], []

    def record(number, losses):
        step = {"step": (number + 1) * each}
        rows.append({**step, **losses, **report.measure(report.observe(model))})
        snapshots.append({**step, **report.snapshot(model)})

    recorder = keras.callbacks.LambdaCallback(on_epoch_end=record)
    options = {"steps_per_epoch": 1, "epochs": rounds, "shuffle": False, "verbose": 0}
    model.fit(tiny_gan.batches(config).batch(each), callbacks=[recorder], **options)
    return rows, snapshots


rounds = notebook.budget(200, 3)
config = replace(later, steps=notebook.budget(5000, 6), seed=10)
model = tiny_gan.build(config)
rows, snapshots = train(model, config, rounds)
for row in [*rows[:: max(1, rounds // 4)], rows[-1]]:
    print(report.log_line.format(**row))

# %%
targets = {"mean": mu, "std": sigma, "skew": 0.0, "kurtosis": 0.0}
plots.course(rows, targets)

# %%
notebook.animation(report.frames(snapshots[:48]), fps=6)

# %% [markdown]
# 动画显示的是前 1,200 轮。开始时 G 是一个尖峰，所有的点都一样。然后均值和离散程度越过目标，再摆回来。四个数都对了以后，各项损失都停在抛硬币的水平 0.693，此后变化很小。（这个种子是从二十个里挑出来的。换一种处理器，舍入不同，过程也可能不同。）再看最终的结果，先画成曲线，再画成直方图：


# %%
def against_ideal(model, name):
    x = report.observe(model).numpy()
    plt.plot(z_grid, ideal, "C1", label="ideal G")
    plt.plot(z_grid, x, "C2", label=name)
    finish("z", "G(z)")
    area = np.abs(np.sort(x) - ideal).mean()  # sorted: the points of an increasing G
    w1 = report.wasserstein_1(report.generate(model))
    print(f"area between the curves {area:.3f}, Wasserstein-1 distance {w1:.3f}")


against_ideal(model, "G, preset moments")
plots.histogram(report.generate(model), mu, sigma)

# %% [markdown]
# 曲线学会了弯曲，而理想曲线冲向无穷的地方，它到了头：在它的两端之外，直方图里一个点也没有。两条曲线之间的面积有一个名字。在一维情形，把一堆点搬成另一堆，最省的办法是保持次序，所以当 $G$ 单调递增时，平均搬运距离，即 **Wasserstein-1 距离** $W_1$，就是 $\int_0^1 |G(z) - \mu - \sigma\Phi^{-1}(z)|\, dz$。（两个数略有出入：一个用 1,000 个等距的点和精确的曲线，另一个用两边各 10,000 次抽样。）
#
# 四个矩全都对，直方图却不是钟形。请记住这一点，后面讲矩相等的那一节会用到。
#
# ### 原文自己的设置
#
# 现在看预设 `article`：`squares`，每批 100 个点，G 有 2,701 个参数，用 Adam，D 和 G 各更新一次。一轮只有 2 次更新，而不是 40 次，所以我们跑得起全部 30,000 轮。

# %%
article_run = replace(article, steps=notebook.budget(30_000, 4))
article_model = tiny_gan.build(article_run)
article_model.run_eagerly = notebook.budget(False, True)  # four epochs need no compilation
article_rows, _ = train(article_model, article_run, notebook.budget(100, 2))
plots.course(article_rows, targets)

# %%
highest = max(article_rows[:33], key=lambda row: row["mean"])  # in the first 10,000 epochs
for row in (article_rows[0], highest, *article_rows[-34::33]):
    print(report.log_line.format(**row))
against_ideal(article_model, "G, preset article")

# %% [markdown]
# 下面与原文所说的 20,000 轮之后的情形作对照。这里关于该预设的说法，都是用二十个种子测得的，数字见[卡片](../../saved_models/tiny_gan/README.md)。
#
# | 原文 | 测得的结果 |
# |---|---|
# | 均值先超过 4.0，再回来，然后稳定 | 的确先超过，再回来 |
# | 然后稳定 | 到 20,000 轮为止是稳定的；到 30,000 轮，二十个种子里有八个的均值跑掉了：D 赢了 |
# | 标准差起初朝错误的方向下降 | 不可能：G 最初的点几乎全都相等 |
# | 标准差随后上升到 1.25 | 是 |
# | 左尾比右边稍长 | 是：偏度的中位数是 $-0.62$ |
# | 偏度和峰度与高斯分布相符 | 否：峰度的中位数是 $-0.72$ |
#
# 最后一行最值得注意。原文不接受均匀分布，因为它的均值和标准差可以都对，形状却不对。均匀分布的峰度是 $-1.2$；而在 20,000 轮时，原文自己的 G 按各种子的中位数来看，离这个值比离高斯分布的 0 更近。再看上面的曲线：均值和标准差很快就稳定在目标附近，偏度和峰度却一直游移，时而在 0 之上，时而在 0 之下。看的时候它们在哪里，全凭偶然。D 的第一层能直接读出均值和方差，其余的要靠它自己去发现，而每批 100 个点对其余的说明不了多少。
#
# 原文的结局是 D 分不清真假。D 是否真的分不清，要看上面几行里的损失：各为 0.693 就是抛硬币；D 的两项损失低于它，说明 D 仍然看得出差别。如果 $L_G$ 升到远高于它，而 D 的损失降向 0，那就是 D 赢了，G 跟随的梯度不再引它走上正路。

# %% [markdown]
# ## 陷阱：错误的标签
#
# 原文在后一半只调用 G 的优化器，以免 D 从错误的标签学习。假如我们忘了这一点，让 D 也按 G 的损失更新，这场博弈会变成什么样，可以推导出来。这时 D 在一轮的两半里都会遇到生成的批次，在一半里作为假的，在另一半里作为真的，次数相同。总起来，它要最小化的是 $-p_r \log D - p_g \log(1 - D) - p_g \log D$。与上面一样可得
#
# $$D^* = \frac{p_r + p_g}{p_r + 2 p_g}.$$
#
# 把诚实的回答记为 $s = p_r / (p_r + p_g)$，则 $D^* = 1/(2 - s)$。它的取值从 $\frac12$（肯定是假的）到 1（肯定是真的）；在诚实的专家要抛硬币的地方，它是 $\frac23$。可见 D 没有瞎，只是变得客气了：它不说任何东西是假的。G 的损失则由 $-\log s$ 变成 $\log(2 - s)$，斜率由 $-1/s$ 变成 $-1/(2 - s)$：在 $s = \frac12$ 处只有诚实时的三分之一；在 G 还很差、最需要斜率的地方，就小得更多。
#
# 如果 G 仍然找得到路，损失应当稳定在：真实批次 $-\log\frac23 = 0.405$，生成批次 $-\log\frac13 = 1.099$，G 为 $0.405$。在本软件包里，打破这条规则只要改一个属性：`g_variables` 列出什么，G 的优化器就更新什么。


# %%
class Trusting(tiny_gan.TinyGAN):
    """D, too, learns from the labels that G wishes for."""

    @property
    def g_variables(self):
        return [*self.generator.trainable_variables, *self.discriminator.trainable_variables]


broken_run = replace(config, steps=notebook.budget(2500, 1))
broken = Trusting(broken_run)
broken.compile(*(keras.optimizers.SGD(config.learning_rate, momentum=0.9) for _ in "DG"))
broken.run_eagerly = notebook.budget(False, True)
broken_rows, _ = train(broken, broken_run, notebook.budget(100, 1))

figure, axes = plt.subplots(1, 2, figsize=(10, 3), sharey=True, layout="constrained")
titles = ("D stays as it is while G learns", "D learns the wrong labels, too")
levels = ([np.log(2)], [np.log(1.5), np.log(3)])
for ax, run, level, title in zip(
    axes, (rows[: len(broken_rows)], broken_rows), levels, titles, strict=True
):
    for name in ("loss_d_real", "loss_d_generated", "loss_g"):
        ax.plot([row["step"] for row in run], [row[name] for row in run], label=name)
    ax.hlines(level, 0, run[-1]["step"], "grey", "--", linewidth=1)
    ax.set(title=title, xlabel="epoch", ylabel="loss", ylim=(0, 1.4))
axes[0].legend()
plt.show()

# %%
trial = next(iter(tiny_gan.batches(replace(config, seed=99))))
for name, one in (("honest", model), ("trusting", broken)):
    verdicts = (one.discriminator(x) for x in (trial["x"], tf.map_fn(one.generate, trial["z_d"])))
    p_real, p_generated = (tf.reduce_mean(tf.sigmoid(logits)).numpy() for logits in verdicts)
    print(f"{name:9} D(real) {p_real:.3f}, D(generated) {p_generated:.3f}")
print(report.log_line.format(**broken_rows[-1]))

# %% [markdown]
# 左图中，三项损失都停在 $\log 2$；右图中，它们停在推导给出的虚线上。轻信的 D 对两种批次的回答都在 $\frac23$ 左右（或略高一些，因为每轮最后的那一半，即 G 的那一半，会把它的回答推高）。G 可以向它学习，因为 $1/(2 - s)$ 仍随 $s$ 上升，只是牵引力变弱了。再把最后一行与诚实的模型比较：损失停在各自的水平上，均值和离散程度却不一定到位。失去的是 D 的含义：它的输出不再是批次为真的概率，损失和判断也不再能说明博弈进行到了哪一步。（练习 5 更进一步，让 G 完全没有老师。）

# %% [markdown]
# ## 矩相等不等于分布相等
#
# 在 `moments` 方式下，D 看到的是四个数。前四阶矩相同的两个分布，除了一个批次的波动之外，对它来说是一样的。这样的两个分布能相差多大？在三个点 $\mu - \sqrt3\,\sigma$、$\mu$、$\mu + \sqrt3\, \sigma$ 上分别放上概率 $\frac16$、$\frac23$、$\frac16$。以 $\mu$ 为原点、以 $\sigma$ 为单位，则有
#
# $$E[x] = E[x^3] = 0, \qquad E[x^2] = 2 \cdot \tfrac16 \cdot 3 = 1, \qquad
# E[x^4] = 2 \cdot \tfrac16 \cdot 9 = 3,$$
#
# 与高斯分布相同。它们就是三节点 Gauss-Hermite 求积的节点和权重；如果用五个节点，直到第九阶的矩都相同（练习 4）。
#
# D 能不能学会把这样的点与钟形曲线区分开？我们给它充分的机会：造假者不动，D 用 Adam 做数千次 `update_d`；五个造假者各从头来一遍。（`generate` 换成恒等映射，于是代替噪声传入的就是造假者的批次本身。）最后一列是另一个 D 对这些赝品各自前一百个点的回答：它属于软件包附带的训练好的模型 `box`，出自预设 `stable`，以下称为“附带的模型”。

# %%
box = tf.saved_model.load(str(savedmodel.find(Path("tiny_gan"))))  # keep it: it holds the variables


def quadrature(n):
    nodes, weights = np.polynomial.hermite_e.hermegauss(n)
    return lambda shape: mu + sigma * rng.choice(nodes, shape, p=weights / weights.sum())


def box_points(shape):
    z = tf.constant(rng.uniform(size=(np.prod(shape), 1)), tf.float32)
    return box.signatures["decode"](z=z)["x"].numpy().reshape(shape)


draws = {
    "N(4, 1.25)": lambda shape: rng.normal(mu, sigma, shape),
    "three points": quadrature(3),
    "five points": quadrature(5),
    "G of the box": box_points,
    "N(4.1, 1.25)": lambda shape: rng.normal(mu + 0.1, sigma, shape),
    "uniform": lambda shape: mu + sigma * np.sqrt(12) * (rng.uniform(size=shape) - 0.5),
}
for name, color in zip(list(draws)[:4], ("C1", "C0", "C3", "C2"), strict=True):
    plt.plot(np.sort(draws[name]((20_000,))), np.linspace(0, 1, 20_000), color, label=name)
finish("x", "share of points up to x")

# %%
judge = tiny_gan.build(later)
judge.compile(keras.optimizers.Adam(0.01), keras.optimizers.Adam(0.01))
judge.generate = lambda x: x
untaught = [variable.numpy() for variable in judge.state]


@tf.function(jit_compile=notebook.budget(True, False))
def teach(x, z):
    return base.repeat(judge.update_d, {"x": x, "z": z}, ["loss_d_real"])[0]


def batches_of(name, count):
    return tf.constant(draws[name]((count, 500)), tf.float32)


print("               mean   std   skew  kurt.  D(real)  D(forged)  right   box's D")
for name in list(draws)[1:]:
    for variable, initial in zip(judge.state, untaught, strict=True):
        variable.assign(initial)
    for _ in range(2):
        teach(*(batches_of(each, notebook.budget(2000, 2)) for each in ("N(4, 1.25)", name)))
    fresh = [batches_of(each, 1000) for each in ("N(4, 1.25)", name)]
    on_real, on_forged = (tf.sigmoid(judge.discriminator(x)).numpy() for x in fresh)
    right = (np.mean(on_real > 0.5) + np.mean(on_forged <= 0.5)) / 2
    says = [box.signatures["discriminate"](x=x[:100, None])["probability"] for x in fresh[1][:50]]
    m = gaussian.moments(fresh[1].numpy().ravel()).values()
    print(f"{name:13}", *(f"{value:5.2f} " for value in m), end="")
    print(f"{on_real.mean():7.3f} {on_forged.mean():10.3f} {right:6.0%} {np.mean(says):9.3f}")

# %% [markdown]
# 那两条阶梯曲线毫无钟形的样子。五个点的矩直到第九阶都与高斯分布相符，D 的表现并不比抛硬币好：对两者的判断相同，一半的情况下正确。均匀分布的四阶矩不对，每一批都被识破；均值偏高 0.1 的与真实的放在一起，它四批里能判对三批。
#
# 三个点的情形另有启发：前四阶矩都相等，这个 D 却对多错少。泄露底细的是一个批次的矩的**波动**，它取决于更高阶的矩。对于二阶矩、四阶矩与高斯分布相同的对称分布，以 $\sigma$ 为单位，$n$ 个点的偏度的方差约为 $(E[x^6] - 9)/n$。高斯分布的 $E[x^6] = 15$，方差是 $6/n$；三个点的 $E[x^6] = 9$，方差几乎为零。五个点连这一点线索也没有留下。
#
# 这对前面用预设 `moments` 训练的 G 意味着：它是凭四个数来评判的，所以做对的也就是四个数。直方图的尖峰和被截断的两端，不是多训练就能改好的，因为 D 几乎看不见它们。`sorted` 方式的 D 却看得见。附带的模型的 D 也给人启发。看最后一行：均匀分布的批次，专门教过的 D 每一批都能识破，它却拿不定主意。博弈结束时，D 知道的是它自己的 G 最后需要听到的话，它并不是一般意义上的赝品检测器。

# %% [markdown]
# ## GAN 只跑一次说明不了问题
#
# 以上每个结果都只跑了一次。现在对每种呈现批次的方式，用原文的设置和它的 20,000 轮训练几个种子，对预设 `moments` 和 `stable` 也训练几个种子。后者的网络与 `article` 相同，但 D 看到的点排过序，也标准化过；学习率从 0.001 开始，线性降到零。（`evaluate.train_seeds` 只编译一个程序，再从每个种子出发运行；这个单元格用时最多。）


# %%
seeds, epochs = range(notebook.budget(3, 1)), notebook.budget(20_000, 10)
configs = {mode: replace(article, inputs=mode, steps=epochs) for mode in tiny_gan.INPUTS}
configs |= {"preset moments": later, "preset stable": tiny_gan.PRESETS["stable"]}
figure, axes = plt.subplots(1, 7, figsize=(15, 2.6), layout="constrained")
middles = (report.edges[1:] + report.edges[:-1]) / 2
print("medians            mean    std   skew  kurtosis     W1 (from, to)")
for ax, (name, config) in list(zip(axes, configs.items(), strict=True))[: notebook.budget(7, 1)]:
    with tempfile.TemporaryDirectory() as directory, redirect_stdout(None):  # no progress lines
        runs = evaluate.train_seeds(tiny_gan, tiny_gan.Report(config), Path(directory), seeds)
    summary = evaluate.summarise(runs)
    mean, std, skew, kurtosis, w1 = (summary[key]["median"] for key in (*targets, "w1"))
    print(f"{name:16} {mean:6.2f} {std:6.2f} {skew:6.2f} {kurtosis:9.2f} {w1:6.2f}", end="")
    print(f" ({summary['w1']['min']:.2f}, {summary['w1']['max']:.2f})")
    ax.plot(middles, np.transpose([run["density"] for run in runs]), "C2", linewidth=1)
    ax.plot(middles, stats.norm.pdf(middles, mu, sigma), "C1")
    ax.set(title=name, xlabel="x", xlim=(-1, 9), ylim=(0, 1))
plt.show()

# %% [markdown]
# 先看峰度，与“线性层能直接读出什么”那张表对照。用 `raw` 和 `differences` 时，它停在 $-1$ 附近：一段平坦，接着一个尖峰，然后陡然下落，在这几次运行里尖峰都在右边。用 `moments` 时，两种预设下它都接近 0：让 D 看到峰度，峰度就对。（这条规律有限度：用 `raw` 时标准差也大致正确，那是隐藏层自己发现的。）`squares` 这种方式，各个种子相差很大；设置相同，这么几个种子的中位数可能与卡片上二十个种子的中位数相去甚远。这么几个种子，也不足以按 $W_1$ 给各种方式排名次。
#
# 再看最后两种。用 `sorted` 时其他都不变，尖峰变成了一个还有些毛糙的隆起，因为 D 能告诉 G，它的曲线哪里不对。预设 `stable` 又加上标准化和学习率衰减，最后的步子因此很小：它的每条线都落在钟形曲线上。
#
# 更多种子的结果在[卡片](../../saved_models/tiny_gan/README.md)里：用原文的设置训练 20,000 轮，十个种子里有一个接近目标（$W_1 \le \sigma/5$）；用预设 `moments`，大约一半接近。附带的模型出自 `stable`，按 Kolmogorov-Smirnov 距离是一百个里最好的一个；它是挑出来的，不是典型的一个，不过在那里，典型的结果也是钟形。

# %% [markdown]
# ## 带走生成器
#
# 软件包里训练好的模型只需要 TensorFlow，既不需要 tf_gen，也不需要 Keras。它有三个签名：`decode`（G）、`sample`（I 和 G）、`discriminate`（D，100 个点）；`serving_default` 就是 `decode`，这是 TensorFlow Serving 要找的名字。

# %%
for name, signature in box.signatures.items():
    print(f"{name:16}", {k: v.shape for k, v in signature.structured_input_signature[1].items()})
x = box.signatures["decode"](z=tf.constant([[0.1], [0.5], [0.9]]))["x"].numpy()[:, 0]
print("G:", np.round(x, 2), "ideal:", np.round(stats.norm.ppf([0.1, 0.5, 0.9], mu, sigma), 2))
drawn = box.signatures["sample"](count=tf.constant(10_000), seed=tf.constant([1, 2]))["x"]
print("10,000 samples:", {k: round(v, 2) for k, v in gaussian.moments(drawn.numpy()).items()})

# %% [markdown]
# 在命令行里（更多用法见[卡片](../../saved_models/tiny_gan/README.md)，包括 `saved_model_cli`、TensorFlow Serving 和 LiteRT）：
#
# ```sh
# python -m tf_gen.sample tiny_gan --count 10000 --out samples.png
# python -m tf_gen.train tiny_gan --preset stable --seed 86
# python -m tf_gen.train tiny_gan --inputs differences --run-dir runs/differences
# python -m tf_gen.evaluate tiny_gan --preset stable --seeds 20
# ```
#
# **真是 50 行吗？** 原文只算五个组件，不算“一些其他的样本代码”。我们来数一数软件包里的行数，空行、注释和文档字符串不计。


# %%
def code_lines(*objects):
    text = "\n".join(inspect.getsource(object_) for object_ in objects)
    text = re.sub(r'"""(?s:.*?)"""', "", text)  # docstrings
    return sum(line.strip()[:1] not in ("", "#") for line in text.splitlines())


counts = {
    "R and I": code_lines(gaussian.draw_points, gaussian.blocks, tiny_gan.blocks, gan.prior),
    "G": code_lines(tiny_gan.dense, tiny_gan.Generator, gan.generate),
    "D": code_lines(tiny_gan.Discriminator, gan.discriminate),
    "what D sees": code_lines(tiny_gan.deviations, tiny_gan.moments) + 7,  # and the dict INPUTS
    "the loop": code_lines(gan.update, gan.update_d, gan.update_g, base.repeat),
    "put together": code_lines(gan.__init__, tiny_gan.AdamPyTorch, tiny_gan.build),
}
print(counts, "\nsum:", sum(counts.values()), "all of tiny_gan.py:", code_lines(tiny_gan))

# %% [markdown]
# 可见在这里，五个组件不止 50 行，原因也很清楚：呈现批次的方式有五种而不是一种；有三种预设；Adam 要与 PyTorch 的一致；抽样只取决于种子和步数；循环要编译。循环是五个组件中最长的，因为它自带编译好的重复执行；原文所说的循环，即 `update_d` 和 `update_g`，各自只有寥寥几条语句。`tiny_gan.py` 的其余部分主要是各项设置；测量和画图都交给它的任务。
#
# **接着读**：笔记本 [2](02_gaussian_gan.ipynb) 里的 D 评判单个点，还讲到坍缩；笔记本 [4](04_ali.ipynb) 里的 D 评判由图像与编码组成的数据对。本篇的模型在 [tf_gen/models/tiny_gan.py](../../tf_gen/models/tiny_gan.py)，它的任务在 [tf_gen/tasks/gaussian.py](../../tf_gen/tasks/gaussian.py)。

# %% [markdown]
# ## 练习
#
# **1.** **不是唯一的。** $\mu + \sigma\,\Phi^{-1}(z)$ 是理想的**递增**的 G。找一个递减的 G，再找一个既不递增也不递减的 G，使它们的点有同样的分布。用 Kolmogorov-Smirnov 距离（两者“不超过 $x$ 的点所占比例”的最大差）来检验。

# %% tags=["answer"]
z = rng.uniform(size=10_000)  # 1 - z and |2z - 1| are uniform, too, and D sees only points
others = {"increasing": z, "decreasing": 1 - z, "there and back": np.abs(2 * z - 1)}
for name, uniform_again in others.items():
    x = stats.norm.ppf(uniform_again, mu, sigma)
    print(f"{name:15} KS {stats.kstest(x, stats.norm(mu, sigma).cdf).statistic:.4f}")

# %% [markdown]
# **2.** **一个批次能说明多少。** 真实的点来自 $N(4, 1.25)$，生成的点来自 $N(4 + \delta, 1.25)$。最优的 D 把批次的均值与 $4 + \delta/2$ 比较。它判断正确的概率有多大？推导出 $\Phi(\sqrt n\,\delta / (2\sigma))$，并用 $\delta = 0.1$ 检验。

# %% tags=["answer"]
delta = 0.1  # the threshold lies delta / 2 above the mean of real batches, which scatters:
for n in (1, 100, 500):
    means = mu + sigma * rng.normal(size=20_000) / np.sqrt(n)
    right = np.mean(means < mu + delta / 2)
    formula = stats.norm.cdf(np.sqrt(n) * delta / (2 * sigma))
    print(f"n = {n:3}: right for {right:.1%} of the batches, formula {formula:.1%}")

# %% [markdown]
# **3.** **没有新东西。** 用数值说明：`differences` 给线性层的东西，`raw` 全都有；`squares` 则不然。取 300 个批次，每批 50 个点，把 D 所看到的排成矩阵，计算它的秩。

# %% tags=["answer"]
x = tf.constant(rng.normal(mu, sigma, (300, 50)))  # the rank counts independent directions
for name in ("raw", "squares", "differences"):
    shown = tiny_gan.INPUTS[name](x).numpy()
    print(f"{name:12} {shown.shape[1]} numbers, rank {np.linalg.matrix_rank(shown)}")

# %% [markdown]
# **4.** **更多的矩。** 如果 D 能看到直到第七阶的矩，就会识破那三个点。找一个离散分布，使它直到第七阶的矩都与 $N(0, 1)$ 相同。（用 `np.polynomial.hermite_e.hermegauss`。）$n$ 个点最多能与多少阶矩相符？

# %% tags=["answer"]
for n in (3, 4):
    nodes, weights = np.polynomial.hermite_e.hermegauss(n)
    weights = weights / weights.sum()
    ours = [round(float(weights @ nodes**k), 6) + 0.0 for k in range(1, 9)]
    print(f"{n} points {np.round(nodes, 3) + 0.0}, moments 1 to 8: {ours}")
print("N(0, 1), moments 1 to 8:", [round(float(stats.norm.moment(k)), 6) for k in range(1, 9)])
# Quadrature with n nodes is exact up to degree 2n - 1, so n points match 2n - 1 moments.

# %% [markdown]
# **5.** **错误的标签越来越多。** 设 D 每从正确的标签学习一次，就从错误的标签学习 $k$ 次。当 G 完美时，它会怎样回答？当 $k$ 增大时又怎样？

# %% tags=["answer"]
d = np.linspace(0.001, 0.999, 999)
for k in (0, 1, 2, 20):
    loss = -np.log(d) - np.log(1 - d) - k * np.log(d)
    print(
        f"k = {k:2}: smallest loss at D = {d[loss.argmin()]:.3f}, formula {(1 + k) / (2 + k):.3f}"
    )
# D* = (p_r + k p_g) / (p_r + (1 + k) p_g) goes to 1: who approves of everything teaches nothing.
