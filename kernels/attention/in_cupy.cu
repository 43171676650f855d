// Attention in CUDA C++: out = softmax(q k^T / sqrt(d)) v, q, k, v, out (heads, n, d) float32, s
// (heads, n, n). causal: query i sees keys j <= i. Each of these arrays has fewer than 2^31
// elements.

__device__ float minus_infinity() { return __int_as_float(0xff800000); }  // NVRTC has no INFINITY

// -------------------------------------------------------------------------------------------------
// Idea: three kernels, one for each line of the formula, with the scores in memory between them.
// Should help: each kernel is a few lines, and the launch of the next is the barrier.
// Costs: n n scores a head are written once, read and written by the softmax, and read again.
extern "C" __global__ void scores(const float* __restrict__ q, const float* __restrict__ k,
                                  float* __restrict__ s, int n, int d, float scale, int causal) {
    int j = blockIdx.x * blockDim.x + threadIdx.x;  // key: lanes run along j, a row of s
    int i = blockIdx.y * blockDim.y + threadIdx.y;  // query
    int h = blockIdx.z;                             // in [0, heads)
    if (i >= n || j >= n) return;
    float acc = 0.0f;
    for (int e = 0; e < d; ++e) acc += q[(h * n + i) * d + e] * k[(h * n + j) * d + e];
    s[(h * n + i) * n + j] = causal && j > i ? minus_infinity() : acc * scale;
}

extern "C" __global__ void softmax_rows(float* s, int n) {
    // one thread a row; a row holds at least one finite score, j = 0
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float* row = s + (blockIdx.y * n + i) * n;
    float largest = minus_infinity(), total = 0.0f;
    for (int j = 0; j < n; ++j) largest = fmaxf(largest, row[j]);
    for (int j = 0; j < n; ++j) total += row[j] = expf(row[j] - largest);
    for (int j = 0; j < n; ++j) row[j] /= total;
}

extern "C" __global__ void weighted_values(const float* __restrict__ s, const float* __restrict__ v,
                                           float* __restrict__ out, int n, int d) {
    int e = blockIdx.x * blockDim.x + threadIdx.x;  // lanes run along e, a row of out
    int i = blockIdx.y * blockDim.y + threadIdx.y;
    int h = blockIdx.z;
    if (i >= n || e >= d) return;
    float acc = 0.0f;
    for (int j = 0; j < n; ++j) acc += s[(h * n + i) * n + j] * v[(h * n + j) * d + e];
    out[(h * n + i) * d + e] = acc;
}

// -------------------------------------------------------------------------------------------------
// Idea: one thread a query walks over the keys in tiles of 16 and keeps a running maximum, sum and
// output. When the maximum grows by x, what has been added up so far is scaled by exp(-x).
// Should help: no score ever leaves the registers; a tile of keys and values is fetched once for 64
// queries.
// Costs: d = 64 is written into the kernel: 64 values of q and 64 of the output live in registers.
constexpr int D = 64, V = D / 4;  // V vectors of 4 floats a row
constexpr int KEYS = 16;          // keys a tile
constexpr int QUERIES = 64;       // queries, and threads, a block

__device__ float dot(float4 a, float4 b, float sum) {
    return sum + a.x * b.x + a.y * b.y + a.z * b.z + a.w * b.w;
}
__device__ void scale_by(float4& a, float f) {
    a = make_float4(a.x * f, a.y * f, a.z * f, a.w * f);
}
__device__ void add_scaled(float4& a, float w, float4 b) {
    a = make_float4(a.x + w * b.x, a.y + w * b.y, a.z + w * b.z, a.w + w * b.w);
}

extern "C" __global__ void __launch_bounds__(QUERIES)
    fused_online(const float4* __restrict__ q, const float4* __restrict__ k,
                 const float4* __restrict__ v, float4* __restrict__ out, int n, float scale,
                 int causal) {
    __shared__ float4 tile_k[KEYS][V], tile_v[KEYS][V];
    // this thread's query; past n it computes along and writes nothing
    int t = threadIdx.x, i = blockIdx.x * QUERIES + t;
    int head = blockIdx.y * n;  // first row of this head
    float4 query[V], acc[V];
#pragma unroll
    for (int e = 0; e < V; ++e) {
        query[e] = i < n ? q[(head + i) * V + e] : make_float4(0, 0, 0, 0);
        scale_by(query[e], scale);
        acc[e] = make_float4(0, 0, 0, 0);
    }
    float largest = minus_infinity(), total = 0.0f;
    // no thread sees a key past its last query
    int end = causal ? min(n, (static_cast<int>(blockIdx.x) + 1) * QUERIES) : n;
    for (int first = 0; first < end; first += KEYS) {
        for (int x = t; x < KEYS * V;
             x += QUERIES) {  // 256 vectors of each matrix, neighbours by neighbours
            bool inside = first + x / V < n;
            tile_k[x / V][x % V] = inside ? k[(head + first) * V + x] : make_float4(0, 0, 0, 0);
            tile_v[x / V][x % V] = inside ? v[(head + first) * V + x] : make_float4(0, 0, 0, 0);
        }
        __syncthreads();  // the tile is complete before anybody reads it
        float weight[KEYS], grown = largest;
#pragma unroll
        for (int row = 0; row < KEYS; ++row) {
            float score = 0.0f;
#pragma unroll
            for (int e = 0; e < V; ++e)
                score = dot(query[e], tile_k[row][e], score);  // one address: a broadcast
            int j = first + row;
            weight[row] = j < n && (!causal || j <= i) ? score : minus_infinity();
            grown = fmaxf(grown, weight[row]);
        }
        // key 0 is visible to every query, so grown is finite from the first tile on; exp(-inf -
        // grown) = 0
        float shrink = expf(largest - grown);
        largest = grown;
        total *= shrink;
#pragma unroll
        for (int e = 0; e < V; ++e) scale_by(acc[e], shrink);
#pragma unroll
        for (int row = 0; row < KEYS; ++row) {
            float w = expf(weight[row] - largest);
            total += w;
#pragma unroll
            for (int e = 0; e < V; ++e) add_scaled(acc[e], w, tile_v[row][e]);
        }
        __syncthreads();  // everybody is done with the tile before it is overwritten
    }
    if (i >= n) return;
#pragma unroll
    for (int e = 0; e < V; ++e) {
        scale_by(acc[e], 1.0f / total);
        out[(head + i) * V + e] = acc[e];
    }
}
