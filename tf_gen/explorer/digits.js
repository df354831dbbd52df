// The page of models of images: the latent plane, the point, its picture, the way between points,
// sliders, samples, and the encoder.

const CELLS = 20; // decoded images across the plane
const CELLS_FLAT = 10; // along a line
const MOST_SLIDERS = 64;
const SAMPLES = 16;
const WAY_MS = 4000; // from one end of the way to the other
const STEPS = 120; // of the arrow keys across the plane; with Shift, a tenth of them
const TAP = 6; // px that a pointer may move in a click

// A canvas with a plane (or a line, without `up`) in it. `across` and `up` are {low, high, name}.
// Places on the plane are pairs `at`; what it shows beside the background is set by properties.
class Plane {
  // `decode(at)` gives pixels; `on` has move(at, stamp), keep(), and held(), whether to stay put.
  constructor(canvas, across, up, decode, on) {
    this.canvas = canvas;
    this.across = across;
    this.up = up ?? { low: -1, high: 1 };
    this.flat = !up;
    [this.columns, this.rows] = up ? [CELLS, CELLS] : [CELLS_FLAT, 1];
    this.decode = decode;
    this.on = on;
    this.points = null; // {z, labels}
    this.onlyLabels = new Set(); // labels to show the points of; empty: all
    this.letters = []; // [[text, at], ...]
    this.showPoints = this.showBackground = true;
    this.stale = true; // `still` must be painted anew
    this.at = null; // of the point
    this.kept = []; // [{text, at}, ...]
    this.way = null; // [at, at]
    this.code = null; // {at, sd: pair or null}: what the encoder says of an image
    this.backdrop = make("canvas", {
      width: this.columns * SIDE, height: this.rows * SIDE,
    });
    this.still = make("canvas"); // what does not change while the point moves
    this.stopFilling = () => {};
    if (this.flat) canvas.classList.add("flat");
    this.paint = oncePerFrame(() => this.paintNow());
    fitted(canvas, () => this.repaint());
    onRefresh(() => this.recolour());
    this.listen();
  }

  // Decode the background anew, a few images at a time.
  fill() {
    this.stopFilling();
    const context = this.backdrop.getContext("2d");
    context.clearRect(0, 0, this.backdrop.width, this.backdrop.height);
    const image = context.createImageData(SIDE, SIDE);
    let cell = 0;
    this.stopFilling = inSlices(() => {
      const [column, row] = [cell % this.columns, Math.floor(cell / this.columns)];
      const middle = ({ low, high }, share) => low + (high - low) * share;
      const pixels = this.decode([
        middle(this.across, (column + 0.5) / this.columns),
        middle(this.up, 1 - (row + 0.5) / this.rows),
      ]);
      const ink = this.backdropInk();
      pixels.forEach((value, i) => {
        image.data.set(ink, 4 * i);
        image.data[4 * i + 3] = 255 * value;
      });
      context.putImageData(image, column * SIDE, row * SIDE);
      cell += 1;
      if (cell % this.columns === 0) this.repaint();
      return cell < this.columns * this.rows;
    });
  }

  // The images lie on the plane in ink, as if printed: dark on light, or light on dark.
  backdropInk() {
    return root.dataset.theme === "dark" ? [255, 255, 255] : [0, 0, 0];
  }

  recolour() {
    const context = this.backdrop.getContext("2d");
    context.save();
    context.globalCompositeOperation = "source-in";
    context.fillStyle = `rgb(${this.backdropInk()})`;
    context.fillRect(0, 0, this.backdrop.width, this.backdrop.height);
    context.restore();
    this.repaint();
  }

  repaint() {
    this.stale = true;
    this.paint();
  }

  // Where the axes lie, and the functions from places to CSS pixels.
  measure({ width, height, em }) {
    const left = this.flat ? 0.6 * em : 2.4 * em;
    const box = { left, top: 0.6 * em, right: width - 0.6 * em, bottom: height - 2.4 * em };
    this.box = box;
    const { across, up } = this;
    this.toX = (u) => box.left
      + (box.right - box.left) * (u - across.low) / (across.high - across.low);
    this.toY = (v) => box.bottom - (box.bottom - box.top) * (v - up.low) / (up.high - up.low);
  }

  paintNow() {
    const { canvas, still } = this;
    if (!paintable(canvas)) return;
    const view = blank(canvas);
    this.measure(view);
    if (this.stale) {
      still.width = canvas.width;
      still.height = canvas.height;
      const context = still.getContext("2d");
      context.setTransform(view.context.getTransform());
      context.font = view.context.font;
      this.paintStill(context, view);
      this.stale = false;
    }
    const { context, width, height, em } = view;
    context.drawImage(still, 0, 0, width, height);
    context.save();
    context.beginPath();
    const { left, top, right, bottom } = this.box;
    context.rect(left, top, right - left, bottom - top);
    context.clip();
    this.paintWay(context, em);
    if (this.code && this.inside(this.code.at)) this.paintCode(context, em);
    if (this.at && this.inside(this.at)) this.paintCross(context, em);
    context.restore();
    for (const [at, colour] of [[this.code?.at, colours.ink], [this.at, colours.accent]]) {
      if (at && !this.inside(at)) this.paintArrow(context, at, colour);
    }
  }

