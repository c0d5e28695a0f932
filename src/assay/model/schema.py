"""The layout of the tables in a TFLite file, as far as anything reads them.

Source: the TFLite schema, version 3 (``schema.fbs``), field by field in the order of their slots.
One field is ``name:kind``, and the kinds are

    i         a number, in the letters of the module struct
    b<6       a number from 0 to 5: an enumeration
    i=1       a number that is 1, not 0, where a file leaves it out
    text      a string
    [i]       a vector of numbers
    [Tensor]  a vector of tables
    Tensor    a table
    |Union    a table whose type the field before tells
    -         a slot that is no longer in use

and a ``!`` after the kind says that nobody can do without the field.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from struct import calcsize
from typing import Any, Literal

from assay.model.enumerations import BUILTIN_OPTIONS, BUILTIN_OPTIONS_2

_TABLES = {
    "Model": "version:I operator_codes:[OperatorCode]! subgraphs:[SubGraph]! description:text "
    "buffers:[Buffer]! metadata_buffer:[i] metadata:[Metadata] signature_defs:[SignatureDef] "
    "external_buffer_groups:[ExternalBufferGroup] external_buffers:[ExternalBuffer]",
    "OperatorCode": "deprecated_builtin_code:b custom_code:text version:i=1 builtin_code:i",
    "SubGraph": "tensors:[Tensor]! inputs:[i]! outputs:[i]! operators:[Operator]! name:text "
    "debug_metadata_index:i=-1",
    "Tensor": "shape:[i] type:b<23 buffer:I name:text quantization:QuantizationParameters "
    "is_variable:? sparsity:SparsityParameters shape_signature:[i] has_rank:? "
    "variant_tensors:[VariantSubType] external_buffer:I",
    "QuantizationParameters": "min:[f] max:[f] scale:[f] zero_point:[q] details_type:B "
    "details:|QuantizationDetails quantized_dimension:i",
    "CustomQuantization": "custom:[B]",
    "BlockwiseQuantization": "scales:i zero_points:i block_size:i block_shape:[i]",
    "MultiAxisQuantization": "scales:i zero_points:i block_size:i quantized_dimensions:[i]",
    "SparsityParameters": "traversal_order:[i] block_map:[i] dim_metadata:[DimensionMetadata]",
    "DimensionMetadata": "format:b<2 dense_size:i array_segments_type:B "
    "array_segments:|SparseIndexVector array_indices_type:B array_indices:|SparseIndexVector",
    "Int32Vector": "values:[i]",
    "Uint16Vector": "values:[H]",
    "Uint8Vector": "values:[B]",
    "VariantSubType": "shape:[i] type:b<23 has_rank:?",
    "Operator": "opcode_index:I inputs:[i] outputs:[i] builtin_options_type:B "
    "builtin_options:|BuiltinOptions custom_options:[B] custom_options_format:b "
    "mutating_variable_inputs:[B] intermediates:[i] large_custom_options_offset:Q "
    "large_custom_options_size:Q builtin_options_2_type:B builtin_options_2:|BuiltinOptions2 "
    "debug_metadata_index:i=-1",
    "Buffer": "data:[B] offset:Q size:Q",
    "ExternalBufferGroup": "name:text",
    "ExternalBuffer": "id:I group:I offset:Q length:Q packing:text",
    "Metadata": "name:text! buffer:I",
    "SignatureDef": "inputs:[TensorMap]! outputs:[TensorMap]! signature_key:text! - "
    "subgraph_index:I",
    "TensorMap": "name:text! tensor_index:I",
    # Options of builtin operators; tables that are not listed hold nothing.
    "Conv2DOptions": "padding:b<2 stride_w:i stride_h:i activation:b<6 dilation_w:i=1 "
    "dilation_h:i=1 quantized_bias_type:b",
    "Conv3DOptions": "padding:b<2 stride_d:i stride_w:i stride_h:i activation:b<6 dilation_d:i=1 "
    "dilation_w:i=1 dilation_h:i=1",
    "DepthwiseConv2DOptions": "padding:b<2 stride_w:i stride_h:i depth_multiplier:i activation:b<6 "
    "dilation_w:i=1 dilation_h:i=1",
    "TransposeConvOptions": "padding:b<2 stride_w:i stride_h:i activation:b<6 "
    "quantized_bias_type:b",
    "Pool2DOptions": "padding:b<2 stride_w:i stride_h:i filter_w:i filter_h:i activation:b<6",
    "FullyConnectedOptions": "activation:b<6 weights_format:b<2 keep_num_dims:? "
    "asymmetric_quantize_inputs:? quantized_bias_type:b quant_spec:[B]",
    "ConcatEmbeddingsOptions": "channels:i columns_per_channel:[i] dim_per_channel:[i]",
    "LSHProjectionOptions": "type:b",
    "SVDFOptions": "rank:i activation:b<6 asymmetric_quantize_inputs:?",
    "RNNOptions": "activation:b<6 asymmetric_quantize_inputs:?",
    "SequenceRNNOptions": "time_major:? activation:b<6 asymmetric_quantize_inputs:?",
    "BidirectionalSequenceRNNOptions": "time_major:? activation:b<6 merge_outputs:? "
    "asymmetric_quantize_inputs:?",
    "LSTMOptions": "activation:b<6 cell_clip:f proj_clip:f kernel_type:b<2 "
    "asymmetric_quantize_inputs:?",
    "UnidirectionalSequenceLSTMOptions": "activation:b<6 cell_clip:f proj_clip:f time_major:? "
    "asymmetric_quantize_inputs:? diagonal_recurrent_tensors:?",
    "BidirectionalSequenceLSTMOptions": "activation:b<6 cell_clip:f proj_clip:f merge_outputs:? "
    "time_major:?=1 asymmetric_quantize_inputs:?",
    "SoftmaxOptions": "beta:f",
    "ConcatenationOptions": "axis:i activation:b<6",
    "AddOptions": "activation:b<6 pot_scale_int16:?=1",
    "SubOptions": "activation:b<6 pot_scale_int16:?=1",
    "MulOptions": "activation:b<6",
    "DivOptions": "activation:b<6",
    "L2NormOptions": "activation:b<6",
    "LocalResponseNormalizationOptions": "radius:i bias:f alpha:f beta:f",
    "ResizeBilinearOptions": "- - align_corners:? half_pixel_centers:?",
    "ResizeNearestNeighborOptions": "align_corners:? half_pixel_centers:?",
    "CallOptions": "subgraph:I",
    "ReshapeOptions": "new_shape:[i]",
    "SkipGramOptions": "ngram_size:i max_skip_size:i include_all_ngrams:?",
    "SpaceToDepthOptions": "block_size:i",
    "DepthToSpaceOptions": "block_size:i",
    "EmbeddingLookupSparseOptions": "combiner:b<3",
    "GatherOptions": "axis:i batch_dims:i",
    "ReducerOptions": "keep_dims:?",
    "SqueezeOptions": "squeeze_dims:[i]",
    "SplitOptions": "num_splits:i",
    "SplitVOptions": "num_splits:i",
    "StridedSliceOptions": "begin_mask:i end_mask:i ellipsis_mask:i new_axis_mask:i "
    "shrink_axis_mask:i offset:?",
    "CastOptions": "in_data_type:b<23 out_data_type:b<23",
    "ArgMaxOptions": "output_type:b<23",
    "ArgMinOptions": "output_type:b<23",
    "SparseToDenseOptions": "validate_indices:?",
    "ShapeOptions": "out_type:b<23",
    "FakeQuantOptions": "min:f max:f num_bits:i narrow_range:?",
    "PackOptions": "values_count:i axis:i",
    "UnpackOptions": "num:i axis:i",
    "OneHotOptions": "axis:i",
    "LeakyReluOptions": "alpha:f",
    "MirrorPadOptions": "mode:b<2",
    "UniqueOptions": "idx_out_type:b<23=2",
    "ReverseSequenceOptions": "seq_dim:i batch_dim:i",
    "IfOptions": "then_subgraph_index:i else_subgraph_index:i",
    "WhileOptions": "cond_subgraph_index:i body_subgraph_index:i",
    "CallOnceOptions": "init_subgraph_index:i",
    "BatchMatMulOptions": "adj_x:? adj_y:? asymmetric_quantize_inputs:?",
    "CumsumOptions": "exclusive:? reverse:?",
    "HashtableOptions": "table_id:i key_dtype:b<23 value_dtype:b<23",
    "VarHandleOptions": "container:text shared_name:text",
    "RandomOptions": "seed:q seed2:q",
    "BucketizeOptions": "boundaries:[i]",
    "GeluOptions": "approximate:?",
    "ReduceWindowOptions": "reduce_function:i",
    "StableHLOCompositeOptions": "name:text decomposition_subgraph_index:i "
    "composite_attributes:[B] composite_attributes_format:b version:i",
    "StablehloConcatenateOptions": "dimension:q",
    "StablehloBroadcastInDimOptions": "broadcast_dimensions:[q]",
    "StablehloSliceOptions": "start_indices:[q] limit_indices:[q] strides:[q]",
    "StablehloConvolutionOptions": "window_strides:[q] padding:[q] lhs_dilation:[q] "
    "rhs_dilation:[q] window_reversal:[B] input_batch:q input_feature:q input_spatial:[q] "
    "kernel_input_feature:q kernel_output_feature:q kernel_spatial:[q] output_batch:q "
    "output_feature:q output_spatial:[q] feature_groups:q batch_groups:q precision_config:[i]",
    "StablehloCustomCallOptions": "call_target_name:text has_side_effect:? backend_config:text "
    "api_version:i called_computations:[i] custom_attributes:[B]",
    "StablehloReduceOptions": "dimensions:[q] body_subgraph_index:i",
    "StablehloReduceWindowOptions": "window_dimensions:[q] window_strides:[q] base_dilations:[q] "
    "window_dilations:[q] padding:[q] body_subgraph_index:i",
    "StablehloScatterOptions": "indices_are_sorted:? update_window_dims:[q] "
    "inserted_window_dims:[q] scatter_dims_to_operand_dims:[q] index_vector_dim:q "
    "unique_indices:? update_computation_subgraph_index:i",
    "StablehloGatherOptions": "offset_dims:[q] collapsed_slice_dims:[q] start_index_map:[q] "
    "index_vector_dim:q slice_sizes:[q] indices_are_sorted:?",
    "StablehloCompareOptions": "comparison_direction:I compare_type:I",
    "StablehloDynamicSliceOptions": "slice_sizes:[q]",
    "StablehloPadOptions": "edge_padding_low:[q] edge_padding_high:[q] interior_padding:[q]",
    "StablehloIotaOptions": "iota_dimension:q",
    "StablehloDotGeneralOptions": "lhs_batching:[q] rhs_batching:[q] lhs_contracting:[q] "
    "rhs_contracting:[q] precision_config:[i]",
    "StablehloSortOptions": "dimension:q is_stable:? comparator_subgraph_index:i",
    "StablehloWhileOptions": "cond_subgraph_index:i body_subgraph_index:i",
    "StablehloTransposeOptions": "permutation:[q]",
    "StablehloRngBitGeneratorOptions": "algorithm:b",
    "StablehloCaseOptions": "branch_subgraph_indices:[i]",
}


@dataclass(frozen=True)
class Field:
    """One slot of a table; ``default`` is its value where a file leaves it out.

    ``format`` is that of the number or of a vector's element, in the letters of struct.
    """

    name: str
    kind: Literal["number", "text", "vector", "tables", "table", "union", "unused"]
    format: str = "I"
    limit: int | None = None
    table: str = ""
    required: bool = False
    default: Any = None

    @cached_property
    def size(self) -> int:
        """Bytes of the number, of a vector's element, or of an offset."""
        return calcsize(f"<{self.format}")


