"""Where this HotSpot keeps what is read of it: the fields of its own tables, by what they are called in each version.

JDK 11, 17, 21 and 25 are tested; 8 and those between have the fields that their sources name. What the tables do not
say is from the sources of OpenJDK and is said where it is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aperture_tui.symbolize.hotspot.errors import HotSpotError, HotSpotNotReady
from aperture_tui.symbolize.hotspot.structs import Field, Structs
from aperture_tui.symbolize.process_memory import Memory, read

OLDEST: Final = 8
_NEWEST: Final = 99
_NMETHOD: Final = ("nmethod", "CompiledMethod")  # the second from 9 to 22
_POOL: Final = "ConstantPool"


@dataclass(frozen=True, slots=True)
class HeapLayout:
    """The code cache, CodeHeap and what lies in it (src/hotspot/share/memory/{heap,virtualspace}.hpp).

    array: whether `root` holds a GrowableArray<CodeHeap*>*, and not one CodeHeap* as before JDK 9. root: its address.
    array_length, array_data: in the array. heap_bytes: of a CodeHeap. memory_low, memory_high, segmap_low: in it, what
    is committed. log2_segment: in it. block_bytes: of what is before a blob. block_length, block_used: in that.
    """

    array: bool
    root: int
    array_length: Field
    array_data: Field
    heap_bytes: int
    memory_low: Field
    memory_high: Field
    segmap_low: Field
    log2_segment: Field
    block_bytes: int
    block_length: Field
    block_used: Field


@dataclass(frozen=True, slots=True)
class BlobLayout:
    """A CodeBlob, and an nmethod, which is one (src/hotspot/share/code/{codeBlob,nmethod,compiledMethod}.hpp).

    Fields that hold an address have it as 8 bytes; others are offsets, from the blob's start unless told otherwise.
    code_end: until JDK 22 the address, or `_data_offset`. scopes: `_scopes_data_begin`, an address from JDK 9 to 22; in
    23 and later offsets of scopes and PcDescs count from `immutable`. metadata: until JDK 22 from the blob, in 23 and
    24 from where its data begins, later behind the relocations in `mutable`.
    """

    bytes: int
    name: Field
    size: Field
    code_begin: Field
    code_end: Field
    data_offset: Field
    frame_complete: Field
    frame_size: Field
    method: Field
    entry: Field
    verified: Field
    exception: Field
    deopt: Field
    stub: Field
    compile_id: Field
    level: Field
    metadata: Field | None
    scopes: Field
    pcs: Field
    pcs_end: Field | None
    immutable: Field | None
    immutable_bytes: Field | None
    mutable: Field | None
    mutable_bytes: Field | None
    relocation_bytes: Field | None


@dataclass(frozen=True, slots=True)
class NameLayout:
    """What leads from a Method to its names (src/hotspot/share/oops/{method,constMethod,constantPool,symbol}.hpp).

    source_index is in the ConstantPool, or until JDK 14 in the InstanceKlass: `source_in_class`. length: of a Symbol.
    """

    method_bytes: int
    const_method: Field
    const_method_bytes: int
    constants: Field
    code_size: Field
    flags: Field
    name_index: Field
    pool_bytes: int
    pool_length: Field
    tags: Field
    holder: Field
    tags_data: Field
    source_index: Field
    source_in_class: bool
    class_name: Field
    length: Field
    body: Field


@dataclass(frozen=True, slots=True)
class Layout:
    """What is read of one process. major: 17 for JDK 17. biased: numbers are compressed as since JDK 20."""

    major: int
    heap: HeapLayout
    blob: BlobLayout
    names: NameLayout
    pc_desc_bytes: int
    pc_offset: Field
    scope_offset: Field

    @property
    def biased(self) -> bool:
        """UNSIGNED5 has no byte 0 since JDK 20 (8292758; src/hotspot/share/utilities/unsigned5.hpp)."""
        return self.major >= 20


def make_layout(memory: Memory, structs: Structs) -> Layout:
    """The layout of a process with these tables. Raises HotSpotError, HotSpotNotReady."""
    return Layout(
        major=_major(memory, structs),
        heap=_heap(structs),
        blob=_blob(structs),
        names=_names(structs),
        pc_desc_bytes=structs.size("PcDesc"),
        pc_offset=structs.field("PcDesc", "_pc_offset"),
        scope_offset=structs.field("PcDesc", "_scope_decode_offset"),
    )


def _major(memory: Memory, structs: Structs) -> int:
    """The JDK's version. JDK_Version is gone since 22; before 9 Abstract_VM_Version counts the VM's own versions."""
    old = structs.statics.get(("JDK_Version", "_current"))
    at = old if old is not None else structs.static("Abstract_VM_Version", "_vm_major_version")
    data = read(memory, at, 1 if old is not None else 4)
    if data is None:
        raise HotSpotError("the version of HotSpot cannot be read")
    major = int.from_bytes(data, "little")
    if major == 0:
        raise HotSpotNotReady("HotSpot does not know its version yet")
    if not OLDEST <= major <= _NEWEST:
        raise HotSpotError(
            f"a HotSpot of JDK {major}: older than {OLDEST}" if major < OLDEST else "no HotSpot's version"
        )
    return major


def _heap(structs: Structs) -> HeapLayout:
    array = ("CodeCache", "_heaps") in structs.statics
    heap, space = "CodeHeap", "VirtualSpace"
    memory, segmap = structs.field(heap, "_memory").offset, structs.field(heap, "_segmap").offset
    low, high = structs.field(space, "_low").offset, structs.field(space, "_high").offset
    header = structs.field("HeapBlock", "_header").offset
    length, used = structs.field("HeapBlock::Header", "_length"), structs.field("HeapBlock::Header", "_used")
    return HeapLayout(
        array=array,
        root=structs.static("CodeCache", "_heaps", "_heap"),
        array_length=structs.find(("GenericGrowableArray", "GrowableArrayBase"), "_len") or Field(0, "<i4"),
        array_data=structs.find("GrowableArray<int>", "_data") or Field(8, "<u8"),
        heap_bytes=structs.size(heap),
        memory_low=Field(memory + low, "<u8"),
        memory_high=Field(memory + high, "<u8"),
        segmap_low=Field(segmap + low, "<u8"),
        log2_segment=structs.field(heap, "_log2_segment_size"),
        block_bytes=structs.size("HeapBlock"),
        block_length=Field(header + length.offset, length.kind),
        block_used=Field(header + used.offset, "u1"),
    )


def _blob(structs: Structs) -> BlobLayout:
    blob = "CodeBlob"
    immutable = structs.find("nmethod", "_immutable_data")
    return BlobLayout(
        bytes=max(structs.size("nmethod"), structs.size(blob)),
        name=structs.field(blob, "_name"),
        size=structs.field(blob, "_size"),
        code_begin=structs.field(blob, "_code_begin", "_code_offset"),
        code_end=structs.field(blob, "_code_end", "_data_offset"),
        data_offset=structs.field(blob, "_data_offset"),
        frame_complete=structs.field(blob, "_frame_complete_offset"),
        frame_size=structs.field(blob, "_frame_size"),
        method=structs.field(_NMETHOD, "_method"),
        entry=structs.field(_NMETHOD, "_entry_point", "_entry_offset"),
        verified=structs.field(_NMETHOD, "_verified_entry_point", "_verified_entry_offset"),
        exception=structs.field(_NMETHOD, "_exception_offset"),
        deopt=structs.field(_NMETHOD, "_deopt_handler_begin", "_deopt_handler_offset", "_deoptimize_offset"),
        stub=structs.field(_NMETHOD, "_stub_offset"),
        compile_id=structs.field(_NMETHOD, "_compile_id"),
        level=structs.field(_NMETHOD, "_comp_level"),
        metadata=structs.find(_NMETHOD, "_metadata_offset"),
        scopes=structs.field(_NMETHOD, "_scopes_data_begin", "_scopes_data_offset"),
        pcs=structs.field(_NMETHOD, "_scopes_pcs_offset"),
        pcs_end=structs.find(_NMETHOD, "_dependencies_offset") if immutable is None else None,
        immutable=immutable,
        immutable_bytes=structs.field("nmethod", "_immutable_data_size") if immutable is not None else None,
        mutable=structs.find(blob, "_mutable_data"),
        mutable_bytes=structs.find(blob, "_mutable_data_size"),
        relocation_bytes=structs.find(blob, "_relocation_size"),
    )


def _names(structs: Structs) -> NameLayout:
    source = structs.find((_POOL, "InstanceKlass"), "_source_file_name_index")
    if source is None:
        raise HotSpotError("this HotSpot does not say where it keeps names of source files")
    length = structs.find("Symbol", "_length")
    if length is None:  # from JDK 12 to 15: the upper half of a word, the other half counts references
        length = Field(structs.field("Symbol", "_length_and_refcount").offset + 2, "<u2")
    return NameLayout(
        method_bytes=structs.size("Method"),
        const_method=structs.field("Method", "_constMethod"),
        const_method_bytes=structs.size("ConstMethod"),
        constants=structs.field("ConstMethod", "_constants"),
        code_size=structs.field("ConstMethod", "_code_size"),
        flags=structs.field("ConstMethod", "_flags", "_flags._flags"),
        name_index=structs.field("ConstMethod", "_name_index"),
        pool_bytes=structs.size(_POOL),
        pool_length=structs.field(_POOL, "_length"),
        tags=structs.field(_POOL, "_tags"),
        holder=structs.field(_POOL, "_pool_holder"),
        tags_data=structs.find("Array<u1>", "_data") or Field(4, "u1"),
        source_index=source,
        source_in_class=structs.find(_POOL, "_source_file_name_index") is None,
        class_name=structs.field("Klass", "_name"),
        length=length,
        body=structs.field("Symbol", "_body", "_body[0]"),
    )
