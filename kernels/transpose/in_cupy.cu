// Transpose in CUDA C++: out[j, i] = x[i, j], x (rows, cols), out (cols, rows), float32, rows *
// cols < 2^31.

constexpr int TILE = 32;  // a tile is TILE x TILE elements
// a block has TILE x STEP threads, so each thread moves TILE / STEP = 4 elements
constexpr int STEP = 8;

// -------------------------------------------------------------------------------------------------
// Idea: one thread an element; x of the thread index runs along a row of x.
// Should help: the 32 lanes of a load read one row: 4 sectors of 32 bytes.
// Costs: the same lanes write down a column of out: 32 sectors, 4 bytes used of each.
extern "C" __global__ void one_thread_an_element(const float* __restrict__ x,
                                                 float* __restrict__ out, int rows, int cols) {
    // thread x is the fast axis, so it takes the column
    int col = blockIdx.x * blockDim.x + threadIdx.x;
    int row = blockIdx.y * blockDim.y + threadIdx.y;
    if (row < rows && col < cols) out[col * rows + row] = x[row * cols + col];
}

// -------------------------------------------------------------------------------------------------
// Idea: a block reads a tile along rows of x into shared memory, and writes it along rows of out.
// Should help: both sides touch 4 sectors a request; the turn happens in shared memory.
// Costs: reading a column of the tile hits one of the 32 banks with all 32 lanes: a conflict of 32.
extern "C" __global__ void shared_tile(const float* __restrict__ x, float* __restrict__ out,
                                       int rows, int cols) {
    __shared__ float tile[TILE][TILE];  // tile[row within the tile][column within the tile]
    int tx = threadIdx.x, ty = threadIdx.y;
    int first_row = blockIdx.y * TILE, first_col = blockIdx.x * TILE;
    for (int j = ty; j < TILE; j += STEP)
        if (first_row + j < rows && first_col + tx < cols)
            tile[j][tx] = x[(first_row + j) * cols + first_col + tx];
    __syncthreads();  // the tile is complete before anybody reads what another thread wrote
    for (int j = ty; j < TILE; j += STEP)
        // rows of out are columns of x: the tile's corner in out is (first_col, first_row)
        if (first_col + j < cols && first_row + tx < rows)
            out[(first_col + j) * rows + first_row + tx] = tile[tx][j];
}

// -------------------------------------------------------------------------------------------------
// Idea: the same tile with 33 columns, of which one is never used.
// Should help: element (row, col) lies in bank (33 row + col) % 32 = (row + col) % 32: down a
// column all banks differ.
// Costs: 128 bytes of shared memory.
extern "C" __global__ void padded_tile(const float* __restrict__ x, float* __restrict__ out,
                                       int rows, int cols) {
    __shared__ float tile[TILE][TILE + 1];
    int tx = threadIdx.x, ty = threadIdx.y;
    int first_row = blockIdx.y * TILE, first_col = blockIdx.x * TILE;
    for (int j = ty; j < TILE; j += STEP)
        if (first_row + j < rows && first_col + tx < cols)
            tile[j][tx] = x[(first_row + j) * cols + first_col + tx];
    __syncthreads();  // the tile is complete before anybody reads what another thread wrote
    for (int j = ty; j < TILE; j += STEP)
        if (first_col + j < cols && first_row + tx < rows)
            out[(first_col + j) * rows + first_row + tx] = tile[tx][j];
}

// -------------------------------------------------------------------------------------------------
// Idea: element (row, col) of the tile is kept in column col ^ row; what is read is looked up the
// same way.
// Should help: down a column the exclusive or runs through all 32 banks, and along a row as well;
// no byte is wasted.
// Costs: one more integer instruction an access. Tensor-core tiles need this form: their rows may
// not be padded freely.
extern "C" __global__ void swizzled_tile(const float* __restrict__ x, float* __restrict__ out,
                                         int rows, int cols) {
    __shared__ float tile[TILE][TILE];
    int tx = threadIdx.x, ty = threadIdx.y;
    int first_row = blockIdx.y * TILE, first_col = blockIdx.x * TILE;
    for (int j = ty; j < TILE; j += STEP)
        if (first_row + j < rows && first_col + tx < cols)
            tile[j][tx ^ j] = x[(first_row + j) * cols + first_col + tx];
    __syncthreads();  // the tile is complete before anybody reads what another thread wrote
    for (int j = ty; j < TILE; j += STEP)
        // element (row tx, column j) of the tile: both below 32, so the exclusive or stays inside
        // the row
        if (first_col + j < cols && first_row + tx < rows)
            out[(first_col + j) * rows + first_row + tx] = tile[tx][j ^ tx];
}