def _parse(declaration: str) -> Field:
    name, _, kind = declaration.partition(":")
    required = kind.endswith("!")
    kind = kind.rstrip("!")
    inner = kind.strip("[]|")
    if not kind:
        return Field(name, "unused")
    if kind == "text":
        return Field(name, "text", "B", required=required, default="")
    if kind.startswith("["):
        if len(inner) == 1:
            return Field(name, "vector", inner, required=required, default=())
        return Field(name, "tables", table=inner, required=required, default=())
    if kind.startswith("|"):
        return Field(name, "union", table=inner)
    if kind in _TABLES:
        return Field(name, "table", table=kind)
    kind, _, default = kind.partition("=")
    letter, _, limit = kind.partition("<")
    value = {"f": float, "?": bool}.get(letter, int)(default or 0)
    bound = int(limit) if limit else None
    return Field(name, "number", letter, bound, default=value)


def _numbered(names: Iterable[str]) -> dict[int, str]:
    return dict(enumerate(names, start=1))


TABLES: dict[str, tuple[Field, ...]] = {
    table: tuple(_parse(field) for field in fields.split()) for table, fields in _TABLES.items()
}
"""Table -> its slots in order."""

UNIONS: dict[str, dict[int, str]] = {
    "BuiltinOptions": _numbered(BUILTIN_OPTIONS),
    "BuiltinOptions2": _numbered(BUILTIN_OPTIONS_2),
    "SparseIndexVector": _numbered(("Int32Vector", "Uint16Vector", "Uint8Vector")),
    "QuantizationDetails": _numbered(
        ("CustomQuantization", "BlockwiseQuantization", "MultiAxisQuantization")
    ),
}
"""Union -> the number of each member -> its table."""
