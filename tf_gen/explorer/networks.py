"""Networks for the page: the computation of a SavedModel's signature as a list of steps.

The steps are read from the graph. So the page can show the export of any recipe whose networks
consist of dense layers, activations, batch normalisation (which becomes part of a layer) and
arithmetic on small arrays. A network is a dict, ready for JSON except for its arrays:

    inputs     list of {"name", "shape"}: value i is input i
    steps      list of {"op", "of", "shape", ...}: step k makes value len(inputs) + k from the
               values `of`; `network.js` and `run` below implement each `op`
    outputs    dict of names to values

All shapes are fully known. Images come one at a time; points come in batches of the training size,
since D may see a batch as a whole.
"""

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from tf_gen.errors import UserError

UNARY = {
    "Neg": "neg",
    "Abs": "abs",
    "Exp": "exp",
    "Log": "log",
    "Sqrt": "sqrt",
    "Square": "square",
    "Tanh": "tanh",
    "Sigmoid": "sigmoid",
    "Softplus": "softplus",
    "Elu": "elu",
    "Relu": "relu",
    "LeakyRelu": "leaky_relu",
}
BINARY = {
    "Add": "add",
    "AddV2": "add",
    "BiasAdd": "add",
    "Sub": "sub",
    "Mul": "mul",
    "RealDiv": "div",
    "Pow": "pow",
    "Maximum": "maximum",
    "Minimum": "minimum",
}
REDUCTIONS = {"Sum": "sum", "Mean": "mean"}
SAME = ("Identity", "StopGradient")  # the output is the input
ACTIVATIONS = {"tanh", "sigmoid", "softplus", "elu", "relu", "leaky_relu"}
BITS = range(8, 17)  # bits per weight to try


def read(signature, batch):
    """Read the network behind `signature`, a function of a loaded SavedModel.

    Args:
        signature: a signature with float32 inputs.
        batch: the length to use for each axis of unknown length.

    Returns:
        A network; kernels are float32 [out, in].

    Raises:
        UserError: the network has an operation that the page does not know.
    """
    shapes = {
        name: [batch if length is None else length for length in spec.shape]
        for name, spec in signature.structured_input_signature[1].items()
    }
    specs = {name: tf.TensorSpec(shape, tf.float32, name) for name, shape in shapes.items()}
    function = tf.function(lambda **inputs: signature(**inputs), autograph=False)
    frozen = convert_variables_to_constants_v2(function.get_concrete_function(**specs))
    reader = _Reader(frozen.graph, frozen.inputs, frozen.outputs)
    outputs = zip(sorted(signature.structured_outputs), frozen.outputs, strict=True)
    places = {name: reader.value(tensor) for name, tensor in outputs}
    inputs = [{"name": t.op.name, "shape": t.shape.as_list()} for t in frozen.inputs]
    return {"inputs": inputs, "steps": reader.steps, "outputs": places}


