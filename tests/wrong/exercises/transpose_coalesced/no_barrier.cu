// expect: R1 line=9
// Nobody waits for the tile.
constexpr int TILE = 32;

extern "C" __global__ void transpose(const float* x, float* out, int rows, int cols) {
    __shared__ float tile[TILE][TILE];  // tile[row in the tile][column in the tile]
    int tx = threadIdx.x, ty = threadIdx.y;
    int row = blockIdx.y * TILE + ty, col = blockIdx.x * TILE + tx;  // of x
    if (row < rows && col < cols) tile[ty][tx] = x[row * cols + col];
    int out_row = blockIdx.x * TILE + ty;
    int out_col = blockIdx.y * TILE + tx;
    if (out_row < cols && out_col < rows) out[out_row * rows + out_col] = tile[tx][ty];
}
