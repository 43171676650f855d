// Where the largest element stands, in CUDA C++. x (n,) float32, n < 2^31, out (1,) int64, which
// holds LLONG_MIN at the start.

// -------------------------------------------------------------------------------------------------
// Idea: value and index become one whole number, the key: the larger value has the larger key, and
// of equal values the smaller index. Atomics on one key keep the largest.
// Should help: ties and NaN are settled where the key is made; the largest of whole numbers is the
// same in any order.
// Costs: n atomics on one address stand in one queue; a second launch takes the index out.

// i in [0, 2^31). Order of the value in the upper 32 bits, complement of i in the lower.
__device__ long long key_of(float value, int i) {
    int order = __float_as_int(value + 0.0f);     // the addition makes 0.0 of -0.0
    if (order < 0) order ^= 0x7fffffff;           // negative: the more bits, the less; turned round
    if (value != value) order = 0x7fffffff;       // every NaN, above infinity
    return (long long)order << 32 | (0xffffffffu - i);
}

extern "C" __global__ void index_of_key(long long* out) {
    out[0] = 0xffffffffu - (unsigned)out[0];
}

extern "C" __global__ void one_atomic_an_element(const float* __restrict__ x, long long* out,
                                                 int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) atomicMax(out, key_of(x[i], i));
}

// -------------------------------------------------------------------------------------------------
// Idea: the 32 lanes of a warp agree by shuffles of the key, then the warps of the block; one
// thread a block does the atomic.
// Should help: one atomic a block instead of one an element, one barrier instead of one a round.
// Costs: a key has 64 bits, so a shuffle is two instructions; all 32 lanes must take part.
__device__ long long largest_of_warp(long long key) {
    for (int d = 16; d > 0; d /= 2) {
        long long other = __shfl_xor_sync(0xffffffffu, key, d);
        key = other > key ? other : key;
    }
    return key;  // the same in every lane
}

extern "C" __global__ void keys_by_shuffle(const float* __restrict__ x, long long* out, int n) {
    __shared__ long long keys[8];  // one key a warp; the block has exactly 256 threads
    int t = threadIdx.x;
    long long key = 0x8000000000000000;  // less than the key of any element
    for (int i = blockIdx.x * 256 + t; i < n; i += gridDim.x * 256) {
        long long other = key_of(x[i], i);
        key = other > key ? other : key;
    }
    key = largest_of_warp(key);
    if (t % 32 == 0) keys[t / 32] = key;
    __syncthreads();  // all 8 keys are there before the first warp reads them
    if (t < 32) {     // the whole first warp, so that all 32 lanes of the shuffle are there
        key = largest_of_warp(keys[t % 8]);  // a key that comes four times is no larger
        if (t == 0) atomicMax(out, key);
    }
}
