// The page of one-dimensional models: the curve x = G(z) and the density it makes of the prior,
// D's answers, and the training.

const DROP_EVERY = 8; // ms between one draw and the next
const FALL_MS = 550; // from the z axis to the curve
const OVER_MS = 450; // from the curve to the x axis
const BINS = 50; // of the histogram
const ANSWERS = 81; // places at which D's curve is computed
const BATCHES = 30; // over which D's answers are averaged
const SNAPSHOT_MS = 150; // a snapshot while the training plays
const TOP = 2.6; // margins of the two canvases with the curve and the density, in em
const BOTTOM = 1;

const normal = (x, { mean, std }) => (
  Math.exp(-0.5 * ((x - mean) / std) ** 2) / (std * Math.sqrt(2 * Math.PI))
);

function moments(values) {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  return { mean, std: Math.sqrt(variance) };
}

const evenly = (low, high, count) => Float32Array.from(
  { length: count }, (_, i) => low + (high - low) * i / (count - 1),
);

// A generator of draws of N(0, 1), the same for the same seed (mulberry32, and Box and Muller).
function normalDraws(seed) {
  let state = seed;
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}

// Axes for a chart of densities over x: {context, toX, toY, box}, and `toRight` for a scale from
// 0 to 1 on the right.
function chart(canvas, [low, high], most, { right = false, named = true } = {}) {
  const { context, width, height, em } = blank(canvas);
  const box = {
    left: 3 * em, top: 1.6 * em, right: width - (right ? 2.6 : 0.8) * em, bottom: height - 2.2 * em,
  };
  const toX = (x) => box.left + (box.right - box.left) * (x - low) / (high - low);
  const toY = (y) => box.bottom - (box.bottom - box.top) * y / most;
  const toRight = (y) => toY(y * most);
  context.lineWidth = 1;
  context.textBaseline = "middle";
  const label = (text, x, y, align) => {
    context.textAlign = align;
    context.fillStyle = colours.ink;
    context.fillText(text, x, y);
  };
  for (const y of ticks(0, most, 4)) {
    context.strokeStyle = colours.rule;
    context.beginPath();
    context.moveTo(box.left, toY(y));
    context.lineTo(box.right, toY(y));
    context.stroke();
    label(tickText(y), box.left - 6, toY(y), "right");
  }
  for (const x of ticks(low, high, 6)) label(tickText(x), toX(x), box.bottom + 0.8 * em, "center");
  if (right) for (const y of [0, 0.5, 1]) label(String(y), box.right + 6, toRight(y), "left");
  label(say(named ? "densityAxis" : "probability"), 2, 0.7 * em, "left");
  if (right) label("D", box.right + 6, 0.7 * em, "left");
  context.font = context.font.replace(/^/, "italic ");
  label("x", (box.left + box.right) / 2, height - 0.5 * em, "center");
  return { context, toX, toY, toRight, box, em };
}

function stroke(context, points, colour, width = 2, dash = []) {
  context.beginPath();
  for (const [x, y] of points) context.lineTo(x, y);
  context.setLineDash(dash);
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.stroke();
  context.setLineDash([]);
}

// The key of a chart: [[class, text], ...].
function fillKey(box, rows) {
  box.replaceChildren(...rows.map(([name, text]) => (
    make("span", {}, make("span", { className: `swatch ${name}` }), text)
  )));
}

class LinePage {
  constructor(app) {
    const { model, networks } = app;
    this.app = app;
    this.model = model;
    this.networks = networks;
    this.bounds = model.bounds;
    this.data = model.data;
    this.z = 0;
    this.stamp = null;
    this.paint = oncePerFrame(() => this.paintCurve());
    this.announce = atRest(() => { byId("live").textContent = this.valueText(); });
    this.prior = unpack(model.prior);
    this.x = this.decode(this.prior);
    this.moments = moments(this.x);
    this.range = this.rangeOfX();
    this.setUpMoments();
    this.setUpCurve();
    if (networks.discriminate) this.setUpDiscriminator();
    else byId("discriminator-section").remove();
    if (model.snapshots) this.setUpTraining();
    else byId("training-section").remove();
  }

  interface() {
    return {
      decode: (z) => this.decode(Float32Array.from(z)),
      setPoint: (z) => this.setPoint(z),
      point: () => [this.z],
    };
  }

  begin(z) {
    this.place(z?.[0] ?? this.bounds[0] + 0.3 * (this.bounds[1] - this.bounds[0]));
    if (this.dropped < this.prior.length && !stillPreferred()) this.player.start();
    else this.finish();
  }

