// Probes: one memory access of known pattern a kernel, so that a counter has one cause.
//
//   index   (64,)  the element that each thread touches; -1: the thread leaves the access out
//   ELEMENTS       elements of the memory that is touched
//
// One block of 64 threads each.

constexpr int ELEMENTS = 2112;

__device__ float sum_of(float v) { return v; }
__device__ float sum_of(float2 v) { return v.x + v.y; }
__device__ float sum_of(float4 v) { return v.x + v.y + v.z + v.w; }

template <typename T> __device__ T made(float v);
template <> __device__ float made(float v) { return v; }
template <> __device__ float2 made(float v) { return make_float2(v, v + 0.25f); }
template <> __device__ float4 made(float v) { return make_float4(v, v + 0.25f, v + 0.5f, v + 0.75f); }

template <typename T> __device__ void shared_load(const int* index, float* out) {
    __shared__ T tile[ELEMENTS];
    float* words = reinterpret_cast<float*>(tile);
    for (int i = threadIdx.x; i < ELEMENTS * int(sizeof(T) / 4); i += 64) words[i] = float(i % 977);
    __syncthreads();  // the tile is complete before any thread reads another's words
    int i = index[threadIdx.x];
    float sum = 0.0f;
    if (i >= 0) sum = sum_of(tile[i]);
    out[threadIdx.x] = sum;
}

template <typename T> __device__ void shared_store(const int* index, float* out) {
    __shared__ T tile[ELEMENTS];
    float* words = reinterpret_cast<float*>(tile);
    for (int i = threadIdx.x; i < ELEMENTS * int(sizeof(T) / 4); i += 64) words[i] = 0.0f;
    __syncthreads();  // zeros first
    int i = index[threadIdx.x];
    if (i >= 0) tile[i] = made<T>(float(threadIdx.x));
    __syncthreads();  // all stores are done before the tile is copied out
    for (int j = threadIdx.x; j < ELEMENTS * int(sizeof(T) / 4); j += 64) out[j] = words[j];
}

template <typename T> __device__ void global_load(const int* index, const T* x, float* out) {
    int i = index[threadIdx.x];
    float sum = 0.0f;
    if (i >= 0) sum = sum_of(x[i]);
    out[threadIdx.x] = sum;
}

template <typename T> __device__ void global_store(const int* index, T* out) {
    int i = index[threadIdx.x];
    if (i >= 0) out[i] = made<T>(float(threadIdx.x + 1));
}

extern "C" {
__global__ void shared_load_4(const int* index, float* out) { shared_load<float>(index, out); }
__global__ void shared_load_8(const int* index, float* out) { shared_load<float2>(index, out); }
__global__ void shared_load_16(const int* index, float* out) { shared_load<float4>(index, out); }
__global__ void shared_store_4(const int* index, float* out) { shared_store<float>(index, out); }
__global__ void shared_store_8(const int* index, float* out) { shared_store<float2>(index, out); }
__global__ void shared_store_16(const int* index, float* out) { shared_store<float4>(index, out); }
__global__ void global_load_4(const int* index, const float* x, float* out) { global_load<float>(index, x, out); }
__global__ void global_load_8(const int* index, const float2* x, float* out) { global_load<float2>(index, x, out); }
__global__ void global_load_16(const int* index, const float4* x, float* out) { global_load<float4>(index, x, out); }
__global__ void global_store_4(const int* index, float* out) { global_store<float>(index, out); }
__global__ void global_store_8(const int* index, float2* out) { global_store<float2>(index, out); }
__global__ void global_store_16(const int* index, float4* out) { global_store<float4>(index, out); }

__global__ void global_red_int(const int* index, int* out) {
    int i = index[threadIdx.x];
    if (i >= 0) atomicAdd(&out[i], 1);
}

__global__ void global_red_float(const int* index, float* out) {
    int i = index[threadIdx.x];
    if (i >= 0) atomicAdd(&out[i], 1.0f);
}

// The old value is used, so the atomic must return it: seen counts the threads that saw a count below 64.
__global__ void global_atom_int(const int* index, int* out, int* seen) {
    int i = index[threadIdx.x];
    int old = 64;
    if (i >= 0) old = atomicAdd(&out[i], 1);
    seen[threadIdx.x] = old < 64;
}

// All threads add to one word, and the compiler can see that.
__global__ void global_red_uniform(int* out) { atomicAdd(out, 1); }

__global__ void shared_red_int(const int* index, int* out) {
    __shared__ int tile[ELEMENTS];
    for (int i = threadIdx.x; i < ELEMENTS; i += 64) tile[i] = 0;
    __syncthreads();  // zeros first
    int i = index[threadIdx.x];
    if (i >= 0) atomicAdd(&tile[i], 1);
    __syncthreads();  // all additions are done before the tile is copied out
    for (int j = threadIdx.x; j < ELEMENTS; j += 64) out[j] = tile[j];
}

__global__ void shared_atom_int(const int* index, int* out, int* seen) {
    __shared__ int tile[ELEMENTS];
    for (int i = threadIdx.x; i < ELEMENTS; i += 64) tile[i] = 0;
    __syncthreads();  // zeros first
    int i = index[threadIdx.x];
    int old = 64;
    if (i >= 0) old = atomicAdd(&tile[i], 1);
    seen[threadIdx.x] = old < 64;
    __syncthreads();  // all additions are done before the tile is copied out
    for (int j = threadIdx.x; j < ELEMENTS; j += 64) out[j] = tile[j];
}

// rounds: each thread takes its neighbour's word, two barriers a round.
__global__ void barriers(float* out, int rounds) {
    __shared__ float ring[64];
    ring[threadIdx.x] = float(threadIdx.x);
    __syncthreads();  // the ring is complete
    for (int r = 0; r < rounds; r++) {
        float next = ring[(threadIdx.x + 1) % 64];
        __syncthreads();  // everybody has read before anybody writes
        ring[threadIdx.x] = next;
        __syncthreads();  // everybody has written before the next round reads
    }
    out[threadIdx.x] = ring[threadIdx.x];
}

__global__ void warp_sums(const float* x, float* out) {
    float v = x[threadIdx.x];
    for (int lanes = 16; lanes > 0; lanes /= 2) v += __shfl_xor_sync(0xFFFFFFFF, v, lanes);
    out[threadIdx.x] = v;
}

// An array that is indexed by a number from memory cannot live in registers.
__global__ void local_array(const int* index, float* out) {
    float own[32];
    for (int i = 0; i < 32; i++) own[i] = float(i) + 0.5f * float(threadIdx.x);
    int i = index[threadIdx.x] & 31;
    own[i] += 100.0f;
    out[threadIdx.x] = own[(i * 7) & 31];
}

__global__ void fused_multiply_adds(const float* x, float* out, int rounds) {
    float v = x[threadIdx.x];
    for (int r = 0; r < rounds; r++) v = fmaf(v, 0.5f, 1.0f);
    out[threadIdx.x] = v;
}
}
