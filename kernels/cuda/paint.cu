// Tiles, and the wet paint that is carried, blended and restored: see kernels/reference.py.
//
// Chroma is one array for both planes: sample (x, y) lies at y * pitch + x * step, and Cr's `cr` further on than Cb's. So
// the same kernels take planar frames (step 1) and NV12 (step 2, cr 1). A wet chroma array is [2, H, pitch].
#include "common.cuh"

constexpr int HALF = TILE / 2, HALF_MARGIN = MARGIN / 2;
constexpr int CB = TILE * TILE, CR = CB + HALF * HALF;
static_assert(TILE == 4 && MARGIN % TILE == 0 && CHANNELS == 24 && BLOCK == 32, "a tile is 6 words, a block 8 fours wide");

__device__ inline unsigned word_of(byte a, byte b, byte c, byte d) { return a | b << 8 | c << 16 | unsigned(d) << 24; }

// one thread packs one tile, but for its texture; edges are repeated
extern "C" __global__ void pack_tiles(
    const byte* __restrict__ luma, int luma_pitch, const byte* __restrict__ chroma, int chroma_pitch, int step, int cr,
    int width, int height, byte* __restrict__ tiles, int rows, int columns) {
    const int column = this_x(), row = this_y();
    if (column >= columns || row >= rows) return;
    unsigned word[6];
    const int left = column * TILE - MARGIN;
#pragma unroll
    for (int part = 0; part < TILE; ++part) {
        const byte* line = luma + clamp(row * TILE + part - MARGIN, height - 1) * luma_pitch;
        if (left >= 0 && left + TILE <= width)
            word[part] = *reinterpret_cast<const unsigned*>(line + left);
        else
            word[part] = word_of(line[clamp(left, width - 1)], line[clamp(left + 1, width - 1)],
                                 line[clamp(left + 2, width - 1)], line[clamp(left + 3, width - 1)]);
    }
    const int last_x = (width + 1) / 2 - 1, last_y = (height + 1) / 2 - 1;
    const int x = column * HALF - HALF_MARGIN, y = row * HALF - HALF_MARGIN;
    const int first = clamp(x, last_x) * step, second = clamp(x + 1, last_x) * step;
#pragma unroll
    for (int plane = 0; plane < 2; ++plane) {
        const byte *upper = chroma + plane * cr + clamp(y, last_y) * chroma_pitch;
        const byte *lower = chroma + plane * cr + clamp(y + 1, last_y) * chroma_pitch;
        word[4 + plane] = word_of(upper[first], upper[second], lower[first], lower[second]);
    }
    uint2* out = reinterpret_cast<uint2*>(tiles) + (row * columns + column) * (SEEN / 8);
#pragma unroll
    for (int pair = 0; pair < 3; ++pair) out[pair] = make_uint2(word[2 * pair], word[2 * pair + 1]);
}

// and the other way round
extern "C" __global__ void unpack_tiles(
    const byte* __restrict__ tiles, int rows, int columns, int width, int height, byte* __restrict__ luma, int luma_pitch,
    byte* __restrict__ chroma, int chroma_pitch, int step, int cr) {
    const int column = this_x(), row = this_y();
    if (column >= columns || row >= rows) return;
    const unsigned* word = reinterpret_cast<const unsigned*>(tiles) + (row * columns + column) * 6;
    for (int part = 0; part < TILE; ++part) {
        const int x = column * TILE - MARGIN, y = row * TILE + part - MARGIN;
        if (x < 0 || x >= width || y < 0 || y >= height) continue;
        *reinterpret_cast<unsigned*>(luma + y * luma_pitch + x) = word[part];  // the last may end in the pitch
    }
    for (int sample = 0; sample < 2 * HALF * HALF; ++sample) {
        const int x = column * HALF - HALF_MARGIN + sample % 2, y = row * HALF - HALF_MARGIN + sample / 2 % 2;
        const int plane = sample / 4;
        if (x < 0 || x >= (width + 1) / 2 || y < 0 || y >= (height + 1) / 2) continue;
        chroma[y * chroma_pitch + x * step + plane * cr] = word[4 + plane] >> sample % 4 * 8;
    }
}

