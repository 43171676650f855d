// Matrix multiplication in CUDA C++: c = a @ b, a (m, k), b (k, n), c (m, n), float32. Offsets are
// below 2^31.

#include <cuda_pipeline_primitives.h>  // cp.async; plain loads and stores below compute capability 8.0

// -------------------------------------------------------------------------------------------------
// Idea: one thread an element of c, its x along a row: the lanes of a warp share a[row, p] and read
// neighbours of b.
// Should help: every load is a broadcast or coalesced.
// Costs: 2 loads for 1 multiply-add; each element of a is fetched n / 16 times and each of b m / 16
// times.
extern "C" __global__ void one_thread_an_element(const float* __restrict__ a,
                                                 const float* __restrict__ b, float* __restrict__ c,
                                                 int m, int n, int k) {
    int col = blockIdx.x * blockDim.x + threadIdx.x;
    int row = blockIdx.y * blockDim.y + threadIdx.y;
    if (row >= m || col >= n) return;
    float acc = 0.0f;
    for (int p = 0; p < k; ++p) acc += a[row * k + p] * b[p * n + col];
    c[row * n + col] = acc;
}

// -------------------------------------------------------------------------------------------------
// Idea: a block of 16 x 16 threads fetches a tile of a and a tile of b, one element a thread each,
// and all share them.
// Should help: one load a thread brings 16 multiply-adds, so memory is read 16 times less often
// than there are operands.
// Costs: two barriers a tile; still two shared-memory loads for each multiply-add.
constexpr int TILE = 16;

extern "C" __global__ void shared_tile(const float* __restrict__ a, const float* __restrict__ b,
                                       float* __restrict__ c, int m, int n, int k) {
    __shared__ float tile_a[TILE][TILE];  // [row within c's tile][p within this round]
    __shared__ float tile_b[TILE][TILE];  // [p within this round][column within c's tile]
    int tx = threadIdx.x, ty = threadIdx.y;
    int col = blockIdx.x * TILE + tx, row = blockIdx.y * TILE + ty;
    float acc = 0.0f;
    for (int first = 0; first < k; first += TILE) {
        // zeros past the edges: they add nothing. No thread may leave: all must reach the barriers
        tile_a[ty][tx] = row < m && first + tx < k ? a[row * k + first + tx] : 0.0f;
        tile_b[ty][tx] = first + ty < k && col < n ? b[(first + ty) * n + col] : 0.0f;
        __syncthreads();  // both tiles are complete before anybody multiplies
        for (int p = 0; p < TILE; ++p) acc += tile_a[ty][p] * tile_b[p][tx];
        __syncthreads();  // everybody is done with the tiles before they are overwritten
    }
    if (row < m && col < n) c[row * n + col] = acc;
}

// -------------------------------------------------------------------------------------------------
// Idea: a thread computes 4 x 4 elements of c: 4 values of a and 4 of b, held in registers, give 16
// multiply-adds.
// Should help: half a shared-memory load for each multiply-add instead of two; a 64 x 64 tile of c
// reads memory 4 times less often than a 16 x 16 tile.
// Costs: 16 accumulators a thread, fewer blocks; small matrices do not fill the card.
constexpr int BLOCK_MN = 64;  // the block's tile of c is 64 x 64
constexpr int BLOCK_K = 16;
// words from one p to the next in tile_a, still a multiple of 4
constexpr int PITCH = BLOCK_MN + 4;

// acc += (4 rows of a) x (4 columns of b) for one p. rows, cols: neighbours in shared memory,
// 16-byte aligned.
__device__ void multiply_add(float (&acc)[4][4], const float* rows, const float* cols) {
    float4 r = *reinterpret_cast<const float4*>(rows), v = *reinterpret_cast<const float4*>(cols);
    float ra[4] = {r.x, r.y, r.z, r.w}, va[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j) acc[i][j] += ra[i] * va[j];
}

// Writes a thread's 4 x 4 elements, whose first is c[row, col].
__device__ void store(const float (&acc)[4][4], float* c, int row, int col, int m, int n) {
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j)
            if (row + i < m && col + j < n) c[(row + i) * n + col + j] = acc[i][j];
}

