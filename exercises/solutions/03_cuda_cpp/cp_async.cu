// Copies that nobody waits for: the next tile travels while this one is added.
//
// A load puts its thread to sleep at the first use of the value. `cp.async` (Ampere and newer) copies 16 bytes from global to shared
// memory and comes back at once; the thread goes on with something else and asks later whether the bytes have arrived:
//
//     copy_async(to, from)    begins a copy of 16 bytes
//     commit()                closes a group: the copies that this thread has begun since the last one
//     wait<N>()               waits until at most the N youngest groups of this thread are still under way
//
// With two buffers a block can add one tile while the next one comes. Below, each block takes every gridDim.x-th tile:
//
//     buffer 0    tile a comes | add a           | tile c comes | add c
//     buffer 1                 | tile b comes    | add b        | tile d comes
//
// wait<0>() would be right and wait for the tile that was asked for a moment ago; then nothing overlaps. And a thread waits for its
// own copies only. It adds elements that others have copied, so a barrier follows; and another one stands between reading a
// buffer and the copy that overwrites it.
//
// What to do: in each round begin the next copy, wait for the older one, add, and let nobody overwrite what is being read.
// What to look at: which group wait<N> waits for when the next copy has been committed already; LDGSTS in the machine code.
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
        // hole: 4 lines. Is this round's tile there, all of it, and may the next round overwrite it?
        //| for (int k = 0; k < 4; k++) mine += stage[now][t + k * THREADS];
        wait<1>();
        __syncthreads();  // the copies of all threads have arrived
        for (int k = 0; k < 4; k++) mine += stage[now][t + k * THREADS];
        __syncthreads();  // all have read this buffer: the next round copies into it
        // end hole
        now = 1 - now;
    }
    for (int d = 16; d > 0; d /= 2) mine += __shfl_xor_sync(~0u, mine, d);
    if (t % 32 == 0) atomicAdd(out, mine);
}
