"""Interleaved pixels: load in the order of memory, use in the order of pixels.

A picture keeps red, green and blue of a pixel side by side, a byte each. A thread that takes a pixel loads three bytes, and its
neighbour's are three further on:

    memory    r0 g0 b0 r1 g1 b1 r2 g2 b2 ...
    red       r0       r1       r2             a warp's reds lie in 96 bytes: three sectors
    green        g0       g1       g2          the same three sectors again
    blue            b0       b1       b2       and again

The caches soften this, and every request still takes its time. Let the block load its bytes in the order in which they lie, 256
at a time, one a thread, into shared memory. There it costs nothing that lanes are three bytes apart, and each thread takes its
pixel. The bytes of a pixel were loaded by three different threads, so a barrier stands between.

The grey value is (77 r + 150 g + 29 b + 128) // 256. 77 * 255 does not fit into a byte: make the numbers wider before you multiply.

What to do: fill the tile with the bytes of the block's pixels, neighbours by neighbours.
What to look at: bytes asked for, beside those that must be.
"""

from numba import cuda, int32, uint8


@cuda.jit
def _gray(rgb, out):
    tile = cuda.shared.array(768, uint8)  # the three bytes of the block's 256 pixels
    t = cuda.threadIdx.x
    i = cuda.grid(1)
    first = 768 * cuda.blockIdx.x  # of the block's bytes in rgb
    # hole: 3 lines. 768 bytes, 256 threads: which bytes does a thread load, so that neighbours load neighbours?
    #| for k in range(3 * t, 3 * t + 3):
    #|     if first + k < rgb.size:
    #|         tile[k] = rgb[first + k]
    for k in range(t, 768, 256):
        if first + k < rgb.size:
            tile[k] = rgb[first + k]
    # end hole
    cuda.syncthreads()  # the bytes of a pixel were loaded by other threads
    if i < out.size:
        red, green, blue = int32(tile[3 * t]), int32(tile[3 * t + 1]), int32(tile[3 * t + 2])
        out[i] = uint8((int32(77) * red + int32(150) * green + int32(29) * blue + int32(128)) >> int32(8))


def rgb_gray(rgb, out):
    _gray[(out.numel() + 255) // 256, 256](rgb.view(-1), out)
