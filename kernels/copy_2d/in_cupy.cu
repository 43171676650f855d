// Copy of a matrix in CUDA C++: out[i, j] = x[i, j], both (rows, cols) float32, rows * cols < 2^31.

// -------------------------------------------------------------------------------------------------
// Idea: one thread an element, its x along a row.
// Should help: 32 lanes read 32 neighbours: 4 sectors a request.
// Costs: one thread lives for 8 bytes; most of its instructions compute the index.
extern "C" __global__ void threads_along_a_row(const float* __restrict__ x, float* __restrict__ out,
                                               int rows, int cols) {
    int col = blockIdx.x * blockDim.x + threadIdx.x;  // both may pass the matrix in the last blocks
    int row = blockIdx.y * blockDim.y + threadIdx.y;
    if (row < rows && col < cols) out[row * cols + col] = x[row * cols + col];
}

// -------------------------------------------------------------------------------------------------
// Idea: a thread moves four neighbours of a row with one 16-byte load and one 16-byte store.
// Should help: a quarter of the memory instructions, four times the bytes in flight a thread.
// Costs: every row must start at a multiple of 16 bytes: cols % 4 == 0, and so must both matrices.
extern "C" __global__ void four_floats_a_load(const float4* __restrict__ x,
                                              float4* __restrict__ out, int rows, int vectors) {
    int vector = blockIdx.x * blockDim.x + threadIdx.x;  // vectors = cols / 4 of them in a row
    int row = blockIdx.y * blockDim.y + threadIdx.y;
    if (row < rows && vector < vectors) out[row * vectors + vector] = x[row * vectors + vector];
}
