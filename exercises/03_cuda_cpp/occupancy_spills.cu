// Occupancy and spills: how many blocks shall share the registers of an SM?
//
// A streaming multiprocessor (SM) of an RTX 3090 has 65,536 registers and room for 48 warps. *Occupancy* is the part of that room that
// can be filled. A thread with R registers takes R of them, for as long as its block lives:
//
//     blocks that fit = 65,536 / (R * threads of a block)         R is rounded up to a multiple of 8
//
// `__launch_bounds__(threads, blocks)` tells the compiler how many blocks must fit. It then gives a thread no more registers than
// that leaves, and keeps what does not fit in *local memory*: it spills. Local memory is a thread's own piece of global memory, so
// a spill is a store and a load of what was computed already. More warps help to hide a long wait; a spill makes a new one.
//
// This softmax keeps a row of up to 4096 numbers in the registers of a block, 32 a thread, so that x is read once.
//
// What to do: say how many blocks shall fit, so that the warps are as many as may be and nothing is spilled.
// What to look at: first say what you expect (`learn run --predict N`), then spills and occupancy. Whether a card is faster with
// more warps or with more registers is a question for its clock: `warpbench learn bench`.
constexpr int THREADS = 128, EACH = 32;

// --- your code (1 line): As many blocks an SM as possible, without a spill.
extern "C" __global__ void __launch_bounds__(THREADS, 12)
// --- end of your code
softmax(const float* x, float* out, int rows, int cols) {
    __shared__ float partial[THREADS / 32];  // one value a warp
    float own[EACH];  // column t + 128 k of the row, for k in [0, 32)
    int t = threadIdx.x;
    x += (long long)blockIdx.x * cols;  // a block a row
    out += (long long)blockIdx.x * cols;
    const float nothing = -__int_as_float(0x7f800000);  // minus infinity: exp of it is 0
    float most = nothing;
#pragma unroll
    for (int k = 0; k < EACH; k++) {
        int col = t + k * THREADS;
        own[k] = col < cols ? x[col] : nothing;
        most = fmaxf(most, own[k]);
    }
    for (int d = 16; d > 0; d /= 2) most = fmaxf(most, __shfl_xor_sync(~0u, most, d));
    if (t % 32 == 0) partial[t / 32] = most;
    __syncthreads();  // the largest of each warp is there
    for (int w = 0; w < THREADS / 32; w++) most = fmaxf(most, partial[w]);
    float sum = 0;
#pragma unroll
    for (int k = 0; k < EACH; k++) sum += own[k] = t + k * THREADS < cols ? expf(own[k] - most) : 0;
    for (int d = 16; d > 0; d /= 2) sum += __shfl_xor_sync(~0u, sum, d);
    __syncthreads();  // all have read the largest of each warp: the four places are free again
    if (t % 32 == 0) partial[t / 32] = sum;
    __syncthreads();  // the sum of each warp is there
    sum = 0;
    for (int w = 0; w < THREADS / 32; w++) sum += partial[w];
#pragma unroll
    for (int k = 0; k < EACH; k++) {
        int col = t + k * THREADS;
        if (col < cols) out[col] = own[k] / sum;
    }
}