// P010 (10 bits in the upper part of 16) to 8 bits, rounded; one thread takes four samples of a plane
extern "C" __global__ void round_p010(
    const unsigned short* __restrict__ deep, int deep_pitch, int width, int height, byte* __restrict__ plane, int pitch) {
    const int x = this_x() * 4, y = this_y();
    if (x >= width || y >= height) return;
    const Four<unsigned short> found = four(deep + y * deep_pitch + x);
    unsigned rounded[4];
#pragma unroll
    for (int k = 0; k < 4; ++k) rounded[k] = min((found.at[k] + 128u) >> 8, 255u);
    *reinterpret_cast<unsigned*>(plane + y * pitch + x) = word_of(rounded[0], rounded[1], rounded[2], rounded[3]);
}

// The motion field [3, rows, columns] as a plane sees it, whose samples lie 1 / per_cell to a cell; where the field is
// thinned (1, else 0), only every other cell counts, across and down.
struct Field {
    const float* __restrict__ cells;
    int rows, columns, thinned;
    float per_cell;
};

struct Motion {
    float x, y, keep;
};

// the motion at row y of cells (`row` already in cells), between columns
__device__ inline Motion across(const Field& field, int row, Between column) {
    const int plane = field.rows * field.columns;
    const float* cells = field.cells + (row << field.thinned) * field.columns;
    const int first = column.first << field.thinned, second = column.second << field.thinned;
    return {mix(cells[first], cells[second], column.weight), mix(cells[plane + first], cells[plane + second], column.weight),
            mix(cells[2 * plane + first], cells[2 * plane + second], column.weight)};
}

// Walks down a column of samples. Cells are read again only where the samples pass into the next ones.
struct Walk {
    Field field;
    Between column;
    int row;
    Motion above, below;

    __device__ Walk(const Field& over, int x)
        : field(over), column(between(x, over.per_cell, (over.columns + over.thinned) >> over.thinned)), row(-1), above(),
          below() {}

    __device__ Motion at(int y) {
        const Between place = between(y, field.per_cell, (field.rows + field.thinned) >> field.thinned);
        if (place.first != row) {
            row = place.first;
            above = across(field, row, column);
            below = across(field, place.second, column);
        }
        return {mix(above.x, below.x, place.weight), mix(above.y, below.y, place.weight),
                mix(above.keep, below.keep, place.weight)};
    }
};

// Catmull-Rom's cubic (Keys 1981, a = -1/2)
struct Cubic {
    float weights[4];

    __device__ Cubic(float t) {
        weights[0] = ((-0.5f * t + 1) * t - 0.5f) * t;
        weights[1] = (1.5f * t - 2.5f) * t * t + 1;
        weights[2] = ((-1.5f * t + 2) * t + 0.5f) * t;
        weights[3] = (0.5f * t - 0.5f) * t * t;
    }
};

__device__ inline float cubic(const Wet* __restrict__ wet, int pitch, int width, int height, float x, float y) {
    const int column = int(x), row = int(y);
    const Cubic along(x - column), down(y - row);
    int place[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) place[i] = clamp(column + i - 1, width - 1);
    float sum = 0;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
        const Wet* line = wet + clamp(row + j - 1, height - 1) * pitch;
        float part = 0;
#pragma unroll
        for (int i = 0; i < 4; ++i) part += along.weights[i] * value_of(line[place[i]]);
        sum += down.weights[j] * part;
    }
    return sum;
}

__device__ inline float blended(float old, float fresh, float weight) {
    return clamp(fresh + weight * (old - fresh), 255.0f);
}

// Carries and blends luma. One thread takes the TILE samples of a tile's column: what the threads of a warp gather and write
// then lies side by side, and the cells of the field are read once for all.
extern "C" __global__ void blend_luma(
    const Wet* __restrict__ wet, int pitch, int width, int height, const float* __restrict__ cells, int rows, int columns,
    float per_cell, const byte* __restrict__ tiles, int tile_columns, int fresh, const float* __restrict__ settings,
    Wet* __restrict__ next) {
    const int x = this_x(), top = this_y() * TILE;
    if (x >= width || top >= height) return;
    Walk walk({cells, rows, columns, 0, per_cell}, x);
    const byte* paint = tiles + ((top + MARGIN) / TILE * tile_columns + (x + MARGIN) / TILE) * CHANNELS + x % TILE;
    const float consistency = settings[CONSISTENCY];
#pragma unroll
    for (int part = 0; part < TILE; ++part) {
        const int y = top + part;
        if (y >= height) return;
        const Motion motion = walk.at(y);
        const float from_x = clamp(x + motion.x, width - 1.0f), from_y = clamp(y + motion.y, height - 1.0f);
        const float old = cubic(wet, pitch, width, height, from_x, from_y);
        const float value = fresh ? blended(old, paint[part * TILE], consistency * motion.keep) : clamp(old, 255.0f);
        next[y * pitch + x] = wet_of(value);
    }
}

