// fp8 multiplication in CUDA C++: c[i, j] = sum_p a[i, p] * b[j, p], a (m, k), b (n, k) e4m3, c (m,
// n) float32.

// -------------------------------------------------------------------------------------------------
// Idea: a thread decodes each code by shifts, right before it multiplies.
// Should help: it runs on every card, also on those without fp8; the decoded number is exact.
// Costs: some ten integer instructions for each operand, and each is decoded m or n times.
__device__ float decode(unsigned code) {
    unsigned exponent = code >> 3 & 15, mantissa = code & 7;
    if ((code & 127) == 127) return __int_as_float(0x7fffffff);  // NaN
    // (8 + mantissa) * 2^(exponent - 10); a subnormal one is mantissa * 2^(1 - 10). At most 15 <<
    // 15, exact in float32
    int size = exponent ? (8 + mantissa) << exponent : mantissa << 1;
    return static_cast<float>(code & 128 ? -size : size) * 0x1p-10f;
}

extern "C" __global__ void one_thread_an_element(const unsigned char* __restrict__ a,
                                                 const unsigned char* __restrict__ b,
                                                 float* __restrict__ c, int m, int n, int k) {
    int col = blockIdx.x * blockDim.x + threadIdx.x;
    int row = blockIdx.y * blockDim.y + threadIdx.y;
    if (row >= m || col >= n) return;
    float acc = 0.0f;
    for (int p = 0; p < k; ++p) acc += decode(a[row * k + p]) * decode(b[col * k + p]);
    c[row * n + col] = acc;
}

// -------------------------------------------------------------------------------------------------
// Idea: a block of 16 x 16 threads decodes a tile of each factor once, and all multiply from shared
// memory.
// Should help: a 16th of the fetches and of the decoding.
// Costs: shared memory holds float32, four times the bytes of the codes; two barriers a tile.
constexpr int TILE = 16;

extern "C" __global__ void shared_tile(const unsigned char* __restrict__ a,
                                       const unsigned char* __restrict__ b, float* __restrict__ c,
                                       int m, int n, int k) {
    __shared__ float tile_a[TILE][TILE];      // [row within c's tile][p within this round]
    __shared__ float tile_b[TILE][TILE + 1];  // [column within c's tile][p within this round];
                                              // padded: read down its columns
    int tx = threadIdx.x, ty = threadIdx.y;
    int col = blockIdx.x * TILE + tx, row = blockIdx.y * TILE + ty;
    int row_of_b = blockIdx.x * TILE + ty;  // the row of b that this thread fetches from
    float acc = 0.0f;
    for (int first = 0; first < k; first += TILE) {
        int p = first + tx;  // neighbouring lanes fetch neighbouring codes of both factors
        tile_a[ty][tx] = row < m && p < k ? decode(a[row * k + p]) : 0.0f;
        tile_b[ty][tx] = row_of_b < n && p < k ? decode(b[row_of_b * k + p]) : 0.0f;
        __syncthreads();  // both tiles are complete before anybody multiplies
        for (int q = 0; q < TILE; ++q) acc += tile_a[ty][q] * tile_b[tx][q];
        __syncthreads();  // everybody is done with the tiles before they are overwritten
    }
    if (row < m && col < n) c[row * n + col] = acc;
}
