// Row softmax in CUDA C++: y[i, j] = exp(x[i, j] - m[i]) / sum_k exp(x[i, k] - m[i]), x, y (rows,
// cols) float32.

constexpr unsigned ALL_LANES = 0xffffffffu;
__device__ float minus_infinity() { return __int_as_float(0xff800000); }  // NVRTC has no INFINITY

// -------------------------------------------------------------------------------------------------
// Idea: one thread a row, three passes as in the formula: maximum, sum, result.
// Should help: nobody has to agree with anybody.
// Costs: the lanes of a warp stand `cols` elements apart, 32 sectors a request; x is read three
// times.
extern "C" __global__ void one_thread_a_row(const float* __restrict__ x, float* __restrict__ y,
                                            int rows, int cols) {
    int row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= rows) return;
    x += static_cast<long long>(row) * cols;  // the row's first element
    y += static_cast<long long>(row) * cols;
    float largest = minus_infinity();
    for (int col = 0; col < cols; ++col) largest = fmaxf(largest, x[col]);
    float total = 0.0f;
    for (int col = 0; col < cols; ++col)
        total += expf(x[col] - largest);  // the argument is <= 0, so exp is <= 1
    for (int col = 0; col < cols; ++col) y[col] = expf(x[col] - largest) / total;
}

// -------------------------------------------------------------------------------------------------
// Idea: a warp shares a row, so maximum and sum cross lanes by shuffles.
// Should help: 32 lanes read 32 neighbours, 4 sectors a request; no shared memory and no barrier.
// Costs: lanes past the row's end idle when cols < 32; three passes over x remain.
__device__ float max_of_warp(float value) {
    for (int d = 16; d > 0; d /= 2) value = fmaxf(value, __shfl_xor_sync(ALL_LANES, value, d));
    return value;  // the same in every lane
}

__device__ float sum_of_warp(float value) {
    for (int d = 16; d > 0; d /= 2) value += __shfl_xor_sync(ALL_LANES, value, d);
    return value;
}

extern "C" __global__ void one_warp_a_row(const float* __restrict__ x, float* __restrict__ y,
                                          int rows, int cols) {
    int lane = threadIdx.x % 32;
    int row = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
    if (row >= rows) return;  // whole warps leave, so the shuffles below find all 32 lanes
    x += static_cast<long long>(row) * cols;
    y += static_cast<long long>(row) * cols;
    float largest = minus_infinity();
    for (int col = lane; col < cols; col += 32) largest = fmaxf(largest, x[col]);
    largest = max_of_warp(largest);
    float total = 0.0f;
    for (int col = lane; col < cols; col += 32) total += expf(x[col] - largest);
    total = sum_of_warp(total);
    for (int col = lane; col < cols; col += 32) y[col] = expf(x[col] - largest) / total;
}

// -------------------------------------------------------------------------------------------------
// Idea: a block of 256 threads reads its row once and keeps it in registers, 16 values a thread.
// Should help: one read and one write, the compulsory bytes; each exp is computed once instead of
// twice.
// Costs: cols <= 4096, the array indices must be known at compile time, and short rows leave
// registers unused.
constexpr int PER_THREAD = 16;

// Maximum (or sum) over a block of 256 threads; every thread must call it and gets the result.
template <bool MAXIMUM>
__device__ float over_block(float value) {
    // one value a warp; one array for the maximum and another for the sum
    __shared__ float partial[8];
    value = MAXIMUM ? max_of_warp(value) : sum_of_warp(value);
    if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = value;
    __syncthreads();                   // all 8 values are there before anybody reads them
    value = partial[threadIdx.x % 8];  // every group of 8 lanes holds all of them
    for (int d = 4; d > 0; d /= 2) {
        float other = __shfl_xor_sync(ALL_LANES, value, d);
        value = MAXIMUM ? fmaxf(value, other) : value + other;
    }
    return value;
}

extern "C" __global__ void row_in_registers(const float* __restrict__ x, float* __restrict__ y,
                                            int cols) {
    x += static_cast<long long>(blockIdx.x) * cols;  // one block a row
    y += static_cast<long long>(blockIdx.x) * cols;
    float held[PER_THREAD];  // held[k] is column k * 256 + thread
    float largest = minus_infinity();
#pragma unroll
    for (int k = 0; k < PER_THREAD; ++k) {
        int col = k * 256 + threadIdx.x;
        // exp(-inf - m) = 0: adds nothing to the sum
        held[k] = col < cols ? x[col] : minus_infinity();
        largest = fmaxf(largest, held[k]);
    }
    largest = over_block<true>(largest);
    float total = 0.0f;
#pragma unroll
    for (int k = 0; k < PER_THREAD; ++k) total += held[k] = expf(held[k] - largest);
    total = over_block<false>(total);
#pragma unroll
    for (int k = 0; k < PER_THREAD; ++k) {
        int col = k * 256 + threadIdx.x;
        if (col < cols) y[col] = held[k] / total;
    }
}

// -------------------------------------------------------------------------------------------------
// Idea: the same, four neighbours with each load and store.
// Should help: a quarter of the memory instructions, four times the bytes in flight a thread.
// Costs: every row must start at a multiple of 16 bytes: cols % 4 == 0.
extern "C" __global__ void four_floats_a_load(const float4* __restrict__ x, float4* __restrict__ y,
                                              int vectors) {
    x += static_cast<long long>(blockIdx.x) * vectors;  // vectors = cols / 4 in a row
    y += static_cast<long long>(blockIdx.x) * vectors;
    float4 held[PER_THREAD / 4];  // held[k] is vector k * 256 + thread
    float largest = minus_infinity(), outside = minus_infinity();
#pragma unroll
    for (int k = 0; k < PER_THREAD / 4; ++k) {
        int i = k * 256 + threadIdx.x;
        held[k] = i < vectors ? x[i] : make_float4(outside, outside, outside, outside);
        largest = fmaxf(largest, fmaxf(fmaxf(held[k].x, held[k].y), fmaxf(held[k].z, held[k].w)));
    }
    largest = over_block<true>(largest);
    float total = 0.0f;
#pragma unroll
    for (int k = 0; k < PER_THREAD / 4; ++k) {
        float4 v = held[k];
        held[k] = make_float4(expf(v.x - largest), expf(v.y - largest), expf(v.z - largest),
                              expf(v.w - largest));
        total += (held[k].x + held[k].y) + (held[k].z + held[k].w);
    }
    total = over_block<false>(total);
#pragma unroll
    for (int k = 0; k < PER_THREAD / 4; ++k) {
        int i = k * 256 + threadIdx.x;
        float4 v = held[k];
        if (i < vectors) y[i] = make_float4(v.x / total, v.y / total, v.z / total, v.w / total);
    }
}
