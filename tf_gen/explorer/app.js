// What all pages share (words, theme, address, canvases, animation), and the start: reads the
// JSON and shows the page for what the model generates.

const byId = (id) => document.getElementById(id);
const root = document.documentElement;
const ADDRESS_DELAY = 300; // ms at rest before the address and the spoken text follow
const FRAMES = 1000; // durations kept in explorer.frameMs and paintMs

let language = "en";
let colours = {}; // the CSS variables that canvases draw with, by name
const refreshers = []; // called after a change of language or theme

// An element with properties and children. Text goes in as text, never as HTML.
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function say(key, values = {}) {
  let text = WORDS[language][key];
  if (Array.isArray(text)) text = text[values.n === 1 ? 0 : 1];
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

const grouped = (count) => count.toLocaleString(language);
// Whole, since the rounded weights tell no more; with a space in Chinese.
const percent = (share) => `${(100 * share).toFixed(0)}${language === "zh" ? " " : ""}%`;

// A z for people and for the command line: three decimals, without zeros at the end.
const written = (z) => Array.from(z, (value) => Number(value.toFixed(3)) + 0).join(",");

function onRefresh(run) {
  refreshers.push(run);
}

function refresh() {
  root.lang = language === "zh" ? "zh-CN" : "en";
  for (const element of document.querySelectorAll("[data-word]")) {
    element.textContent = say(element.dataset.word);
  }
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", say(element.dataset.label));
  }
  for (const run of refreshers) run();
}

// The function that runs `run` at once, but only once a frame: what is asked for in between waits
// for the next frame, and is done once however often it is asked for.
function oncePerFrame(run) {
  let busy = false; // in this frame
  let asked = false;
  return function ask() {
    asked = true;
    if (busy) return;
    busy = true;
    asked = false;
    run();
    requestAnimationFrame(() => {
      busy = false;
      if (asked) ask();
    });
  };
}

// The function that runs `run` when it has not been called for a while.
function atRest(run) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(run, ADDRESS_DELAY);
  };
}

// Work through `step()` until it returns false, in slices that leave the page free to react.
function inSlices(step) {
  let stopped = false;
  const slice = () => {
    const end = performance.now() + 8;
    while (!stopped && performance.now() < end) if (!step()) return;
    if (!stopped) setTimeout(slice, 4);
  };
  setTimeout(slice, 0);
  return () => { stopped = true; };
}

// Keep the canvas as fine as the screen, and call `paint` when its size changes.
function fitted(canvas, paint) {
  new ResizeObserver(() => {
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(canvas.clientWidth * ratio);
    canvas.height = Math.round(canvas.clientHeight * ratio);
    paint();
  }).observe(canvas);
}

// Whether there is anything to paint on: no canvas has a size before the page is laid out.
const paintable = (canvas) => canvas.clientWidth > 0 && canvas.width > 0 && canvas.height > 0;

// An empty context of a fitted canvas that measures in CSS pixels, and its size.
function blank(canvas) {
  const context = canvas.getContext("2d");
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const ratio = canvas.width / width;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  const em = parseFloat(getComputedStyle(canvas).fontSize);
  context.font = `${0.8 * em}px ${getComputedStyle(canvas).fontFamily}`;
  return { context, width, height, em };
}

// White on black, as MNIST. `most` is the value of white.
function paintImage(canvas, pixels, most) {
  const context = canvas.getContext("2d");
  const image = context.createImageData(SIDE, SIDE);
  pixels.forEach((value, i) => {
    image.data.fill(Math.round(255 * value / most), 4 * i, 4 * i + 3);
    image.data[4 * i + 3] = 255;
  });
  context.putImageData(image, 0, 0);
}

const smallCanvas = () => make("canvas", { width: SIDE, height: SIDE, "aria-hidden": "true" });

// Round numbers between `low` and `high`, some `count` of them.
function ticks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) {
    found.push(Number((k * step).toPrecision(6)));
  }
  return found;
}

const tickText = (value) => String(value).replace("-", "−");

const stillPreferred = () => window.matchMedia("(prefers-reduced-motion: reduce)").matches;

// A button that plays and pauses. `frame(ms)` draws what comes that many ms later, and returns
// whether there is more; `idle` is the word on the button at rest.
class Player {
  constructor(button, frame, idle = () => "play") {
    this.button = button;
    this.frame = frame;
    this.idle = idle;
    this.playing = false;
    button.addEventListener("click", () => (this.playing ? this.stop() : this.start()));
    onRefresh(() => this.label());
    this.label();
  }

  label() {
    this.button.textContent = say(this.playing ? "pause" : this.idle());
  }

  start() {
    if (this.playing) return;
    this.playing = true;
    this.label();
    let last = performance.now();
    const next = (now) => {
      if (!this.playing) return;
      const more = this.frame(Math.max(0, now - last));
      last = now;
      if (more) requestAnimationFrame(next);
      else this.stop();
    };
    requestAnimationFrame(next);
  }

  stop() {
    this.playing = false;
    this.label();
  }
}

// Copy what `text()` gives when the button is pressed. Where a file: page may not use the
// clipboard, the text is selected and copied the old way.
function copies(button, text) {
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text());
    } catch {
      const area = make("textarea", { value: text() });
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
      button.focus();
    }
    button.textContent = say("copied");
    byId("live").textContent = say("copied");
    setTimeout(() => { button.textContent = say(button.dataset.word); }, 1500);
  });
}

// Put the body of a list of terms: [[id, word], ...]. The text comes later, to the ids.
function fillNumbers(list, rows) {
  for (const [id, word] of rows) {
    list.append(make("div", {}, make("dt", { "data-word": word }), make("dd", { id })));
  }
}

