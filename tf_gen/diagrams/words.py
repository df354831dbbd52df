"""The labels of the diagrams and their alternative texts, in English and in Chinese."""

from tf_gen.labels import LANGUAGES

# Formulas and names in the code are the same in both languages and stand in the drawings.
WORDS = {
    # all
    "encoder": ("encoder", "编码器"),
    "decoder": ("decoder", "解码器"),
    "sampler": ("sampler", "采样器"),
    "discriminator": ("discriminator", "判别器"),
    "generator": ("generator", "生成器"),
    "noise": ("noise", "噪声"),
    "forward": ("values", "前向计算"),
    "gradient": ("gradient", "梯度"),
    "learns": ("learns", "学习"),
    "frozen": ("frozen", "冻结"),
    "real data": ("real data", "真实数据"),
    "parameters": ("parameters", "个参数"),
    # vae
    "drawn": ("draw z ~ q(z|x)", "采样：z ~ q(z|x)"),
    "reparameterised": ("with reparameterisation", "重参数化之后"),
    "not reparameterised": ("without reparameterisation", "没有重参数化"),
    "no derivative": ("no derivative", "采样不可求导"),
    "stops": ("stops here", "到此中断"),
    "only KL": ("of KL only", "只来自 KL"),
    "both losses": ("of both losses", "来自两项损失"),
    "computed": ("has derivatives", "可求导"),
    "reconstruction": ("reconstruction", "重构损失"),
    "latent": ("latent", "隐变量"),
    "kl loss": ("KL divergence", "KL 散度"),
    "mean loss": (
        "loss = mean over the batch of (reconstruction + kl)",
        "loss = (reconstruction + kl) 对批次取平均",
    ),
    # gan
    "d step": ("1. D's step", "1. 训练 D"),
    "g step": ("2. G's step, on a new z", "2. 训练 G，用新的 z"),
    "not reached": ("no gradient is used here", "这里不用梯度"),
    "target 1": ("should be 1", "应为 1"),
    "target 0": ("should be 0", "应为 0"),
    "through D": ("through D, which stays as it is", "梯度穿过 D，但 D 不变"),
    # minibatch discrimination
    "activations": ("activations of a batch", "一批样本的激活值"),
    "projected": ("5 vectors of length 3 for each sample", "每个样本 5 个长度为 3 的向量"),
    "for each": (
        "for each pair i, j of the batch, and each kernel k",
        "对批次中的每一对样本 i、j 和每个核 k",
    ),
    "distance": ("L1 distance", "L1 距离"),
    "equal is 1": ("1 where equal", "两者相同时为 1"),
    "summed": ("over all j, i itself too", "对所有 j，含 i 自身"),
    "range": ("from 1 (alone) to n", "从 1（孤立）到 n"),
    "sum of 3": ("sum over the 3", "对 3 个数求和"),
    "beside": ("beside each other", "拼接"),
    "features": ("5 features", "5 个特征"),
    "last layer": ("D's last layer", "D 的最后一层"),
    # what D sees
    "a batch": ("a batch of 100 points, x", "一批 100 个点，x"),
    "mean of batch": ("m = mean(x), the mean of the batch", "m = mean(x)，这批点的均值"),
    "widths": (
        "preset moments: a batch is 500 points, and D is 4 → 10 → 10 → 1, all sigmoid",
        "预设 moments：一批 500 个点，D 为 4 → 10 → 10 → 1，全用 sigmoid",
    ),
    "no gradient through m": ("no gradient through m", "梯度不经过 m"),
    "gradient everywhere": ("gradients flow through all", "梯度处处可以流过"),
    "numbers": ("numbers", "数的个数"),
    "article": ("article", "原文"),
    "ours": ("ours", "本项目"),
    "later": ("later code", "后来的代码"),
    "in order": ("x in ascending order", "x 按升序排列"),
    "moment mean": ("mean", "均值"),
    "moment std": ("std", "标准差"),
    "moment skew": ("skew", "偏度"),
    "moment kurtosis": ("kurtosis", "峰度"),
    # ali
    "encoder's joint": ("encoder's joint", "编码器的联合分布"),
    "decoder's joint": ("decoder's joint", "解码器的联合分布"),
    "real image": ("real image", "真实图像"),
    "inferred code": ("inferred code", "推断的编码"),
    "code of the prior": ("code of the prior", "先验中的编码"),
    "drawn image": ("generated image", "生成的图像"),
    "the pair": ("either pair", "两种数据对"),
    "d learns first": ("D learns", "训练 D"),
    "q and p learn": ("Q and P learn, through D", "训练 Q 和 P，梯度穿过 D"),
    "guarded": (
        "mean over the batch; log v stands for log(v + 1e-8)",
        "mean 是对批次取平均；log v 代表 log(v + 1e-8)",
    ),
    # running graph
    "data": ("data", "数据"),
    "losses": ("losses", "损失"),
    "between": ("between", "中间运算"),
    "earlier": ("from step 1", "来自第 1 步"),
    "step": ("step", "步骤"),
    "forward part": ("forward", "前向"),
    "gradient part": (
        "gradient (it also takes {} tensors of the forward part)",
        "梯度（另取前向部分的 {} 个张量）",
    ),
    "step said": (
        "step {}: forward {}, then gradient {}, then {}",
        "步骤 {}：先前向计算，{}；再求梯度，{}；最后是{}",
    ),
    "comma": (", ", "，"),
    "brackets": (" ({})", "（{}）"),
    "call": ("call", "调用"),
    "operation": ("operation", "个运算"),
    "operations": ("operations", "个运算"),
    "totals": (
        "in all {} operations, which take {} tensors",
        "共 {} 个运算，取用 {} 个张量",
    ),
    "others": (
        "among them {} that stand for variables, {} that make the results or surround loops",
        "其中 {} 个代表变量，{} 个计算返回值或属于循环之外",
    ),
    "optimiser": ("optimiser", "优化器"),
    "assigns": ("variables it assigns", "更新的变量"),
    "of its own": ("its own", "自身"),
    "colon": (": ", "："),
    "list": ("; ", "。"),
}

