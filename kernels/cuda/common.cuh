// What all kernels share. Constants in capitals come from Python (`kernels.cuda.options`).
#pragma once

typedef unsigned char byte;

#ifdef WET_HALF
#include <cuda_fp16.h>
typedef __half Wet;
__device__ inline float value_of(Wet wet) { return __half2float(wet); }
__device__ inline Wet wet_of(float value) { return __float2half_rn(value); }
#else
typedef float Wet;
__device__ inline float value_of(Wet wet) { return wet; }
__device__ inline Wet wet_of(float value) { return value; }
#endif

// four neighbours in a row, moved as one
template <class T>
struct alignas(4 * sizeof(T)) Four {
    T at[4];
};

template <class T>
__device__ inline Four<T> four(const T* plane) {
    return *reinterpret_cast<const Four<T>*>(plane);
}

__device__ inline int clamp(int value, int last) { return min(max(value, 0), last); }

__device__ inline float clamp(float value, float last) { return fminf(fmaxf(value, 0.0f), last); }

__device__ inline int this_x() { return blockIdx.x * blockDim.x + threadIdx.x; }

__device__ inline int this_y() { return blockIdx.y * blockDim.y + threadIdx.y; }

// where a sample lies between the centres of cells that each cover 1 / per_cell samples
struct Between {
    int first, second;
    float weight;
};

__device__ inline Between between(int sample, float per_cell, int cells) {
    const float place = clamp((sample + 0.5f) * per_cell - 0.5f, cells - 1.0f);
    const int first = int(place);
    return {first, min(first + 1, cells - 1), place - first};
}

// where a position inside a plane lies between its samples
__device__ inline Between split(float place, int samples) {
    const int first = int(place);
    return {first, min(first + 1, samples - 1), place - first};
}

__device__ inline float mix(float first, float second, float weight) { return first + weight * (second - first); }

template <class T>
__device__ inline float bilinear(const T* __restrict__ plane, int pitch, Between x, Between y) {
    const T *above = plane + y.first * pitch, *below = plane + y.second * pitch;
    const float upper = mix(above[x.first], above[x.second], x.weight);
    const float lower = mix(below[x.first], below[x.second], x.weight);
    return mix(upper, lower, y.weight);
}

// the sum over the lanes of a warp that differ in the bits below `width`; every lane gets it, always in the same order
template <int width>
__device__ inline float total(float value) {
#pragma unroll
    for (int apart = width / 2; apart; apart /= 2) value += __shfl_xor_sync(~0u, value, apart);
    return value;
}
