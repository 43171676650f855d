// expect: R1 line=21
// Each thread waits for its own copies, and reads those of others.
constexpr int THREADS = 128, TILE = 4 * THREADS;  // 16 bytes a thread

__device__ void copy_async(float* to, const float* from) {
    unsigned shared = static_cast<unsigned>(__cvta_generic_to_shared(to));
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared), "l"(from) : "memory");
}
__device__ void commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int N>
__device__ void wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

extern "C" __global__ void sum(const float* x, float* out, int n) {
    __shared__ __align__(16) float stage[2][TILE];
    int t = threadIdx.x;
    int tiles = n / TILE;  // whole ones
    float mine = 0;
    for (int i = tiles * TILE + blockIdx.x * THREADS + t; i < n; i += gridDim.x * THREADS) mine += x[i];  // the tail
    if (blockIdx.x < tiles) copy_async(&stage[0][4 * t], x + blockIdx.x * TILE + 4 * t);
    commit();
    int now = 0;  // the buffer of this round
    for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        int next = tile + gridDim.x;
        if (next < tiles) copy_async(&stage[1 - now][4 * t], x + next * TILE + 4 * t);
        commit();  // a group a round, also an empty one: wait counts groups
        wait<1>();
        for (int k = 0; k < 4; k++) mine += stage[now][t + k * THREADS];
        __syncthreads();  // all have read this buffer: the next round copies into it
        now = 1 - now;
    }
    for (int d = 16; d > 0; d /= 2) mine += __shfl_xor_sync(~0u, mine, d);
    if (t % 32 == 0) atomicAdd(out, mine);
}
