// No bank conflicts: down a column of a tile, every lane in a bank of its own.
//
// Shared memory has 32 banks, and each gives 4 bytes a turn. Word w lies in bank w % 32. Lanes that want different words of one
// bank stand in a queue: a request takes as many turns ("wavefronts") as the fullest bank has words to give.
//
//     float tile[32][32]     element (r, c) is word 32 r + c, in bank c       down a column: one bank for all 32 lanes
//
// Two ways out. *Padding* makes rows longer, so that the next row begins in another bank: (r, c) is word (32 + p) r + c. It costs
// shared memory. A *swizzle* keeps the rows and moves the elements inside of them: (r, c) is kept in column c ^ r. Its bank is
// c ^ r, which differs for all r while c stays, and for all c while r stays. It costs an instruction, and both sides must agree.
//
// This is the transpose of the exercise before. Reading and writing of x and out are as they should be.
//
// What to do: let both accesses to the tile take one turn a request, in no more than 4224 bytes.
// What to look at: first say what you expect (`learn run --predict N`), then the wavefronts a request.
constexpr int TILE = 32;

extern "C" __global__ void transpose(const float* x, float* out, int rows, int cols) {
    // hole: 1 line. How long must a row be, so that a step down a column leads to another bank?
    //| __shared__ float tile[TILE][TILE];
    __shared__ float tile[TILE][TILE + 1];
    // end hole
    int tx = threadIdx.x, ty = threadIdx.y;
    int row = blockIdx.y * TILE + ty, col = blockIdx.x * TILE + tx;  // of x
    // hole: 1 line. Where in the tile is element (ty, tx) kept? (As it is, if you pad.)
    //| if (row < rows && col < cols) tile[ty][tx] = x[row * cols + col];
    if (row < rows && col < cols) tile[ty][tx] = x[row * cols + col];
    // end hole
    __syncthreads();  // the tile is complete before anybody takes what another thread has read
    int out_row = blockIdx.x * TILE + ty, out_col = blockIdx.y * TILE + tx;
    // hole: 1 line. Element (tx, ty) is wanted: look for it where it is kept.
    //| if (out_row < cols && out_col < rows) out[out_row * rows + out_col] = tile[tx][ty];
    if (out_row < cols && out_col < rows) out[out_row * rows + out_col] = tile[tx][ty];
    // end hole
}
