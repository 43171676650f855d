// Outer sum in CUDA C++: out[i, j] = a[i] + b[j], a (rows,), b (cols,), out (rows, cols) float32,
// rows * cols < 2^31.

// -------------------------------------------------------------------------------------------------
// Idea: one thread an element, its x along a row.
// Should help: neighbouring stores; the warp's element of a is a broadcast.
// Costs: two loads for four bytes of the result.
extern "C" __global__ void one_thread_an_element(const float* __restrict__ a,
                                                 const float* __restrict__ b,
                                                 float* __restrict__ out, int rows, int cols) {
    int col = blockIdx.x * blockDim.x + threadIdx.x;  // both may pass the matrix in the last blocks
    int row = blockIdx.y * blockDim.y + threadIdx.y;
    if (row < rows && col < cols) out[row * cols + col] = a[row] + b[col];
}

// -------------------------------------------------------------------------------------------------
// Idea: a thread makes four neighbours of a row and stores them at once.
// Should help: a quarter of the requests for the bytes that count.
// Costs: every row of out must start at a multiple of 16 bytes: cols % 4 == 0.
extern "C" __global__ void four_floats_a_store(const float* __restrict__ a,
                                               const float4* __restrict__ b,
                                               float4* __restrict__ out, int rows, int vectors) {
    int vector = blockIdx.x * blockDim.x + threadIdx.x;  // vectors = cols / 4 of them in a row
    int row = blockIdx.y * blockDim.y + threadIdx.y;
    if (row >= rows || vector >= vectors) return;
    float mine = a[row];
    float4 v = b[vector];
    out[row * vectors + vector] = make_float4(mine + v.x, mine + v.y, mine + v.z, mine + v.w);
}
