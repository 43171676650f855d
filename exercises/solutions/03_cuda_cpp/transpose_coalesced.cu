// Transpose through a tile: both sides along rows.
//
// out[j][i] = x[i][j]. A warp that reads along a row of x writes down a column of out, and the other way round: one side is always
// 32 sectors a request, of each of which 4 bytes are used. No choice of index mends that, as long as each thread writes what it
// has read.
//
// So let threads trade. A block reads a tile of x, row by row, into shared memory, where a step down a column costs no sectors.
// Then each thread writes an element that *another* thread has read, so that the lanes of a warp write along a row of out:
//
//     x, tile at (1, 0)         the tile          out, tile at (0, 1)
//     . . . .                                     . . a d
//     . . . .     read rows     a b c   write     . . b e
//     a b c .     ---------->   d e f   columns   . . c f
//     d e f .                           as rows
//
// A tile at block (x, y) of x lands at (y, x) of out. Inside it, lane tx writes column tx of an out row.
//
// What to do: write the tile out, with the lanes along a row of out.
// What to look at: sectors a request of the store. Reading is 4 already.
constexpr int TILE = 32;

extern "C" __global__ void transpose(const float* x, float* out, int rows, int cols) {
    __shared__ float tile[TILE][TILE];  // tile[row in the tile][column in the tile]
    int tx = threadIdx.x, ty = threadIdx.y;
    int row = blockIdx.y * TILE + ty, col = blockIdx.x * TILE + tx;  // of x
    if (row < rows && col < cols) tile[ty][tx] = x[row * cols + col];
    // hole: 4 lines. Which row and column of out does this thread write, who has read that element, and is it there yet?
    //| if (row < rows && col < cols) out[col * rows + row] = tile[ty][tx];
    __syncthreads();  // the tile is complete before anybody takes what another thread has read
    int out_row = blockIdx.x * TILE + ty;
    int out_col = blockIdx.y * TILE + tx;
    if (out_row < cols && out_col < rows) out[out_row * rows + out_col] = tile[tx][ty];
    // end hole
}
