"""Frames of Java, in processes of HotSpot, from JDK 11 to 25; what is known of 8 has not been tried.

Gives what code there is, how large its frames are, and names for it and for what the interpreter runs. Reads memory and
ELF files that other people control, and believes neither. x86-64.
"""

from aperture_tui.symbolize.hotspot.binary import binary_cache
from aperture_tui.symbolize.hotspot.blobs import BlobKind, Blobs
from aperture_tui.symbolize.hotspot.errors import HotSpotError, HotSpotNotReady
from aperture_tui.symbolize.hotspot.process import HotSpot

__all__ = ["BlobKind", "Blobs", "HotSpot", "HotSpotError", "HotSpotNotReady", "binary_cache"]
