// Grey values in CUDA C++: rgb (n, 3) uint8, out (n,) uint8, 3 n < 2^31.

__device__ unsigned char gray(int red, int green, int blue) {
    return (77 * red + 150 * green + 29 * blue + 128) >> 8;  // at most 255
}

// -------------------------------------------------------------------------------------------------
// Idea: one thread a pixel; it loads red, green and blue.
// Should help: it is the formula.
// Costs: lanes are three bytes apart, so each of the three loads touches all three sectors of the
// warp's 96 bytes.
extern "C" __global__ void three_bytes_a_thread(const unsigned char* __restrict__ rgb,
                                                unsigned char* __restrict__ out, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) out[i] = gray(rgb[3 * i], rgb[3 * i + 1], rgb[3 * i + 2]);
}

// -------------------------------------------------------------------------------------------------
// Idea: the block's 768 bytes are 192 words; threads load words side by side into shared memory,
// and each takes its pixel from there.
// Should help: every sector is asked for once, and a warp moves 128 bytes a request.
// Costs: a barrier; the last words of the picture may be cut, and come byte by byte.
extern "C" __global__ void staged_words(const unsigned char* __restrict__ rgb,
                                        unsigned char* __restrict__ out, int n) {
    __shared__ unsigned tile[192];  // the three bytes of 256 pixels
    int t = threadIdx.x, word = blockIdx.x * 192 + t;
    if (t < 192) {
        if (4 * word + 3 < 3 * n) {
            tile[t] = reinterpret_cast<const unsigned*>(rgb)[word];
        } else {
            unsigned cut = 0;  // little-endian: byte k of the word lies at bit 8 k
            for (int k = 0; 4 * word + k < 3 * n; k++) cut |= rgb[4 * word + k] << 8 * k;
            tile[t] = cut;
        }
    }
    __syncthreads();  // the bytes of a pixel were loaded by other threads
    const unsigned char* pixel = reinterpret_cast<const unsigned char*>(tile) + 3 * t;
    int i = blockIdx.x * 256 + t;
    if (i < n) out[i] = gray(pixel[0], pixel[1], pixel[2]);
}