  // x for any number of z: the network takes a batch of one size.
  decode(z) {
    const [batch, width] = this.networks.decode.inputs.z;
    const out = new Float32Array(z.length / width);
    for (let start = 0; start < out.length; start += batch) {
      const part = new Float32Array(batch * width);
      part.set(z.subarray(start * width, (start + batch) * width));
      out.set(this.networks.decode.run({ z: part }).x.subarray(0, out.length - start), start);
    }
    return out;
  }

  // The x to show: the data's and all that is generated, but for stray points.
  rangeOfX() {
    const sorted = Float32Array.from(this.x).sort();
    const at = (share) => sorted[Math.round(share * (sorted.length - 1))];
    const { mean, std } = this.data ?? this.moments;
    const low = Math.min(mean - 3.5 * std, at(0.01));
    const high = Math.max(mean + 3.5 * std, at(0.99));
    const margin = 0.03 * (high - low) || 0.5;
    return [low - margin, high + margin];
  }

  // ---- the numbers ----

  setUpMoments() {
    const head = ["momentsOf", "mean", "std"].map((word) => (
      make("th", { scope: "col", "data-word": word })
    ));
    const row = (title, { mean, std }) => make(
      "tr", {}, title,
      make("td", {}, tickText(mean.toFixed(3))), make("td", {}, std.toFixed(3)),
    );
    const generated = make("th", { scope: "row" });
    const rows = [row(generated, this.moments)];
    if (this.data) rows.push(row(make("th", { scope: "row", "data-word": "dataRow" }), this.data));
    byId("moments").append(
      make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows),
    );
    copies(byId("copy-command"), () => byId("command").textContent);
    onRefresh(() => {
      generated.textContent = say("generatedRow", { n: grouped(this.x.length) });
    });
  }

  keyRows() {
    const rows = [["fill", say("generated")]];
    const { mean, std } = this.data ?? {};
    if (this.data) rows.push(["line", say("data", { mean, std })]);
    return rows;
  }

  // ---- the curve and the falling draws ----

  setUpCurve() {
    const [low, high] = this.bounds;
    this.hasCurve = this.model.latent_dim === 1;
    this.elapsed = 0;
    this.dropped = 0; // draws that have arrived at the x axis
    this.counts = new Float32Array(BINS);
    this.player = new Player(byId("play"), (ms) => {
      if (this.dropped === this.x.length) this.restart();
      this.elapsed += Math.min(ms, 50); // what passed while the page was hidden does not count
      this.arrive();
      this.paint();
      return this.dropped < this.x.length;
    }, () => (this.dropped === this.x.length ? "replay" : "play"));
    this.binWidth = (this.range[1] - this.range[0]) / BINS;
    this.most = this.mostDensity();
    fitted(byId("density"), () => this.paintDensity());
    const { mean, std } = this.moments;
    onRefresh(() => {
      const n = grouped(this.x.length);
      byId("axisnote").textContent = say(this.hasCurve ? "curveNote" : "densityOnlyNote", { n });
      byId("density").setAttribute("aria-label", say(
        "densityLabel", { n, mean: mean.toFixed(3), std: std.toFixed(3) },
      ));
      fillKey(byId("density-key"), this.keyRows());
      this.paint();
    });
    if (!this.hasCurve) {
      for (const id of ["curve", "play"]) byId(id).hidden = true;
      document.querySelector(".value").hidden = true;
      return;
    }
    this.curveZ = evenly(low, high, 400);
    this.curveX = this.decode(this.curveZ);
    const canvas = byId("curve");
    fitted(canvas, () => this.paintCurve());
    canvas.setAttribute("aria-valuemin", low);
    canvas.setAttribute("aria-valuemax", high);
    onRefresh(() => canvas.setAttribute("aria-label", say("curveLabel")));
    this.listen(canvas);
  }

  listen(canvas) {
    const [low, high] = this.bounds;
    const clamp = (z) => Math.min(high, Math.max(low, z));
    const move = (event) => {
      const { left } = canvas.getBoundingClientRect();
      const share = (event.clientX - left - this.box.left) / (this.box.right - this.box.left);
      this.setPoint([clamp(low + share * (high - low))], event.timeStamp);
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      move(event);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (event.buttons > 0 || event.pointerType === "mouse") move(event);
    });
    canvas.addEventListener("keydown", (event) => {
      const step = (high - low) / 120 * (event.shiftKey ? 10 : 1);
      const places = {
        ArrowLeft: this.z - step, ArrowDown: this.z - step, Home: low,
        ArrowRight: this.z + step, ArrowUp: this.z + step, End: high,
        PageDown: this.z - 10 * step, PageUp: this.z + 10 * step,
      };
      if (!(event.key in places) || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      this.setPoint([clamp(places[event.key])], event.timeStamp);
    });
  }

  setPoint(z, stamp = null) {
    this.place(z[0], stamp);
    this.app.moved([this.z]);
    this.announce();
  }

  place(z, stamp = null) {
    this.z = z;
    [this.xAtZ] = this.decode(Float32Array.of(z));
    if (stamp !== null) this.stamp = stamp;
    this.paint();
  }

  valueText() {
    return say("curveValue", { z: written([this.z]), x: this.xAtZ.toFixed(3) });
  }

  mostDensity() {
    const all = new Float32Array(BINS);
    for (const x of this.x) this.count(all, x);
    const peak = Math.max(...all) / (this.x.length * this.binWidth);
    return 1.1 * Math.max(peak, this.data ? normal(this.data.mean, this.data) : 0);
  }

  count(counts, x) {
    const bin = Math.floor((x - this.range[0]) / this.binWidth);
    if (bin >= 0 && bin < BINS) counts[bin] += 1;
  }

  restart() {
    this.elapsed = this.dropped = 0;
    this.counts.fill(0);
  }

  finish() {
    this.elapsed = Infinity;
    this.arrive();
    this.player.label();
    this.paint();
  }

  // Count the draws that have come to the x axis by now.
  arrive() {
    const due = (this.elapsed - FALL_MS - OVER_MS) / DROP_EVERY;
    const arrived = Math.min(this.x.length, Math.max(0, Math.floor(due)));
    while (this.dropped < arrived) this.count(this.counts, this.x[this.dropped++]);
  }

  paintCurve() {
    const begin = performance.now();
    this.paintDensity();
    const canvas = byId("curve");
    if (!this.hasCurve || !paintable(canvas)) return;
    const { context, width, height, em } = blank(canvas);
    const [low, high] = this.bounds;
    const box = { left: 0.6 * em, top: TOP * em, right: width - 1, bottom: height - BOTTOM * em };
    this.box = box;
    const toX = (z) => box.left + (box.right - box.left) * (z - low) / (high - low);
    const toY = this.toYOf(box);
    this.paintFrame(context, box, em, toX);
    context.save();
    context.beginPath();
    context.rect(0, box.top, width, box.bottom - box.top);
    context.clip();
    const curve = Array.from(this.curveZ, (z, i) => [toX(z), toY(this.curveX[i])]);
    stroke(context, curve, colours.ink, 2.5);
    this.paintDrops(context, box, toX, toY);
    const [atX, atY] = [toX(this.z), toY(this.xAtZ)];
    stroke(context, [[atX, box.top], [atX, atY], [box.right, atY]], colours.accent, 1.5, [5, 4]);
    context.beginPath();
    context.arc(atX, atY, 0.5 * em, 0, 2 * Math.PI);
    context.fillStyle = colours.panel;
    context.fill();
    context.strokeStyle = colours.accent;
    context.lineWidth = 3;
    context.stroke();
    context.restore();
    this.writeValue(canvas);
    if (this.stamp !== null) this.app.painted(this.stamp, begin);
    this.stamp = null;
  }

  writeValue(canvas) {
    canvas.setAttribute("aria-valuenow", this.z);
    canvas.setAttribute("aria-valuetext", this.valueText());
    byId("z").textContent = written([this.z]);
    byId("x").textContent = tickText(this.xAtZ.toFixed(3));
    showCommand(byId("command"), commandFor(this.model, [this.z]));
  }

  toYOf(box) {
    const [low, high] = this.range;
    return (x) => box.bottom - (box.bottom - box.top) * (x - low) / (high - low);
  }

  // The z axis along the top.
  paintFrame(context, box, em, toX) {
    context.fillStyle = colours.panel;
    context.fillRect(box.left, box.top, box.right - box.left, box.bottom - box.top);
    stroke(context, [[box.left, box.top], [box.right, box.top], [box.right, box.bottom]],
      colours.muted, 1);
    context.fillStyle = colours.ink;
    context.textBaseline = "bottom";
    const [low, high] = this.bounds;
    for (const z of ticks(low, high, 6)) {
      const x = toX(z);
      stroke(context, [[x, box.top - 4], [x, box.top]], colours.muted, 1);
      const align = { [low]: "left", [high]: "right" }[z] ?? "center";
      context.textAlign = align;
      context.fillText(tickText(z), x, box.top - 6);
    }
    context.textAlign = "center";
    context.font = context.font.replace(/^/, "italic ");
    context.fillText("z", (box.left + box.right) / 2, 1.05 * em);
  }

  // Those on their way: down to the curve, ever faster, then straight to the right.
  paintDrops(context, box, toX, toY) {
    if (!Number.isFinite(this.elapsed)) return;
    context.fillStyle = colours.accent;
    const begun = Math.min(this.x.length, Math.ceil(this.elapsed / DROP_EVERY));
    for (let i = this.dropped; i < begun; i++) {
      const time = this.elapsed - i * DROP_EVERY;
      const [x, y] = [toX(this.prior[i]), toY(this.x[i])];
      const fallen = Math.min(1, time / FALL_MS) ** 2;
      const over = Math.min(1, Math.max(0, (time - FALL_MS) / OVER_MS));
      context.beginPath();
      context.arc(
        x + over * (box.right - x), box.top + fallen * (y - box.top), 2.5, 0, 2 * Math.PI,
      );
      context.fill();
    }
  }

  // The x axis is the left edge; densities grow to the right.
  paintDensity() {
    const canvas = byId("density");
    if (!paintable(canvas)) return;
    const { context, width, height, em } = blank(canvas);
    const box = {
      left: 2.6 * em, top: TOP * em, right: width - 0.4 * em, bottom: height - BOTTOM * em,
    };
    const toY = this.toYOf(box);
    const toX = (density) => box.left + (box.right - box.left) * density / this.most;
    const [low, high] = this.range;
    context.fillStyle = colours.fill;
    this.counts.forEach((count, bin) => {
      const top = toY(low + (bin + 1) * this.binWidth);
      const bottom = toY(low + bin * this.binWidth);
      const end = toX(count / (this.x.length * this.binWidth));
      context.fillRect(box.left, top + 0.5, end - box.left, bottom - top - 1);
    });
    if (this.data) {
      const points = Array.from(evenly(low, high, 200), (x) => [toX(normal(x, this.data)), toY(x)]);
      stroke(context, points, colours.ink, 2);
    }
    stroke(context, [[box.left, box.top], [box.left, box.bottom]], colours.muted, 1);
    context.fillStyle = colours.ink;
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const x of ticks(low, high, 8)) {
      stroke(context, [[box.left - 4, toY(x)], [box.left, toY(x)]], colours.muted, 1);
      context.fillText(tickText(x), box.left - 7, toY(x));
    }
    context.textAlign = "left";
    context.fillText(say("densityAxis"), box.left + 4, box.top - 0.8 * em);
    context.font = context.font.replace(/^/, "italic ");
    context.textAlign = "right";
    context.fillText("x", box.left - 7, box.top - 0.8 * em);
  }

  // ---- D ----

  // D's mean answer to a batch of the size it takes.
  judge(batch) {
    const answers = this.networks.discriminate.run({ x: batch }).probability;
    return answers.reduce((sum, answer) => sum + answer, 0) / answers.length;
  }

  // How many points D judges together: a group with an answer each, the batch, or 1.
  groupSize(batch) {
    const { probability } = this.networks.discriminate.outputs;
    const answers = probability.reduce((product, length) => product * length, 1);
    if (answers < batch) return batch / answers;
    // An answer a point; do the others in the batch change it?
    const first = (x) => this.networks.discriminate.run({ x }).probability[0];
    const [low, high] = this.range;
    const some = evenly(low, high, batch).reverse();
    const others = some.map((x, i) => (i ? low : x));
    return Math.abs(first(some) - first(others)) > 1e-6 ? batch : 1;
  }

  setUpDiscriminator() {
    const [batch] = this.networks.discriminate.inputs.x;
    const { probability } = this.networks.discriminate.outputs;
    const group = this.groupSize(batch);
    const each = probability.reduce((product, length) => product * length, 1) === batch;
    const note = group === 1 ? "discriminatorPoints"
      : each ? "discriminatorBatch" : "discriminatorGroups";
    this.answers = [];
    const places = evenly(...this.range, ANSWERS);
    inSlices(() => {
      const x = places[this.answers.length];
      this.answers.push([x, this.judge(new Float32Array(batch).fill(x))]);
      const more = this.answers.length < ANSWERS;
      if (!more) this.paintDiscriminator();
      return more;
    });
    fitted(byId("discriminator"), () => this.paintDiscriminator());
    const rows = [];
    if (this.data) rows.push(["answer-real", this.meanAnswer(batch, this.realDraws())]);
    let next = 0;
    const generated = () => this.x[next++ % this.x.length];
    rows.push(["answer-generated", this.meanAnswer(batch, generated)]);
    const words = { "answer-real": "realBatch", "answer-generated": "generatedBatch" };
    for (const [id, answer] of rows) {
      const term = make("dt");
      onRefresh(() => { term.textContent = say(words[id], { n: batch, batches: BATCHES }); });
      byId("answers").append(make("div", {}, term, make("dd", { id }, percent(answer))));
    }
    onRefresh(() => {
      byId("discriminator-note").textContent = say(note, { group });
      this.paintDiscriminator();
    });
  }

  realDraws() {
    const draw = normalDraws(1);
    const { mean, std } = this.data;
    return () => mean + std * draw();
  }

  // D's answer, the mean over some batches: a single one says little.
  meanAnswer(batch, draw) {
    const answers = Array.from({ length: BATCHES }, () => (
      this.judge(Float32Array.from({ length: batch }, draw))
    ));
    return moments(answers).mean;
  }

  paintDiscriminator() {
    const canvas = byId("discriminator");
    if (!paintable(canvas) || this.answers.length < ANSWERS) return;
    const { context, toX, toY } = chart(canvas, this.range, 1, { named: false });
    stroke(context, this.answers.map(([x, answer]) => [toX(x), toY(answer)]), colours.accent, 2.5);
    const best = this.answers.reduce((one, other) => (other[1] > one[1] ? other : one));
    canvas.setAttribute("aria-label", say(
      "discriminatorLabel", { high: percent(best[1]), at: best[0].toFixed(2) },
    ));
  }

  // ---- the training ----

  setUpTraining() {
    const { snapshots } = this.model;
    this.snapshots = {
      ...snapshots,
      generated: unpack(snapshots.generated),
      boundary: snapshots.boundary && unpack(snapshots.boundary),
    };
    const input = byId("training");
    const last = snapshots.steps.length - 1;
    input.max = last;
    input.value = last;
    let time = 0;
    const player = new Player(byId("play-training"), (ms) => {
      time += ms;
      const place = Math.min(last, Math.floor(time / SNAPSHOT_MS));
      input.value = place;
      this.paintSnapshot();
      return place < last;
    });
    byId("play-training").addEventListener("click", () => {
      time = Number(input.value) < last ? Number(input.value) * SNAPSHOT_MS : 0;
    });
    input.addEventListener("input", () => {
      player.stop();
      this.paintSnapshot();
    });
    // One scale for all steps, but a spike of a collapsed G does not flatten the rest.
    const sorted = Float32Array.from(this.snapshots.generated).sort();
    const peak = this.data ? normal(this.data.mean, this.data) : 0;
    const high = sorted[Math.floor(0.995 * (sorted.length - 1))];
    this.mostShown = 1.15 * Math.max(peak, Math.min(high, peak ? 2 * peak : high)) || 1;
    fitted(byId("snapshot"), () => this.paintSnapshot());
    onRefresh(() => {
      const rows = this.keyRows();
      if (this.snapshots.boundary) rows.push(["dashes", say("boundary")]);
      fillKey(byId("training-key"), rows);
      this.paintSnapshot();
    });
  }

  paintSnapshot() {
    const { steps, edges, generated, boundary, boundary_x: at } = this.snapshots;
    const k = Number(byId("training").value);
    const text = say("step", { n: grouped(steps[k]) });
    byId("step").textContent = text;
    byId("training").setAttribute("aria-valuetext", text);
    const canvas = byId("snapshot");
    canvas.setAttribute("aria-label", say("snapshotLabel", { n: grouped(steps[k]) }));
    if (!paintable(canvas)) return;
    const [low, high] = [edges[0], edges.at(-1)];
    const view = chart(canvas, [low, high], this.mostShown, { right: Boolean(boundary) });
    const { context, toX, toY, toRight, box } = view;
    context.save();
    context.beginPath();
    context.rect(box.left, box.top, box.right - box.left, box.bottom - box.top);
    context.clip();
    context.fillStyle = colours.fill;
    const bins = edges.length - 1;
    for (let i = 0; i < bins; i++) {
      const y = toY(generated[k * bins + i]);
      context.fillRect(toX(edges[i]), y, toX(edges[i + 1]) - toX(edges[i]) - 0.5, box.bottom - y);
    }
    if (this.data) {
      const points = Array.from(evenly(low, high, 200), (x) => [toX(x), toY(normal(x, this.data))]);
      stroke(context, points, colours.ink, 2);
    }
    if (boundary) {
      const points = at.map((x, i) => [toX(x), toRight(boundary[k * at.length + i])]);
      stroke(context, points, colours.accent, 2, [6, 4]);
    }
    context.restore();
  }
}
