# expect: M5
"""Counts pixels where bytes are loaded."""

from numba import cuda, int32, uint8


@cuda.jit
def _gray(rgb, out):
    tile = cuda.shared.array(768, uint8)  # the three bytes of the block's 256 pixels
    t = cuda.threadIdx.x
    i = cuda.grid(1)
    first = 768 * cuda.blockIdx.x  # of the block's bytes in rgb
    for k in range(t, 768, 256):
        if first + k < out.size:
            tile[k] = rgb[first + k]
    cuda.syncthreads()  # the bytes of a pixel were loaded by other threads
    if i < out.size:
        red, green, blue = int32(tile[3 * t]), int32(tile[3 * t + 1]), int32(tile[3 * t + 2])
        out[i] = uint8((int32(77) * red + int32(150) * green + int32(29) * blue + int32(128)) >> int32(8))


def rgb_gray(rgb, out):
    _gray[(out.numel() + 255) // 256, 256](rgb.view(-1), out)