class _Reader:
    """Turns a graph without variables into steps.

    Attributes:
        steps: the steps so far; those of a tensor are appended when its `value` is first needed.
    """

    def __init__(self, graph, inputs, outputs):
        self.graph = graph
        self.steps = []
        self.inputs = len(inputs)
        self.input_shapes = {tensor.name: tensor.shape for tensor in inputs}
        self.places = {tensor.name: place for place, tensor in enumerate(inputs)}
        # The operations that depend on an input, directly or through others.
        self.live, waiting = set(), [tensor.op for tensor in inputs]
        while waiting:
            operation = waiting.pop()
            if operation.name not in self.live:
                self.live.add(operation.name)
                waiting += [reader for t in operation.outputs for reader in t.consumers()]
        self.uses = {}
        operations = graph.get_operations()
        reads = [t for o in operations if o.type not in SAME for t in o.inputs]
        for tensor in [*reads, *outputs]:
            name = self.original(tensor).name
            self.uses[name] = self.uses.get(name, 0) + 1

    def original(self, tensor):
        """The tensor of which `tensor` is a copy."""
        while tensor.op.type in SAME:
            (tensor,) = tensor.op.inputs
        return tensor

    def constant(self, tensor):
        """The constant value of `tensor`, an array; None if it depends on an input."""
        if tensor.op.name in self.live:
            return None
        # Its operation may have a control dependency on an input, so inputs need values.
        zeros = {name: np.zeros(shape, np.float32) for name, shape in self.input_shapes.items()}
        with tf.compat.v1.Session(graph=self.graph) as session:
            return session.run(tensor, zeros)

    def value(self, tensor):
        """The index of `tensor` among the values."""
        tensor = self.original(tensor)
        if tensor.name not in self.places:
            constant = self.constant(tensor)
            if constant is not None:
                step = {"op": "constant", "of": [], "value": np.asarray(constant, np.float32)}
                place = self.append(step, list(np.shape(constant)))
            else:
                place = self.operation(tensor)
            self.places[tensor.name] = place
        return self.places[tensor.name]

    def append(self, step, shape):
        self.steps.append({**step, "shape": shape})
        return self.inputs + len(self.steps) - 1

    def operation(self, tensor):
        """Append the step that makes `tensor`, or fold it into the one before; return its index."""
        operation, kind = tensor.op, tensor.op.type
        shape, inputs = tensor.shape.as_list(), list(operation.inputs)
        if kind == "MatMul":
            kernel = self.constant(inputs[1])
            flipped = operation.get_attr("transpose_a") or operation.get_attr("transpose_b")
            if kernel is not None and not flipped:
                layer = {"op": "dense", "kernel": kernel.T, "bias": np.zeros(shape[1], np.float32)}
                step = {**layer, "of": [self.value(inputs[0])], "activation": "linear"}
                return self.append(step, shape)
        if kind in BINARY:
            place = self.folded(BINARY[kind], inputs, shape)
            return self.simple(BINARY[kind], inputs, shape) if place is None else place
        if kind == "AddN":
            place = self.value(inputs[0])
            for other in inputs[1:]:
                place = self.append({"op": "add", "of": [place, self.value(other)]}, shape)
            return place
        if kind in UNARY:
            name = UNARY[kind]
            more = {"alpha": operation.get_attr("alpha")} if kind == "LeakyRelu" else {}
            layer = self.layer_before(inputs[0])
            if layer is None or name not in ACTIVATIONS:
                return self.simple(name, inputs, shape, **more)
            layer |= {"activation": name, **more}
            return self.value(inputs[0])
        if kind in ("Reshape", "ExpandDims", "Squeeze"):
            return self.simple("reshape", inputs[:1], shape)
        if kind == "Transpose":
            return self.simple("transpose", inputs[:1], shape, permutation=self.integers(inputs[1]))
        if kind == "ConcatV2":
            axis = int(self.constant(inputs[-1])) % len(shape)
            return self.simple("concat", inputs[:-1], shape, axis=axis)
        if kind in REDUCTIONS:
            rank = len(inputs[0].shape)
            axes = [axis % rank for axis in self.integers(inputs[1])]
            return self.simple(REDUCTIONS[kind], inputs[:1], shape, axes=axes)
        if kind == "TopKV2" and tensor.value_index == 0 and shape == inputs[0].shape:
            return self.simple("sort", inputs[:1], shape)
        if kind == "StridedSlice":
            return self.simple("slice", inputs[:1], shape, **self.sliced(operation))
        if kind == "Unpack":
            axis, lengths = operation.get_attr("axis"), inputs[0].shape.as_list()
            begin = [0] * len(lengths)
            begin[axis], lengths[axis] = tensor.value_index, 1
            where = {"begin": begin, "strides": [1] * len(begin), "lengths": lengths}
            return self.simple("slice", inputs[:1], shape, **where)
        raise UserError(f"the explorer does not know the operation {kind}")

    def simple(self, name, tensors, shape, **more):
        return self.append({"op": name, "of": [self.value(t) for t in tensors], **more}, shape)

    def integers(self, tensor):
        return np.atleast_1d(self.constant(tensor)).tolist()

    def layer_before(self, tensor):
        """The dense step that makes `tensor`, if nothing else uses it and it has no activation."""
        tensor = self.original(tensor)
        place = self.value(tensor) - self.inputs
        layer = self.steps[place] if place >= 0 else {"op": "input"}
        free = layer["op"] == "dense" and layer["activation"] == "linear"
        return layer if free and self.uses[tensor.name] == 1 else None

    def folded(self, name, inputs, shape):
        """Fold arithmetic with one constant per unit into the layer before, or return None.

        This handles biases, and batch normalisation after the layer.
        """
        constants = [self.constant(tensor) for tensor in inputs]
        if name not in ("add", "sub", "mul", "div") or not any(c is not None for c in constants):
            return None
        first = constants[0] is not None  # the constant comes before the layer
        constant, tensor = (constants[0], inputs[1]) if first else (constants[1], inputs[0])
        layer = self.layer_before(tensor)
        # The constant is one number, or one for each unit.
        fits = constant.size == 1 or constant.shape[-1:] == (constant.size,) == (shape[-1],)
        if layer is None or not fits or (first and name == "div"):
            return None
        constant = np.float64(constant).reshape(-1)
        ones = np.ones(shape[-1])
        scale, shift = {
            "add": lambda: (ones, constant),
            "sub": lambda: (-ones, constant) if first else (ones, -constant),
            "mul": lambda: (ones * constant, 0),
            "div": lambda: (ones / constant, 0),
        }[name]()
        layer["kernel"] = np.float32(layer["kernel"] * scale[:, None])
        layer["bias"] = np.float32(layer["bias"] * scale + shift)
        return self.value(tensor)

    def sliced(self, operation):
        """Begin, strides and lengths of a slice, as for an array: x[2:, 0]."""
        masks = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
        masks = {name: operation.get_attr(name) for name in masks}
        if masks["ellipsis_mask"] or masks["new_axis_mask"]:
            raise UserError("the explorer does not know slices with ... or a new axis")
        begin, end, strides = (self.integers(tensor) for tensor in operation.inputs[1:])
        lengths = operation.inputs[0].shape.as_list()
        where = []
        for axis, length in enumerate(lengths):
            if axis >= len(begin):
                where.append(range(length))
            elif masks["shrink_axis_mask"] >> axis & 1:
                where.append(range(length)[begin[axis] :][:1])
            else:
                start = None if masks["begin_mask"] >> axis & 1 else begin[axis]
                stop = None if masks["end_mask"] >> axis & 1 else end[axis]
                where.append(range(length)[start : stop : strides[axis]])
        return {
            "begin": [part.start for part in where],
            "strides": [part.step for part in where],
            "lengths": [len(part) for part in where],
        }


