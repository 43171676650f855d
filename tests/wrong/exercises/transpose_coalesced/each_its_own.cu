// expect: M1 line=10
// Each thread writes what it has read: down a column of out.
constexpr int TILE = 32;

extern "C" __global__ void transpose(const float* x, float* out, int rows, int cols) {
    __shared__ float tile[TILE][TILE];  // tile[row in the tile][column in the tile]
    int tx = threadIdx.x, ty = threadIdx.y;
    int row = blockIdx.y * TILE + ty, col = blockIdx.x * TILE + tx;  // of x
    if (row < rows && col < cols) tile[ty][tx] = x[row * cols + col];
    if (row < rows && col < cols) out[col * rows + row] = tile[ty][tx];
}
