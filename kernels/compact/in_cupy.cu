// Compaction in CUDA C++: x (n,) float32; out (n,) gets the positive ones in order, count (1,) int32 their
// number. n < 2^31.

// -------------------------------------------------------------------------------------------------
// Idea: an element that stays goes to the place that is the number of those before it. One block
// takes tiles of 256 in turn and scans the flags: 1 for an element that stays, 0 for the others.
// Should help: order is kept, which a common counter would not do.
// Costs: eight rounds with a barrier a tile, and all multiprocessors but one are idle.
extern "C" __global__ void one_block_walks(const float* x, float* out, int* count, int n) {
    __shared__ int row[2][256];  // read from one, written to the other, in turn
    int t = threadIdx.x;
    int done = 0;  // how many stay of the tiles before
    for (int first = 0; first < n; first += 256) {
        int i = first + t, now = 0;
        bool stays = i < n && x[i] > 0;
        row[0][t] = stays;
        __syncthreads();  // the flags are complete
        for (int d = 1; d < 256; d *= 2) {
            int value = row[now][t] + (t >= d ? row[now][t - d] : 0);
            now = 1 - now;
            row[now][t] = value;
            __syncthreads();  // this round is complete before the next one reads it
        }
        if (stays) out[done + row[now][t] - 1] = x[i];  // row[now][t] counts this element too
        done += row[now][255];
        __syncthreads();  // all have read the row: the next tile may overwrite it
    }
    for (int k = done + t; k < n; k += 256) out[k] = 0;  // behind the elements that stay
    if (t == 0) count[0] = done;
}

// -------------------------------------------------------------------------------------------------
// Idea: in three launches, so that all blocks work: count, scan the counts, move. Within a warp a
// vote tells every lane the flags of all 32; a lane counts the bits below its own.
// Should help: one vote replaces five rounds of a scan, and all multiprocessors work.
// Costs: x is read twice.

// How many threads of the block before this one have `stays`; warps[8] is how many all have.
__device__ int place_in_block(bool stays, int* warps) {
    int t = threadIdx.x;
    unsigned flags = __ballot_sync(~0u, stays);
    if (t % 32 == 0) warps[t / 32 + 1] = __popc(flags);
    __syncthreads();  // the numbers of all eight warps are there
    if (t == 0) {
        warps[0] = 0;
        for (int w = 0; w < 8; w++) warps[w + 1] += warps[w];  // of all warps before warp w
    }
    __syncthreads();
    return warps[t / 32] + __popc(flags & ((1u << t % 32) - 1));
}

extern "C" __global__ void numbers_of_blocks(const float* x, int* numbers, int n) {
    __shared__ int warps[9];
    int i = blockIdx.x * 256 + threadIdx.x;
    place_in_block(i < n && x[i] > 0, warps);
    if (threadIdx.x == 0) numbers[blockIdx.x] = warps[8];
}

// One thread: there is one number for every 256 elements.
extern "C" __global__ void scan_of_numbers(const int* numbers, int* before, int* count, int blocks) {
    int done = 0;
    for (int b = 0; b < blocks; b++) {
        before[b] = done;
        done += numbers[b];
    }
    count[0] = done;
}

extern "C" __global__ void move(const float* x, const int* before, const int* count,
                                float* out, int n) {
    __shared__ int warps[9];
    int i = blockIdx.x * 256 + threadIdx.x;
    bool stays = i < n && x[i] > 0;
    int place = place_in_block(stays, warps);
    if (stays) out[before[blockIdx.x] + place] = x[i];
    if (i < n && i >= count[0]) out[i] = 0;  // behind the elements that stay
}
