// One probe a feature of features.toml that C++ reaches, compiled for every architecture by the tests. `// probe: NAME [OPTIONS]` begins
// one; each is a program of its own.

// probe: dpx
extern "C" __global__ void dpx(int* o, const int* i) { o[0] = __viaddmax_s32(i[0], i[1], i[2]); o[1] = __vimax3_s32(i[0], i[1], i[2]); }

// probe: cdp2 [-rdc=true]
#include <cuda_runtime.h>
__global__ void child(int* p) { p[threadIdx.x] = threadIdx.x; }
extern "C" __global__ void cdp2(int* p) {
    child<<<1, 32>>>(p);
    child<<<1, 32, 0, cudaStreamFireAndForget>>>(p);
    child<<<1, 32, 0, cudaStreamTailLaunch>>>(p);
}

// probe: device_graph_launch [-rdc=true]
#include <cuda_runtime.h>
extern "C" __global__ void device_graph_launch(cudaGraphExec_t g) {
    cudaGraphLaunch(g, cudaStreamGraphFireAndForget);
    cudaGraphLaunch(g, cudaStreamGraphTailLaunch);
}

// probe: cxx20_device [-std=c++20 -default-device]
template <typename T> concept Number = requires(T a) { a + a; };
struct P { int x, y; __device__ int operator<=>(const P& o) const { return x - o.x; } };
template <Number T> __device__ T twice(T v) { return v + v; }
consteval int k() { return 7; }
extern "C" __global__ void cxx20_device(int* o) {
    P a{.x = o[0], .y = 1}, b{.x = o[1], .y = 2};
    auto times = []<typename T>(T v) { return v * k(); };
    o[2] = twice(times(a < b ? a.x : b.x));
}

// probe: cuda_barrier
#include <cuda/barrier>
extern "C" __global__ void cuda_barrier(int* g) {
    __shared__ int s[256];
    __shared__ cuda::barrier<cuda::thread_scope_block> b;
    if (threadIdx.x == 0) init(&b, blockDim.x);
    __syncthreads();
    cuda::memcpy_async(s + threadIdx.x, g + threadIdx.x, sizeof(int), b);
    b.arrive_and_wait();
    g[threadIdx.x] = s[255 - threadIdx.x];
}

// probe: pdl_runtime [-rdc=true]
#include <cuda_device_runtime_api.h>
extern "C" __global__ void pdl_runtime(int* o) { cudaTriggerProgrammaticLaunchCompletion(); cudaGridDependencySynchronize(); o[0] = 1; }

// probe: clusters_runtime
extern "C" __global__ void __cluster_dims__(2, 1, 1) clusters_runtime(int* g) {
    __shared__ int s[32];
    s[threadIdx.x] = g[threadIdx.x];
    __cluster_barrier_arrive();
    __cluster_barrier_wait();
    int* other = (int*)__cluster_map_shared_rank(s, 1);
    g[threadIdx.x] = other[threadIdx.x];
    __cluster_barrier_arrive();
    __cluster_barrier_wait();
}

// probe: atomic_float4
extern "C" __global__ void atomic_float4(float4* o, const float4* i) { atomicAdd(o, i[0]); }

// probe: fp8_header
#include <cuda_fp8.h>
extern "C" __global__ void fp8_header(float* o, const float* i) { __nv_fp8_e4m3 v(i[0]); o[0] = float(v); }

// probe: bf16_atomics_cpp
#include <cuda_bf16.h>
extern "C" __global__ void bf16_atomics_cpp(__nv_bfloat162* o, const __nv_bfloat162* i) { atomicAdd(o, i[0]); }

// probe: wmma_cpp
#include <mma.h>
using namespace nvcuda;
extern "C" __global__ void wmma_cpp(half* a, half* b, float* c) {
    wmma::fragment<wmma::matrix_a, 16, 16, 16, half, wmma::row_major> fa;
    wmma::fragment<wmma::matrix_b, 16, 16, 16, half, wmma::col_major> fb;
    wmma::fragment<wmma::accumulator, 16, 16, 16, float> fc;
    wmma::fill_fragment(fc, 0.f);
    wmma::load_matrix_sync(fa, a, 16);
    wmma::load_matrix_sync(fb, b, 16);
    wmma::mma_sync(fc, fa, fb, fc);
    wmma::store_matrix_sync(c, fc, 16, wmma::mem_row_major);
}
