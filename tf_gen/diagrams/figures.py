"""The diagrams of the articles. Each is a function from `word`, see `words.words`, to a drawing.

Sizes are those of the recipes' preset `article`; tests/test_diagrams.py compares them with the
models' weights.
"""

from itertools import pairwise

from tf_gen.diagrams.drawing import COLOURS, SMALL, WIDTH, Drawing

VAE = {"hidden": 512, "latent": 2, "total": "807,700"}
MINIBATCH = {"width": 8, "wider": 13}
ALI = {"hidden": 128, "latent": 64, "joint": 848}


def vae_graphs(word):
    """The VAE's graph without and with reparameterisation, and where its gradient goes."""
    drawing = Drawing(676)
    for x, reparameterised in ((12, False), (326, True)):
        key = "reparameterised" if reparameterised else "not reparameterised"
        drawing.frame(x, 12, 302, 614, word(key))
        main, aside = (x + 22, 162), (x + 206, 86)  # left side and width of the two columns

        def row(y, height, *rest, column=main, drawing=drawing):
            return drawing.box(column[0], y, column[1], height, *rest)

        image = row(48, 34, "data", "x [784]")
        encoder = row(112, 44, "network", word("encoder"), "512 tanh → 2 + 2")
        heads = row(186, 46, "data", "z_mean, z_log_var", "[2] + [2]")
        if reparameterised:
            sampler = row(264, 66, "data", "z = z_mean + σ · ε", "σ = exp(z_log_var / 2)",
                          word("computed"))  # fmt: skip
        else:
            sampler = row(264, 66, "random", word("drawn"), "q = N(z_mean, σ²)",
                          word("no derivative"))  # fmt: skip
        code = row(366, 34, "data", "z [2]")
        decoder = row(430, 44, "network", word("decoder"), "512 tanh → sigmoid")
        output = row(504, 34, "data", "x̂ [784]")
        loss = row(570, 46, "loss", word("reconstruction"), "−log p(x|z)")
        kl = row(186, 46, "loss", "KL", "q ‖ N(0, I)", column=aside)
        rows = [image, encoder, heads, sampler, code, decoder, output, loss]
        for above, below in pairwise(rows):
            drawing.arrow(above.bottom(0.36), below.top(0.36))
        drawing.arrow(heads.right(0.3), kl.left(0.3))
        (x0, y0), (x1, y1) = image.left(), loss.left()
        drawing.arrow((x0, y0), (x + 9, y0), (x + 9, y1), (x1, y1))
        # the gradient's way back
        drawing.arrow(kl.left(0.7), heads.right(0.7), gradient=True)
        for below, above in ((heads, encoder), (loss, output), (output, decoder), (decoder, code)):
            drawing.arrow(below.top(0.64), above.bottom(0.64), gradient=True)
        beside = main[0] + 0.64 * main[1] + 10
        key = "both losses" if reparameterised else "only KL"
        drawing.text(beside, 170, word(key), SMALL, kind="loss", anchor="start")
        if reparameterised:
            drawing.arrow(code.top(0.64), sampler.bottom(0.64), gradient=True)
            drawing.arrow(sampler.top(0.64), heads.bottom(0.64), gradient=True)
            epsilon = row(274, 46, "random", "ε [2]", "ε ~ N(0, I)", column=aside)
            drawing.arrow(epsilon.left(), sampler.right())
        else:
            x0, y0 = code.top(0.64)
            drawing.arrow((x0, y0), (x0, y0 - 14), gradient=True, head=False)
            drawing.cross(x0, y0 - 18)
            drawing.text(beside + 6, y0 - 18, word("stops"), SMALL, kind="frozen", anchor="start")
    legend(drawing, word, 652)
    return drawing


def legend(drawing, word, y):
    """A legend of the two kinds of arrows."""
    drawing.arrow((150, y), (200, y))
    drawing.text(210, y, word("forward"), SMALL, anchor="start")
    drawing.arrow((390, y), (340, y), gradient=True)
    drawing.text(400, y, word("gradient"), SMALL, anchor="start")


