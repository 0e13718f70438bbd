"""Bits of an element of each type of ggml: bytes of a block, its scales included, over its elements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockType:
    """``elements`` of a block take ``block_bytes``."""

    name: str
    elements: int
    block_bytes: int

    @property
    def bits(self) -> float:
        """Bits of an element."""
        return 8 * self.block_bytes / self.elements


_TABLE = """
0 F32 1 4;1 F16 1 2;2 Q4_0 32 18;3 Q4_1 32 20;6 Q5_0 32 22;7 Q5_1 32 24;8 Q8_0 32 34;9 Q8_1 32 40;10 Q2_K 256 84;
11 Q3_K 256 110;12 Q4_K 256 144;13 Q5_K 256 176;14 Q6_K 256 210;15 Q8_K 256 292;16 IQ2_XXS 256 66;17 IQ2_XS 256 74;
18 IQ3_XXS 256 98;19 IQ1_S 256 50;20 IQ4_NL 32 18;21 IQ3_S 256 110;22 IQ2_S 256 82;23 IQ4_XS 256 136;28 F64 1 8;
29 IQ1_M 256 56;30 BF16 1 2;34 TQ1_0 256 54;35 TQ2_0 256 66;39 MXFP4 32 17;40 NVFP4 64 36
"""
"""Number, name, elements and bytes of a block (ggml-common.h; GGML_QUANT_SIZES of the gguf package 0.17)."""

BLOCK_TYPES: Mapping[int, BlockType] = MappingProxyType(
    {
        int(number): BlockType(name=name, elements=int(elements), block_bytes=int(size))
        for number, name, elements, size in (entry.split() for entry in _TABLE.strip().split(";"))
    }
)

PLAIN: Mapping[str, str] = MappingProxyType({"F32": "float32", "F16": "float16", "BF16": "bfloat16"})
"""Types that are multiplied as they are stored, and their dtype."""
