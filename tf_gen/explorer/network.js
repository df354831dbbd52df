// Runs a network as Python described it (tf_gen/explorer/networks.py): a list of steps, each of
// which makes an array from arrays before it. An array is flat, its shape is known beforehand.

// Decode an array of the page, {shape, type, data}, to a Float32Array or Uint8Array, flat.
function unpack({ shape, type, data, bits, scale }) {
  const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
  if (type === "u8") return bytes;
  if (type === "f32") return new Float32Array(bytes.buffer);
  // Integers of few bits, and a scale for each row.
  const [rows, columns] = shape;
  const scales = unpack(scale);
  const values = new Float32Array(rows * columns);
  const shift = 32 - bits;
  let buffer = 0;
  let held = 0; // bits in the buffer
  let i = 0;
  for (const byte of bytes) {
    buffer |= byte << held;
    held += 8;
    if (held < bits || i === values.length) continue;
    // Moved to the upper end and back, so that the sign is kept.
    values[i] = ((buffer << shift) >> shift) * scales[Math.floor(i / columns)];
    buffer >>>= bits;
    held -= bits;
    i += 1;
  }
  return values;
}

const UNARY = {
  neg: (x) => -x,
  abs: Math.abs,
  exp: Math.exp,
  log: Math.log,
  sqrt: Math.sqrt,
  square: (x) => x * x,
  linear: (x) => x,
  tanh: Math.tanh,
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  softplus: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
  elu: (x) => (x > 0 ? x : Math.expm1(x)),
  relu: (x) => Math.max(x, 0),
  leaky_relu: (x, alpha) => (x > 0 ? x : alpha * x),
};

const BINARY = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  pow: Math.pow,
  maximum: Math.max,
  minimum: Math.min,
};

const size = (shape) => shape.reduce((product, length) => product * length, 1);

// How far apart in the flat array the neighbours of each axis are.
function stridesOf(shape) {
  const strides = new Array(shape.length).fill(1);
  for (let i = shape.length - 2; i >= 0; i--) strides[i] = strides[i + 1] * shape[i + 1];
  return strides;
}

// Visit all elements of `shape` in order, and call `visit(i, offset)` with the place that
// `strides` gives to each in another array.
function walk(shape, strides, visit, start = 0) {
  const index = new Array(shape.length).fill(0);
  const count = size(shape);
  for (let i = 0, offset = start; i < count; i++) {
    visit(i, offset);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      offset += strides[axis];
      if (++index[axis] < shape[axis]) break;
      offset -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
  }
}

// Strides with which an array of shape `from` is read as if it were of shape `to`.
function broadcast(from, to) {
  const missing = to.length - from.length;
  const strides = stridesOf(from);
  return to.map((_, axis) => {
    const own = axis - missing;
    return own < 0 || from[own] === 1 ? 0 : strides[own];
  });
}

// [batch, in] times the kernel, whose rows belong to the outputs, and what comes after it.
function dense(x, { shape: [batch, units], kernel, bias, activation, alpha }) {
  const inputs = x.length / batch;
  const out = new Float32Array(batch * units);
  const activate = UNARY[activation];
  for (let row = 0; row < batch; row++) {
    for (let unit = 0; unit < units; unit++) {
      let sum = bias[unit];
      const from = row * inputs;
      const weights = unit * inputs;
      for (let i = 0; i < inputs; i++) sum += x[from + i] * kernel[weights + i];
      out[row * units + unit] = activate(sum, alpha);
    }
  }
  return out;
}

function binary(step, [a, b], [shapeA, shapeB]) {
  const out = new Float32Array(size(step.shape));
  const operate = BINARY[step.op];
  walk(step.shape, broadcast(shapeA, step.shape), (i, offset) => { out[i] = a[offset]; });
  walk(step.shape, broadcast(shapeB, step.shape), (i, offset) => {
    out[i] = operate(out[i], b[offset]);
  });
  return out;
}

// Sum or mean over the axes `step.axes`, kept or not.
function reduce(step, x, shape) {
  const kept = shape.map((length, axis) => (step.axes.includes(axis) ? 1 : length));
  const out = new Float64Array(size(kept));
  walk(shape, broadcast(kept, shape), (i, offset) => { out[offset] += x[i]; });
  const count = step.op === "mean" ? x.length / out.length : 1;
  return Float32Array.from(out, (sum) => sum / count);
}

function concat(step, arrays, shapes) {
  const out = new Float32Array(size(step.shape));
  const strides = stridesOf(step.shape);
  let start = 0;
  arrays.forEach((array, k) => {
    walk(shapes[k], strides, (i, offset) => { out[offset] = array[i]; }, start);
    start += shapes[k][step.axis] * strides[step.axis];
  });
  return out;
}

// Sorted along the last axis, the largest first.
function sortDescending(x, shape) {
  const length = shape[shape.length - 1];
  const out = Float32Array.from(x);
  for (let i = 0; i < out.length; i += length) out.subarray(i, i + length).sort().reverse();
  return out;
}

function slice(step, x, shape) {
  const strides = stridesOf(shape);
  const start = step.begin.reduce((sum, index, axis) => sum + index * strides[axis], 0);
  const out = new Float32Array(size(step.lengths));
  const steps = strides.map((stride, axis) => stride * step.strides[axis]);
  walk(step.lengths, steps, (i, offset) => { out[i] = x[offset]; }, start);
  return out;
}

function transpose(step, x, shape) {
  const strides = stridesOf(shape);
  const out = new Float32Array(x.length);
  walk(step.shape, step.permutation.map((axis) => strides[axis]), (i, offset) => {
    out[i] = x[offset];
  });
  return out;
}

function take(step, arrays, shapes) {
  const [x] = arrays;
  const [shape] = shapes;
  switch (step.op) {
    case "constant": return step.value;
    case "dense": return dense(x, step);
    case "reshape": return x;
    case "transpose": return transpose(step, x, shape);
    case "concat": return concat(step, arrays, shapes);
    case "slice": return slice(step, x, shape);
    case "sort": return sortDescending(x, shape);
    case "sum": case "mean": return reduce(step, x, shape);
    default:
  }
  if (step.op in BINARY) return binary(step, arrays, shapes);
  return x.map((value) => UNARY[step.op](value, step.alpha));
}

class Network {
  // `description` is one of `networks` of the page's JSON. `inputs` and `outputs` have the shapes.
  constructor({ inputs, steps, outputs }) {
    this.inputs = Object.fromEntries(inputs.map(({ name, shape }) => [name, shape]));
    this.steps = steps.map((step) => ({ ...step }));
    for (const step of this.steps) {
      for (const name of ["kernel", "bias", "value"]) {
        if (step[name]) step[name] = unpack(step[name]);
      }
    }
    this.shapes = [...inputs, ...steps].map(({ shape }) => shape);
    this.places = outputs; // which array each output is
    this.outputs = Object.fromEntries(
      Object.entries(outputs).map(([name, place]) => [name, this.shapes[place]]),
    );
    this.parameters = this.steps.reduce((sum, { op, kernel, bias }) => (
      op === "dense" ? sum + kernel.length + bias.length : sum
    ), 0);
  }

  // Flat arrays by the name of each input to flat arrays by the name of each output.
  run(inputs) {
    const values = Object.keys(this.inputs).map((name) => inputs[name]);
    for (const step of this.steps) {
      const arrays = step.of.map((place) => values[place]);
      values.push(take(step, arrays, step.of.map((place) => this.shapes[place])));
    }
    return Object.fromEntries(
      Object.entries(this.places).map(([name, place]) => [name, values[place]]),
    );
  }
}