def vae_network(word):
    """Encoder, sampler and decoder with the sizes of their layers, and the terms of the loss."""
    drawing = Drawing(510)
    for x, width, key in ((12, 238, "encoder"), (256, 152, "sampler"), (414, 214, "decoder")):
        drawing.frame(x, 12, width, 276, word(key))
    middle = 150

    def bar(x, height, kind, size, *names, y=middle):
        """A layer with its size inside and its names below."""
        box = drawing.box(x, y - height / 2, 40, height, kind, size)
        for number, name in enumerate(names):
            drawing.text(x + 20, y + height / 2 + 13 + 17 * number, name, SMALL)
        return box

    image = bar(24, 196, "data", "784", "x")
    hidden = bar(92, 140, "network", "512", "tanh")
    mean = bar(162, 36, "network", "2", "z_mean", y=98)
    log_var = bar(162, 36, "network", "2", "z_log_var", y=192)
    sampler = drawing.box(263, 114, 138, 72, "data", "", "z = z_mean +", "exp(z_log_var / 2)",
                          "· epsilon")  # fmt: skip
    epsilon = drawing.box(280, 220, 104, 48, "random", "epsilon [2]", "~ N(0, I)")
    code = bar(424, 36, "data", "2", "z", word("latent"))
    hidden_2 = bar(496, 140, "network", "512", "tanh")
    output = bar(570, 196, "network", "784", "sigmoid", "x̂")
    for start, end in ((image, hidden), (code, hidden_2), (hidden_2, output), (sampler, code)):
        drawing.arrow(start.right(), end.left())
    for head in (mean, log_var):
        x, y = head.left()
        drawing.arrow((hidden.right()[0], y), (x, y))
    drawing.arrow(epsilon.top(), sampler.bottom())
    # the terms of the loss
    kl = drawing.box(
        100, 316, 440, 52, "loss", f"kl: {word('kl loss')}",
        "−½ Σ (1 + z_log_var − z_mean² − exp(z_log_var))",
    )  # fmt: skip
    likeness = drawing.box(
        100, 386, 440, 52, "loss", word("reconstruction"),
        "−Σ (x log(x̂ + 1e-10) + (1 − x) log(1 − x̂ + 1e-10))",
    )  # fmt: skip
    bus = 229  # both heads go to the sampler and to the KL
    drawing.arrow(mean.right(), (bus, mean.right()[1]), (bus, kl.y))
    drawing.arrow(log_var.right(), (bus, log_var.right()[1]), head=False)
    drawing.arrow((bus, middle), sampler.left())
    for y in (middle, log_var.right()[1]):
        drawing.add("circle", cx=bus, cy=y, r=3.5, fill=COLOURS["data"][1])
    for box, side, below in ((image, likeness.left(), 22), (output, likeness.right(), 40)):
        x, y = box.bottom()
        drawing.arrow((x, y + below), (x, side[1]), side)
    drawing.text(WIDTH / 2, 460, word("mean loss"), bold=True)
    sums = f"401,920 + 2 × 1,026 + 1,536 + 402,192 = {VAE['total']} {word('parameters')}"
    drawing.text(WIDTH / 2, 486, sums, SMALL)
    return drawing


