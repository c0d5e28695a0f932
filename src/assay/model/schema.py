"""The layout of the tables in a TFLite file, as far as anything reads them.

Source: the TFLite schema, version 3 (``schema.fbs``), field by field in the order of their slots.
One field is ``name:kind``, and the kinds are

    4         a number of 4 bytes
    1<6       a number of 1 byte below 6: an enumeration
    text      a string
    [4]       a vector of numbers of 4 bytes
    [Tensor]  a vector of tables
    Tensor    a table
    |Union    a table whose type the field before tells
    -         a slot that is no longer in use

and a ``!`` after the kind says that nobody can do without the field.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import tflite

_TABLES = {
    "Model": "version:4 operator_codes:[OperatorCode]! subgraphs:[SubGraph]! description:text "
    "buffers:[Buffer]! metadata_buffer:[4] metadata:[Metadata] signature_defs:[SignatureDef] "
    "external_buffer_groups:[ExternalBufferGroup] external_buffers:[ExternalBuffer]",
    "OperatorCode": "deprecated_builtin_code:1 custom_code:text version:4 builtin_code:4",
    "SubGraph": "tensors:[Tensor]! inputs:[4]! outputs:[4]! operators:[Operator]! name:text "
    "debug_metadata_index:4",
    "Tensor": "shape:[4] type:1<23 buffer:4 name:text quantization:QuantizationParameters "
    "is_variable:1 sparsity:SparsityParameters shape_signature:[4] has_rank:1 "
    "variant_tensors:[VariantSubType] external_buffer:4",
    "QuantizationParameters": "min:[4] max:[4] scale:[4] zero_point:[8] details_type:1 "
    "details:|QuantizationDetails quantized_dimension:4",
    "CustomQuantization": "custom:[1]",
    "BlockwiseQuantization": "scales:4 zero_points:4 block_size:4 block_shape:[4]",
    "MultiAxisQuantization": "scales:4 zero_points:4 block_size:4 quantized_dimensions:[4]",
    "SparsityParameters": "traversal_order:[4] block_map:[4] dim_metadata:[DimensionMetadata]",
    "DimensionMetadata": "format:1<2 dense_size:4 array_segments_type:1 "
    "array_segments:|SparseIndexVector array_indices_type:1 array_indices:|SparseIndexVector",
    "Int32Vector": "values:[4]",
    "Uint16Vector": "values:[2]",
    "Uint8Vector": "values:[1]",
    "VariantSubType": "shape:[4] type:1<23 has_rank:1",
    "Operator": "opcode_index:4 inputs:[4] outputs:[4] builtin_options_type:1 "
    "builtin_options:|BuiltinOptions custom_options:[1] custom_options_format:1 "
    "mutating_variable_inputs:[1] intermediates:[4] large_custom_options_offset:8 "
    "large_custom_options_size:8 builtin_options_2_type:1 builtin_options_2:|BuiltinOptions2 "
    "debug_metadata_index:4",
    "Buffer": "data:[1] offset:8 size:8",
    "ExternalBufferGroup": "name:text",
    "ExternalBuffer": "id:4 group:4 offset:8 length:8 packing:text",
    "Metadata": "name:text! buffer:4",
    "SignatureDef": "inputs:[TensorMap]! outputs:[TensorMap]! signature_key:text! - "
    "subgraph_index:4",
    "TensorMap": "name:text! tensor_index:4",
    # Options of builtin operators; tables that are not listed hold nothing.
    "Conv2DOptions": "padding:1<2 stride_w:4 stride_h:4 activation:1<6 dilation_w:4 dilation_h:4 "
    "quantized_bias_type:1",
    "Conv3DOptions": "padding:1<2 stride_d:4 stride_w:4 stride_h:4 activation:1<6 dilation_d:4 "
    "dilation_w:4 dilation_h:4",
    "DepthwiseConv2DOptions": "padding:1<2 stride_w:4 stride_h:4 depth_multiplier:4 "
    "activation:1<6 dilation_w:4 dilation_h:4",
    "TransposeConvOptions": "padding:1<2 stride_w:4 stride_h:4 activation:1<6 "
    "quantized_bias_type:1",
    "Pool2DOptions": "padding:1<2 stride_w:4 stride_h:4 filter_w:4 filter_h:4 activation:1<6",
    "FullyConnectedOptions": "activation:1<6 weights_format:1<2 keep_num_dims:1 "
    "asymmetric_quantize_inputs:1 quantized_bias_type:1 quant_spec:[1]",
    "ConcatEmbeddingsOptions": "channels:4 columns_per_channel:[4] dim_per_channel:[4]",
    "LSHProjectionOptions": "type:1",
    "SVDFOptions": "rank:4 activation:1<6 asymmetric_quantize_inputs:1",
    "RNNOptions": "activation:1<6 asymmetric_quantize_inputs:1",
    "SequenceRNNOptions": "time_major:1 activation:1<6 asymmetric_quantize_inputs:1",
    "BidirectionalSequenceRNNOptions": "time_major:1 activation:1<6 merge_outputs:1 "
    "asymmetric_quantize_inputs:1",
    "LSTMOptions": "activation:1<6 cell_clip:4 proj_clip:4 kernel_type:1<2 "
    "asymmetric_quantize_inputs:1",
    "UnidirectionalSequenceLSTMOptions": "activation:1<6 cell_clip:4 proj_clip:4 time_major:1 "
    "asymmetric_quantize_inputs:1 diagonal_recurrent_tensors:1",
    "BidirectionalSequenceLSTMOptions": "activation:1<6 cell_clip:4 proj_clip:4 merge_outputs:1 "
    "time_major:1 asymmetric_quantize_inputs:1",
    "SoftmaxOptions": "beta:4",
    "ConcatenationOptions": "axis:4 activation:1<6",
    "AddOptions": "activation:1<6 pot_scale_int16:1",
    "SubOptions": "activation:1<6 pot_scale_int16:1",
    "MulOptions": "activation:1<6",
    "DivOptions": "activation:1<6",
    "L2NormOptions": "activation:1<6",
    "LocalResponseNormalizationOptions": "radius:4 bias:4 alpha:4 beta:4",
    "ResizeBilinearOptions": "- - align_corners:1 half_pixel_centers:1",
    "ResizeNearestNeighborOptions": "align_corners:1 half_pixel_centers:1",
    "CallOptions": "subgraph:4",
    "ReshapeOptions": "new_shape:[4]",
    "SkipGramOptions": "ngram_size:4 max_skip_size:4 include_all_ngrams:1",
    "SpaceToDepthOptions": "block_size:4",
    "DepthToSpaceOptions": "block_size:4",
    "EmbeddingLookupSparseOptions": "combiner:1<3",
    "GatherOptions": "axis:4 batch_dims:4",
    "ReducerOptions": "keep_dims:1",
    "SqueezeOptions": "squeeze_dims:[4]",
    "SplitOptions": "num_splits:4",
    "SplitVOptions": "num_splits:4",
    "StridedSliceOptions": "begin_mask:4 end_mask:4 ellipsis_mask:4 new_axis_mask:4 "
    "shrink_axis_mask:4 offset:1",
    "CastOptions": "in_data_type:1<23 out_data_type:1<23",
    "ArgMaxOptions": "output_type:1<23",
    "ArgMinOptions": "output_type:1<23",
    "SparseToDenseOptions": "validate_indices:1",
    "ShapeOptions": "out_type:1<23",
    "FakeQuantOptions": "min:4 max:4 num_bits:4 narrow_range:1",
    "PackOptions": "values_count:4 axis:4",
    "UnpackOptions": "num:4 axis:4",
    "OneHotOptions": "axis:4",
    "LeakyReluOptions": "alpha:4",
    "MirrorPadOptions": "mode:1<2",
    "UniqueOptions": "idx_out_type:1<23",
    "ReverseSequenceOptions": "seq_dim:4 batch_dim:4",
    "IfOptions": "then_subgraph_index:4 else_subgraph_index:4",
    "WhileOptions": "cond_subgraph_index:4 body_subgraph_index:4",
    "CallOnceOptions": "init_subgraph_index:4",
    "BatchMatMulOptions": "adj_x:1 adj_y:1 asymmetric_quantize_inputs:1",
    "CumsumOptions": "exclusive:1 reverse:1",
    "HashtableOptions": "table_id:4 key_dtype:1<23 value_dtype:1<23",
    "VarHandleOptions": "container:text shared_name:text",
    "RandomOptions": "seed:8 seed2:8",
    "BucketizeOptions": "boundaries:[4]",
    "GeluOptions": "approximate:1",
    "ReduceWindowOptions": "reduce_function:4",
    "StableHLOCompositeOptions": "name:text decomposition_subgraph_index:4 "
    "composite_attributes:[1] composite_attributes_format:1 version:4",
    "StablehloConcatenateOptions": "dimension:8",
    "StablehloBroadcastInDimOptions": "broadcast_dimensions:[8]",
    "StablehloSliceOptions": "start_indices:[8] limit_indices:[8] strides:[8]",
    "StablehloConvolutionOptions": "window_strides:[8] padding:[8] lhs_dilation:[8] "
    "rhs_dilation:[8] window_reversal:[1] input_batch:8 input_feature:8 input_spatial:[8] "
    "kernel_input_feature:8 kernel_output_feature:8 kernel_spatial:[8] output_batch:8 "
    "output_feature:8 output_spatial:[8] feature_groups:8 batch_groups:8 precision_config:[4]",
    "StablehloCustomCallOptions": "call_target_name:text has_side_effect:1 backend_config:text "
    "api_version:4 called_computations:[4] custom_attributes:[1]",
    "StablehloReduceOptions": "dimensions:[8] body_subgraph_index:4",
    "StablehloReduceWindowOptions": "window_dimensions:[8] window_strides:[8] base_dilations:[8] "
    "window_dilations:[8] padding:[8] body_subgraph_index:4",
    "StablehloScatterOptions": "indices_are_sorted:1 update_window_dims:[8] "
    "inserted_window_dims:[8] scatter_dims_to_operand_dims:[8] index_vector_dim:8 "
    "unique_indices:1 update_computation_subgraph_index:4",
    "StablehloGatherOptions": "offset_dims:[8] collapsed_slice_dims:[8] start_index_map:[8] "
    "index_vector_dim:8 slice_sizes:[8] indices_are_sorted:1",
    "StablehloCompareOptions": "comparison_direction:4 compare_type:4",
    "StablehloDynamicSliceOptions": "slice_sizes:[8]",
    "StablehloPadOptions": "edge_padding_low:[8] edge_padding_high:[8] interior_padding:[8]",
    "StablehloIotaOptions": "iota_dimension:8",
    "StablehloDotGeneralOptions": "lhs_batching:[8] rhs_batching:[8] lhs_contracting:[8] "
    "rhs_contracting:[8] precision_config:[4]",
    "StablehloSortOptions": "dimension:8 is_stable:1 comparator_subgraph_index:4",
    "StablehloWhileOptions": "cond_subgraph_index:4 body_subgraph_index:4",
    "StablehloTransposeOptions": "permutation:[8]",
    "StablehloRngBitGeneratorOptions": "algorithm:1",
    "StablehloCaseOptions": "branch_subgraph_indices:[4]",
}


@dataclass(frozen=True)
class Field:
    """One slot of a table. ``size`` is that of the number or of a vector's element, in bytes."""

    name: str
    kind: Literal["number", "text", "vector", "tables", "table", "union", "unused"]
    size: int = 4
    limit: int | None = None
    table: str = ""
    required: bool = False


