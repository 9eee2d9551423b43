/* index_kernel.c -- the sum of products of small numbers, with what the processor has.
 *
 * Chosen when the program runs, so that one binary is fast on all machines of a kind.  All give the same
 * number: products of numbers from -127 to 127, 4096 of them at most, fit 32 bits.
 *
 *     avx512vnni   64 a step: one instruction multiplies and adds, but wants one side without a sign, so 128
 *                  is added to a and 128 times the sum of b is taken off again
 *     avx2         32 a step: widened to 16 bits, multiplied, added in pairs
 *     neon         16 a step
 *     c            the rest
 *
 * Bits are counted by the processor's own instruction, eight words at once where it can; a program built for
 * any x86-64 would call a function for each word. */
#include "store/index_kernel.h"

#include <string.h>

static inline __attribute__((always_inline)) void count_bits(const uint64_t *q, const uint64_t *rows, size_t n,
                                                             size_t count, uint16_t *out) {
    for (size_t i = 0; i < count; i++, rows += n) {
        unsigned sum = 0;
        for (size_t k = 0; k < n; k++) sum += (unsigned)__builtin_popcountll(q[k] ^ rows[k]);
        out[i] = (uint16_t)sum;
    }
}

/* Rows of two words, which 128 numbers are, are worth a loop of their own; so are those of the embedder that is
 * built in, four. */
static inline __attribute__((always_inline)) void distances(const uint64_t *q, const uint64_t *rows, size_t n,
                                                            size_t count, uint16_t *out) {
    if (n == 2) count_bits(q, rows, 2, count, out);
    else if (n == 4) count_bits(q, rows, 4, count, out);
    else if (n == 6) count_bits(q, rows, 6, count, out);
    else count_bits(q, rows, n, count, out);
}

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("popcnt"))) static void distances_popcnt(const uint64_t *q, const uint64_t *rows, size_t n,
                                                               size_t count, uint16_t *out) {
    distances(q, rows, n, count, out);
}

#define WIDE __attribute__((target("avx512f,avx512vpopcntdq")))

WIDE static inline __m128i count_8_words(__m512i q, const uint64_t *rows) {
    return _mm512_cvtepi64_epi16(_mm512_popcnt_epi64(_mm512_xor_si512(q, _mm512_loadu_si512(rows))));
}

/* Eight rows a step: neighbouring words are added until each row is one number.  Returns how many are done. */
WIDE static size_t distances_of_2(const uint64_t *q, const uint64_t *rows, size_t count, uint16_t *out) {
    const __m512i wide = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)q));
    size_t i = 0;
    for (; i + 8 <= count; i += 8, rows += 16) {
        __m128i sums = _mm_hadd_epi16(count_8_words(wide, rows), count_8_words(wide, rows + 8));
        _mm_storeu_si128((__m128i *)(void *)(out + i), sums);
    }
    return i;
}

WIDE static size_t distances_of_4(const uint64_t *q, const uint64_t *rows, size_t count, uint16_t *out) {
    const __m512i wide = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)(const void *)q));
    size_t i = 0;
    for (; i + 8 <= count; i += 8, rows += 32) {
        __m128i low = _mm_hadd_epi16(count_8_words(wide, rows), count_8_words(wide, rows + 8));
        __m128i high = _mm_hadd_epi16(count_8_words(wide, rows + 16), count_8_words(wide, rows + 24));
        _mm_storeu_si128((__m128i *)(void *)(out + i), _mm_hadd_epi16(low, high));
    }
    return i;
}

__attribute__((target("popcnt"))) static void distances_wide(const uint64_t *q, const uint64_t *rows, size_t n,
                                                             size_t count, uint16_t *out) {
    size_t done = n == 2 ? distances_of_2(q, rows, count, out) : n == 4 ? distances_of_4(q, rows, count, out) : 0;
    distances(q, rows + done * n, n, count - done, out + done);
}

__attribute__((target("avx2"))) static int32_t dot_avx2(const int8_t *a, const int8_t *b, size_t n) {
    __m256i sum = _mm256_setzero_si256(), more = _mm256_setzero_si256();
    for (size_t i = 0; i < n; i += 32) {
        __m256i x = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(a + i)));
        __m256i y = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(b + i)));
        __m256i u = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(a + i + 16)));
        __m256i v = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(b + i + 16)));
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(x, y));
        more = _mm256_add_epi32(more, _mm256_madd_epi16(u, v));
    }
    sum = _mm256_add_epi32(sum, more);
    __m128i half = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4e));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0xb1));
    return _mm_cvtsi128_si32(half);
}

__attribute__((target("avx512f,avx512bw,avx512vnni"))) static int32_t dot_vnni(const int8_t *a, const int8_t *b,
                                                                                size_t n) {
    const __m512i bias = _mm512_set1_epi8((char)0x80), ones = _mm512_set1_epi8(1);
    __m512i sum = _mm512_setzero_si512(), shift = _mm512_setzero_si512();
    for (size_t i = 0; i < n; i += 64) {
        __m512i x = _mm512_xor_si512(_mm512_loadu_si512(a + i), bias); /* a + 128, without a sign */
        __m512i y = _mm512_loadu_si512(b + i);
        sum = _mm512_dpbusd_epi32(sum, x, y);
        shift = _mm512_dpbusd_epi32(shift, ones, y);
    }
    return _mm512_reduce_add_epi32(sum) - 128 * _mm512_reduce_add_epi32(shift);
}
#endif

#if defined(__aarch64__)
#include <arm_neon.h>

static int32_t dot_neon(const int8_t *a, const int8_t *b, size_t n) {
    int32x4_t sum = vdupq_n_s32(0);
    for (size_t i = 0; i < n; i += 16) {
        int8x16_t x = vld1q_s8(a + i), y = vld1q_s8(b + i);
        sum = vpadalq_s16(sum, vmull_s8(vget_low_s8(x), vget_low_s8(y)));
        sum = vpadalq_s16(sum, vmull_s8(vget_high_s8(x), vget_high_s8(y)));
    }
    return vaddvq_s32(sum);
}
#endif

static void distances_c(const uint64_t *q, const uint64_t *rows, size_t n, size_t count, uint16_t *out) {
    distances(q, rows, n, count, out);
}

static int32_t dot_c(const int8_t *a, const int8_t *b, size_t n) {
    int32_t sum = 0;
    for (size_t i = 0; i < n; i++) sum += (int32_t)a[i] * b[i];
    return sum;
}

const struct index_kernel *index_kernel_find(const char *name) {
    static const struct index_kernel all[] = {
#if defined(__x86_64__)
        { "avx512vnni", dot_vnni, distances_wide },
        { "avx512vnni", dot_vnni, distances_popcnt },
        { "avx2", dot_avx2, distances_popcnt },
#endif
#if defined(__aarch64__)
        { "neon", dot_neon, distances_c },
#endif
        { "c", dot_c, distances_c },
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        if (name != NULL && strcmp(name, all[i].name) != 0) continue;
#if defined(__x86_64__)
        if (all[i].dot == dot_vnni && !(__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw")))
            continue;
        if (all[i].distances == distances_wide && !__builtin_cpu_supports("avx512vpopcntdq")) continue;
        if (all[i].dot == dot_avx2 && !__builtin_cpu_supports("avx2")) continue;
#endif
        return &all[i];
    }
    return NULL;
}