  paintStill(context, { em }) {
    const { left, top, right, bottom } = this.box;
    const size = [right - left, bottom - top];
    context.fillStyle = colours.panel;
    context.fillRect(left, top, ...size);
    const dots = this.points && this.showPoints;
    if (this.showBackground) {
      context.globalAlpha = dots ? 0.3 : 0.85;
      context.drawImage(this.backdrop, left, top, ...size);
      context.globalAlpha = 1;
    }
    context.save();
    context.beginPath();
    context.rect(left, top, ...size);
    context.clip();
    if (dots) this.paintPoints(context, em);
    context.font = `bold ${1.15 * em}px sans-serif`;
    for (const [text, at] of this.letters) {
      if (this.inside(at)) this.paintText(context, text, at, em);
    }
    context.restore();
    context.strokeStyle = colours.muted;
    context.lineWidth = 1;
    context.strokeRect(left, top, ...size);
    this.paintAxes(context, em);
  }

  paintAxes(context, em) {
    const { left, right, bottom } = this.box;
    context.fillStyle = colours.ink;
    context.strokeStyle = colours.muted;
    context.font = `${0.8 * em}px sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "top";
    const line = (...ends) => {
      context.beginPath();
      context.moveTo(ends[0], ends[1]);
      context.lineTo(ends[2], ends[3]);
      context.stroke();
    };
    for (const value of ticks(this.across.low, this.across.high, 6)) {
      const x = this.toX(value);
      line(x, bottom, x, bottom + 4);
      context.fillText(tickText(value), x, bottom + 6);
    }
    context.font = `italic ${0.85 * em}px serif`;
    context.textBaseline = "bottom";
    context.fillText(this.across.name, (left + right) / 2, bottom + 2.35 * em);
    if (this.flat) return;
    context.font = `${0.8 * em}px sans-serif`;
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const value of ticks(this.up.low, this.up.high, 6)) {
      const y = this.toY(value);
      line(left - 4, y, left, y);
      context.fillText(tickText(value), left - 6, y);
    }
    context.font = `italic ${0.85 * em}px serif`;
    context.textAlign = "left";
    context.fillText(this.up.name, 0, (this.box.top + bottom) / 2 + 1.4 * em);
  }

  paintPoints(context, em) {
    const { z, labels } = this.points;
    const radius = 0.16 * em;
    labels.forEach((label, i) => {
      if (this.onlyLabels.size && !this.onlyLabels.has(label)) return;
      context.fillStyle = colours.labels[label % 10];
      context.beginPath();
      context.arc(this.toX(z[2 * i]), this.toY(z[2 * i + 1]), radius, 0, 2 * Math.PI);
      context.fill();
    });
  }

  // With an edge in the colour of the ground, so that it can be read on anything.
  paintText(context, words, [u, v], em) {
    const text = words.length > 14 ? `${words.slice(0, 13)}…` : words;
    const half = context.measureText(text).width / 2 + 0.25 * em;
    const { left, right } = this.box; // all of the text is to be seen
    const x = Math.min(right - half, Math.max(left + half, this.toX(u)));
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.lineJoin = "round";
    context.lineWidth = 0.5 * em;
    context.strokeStyle = colours.panel;
    context.strokeText(text, x, this.toY(v));
    context.fillStyle = colours.ink;
    context.fillText(text, x, this.toY(v));
  }

  // Strokes the path twice: wide in the ground's colour, then in its own.
  edged(context, colour, width = 2) {
    context.strokeStyle = colours.panel;
    context.lineWidth = width + 2.5;
    context.stroke();
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.stroke();
  }

  paintWay(context, em) {
    if (this.way) {
      context.beginPath();
      for (const [u, v] of this.way) context.lineTo(this.toX(u), this.toY(v));
      this.edged(context, colours.accent, 2);
    }
    context.font = `bold ${0.75 * em}px sans-serif`;
    for (const { text, at: [u, v] } of this.kept) {
      context.beginPath();
      context.arc(this.toX(u), this.toY(v), 0.6 * em, 0, 2 * Math.PI);
      context.fillStyle = colours.panel;
      context.fill();
      context.strokeStyle = colours.accent;
      context.lineWidth = 2;
      context.stroke();
      context.fillStyle = colours.ink;
      context.textAlign = "center";
      context.textBaseline = "middle";
      context.fillText(text, this.toX(u), this.toY(v) + 0.5);
    }
  }

  paintCross(context, em) {
    const [x, y] = [this.toX(this.at[0]), this.toY(this.at[1])];
    const { left, top, right, bottom } = this.box;
    const gap = 0.5 * em;
    context.beginPath();
    const lines = [[x, top, x, y - gap], [x, y + gap, x, bottom]];
    if (!this.flat) lines.push([left, y, x - gap, y], [x + gap, y, right, y]);
    for (const [x1, y1, x2, y2] of lines) {
      context.moveTo(x1, y1);
      context.lineTo(x2, y2);
    }
    context.strokeStyle = colours.accent;
    context.lineWidth = 1;
    context.stroke();
    context.beginPath();
    context.arc(x, y, gap, 0, 2 * Math.PI);
    this.edged(context, colours.accent);
  }

  // A diamond at the code, and the ellipses at one and two standard deviations.
  paintCode(context, em) {
    const { at: [u, v], sd } = this.code;
    const [x, y] = [this.toX(u), this.toY(v)];
    for (const times of sd ? [2, 1] : []) {
      const across = this.toX(u + times * sd[0]) - x;
      const up = this.flat ? across : y - this.toY(v + times * sd[1]);
      context.beginPath();
      context.ellipse(x, y, across, up, 0, 0, 2 * Math.PI);
      this.edged(context, colours.ink, 1.5);
    }
    const half = 0.28 * em;
    context.beginPath();
    for (const [dx, dy] of [[0, -half], [half, 0], [0, half], [-half, 0]]) {
      context.lineTo(x + dx, y + dy);
    }
    context.closePath();
    this.edged(context, colours.panel, 1);
    context.fillStyle = colours.ink;
    context.fill();
  }

  // At the edge, towards a place outside.
  paintArrow(context, [u, v], colour) {
    const { left, top, right, bottom } = this.box;
    const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
    const [x, y] = [this.toX(u), this.toY(v)];
    const [tipX, tipY] = [clamp(x, left + 2, right - 2), clamp(y, top + 2, bottom - 2)];
    context.save();
    context.translate(tipX, tipY);
    context.rotate(Math.atan2(y - tipY, x - tipX));
    context.beginPath();
    const outline = [[0, 0], [-18, -9], [-14, -3], [-32, -3], [-32, 3], [-14, 3], [-18, 9]];
    for (const [dx, dy] of outline) context.lineTo(dx, dy);
    context.closePath();
    this.edged(context, colours.panel, 1);
    context.fillStyle = colour;
    context.fill();
    context.restore();
  }

  inside([u, v]) {
    const within = (value, { low, high }) => value >= low && value <= high;
    return within(u, this.across) && within(v, this.up);
  }

  clamped([u, v]) {
    const clamp = (value, { low, high }) => Math.min(high, Math.max(low, value));
    return [clamp(u, this.across), this.flat ? 0 : clamp(v, this.up)];
  }

  placeOf(event) {
    const { left, top } = this.canvas.getBoundingClientRect();
    const share = (value, low, high) => (value - low) / (high - low);
    const { box, across, up } = this;
    return this.clamped([
      across.low + (across.high - across.low) * share(event.clientX - left, box.left, box.right),
      up.low + (up.high - up.low) * share(event.clientY - top, box.bottom, box.top),
    ]);
  }

  listen() {
    const { canvas, on } = this;
    let start = null; // where the pointer came down, until it has moved away
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      start = [event.clientX, event.clientY];
      canvas.setPointerCapture(event.pointerId);
      on.move(this.placeOf(event), event.timeStamp);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (start && Math.hypot(event.clientX - start[0], event.clientY - start[1]) > TAP) {
        start = null;
      }
      const pressed = event.buttons > 0;
      if (pressed || (event.pointerType === "mouse" && !on.held())) {
        on.move(this.placeOf(event), event.timeStamp);
      }
    });
    canvas.addEventListener("pointerup", () => {
      if (start) on.keep();
      start = null;
    });
    canvas.addEventListener("pointercancel", () => { start = null; });
    canvas.addEventListener("keydown", (event) => {
      const ways = {
        ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1],
      };
      if (event.ctrlKey || event.altKey || event.metaKey) return;
      if (event.key in ways) {
        const at = this.at ?? [
          (this.across.low + this.across.high) / 2, (this.up.low + this.up.high) / 2,
        ];
        const [right, up] = ways[event.key].map((way) => way * (event.shiftKey ? 10 : 1) / STEPS);
        on.move(this.clamped([
          at[0] + right * (this.across.high - this.across.low),
          at[1] + up * (this.up.high - this.up.low),
        ]), event.timeStamp);
      } else if (event.key === "Enter") {
        if (!event.repeat) on.keep(); // once, however long it is held
      } else {
        return;
      }
      event.preventDefault();
    });
  }
}

// Buttons with small pictures in `box`, for items {paint(canvas), label()}.
function fillGallery(box, items, pick) {
  box.replaceChildren(...items.map((item) => {
    const canvas = smallCanvas();
    item.paint(canvas);
    const button = make("button", { type: "button" }, canvas);
    button.setAttribute("aria-label", item.label());
    button.addEventListener("click", () => pick(item, button));
    return button;
  }));
}

class ImagesPage {
  constructor(app) {
    const { model, networks } = app;
    this.app = app;
    this.model = model;
    this.networks = networks;
    this.dimensions = model.latent_dim;
    this.prior = unpack(model.prior);
    this.heldOut = model.held_out !== false;
    this.labels = Object.entries(model.labels ?? {});
    this.z = new Float32Array(this.dimensions);
    this.stamp = null; // the time of the newest pointer event not yet painted
    this.kept = []; // [{number, z, at, item}, ...]
    this.ends = []; // of the way: at most two of `kept`
    this.keptCount = 0;
    this.phase = 0; // of the way: 0 to 1 there, 1 to 2 back
    this.paint = oncePerFrame(() => this.paintNow());
    this.announce = atRest(() => {
      const nearest = byId("nearest").textContent;
      byId("live").textContent = say("announce", { z: written(this.z), nearest });
    });
    this.examples = this.readExamples();
    const takes = networks.discriminate?.inputs ?? {};
    this.judgesPairs = "images" in takes && "z" in takes;
    this.setUpPoint();
    this.setUpWay();
    this.setUpSliders();
    this.setUpPlane();
    if (this.dimensions > 2) this.setUpSamples();
    else byId("samples-section").remove();
    if (networks.encode) this.setUpEncoder();
    else document.querySelector(".column.right").remove();
    onRefresh(() => this.paint());
  }

  interface() {
    return {
      decode: (z) => this.decode(Float32Array.from(z)),
      setPoint: (z) => this.setPoint(z),
      point: () => Array.from(this.z),
      ...this.networks.encode && {
        encode: (pixels) => this.networks.encode.run({ images: Float32Array.from(pixels) }),
        putDrawing: (pixels) => {
          this.field.reset();
          this.pressExample(null);
          this.showCode(Uint8Array.from(pixels));
        },
      },
    };
  }

  // Where to begin: the address's z, that of a label in the middle, or 0.
  begin(z) {
    const label = this.labels[Math.floor(this.labels.length / 2)];
    this.place(z ?? label?.[1] ?? this.z);
  }

  decode(z) {
    return this.networks.decode.run({ z }).images;
  }

  className(label) {
    return this.model.class_names[label] ?? String(label);
  }

  readExamples() {
    const { examples } = this.model;
    if (!examples) return [];
    const [images, labels] = [unpack(examples.images), unpack(examples.labels)];
    this.shown = { images, labels };
    return Array.from(labels, (label, i) => {
      const pixels = images.subarray(i * SIDE * SIDE, (i + 1) * SIDE * SIDE);
      return {
        pixels,
        paint: (canvas) => paintImage(canvas, pixels, 255),
        label: () => say(
          this.heldOut ? "exampleHeldOut" : "exampleOther",
          { n: i + 1, label: this.className(label) },
        ),
      };
    });
  }

  // ---- the point ----

  // Move the point; `at` is where it lies on the plane, if it does.
  setPoint(z, at = this.onPlane(z), stamp = null) {
    this.place(z, at, stamp);
    this.app.moved(this.z);
    this.announce();
  }

  place(z, at = this.onPlane(z), stamp = null) {
    if (z.length !== this.dimensions) throw new RangeError(`not ${this.dimensions} numbers`);
    this.z = Float32Array.from(z);
    this.plane.at = at;
    if (stamp !== null) this.stamp = stamp;
    this.paint();
  }

  onPlane(z) {
    if (this.dimensions > 2) return null; // a point there lies on a plane by chance only
    return this.dimensions === 2 ? [z[0], z[1]] : [z[0], 0];
  }

  setUpPoint() {
    copies(byId("copy-z"), () => written(this.z));
    copies(byId("copy-command"), () => byId("command").textContent);
    byId("keep").addEventListener("click", () => this.keep());
    if (this.judgesPairs) byId("nearest").after(make("p", { id: "pair" }));
  }

  paintNow() {
    const begin = performance.now();
    const pixels = this.decode(this.z);
    const text = written(this.z);
    paintImage(byId("picture"), pixels, 1);
    this.plane.paintNow();
    byId("picture").setAttribute("aria-label", say("pictureLabel", { z: text }));
    byId("z").textContent = text;
    byId("nearest").textContent = this.nearest(pixels);
    showCommand(byId("command"), commandFor(this.model, this.z));
    if (this.judgesPairs) {
      byId("pair").textContent = say("pairDecoder", { p: percent(this.judge(pixels, this.z)) });
    }
    this.sliders.forEach((slider, i) => {
      slider.input.value = this.z[i];
      slider.output.textContent = tickText(this.z[i].toFixed(2));
    });
    if (this.stamp !== null) this.app.painted(this.stamp, begin);
    this.stamp = null;
  }

  judge(images, z) {
    return this.networks.discriminate.run({ images, z }).probability[0];
  }

  // Words for the label that lies nearest. Where there are no points to ask, the distance is that
  // of the pixels: among few examples, distances in many dimensions of z say little.
  nearest(pixels) {
    const { points } = this.plane;
    if (points) {
      const label = nearestRow(this.z, points.z, points.labels);
      return say("nearestPoint", { label: this.className(label) });
    }
    if (!this.examples.length) return "";
    const { images, labels } = this.shown;
    const label = nearestRow(pixels.map((value) => 255 * value), images, labels);
    return say("nearestExample", { label: this.className(label) });
  }

  // ---- kept points and the way ----

  keep(z = this.z, at = this.plane.at) {
    this.keptCount += 1;
    const one = { number: this.keptCount, z: Float32Array.from(z), at };
    this.kept.push(one);
    this.ends = [...this.ends.slice(-1), one];
    one.item = this.keptItem(one);
    byId("kept").append(one.item.element);
    this.changedWay();
  }

  keptItem(one) {
    const canvas = smallCanvas();
    paintImage(canvas, this.decode(one.z), 1);
    const choose = make("button", { type: "button" }, canvas, String(one.number));
    const remove = make("button", { type: "button", className: "remove" }, "×");
    choose.addEventListener("click", () => {
      if (this.ends.includes(one)) return;
      this.ends = [...this.ends.slice(-1), one];
      this.changedWay();
    });
    remove.addEventListener("click", () => {
      const place = this.kept.indexOf(one);
      this.kept.splice(place, 1);
      one.item.element.remove();
      const others = this.kept.filter((other) => other !== one && !this.ends.includes(other));
      this.ends = this.ends.filter((end) => end !== one);
      if (this.ends.length < 2 && others.length) this.ends.unshift(others.at(-1));
      const next = this.kept[Math.min(place, this.kept.length - 1)];
      (next ? next.item.remove : byId("keep")).focus();
      this.changedWay();
    });
    return { element: make("li", {}, choose, remove), choose, remove };
  }

  setUpWay() {
    this.player = new Player(byId("play"), (ms) => {
      this.phase = (this.phase + ms / WAY_MS) % 2;
      this.goOnWay();
      return true;
    });
    byId("position").addEventListener("input", (event) => {
      this.player.stop();
      this.phase = Number(event.target.value);
      this.goOnWay();
    });
    onRefresh(() => this.labelWay());
  }

  changedWay() {
    const ready = this.ends.length === 2;
    if (!ready) this.player.stop();
    this.phase = 0;
    byId("position").value = 0;
    byId("way-controls").hidden = !ready;
    this.labelWay();
    this.showKept();
  }

  labelWay() {
    const [a, b] = this.ends.map(({ number }) => number);
    const hint = this.dimensions <= 2 ? "wayHintPlane" : "wayHint";
    byId("way-note").textContent = b ? say("wayNote", { a, b }) : say(hint);
    for (const one of this.kept) {
      const { choose, remove } = one.item;
      choose.setAttribute("aria-label", say("keptLabel", { n: one.number, z: written(one.z) }));
      choose.setAttribute("aria-pressed", this.ends.includes(one));
      remove.setAttribute("aria-label", say("removeLabel", { n: one.number }));
    }
  }

  showKept() {
    this.plane.kept = this.kept.filter(({ at }) => at)
      .map(({ number, at }) => ({ text: String(number), at }));
    const places = this.ends.map(({ at }) => at);
    this.plane.way = places.length === 2 && places.every(Boolean) ? places : null;
    this.plane.paint();
  }

  goOnWay() {
    const share = this.phase <= 1 ? this.phase : 2 - this.phase;
    const [a, b] = this.ends;
    const between = (from, to) => from.map((value, i) => value + share * (to[i] - value));
    const at = a.at && b.at ? between(a.at, b.at) : null;
    byId("position").value = share;
    this.setPoint(between(a.z, b.z), at);
  }

  // ---- sliders ----

  setUpSliders() {
    const shown = Math.min(this.dimensions, MOST_SLIDERS);
    const [low, high] = this.model.bounds;
    this.sliders = Array.from({ length: shown }, (_, i) => {
      const name = subscript(this.dimensions > 1 ? i + 1 : null);
      const input = make("input", { type: "range", min: low, max: high, step: "any" });
      const output = make("span", { "aria-hidden": "true" });
      input.addEventListener("input", (event) => {
        this.player.stop();
        const z = Float32Array.from(this.z);
        z[i] = Number(input.value);
        this.setPoint(z, undefined, event.timeStamp);
      });
      byId("sliders").append(make("label", {}, make("i", {}, name), input, output));
      return { input, output };
    });
    byId("random").addEventListener("click", () => this.goTo(this.drawPrior()));
    byId("zero").addEventListener("click", () => this.goTo(new Float32Array(this.dimensions)));
    for (const [name, z] of this.labels) {
      const button = make("button", { type: "button", className: "short" }, name);
      button.addEventListener("click", () => this.goTo(z));
      onRefresh(() => button.setAttribute("aria-label", say("goLabel", { label: name })));
      byId("go-labels").append(button);
    }
    onRefresh(() => {
      byId("sliders-note").textContent = shown < this.dimensions
        ? say("slidersFirst", { shown, all: this.dimensions }) : say("slidersNote");
    });
  }

  goTo(z) {
    this.player.stop();
    this.setPoint(z);
  }

  drawPrior() {
    const count = this.prior.length / this.dimensions;
    const start = Math.floor(Math.random() * count) * this.dimensions;
    return this.prior.slice(start, start + this.dimensions);
  }

  // ---- the plane ----

  setUpPlane() {
    const [low, high] = this.model.bounds;
    const axis = (name) => ({ low, high, name });
    const on = {
      move: (at, stamp) => {
        this.player.stop();
        this.setPoint(this.fromPlane(at), at, stamp);
      },
      keep: () => this.keep(),
      held: () => this.player.playing,
    };
    const decode = (at) => this.decode(this.fromPlane(at));
    const canvas = byId("plane");
    if (this.dimensions > 2) {
      const part = (name) => ({ low: -0.25, high: 1.25, name });
      this.plane = new Plane(canvas, part("s"), part("t"), decode, on);
      this.setUpCorners();
    } else {
      const up = this.dimensions === 2 ? axis("z₂") : null;
      this.plane = new Plane(canvas, axis(up ? "z₁" : "z"), up, decode, on);
      byId("corners").remove();
      byId("corner-choice").remove();
      byId("plane-section").after(byId("sliders-section")); // the plane is the first to try
      this.plane.letters = this.labels.map(([name, z]) => [name, this.onPlane(z)]);
    }
    this.setUpPoints();
    byId("show-background").addEventListener("change", (event) => {
      this.plane.showBackground = event.target.checked;
      this.plane.repaint();
    });
    this.plane.fill();
    onRefresh(() => this.labelPlane());
  }

  fromPlane([u, v]) {
    if (this.dimensions === 1) return Float32Array.of(u);
    if (this.dimensions === 2) return Float32Array.of(u, v);
    const [a, b, c] = this.corners.map(({ z }) => z);
    return a.map((value, i) => value + u * (b[i] - value) + v * (c[i] - value));
  }

  labelPlane() {
    const kind = ["strip", "plane"][this.dimensions - 1] ?? "cut";
    const { across } = this.plane;
    const step = (across.high - across.low) / STEPS;
    const canvas = byId("plane");
    byId("plane-title").textContent = say(`${kind}Title`);
    byId("axisnote").textContent = say(`${kind}Note`);
    canvas.setAttribute("aria-roledescription", say("planeRole"));
    canvas.setAttribute("aria-label", say("planeLabel", {
      step: Number(step.toPrecision(2)), far: Number((10 * step).toPrecision(2)),
    }));
  }

  setUpPoints() {
    const { points } = this.model;
    if (!points || this.dimensions !== 2) {
      byId("show-points-label").remove();
      byId("legend").remove();
      return;
    }
    this.plane.points = { z: unpack(points.z), labels: unpack(points.labels) };
    const { labels } = this.plane.points;
    byId("show-points").addEventListener("change", (event) => {
      this.plane.showPoints = event.target.checked;
      this.plane.repaint();
    });
    onRefresh(() => {
      byId("show-points-word").textContent = say(
        this.heldOut ? "pointsHeldOut" : "pointsOther", { n: grouped(labels.length) },
      );
    });
    const present = [...new Set(labels)].sort((a, b) => a - b);
    const all = make("button", { type: "button", "data-word": "legendAll" });
    const buttons = present.map((label) => {
      const swatch = make("span", { className: "swatch" });
      onRefresh(() => { swatch.style.background = colours.labels[label % 10]; });
      return make("button", { type: "button" }, swatch, this.className(label));
    });
    const only = this.plane.onlyLabels;
    const show = () => {
      all.setAttribute("aria-pressed", only.size === 0);
      buttons.forEach((button, i) => button.setAttribute("aria-pressed", only.has(present[i])));
      this.plane.repaint();
    };
    buttons.forEach((button, i) => button.addEventListener("click", () => {
      if (!only.delete(present[i])) only.add(present[i]);
      show();
    }));
    all.addEventListener("click", () => {
      only.clear();
      show();
    });
    byId("legend").append(all, ...buttons);
    show();
  }

  // A, B and C are codes of examples, or draws of the prior where nothing encodes.
  setUpCorners() {
    const choices = this.cornerChoices();
    this.corners = [0.1, 0.4, 0.8].map((share) => choices[Math.floor(share * choices.length)]);
    this.plane.letters = [["A", [0, 0]], ["B", [1, 0]], ["C", [0, 1]]];
    const box = byId("corner-choice");
    const buttons = ["A", "B", "C"].map((corner) => {
      const canvas = smallCanvas();
      const button = make("button", { type: "button" }, canvas, corner);
      button.setAttribute("aria-expanded", false);
      button.setAttribute("aria-controls", "corner-choice");
      return { corner, canvas, button };
    });
    const show = () => buttons.forEach(({ corner, canvas, button }, k) => {
      this.corners[k].paint(canvas);
      const name = this.corners[k].label();
      button.setAttribute("aria-label", say("cornerLabel", { corner, name }));
    });
    const open = (which) => {
      box.hidden = which === null;
      buttons.forEach(({ button }, k) => button.setAttribute("aria-expanded", k === which));
      if (which === null) return;
      box.setAttribute("aria-label", say("cornerChoice", { corner: buttons[which].corner }));
      fillGallery(box, choices, (choice) => {
        this.corners[which] = choice;
        for (const one of this.kept) one.at = null; // they lie on another plane
        this.showKept();
        this.plane.at = null;
        this.plane.fill();
        show();
        open(null);
        buttons[which].button.focus();
      });
    };
    buttons.forEach(({ button }, which) => button.addEventListener("click", () => {
      open(button.getAttribute("aria-expanded") === "true" ? null : which);
    }));
    byId("corners").append(...buttons.map(({ button }) => button));
    onRefresh(() => {
      open(null); // the names in it are in the old language
      show();
    });
  }

  cornerChoices() {
    if (this.networks.encode && this.examples.length >= 3) {
      const encode = (pixels) => this.encode(pixels).mean;
      return this.examples.map((example) => ({
        ...example,
        get z() { return encode(example.pixels); },
      })).map((choice) => remembered(choice, "z"));
    }
    return Array.from({ length: 30 }, (_, i) => {
      const z = this.prior.slice(i * this.dimensions, (i + 1) * this.dimensions);
      return {
        z,
        paint: (canvas) => paintImage(canvas, this.decode(z), 1),
        label: () => say("sampleName", { n: i + 1 }),
      };
    });
  }

  // ---- random samples ----

  setUpSamples() {
    let items = [];
    const show = () => fillGallery(byId("samples"), items, ({ z }) => this.goTo(z));
    const draw = () => {
      items = Array.from({ length: SAMPLES }, (_, i) => {
        const z = this.drawPrior();
        const pixels = this.decode(z);
        return {
          z,
          paint: (canvas) => paintImage(canvas, pixels, 1),
          label: () => say("takeSample", { n: i + 1 }),
        };
      });
      show();
    };
    byId("again").addEventListener("click", draw);
    draw();
    onRefresh(show);
  }

  // ---- the encoder ----

  // Of a Uint8Array of pixels: {x, mean, logVar}; logVar only if the encoder gives one.
  encode(pixels) {
    const x = Float32Array.from(pixels, (value) => value / 255);
    const { z, z_mean: mean, z_log_var: logVar } = this.networks.encode.run({ images: x });
    return { x, mean: mean ?? z, logVar };
  }

  setUpEncoder() {
    this.field = new DrawingField(byId("draw"), byId("draw-hint"), (pixels) => {
      this.pressExample(null);
      if (pixels) this.showCode(pixels);
      else this.clearCode();
    });
    byId("undo").addEventListener("click", () => this.field.undo());
    byId("clear").addEventListener("click", () => this.field.clear());
    byId("take-z").addEventListener("click", () => this.goTo(this.coded.mean));
    byId("keep-z").addEventListener("click", () => {
      this.keep(this.coded.mean, this.onPlane(this.coded.mean));
    });
    this.gaussian = "z_mean" in this.networks.encode.outputs;
    const few = this.dimensions <= 2;
    const rows = [];
    if (few) rows.push(["code", this.gaussian ? "codeMean" : "code"]);
    if (few && this.gaussian) rows.push(["code-sd", "codeSd"]);
    if (this.gaussian) rows.push(["loss", "loss"], ["kl", "kl"], ["elbo", "elbo"]);
    else rows.push(["loss", "squared"]);
    if (this.judgesPairs) rows.push(["pair-encoder", "pairEncoder"]);
    fillNumbers(byId("numbers"), rows);
    if (few) byId("bars-part").remove();
    else fitted(byId("bars"), () => this.paintBars());
    onRefresh(() => {
      if (!few) byId("bars-title").textContent = say(this.gaussian ? "barsGaussian" : "barsMean");
      byId("examples-title").textContent = say(this.heldOut ? "examplesHeldOut" : "examplesOther");
      this.noteEncoder(few);
      if (this.coded) this.writeCode();
    });
    if (this.examples.length) this.setUpExamples();
    else byId("examples-part").remove();
    this.clearCode();
  }

  noteEncoder(few) {
    const notes = [];
    if (few) notes.push(say(this.gaussian ? "encodeNoteGaussian" : "encodeNotePoint"));
    if (this.judgesPairs) notes.push(say("encodeNotePair"));
    byId("encode-note").textContent = notes.join(" ");
  }

  setUpExamples() {
    fillGallery(byId("examples"), this.examples, (example, button) => {
      this.field.reset();
      this.pressExample(button);
      this.showCode(example.pixels);
    });
    onRefresh(() => [...byId("examples").children].forEach((button, i) => {
      button.setAttribute("aria-label", this.examples[i].label());
    }));
    this.pressExample(null);
  }

  pressExample(pressed) {
    for (const button of document.querySelectorAll("#examples button")) {
      button.setAttribute("aria-pressed", button === pressed);
    }
  }

  clearCode() {
    this.coded = this.plane.code = null;
    for (const id of ["take-z", "keep-z"]) byId(id).disabled = true;
    for (const id of ["input", "reconstruction"]) {
      byId(id).getContext("2d").clearRect(0, 0, SIDE, SIDE);
    }
    for (const number of document.querySelectorAll("#numbers dd")) number.textContent = "–";
    byId("outside").hidden = true;
    this.plane.paint();
    if (this.dimensions > 2) this.paintBars();
  }

  showCode(pixels) {
    const { x, mean, logVar } = this.encode(pixels);
    const sd = logVar?.map((value) => Math.exp(value / 2));
    const reconstruction = this.decode(mean);
    this.coded = { x, mean, logVar, sd, reconstruction };
    for (const id of ["take-z", "keep-z"]) byId(id).disabled = false;
    paintImage(byId("input"), pixels, 255);
    paintImage(byId("reconstruction"), reconstruction, 1);
    this.writeCode();
    const at = this.onPlane(mean);
    this.plane.code = at && { at, sd: sd && [sd[0], sd[1] ?? sd[0]] };
    this.plane.paint();
  }

  writeCode() {
    const { x, mean, logVar, sd, reconstruction } = this.coded;
    const put = (id, text) => { if (byId(id)) byId(id).textContent = text; };
    const nats = (value) => say("nats", { n: value.toFixed(1) });
    put("code", written(mean));
    if (this.gaussian) {
      const [loss, kl] = [crossEntropy(x, reconstruction), divergence(mean, logVar)];
      put("code-sd", written(sd));
      put("loss", nats(loss));
      put("kl", nats(kl));
      put("elbo", nats(loss + kl));
    } else {
      put("loss", squaredError(x, reconstruction).toFixed(4));
    }
    if (this.judgesPairs) put("pair-encoder", percent(this.judge(x, mean)));
    const at = this.onPlane(mean);
    byId("outside").hidden = !at || this.plane.inside(at);
    byId("outside").textContent = say("outside");
    if (!at) this.paintBars();
  }

  // A bar for each coordinate of the code; with its standard deviation, if there is one.
  paintBars() {
    const canvas = byId("bars");
    const { mean = new Float32Array(this.dimensions), sd } = this.coded ?? {};
    canvas.setAttribute("aria-label", this.coded ? `z = ${written(mean)}` : "–");
    if (!paintable(canvas)) return;
    const { context, width, height, em } = blank(canvas);
    const [, edge] = this.model.bounds;
    const reach = mean.reduce((most, value) => Math.max(most, Math.abs(value)), edge);
    const left = 2 * em;
    const step = (width - left) / mean.length;
    const toY = (value) => height / 2 - (height / 2 - 0.6 * em) * value / reach;
    context.textAlign = "right";
    context.textBaseline = "middle";
    context.strokeStyle = colours.rule;
    for (const value of [-edge, 0, edge]) {
      context.fillStyle = colours.ink;
      context.fillText(tickText(value), left - 6, toY(value));
      context.beginPath();
      context.moveTo(left, toY(value));
      context.lineTo(width, toY(value));
      context.stroke();
    }
    mean.forEach((value, i) => {
      const x = left + (i + 0.15) * step;
      context.fillStyle = colours.accent;
      context.fillRect(x, toY(0), 0.7 * step, toY(value) - toY(0));
      if (!sd) return;
      const top = toY(value + sd[i]);
      context.fillStyle = colours.ink;
      context.fillRect(x + 0.3 * step, top, 1.5, toY(value - sd[i]) - top);
    });
  }
}

// The label of that row of `rows`, a flat array, which is nearest to `point`.
function nearestRow(point, rows, labels) {
  const n = point.length;
  let best = 0;
  let least = Infinity;
  for (let i = 0; i < labels.length; i++) {
    let distance = 0;
    for (let k = 0; k < n; k++) distance += (rows[i * n + k] - point[k]) ** 2;
    if (distance < least) [best, least] = [i, distance];
  }
  return labels[best];
}

const subscript = (number) => (number === null ? "z"
  : `z${[...String(number)].map((digit) => "₀₁₂₃₄₅₆₇₈₉"[digit]).join("")}`);

// `object` with the getter `name` run at most once.
function remembered(object, name) {
  const { get } = Object.getOwnPropertyDescriptor(object, name);
  let value = null;
  return Object.defineProperty(object, name, { get: () => (value ??= get()) });
}

// In nats, summed over pixels.
function crossEntropy(x, y) {
  return x.reduce((sum, value, i) => {
    const p = Math.min(1 - 1e-7, Math.max(1e-7, y[i]));
    return sum - value * Math.log(p) - (1 - value) * Math.log(1 - p);
  }, 0);
}

// KL(q || N(0, I)) in nats.
function divergence(mean, logVar) {
  return mean.reduce((sum, mu, i) => sum + (mu ** 2 + Math.exp(logVar[i]) - 1 - logVar[i]) / 2, 0);
}

const squaredError = (x, y) => x.reduce((sum, value, i) => sum + (value - y[i]) ** 2, 0) / x.length;