def _parse(declaration: str) -> Field:
    name, _, kind = declaration.partition(":")
    required = kind.endswith("!")
    kind = kind.rstrip("!")
    inner = kind.strip("[]|")
    if not kind:
        return Field(name, "unused")
    if kind == "text":
        return Field(name, "text", required=required)
    if kind.startswith("["):
        if inner.isdigit():
            return Field(name, "vector", int(inner), required=required)
        return Field(name, "tables", table=inner, required=required)
    if kind.startswith("|"):
        return Field(name, "union", table=inner)
    if kind[0].isdigit():
        size, _, limit = kind.partition("<")
        return Field(name, "number", int(size), int(limit) if limit else None)
    return Field(name, "table", table=kind)


def _numbered(enumeration: type, **more: int) -> dict[int, str]:
    members = {name: code for name, code in vars(enumeration).items() if isinstance(code, int)}
    return {code: name for name, code in {**members, **more}.items() if code}


TABLES: dict[str, tuple[Field, ...]] = {
    table: tuple(_parse(field) for field in fields.split()) for table, fields in _TABLES.items()
}
"""Table -> its slots in order."""

UNIONS: dict[str, dict[int, str]] = {
    "BuiltinOptions": _numbered(tflite.BuiltinOptions),
    "BuiltinOptions2": _numbered(tflite.BuiltinOptions2, StablehloCaseOptions=23),
    "SparseIndexVector": _numbered(tflite.SparseIndexVector),
    "QuantizationDetails": _numbered(
        tflite.QuantizationDetails, BlockwiseQuantization=2, MultiAxisQuantization=3
    ),
}
"""Union -> the number of each member -> its table."""
