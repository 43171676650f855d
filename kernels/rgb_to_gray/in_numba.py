"""Grey values in Numba: rgb (n, 3) uint8, out (n,) uint8."""

from numba import cuda, int32, uint8

# --------------------------------------------------------------------------------------------------
# Idea: one thread a pixel; it loads red, green and blue.
# Should help: it is the formula.
# Costs: lanes are three bytes apart, so each of the three loads touches all three sectors of the
# warp's 96 bytes.


@cuda.jit
def _gray(red, green, blue):
    # wider than a byte before anything is multiplied: 77 * 255 does not fit into 8 bits
    return uint8((int32(77) * red + int32(150) * green + int32(29) * blue + int32(128)) >> int32(8))


@cuda.jit
def _three_bytes_a_thread(rgb, out):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = _gray(rgb[i, 0], rgb[i, 1], rgb[i, 2])


def three_bytes_a_thread(rgb, out, *, BLOCK=256):
    _three_bytes_a_thread[(out.numel() + BLOCK - 1) // BLOCK, BLOCK](rgb, out)


# --------------------------------------------------------------------------------------------------
# Idea: the block's 768 bytes are loaded side by side, in three rounds, and put into shared memory;
# each thread takes its pixel from there.
# Should help: every sector is asked for once.
# Costs: a barrier, and every byte passes through shared memory.


@cuda.jit
def _staged(flat, out):
    tile = cuda.shared.array(768, uint8)  # the three bytes of 256 pixels
    t = cuda.threadIdx.x
    first = 768 * cuda.blockIdx.x
    for k in range(t, 768, 256):
        if first + k < flat.size:
            tile[k] = flat[first + k]
    cuda.syncthreads()  # the bytes of a pixel were loaded by three threads
    i = cuda.grid(1)
    if i < out.size:
        out[i] = _gray(tile[3 * t], tile[3 * t + 1], tile[3 * t + 2])


def staged(rgb, out):
    _staged[(out.numel() + 255) // 256, 256](rgb.view(-1), out)