// Carries, blends and rounds both planes of chroma, or passes the camera's on. One thread takes a tile's column of both. The
// painted frame has the layout of the camera's.
extern "C" __global__ void blend_chroma(
    const Wet* __restrict__ wet, int pitch, int width, int height, const float* __restrict__ cells, int rows, int columns,
    int thinned, float per_cell, const byte* __restrict__ tiles, int tile_columns, int fresh,
    const float* __restrict__ settings, const byte* __restrict__ camera, Wet* __restrict__ next, byte* __restrict__ painted,
    int chroma_pitch, int chroma_step, int cr) {
    const int x = this_x(), top = this_y() * HALF;
    if (x >= width || top >= height) return;
    Walk walk({cells, rows, columns, thinned, per_cell}, x);
    const byte* paint = tiles + ((top + HALF_MARGIN) / HALF * tile_columns + (x + HALF_MARGIN) / HALF) * CHANNELS + x % HALF;
    const float consistency = settings[CONSISTENCY];
    const bool keep_color = settings[KEEP_COLOR] != 0;
#pragma unroll
    for (int part = 0; part < HALF; ++part) {
        const int y = top + part;
        if (y >= height) return;
        const Motion motion = walk.at(y);
        const Between from_x = split(clamp(x + 0.5f * motion.x, width - 1.0f), width);
        const Between from_y = split(clamp(y + 0.5f * motion.y, height - 1.0f), height);
#pragma unroll
        for (int plane = 0; plane < 2; ++plane) {
            const Wet* source = wet + plane * height * pitch;
            const Wet *above = source + from_y.first * pitch, *below = source + from_y.second * pitch;
            const float upper = mix(value_of(above[from_x.first]), value_of(above[from_x.second]), from_x.weight);
            const float lower = mix(value_of(below[from_x.first]), value_of(below[from_x.second]), from_x.weight);
            const float old = mix(upper, lower, from_y.weight);
            const float value = fresh ? blended(old, paint[(plane ? CR : CB) + part * HALF], consistency * motion.keep)
                                      : clamp(old, 255.0f);
            next[(plane * height + y) * pitch + x] = wet_of(value);
            const int place = y * chroma_pitch + x * chroma_step + plane * cr;
            painted[place] = keep_color ? camera[place] : byte(value + 0.5f);
        }
    }
}

