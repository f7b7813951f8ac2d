// The little of CUDA's header that the sources use.
#pragma once

typedef _Float16 __half;
inline float __half2float(__half value) { return float(value); }
inline __half __float2half_rn(float value) { return __half(value); }
