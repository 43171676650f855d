// expect: X2
// Every second row is left empty, and one word more: no conflict, and twice the memory.
constexpr int TILE = 32;

extern "C" __global__ void transpose(const float* x, float* out, int rows, int cols) {
    __shared__ float tile[TILE][2 * TILE + 1];
    int tx = threadIdx.x, ty = threadIdx.y;
    int row = blockIdx.y * TILE + ty, col = blockIdx.x * TILE + tx;  // of x
    if (row < rows && col < cols) tile[ty][tx] = x[row * cols + col];
    __syncthreads();  // the tile is complete before anybody takes what another thread has read
    int out_row = blockIdx.x * TILE + ty, out_col = blockIdx.y * TILE + tx;
    if (out_row < cols && out_col < rows) out[out_row * rows + out_col] = tile[tx][ty];
}
