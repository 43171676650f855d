# expect: M1
"""Takes the three bytes where they are, without a tile."""

from numba import cuda, int32, uint8


@cuda.jit
def _gray(rgb, out):
    k = 3 * cuda.grid(1)
    i = cuda.grid(1)
    if i < out.size:
        red, green, blue = int32(rgb[k]), int32(rgb[k + 1]), int32(rgb[k + 2])
        out[i] = uint8((int32(77) * red + int32(150) * green + int32(29) * blue + int32(128)) >> int32(8))


def rgb_gray(rgb, out):
    _gray[(out.numel() + 255) // 256, 256](rgb.view(-1), out)
