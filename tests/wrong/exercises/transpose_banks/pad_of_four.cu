// expect: M3 line=12
// Rows of 36 words keep 16-byte alignment, and put eight rows on the banks before they repeat.
constexpr int TILE = 32;

extern "C" __global__ void transpose(const float* x, float* out, int rows, int cols) {
    __shared__ float tile[TILE][TILE + 4];
    int tx = threadIdx.x, ty = threadIdx.y;
    int row = blockIdx.y * TILE + ty, col = blockIdx.x * TILE + tx;  // of x
    if (row < rows && col < cols) tile[ty][tx] = x[row * cols + col];
    __syncthreads();  // the tile is complete before anybody takes what another thread has read
    int out_row = blockIdx.x * TILE + ty, out_col = blockIdx.y * TILE + tx;
    if (out_row < cols && out_col < rows) out[out_row * rows + out_col] = tile[tx][ty];
}
