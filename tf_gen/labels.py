"""The words on plots, in English and in Chinese, so that the Chinese notebooks speak one language.

Code that draws writes English, as `word("training step")`. `use("zh-CN")` switches, for this
process, to what stands here; a text without an entry, such as a formula, stays as it is.
"""

LANGUAGES = ("en", "zh-CN")
CHINESE = {
    # axes
    "training step": "训练步数",
    "seed": "随机种子",
    "density": "密度",
    "Data values": "数据取值",
    "Probability density": "概率密度",
    "nats": "奈特",
    # series
    "loss": "损失",
    "reconstruction": "重构损失",
    "kl": "KL 散度",
    "held-out loss": "留出集损失",
    "real data": "真实数据",
    "generated data": "生成数据",
    "generated data, {} seeds": "生成数据，{} 个随机种子",
    "all seeds together": "所有随机种子合计",
    "generated": "生成",
    "data: {:g}": "数据：{:g}",
    "{:,} generated points": "{:,} 个生成的点",
    "mean {:.2f}": "均值 {:.2f}",
    "mean {:.3f}": "均值 {:.3f}",
    "mean": "均值",
    "std": "标准差",
    "skew": "偏度",
    "kurtosis": "峰度",
    "Frame: {}/{}, step {}": "第 {}/{} 帧，第 {} 步",
    # the latent plane
    "The decoder's image at each z": "解码器在每个 z 处生成的图像",
    "Where the encoder puts held-out images": "编码器把留出集图像放在哪里",
    "--z at centroid": "质心处的 --z",
    "--z where clearest": "最清晰处的 --z",
    # notebook 1
    "nats an image": "奈特/图像",
    "the article's log: one batch of MNIST": "原文的日志：MNIST 的一个批次",
    "training loss": "训练损失",
    "logit of a pixel that should be black, x = 0": "应为黑色（x = 0）的像素的 logit",
    "gradient": "梯度",
    "cross entropy": "交叉熵",
    "squared error": "平方误差",
    "squared error, λ = 10": "平方误差，λ = 10",
    "squared error, λ = 1": "平方误差，λ = 1",
    "cross entropy without KL": "交叉熵，没有 KL 项",
    "drawn from the prior": "从先验采样生成",
    "heads of 10": "十次中正面的次数",
    "probability of each outcome, fair coin": "概率：均匀硬币的各种结果",
    "likelihood of each coin, 7 heads of 10": "似然：十次七正，各种硬币",
    "log-likelihood of 100 points, + by the formulas": "100 个点的对数似然，+ 由公式得到",
    "after {} iterations": "{} 次迭代之后",
    "data and mixture": "数据与混合分布",
    "iteration": "迭代次数",
    "log-likelihood": "对数似然",
    "bound, q of the E step at the dot": "下界，q 取自圆点处的 E 步",
    # notebook 0
    "first infinite loss": "损失首次变成无穷大",
    "as written": "按原来的写法",
    "with logits": "使用 logit",
    "as written, eager": "按原来的写法，即时执行",
    "as written, in a graph": "按原来的写法，计算图",
    "in a graph minus infinity from here on": "计算图从这里起是负无穷",
    # notebook 4
    "q(x, z), encoder": "q(x, z)，编码器",
    "p(x, z), decoder": "p(x, z)，解码器",
    "before training": "训练之前",
    "after training": "训练之后",
    "step {:,}": "第 {:,} 步",
    "losses": "损失",
    "nats a pair": "每对的奈特数",
    "held-out loss_d": "留出集 loss_d",
    "held-out loss_g": "留出集 loss_g",
    "D's mean answer for held-out pairs": "D 对留出集数据对的平均回答",
    # notebook 2
    "D's loss": "D 的损失",
    "G's loss": "G 的损失",
    "density, or probability": "密度或概率",
    "best D": "最优的 D",
    "real, p": "真实，p",
    "generated, q": "生成，q",
    "D's logit at a generated point": "D 在某个生成点处的 logit",
    "gradient of G's loss": "G 的损失的梯度",
    "seed {}, after {:,} updates": "种子 {}，{:,} 次更新之后",
    "seed {}": "种子 {}",
    "standard deviation": "标准差",
    "collapsed below {:g}": "低于 {:g} 为坍缩",
    "close below {:g}": "低于 {:g} 为接近",
    "D's logit": "D 的 logit",
    "this D": "实际的 D",
    "the best D for this G": "对这个 G 最优的 D",
    "generated points": "生成点",
    "L1 distances, {}": "L1 距离，{}",
    "closeness, {}": "接近程度，{}",
    "points that D sees at once": "D 一次看到的点数",
    "right answers": "判对的比例",
    "KS of each seed": "每个种子的 KS",
    "left out": "去掉的一项",
    "bandwidth h": "带宽 h",
    "log-likelihood, nats": "对数似然（奈特）",
    "true density": "真实密度",
    "points of the KDE": "KDE 的点数",
    "nats below the truth": "比真值低（奈特）",
    "trained G": "训练好的 G",
    "trained G, sorted": "训练好的 G，排序后",
    "quantile function": "分位数函数",
    # notebook 3
    " epoch   D, real    D, gen.         G      mean     std    skew  kurtosis": (
        "  轮数   D，真实   D，生成         G      均值  标准差    偏度      峰度"
    ),
    "ideal G": "理想的 G",
    "straight G": "直线型 G",
    "two generators": "两个生成器",
    "what they generate": "它们生成的点",
    "points of {}": "{} 生成的点",
    "epoch (one round of the loop)": "轮数（循环一遍为一轮）",
    "real": "真实",
    "place in the vector": "在向量中的位置",
    "D, real batch": "D，真实批次",
    "D, generated batch": "D，生成批次",
    "share of points up to x": "不超过 x 的点所占的比例",
}

_language = "en"


def use(language):
    """Label plots in `language` from now on, one of LANGUAGES. ValueError: it is none of them."""
    global _language
    if language not in LANGUAGES:
        raise ValueError(f"no labels in {language!r}; there are {', '.join(LANGUAGES)}")
    _language = language


def word(text):
    """`text` in the language in use; what is to be filled in stays, as in "mean {:.2f}"."""
    return CHINESE.get(text, text) if _language == "zh-CN" else text
