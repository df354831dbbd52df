// The field to draw in: strokes of a pointer, kept as lines, and made into 28 x 28 pixels as the
// images of MNIST were.

const SIDE = 28; // of an image, in pixels
const BOX = 20; // the strokes' bounding box fits into this
const CENTRE = 14; // the pixel at which MNIST has the centre of mass
const FINE = 8; // the strokes are drawn this many times larger, then averaged
const PEN = [[3, 0.45], [1.8, 1]]; // widths in pixels and opacities: a soft edge around the line
const LEAST = 0.12; // strokes smaller than this part of the field are not blown up further

class DrawingField {
  // `onChange(pixels)` gets a Uint8Array of 784 after each change, or null for an empty field.
  constructor(canvas, hint, onChange) {
    this.canvas = canvas;
    this.hint = hint;
    this.onChange = onChange;
    this.strokes = []; // each a list of points [x, y] in [0, 1]
    this.active = null; // the id of the pointer that draws
    this.fine = document.createElement("canvas");
    this.fine.width = this.fine.height = SIDE * FINE;
    this.fineContext = this.fine.getContext("2d", { willReadFrequently: true });
    this.changed = oncePerFrame(() => {
      this.paint();
      this.onChange(this.strokes.length ? this.pixels() : null);
    });
    canvas.addEventListener("pointerdown", (event) => this.begin(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(name, (event) => {
        if (event.pointerId === this.active) this.active = null;
      });
    }
    this.paint();
  }

  place(event) {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    return [(event.clientX - left) / width, (event.clientY - top) / height];
  }

  begin(event) {
    if (event.button !== 0 || this.active !== null) return;
    this.active = event.pointerId;
    this.canvas.setPointerCapture(event.pointerId);
    this.strokes.push([this.place(event)]);
    this.changed();
  }

  move(event) {
    if (event.pointerId !== this.active) return;
    const stroke = this.strokes.at(-1);
    // A frame may have had several positions; all of them make a smoother line.
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length ? events : [event]) stroke.push(this.place(each));
    this.changed();
  }

  undo() {
    this.active = null;
    this.strokes.pop();
    this.changed();
  }

  clear() {
    this.active = null;
    this.strokes = [];
    this.changed();
  }

  // Empty the field without telling, for images that come from elsewhere.
  reset() {
    this.active = null;
    this.strokes = [];
    this.paint();
  }

  paint() {
    const { width } = this.canvas;
    const context = this.canvas.getContext("2d");
    context.fillStyle = "#000";
    context.fillRect(0, 0, width, width);
    this.stroke(context, width / BOX, (x, y) => [x * width, y * width]);
    this.hint.hidden = this.strokes.length > 0;
  }

  // Draw all strokes with `pixel` units to a pixel of the image; `map` gives each point's place.
  stroke(context, pixel, map) {
    context.lineCap = context.lineJoin = "round";
    for (const [width, opacity] of PEN) {
      context.lineWidth = width * pixel;
      context.strokeStyle = `rgba(255, 255, 255, ${opacity})`;
      context.beginPath();
      for (const points of this.strokes) {
        context.moveTo(...map(...points[0]));
        // A line to its own start makes a dot of a tap.
        for (const point of points.length > 1 ? points.slice(1) : points) {
          context.lineTo(...map(...point));
        }
      }
      context.stroke();
    }
  }

  // The image, a Uint8Array of 784.
  pixels() {
    const points = this.strokes.flat();
    const [lowX, lowY] = [0, 1].map((axis) => Math.min(...points.map((p) => p[axis])));
    const [highX, highY] = [0, 1].map((axis) => Math.max(...points.map((p) => p[axis])));
    // The pen's own width is within the box too.
    const scale = (BOX - PEN[1][0]) / Math.max(highX - lowX, highY - lowY, LEAST);
    const draw = (right, down) => this.averaged((x, y) => [
      ((x - (lowX + highX) / 2) * scale + SIDE / 2 + right) * FINE,
      ((y - (lowY + highY) / 2) * scale + SIDE / 2 + down) * FINE,
    ]);
    const [x, y] = centreOfMass(draw(0, 0));
    return draw(Math.round(CENTRE - x), Math.round(CENTRE - y)); // by whole pixels, as MNIST
  }

  averaged(map) {
    const side = SIDE * FINE;
    this.fineContext.fillStyle = "#000";
    this.fineContext.fillRect(0, 0, side, side);
    this.stroke(this.fineContext, FINE, map);
    const { data } = this.fineContext.getImageData(0, 0, side, side);
    const sums = new Float32Array(SIDE * SIDE);
    for (let y = 0; y < side; y++) {
      const row = Math.floor(y / FINE) * SIDE;
      for (let x = 0; x < side; x++) sums[row + Math.floor(x / FINE)] += data[4 * (y * side + x)];
    }
    return Uint8Array.from(sums, (sum) => Math.round(sum / FINE ** 2));
  }
}

// Of an image, as [x, y] in pixels.
function centreOfMass(pixels) {
  let [mass, x, y] = [0, 0, 0];
  pixels.forEach((value, i) => {
    mass += value;
    x += value * (i % SIDE);
    y += value * Math.floor(i / SIDE);
  });
  return mass ? [x / mass, y / mass] : [CENTRE, CENTRE];
}