extern "C" __global__ void __launch_bounds__(256)
    register_tile(const float* __restrict__ a, const float* __restrict__ b, float* __restrict__ c,
                  int m, int n, int k) {
    // [p][row]: turned, so that a thread's 4 rows are neighbours
    __shared__ __align__(16) float tile_a[BLOCK_K][PITCH];
    __shared__ __align__(16) float tile_b[BLOCK_K][BLOCK_MN];  // [p][column]
    int t = threadIdx.x;                                       // in [0, 256)
    // the corner of this thread's 4 x 4 elements in the tile
    int row = t / 16 * 4, col = t % 16 * 4;
    int first_row = blockIdx.y * BLOCK_MN, first_col = blockIdx.x * BLOCK_MN;
    float acc[4][4] = {};
    for (int first = 0; first < k; first += BLOCK_K) {
        // 256 threads fetch 16 x 64 elements of each matrix in four rounds; neighbours in t are
        // neighbours in memory
        for (int i = 0; i < 4; ++i) {
            int p = t % BLOCK_K, r = t / BLOCK_K + 16 * i;
            tile_a[p][r] =
                first_row + r < m && first + p < k ? a[(first_row + r) * k + first + p] : 0.0f;
            p = t / BLOCK_MN + 4 * i;
            int q = t % BLOCK_MN;
            tile_b[p][q] =
                first + p < k && first_col + q < n ? b[(first + p) * n + first_col + q] : 0.0f;
        }
        __syncthreads();  // both tiles are complete before anybody multiplies
        for (int p = 0; p < BLOCK_K; ++p) multiply_add(acc, &tile_a[p][row], &tile_b[p][col]);
        __syncthreads();  // everybody is done with the tiles before they are overwritten
    }
    store(acc, c, first_row + row, first_col + col, m, n);
}

// -------------------------------------------------------------------------------------------------
// Idea: two pairs of tiles. While one is multiplied, cp.async fills the other straight from memory,
// past the registers.
// Should help: the wait for memory hides behind the arithmetic; no register holds a value on its
// way.
// Costs: twice the shared memory. 16 bytes a copy: k % 4 == 0 and n % 4 == 0; tile_a cannot be
// turned on the way.
constexpr int PITCH_K = BLOCK_K + 4;  // words a row of tile_a: a multiple of 4, for 16-byte copies

extern "C" __global__ void __launch_bounds__(256)
    async_copies(const float* __restrict__ a, const float* __restrict__ b, float* __restrict__ c,
                 int m, int n, int k) {
    __shared__ __align__(16) float tile_a[2][BLOCK_MN][PITCH_K];  // [stage][row][p]
    __shared__ __align__(16) float tile_b[2][BLOCK_K][BLOCK_MN];  // [stage][p][column]
    int t = threadIdx.x;
    int row = t / 16 * 4, col = t % 16 * 4;
    int first_row = blockIdx.y * BLOCK_MN, first_col = blockIdx.x * BLOCK_MN;
    int ar = t / 4, ap = t % 4 * 4;    // this thread copies tile_a[ar][ap .. ap + 3]
    int bp = t / 16, bq = t % 16 * 4;  // and tile_b[bp][bq .. bq + 3]
    auto fetch = [&](int stage, int first) {
        // zfill: as many of the 16 bytes become zero instead of being read. k % 4 == 0, so it is
        // all of them or none
        bool in_a = first_row + ar < m && first + ap < k,
             in_b = first + bp < k && first_col + bq < n;
        // an address must be valid in any case
        const float* from_a = in_a ? a + (first_row + ar) * k + first + ap : a;
        const float* from_b = in_b ? b + (first + bp) * n + first_col + bq : b;
        __pipeline_memcpy_async(&tile_a[stage][ar][ap], from_a, 16, in_a ? 0 : 16);
        __pipeline_memcpy_async(&tile_b[stage][bp][bq], from_b, 16, in_b ? 0 : 16);
        __pipeline_commit();
    };
    float acc[4][4] = {};
    fetch(0, 0);
    for (int first = 0, stage = 0; first < k; first += BLOCK_K, stage ^= 1) {
        // the other stage was read in the round before; the barrier at that round's end freed it.
        // Past k it is filled with zeros
        fetch(stage ^ 1, first + BLOCK_K);
        // my copies of this stage have arrived; those of the next may still travel
        __pipeline_wait_prior(1);
        __syncthreads();  // so have everybody's
        for (int p = 0; p < BLOCK_K; ++p) {
            float rows[4] = {tile_a[stage][row][p], tile_a[stage][row + 1][p],
                             tile_a[stage][row + 2][p], tile_a[stage][row + 3][p]};
            float4 v = *reinterpret_cast<const float4*>(&tile_b[stage][p][col]);
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                acc[i][0] += rows[i] * v.x;
                acc[i][1] += rows[i] * v.y;
                acc[i][2] += rows[i] * v.z;
                acc[i][3] += rows[i] * v.w;
            }
        }
        __syncthreads();  // everybody is done with this stage before the next round fills it
    }
    // the last fetch brought zeros; no copy may outlive the block's shared memory
    __pipeline_wait_prior(0);
    store(acc, c, first_row + row, first_col + col, m, n);
}
