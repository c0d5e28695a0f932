"""The kernel builder, with workspaces that TVM's compaction leaves alone."""

from __future__ import annotations

from tvm import tirx

from assay.compiler.kernels.builder import Buffer, KernelBuilder


class IntegerKernelBuilder(KernelBuilder):
    """A builder whose workspaces are used through a second view of their memory.

    TVM's CompactBufferAllocation looks for the region that a kernel uses of an allocation, which
    takes longer than all the rest of compilation if the kernel loads from it in a thousand places.
    It does not look at views.
    """

    def workspace(self, name: str, size: int, dtype: str = "float32") -> Buffer:
        """Allocate ``size`` elements of memory that live for the rest of the current block."""
        memory = super().workspace(name, size, dtype)
        view = tirx.decl_buffer((size,), dtype, f"{name}_view", data_alignment=64)
        self._emit(tirx.DeclBuffer(view, data=memory.data))
        return view
