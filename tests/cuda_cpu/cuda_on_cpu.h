// Lets g++ compile the project's CUDA sources and run them: blocks one after another, the threads of a block as fibers that
// change where CUDA's wait for each other. A barrier that not all threads reach, a bug on a GPU too, ends the program.
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __shared__ static
#define __launch_bounds__(threads)

struct Dim {
    unsigned x, y, z;
};
struct alignas(8) float2 {
    float x, y;
};
struct alignas(8) uint2 {
    unsigned x, y;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline int min(int a, int b) { return std::min(a, b); }
inline int max(int a, int b) { return std::max(a, b); }
inline unsigned min(unsigned a, unsigned b) { return std::min(a, b); }
inline int __float2int_rn(float value) { return int(std::nearbyintf(value)); }

static Dim blockIdx, threadIdx, blockDim, gridDim;

namespace on_cpu {

constexpr size_t STACK = 64 * 1024, WARP = 32;

struct Fiber {
    ucontext_t context;  // to begin
    jmp_buf place;       // to go on, which is quicker
    std::unique_ptr<char[]> stack{new char[STACK]};
    Dim thread;
    bool begun, done;
    unsigned exchanges;
};

struct Barrier {
    unsigned waiting = 0, opened = 0;
};

static std::vector<Fiber> fibers;
static jmp_buf scheduler_place;
static size_t threads, current;
static Barrier block_barrier;
static std::vector<Barrier> warp_barriers;
static std::vector<float> offered[2];  // by turns, so that none is written while another thread still reads
struct Fragments {
    unsigned a[4], b[2];
};
static std::vector<Fragments> fragments[2];
static void (*body)(void* arguments);
static void* body_arguments;

inline void pause() {
    if (!_setjmp(fibers[current].place)) _longjmp(scheduler_place, 1);
}

inline void wait(Barrier& barrier, size_t expected) {
    const unsigned opened = barrier.opened;
    if (++barrier.waiting == expected) {
        barrier.waiting = 0;
        ++barrier.opened;
    }
    for (unsigned turns = 0; barrier.opened == opened; ++turns) {
        if (turns > 1000) {
            std::fprintf(stderr, "a barrier was not reached by all threads of its block or warp\n");
            std::abort();
        }
        pause();
    }
}

inline void run_fiber() {
    body(body_arguments);
    fibers[current].done = true;
    _longjmp(scheduler_place, 1);
}

inline void begin(Fiber& fiber) {
    fiber.begun = fiber.done = false;
    fiber.exchanges = 0;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = STACK;
    makecontext(&fiber.context, run_fiber, 0);
}

inline void resume(Fiber& fiber) {
    if (_setjmp(scheduler_place)) return;
    if (fiber.begun) _longjmp(fiber.place, 1);
    fiber.begun = true;
    setcontext(&fiber.context);
}

inline void run_block() {
    for (size_t index = 0; index < threads; ++index) {
        const unsigned x = index % blockDim.x, y = index / blockDim.x % blockDim.y, z = index / blockDim.x / blockDim.y;
        fibers[index].thread = {x, y, z};
        begin(fibers[index]);
    }
    for (size_t left = threads; left;)
        for (current = 0; current < threads; ++current) {
            if (fibers[current].done) continue;
            threadIdx = fibers[current].thread;
            resume(fibers[current]);
            left -= fibers[current].done;
        }
}

template <class... Parameters, size_t... index>
void call(void (*kernel)(Parameters...), void** arguments, std::index_sequence<index...>) {
    kernel(*static_cast<std::remove_const_t<Parameters>*>(arguments[index])...);
}

// `arguments` points to each argument, as for cuLaunchKernel
template <class... Parameters>
void launch(void (*kernel)(Parameters...), const unsigned* grid, const unsigned* block, void** arguments) {
    using Call = std::pair<void (*)(Parameters...), void**>;
    Call what{kernel, arguments};
    body = [](void* given) {
        auto& [function, values] = *static_cast<Call*>(given);
        call(function, values, std::index_sequence_for<Parameters...>{});
    };
    body_arguments = &what;
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    threads = size_t(block[0]) * block[1] * block[2];
    if (fibers.size() < threads) fibers.resize(threads);
    for (blockIdx.z = 0; blockIdx.z < gridDim.z; ++blockIdx.z)
        for (blockIdx.y = 0; blockIdx.y < gridDim.y; ++blockIdx.y)
            for (blockIdx.x = 0; blockIdx.x < gridDim.x; ++blockIdx.x) {
                block_barrier = {};
                warp_barriers.assign((threads + WARP - 1) / WARP, {});
                for (auto& values : offered) values.assign(threads, 0);
                for (auto& values : fragments) values.assign(threads, {});
                run_block();
            }
    body_arguments = nullptr;
}

}  // namespace on_cpu

inline void __syncthreads() { on_cpu::wait(on_cpu::block_barrier, on_cpu::threads); }

inline float __shfl_xor_sync(unsigned, float value, int apart) {
    using namespace on_cpu;
    auto& values = offered[fibers[current].exchanges++ % 2];
    values[current] = value;
    const size_t warp = current / WARP;
    wait(warp_barriers[warp], std::min(WARP, threads - warp * WARP));
    return values[current ^ apart];
}

// mma.m16n8k32 of unsigned by signed bytes, with the fragments that PTX ISA gives each lane
inline void multiply(int (&sum)[4], const unsigned (&a)[4], uint2 b) {
    using namespace on_cpu;
    auto& values = fragments[fibers[current].exchanges++ % 2];
    values[current] = {{a[0], a[1], a[2], a[3]}, {b.x, b.y}};
    const size_t warp = current / WARP, lane = current % WARP;
    wait(warp_barriers[warp], WARP);
    const Fragments* of_lane = &values[warp * WARP];
    for (unsigned index = 0; index < 4; ++index) {
        const unsigned row = lane / 4 + index / 2 * 8, column = lane % 4 * 2 + index % 2;
        for (unsigned k = 0; k < 32; ++k) {
            const unsigned from = k % 16 / 4, high = k / 16, shift = k % 4 * 8;
            const unsigned left = of_lane[row % 8 * 4 + from].a[high * 2 + row / 8] >> shift & 255;
            const int right = static_cast<signed char>(of_lane[column * 4 + from].b[high] >> shift & 255);
            sum[index] += int(left) * right;
        }
    }
}

#define LAUNCHER(kernel)                                                                            \
    extern "C" void launch_##kernel(const unsigned* grid, const unsigned* block, void** arguments) { \
        on_cpu::launch(kernel, grid, block, arguments);                                              \
    }
