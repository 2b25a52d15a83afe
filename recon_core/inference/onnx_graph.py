# SPDX-License-Identifier: Apache-2.0
"""ONNX graphs from torch.export graphs, by a table of the core ATen operations that our networks are made of.

Written here because torch's own exporter either traces TorchScript, which is deprecated, or needs a further package.
All shapes but the input image's are static, so a shape is a constant, and whatever does not depend on the input is
computed by torch and stored.
"""

import operator
from collections.abc import Sequence
from typing import Any

import torch

from ..errors import ConfigError
from .onnx_builder import Graph
from .onnx_rules import RULES


def translate(graph: Graph, program: torch.export.ExportedProgram, inputs: Sequence[str]) -> list[str]:
    """Add an exported program (decomposed) to the graph; returns the names of its outputs.

    Raises ConfigError for an operation that the table does not have.
    """
    values: dict[torch.fx.Node, Any] = {}
    waiting = list(inputs)
    for node in program.graph.nodes:
        if node.op == "placeholder":
            values[node] = _placeholder(program, node, waiting)
        elif node.op == "call_function":
            values[node] = _call(graph, node, values)
        elif node.op == "output":
            return [graph.named(values[out]) for out in node.args[0]]
    raise AssertionError("an exported graph ends with its output")


def _placeholder(program: torch.export.ExportedProgram, node: torch.fx.Node, waiting: list[str]) -> Any:
    """The tensor of a parameter, buffer or constant; the name of the next input."""
    signature = program.graph_signature
    for kind in (signature.inputs_to_parameters, signature.inputs_to_buffers):
        if node.name in kind:
            target = kind[node.name]
            return (program.state_dict if target in program.state_dict else program.constants)[
                target
            ].detach()
    if node.name in signature.inputs_to_lifted_tensor_constants:
        return program.constants[signature.inputs_to_lifted_tensor_constants[node.name]]
    return waiting.pop(0)


def _call(graph: Graph, node: torch.fx.Node, values: dict[torch.fx.Node, Any]) -> Any:
    """Compute a node now, if its inputs are all known, or add it to the graph."""
    read = torch.fx.node.map_arg
    arguments = read(node.args, lambda one: values[one])
    keywords = read(node.kwargs, lambda one: values[one])
    target: Any = node.target
    if target is operator.getitem:
        return arguments[0][arguments[1]]
    if not any(isinstance(values[one], str | list) for one in node.all_input_nodes):
        with torch.no_grad():
            return target(*arguments, **keywords)
    name = str(target).removeprefix("aten.").removesuffix(".default")
    rule = RULES.get(name) or RULES.get(name.partition(".")[0])
    if rule is None:
        raise ConfigError(f"The model uses the operation {name!r}, which cannot be exported to ONNX yet.")
    return rule(graph, node, *arguments, **keywords)