def gan_game(word):
    """The two steps of a GAN's iteration: the flow of data, who learns, and the gradients."""
    drawing = Drawing(552)
    # D's step
    drawing.frame(12, 12, 616, 286, word("d step"))
    noise = drawing.box(24, 64, 84, 48, "random", "z", word("noise"))
    generator = player(drawing, word, 140, 50, 96, 76, "frozen", "G")
    generated = drawing.box(270, 70, 66, 36, "data", "G(z)")
    data = drawing.box(252, 164, 84, 48, "data", "x", word("real data"))
    judge = player(drawing, word, 362, 50, 96, 180, "learns", "D")
    loss = drawing.box(546, 50, 72, 180, "loss", "loss_d")
    for start, end in ((noise, generator), (generator, generated)):
        drawing.arrow(start.right(), end.left())
    for start, name, key in ((generated, "D(G(z))", "target 0"), (data, "D(x)", "target 1")):
        y = start.right()[1]
        drawing.arrow(start.right(), (judge.x, y))
        drawing.arrow((judge.right()[0], y), (loss.x, y))
        drawing.text(502, y - 13, name, SMALL)
        drawing.text(502, y + 14, word(key), SMALL)
    drawing.arrow(loss.left(0.94), judge.right(0.94), gradient=True)
    drawing.text(188, 144, word("not reached"), SMALL, kind="frozen")
    drawing.text(320, 254, "loss_d = −log D(x) − log(1 − D(G(z)))")
    drawing.text(320, 278, "d_optimizer.apply(gradients, d_variables)", SMALL)
    # G's step
    drawing.frame(12, 306, 616, 206, word("g step"))
    noise = drawing.box(24, 358, 84, 48, "random", "z", word("noise"))
    generator = player(drawing, word, 140, 344, 96, 76, "learns", "G")
    generated = drawing.box(270, 364, 66, 36, "data", "G(z)")
    judge = player(drawing, word, 362, 344, 96, 76, "frozen", "D")
    loss = drawing.box(546, 344, 72, 76, "loss", "loss_g")
    drawing.arrow(noise.right(), generator.left())
    for start, end in ((generator, generated), (generated, judge), (judge, loss)):
        y = generated.y
        drawing.arrow((start.right()[0], y + 8), (end.x, y + 8))
        drawing.arrow((end.x, y + 28), (start.right()[0], y + 28), gradient=True)
    drawing.text(502, 358, "D(G(z))", SMALL)
    drawing.text(502, 408, word("target 1"), SMALL)
    drawing.text(410, 437, word("through D"), SMALL, kind="loss")
    drawing.text(320, 466, "loss_g = −log D(G(z))")
    drawing.text(320, 490, "g_optimizer.apply(gradients, g_variables)", SMALL)
    legend(drawing, word, 531)
    return drawing


def player(drawing, word, x, y, width, height, kind, *names):
    """A network that learns or is frozen, shown by its colour, its label and a lock."""
    box = drawing.box(x, y, width, height, kind)
    middle = y + height / 2 - 8.5 * len(names)
    drawing.text(x + width / 2, middle, names[0], 19, bold=True)
    for number, name in enumerate(names[1:]):
        drawing.text(x + width / 2, middle + 20 + 17 * number, name, SMALL)
    below = middle + 6 + 17 * len(names)
    if kind == "frozen":
        drawing.lock(x + 20, below - 3)
    drawing.text(x + width / 2 + 9 * (kind == "frozen"), below, word(kind), SMALL, kind, bold=True)
    return box


def minibatch_discrimination(word):
    """From a batch's activations to five features of each sample."""
    drawing = Drawing(490)
    rows = (("i", "random"), ("", "data"), ("j", "learns"), ("", "data"))

    def batch(x, y, widths, size, high=15):
        """Four samples of a batch in blocks of given widths, with two samples marked."""
        for number, (_, kind) in enumerate(rows):
            left = x
            for width in widths:
                grid = drawing.cells(left, y + number * high, width, 1, size, kind, high)
                left = grid.right()[0] + 6
        return left - 6

    # h -> M
    drawing.text(24, 30, "h [n, 8]", bold=True, anchor="start")
    drawing.text(24, 52, word("activations"), SMALL, anchor="start")
    right = batch(52, 70, [8], 14)
    for number, (name, kind) in enumerate(rows):
        if name:
            drawing.text(36, 77 + 15 * number, name, SMALL, kind, bold=True)
    drawing.arrow((right + 12, 100), (right + 138, 100))
    drawing.text(right + 72, 86, "h · W + b", bold=True)
    drawing.text(right + 72, 116, "W [8, 15]", SMALL)
    drawing.text(318, 30, "M [n, 5, 3]", bold=True, anchor="start")
    drawing.text(318, 52, word("projected"), SMALL, anchor="start")
    batch(318, 70, [3] * 5, 17)
    for k in range(5):
        drawing.text(318 + 25.5 + 57 * k, 143, f"k = {k + 1}", SMALL)
    # M -> features, from right to left
    drawing.frame(56, 176, 572, 140, word("for each"))
    distance = drawing.box(450, 212, 168, 92, "network", word("distance"), "Σ |M[i, k] − M[j, k]|",
                           word("sum of 3"), "d [n, n, 5]")  # fmt: skip
    near = drawing.box(258, 212, 168, 92, "network", "exp(−d)", word("equal is 1"), "[n, n, 5]")
    summed = drawing.box(66, 212, 168, 92, "network", "o = Σ exp(−d)", word("summed"),
                         word("range"), "[n, 5]")  # fmt: skip
    drawing.arrow((590, 156), (590, distance.y))
    drawing.arrow(distance.left(), near.right())
    drawing.arrow(near.left(), summed.right())
    # beside h
    drawing.text(216, 344, f"[h, o] [n, {MINIBATCH['wider']}]", bold=True, anchor="start")
    drawing.text(216, 366, word("beside"), SMALL, anchor="start")
    batch(52, 392, [8, 5], 14)
    drawing.text(108, 468, "h", SMALL)
    drawing.text(205, 468, f"o: {word('features')}", SMALL)
    drawing.arrow((52, 122), (30, 122), (30, 422), (48, 422))
    drawing.arrow((205, 304), (205, 386))
    last = drawing.box(336, 396, 180, 52, "network", word("last layer"), "13 → 1, sigmoid")
    drawing.arrow((250, 422), last.left())
    drawing.arrow(last.right(), (552, 422))
    drawing.text(584, 422, "D(x)", bold=True)
    return drawing