// What the address says after #: {z, lang, theme}. What is malformed is left out.
function readAddress(dimensions) {
  const found = {};
  for (const part of location.hash.slice(1).split("&")) {
    const [name, value = ""] = part.split("=");
    if (name === "lang" && Object.hasOwn(WORDS, value)) found.lang = value;
    if (name === "theme" && ["auto", "light", "dark"].includes(value)) found.theme = value;
    if (name === "z") {
      const texts = value.replaceAll(/%2c/gi, ",").split(",");
      const z = texts.map((text) => (text.trim() === "" ? NaN : Number(text)));
      if (z.length === dimensions && z.every((value) => Number.isFinite(Math.fround(value)))) found.z = z;
    }
  }
  return found;
}

// A command that decodes `z`. `--z=` because a shell word that starts with - is taken for an
// option. The name comes quoted for a shell.
function commandFor(model, z) {
  const text = written(z);
  const file = model.generates === "images" ? "digit.png" : "x.npy";
  const option = text.startsWith("-") ? `--z=${text}` : `--z ${text}`;
  return `python -m tf_gen.sample ${model.name} ${option} --out ${file}`;
}

// The command in `box`, which breaks between words only, but for a long z.
function showCommand(box, command) {
  box.replaceChildren(...command.match(/ |[^ =]*=|[^ =]+/g).map((part) => (
    part === " " || part.length > 24 ? part : make("span", { className: "word" }, part)
  )));
}

class App {
  constructor(model) {
    this.model = model;
    this.chosen = {}; // language and theme, if the reader chose them; the point, once it moved
    this.frameMs = []; // from a pointer event to its picture
    this.paintMs = []; // of that, decoding and painting
    this.networks = Object.fromEntries(
      Object.entries(model.networks).map(([name, network]) => [name, new Network(network)]),
    );
    this.dark = window.matchMedia("(prefers-color-scheme: dark)");
    this.writeAddress = atRest(() => this.writeAddressNow());
  }

  start() {
    const address = readAddress(this.model.latent_dim);
    const preferred = navigator.language?.toLowerCase().startsWith("zh") ? "zh" : "en";
    language = address.lang ?? preferred;
    this.chosen = { ...address };
    this.showTheme();
    this.fillHead();
    const kind = this.model.generates === "images" ? "images" : "x";
    byId("main").replaceChildren(byId(`page-${kind}`).content.cloneNode(true));
    this.page = kind === "images" ? new ImagesPage(this) : new LinePage(this);
    byId("language").value = language;
    byId("theme").value = address.theme ?? "auto";
    this.page.begin(address.z);
    refresh();
    this.listen();
  }

  fillHead() {
    const { model } = this;
    const parameters = Object.values(this.networks).reduce((sum, n) => sum + n.parameters, 0);
    byId("name").textContent = model.name;
    for (const [name, value] of Object.entries(model.settings ?? {})) {
      byId("settings-list").append(
        make("div", {}, make("dt", {}, name), make("dd", {}, String(value))),
      );
    }
    onRefresh(() => {
      const key = model.generates === "images" ? "whatImages" : "whatX";
      byId("what").textContent = say(
        key, { n: model.latent_dim, parameters: grouped(parameters) },
      );
    });
  }

  listen() {
    byId("language").addEventListener("change", (event) => {
      language = this.chosen.lang = event.target.value;
      refresh();
      this.writeAddress();
    });
    byId("theme").addEventListener("change", (event) => {
      this.chosen.theme = event.target.value;
      this.showTheme();
      refresh();
      this.writeAddress();
    });
    this.dark.addEventListener("change", () => {
      this.showTheme();
      refresh();
    });
    window.addEventListener("hashchange", () => {
      const address = readAddress(this.model.latent_dim);
      language = address.lang ?? language;
      Object.assign(this.chosen, address);
      byId("language").value = language;
      byId("theme").value = this.chosen.theme ?? "auto";
      this.showTheme();
      refresh();
      if (!address.z) return;
      this.page.player.stop();
      this.page.setPoint(address.z);
    });
  }

  showTheme() {
    const { theme = "auto" } = this.chosen;
    root.dataset.theme = theme === "auto" ? (this.dark.matches ? "dark" : "light") : theme;
    const style = getComputedStyle(root);
    const read = (name) => style.getPropertyValue(`--${name}`).trim();
    const names = ["ink", "muted", "rule", "panel", "accent", "fill"];
    colours = Object.fromEntries(names.map((name) => [name, read(name)]));
    colours.labels = Array.from({ length: 10 }, (_, k) => read(`label-${k}`));
  }

  // The point has moved: `z` is where it is.
  moved(z) {
    this.chosen.z = Array.from(z);
    this.writeAddress();
  }

  writeAddressNow() {
    const { z, lang, theme } = this.chosen;
    const parts = { z: z && written(z), lang, theme: theme === "auto" ? undefined : theme };
    const text = Object.entries(parts).filter(([, value]) => value !== undefined)
      .map(([name, value]) => `${name}=${value}`).join("&");
    try {
      history.replaceState(null, "", `#${text}`);
    } catch {
      // Some browsers allow it to a file: page only now and then; the page works without.
    }
  }

  // The picture for the pointer event of time `stamp` is painted, on which work began at `begin`.
  // In between the browser waits for a frame, since it delivers a pointer's moves once a frame.
  painted(stamp, begin) {
    const now = performance.now();
    for (const [times, from] of [[this.frameMs, stamp], [this.paintMs, begin]]) {
      times.push(now - from);
      if (times.length > FRAMES) times.shift();
    }
  }
}

{
  const app = new App(JSON.parse(byId("model").textContent));
  app.start();
  window.explorer = { networks: app.networks, frameMs: app.frameMs, paintMs: app.paintMs, ...app.page.interface() };
}