TITLES = {
    "vae_graphs": (
        "Two graphs of a variational autoencoder, without and with reparameterisation",
        "变分自编码器的两个计算图：没有重参数化与重参数化之后",
    ),
    "vae_network": (
        "The networks of the variational autoencoder, with sizes and losses",
        "变分自编码器的网络结构、各层大小与损失",
    ),
    "gan_game": (
        "The game of a GAN: who learns in which step",
        "GAN 的博弈：每一步由谁学习",
    ),
    "minibatch_discrimination": (
        "Minibatch discrimination, from activations to features",
        "小批量判别：从激活值到特征",
    ),
    "d_inputs": (
        "What the discriminator sees of a batch",
        "判别器看到批次的什么",
    ),
    "ali_joints": (
        "The two joint distributions of ALI",
        "ALI 的两个联合分布",
    ),
    "running_graph": (
        "TensorFlow's graph of one update of {model}",
        "{model} 一次更新的 TensorFlow 计算图",
    ),
}  # fmt: skip

DESCRIPTIONS = {
    "vae_graphs": (
        "Two graphs side by side; both go from the image x through the encoder to z_mean and "
        "z_log_var, whose KL divergence from N(0, I) is one loss, then to z, through the decoder "
        "to x̂, and to the reconstruction loss, which compares x̂ with x. In the left graph z is "
        "drawn from N(μ, σ²): the gradient of the reconstruction comes back from the loss through "
        "the decoder to z and stops there, so the encoder gets the gradient of the KL only. In "
        "the right graph z = z_mean + σ · ε, σ = exp(z_log_var / 2), is computed; the only random "
        "node, ε ~ N(0, I), stands aside as an input, and the gradient passes through z to z_mean, "
        "z_log_var and the encoder.",
        "两个计算图并排。两图都从图像 x 出发，经编码器得到 z_mean 和 z_log_var，它们与 N(0, I) 的 KL 散度是一项"
        "损失；再得到 z，经解码器得到 x̂，与 x 比较，就是重构损失。左图中 z 从 N(μ, σ²) 中采样：重构损失的梯度经"
        "解码器传回 z，到此中断，编码器只得到 KL 的梯度。右图中 z = z_mean + σ · ε，σ = exp(z_log_var / 2)，是"
        "计算出来的；唯一的随机节点 ε ~ N(0, I) 移到旁边，成为一个输入，梯度于是能经过 z 传回 z_mean、z_log_var "
        "和编码器。",
    ),
    "vae_network": (
        "From left to right: x with 784 pixels; the encoder's hidden layer of {hidden} tanh units; "
        "z_mean and z_log_var with {latent} linear units each; the sampler z = z_mean + "
        "exp(z_log_var / 2) · epsilon; z with {latent} numbers; the decoder's hidden layer of "
        "{hidden} tanh units; x̂ with 784 sigmoid units. {total} parameters in all. The KL term is "
        "computed from z_mean and z_log_var, the reconstruction term from x and x̂; the loss is the "
        "mean of their sum over the batch.",
        "从左到右：x，784 个像素；编码器的隐藏层，{hidden} 个 tanh 单元；z_mean 和 z_log_var，各 {latent} 个线性"
        "单元；采样器 z = z_mean + exp(z_log_var / 2) · epsilon；z，{latent} 个数；解码器的隐藏层，{hidden} 个 "
        "tanh 单元；x̂，784 个 sigmoid 单元。共 {total} 个参数。KL 项由 z_mean 和 z_log_var 算出，重构项由 x 和 "
        "x̂ 算出；损失是两者之和对批次的平均。",
    ),
    "gan_game": (
        "Two steps, one below the other. In D's step noise z goes through G, which is frozen, and "
        "G(z) goes into D beside real data x; D learns: D(x) should be 1 and D(G(z)) should be 0. "
        "The loss is −log D(x) − log(1 − D(G(z))), and its gradient goes to D only. In G's step a "
        "new z goes through G, which learns, and through D, which is frozen; D(G(z)) should be 1. "
        "The loss is −log D(G(z)), and its gradient passes through D, which stays as it is, to G.",
        "上下两步。训练 D 时，噪声 z 经过冻结的 G 得到 G(z)，与真实数据 x 一起送入 D；D 学习：D(x) 应为 1，"
        "D(G(z)) 应为 0。损失是 −log D(x) − log(1 − D(G(z)))，梯度只传给 D。训练 G 时，新的噪声 z 经过学习中的 "
        "G，再经过冻结的 D；D(G(z)) 应为 1。损失是 −log D(G(z))，梯度穿过不变的 D 传到 G。",
    ),
    "minibatch_discrimination": (
        "h, the activations [n, {width}] of a batch of n samples, are multiplied by W [{width}, "
        "15] and arranged as M [n, 5, 3]: for each sample 5 vectors of 3 numbers, one for each "
        "kernel. For each pair of samples i and j and each kernel k the L1 distance of the two "
        "vectors is taken, [n, n, 5], then exp(−distance), which is 1 where they are equal. The "
        "sum over all j of the batch, i itself included, gives 5 features for each sample, "
        "[n, 5]. They are put beside h as [n, {wider}], which goes into the last layer of D.",
        "h 是一批 n 个样本的激活值 [n, {width}]，乘以 W [{width}, 15]，排成 M [n, 5, 3]：每个样本有 5 个长度为 3 "
        "的向量，每个核一个。对每一对样本 i、j 和每个核 k，取两个向量的 L1 距离，得 [n, n, 5]；再取 exp(−距离)，"
        "两者相同时为 1。对批次中的所有 j（含 i 自身）求和，每个样本得到 5 个特征 [n, 5]。把它们与 h 拼接成 "
        "[n, {wider}]，送入 D 的最后一层。",
    ),
    "d_inputs": (
        "A batch of 100 points x, and five ways of showing it to D, each with what D's first layer "
        "gets. raw: x, 100 numbers. squares, the article's: x and (x − m)², 200 numbers. "
        "differences: x and x − m, 200 numbers. In both m = mean(x) and no gradient flows through "
        "m. moments, of the later code: mean, standard deviation, skew and kurtosis, 4 numbers, "
        "with gradients through all of them. sorted, our own: x in ascending order, 100 numbers.",
        "一批 100 个点 x，以及把它呈现给 D 的五种方式，并注明 D 的第一层接收什么。raw：x，100 个数。squares（"
        "原文）：x 和 (x − m)²，200 个数。differences：x 和 x − m，200 个数。后两者中 m = mean(x) 是均值，梯度不"
        "经过 m。moments（后来的代码）：均值、标准差、偏度、峰度，4 个数，梯度处处可以流过。sorted（本项目）：x 按"
        "升序排列，100 个数。",
    ),
    "ali_joints": (
        "On the left the encoder's joint distribution, q(x) q(z|x): a real image x with 784 pixels "
        "goes up through Q, {hidden} relu units, to the inferred code Q(x) with {latent} numbers. "
        "On the right the decoder's, p(z) p(x|z): a code z with {latent} numbers from the prior "
        "U(−1, 1) goes down through P, {hidden} relu units, to a generated image P(z). In the "
        "middle D, {joint} numbers to {hidden} relu units to 1 sigmoid, sees either the pair "
        "(x, Q(x)), for which it should say 1, or the pair (P(z), z), for which it should say 0. "
        "First D learns; then Q and P together, with the roles of the pairs swapped.",
        "左边是编码器的联合分布 q(x) q(z|x)：784 个像素的真实图像 x 向上经过 Q（{hidden} 个 relu 单元），得到推断的"
        "编码 Q(x)，{latent} 个数。右边是解码器的联合分布 p(z) p(x|z)：从先验 U(−1, 1) 抽取的编码 z，{latent} 个"
        "数，向下经过 P（{hidden} 个 relu 单元），得到生成的图像 P(z)。中间的 D（{joint} 个数，{hidden} 个 relu "
        "单元，1 个 sigmoid 单元）看到的是数据对 (x, Q(x))，应答 1；或者数据对 (P(z), z)，应答 0。先训练 D；再让 Q "
        "和 P 一起学习，两种数据对的角色互换。",
    ),
    "running_graph": (
        "The {operations} operations of the graph and the {edges} tensors that they take, in "
        "groups, by name scope: boxes with the number of operations, and arrows with the number of "
        "tensors. From left to right go the values, from data through the networks to the losses; "
        "below, from right to left, the gradients; at the bottom is the optimiser that takes them. "
        "Operations by group: {steps}; {others}.",
        "计算图的 {operations} 个运算和它们取用的 {edges} 个张量，按名称作用域分组：方框标有运算的个数，箭头标有张量"
        "的个数。从左到右是前向计算，由数据经过各网络到损失；下面从右到左是梯度；最下面是取用梯度的优化器。各组的运算"
        "个数：{steps}。{others}。",
    ),
}


def words(language):
    """Return a function from a key of `WORDS` to its words in `language`.

    Raises:
        ValueError: `language` is not in `LANGUAGES`.
    """
    place = index(language)
    return lambda key: WORDS[key][place]


def index(language):
    """The place of a language in the pairs of this module; ValueError if it has none."""
    if language not in LANGUAGES:
        raise ValueError(f"language must be one of {', '.join(LANGUAGES)}, not {language!r}")
    return LANGUAGES.index(language)