def d_inputs(word):
    """What tiny_gan's D sees of a batch: the articles' four inputs and one more."""
    drawing = Drawing(546)
    hundred, step = 20, 6.5  # 100 numbers are drawn as 20 cells of this width

    def strip(x, y, kind="data"):
        return drawing.cells(x, y, hundred, 1, step, kind, 20)

    batch = strip(166, 26)
    drawing.text(310, 36, word("a batch"), anchor="start")
    judge = drawing.box(548, 76, 80, 392, "network")
    for number, words in enumerate(["D", "50 ELU", "50 ELU", "1 sigmoid"]):
        drawing.text(588, 236 + 24 * number, words, SMALL if number else 19, bold=not number)
    drawing.text(514, 62, word("numbers"), SMALL)
    bus = 148
    modes = [
        ("raw", "", ["x"], None, 100),
        ("squares", "article", ["x", "(x − m)²"], "no gradient through m", 200),
        ("differences", "", ["x", "x − m"], "no gradient through m", 200),
        ("moments", "later", [], "gradient everywhere", 4),
        ("sorted", "ours", ["in order"], None, 100),
    ]
    for number, (name, source, contents, gradient, count) in enumerate(modes):
        y = 104 + 78 * number
        drawing.text(24, y + 10 - 9 * bool(source), name, bold=True, anchor="start")
        if source:
            drawing.text(24, y + 20, word(source), SMALL, anchor="start")
        drawing.arrow((bus, y + 10), (164, y + 10))
        end = 166
        for part, content in enumerate(contents):
            box = strip(end, y, "network" if part else "data")
            text = word(content) if content == "in order" else content
            drawing.text((box.x + box.right()[0]) / 2, y - 12, text, SMALL)
            end = box.right()[0] + 6 * (part < len(contents) - 1)
        if name == "moments":
            for key in ("mean", "std", "skew", "kurtosis"):
                box = drawing.box(end, y - 4, 64, 28, "network", "", word(f"moment {key}"))
                end = box.right()[0] + 4
            end -= 4
        if gradient:
            blocked = gradient.startswith("no")
            if blocked:
                drawing.lock(174, y + 34)
            drawing.text(166 + 20 * blocked, y + 35, word(gradient), SMALL,
                         "frozen" if blocked else "loss", "start")  # fmt: skip
        drawing.arrow((end + 4, y + 10), (judge.x, y + 10))
        drawing.text(judge.x - 34, y - 3, str(count), bold=True)
    x, y = batch.left()
    drawing.arrow((x, y), (bus, y), (bus, 104 + 78 * 4 + 10), head=False)
    drawing.text(24, 496, word("mean of batch"), SMALL, anchor="start")
    drawing.text(24, 520, word("widths"), SMALL, anchor="start")
    return drawing