# ---- The same in NumPy --------------------------------------------------------------------------


def run(network, inputs):
    """Compute the network in float64: dict of arrays to dict of arrays.

    This is a check of what is written; `network.js` does the same in the browser.
    """
    values = _values(network, inputs)
    return {name: values[place] for name, place in network["outputs"].items()}


def _values(network, inputs):
    values = [np.reshape(inputs[i["name"]], i["shape"]).astype(float) for i in network["inputs"]]
    for step in network["steps"]:
        arrays = [values[place] for place in step["of"]]
        values.append(np.reshape(_take(step, arrays), step["shape"]))
    return values


def _take(step, arrays):
    name = step["op"]
    if name == "dense":
        y = arrays[0] @ np.float64(step["kernel"]).T + step["bias"]
        return y if step["activation"] == "linear" else _unary(step["activation"], y, step)
    if name in REDUCTIONS.values():
        return getattr(np, name)(arrays[0], axis=tuple(step["axes"]))
    if name in BINARY.values():
        functions = {"sub": "subtract", "mul": "multiply", "div": "divide", "pow": "power"}
        return getattr(np, functions.get(name, name))(*arrays)
    if name == "slice":
        strides = zip(step["begin"], step["strides"], step["lengths"], strict=True)
        return arrays[0][np.ix_(*(b + s * np.arange(n) for b, s, n in strides))]
    others = {
        "constant": lambda: step["value"],
        "reshape": lambda: arrays[0],
        "transpose": lambda: np.transpose(arrays[0], step["permutation"]),
        "concat": lambda: np.concatenate(arrays, step["axis"]),
        "sort": lambda: -np.sort(-arrays[0]),
    }
    return others[name]() if name in others else _unary(name, arrays[0], step)


def _unary(name, x, step):
    functions = {
        "neg": np.negative,
        "sigmoid": lambda x: np.exp(-np.logaddexp(0, -x)),
        "softplus": lambda x: np.logaddexp(0, x),
        "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
        "relu": lambda x: np.maximum(x, 0),
        "leaky_relu": lambda x: np.where(x > 0, x, step["alpha"] * x),
    }
    return functions[name](x) if name in functions else getattr(np, name)(x)


# ---- Fewer bytes --------------------------------------------------------------------------------


def compress(network, compute, trials, tolerances):
    """Round the large kernels of `network` as far as the accuracy of its outputs allows.

    Args:
        network: see `read`.
        compute: the function that it should compute, from a dict of inputs to a dict of outputs.
        trials: list of dicts of inputs, float32 in the network's shapes, to compare the two with.
        tolerances: dict of the names of outputs to their largest allowed error.

    Returns:
        A network. If rounding is accurate enough, its large kernels also have `integers` [out, in]
        of `bits` bits and `scale` [out]; `kernel` is their product. Otherwise it is not rounded.

    Raises:
        UserError: the outputs differ by more even without rounding.
    """
    expected = [compute(trial) for trial in trials]
    if not all(np.all(np.isfinite(array)) for outputs in expected for array in outputs.values()):
        raise UserError("what the model computes is not finite")
    # The mean of each value over the trials, for the inputs of layers.
    each = zip(*(_values(network, trial) for trial in trials), strict=True)
    means = [np.mean(values, axis=(0, 1)) if np.ndim(values[0]) == 2 else None for values in each]

    def close(candidate):
        for trial, outputs in zip(trials, expected, strict=True):
            found = run(candidate, trial)
            for name, output in outputs.items():
                if not np.max(np.abs(found[name] - output)) <= tolerances[name]:
                    return False
        return True

    for bits in BITS:
        candidate = {**network, "steps": [_rounded(step, bits, means) for step in network["steps"]]}
        if close(candidate):
            return candidate
    if not close(network):
        raise UserError("the explorer would show something else than the model computes")
    return network


def _rounded(step, bits, means):
    """`step` with its kernel rounded to `bits`, if it is a large layer."""
    if step["op"] != "dense" or step["kernel"].size < 4096:
        return step
    most = 2 ** (bits - 1) - 1
    largest = np.max(np.abs(step["kernel"]), axis=1)
    scale = np.float32(np.where(largest > 0, largest, 1) / most)
    integers = np.rint(step["kernel"] / scale[:, None]).astype(np.int16)
    kernel = np.float32(integers * scale[:, None])
    # The bias corrects the mean error of the rounding, which is most of the error.
    bias = np.float32(step["bias"] + (step["kernel"] - kernel) @ means[step["of"][0]])
    more = {"kernel": kernel, "bias": bias, "integers": integers, "scale": scale, "bits": bits}
    return {**step, **more}
