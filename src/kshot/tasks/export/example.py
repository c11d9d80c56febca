"""The program that answers with an exported task: at most thirty lines of numpy, of which the rule decides some.

In: a `Rule`. Out: the text of `predict.py`, which lies beside `task.json` and `network.onnx`, and imports numpy and onnxruntime alone.
"""

from kshot.tasks.export.rule import Form, Rule

_START = '''"""Answer with this exported task: {usage}

INPUTS.npz holds what the network takes, by name; task.json says what that is, and what kshot did before the network.{more}
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime

HERE = Path(__file__).parent
TASK = json.loads((HERE / "task.json").read_text(encoding="utf-8"))
NUMBERS = {{name: np.array(values) for name, values in TASK["rule"]["arrays"].items()}}
NETWORK = onnxruntime.InferenceSession(str(HERE / "network.onnx"))


def embed(inputs):  # arrays by name -> (M, D), one item after another
    names = [one.name for one in NETWORK.get_inputs()]
    items = zip(*(inputs[name] for name in names))
    return np.concatenate([NETWORK.run(None, {{k: v[None] for k, v in zip(names, item)}})[0] for item in items])

'''
_UNIT = """
def unit(x):
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-30)

"""
_MAP = """
def mapped(x):
    return {map}

"""
_GAPS = '    gaps = np.stack([((one - NUMBERS["examples"]) ** 2).sum(1) for one in z])  # (M, n)\n'
_FORMS: dict[Form, str] = {
    "affine": '    return z @ NUMBERS["weights"] + NUMBERS["bias"]\n',
    "kernel": _GAPS
    + '    near = np.exp(-NUMBERS["precision"] * gaps) @ NUMBERS["coefficients"]\n'
    + '    return near + z @ NUMBERS["weights"] + NUMBERS["bias"]\n',
    "nearest": _GAPS + '    return -np.stack([gaps[:, NUMBERS["labels"] == k].min(1) for k in range(len(TASK["classes"]))], 1)\n',
    "attention": '    member = np.eye(len(TASK["classes"]))[NUMBERS["labels"]]  # (n, N)\n'
    + '    return np.log(np.exp(z @ NUMBERS["examples"].T) @ member)\n',
}
_END = """

def probabilities(inputs):  # (M, N)
    logits = scores(mapped(embed(inputs))) / TASK["calibration"]["temperature"]
    p = np.exp(logits - logits.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


if __name__ == "__main__":
    {open}for row in probabilities(np.load(sys.argv[1] if len(sys.argv) > 1 else HERE / "inputs.npz")):
        print(json.dumps({{"label": str(TASK["classes"][row.argmax()]), "probability": round(float(row.max()), 6)}}))
"""
_LEARN = """
def learn(examples):  # the arrays of embed, and `labels`: the centre of each class
    z, (TASK["classes"], y) = mapped(embed(examples)), np.unique(examples["labels"], return_inverse=True)
    NUMBERS["examples"], NUMBERS["labels"] = np.stack([z[y == k].mean(0) for k in range(y.max() + 1)]), np.unique(y)

"""


def example_of(rule: Rule) -> str:
    """Return the program. A rule of the form `nearest` without examples is one whose classes come from examples at run time."""
    learns = rule.form == "nearest" and "examples" not in rule.arrays
    usage = "python predict.py INPUTS.npz EXAMPLES.npz" if learns else "python predict.py [INPUTS.npz]"
    more = "\nEXAMPLES.npz holds the same, and `labels`, the name of the class of each example." if learns else ""
    x = "unit(np.sqrt(np.maximum(x, 0)))" if rule.root else "x"
    x = f'{x} - NUMBERS["centre"]' if "centre" in rule.arrays else x
    x = f"unit({x})" if rule.unit and not (rule.root and "centre" not in rule.arrays) else x
    parts = [_START.format(usage=usage, more=more), _UNIT if "unit(" in x else "", _MAP.format(map=x)]
    parts += ["\ndef scores(z):  # (M, D) -> (M, N)\n", _FORMS[rule.form], "\n" + _LEARN if learns else ""]
    opened = 'learn(np.load(sys.argv[2] if len(sys.argv) > 2 else HERE / "examples.npz"))\n    ' if learns else ""
    return "".join([*parts, _END.format(open=opened).removeprefix("\n" if learns else "")])