def ali_joints(word):
    """The two ways to make a pair of an image and a code, and D, which tells them apart."""
    drawing = Drawing(592)
    left, right = 12, 424
    for x, key, formula in (
        (left, "encoder's joint", "q(x, z) = q(x) q(z|x)"),
        (right, "decoder's joint", "p(x, z) = p(z) p(x|z)"),
    ):
        drawing.frame(x, 12, 204, 384, word(key))
        drawing.text(x + 12, 54, formula, anchor="start")

    def box(side, y, height, *rest):
        return drawing.box(side + 20, y, 164, height, *rest)

    inferred = box(left, 80, 52, "data", "Q(x) [64]", word("inferred code"))
    encoder = box(left, 184, 88, "network", f"Q: {word('encoder')}", "784 → 128 relu", "→ 64")
    image = box(left, 324, 52, "data", "x [784]", word("real image"))
    code = box(right, 80, 52, "random", "z [64] ~ U(−1, 1)", word("code of the prior"))
    decoder = box(right, 184, 88, "network", f"P: {word('decoder')}", "64 → 128 relu",
                  "→ 784 sigmoid")  # fmt: skip
    drawn = box(right, 324, 52, "data", "P(z) [784]", word("drawn image"))
    drawing.arrow(image.top(), encoder.bottom())
    drawing.arrow(encoder.top(), inferred.bottom())
    drawing.arrow(code.bottom(), decoder.top())
    drawing.arrow(decoder.bottom(), drawn.top())
    judge = drawing.box(264, 172, 112, 112, "network")
    for number, words in enumerate(["D", "848", "→ 128 relu", "→ 1 sigmoid"]):
        drawing.text(320, 196 + 24 * number, words, SMALL if number else 19, bold=not number)
    for bus, upper, lower, end in (
        (230, inferred.right(), image.right(), judge.left()),
        (410, code.left(), drawn.left(), judge.right()),
    ):
        drawing.arrow(upper, (bus, upper[1]), (bus, lower[1]), lower, head=False)
        drawing.arrow((bus, end[1]), end)
        drawing.add("circle", cx=bus, cy=end[1], r=3.5, fill=COLOURS["data"][1])
    drawing.text(320, 66, word("the pair"), SMALL)
    drawing.text(270, 106, "(x, Q(x))", bold=True)
    drawing.text(372, 106, "(P(z), z)", bold=True)
    drawing.text(320, 320, "D(x, Q(x))", SMALL)
    drawing.text(320, 338, word("target 1"), SMALL)
    drawing.text(320, 362, "D(P(z), z)", SMALL)
    drawing.text(320, 380, word("target 0"), SMALL)
    for y, number, key, losses in (
        (406, "1", "d learns first", ("loss_d = −mean(log D(x, Q(x))", "+ log(1 − D(P(z), z)))")),
        (484, "2", "q and p learn", ("loss_g = −mean(log D(P(z), z)", "+ log(1 − D(x, Q(x))))")),
    ):
        drawing.frame(12, y, 616, 70, f"{number}. {word(key)}")
        for place, name in enumerate("DQP"):
            learns = (name == "D") == (number == "1")
            chip(drawing, word, 24 + 110 * place, y + 32, name, "learns" if learns else "frozen")
        drawing.text(366, y + 26, losses[0], SMALL, anchor="start")
        drawing.text(404, y + 48, losses[1], SMALL, anchor="start")
    drawing.text(24, 573, word("guarded"), SMALL, anchor="start")
    return drawing


def chip(drawing, word, x, y, name, kind):
    """A network's name, and whether it learns or is frozen."""
    drawing.box(x, y, 102, 30, kind)
    drawing.text(x + 12, y + 15, name, bold=True, anchor="start")
    drawing.text(x + 30 + 18 * (kind == "frozen"), y + 15, word(kind), SMALL, kind, "start", True)
    if kind == "frozen":
        drawing.lock(x + 37, y + 13)


FIGURES = {
    "vae_graphs": (vae_graphs, {}),
    "vae_network": (vae_network, VAE),
    "gan_game": (gan_game, {}),
    "minibatch_discrimination": (minibatch_discrimination, MINIBATCH),
    "d_inputs": (d_inputs, {}),
    "ali_joints": (ali_joints, ALI),
}