// Measures the detail and the light of each block of BLOCK x BLOCK samples, in the wet paint and in fresh tiles, and sets
// what brings the first back to the second: see reference.measure, and `_compare` in engine/temporal.py for the numbers. One
// block of 256 threads takes a block of samples, one thread four neighbours. `known` and `found` are [3, rows, columns]: the
// measures of the newest fresh paint, which stay where there is none, and of the wet.
extern "C" __global__ void __launch_bounds__(256) compare_blocks(
    const Wet* __restrict__ wet, int pitch, int width, int height, const byte* __restrict__ tiles, int tile_columns,
    int fresh, float lift_rate, float enough, float rate, float most, float* __restrict__ known, float* __restrict__ found,
    float* __restrict__ gain, float* __restrict__ lift) {
    const int x = blockIdx.x * BLOCK + threadIdx.x % 8 * 4, y = blockIdx.y * BLOCK + threadIdx.x / 8;
    float sums[6] = {0, 0, 0, 0, 0, 0};
    if (x < width && y > 0 && y < height) {
        const Wet* line = wet + y * pitch + x;
        const Four<Wet> here = four(line), above = four(line - pitch);
        float left = x ? value_of(line[-1]) : 0.0f;
        const byte* paint = tiles + ((y + MARGIN) / TILE * tile_columns + (x + MARGIN) / TILE) * CHANNELS + y % TILE * TILE;
        const byte* over = y % TILE ? paint - TILE : paint - tile_columns * CHANNELS + (TILE - 1) * TILE;
        Four<byte> paint_here = {}, paint_above = {};
        float paint_left = 0;
        if (fresh) paint_here = four(paint), paint_above = four(over), paint_left = paint[TILE - 1 - CHANNELS];
#pragma unroll
        for (int k = 0; k < 4; ++k) {
            const float value = value_of(here.at[k]), paint_value = paint_here.at[k];
            if (x + k > 0 && x + k < width) {
                sums[0] += fabsf(value - left), sums[1] += fabsf(value - value_of(above.at[k])), sums[2] += value;
                sums[3] += fabsf(paint_value - paint_left), sums[4] += fabsf(paint_value - paint_above.at[k]);
                sums[5] += paint_value;
            }
            left = value, paint_left = paint_value;
        }
    }
    __shared__ float parts[6][8];
#pragma unroll
    for (int sum = 0; sum < 6; ++sum) {
        sums[sum] = total<32>(sums[sum]);
        if (threadIdx.x % 32 == 0) parts[sum][threadIdx.x / 32] = sums[sum];
    }
    __syncthreads();
    if (threadIdx.x) return;
    for (int sum = 0; sum < 6; ++sum) {
        sums[sum] = 0;
        for (int warp = 0; warp < 8; ++warp) sums[sum] += parts[sum][warp];
    }
    const int blocks = gridDim.x * gridDim.y, block = blockIdx.y * gridDim.x + blockIdx.x;
    for (int measure = 0; measure < 3; ++measure) {
        found[measure * blocks + block] = sums[measure];
        if (fresh) known[measure * blocks + block] = sums[3 + measure];
    }
    lift[block] = fresh ? (sums[5] - sums[2]) * lift_rate : 0.0f;
    for (int way = 0; way < 2; ++way)
        gain[way * blocks + block] =
            clamp((known[way * blocks + block] / fmaxf(sums[way], 1.0f) * enough - 1) * rate, most);
}

// Gives the strokes their light and sharpness back, and rounds: see reference.restore_plane. One thread, four neighbours.
extern "C" __global__ void restore_plane(
    const Wet* __restrict__ wet, int pitch, int width, int height, const float* __restrict__ gain,
    const float* __restrict__ lift, int rows, int columns, Wet* __restrict__ next, byte* __restrict__ painted,
    int painted_pitch) {
    const int x = this_x() * 4, y = this_y();
    if (x >= width || y >= height) return;
    const Wet* line = wet + y * pitch;
    const Four<Wet> here = four(line + x), above = four(wet + max(y - 1, 0) * pitch + x);
    const Four<Wet> below = four(wet + min(y + 1, height - 1) * pitch + x);
    const float before = value_of(line[max(x - 1, 0)]), after = value_of(line[min(x + 4, width - 1)]);
    const Between row = between(y, 1.0f / BLOCK, rows);
    const int upper = row.first * columns, lower = row.second * columns, blocks = rows * columns;
    const int last = width - 1 - x;  // what lies beyond it in the pitch is no paint
    Four<Wet> wetted;
    byte rounded[4];
#pragma unroll
    for (int k = 0; k < 4; ++k) {
        const Between column = between(x + k, 1.0f / BLOCK, columns);
        float set[3];
#pragma unroll
        for (int which = 0; which < 3; ++which) {
            const float* cells = which < 2 ? gain + which * blocks : lift;
            set[which] = mix(mix(cells[upper + column.first], cells[lower + column.first], row.weight),
                             mix(cells[upper + column.second], cells[lower + column.second], row.weight), column.weight);
        }
        const float value = value_of(here.at[k]);
        const float left = k ? value_of(here.at[max(k - 1, 0)]) : before;
        const float right = k >= last ? value : k < 3 ? value_of(here.at[min(k + 1, 3)]) : after;
        const float along = value - (left + value + right) * (1.0f / 3);
        const float down = value - (value_of(above.at[k]) + value + value_of(below.at[k])) * (1.0f / 3);
        const float sharp = clamp(value + set[2] + set[0] * along + set[1] * down, 255.0f);
        wetted.at[k] = wet_of(sharp);
        rounded[k] = byte(sharp + 0.5f);
    }
    *reinterpret_cast<Four<Wet>*>(next + y * pitch + x) = wetted;
    *reinterpret_cast<unsigned*>(painted + y * painted_pitch + x) = word_of(rounded[0], rounded[1], rounded[2], rounded[3]);
}
