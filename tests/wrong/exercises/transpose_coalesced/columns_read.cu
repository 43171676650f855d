// expect: M1 line=9
// The other way round: reads down columns, to write along rows.
constexpr int TILE = 32;

extern "C" __global__ void transpose(const float* x, float* out, int rows, int cols) {
    __shared__ float tile[TILE][TILE];  // tile[row in the tile][column in the tile]
    int tx = threadIdx.x, ty = threadIdx.y;
    int row = blockIdx.y * TILE + tx, col = blockIdx.x * TILE + ty;  // of x
    if (row < rows && col < cols) tile[ty][tx] = x[row * cols + col];
    __syncthreads();  // the tile is complete before anybody takes what another thread has read
    int out_row = blockIdx.x * TILE + ty;
    int out_col = blockIdx.y * TILE + tx;
    if (out_row < cols && out_col < rows) out[out_row * rows + out_col] = tile[ty][tx];
}
